//! The log of events: a file for each day, named by the begin of the event, with one line for each.
use super::rules::{Event, Kind};
use jiff::Timestamp;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    folder: Option<PathBuf>,
    /// Events that could not be written.
    failed: u64,
}

impl Journal {
    /// Without a folder nothing is written.
    pub(super) fn new(folder: Option<PathBuf>) -> Journal {
        Journal { folder, failed: 0 }
    }

    /// Appends an event. The file is opened for each, so that it may be moved away; what fails is said, but not each time.
    pub(super) fn write(&mut self, event: &Event) {
        let Some(folder) = &self.folder else { return };
        let file = folder.join(format!("{}.log", clock("%Y%m%d", event.times[0])));
        let written = || -> io::Result<()> {
            let line = line(event);
            OpenOptions::new().append(true).create(true).open(&file)?.write_all(line.as_bytes())
        };
        if let Err(why) = written() {
            self.failed += 1;
            if self.failed.is_power_of_two() {
                eprintln!("Can't open log file \"{}\": {why}. ({} events so far)", file.display(), self.failed);
            }
        }
    }
}

fn clock(format: &str, secs: u32) -> impl Display {
    Timestamp::from_second(secs.into()).unwrap_or_default().strftime(format).to_string()
}

/// Times, type, protocol, source, destination, their ports, scale and note. What does not matter is empty.
fn line(event: &Event) -> String {
    let [first, last] = event.times.map(|secs| clock("%Y%m%d%H%M", secs));
    let kind = match event.kind {
        Kind::HorizontalScan => "portscan_h",
        Kind::Dos => "dos",
        Kind::DnsAmplification => "dnsamp",
        Kind::BruteForce => "bruteforce",
    };
    let protocol = event.protocol.map_or_else(String::new, |protocol| protocol.to_string());
    let host = event.host.to_string();
    let (source, destination) = if event.is_source { (host.as_str(), "") } else { ("", host.as_str()) };
    let [source_port, destination_port] =
        event.ports.map(|port| port.map_or_else(String::new, |port| port.to_string()));
    let (scale, note) = (event.scale, &event.note);
    format!("{first};{last};{kind};{protocol};{source};{destination};{source_port};{destination_port};{scale};{note}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(folder: Option<PathBuf>, event: &Event) -> Journal {
        let mut journal = Journal::new(folder);
        journal.write(event);
        journal
    }

    #[test]
    fn a_line_for_each_event_in_the_file_of_its_day() {
        let folder = tempfile::tempdir().unwrap();
        let scan = Event {
            kind: Kind::HorizontalScan,
            times: [1_672_703_999, 1_672_704_060],
            host: [203, 0, 113, 66].into(),
            is_source: true,
            ports: [None; 2],
            protocol: Some(6),
            scale: 210,
            note: "horizontal SYN scan".into(),
        };
        let guess = Event {
            kind: Kind::BruteForce,
            is_source: false,
            ports: [None, Some(22)],
            host: std::net::Ipv6Addr::LOCALHOST.into(),
            note: "victim".into(),
            ..scan.clone()
        };
        event(Some(folder.path().into()), &scan);
        event(Some(folder.path().into()), &guess);
        let written = std::fs::read_to_string(folder.path().join("20230102.log")).unwrap();
        assert_eq!(
            written,
            "202301022359;202301030001;portscan_h;6;203.0.113.66;;;;210;horizontal SYN scan\n\
             202301022359;202301030001;bruteforce;6;;::1;;22;210;victim\n"
        );
        assert_eq!(event(Some(folder.path().join("none")), &scan).failed, 1);
        assert_eq!(event(None, &scan).failed, 0);
    }
}
