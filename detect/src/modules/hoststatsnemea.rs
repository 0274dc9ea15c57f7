//! hoststatsnemea: statistics of every address, and rules that tell scans, floods, guesses of passwords and amplification from them
//! (spec/detectors.md section 9).
//!
//! The record of an address begins with its first flow and ends when it is old, was silent for long, or makes room: then the rules look
//! at it. Time is that of the machine, or with `-F` that of the flows.
mod config;
mod host;
mod journal;
mod rules;
mod seen;
mod table;

use crate::clock::unix_secs;
use crate::detector;
use crate::options::{self, OptError, flag, value};
use crate::sdk::{Ended, Failure, GO_ON, Handler, IpAddr, Reader, Step, Text, Time, View, Writer};
pub use config::fuzz_config;
use config::{Config, Level};
use host::{Direction, Flow};
use journal::Journal;
use record::unirec::{MissingField, Template};
use record::{fields, record};
use rules::Event;
use std::fmt::Display;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use table::Table;
use trap::module::{Count, ModuleInfo, Param};
use trap::{Input, Output, Timeout};

const UDP: u8 = 17;
/// A silent input looks at the clock this often. The changes of what was seen count so many seconds as flow time, as in the original.
const POLL_SECS: u32 = 1;
/// Where the file is looked for.
const CONFIG_FOLDER: &str = "/etc/nemea";
const CONFIG_FILE: &str = "hoststats.conf";
const CONFIG_DEFAULT: &str = "hoststats.conf.default";

/// What the user asked for.
#[derive(Debug)]
struct Settings {
    config: Config,
    is_offline: bool,
    is_end_sent: bool,
    /// The way back of a record is a flow of its own.
    is_biflow: bool,
}

/// Why the command line was refused.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error("ERROR: Unrecognized parameter(s). Use \"-h\" for help\n{0}")]
    Option(#[from] OptError),
    #[error("ERROR: Failed to load configuration.\n{0}: {1}")]
    Config(PathBuf, io::Error),
}

/// One line for lists of modules.
pub const ABOUT: &str =
    "Calculates statistics of hosts and detects scans, floods, brute force and amplification by them.";

const INFO: ModuleInfo = ModuleInfo {
    name: "hoststatsnemea",
    description: "This module calculates statistics for IP addresses and subprofiles (SSH,DNS,...), and looks for scans, denial of \
                  service, brute force and amplification in them.\nAs many addresses as table-size says are remembered (about 250 bytes \
                  each); the one without a flow for longest makes room: the rules look at it, and it is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('c', "config", "string", "Load configuration from file."),
    flag(
        'F',
        "offline",
        "Run module in OFFLINE mode. It is used for analysis of already captured flows: time is that of the flows.",
    ),
    flag('n', "no_message", "Don't send end-of-stream message."),
    flag(
        'B',
        "biflow",
        "Records are biflows: PACKETS_REV, BYTES_REV and TCP_FLAGS_REV are a flow of their own. The original knows one direction only.",
    ),
];

fields! {
    struct Fields {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        _link: u64 = "LINK_BIT_FIELD",
        _first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        destination_port: u16 = "DST_PORT",
        source_port: u16 = "SRC_PORT",
        _direction: u8 = "DIR_BIT_FIELD",
        protocol: u8 = "PROTOCOL",
        flags: u8 = "TCP_FLAGS",
        direction_flags: Option<u8> = "DIRECTION_FLAGS",
        packets_back: Option<u32> = "PACKETS_REV",
        bytes_back: Option<u64> = "BYTES_REV",
        flags_back: Option<u8> = "TCP_FLAGS_REV",
    }
}

record! {
    /// An event of a host. What does not matter is 0.
    pub(crate) struct Alert = "hoststats" {
        /// Whom it is done to.
        destination: IpAddr, unirec "DST_IP";
        /// Who does it.
        source: IpAddr, unirec "SRC_IP";
        /// Begin of the host's record.
        first: Time, unirec "TIME_FIRST";
        /// Last change of it.
        last: Time, unirec "TIME_LAST";
        /// Flows, or what the rule counts.
        scale: u32, unirec "EVENT_SCALE";
        /// Port asked.
        destination_port: u16, unirec "DST_PORT";
        /// Port that answers.
        source_port: u16, unirec "SRC_PORT";
        /// 2 scan, 10 denial of service, 15 DNS amplification, 30 brute force.
        event_type: u8, unirec "EVENT_TYPE";
        /// 6 for TCP.
        protocol: u8, unirec "PROTOCOL";
        /// In words.
        note: Text<199>, unirec "NOTE";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, Settings::parse, |_| 1, run)
}

impl Settings {
    fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let (mut file, mut is_offline, mut is_end_sent, mut is_biflow) = (None, false, true, false);
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'c' => file = Some(PathBuf::from(given.value)),
                'F' => is_offline = true,
                'B' => is_biflow = true,
                _ => is_end_sent = false,
            }
        }
        let file = file.unwrap_or_else(find_config);
        let config = Config::load(&file).map_err(|why| UsageError::Config(file, why))?;
        Ok(Settings { config, is_offline, is_end_sent, is_biflow })
    }
}

/// The file without `-c`. If there is none, the default is copied to its place, as the original does; if it cannot be, it is used itself.
fn find_config() -> PathBuf {
    let folders = [Path::new(CONFIG_FOLDER), Path::new("")];
    let found = folders.map(|folder| folder.join(CONFIG_FILE)).into_iter().find(|file| file.is_file());
    let copied = || {
        let mut files = folders.iter().map(|folder| (folder.join(CONFIG_DEFAULT), folder.join(CONFIG_FILE)));
        files.find(|(from, to)| std::fs::copy(from, to).is_ok()).map(|(_, to)| to)
    };
    found.or_else(copied).unwrap_or_else(|| folders[0].join(CONFIG_DEFAULT))
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    output.set_timeout(Timeout::NoWait);
    let Settings { config, is_offline, is_end_sent, is_biflow } = settings;
    if !is_offline {
        input.set_timeout(Timeout::Micros(u64::from(POLL_SECS) * 1_000_000));
    }
    let say = |level: Level, text: &dyn Display| say(config.level, level, text);
    config.warnings.iter().for_each(|warning| say(Level::Warning, warning));
    say(Level::Info, &format_args!("HostStatsNemea: {} mode", if is_offline { "OFFLINE" } else { "ONLINE" }));
    let mut detection = Detection {
        table: Table::new(&config),
        events: Vec::new(),
        times: None,
        is_offline,
        is_biflow,
        sink: Sink { journal: Journal::new(config.log_folder.clone()), alerts: Writer::new(output)? },
        config: &config,
    };
    let ended = Reader::new(input).run(&mut detection);
    if let Ok(Ended::Sender) = ended {
        say(Level::Info, &"Reading from the TRAP ended. Checking the remaining records.");
        detection.table.look_at_all(&config, &mut detection.events);
        // Nothing follows that could be broken off.
        let _: Step = detection.send();
    }
    detection.table.tell();
    let ended = ended?;
    if is_end_sent { detection.sink.alerts.end(ended) } else { Ok(()) }
}

/// Says something on standard output, as the original does; of no interest to a reader that is gone.
fn say(upto: Level, level: Level, text: &dyn Display) {
    if level <= upto {
        let _ = writeln!(io::stdout().lock(), "{text}");
    }
}

struct Detection<'a> {
    config: &'a Config,
    is_offline: bool,
    /// The way back of a record is a flow of its own.
    is_biflow: bool,
    table: Table,
    /// None before the first flow.
    times: Option<Times>,
    /// Those that are to be sent.
    events: Vec<Event>,
    sink: Sink<'a>,
}

/// When something is due, Unix seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Of the machine, or the largest end of a flow.
    now: u32,
    /// End of the last flow, moved on by pauses; when the older of what was seen is forgotten.
    flow: u32,
    change: u32,
    /// When records are looked at; of flows.
    check: u32,
}

impl Handler<Fields> for Detection<'_> {
    fn template(&mut self, template: &Template) -> Step {
        if !self.config.is_direction_guessed && template.index_of("DIRECTION_FLAGS").is_none() {
            eprintln!("Hint: without a module for directions in front, set 'port-flowdir' in the configuration file.");
            return Err(Failure::Missing(MissingField { name: "DIRECTION_FLAGS", kind: "uint8" }));
        }
        for (name, kind) in [("PACKETS_REV", "uint32"), ("BYTES_REV", "uint64"), ("TCP_FLAGS_REV", "uint8")] {
            if self.is_biflow && template.index_of(name).is_none() {
                return Err(Failure::Missing(MissingField { name, kind }));
            }
        }
        GO_ON
    }

    fn record(&mut self, fields: &Fields, record: &View<'_>) -> Step {
        let ends = fields.last(record).secs() as u32;
        let flow = self.flow(fields, record);
        let packets_back = fields.packets_back(record).filter(|packets| self.is_biflow && *packets > 0);
        let back = packets_back.map(|packets| Flow {
            source: flow.destination,
            destination: flow.source,
            ports: [flow.ports[1], flow.ports[0]],
            flags: fields.flags_back(record).unwrap_or_default(),
            packets,
            bytes: fields.bytes_back(record).unwrap_or_default(),
            direction: flow.direction.back(),
            protocol: flow.protocol,
        });
        for flow in std::iter::once(flow).chain(back) {
            let now = self.follow(ends);
            // Fragments of flows.
            if !(flow.ports == [0, 0] && flow.protocol == UDP) {
                self.table.add(&flow, now, self.config, &mut self.events);
            }
            self.check_flow_time();
        }
        self.send()
    }

    fn idle(&mut self) -> Step {
        if let Some(times) = &mut self.times {
            times.flow = times.flow.saturating_add(POLL_SECS);
            self.forget_if_due();
            self.follow_clock();
        }
        self.send()
    }
}

impl Detection<'_> {
    /// The first direction of a record.
    fn flow(&self, fields: &Fields, record: &View<'_>) -> Flow {
        let ports = [fields.source_port(record), fields.destination_port(record)];
        let direction = if self.config.is_direction_guessed {
            Direction::of_ports(ports[0], ports[1])
        } else {
            Direction::of_flags(fields.direction_flags(record).unwrap_or_default())
        };
        Flow {
            source: fields.source(record),
            destination: fields.destination(record),
            ports,
            protocol: fields.protocol(record),
            flags: fields.flags(record),
            packets: fields.packets(record),
            bytes: fields.bytes(record),
            direction,
        }
    }

    /// Moves time on to a flow that ends at this second; answers the time.
    fn follow(&mut self, ends: u32) -> u32 {
        let first = || {
            let now = if self.is_offline { ends } else { unix_secs() as u32 };
            let (change, check) = (ends.saturating_add(self.config.active / 2), now.saturating_add(self.config.check));
            Times { now, flow: ends, change, check }
        };
        let times = self.times.get_or_insert_with(first);
        times.flow = ends;
        if self.is_offline {
            // A flow that ends before others moves nothing.
            if ends > times.now {
                times.now = ends;
                self.forget_if_due();
            }
        } else {
            self.forget_if_due();
            self.follow_clock();
        }
        self.times.map_or(ends, |times| times.now)
    }

    fn forget_if_due(&mut self) {
        if let Some(times) = self.times.as_mut().filter(|times| times.flow >= times.change) {
            self.table.seen.change();
            // One interval for each flow, also after a pause: the original's numbers of addresses depend on it.
            times.change = times.change.saturating_add(self.config.active / 2);
        }
    }

    /// Online: looks at records at each multiple of the interval. A clock that is set back stands still until then.
    fn follow_clock(&mut self) {
        let Some(times) = &mut self.times else { return };
        let now = (unix_secs() as u32).max(times.now);
        let is_due = now / self.config.check != times.now / self.config.check;
        times.now = now;
        if is_due {
            self.table.look(now, self.config, &mut self.events);
        }
    }

    /// Offline: one look for each flow, also after a pause.
    fn check_flow_time(&mut self) {
        let is_offline = self.is_offline;
        if let Some(times) = self.times.as_mut().filter(|times| is_offline && times.now >= times.check) {
            times.check = times.check.saturating_add(self.config.check);
            self.table.look(times.now, self.config, &mut self.events);
        }
    }

    fn send(&mut self) -> Step {
        for event in self.events.drain(..) {
            if self.sink.send(&event)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        GO_ON
    }
}

/// Where events go.
struct Sink<'a> {
    journal: Journal,
    alerts: Writer<'a, Alert>,
}

impl Sink<'_> {
    fn send(&mut self, event: &Event) -> Step {
        self.journal.write(event);
        let time = |secs: u32| Time(u64::from(secs) * 1_000_000_000);
        let mut alert = Alert {
            first: time(event.times[0]),
            last: time(event.times[1]),
            scale: event.scale,
            source_port: event.ports[0].unwrap_or_default(),
            destination_port: event.ports[1].unwrap_or_default(),
            event_type: event.kind as u8,
            protocol: event.protocol.unwrap_or_default(),
            ..Alert::default()
        };
        // The other end is 0.0.0.0.
        let nobody = IpAddr::V4([0; 4].into());
        (alert.source, alert.destination) = if event.is_source { (event.host, nobody) } else { (nobody, event.host) };
        alert.note.set(event.note.as_bytes());
        self.alerts.send(&alert)
    }
}
