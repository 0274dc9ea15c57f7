//! evaluator: joins the evidence of adaptive_filter with the traffic that was recorded for it, and says which clients are suspicious
//! (spec/detectors.md section 8.8).
//!
//! The first input has the records of the second ipblacklistfilter, all of which are read before the first message of the second input, which
//! has the evidence: files, or senders that wait.
mod suspects;

use crate::argparse::{self, ArgError};
use crate::blacklist::addresses::{Addresses, Addresses4};
use crate::blacklist::catalog::{self, Catalog, Kind};
use crate::client::Limits;
use crate::http::get::get_with_key;
use crate::modules;
use crate::options::value;
use crate::pyjson::{self, Json};
use crate::sdk::{self, Failure, GO_ON, Reader, Str, View};
use record::fields;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use suspects::{Flow, Recorded, Suspect, suspects};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, Input, Stop};

/// Category of lists of servers of botnets.
const BOTNET: &str = "Intrusion.Botnet";
/// What SRC_BLACKLIST or DST_BLACKLIST is for an address of the adaptive list.
const ADAPTIVE: u64 = 999;
const DNS: u16 = 53;
/// The database of reputations that is asked, as the original asks it.
const NERD: &str = "https://nerd.cesnet.cz/nerd/api/v1";
/// Bytes of its answer, at the most.
const ANSWER_MAX: usize = 1 << 20;
const LIMITS: Limits = Limits { idle: Duration::from_secs(3), total: Duration::from_secs(10) };

/// One line for lists of modules.
pub const ABOUT: &str = "Says which clients are suspicious by the evidence of adaptive_filter.";

const INFO: ModuleInfo = ModuleInfo {
    name: "evaluator",
    description: "The first input has the records that ipblacklistfilter made with the list of adaptive_filter, the second the evidence \
                  of adaptive_filter. For each suspicion and client it prints how many flows went to the server, to ports of IRC and \
                  to other listed servers of botnets.\nAt most 256 MiB of records are kept; what does not fit is counted and told at \
                  the end.",
    inputs: Count::Exactly(2),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'c',
        "blacklist-config",
        "string",
        "Catalog of blacklists (default: /etc/nemea/blacklistfilter/bl_downloader_config.xml).",
    ),
    value('4', "ip4-detector-file", "string", "List of IPv4 addresses (default: /tmp/blacklistfilter/ip4.blist)."),
    value('n', "nerd-api-key", "string", "Key for NERD, which is then asked for what it knows of the clients."),
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    catalog: PathBuf,
    list: PathBuf,
    key: Option<String>,
}

fields! {
    struct In {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        _bytes: u64 = "BYTES",
        _destination_list: u64 = "DST_BLACKLIST",
        source_list: u64 = "SRC_BLACKLIST",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        ids: Str = "ADAPTIVE_IDS",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    let parse = |words: &[String]| Settings::parse(words).map_err(|why| format!("evaluator: error: {why}"));
    let (settings, Module { mut inputs, mut outputs, stop, .. }) = match modules::begin(&INFO, &args, parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    // Declared with two.
    let [recorded, evidence] = &mut inputs[..] else { return 1 };
    let ended = run(recorded, evidence, &settings, &stop, &mut io::stdout());
    sdk::end(ended, &mut outputs)
}

impl Settings {
    fn parse(args: &[String]) -> Result<Settings, ArgError> {
        let mut settings = Settings {
            catalog: catalog::DEFAULT_PATH.into(),
            list: "/tmp/blacklistfilter/ip4.blist".into(),
            key: None,
        };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            match name {
                "blacklist-config" => settings.catalog = value.into(),
                "ip4-detector-file" => settings.list = value.into(),
                _ => settings.key = Some(value),
            }
        }
        Ok(settings)
    }
}

fn run(
    recorded: &mut Input,
    evidence: &mut Input,
    settings: &Settings,
    stop: &Stop,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let catalog = Catalog::load(&settings.catalog);
    let catalog = catalog.map_err(|why| Failure::Other(format!("{}: {why}", settings.catalog.display())))?;
    let botnets = catalog.lists.iter().filter(|list| list.kind == Kind::Ip && list.text("category") == Some(BOTNET));
    let botnets = botnets.fold(0, |bits, list| bits | list.bit());
    let listed: Addresses4 = Addresses::load(&settings.list)
        .map_err(|why| Failure::Other(format!("cannot read {}: {why}", settings.list.display())))?;
    let is_listed = |ip: IpAddr, port: u16| match ip {
        IpAddr::V4(v4) => listed.find(v4.to_bits()).is_some_and(|entry| entry.bits(port) & botnets != 0),
        IpAddr::V6(_) => false,
    };
    if settings.key.is_none() {
        print(out, "To use NERD for client info, please enter api-key\n");
    }
    let mut flows = gather(recorded)?;
    evidence.require(Format::Json("blacklist_evidence".into()));
    let mut refused = 0_u64;
    loop {
        let message = match evidence.recv().map_err(Failure::Receive)? {
            Event::Message(message) | Event::FormatChanged { first: message, .. } => message,
            Event::Timeout => continue,
            Event::EndOfStream | Event::Terminated => break,
        };
        let text =
            |event: &Json, name| if let Some(Json::Str(text)) = event.get(name) { Some(text.to_plain()) } else { None };
        let Some((id, key)) = pyjson::parse(message).ok().and_then(|event| text(&event, "id").zip(text(&event, "key")))
        else {
            refused += 1;
            continue;
        };
        // Evidence comes in parts: the first one takes the flows, so that there is one report.
        for suspect in suspects(&flows.take(&id), key.parse().ok(), is_listed) {
            let known = settings.key.as_ref().and_then(|nerd| ask(NERD, suspect.client, nerd, stop));
            print(out, &report(&id, &key, &suspect, known.as_ref()));
        }
    }
    if refused > 0 {
        eprintln!("Warning: {refused} messages were no evidence.");
    }
    flows.tell();
    Ok(())
}

/// All records of the input, by the suspicions that they were made for.
fn gather(input: &mut Input) -> Result<Recorded, Failure> {
    let mut flows = Recorded::default();
    Reader::new(input).for_each(|fields: &In, record: &View<'_>| {
        let ends = [
            (fields.source(record), fields.source_port(record)),
            (fields.destination(record), fields.destination_port(record)),
        ];
        if ends.iter().all(|(_, port)| *port != DNS) {
            let is_source_suspect = fields.source_list(record) == ADAPTIVE;
            flows.add(fields.ids(record), Flow { ends, is_source_suspect });
        }
        GO_ON
    })?;
    Ok(flows)
}

fn report(id: &str, key: &str, suspect: &Suspect, known: Option<&Json>) -> String {
    let mut text = format!(
        "-------------------- SUSPICIOUS CLIENT REPORT --------------------\nevent ID: {id}\nCC Server: {key}\nSuspicious client: {}\n",
        suspect.client
    );
    for (what, flows) in [
        ("this CC server", suspect.to_server),
        ("IRC ports", suspect.to_irc),
        ("other blacklisted CC", suspect.to_others),
    ] {
        if flows > 0 {
            text.push_str(&format!("Detected flows with {what}: {flows}\n"));
        }
    }
    if let Some(known) = known {
        text.push_str("NERD INFO: ");
        known.dump(&mut text);
        text.push('\n');
    }
    text
}

/// What the database has seen of a client; `None` if that is nothing or it does not answer, which is said.
fn ask(base: &str, client: IpAddr, key: &str, stop: &Stop) -> Option<Json> {
    let answer = match get_with_key(&format!("{base}/ip/{client}/full"), key, LIMITS, ANSWER_MAX, stop) {
        Ok(answer) => answer,
        // Nothing is known of it.
        Err(crate::http::HttpError::Status(404)) => return None,
        Err(why) => {
            eprintln!("Warning: Failed to get info from NERD\n {why}");
            return None;
        }
    };
    let known = pyjson::parse(&answer).ok()?.get("events").cloned()?;
    (!matches!(&known, Json::Array(events) if events.is_empty()) && known != Json::Null).then_some(known)
}

/// A reader of the output that is gone is of no interest.
fn print(out: &mut impl Write, text: &str) {
    let _ = out.write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::path::Path;
    use trap::{InputDefaults, Place, Spec};

    #[test]
    fn what_is_said_of_a_client() {
        let client = IpAddr::from([10, 0, 0, 1]);
        let suspect = Suspect { client, to_server: 3, to_irc: 0, to_others: 1 };
        let known = Json::Array(vec![Json::int(7)]);
        let lines = [
            "-------------------- SUSPICIOUS CLIENT REPORT --------------------",
            "event ID: one-id",
            "CC Server: 192.0.2.7",
            "Suspicious client: 10.0.0.1",
            "Detected flows with this CC server: 3",
            "Detected flows with other blacklisted CC: 1",
            "NERD INFO: [7]",
        ];
        let said = report("one-id", "192.0.2.7", &suspect, Some(&known));
        assert_eq!(said.lines().collect::<Vec<_>>(), lines);
        assert!(!report("one-id", "192.0.2.7", &suspect, None).contains("NERD"));
    }

    #[test]
    fn nerd_is_asked_with_the_key() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/api", server.local_addr().unwrap());
        let answers = ["{\"events\": [{\"cat\": \"x\"}]}", "{\"events\": []}", "{}", "no JSON"];
        let asked = std::thread::spawn(move || {
            answers.map(|answer| {
                let (mut stream, _) = server.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len()).unwrap();
                head
            })
        });
        let known: Vec<_> =
            answers.iter().map(|_| ask(&base, IpAddr::from([10, 0, 0, 1]), "secret", &Stop::default())).collect();
        let mut text = String::new();
        known[0].as_ref().unwrap().dump(&mut text);
        assert_eq!((text.as_str(), &known[1..]), ("[{\"cat\": \"x\"}]", &[None, None, None][..]));
        for head in asked.join().unwrap() {
            assert_eq!(head[0], "GET /api/ip/10.0.0.1/full HTTP/1.1");
            assert!(head.contains(&"Authorization: secret".to_owned()), "{head:?}");
        }
    }

    /// A TRAP file that a module makes of a text.
    fn file(folder: &Path, name: &str, module: &[&str], text: &str) -> Input {
        let spec = format!("f:{}", folder.join(name).display());
        let from = folder.join(format!("{name}.txt"));
        std::fs::write(&from, text).unwrap();
        let mut args = vec!["-i".to_owned(), spec.clone()];
        args.extend(module[1..].iter().map(|word| (*word).to_owned()));
        args.push(from.display().to_string());
        assert_eq!((modules::find(module[0]).unwrap().run)(&args), 0);
        Input::open_at(&Spec::parse(&spec).unwrap()[0], &InputDefaults::default(), &Place::default()).unwrap()
    }

    #[test]
    fn evidence_is_joined_with_what_was_recorded() {
        let folder = tempfile::TempDir::new().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let catalog = at("catalog.xml", include_str!("../blacklist/bl_downloader_config.xml"));
        // List 1 is one of botnets, list 2 is not.
        let list = at("ip4.blist", "192.0.2.7,1\n192.0.2.8,1\n192.0.2.9,2\n");
        let settings = Settings { catalog, list, key: None };
        let header = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 DST_BLACKLIST,uint64 SRC_BLACKLIST,uint16 DST_PORT,uint16 SRC_PORT,string ADAPTIVE_IDS\n";
        let rows = [
            "192.0.2.7,10.0.0.1,100,0,999,443,4000,\"one\"",
            "10.0.0.1,192.0.2.7,100,999,0,4000,443,\"one,two\"",
            "192.0.2.8,10.0.0.1,100,0,999,80,4001,\"one\"",
            "192.0.2.9,10.0.0.2,100,0,999,6667,4001,\"one\"",
            "192.0.2.7,10.0.0.3,100,0,999,53,4001,\"one\"",
            "192.0.2.9,10.0.0.4,100,0,999,443,4001,\"one\"",
        ];
        let mut recorded =
            file(folder.path(), "recorded", &["logreplay", "-f"], &(header.to_owned() + &rows.join("\n") + "\n"));
        let messages = [
            r#"{"id": "one", "key": "192.0.2.7", "scatter_part": 1}"#,
            r#"{"id": "one", "key": "192.0.2.7"}"#,
            "{}",
            r#"{"id": "three", "key": "bad.example"}"#,
        ];
        let mut evidence = file(
            folder.path(),
            "evidence",
            &["json_replay", "-f", "blacklist_evidence"],
            &(messages.join("\n") + "\n"),
        );
        let mut said = Vec::new();
        run(&mut recorded, &mut evidence, &settings, &Stop::default(), &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        let lines: Vec<_> = said.lines().filter(|line| !line.starts_with('-')).collect();
        let expected = [
            "To use NERD for client info, please enter api-key",
            "event ID: one",
            "CC Server: 192.0.2.7",
            "Suspicious client: 10.0.0.1",
            "Detected flows with this CC server: 2",
            "Detected flows with other blacklisted CC: 1",
            "event ID: one",
            "CC Server: 192.0.2.7",
            "Suspicious client: 10.0.0.2",
            "Detected flows with IRC ports: 1",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn command_lines() {
        let parse = |line: &str| Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let settings = parse("-c /c -4 /l --nerd-api-key=k").unwrap();
        assert_eq!((settings.catalog, settings.list, settings.key), ("/c".into(), "/l".into(), Some("k".into())));
        assert!(parse("-x").is_err());
    }
}
