//! waintrusion_detector: attacks on web applications, told from requests by signatures (spec/detectors.md section 13).
//!
//! A request that matches brings one alert, for the first signature that does. There is no state. The rules that are built in are
//! Sonda's own; `rules` and `data` in the working directory are used in their place, as by the original.
mod memo;
mod request;
mod signatures;
mod source;

use crate::options::{flag, value};
use crate::sdk::{
    self, Count, Failure, GO_ON, IpAddr, Module, ModuleInfo, Param, Reader, Step, Text, Time, View, Writer, record,
};
use ::record::Record;
pub use signatures::fuzz_signatures;
use signatures::{Finding, RULES, Signatures};
use source::{In, Source};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a value in an alert; what is left of a message's 65535 is for the other fields.
const VALUE_MAX: usize = 60_000;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects attacks on web applications in HTTP requests.";

const INFO: ModuleInfo = ModuleInfo {
    name: "waintrusion_detector",
    description: "NEMEA Detector for Web Application Intrusion Detection. Keeps no state.\n\
                  Rules: request_method_enforcement, request_scanner_detection, request_protocol_enforcement, \
                  request_protocol_attack, request_application_attack_rfi, _sqli, _rce, _php, _xss, _session_fixation, _lfi. \
                  The folders rules and data of the original are read from the working directory if both are there; else rules of \
                  our own are used.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

/// For the help; the command line is read by [`Settings::parse`].
const PARAMS: &[Param] = &[
    value('r', "rule", "string", "Enabled detection rules, one or more words (default: all)."),
    value(
        'n',
        "norule",
        "string",
        "Disabled detection rules, one or more words; written -nr or --norule (default: none).",
    ),
    value(
        'u',
        "",
        "string",
        "Names of the fields; written -ursrc: ipfixcol or flow_meter (default: ipfixcol). Those of ipfixprobe \
        are taken as well.",
    ),
    flag('v', "verbose", "Show alert messages."),
];

record! {
    /// An attack.
    struct Alert = "waintrusion" {
        /// The server.
        server: IpAddr, unirec "DST_IP";
        /// The client.
        client: IpAddr, unirec "SRC_IP";
        /// End of the flow.
        time: Time, unirec "EVENT_TIME";
        /// Port of the server.
        server_port: u16, unirec "DST_PORT";
        /// Port of the client.
        client_port: u16, unirec "SRC_PORT";
        /// TCP, as a rule.
        protocol: u8, unirec "PROTOCOL";
        /// Where it was found.
        field: Text<32>, unirec "WAI_MALICIOUS_FIELD";
        /// The whole field, or the argument.
        value: Text<VALUE_MAX>, unirec "WAI_MALICIOUS_VALUE";
        /// By which rule.
        rule: Text<64>, unirec "WAI_RULE";
    }
}

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    rules: Vec<&'static str>,
    source: Source,
    is_verbose: bool,
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    // TRAP looks for help first, wherever it stands.
    if args.iter().any(|arg| arg == "-h" || arg == "--help") {
        return sdk::main(&INFO, args, |_| Ok(()));
    }
    match Settings::parse(args) {
        Ok((settings, rest)) => sdk::main(&INFO, &rest, |module| run(module, &settings)),
        Err(why) => {
            eprintln!("{}: error: {why}", INFO.name);
            2
        }
    }
}

impl Settings {
    /// Reads the command line as argparse does; what is TRAP's is left over.
    fn parse(args: &[String]) -> Result<(Settings, Vec<String>), String> {
        let mut settings = Settings { rules: RULES.to_vec(), source: Source::IpfixCol, is_verbose: false };
        let (mut rest, mut is_chosen) = (Vec::new(), None);
        let mut args = args.iter().map(String::as_str).peekable();
        while let Some(arg) = args.next() {
            match arg {
                "-i" => rest.extend([arg.to_owned()].into_iter().chain(args.next().map(str::to_owned))),
                "-v" | "--verbose" => settings.is_verbose = true,
                "-r" | "--rule" | "-nr" | "--norule" => {
                    let is_list = matches!(arg, "-r" | "--rule");
                    if is_chosen.is_some_and(|known| known != is_list) {
                        return Err(format!("argument {arg}: not allowed with the other list of rules"));
                    }
                    is_chosen = Some(is_list);
                    let mut words = Vec::new();
                    while let Some(word) = args.next_if(|word| !word.starts_with('-')) {
                        words.push(word);
                    }
                    settings.rules = rules(&words, is_list).ok_or_else(|| {
                        format!(
                            "argument {arg}: invalid choice: {} (choose from {})",
                            words.join(" "),
                            RULES.join(", ")
                        )
                    })?;
                }
                _ => {
                    let name = arg.strip_prefix("-ursrc").ok_or_else(|| format!("unrecognized arguments: {arg}"))?;
                    let name = name.strip_prefix('=').or_else(|| name.is_empty().then(|| args.next()).flatten());
                    settings.source =
                        name.and_then(Source::from_name).ok_or("argument -ursrc: choose from ipfixcol, flow_meter")?;
                }
            }
        }
        Ok((settings, rest))
    }
}

/// The rules that are used; none if a word is none of theirs. Those that remain of a list of disabled ones keep their order, where the
/// original has a random one.
fn rules(words: &[&str], is_list: bool) -> Option<Vec<&'static str>> {
    let known = |word: &&str| RULES.iter().find(|rule| *rule == word).copied();
    let is_all = is_list && words.contains(&"all");
    let chosen = words.iter().filter(|word| !(is_list && **word == "all")).map(known).collect::<Option<Vec<_>>>()?;
    Some(match (is_all, is_list) {
        (true, _) => RULES.to_vec(),
        (false, true) => chosen,
        (false, false) => RULES.into_iter().filter(|rule| !chosen.contains(rule)).collect(),
    })
}

fn run(module: &mut Module, settings: &Settings) -> Result<(), Failure> {
    let own = [Path::new("rules"), Path::new("data")].iter().all(|folder| folder.is_dir());
    let signatures = Signatures::load(&settings.rules, own.then_some(Path::new(".")));
    let signatures = signatures.map_err(|why| Failure::Other(why.to_string()))?;
    let mut detector = Detector {
        signatures,
        source: settings.source,
        out: Writer::new(&mut module.outputs[0])?,
        alert: Box::default(),
        is_verbose: settings.is_verbose,
        requests: 0,
        alerts: 0,
        took: Duration::ZERO,
    };
    let begun = Instant::now();
    Reader::new(&mut module.inputs[0]).run(&mut detector)?;
    if settings.is_verbose {
        say(&format!(
            "Elapsed Time (including waiting for reception and data parsing): {}\nDetection Time: {}\nTotal Requests: {}\n\
             Total Alerts: {}\n",
            begun.elapsed().as_secs_f64(),
            detector.took.as_secs_f64(),
            detector.requests,
            detector.alerts
        ));
    }
    // The end of the stream is not passed on, as in the original.
    Ok(())
}

struct Detector<'o> {
    signatures: Signatures,
    source: Source,
    out: Writer<'o, Alert>,
    /// Used again: it is large.
    alert: Box<Alert>,
    is_verbose: bool,
    requests: u64,
    alerts: u64,
    took: Duration,
}

impl sdk::Handler<In> for Detector<'_> {
    fn template(&mut self, template: &sdk::Template) -> Step {
        if source::fits(self.source, template) {
            return GO_ON;
        }
        Err(Failure::Other("output and input interfaces data format or data specifier mismatch".into()))
    }

    fn record(&mut self, fields: &In, record: &View<'_>) -> Step {
        let Some(request) = source::request(self.source, fields, record) else { return GO_ON };
        self.requests += 1;
        let begun = self.is_verbose.then(Instant::now);
        let found = self.signatures.find(&request);
        self.took += begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let Some(Finding { rule, field, value }) = found else { return GO_ON };
        self.alerts += 1;
        if self.is_verbose {
            say(&format!(
                "--------------------------------------------------------------------------\n\n\
                 New Malicious Event Detected: \n\nDetection Rule: {rule}\nMalicious Field: {}\nMalicious Value: {value}\n\n",
                field.name()
            ));
        }
        let alert = &mut *self.alert;
        alert.clear();
        (alert.server, alert.client, alert.time) = (fields.dst(record), fields.src(record), fields.last(record));
        (alert.server_port, alert.client_port) = (fields.dst_port(record), fields.src_port(record));
        alert.protocol = fields.protocol(record);
        alert.rule.set(rule.as_bytes());
        alert.field.set(field.name().as_bytes());
        alert.value.set(value.as_bytes());
        self.out.send(alert)
    }
}

/// What is said on standard output is of no interest to a reader that is gone.
fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Settings, Vec<String>), String> {
        Settings::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn command_lines() {
        let (settings, rest) = read("-i u:a,u:b -nr request_method_enforcement -ursrc flow_meter -v").unwrap();
        assert_eq!((settings.source, settings.is_verbose, &settings.rules[..]), (Source::FlowMeter, true, &RULES[1..]));
        assert_eq!(rest, ["-i", "u:a,u:b"]);
        let (settings, _) = read("-r request_protocol_attack request_method_enforcement -i x").unwrap();
        assert_eq!(settings.rules, [RULES[3], RULES[0]]);
        assert_eq!(read("-r request_protocol_attack all").unwrap().0.rules, RULES);
        assert!(read("-r").unwrap().0.rules.is_empty());
        assert_eq!(read("-ursrc=flow_meter").unwrap().0.source, Source::FlowMeter);
        for bad in ["-r x", "-nr all", "-r -nr", "-ursrc", "-ursrc x", "--x", "word"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
