//! backscatter: answers that nobody asked for, as victims of attacks with forged sources send them, gathered per victim
//! (spec/modules.md section 32).
//!
//! A flow that looks like an answer waits until the history knows all flows of its time; if its addresses did not talk the other way,
//! it counts for the event of its source and protocol. The networks that are watched are an option here (`-n`).
pub(crate) mod cesnet;
mod event;
mod history;
mod tracker;

use super::begin;
use crate::bloom::SizeError;
use crate::networks::{NetworkError, Networks};
use crate::options::{self, flag, value};
use crate::reading::{self, Next, ReadError, Reader};
use event::Flow;
use history::History;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use tracker::Tracker;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, Output, TrapError};

const FIELDS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 PROTOCOL,uint8 TCP_FLAGS";

/// Flows that pass without a test of the direction in each simulated outage (`-o`).
const OUTAGES: [u64; 4] = [40_000_000, 20_000_000, 80_000_000, 0];

/// What the user asked for. Times in seconds, rates in flows per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub active: u32,
    pub passive: u32,
    /// Flows from which an event is reported.
    pub threshold: u32,
    pub flow_rate: u32,
    pub history: u32,
    pub history_error: f32,
    pub answer_rate: u32,
    pub feature_history: u32,
    pub feature_error: f32,
    pub window_past: u32,
    pub window_future: u32,
    /// Simulate an outage after so many flows; 0 never.
    pub outage: u32,
    pub print: bool,
    pub networks: Networks,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            active: 7_200,
            passive: 150,
            threshold: 30,
            flow_rate: 400_000,
            history: 120,
            history_error: 0.05,
            answer_rate: 10_000,
            feature_history: 1_800,
            feature_error: 0.01,
            window_past: 60,
            window_future: 30,
            outage: 0,
            print: false,
            networks: cesnet::networks(),
        }
    }
}

/// Why the command line was refused, exit code 255.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum UsageError {
    #[error("Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Invalid arguments.\n-{0} needs a number")]
    Number(char),
    #[error("Invalid arguments.\n{0}")]
    Networks(#[from] NetworkError),
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum BackscatterError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: {0}; choose smaller -r, -s, -R or -S")]
    Size(#[from] SizeError),
    #[error("Error: {0}")]
    Send(#[from] TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Extracts features of backscatter, per victim.";

const INFO: ModuleInfo = ModuleInfo {
    name: "Backscatter module",
    description: "Extract features from backscatter like traffic. (Oneway flow communication with flags typical for \
                  backscatter packets)",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('a', "active", "uint32", "Active timeout in seconds (7200)."),
    value('p', "passive", "uint32", "Passive timeout in seconds (150)."),
    value('t', "threshold", "uint32", "Report events of at least this many flows (30)."),
    value('r', "c_rate", "uint32", "Expected rate of incoming records per second (400000)."),
    value('s', "c_history_size", "uint32", "Size of connection history in seconds (120)."),
    value('f', "c_history_fp", "float", "False positive rate for connection history (0.05)."),
    value('R', "f_rate", "uint32", "Expected rate of backscatter like flows per second (10000)."),
    value('S', "f_history_size", "uint32", "Size of feature history in seconds (1800)."),
    value('F', "f_history_fp", "float", "False positive rate for feature history (0.01)."),
    value('w', "window", "uint32", "Ignore flows that ended more than this many seconds in the past (60)."),
    value('W', "Window", "uint32", "Ignore flows that ended more than this many seconds in the future (30)."),
    value('o', "out", "uint32", "For tests: simulate an outage after each so many flows (0, never)."),
    flag('P', "print", "Print chosen parameters and performance statistics."),
    value(
        'n',
        "networks",
        "string",
        "Watch these networks, PREFIX/LENGTH separated by commas, or @FILE with one a line; 0.0.0.0/0 watches all. Default are \
         the networks of CESNET.",
    ),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 255) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    if settings.print {
        print!("{}", settings.listing());
    }
    let mut code = 0;
    match run(&mut inputs[0], &mut outputs[0], &settings) {
        Ok(totals) if settings.print => print!("{}", totals.listing()),
        Ok(_) => {}
        Err(BackscatterError::Read(why)) => code = why.report(),
        Err(why) => {
            eprintln!("{why}");
            code = 1;
        }
    }
    if let Err(why) = outputs[0].finish() {
        eprintln!("Error: {why}");
        code = 1;
    }
    code
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for options::Given { short, value } in options::parse(args, PARAMS)? {
            let number = || value.trim().parse::<u32>().map_err(|_| UsageError::Number(short));
            let rate = || value.trim().parse::<f32>().map_err(|_| UsageError::Number(short));
            match short {
                'a' => settings.active = number()?,
                'p' => settings.passive = number()?,
                't' => settings.threshold = number()?,
                'r' => settings.flow_rate = number()?,
                's' => settings.history = number()?,
                'f' => settings.history_error = rate()?,
                'R' => settings.answer_rate = number()?,
                'S' => settings.feature_history = number()?,
                'F' => settings.feature_error = rate()?,
                'w' => settings.window_past = number()?,
                'W' => settings.window_future = number()?,
                'o' => settings.outage = number()?,
                'P' => settings.print = true,
                _ => settings.networks = Networks::load(&value)?,
            }
        }
        Ok(settings)
    }

    /// Answers that wait for their history, at the most.
    fn waiting_max(&self) -> u64 {
        u64::from(self.answer_rate) * u64::from(self.history)
    }

    /// What `-P` prints at the start.
    fn listing(&self) -> String {
        let wide = |a: u32, b: u32, c: u64| u64::from(a) * u64::from(b) * c;
        format!(
            "Active timeout: {}\nPassive timeout: {}\nBackscatter buffer size: {}\nExport threshold: {}\n\
             Expected flows per second: {}\nExpected number of backscatter like flows per second: {}\n\
             Connection history size in seconds: {}\nConnection history size in records: {}\n\
             Connection history false positive rate: {}\nFeature history size in seconds: {}\n\
             Feature history size in records: {}\nFeature history false positive rate: {}\n\
             Time window negative: {}\nTime window positive: {}\n",
            self.active,
            self.passive,
            self.waiting_max(),
            self.threshold,
            self.flow_rate,
            self.answer_rate,
            self.history,
            wide(self.history, self.flow_rate, 2),
            self.history_error,
            self.feature_history,
            wide(self.feature_history, self.answer_rate, 2 * event::FEATURES),
            self.feature_error,
            self.window_past,
            self.window_future,
        )
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub flows: u64,
    /// Outside of the window of time.
    pub skipped: u64,
    pub time_resets: u64,
    /// Flows that look like answers: TCP, ICMP.
    pub answers: [u64; 2],
    /// Those of them that nobody asked for.
    pub one_way: [u64; 2],
    /// Answers lost because too many wait.
    pub buffer_full: u64,
    pub ipv6: u64,
    /// Flows of other networks.
    pub outside: u64,
    pub outages: u64,
    pub events: tracker::Totals,
    time: TimeStats,
}

/// How far the ends of flows lie from the latest one, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct TimeStats {
    sum: f64,
    squares: f64,
    min: i64,
    max: i64,
}

impl Totals {
    /// What `-P` prints at the end.
    fn listing(&self) -> String {
        let flows = self.flows.max(1) as f64;
        let average = self.time.sum / flows;
        let deviation = (self.time.squares / flows - average * average).max(0.0).sqrt();
        let events = &self.events;
        format!(
            "\nFlows: {}\nSkipped: {}\nTime resets: {}\nTCP backscatter like flow count: {}\n\
             TCP backscatter like flow count without bidirectional host communication: {}\n\
             ICMP backscatter like flow count: {}\n\
             ICMP backscatter like flow count without bidirectional host communication: {}\n\
             Total events: {}\nTotal events TCP: {}\nTotal events ICMP: {}\nEvents in memory: {}\nFreed actively: {}\n\
             Freed passively: {}\nExported events: {}\nExported events TCP: {}\nExported events ICMP: {}\n\
             Timeout sends: {}\nFull buffer: {}\nIpv6: {}\nSimulated outages: {}\nAverage time difference: {average}\n\
             Standard deviation of time difference: {deviation}\nMinimal time difference: {}\n\
             Maximal time difference: {}\n\nOutside: {}\n",
            self.flows,
            self.skipped,
            self.time_resets,
            self.answers[0],
            self.one_way[0],
            self.answers[1],
            self.one_way[1],
            events.begun[0] + events.begun[1],
            events.begun[0],
            events.begun[1],
            events.in_memory,
            events.freed_actively,
            events.freed_passively,
            events.exported[0] + events.exported[1],
            events.exported[0],
            events.exported[1],
            events.not_sent,
            self.buffer_full,
            self.ipv6,
            self.outages,
            self.time.min,
            self.time.max,
            self.outside,
        )
    }
}

/// Watches until the stream ends or the stop flag is set; then all events are reported.
pub fn run(input: &mut Input, output: &mut Output, settings: &Settings) -> Result<Totals, BackscatterError> {
    let mut watch = Watch::new(settings, Tracker::new(settings, output)?)?;
    let ended = receive(input, &mut watch);
    let is_eof = matches!(ended, Ok(true));
    watch.totals.events = watch.tracker.finish(is_eof)?;
    ended?;
    Ok(watch.totals)
}

/// True if the sender ended the stream.
fn receive(input: &mut Input, watch: &mut Watch<'_>) -> Result<bool, ReadError> {
    let mut reader = Reader::new(input, FIELDS)?;
    let mut at = [0; 10];
    loop {
        let view = match reader.read()? {
            Next::Record { view, is_new } => {
                if is_new {
                    at = reading::fields(view.template(), FIELDS);
                }
                view
            }
            Next::Nothing | Next::Damaged => continue,
            Next::Eof => return Ok(true),
            Next::Stopped => return Ok(false),
        };
        let [dst, src, bytes, first, last, packets, dst_port, src_port, protocol, flags] = at;
        let (Some(IpAddr::V4(src)), Some(IpAddr::V4(dst))) = (view.ip(src), view.ip(dst)) else {
            watch.totals.ipv6 += 1;
            continue;
        };
        let number = |field| view.uint(field).unwrap_or(0);
        let secs = |field| view.time(field).map_or(0, |time| time.secs());
        watch.add(Flow {
            src: src.to_bits(),
            dst: dst.to_bits(),
            bytes: number(bytes),
            first: secs(first),
            last: secs(last),
            packets: number(packets),
            src_port: number(src_port) as u16,
            dst_port: number(dst_port) as u16,
            protocol: number(protocol) as u8,
            flags: number(flags) as u8,
        });
    }
}

/// A waiting answer; the one that ended first goes first, of those the one that came first.
type Waiting = Reverse<(u64, u64, Flow)>;

/// What is known at a moment.
struct Watch<'s> {
    settings: &'s Settings,
    history: History,
    tracker: Tracker<'s>,
    waiting: BinaryHeap<Waiting>,
    /// Number of the next answer.
    next: u64,
    /// End of the latest flow.
    latest: Option<u64>,
    /// Flows outside of the window in a row.
    skipped_in_a_row: u64,
    /// Flows left of a simulated outage.
    outage_left: Option<u64>,
    totals: Totals,
}

impl<'s> Watch<'s> {
    fn new(settings: &'s Settings, tracker: Tracker<'s>) -> Result<Watch<'s>, SizeError> {
        Ok(Watch {
            settings,
            history: History::new(settings.history, settings.flow_rate.into(), settings.history_error)?,
            tracker,
            waiting: BinaryHeap::new(),
            next: 0,
            latest: None,
            skipped_in_a_row: 0,
            outage_left: None,
            totals: Totals::default(),
        })
    }

    fn add(&mut self, mut flow: Flow) {
        let networks = &self.settings.networks;
        if ![flow.src, flow.dst].into_iter().any(|ip| networks.contains(Ipv4Addr::from_bits(ip).into())) {
            self.totals.outside += 1;
            return;
        }
        self.totals.flows += 1;
        if !self.is_in_time(flow.last) {
            return;
        }
        if !flow.is_reset() {
            let now = self.history.add(flow.src, flow.dst, flow.last);
            while self.waiting.peek().is_some_and(|Reverse((last, ..))| last + u64::from(self.settings.history) <= now)
            {
                self.judge_next();
            }
        }
        self.simulate_outage();
        flow.name_icmp();
        if !flow.is_answer() {
            return;
        }
        if self.waiting.len() as u64 >= self.settings.waiting_max() {
            self.totals.buffer_full += 1;
        } else {
            self.waiting.push(Reverse((flow.last, self.next, flow)));
            self.next += 1;
        }
    }

    /// Whether a flow lies in the window around the latest one. After a long row of others time begins anew with theirs.
    fn is_in_time(&mut self, last: u64) -> bool {
        if let Some(latest) = self.latest.filter(|latest| *latest != 0) {
            let ahead = last as i64 - latest as i64;
            let time = &mut self.totals.time;
            time.sum += ahead as f64;
            time.squares += (ahead * ahead) as f64;
            time.min = time.min.min(ahead);
            time.max = time.max.max(ahead);
            if ahead < -i64::from(self.settings.window_past) || ahead > i64::from(self.settings.window_future) {
                self.skipped_in_a_row += 1;
                if self.skipped_in_a_row >= u64::from(self.settings.history) * u64::from(self.settings.flow_rate) {
                    self.waiting.clear();
                    self.history.clear();
                    self.latest = Some(last);
                    self.totals.time_resets += 1;
                    self.skipped_in_a_row = 0;
                }
                self.totals.skipped += 1;
                return false;
            }
        }
        self.skipped_in_a_row = 0;
        self.latest = Some(self.latest.map_or(last, |latest| latest.max(last)));
        true
    }

    /// Takes the first waiting answer: it counts unless its addresses talked the other way.
    fn judge_next(&mut self) {
        let Some(Reverse((_, _, flow))) = self.waiting.pop() else { return };
        let kind = flow.kind();
        self.totals.answers[kind] += 1;
        if !self.history.contains(flow.dst, flow.src) {
            self.totals.one_way[kind] += 1;
            self.tracker.add(&flow);
        }
    }

    /// In an outage all waiting answers count at once.
    fn simulate_outage(&mut self) {
        let every = u64::from(self.settings.outage);
        if every == 0 || (self.outage_left.is_none() && !self.totals.flows.is_multiple_of(every)) {
            return;
        }
        let begun = OUTAGES[(self.totals.outages % OUTAGES.len() as u64) as usize];
        if self.outage_left.is_none() {
            self.totals.outages += 1;
        }
        let left = self.outage_left.unwrap_or(begun);
        while let Some(Reverse((_, _, flow))) = self.waiting.pop() {
            self.tracker.add(&flow);
        }
        self.outage_left = left.checked_sub(1).filter(|left| *left > 0);
    }
}
