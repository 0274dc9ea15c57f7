//! The command line. What the original demands and this module can do without is optional here.
use super::misp::Server;
use crate::argparse::{self, ArgError, long_flag, long_value};
use crate::client::Trust;
use crate::http::Url;
use crate::modules::resolver;
use crate::networks::NetworkError;
use crate::networks::Networks;
use std::net::SocketAddr;
use std::path::PathBuf;
use trap::module::{Count, ModuleInfo, Param};

pub(super) const INFO: ModuleInfo = ModuleInfo {
    name: "backscatter_classifier",
    description: "Tells attacks by events of the module backscatter, and reports them to MISP.\n\
                  Examples:\n  \
                  backscatter_classifier --train events.csv --model model.json\n  \
                  backscatter_classifier -i u:backscatter --model model.json --export_to print\n  \
                  backscatter_classifier -i u:backscatter --model model.json --export_to misp --url https://misp.example.org --key KEY\n\
                  Exit status: 1 TRAP, 2 wrong usage, 3 anything else.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    long_value("model", "string", "The model: JSON as docs/backscatter_model.md describes it. Mandatory."),
    long_value(
        "train",
        "string",
        "Make the model of this CSV: columns of backscatter, and LABEL, 1 for an attack; then end.",
    ),
    long_value("agp", "string", "Data base of MaxMind (mmdb) with the organizations of addresses (ASN)."),
    long_value("cgp", "string", "Data base of MaxMind (mmdb) with countries and coordinates (City)."),
    long_value("export_to", "string", "misp, or print: events as JSON lines (default misp if there is an --url)."),
    long_value("url", "string", "MISP, such as https://misp.example.org."),
    long_value("key", "string", "The key of MISP's user."),
    long_flag("ssl", "Accepted: certificates are checked always."),
    long_flag("insecure", "Do not check the certificate of MISP: whoever answers gets the key."),
    long_value("ca", "string", "Trust the certificates of this PEM file in place of the system's."),
    long_value("misp_templates_dir", "string", "Accepted: the templates of the two objects are part of the module."),
    long_value("c3isp_config", "string", "Accepted, of no effect: C3ISP is not supported."),
    long_value("logfile", "string", "Append what is found to this file (default backscatter_classifier.log)."),
    long_value("min_flows", "uint64", "Look at events of at least so many flows (default 30)."),
    long_value("min_threshold", "double", "Report from beyond this probability, 0 to 1 (default 0.99)."),
    long_value("min_duration", "uint32", "Look at events of at least so many seconds (default 30)."),
    long_value("max_duration", "uint32", "Look at events of at most so many seconds (default 7200)."),
    long_value("networks", "string", "The networks that backscatter watches, as for its -n (default those of CESNET)."),
    long_value("server", "string", "Name server in place of the system's, ADDRESS[:PORT]; may be repeated."),
];

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Task {
    Classify(Box<Settings>),
    Train { csv: PathBuf, model: PathBuf },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) model: PathBuf,
    pub(super) asn: Option<PathBuf>,
    pub(super) city: Option<PathBuf>,
    pub(super) export: Export,
    pub(super) log: PathBuf,
    pub(super) flows_min: u64,
    pub(super) threshold: f64,
    pub(super) min_secs: u64,
    pub(super) max_secs: u64,
    pub(super) networks: Networks,
    pub(super) servers: Vec<SocketAddr>,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Export {
    Misp(Server),
    /// Standard output.
    Print,
}

/// Why the command line was refused, exit code 2.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum UsageError {
    #[error("backscatter_classifier: error: {0}")]
    Argument(#[from] ArgError),
    #[error("backscatter_classifier: error: argument --{0}: \"{1}\" is no value: {2}")]
    Value(&'static str, String, &'static str),
    #[error("backscatter_classifier: error: argument --networks: {0}")]
    Networks(#[from] NetworkError),
    #[error(
        "backscatter_classifier: error: --export_to misp needs --url and --key; --export_to print shows events instead"
    )]
    Server,
    #[error("backscatter_classifier: error: C3ISP is not supported; --export_to takes misp or print")]
    C3isp,
}

impl Settings {
    pub(super) fn parse(args: &[String]) -> Result<Task, UsageError> {
        let (mut model, mut csv, mut export, mut url, mut key) = (None, None, None, None, None);
        let mut trust = Trust::System;
        let mut settings = Settings {
            model: PathBuf::new(),
            asn: None,
            city: None,
            export: Export::Print,
            log: "backscatter_classifier.log".into(),
            flows_min: 30,
            threshold: 0.99,
            min_secs: 30,
            max_secs: 7_200,
            networks: crate::modules::backscatter::cesnet::networks(),
            servers: Vec::new(),
        };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            let wrong = |what| UsageError::Value(name, value.clone(), what);
            let number = || value.trim().parse::<u64>().map_err(|_| wrong("a whole number is needed"));
            match name {
                "model" => model = Some(PathBuf::from(value)),
                "train" => csv = Some(PathBuf::from(value)),
                "agp" => settings.asn = Some(value.into()),
                "cgp" => settings.city = Some(value.into()),
                "export_to" => export = Some(value),
                "url" => {
                    Url::parse(&value).map_err(|_| wrong("a URL such as https://misp.example.org is needed"))?;
                    url = Some(value.trim_end_matches('/').to_owned());
                }
                "key" if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) => {
                    return Err(UsageError::Value(name, "...".into(), "keys are letters and digits"));
                }
                "key" => key = Some(value),
                "insecure" => trust = Trust::Anyone,
                "ca" => trust = Trust::File(value.into()),
                "logfile" => settings.log = value.into(),
                "min_flows" => settings.flows_min = number()?,
                "min_threshold" => {
                    let read = value.trim().parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
                    settings.threshold = read.ok_or_else(|| wrong("it must lie between 0 and 1"))?;
                }
                "min_duration" => settings.min_secs = number()?,
                "max_duration" => settings.max_secs = number()?,
                "networks" => settings.networks = Networks::load(&value)?,
                "server" => {
                    let server = resolver::server(&value).ok_or_else(|| wrong("ADDRESS[:PORT] is needed"))?;
                    settings.servers.push(server);
                }
                // Accepted, as the help says.
                _ => {}
            }
        }
        settings.model = model.ok_or(ArgError::Required("--model"))?;
        if let Some(csv) = csv {
            return Ok(Task::Train { csv, model: settings.model });
        }
        let server = || match (&url, &key) {
            (Some(url), Some(key)) => Ok(Server { url: url.clone(), key: key.clone(), trust: trust.clone() }),
            _ => Err(UsageError::Server),
        };
        settings.export = match export.as_deref() {
            Some("print") => Export::Print,
            Some("misp") | None => Export::Misp(server()?),
            Some("c3isp" | "c3isp-misp") => return Err(UsageError::C3isp),
            Some(other) => return Err(UsageError::Value("export_to", other.to_owned(), "misp or print is needed")),
        };
        Ok(Task::Classify(Box::new(settings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, UsageError> {
        Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let Ok(Task::Classify(settings)) = parse(
            "--model m --url https://misp.example/ --key k --ssl --min_threshold 0.5 --server ::1 --networks 10.0.0.0/8",
        ) else {
            panic!("it is a command line")
        };
        let server = Server { url: "https://misp.example".into(), key: "k".into(), trust: Trust::System };
        assert_eq!(
            (settings.export, settings.threshold, settings.networks.v4_addresses()),
            (Export::Misp(server), 0.5, 1 << 24)
        );
        assert_eq!(settings.servers, ["[::1]:53".parse().unwrap()]);
        assert_eq!(parse("--train c --model m"), Ok(Task::Train { csv: "c".into(), model: "m".into() }));
        for (line, says) in [
            ("--train c", "--model"),
            ("--model m", "--url and --key"),
            ("--model m --export_to c3isp", "C3ISP"),
            ("--model m --export_to print --min_threshold 1", "between 0 and 1"),
            ("--model m --url misp --key k", "URL"),
            ("--model m --export_to print --min_flows x", "whole number"),
        ] {
            assert!(parse(line).unwrap_err().to_string().contains(says), "{line}");
        }
    }
}
