//! Reports as IDEA messages, and the log.
use super::entity::{Entity, Verdict};
use crate::pyjson::{Json, Text};
use crate::report::time;
use crate::sdk::{IpAddr, Time};
use crate::uuid;
use jiff::Zoned;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// The message about an address, for a look at `detected`.
pub(super) fn idea(address: IpAddr, entity: &Entity, verdict: &Verdict, detected: Time) -> String {
    let text = |text: &str| Json::text(text);
    let texts = |list: &[String]| Json::Array(list.iter().map(|entry| Json::text(entry)).collect());
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(name, value)| (Text::new(name), value)).collect())
    };
    let protocols = entity.protocols.iter().map(|protocol| Json::text(protocol)).collect();
    let source = object(vec![
        ("Hostname", texts(&entity.domains)),
        ("Email", texts(&entity.senders)),
        (if address.is_ipv4() { "IP4" } else { "IP6" }, text(&address.to_string())),
        ("Proto", Json::Array(protocols)),
    ]);
    let message = object(vec![
        ("Format", text("IDEA0")),
        ("ID", text(&uuid::random())),
        ("DetectTime", text(&time::of_record(detected))),
        ("CreateTime", text(&time::now())),
        ("EventTime", text(&time::of_record(entity.first))),
        ("CeaseTime", text(&time::of_record(entity.last))),
        ("Category", Json::Array(vec![text("Abusive.Spam")])),
        ("Note", text(&note(entity, verdict))),
        ("Confidence", text(&format!("{:.2}", verdict.confidence))),
        ("Source", Json::Array(vec![source])),
        ("ByteCount", Json::int(entity.bytes)),
        ("FlowCount", Json::int(entity.outgoing)),
        ("PacketCount", Json::int(entity.packets)),
        ("ConnCount", Json::int(entity.destinations.len() as u64)),
        ("Anonymised", Json::Bool(false)),
    ]);
    let mut out = String::new();
    message.dump(&mut out);
    out
}

/// Tags and numbers as Python shows a set and a list of texts.
fn note(entity: &Entity, verdict: &Verdict) -> String {
    let features = [
        entity.incoming as f64,
        entity.outgoing as f64,
        entity.bytes as f64,
        entity.average_score,
        // The original has a ratio here and never sets it.
        0.0,
        entity.packets as f64,
        entity.destinations.len() as f64,
        verdict.before,
        verdict.score,
    ];
    let tags: Vec<_> = verdict.tags.iter().map(|tag| format!("'{tag}'")).collect();
    let features = features.map(|feature| format!("'{feature:.4}'"));
    format!("Tags : {{{}}}, FV : [{}]", tags.join(", "), features.join(", "))
}

/// The log of what was looked at. What cannot be written is said once.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<File>,
    is_debug: bool,
}

impl Log {
    /// Opens a file to append to it.
    pub(super) fn open(path: &Path, is_debug: bool) -> io::Result<Log> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Log { file: Some(file), is_debug })
    }

    pub(super) fn info(&mut self, text: std::fmt::Arguments<'_>) {
        self.write("INFO", text);
    }

    /// For what is of interest with `--debug True` only.
    pub(super) fn debug(&mut self, text: std::fmt::Arguments<'_>) {
        if self.is_debug {
            self.write("DEBUG", text);
        }
    }

    fn write(&mut self, level: &str, text: std::fmt::Arguments<'_>) {
        let Some(file) = &mut self.file else { return };
        let line = format!("{},smtp_spam,[{level}] {text}\n", Zoned::now().strftime("%Y-%m-%d %H:%M:%S,%3f"));
        if let Err(why) = file.write_all(line.as_bytes()) {
            eprintln!("Warning: the log cannot be written, it ends here: {why}");
            self.file = None;
        }
    }
}
