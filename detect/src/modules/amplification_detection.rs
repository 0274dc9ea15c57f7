//! amplification_detection: attacks by answers that are much larger than their questions (spec/detectors.md section 3).
mod histogram;
mod history;
mod log;

use crate::argparse::atoi;
use crate::detector::{self, Window};
use crate::options::{self, value};
use crate::sdk::{Ended, Failure, GO_ON, Handler, IpAddr, Reader, Step, Time, View, Writer};
use history::{Finding, Flow, History};
use log::Log;
use record::{fields, record};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;
use trap::module::{Count, ModuleInfo, Param};
use trap::{Input, Output, Timeout};

/// Flows of each direction of a pair, at least.
const ITEMS_MIN: i32 = 10_000;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where flows of attacks are written; the text is put before the names.
    pub log: Option<PathBuf>,
    pub port: i32,
    /// Sizes that are the most frequent ones.
    pub top: usize,
    /// Sizes are taken in steps of this.
    pub step: u64,
    /// An answer is so many times larger.
    pub amplification_min: i32,
    /// Flows of the most frequent sizes.
    pub flows_min: u64,
    pub response_packets_min: i32,
    pub response_bytes_min: i32,
    pub query_bytes_max: i32,
    pub window_secs: i32,
    pub period_secs: i32,
    /// Flows of each direction of a pair, at the most.
    pub items_max: usize,
}

/// Why the command line was refused; the original answers -1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Wrong record vector(s) settings.")]
    Records,
    /// The original never comes back from it.
    #[error("Error: Invalid arguments.\n-q needs a step of 1 or more")]
    Step,
    /// The original declares the option and refuses it.
    #[error("Error: Invalid arguments.\n--min_count cannot be set: it is 0.9")]
    Share,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects amplification attacks over DNS, NTP and the like.";

const INFO: ModuleInfo = ModuleInfo {
    name: "amplification_detection",
    description: "This module detects amplification attacks: answers of a server to a victim that are much larger than the questions in \
                  the victim's name. Detection runs when the time window of a server and a victim is over.\nAt most 262144 pairs and \
                  8388608 flows are remembered (up to 300 MB); pairs without a flow for longest make room for others, which is counted \
                  and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('d', "log_dir", "string", "Path to log files, has to be ended by slash."),
    value('p', "port", "int32", "Port used for detection (53)."),
    value('n', "top", "int32", "Number of top N values chosen (5)."),
    value('q', "step", "uint32", "Step of histogram (2)."),
    value('a', "min_ampf", "int32", "Minimal amplification effect considered an attack (10)."),
    value('t', "min_flow", "uint32", "Minimal threshold for number of flows in TOP-N (300)."),
    value('i', "min_count", "float", "Minimal normalized threshold for count of flows in TOP-N: always 0.9."),
    value('y', "min_resp_pack", "uint32", "Minimal threshold for average size of responses in packets in TOP-N (2)."),
    value('l', "min_resp_byte", "uint32", "Minimal threshold for average size of responses in bytes in TOP-N (2000)."),
    value('m', "max_query", "uint32", "Maximal threshold for average size of queries in bytes in TOP-N (400)."),
    value('w', "timeout", "int32", "Time window of detection, timeout of inactive flows, seconds (900)."),
    value('s', "period", "int32", "Time window of deletion, period of inactive flows checking, seconds (300)."),
    value('S', "record_count", "uint32", "Flows to store for each direction (100000, at least 10000)."),
];

fields! {
    struct Fields {
        source: IpAddr = "SRC_IP",
        destination: IpAddr = "DST_IP",
        source_port: u16 = "SRC_PORT",
        destination_port: u16 = "DST_PORT",
        _protocol: u8 = "PROTOCOL",
        packets: u32 = "PACKETS",
        bytes: u64 = "BYTES",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
    }
}

record! {
    /// An attack, or what it was since the last record about it.
    #[derive(PartialEq)]
    pub struct Alert = "amplification" {
        /// Who gets the answers.
        victim: IpAddr, unirec "DST_IP";
        /// Who answers.
        server: IpAddr, unirec "SRC_IP";
        /// Bytes of questions.
        request_bytes: u64, unirec "REQ_BYTES";
        /// Bytes of answers.
        response_bytes: u64, unirec "RSP_BYTES";
        /// First flow of the window.
        first: Time, unirec "TIME_FIRST";
        /// The flow that ended the window.
        last: Time, unirec "TIME_LAST";
        /// Number of the pair of server and victim.
        event: u32, unirec "EVENT_ID";
        /// Flows of questions.
        request_flows: u32, unirec "REQ_FLOWS";
        /// Packets of questions.
        request_packets: u32, unirec "REQ_PACKETS";
        /// Flows of answers.
        response_flows: u32, unirec "RSP_FLOWS";
        /// Packets of answers.
        response_packets: u32, unirec "RSP_PACKETS";
        /// The port that is watched.
        port: u16, unirec "SRC_PORT";
    }
}

/// Runs the module; see [`super::Module::run`]. It ends with 1 where others end with 0, as the original.
pub fn main(args: &[String]) -> u8 {
    match detector::run(&INFO, args, Settings::parse, |_| 255, run) {
        0 if !args.iter().any(|arg| arg == "-h" || arg == "--help") => 1,
        code => code,
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone. Numbers are read as C's `atoi` reads them.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings {
            log: None,
            port: 53,
            top: 5,
            step: 2,
            amplification_min: 10,
            flows_min: 300,
            response_packets_min: 2,
            response_bytes_min: 2_000,
            query_bytes_max: 400,
            window_secs: 900,
            period_secs: 300,
            items_max: 100_000,
        };
        for given in options::parse(args, PARAMS)? {
            let number = atoi(&given.value);
            match given.short {
                'd' => settings.log = Some(given.value.into()),
                'p' => settings.port = number,
                'n' => settings.top = usize::try_from(number).unwrap_or(0),
                'q' => settings.step = u64::try_from(number).ok().filter(|step| *step > 0).ok_or(UsageError::Step)?,
                'a' => settings.amplification_min = number,
                // The original compares it without its sign.
                't' => settings.flows_min = u64::from(number as u32),
                'y' => settings.response_packets_min = number,
                'l' => settings.response_bytes_min = number,
                'm' => settings.query_bytes_max = number,
                'w' => settings.window_secs = number,
                's' => settings.period_secs = number,
                'S' if (0..ITEMS_MIN).contains(&number) => return Err(UsageError::Records),
                'S' => settings.items_max = number as u32 as usize,
                _ => return Err(UsageError::Share),
            }
        }
        Ok(settings)
    }

    /// The factor as the original compares it: below zero is beyond everything.
    fn amplification(&self) -> u64 {
        self.amplification_min as u64
    }
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    output.set_timeout(Timeout::HalfWait);
    let port = settings.port;
    let log = settings.log.clone().map(Log::new);
    let period = Duration::from_secs(u64::try_from(settings.period_secs).unwrap_or(0));
    let mut detection = Detection {
        history: History::new(settings),
        port,
        // No period is no look for what is silent.
        silence: (!period.is_zero()).then(|| Window::begin(period)),
        log,
        alerts: Writer::new(output)?,
        misfit: None,
    };
    let ended = Reader::new(input).run(&mut detection);
    detection.history.tell();
    if let Some(log) = &detection.log {
        log.tell();
    }
    if let Some((expected, received)) = detection.misfit {
        eprintln!(
            "ERROR: Wrong data size. Expected: {expected}, recieved: {received}.\nThe sender's records must have no texts: as in the \
             original, only records of fixed size are taken."
        );
    }
    // The receivers hear of the end whatever ended it.
    detection.alerts.end(Ended::Sender)?;
    ended.map(|_| ())
}

struct Detection<'o> {
    history: History,
    port: i32,
    silence: Option<Window>,
    log: Option<Log>,
    alerts: Writer<'o, Alert>,
    /// Size that a record should have had, and the one that it had.
    misfit: Option<(usize, usize)>,
}

impl Handler<Fields> for Detection<'_> {
    fn record(&mut self, fields: &Fields, record: &View<'_>) -> Step {
        let (expected, received) = (record.template().static_size(), record.as_bytes().len());
        if expected != received {
            self.misfit = Some((expected, received));
            return Ok(ControlFlow::Break(()));
        }
        let ports = [fields.source_port(record), fields.destination_port(record)].map(i32::from);
        let ends = (fields.source(record), fields.destination(record));
        let (server, victim, is_response) = if ports[1] == self.port {
            (ends.1, ends.0, false)
        } else if ports[0] == self.port {
            (ends.0, ends.1, true)
        } else {
            return GO_ON;
        };
        let flow = Flow {
            server,
            victim,
            is_response,
            first: fields.first(record),
            last: fields.last(record),
            packets: fields.packets(record),
            bytes: fields.bytes(record),
        };
        let mut step = GO_ON;
        let (alerts, log) = (&mut self.alerts, &mut self.log);
        self.history.add(&flow, |found| {
            if !found.is_big {
                step = alerts.send(&alert(&flow, found, self.port));
            }
            if let Some(log) = log {
                log.write(&flow, found);
            }
        });
        if self.silence.as_mut().is_some_and(Window::is_over) {
            self.history.forget_silent();
        }
        step
    }
}

fn alert(flow: &Flow, found: &Finding<'_>, port: i32) -> Alert {
    Alert {
        victim: flow.victim,
        server: flow.server,
        request_bytes: found.requests.bytes,
        response_bytes: found.responses.bytes,
        first: found.first,
        last: flow.last,
        event: found.event,
        request_flows: found.requests.flows,
        request_packets: found.requests.packets,
        response_flows: found.responses.flows,
        response_packets: found.responses.packets,
        port: port as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map_err(|why| why.to_string())
        };
        let all = parse("-d /x/ -p 123 -n 4 -q 3 -a 2 -t 1 -y 0 -l 9 -m 8 -w 7 -s 6 -S 10000").unwrap();
        assert_eq!((all.log, all.port, all.top, all.step), (Some("/x/".into()), 123, 4, 3));
        assert_eq!((all.amplification_min, all.flows_min, all.response_packets_min), (2, 1, 0));
        assert_eq!((all.response_bytes_min, all.query_bytes_max, all.window_secs), (9, 8, 7));
        assert_eq!((all.period_secs, all.items_max), (6, 10_000));
        assert_eq!(parse("-S 9999").unwrap_err(), "Error: Wrong record vector(s) settings.");
        for line in ["-q 0", "-q -1", "-x", "-p", "--min_count=0.4"] {
            assert!(parse(line).unwrap_err().starts_with("Error: Invalid arguments."), "{line}");
        }
    }
}
