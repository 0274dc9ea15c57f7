//! vportscan_aggregator: alerts of vportscan_detector about one scanner as one message (spec/detectors.md section 1).
use crate::argparse::{self, ArgError, long_flag};
use crate::bounded::Bounded;
use crate::detector::{self, Window};
use crate::options::value;
use crate::pyjson::{Json, Text};
use crate::pytrap;
use crate::sdk::{self, Failure, Handler, IpAddr, Reader, Step, Time, View};
use record::fields;
use std::ops::ControlFlow;
use std::time::Duration;
use trap::module::{Count, ModuleInfo, Param};
use trap::{DropReason, Format, Input, Output, Sent};

/// Destinations of one message, at the most.
const DESTINATIONS_OF_MESSAGE: usize = 1_000;
/// Destinations of all events together, at the most; about 100 bytes each. With more, everything is sent before its time.
const DESTINATIONS_MAX: usize = 1 << 20;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between messages about one scanner.
    pub interval: Duration,
    /// Scans of several hosts by one source are one event.
    pub block_scans: bool,
}

/// Why the command line was refused, exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("vportscan_aggregator: error: {0}")]
    Option(#[from] ArgError),
    #[error("vportscan_aggregator: error: option -t: invalid floating-point value: '{0}'")]
    Minutes(String),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Aggregates alerts of vportscan_detector.";

const INFO: ModuleInfo = ModuleInfo {
    name: "vportscan_aggregator",
    description: "Aggregates alerts of vportscan_detector: one JSON message for each scanner and interval.\nAt most 1048576 \
                  destinations are kept (about 100 MB); with more, all events are sent before their time, which is counted and told \
                  at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('t', "time", "float", "MINUTES: length of the interval in which alerts are aggregated (default 5)."),
    long_flag("noblockscans", "Don't aggregate scans of several destinations by one source to block scans."),
];

fields! {
    struct Alert {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        ports: u32 = "PORT_CNT",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        _destination_port: u16 = "DST_PORT",
        _source_port: u16 = "SRC_PORT",
        _event_type: u8 = "EVENT_TYPE",
        protocol: u8 = "PROTOCOL",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, &argparse::plain_ifcspec(args), Settings::parse, |_| 2, run)
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings { interval: Duration::from_secs(300), block_scans: true };
        for (name, value) in argparse::parse(args, PARAMS)?.options {
            match name {
                "time" => {
                    let minutes = value.trim().parse::<f64>().ok().filter(|minutes| minutes.is_finite());
                    let minutes = minutes.ok_or(UsageError::Minutes(value))?;
                    // Whole seconds; what is below zero is zero.
                    settings.interval = Duration::from_secs((minutes * 60.0) as u64);
                }
                _ => settings.block_scans = false,
            }
        }
        Ok(settings)
    }
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    output.set_format(Format::Json("aggregated_portscan".into())).map_err(Failure::Send)?;
    output.set_buffered(false);
    println!("starting timer for sending...");
    let window = Window::open(input, settings.interval);
    let mut aggregator = Aggregator { events: Events::new(settings.block_scans, DESTINATIONS_MAX), output, window };
    let ended = Reader::new(input).run(&mut aggregator);
    // What was collected is sent whatever ended it.
    let _: Step = aggregator.send();
    if aggregator.events.early > 0 {
        eprintln!("Warning: {} times {DESTINATIONS_MAX} destinations were sent early.", aggregator.events.early);
    }
    ended.map(|_| ())
}

struct Aggregator<'o> {
    events: Events,
    output: &'o mut Output,
    window: Window,
}

impl Handler<Alert> for Aggregator<'_> {
    fn record(&mut self, alert: &Alert, record: &View<'_>) -> Step {
        let is_full = self.events.add(
            alert.source(record),
            alert.destination(record),
            alert.protocol(record),
            alert.ports(record),
            [alert.first(record), alert.last(record)],
        );
        if self.window.is_over() || is_full { self.send() } else { sdk::GO_ON }
    }

    fn idle(&mut self) -> Step {
        if self.window.is_over() { self.send() } else { sdk::GO_ON }
    }
}

impl Aggregator<'_> {
    /// Sends all events and forgets them.
    fn send(&mut self) -> Step {
        let (mut text, output) = (String::new(), &mut *self.output);
        let step = self.events.take(|message| {
            text.clear();
            message.dump(&mut text);
            Ok(match output.send(text.as_bytes()) {
                Sent::Dropped(DropReason::Terminated | DropReason::Finished) => ControlFlow::Break(()),
                // Counted by the output, and said when the module ends.
                Sent::Sent | Sent::Dropped(_) => ControlFlow::Continue(()),
            })
        })?;
        self.output.flush().map_err(Failure::Send)?;
        Ok(step)
    }
}

/// Source, protocol, and the destination where it makes a difference.
type Key = (IpAddr, u8, Option<IpAddr>);

/// What was heard of each scanner since the last messages, in the order of the first alert.
#[derive(Debug)]
struct Events {
    block_scans: bool,
    destinations_max: usize,
    /// Of new keys only does the order change, so the oldest is the first.
    events: Bounded<Key, Event>,
    destinations: usize,
    /// How often everything was sent because there was no more room.
    early: u64,
}

#[derive(Debug)]
struct Event {
    /// Ports of each destination, in the order of the first alert.
    destinations: Bounded<IpAddr, u64>,
    times: [f64; 2],
}

impl Events {
    fn new(block_scans: bool, destinations_max: usize) -> Events {
        Events { block_scans, destinations_max, events: Bounded::new(destinations_max), destinations: 0, early: 0 }
    }

    /// Adds an alert; answers whether there is no room for another one.
    fn add(&mut self, source: IpAddr, destination: IpAddr, protocol: u8, ports: u32, times: [Time; 2]) -> bool {
        let key = (source, protocol, (!self.block_scans).then_some(destination));
        let times = times.map(pytrap::seconds);
        if self.events.get(&key).is_none() {
            let destinations = Bounded::new(self.destinations_max);
            self.events.entry(key, || Event { destinations, times });
        }
        let Some(event) = self.events.get_mut(&key) else { return false };
        event.times = [event.times[0].min(times[0]), event.times[1].max(times[1])];
        match event.destinations.get_mut(&destination) {
            Some(sum) => *sum += u64::from(ports),
            None => {
                event.destinations.entry(destination, || ports.into());
                self.destinations += 1;
            }
        }
        let is_full = self.destinations >= self.destinations_max;
        self.early += u64::from(is_full);
        is_full
    }

    /// Hands over the messages of all events, which are forgotten, until one breaks.
    fn take(&mut self, mut each: impl FnMut(&Json) -> Step) -> Step {
        for ((source, protocol, _), event) in self.events.iter() {
            let mut destinations: Vec<_> = event.destinations.iter().map(|(ip, sum)| (ip.to_string(), *sum)).collect();
            if destinations.len() > DESTINATIONS_OF_MESSAGE {
                destinations.sort();
            }
            for part in destinations.chunks(DESTINATIONS_OF_MESSAGE) {
                let sums = part.iter().map(|(ip, sum)| (Text::new(ip), Json::int(*sum))).collect();
                let message = Json::Object(vec![
                    (Text::new("src_ip"), Json::text(&source.to_string())),
                    (Text::new("dst_ips"), Json::Object(sums)),
                    (Text::new("ts_first"), Json::Float(event.times[0])),
                    (Text::new("ts_last"), Json::Float(event.times[1])),
                    (Text::new("protocol"), Json::int(*protocol)),
                ]);
                if each(&message)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        self.events.clear();
        self.destinations = 0;
        sdk::GO_ON
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u16) -> IpAddr {
        [198, 51, (last >> 8) as u8, last as u8].into()
    }

    fn texts(events: &mut Events) -> Vec<String> {
        let mut texts = Vec::new();
        let taken = events.take(|message| {
            let mut text = String::new();
            message.dump(&mut text);
            texts.push(text);
            sdk::GO_ON
        });
        assert!(taken.unwrap().is_continue());
        texts
    }

    #[test]
    fn alerts_about_one_scanner_are_one_message() {
        for (block_scans, expected) in [(true, 2), (false, 3)] {
            let mut events = Events::new(block_scans, 100);
            for (source, destination, protocol, first) in [(2, 1, 6, 20), (1, 1, 6, 15), (2, 1, 6, 10), (2, 3, 6, 30)] {
                let times = [Time(first * 1_000_000_000), Time((first + 5) * 1_000_000_000 + 123_456_789)];
                assert!(!events.add(ip(source), ip(destination), protocol, 50, times));
            }
            let texts = texts(&mut events);
            assert_eq!(texts.len(), expected);
            let (sums, last) = if block_scans {
                (r#""198.51.0.1": 100, "198.51.0.3": 50"#, "35.123")
            } else {
                (r#""198.51.0.1": 100"#, "25.123")
            };
            let first = format!(
                r#"{{"src_ip": "198.51.0.2", "dst_ips": {{{sums}}}, "ts_first": 10.0, "ts_last": {last}, "protocol": 6}}"#
            );
            assert_eq!(texts[0], first);
            assert!(events.events.is_empty() && self::texts(&mut events).is_empty());
        }
    }

    #[test]
    fn long_events_are_split() {
        let mut events = Events::new(true, 10_000);
        for n in (0..2_500).rev() {
            events.add(ip(1), ip(n), 6, 1, Default::default());
        }
        let texts = texts(&mut events);
        let sizes: Vec<_> = texts.iter().map(|text| text.matches("\": 1").count()).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        assert!(
            texts[0].contains("{\"198.51.0.0\": 1, \"198.51.0.1\": 1, \"198.51.0.10\": 1,"),
            "in the order of their texts"
        );
    }

    #[test]
    fn no_room_means_sent_early() {
        let mut events = Events::new(true, 3);
        let full: Vec<_> = (0..4).map(|n| events.add(ip(n % 3), ip(n), 6, 1, Default::default())).collect();
        assert_eq!((full, events.early), (vec![false, false, true, true], 2));
    }

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map(|settings| (settings.interval.as_secs(), settings.block_scans))
        };
        assert_eq!(parse(""), Ok((300, true)));
        assert_eq!(parse("-t 0.51 --noblockscans"), Ok((30, false)));
        assert_eq!(parse("--time=-1"), Ok((0, true)));
        assert!(parse("-t x").is_err() && parse("-t inf").is_err() && parse("-m 5").is_err());
    }
}
