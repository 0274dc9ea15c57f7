//! haddrscan_aggregator: alerts of haddrscan_detector about one scanner and port as one record (spec/detectors.md section 2).
use crate::argparse::{self, ArgError};
use crate::bounded::Bounded;
use crate::detector::{self, Window};
use crate::options::value;
use crate::sdk::{self, Failure, Handler, IpAddr, Reader, Step, Time, View, Writer};
use record::{fields, record};
use std::net::Ipv6Addr;
use std::ops::ControlFlow;
use std::time::Duration;
use trap::module::{Count, ModuleInfo, Param};
use trap::{Input, Output};

/// Scanners and ports at a time, at the most; about 400 bytes each. With more, everything is sent before its time.
const EVENTS_MAX: usize = 1 << 18;
/// Hosts that one alert names.
const OF_ALERT: usize = 4;
/// Hosts that are named of an event.
const OF_EVENT: usize = 4 * OF_ALERT;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Between records about one scanner and port.
    pub interval: Duration,
}

/// Why the command line was refused, exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("haddrscan_aggregator: error: {0}")]
    Option(#[from] ArgError),
    #[error("haddrscan_aggregator: error: option -t: invalid integer value: '{0}'")]
    Minutes(String),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Aggregates alerts of haddrscan_detector.";

const INFO: ModuleInfo = ModuleInfo {
    name: "haddrscan_aggregator",
    description: "Aggregates alerts of haddrscan_detector: one record for each scanner, port and interval.\nAt most 262144 scanners and \
                  ports are kept (about 100 MB); with more, all are sent before their time, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[value('t', "time", "int", "MINUTES to wait before sending aggregated alerts (default 5).")];

fields! {
    struct Alert {
        host_0: IpAddr = "DST_IP0",
        host_1: IpAddr = "DST_IP1",
        host_2: IpAddr = "DST_IP2",
        host_3: IpAddr = "DST_IP3",
        source: IpAddr = "SRC_IP",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        addresses: u32 = "ADDR_CNT",
        threshold: u32 = "ADDR_THRSD",
        port: u16 = "DST_PORT",
        event_type: u8 = "EVENT_TYPE",
        protocol: u8 = "PROTOCOL",
    }
}

record! {
    /// A scan.
    #[derive(PartialEq)]
    pub struct Sum = "haddrscans" {
        /// Host 1 of the first alert.
        host_0: IpAddr, unirec "DST_IP0";
        /// Host 2 of the first alert.
        host_1: IpAddr, unirec "DST_IP1";
        /// Host 3 of the first alert.
        host_2: IpAddr, unirec "DST_IP2";
        /// Host 4 of the first alert.
        host_3: IpAddr, unirec "DST_IP3";
        /// Host 1 of the second alert.
        host_4: IpAddr, unirec "DST_IP4";
        /// Host 2 of the second alert.
        host_5: IpAddr, unirec "DST_IP5";
        /// Host 3 of the second alert.
        host_6: IpAddr, unirec "DST_IP6";
        /// Host 4 of the second alert.
        host_7: IpAddr, unirec "DST_IP7";
        /// Host 1 of the third alert.
        host_8: IpAddr, unirec "DST_IP8";
        /// Host 2 of the third alert.
        host_9: IpAddr, unirec "DST_IP9";
        /// Host 3 of the third alert.
        host_10: IpAddr, unirec "DST_IP10";
        /// Host 4 of the third alert.
        host_11: IpAddr, unirec "DST_IP11";
        /// Host 1 of the last alert.
        host_12: IpAddr, unirec "DST_IP12";
        /// Host 2 of the last alert.
        host_13: IpAddr, unirec "DST_IP13";
        /// Host 3 of the last alert.
        host_14: IpAddr, unirec "DST_IP14";
        /// Host 4 of the last alert.
        host_15: IpAddr, unirec "DST_IP15";
        /// Who scans.
        source: IpAddr, unirec "SRC_IP";
        /// First probe.
        first: Time, unirec "TIME_FIRST";
        /// Last probe.
        last: Time, unirec "TIME_LAST";
        /// Hosts of all alerts.
        addresses: u32, unirec "ADDR_CNT";
        /// Of the first alert.
        threshold: u32, unirec "ADDR_THRSD";
        /// Which port is scanned for.
        port: u16, unirec "DST_PORT";
        /// Of the first alert.
        event_type: u8, unirec "EVENT_TYPE";
        /// Of the first alert.
        protocol: u8, unirec "PROTOCOL";
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
        let mut settings = Settings { interval: Duration::from_secs(300) };
        for (_, value) in argparse::parse(args, PARAMS)?.options {
            let minutes = value.trim().parse::<i32>().map_err(|_| UsageError::Minutes(value))?;
            settings.interval = Duration::from_secs(60 * u64::try_from(minutes).unwrap_or(0));
        }
        Ok(settings)
    }
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    output.set_buffered(false);
    println!("starting timer for sending...");
    let window = Window::open(input, settings.interval);
    let mut aggregator =
        Aggregator { events: Bounded::new(EVENTS_MAX), early: 0, output: Writer::new(output)?, window };
    let ended = Reader::new(input).run(&mut aggregator);
    // What was collected is sent whatever ended it.
    let _: Step = aggregator.send();
    if aggregator.early > 0 {
        eprintln!("Warning: {} times {EVENTS_MAX} scanners and ports were sent early.", aggregator.early);
    }
    ended.map(|_| ())
}

struct Aggregator<'o> {
    /// By source and port. Of new keys only does the order change, so the oldest is the first.
    events: Bounded<(IpAddr, u16), Event>,
    /// How often everything was sent because there was no more room.
    early: u64,
    output: Writer<'o, Sum>,
    window: Window,
}

/// What was heard of a scanner and a port.
#[derive(Clone, Debug, PartialEq)]
struct Event {
    hosts: [IpAddr; OF_EVENT],
    first: Time,
    last: Time,
    addresses: u32,
    threshold: u32,
    event_type: u8,
    protocol: u8,
}

impl Handler<Alert> for Aggregator<'_> {
    fn record(&mut self, alert: &Alert, record: &View<'_>) -> Step {
        let key = (alert.source(record), alert.port(record));
        let new = Event::new(alert, record);
        match self.events.get_mut(&key) {
            Some(event) => event.add(&new),
            None => {
                self.events.entry(key, || new);
            }
        }
        let is_full = self.events.len() >= EVENTS_MAX;
        self.early += u64::from(is_full);
        if self.window.is_over() || is_full { self.send() } else { sdk::GO_ON }
    }

    fn idle(&mut self) -> Step {
        if self.window.is_over() { self.send() } else { sdk::GO_ON }
    }
}

impl Aggregator<'_> {
    /// Sends all events and forgets them.
    fn send(&mut self) -> Step {
        for ((source, port), event) in self.events.iter() {
            if self.output.send(&event.sum(*source, *port))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.events.clear();
        sdk::GO_ON
    }
}

impl Event {
    fn new(alert: &Alert, record: &View<'_>) -> Event {
        let mut hosts = [Ipv6Addr::UNSPECIFIED.into(); OF_EVENT];
        hosts[..OF_ALERT].copy_from_slice(&[
            alert.host_0(record),
            alert.host_1(record),
            alert.host_2(record),
            alert.host_3(record),
        ]);
        Event {
            hosts,
            first: alert.first(record),
            last: alert.last(record),
            addresses: alert.addresses(record),
            threshold: alert.threshold(record),
            event_type: alert.event_type(record),
            protocol: alert.protocol(record),
        }
    }

    /// Adds another alert. Its hosts go to the first place whose first host is not known; the last place is written again and again.
    fn add(&mut self, alert: &Event) {
        (self.first, self.last) = (self.first.min(alert.first), self.last.max(alert.last));
        self.addresses = self.addresses.saturating_add(alert.addresses);
        let place = [OF_ALERT, 2 * OF_ALERT].into_iter().find(|place| self.hosts[*place].is_unspecified());
        let place = place.unwrap_or(3 * OF_ALERT);
        self.hosts[place..place + OF_ALERT].copy_from_slice(&alert.hosts[..OF_ALERT]);
    }

    fn sum(&self, source: IpAddr, port: u16) -> Sum {
        let [host_0, host_1, host_2, host_3, host_4, host_5, host_6, host_7, ..] = self.hosts;
        let [.., host_8, host_9, host_10, host_11, host_12, host_13, host_14, host_15] = self.hosts;
        Sum {
            host_0,
            host_1,
            host_2,
            host_3,
            host_4,
            host_5,
            host_6,
            host_7,
            host_8,
            host_9,
            host_10,
            host_11,
            host_12,
            host_13,
            host_14,
            host_15,
            source,
            first: self.first,
            last: self.last,
            addresses: self.addresses,
            threshold: self.threshold,
            port,
            event_type: self.event_type,
            protocol: self.protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(host: u8, at: u64) -> Event {
        let mut hosts = [Ipv6Addr::UNSPECIFIED.into(); OF_EVENT];
        (0..OF_ALERT).for_each(|n| hosts[n] = [10, 0, host, n as u8].into());
        let (first, last) = (Time(at), Time(at + 5));
        Event { hosts, first, last, addresses: 50, threshold: 50, event_type: 1, protocol: 6 }
    }

    #[test]
    fn later_alerts_fill_places_and_the_last_one_stays_at_the_end() {
        let mut sum = event(1, 100);
        for (host, at) in [(2, 200), (3, 50), (4, 60), (5, 70)] {
            sum.add(&event(host, at));
        }
        let thirds: Vec<_> = sum.hosts.chunks(OF_ALERT).map(|hosts| hosts[0].to_string()).collect();
        assert_eq!(thirds, ["10.0.1.0", "10.0.2.0", "10.0.3.0", "10.0.5.0"]);
        assert_eq!((sum.first, sum.last, sum.addresses), (Time(50), Time(205), 250));
        let out = sum.sum(IpAddr::from([1, 1, 1, 1]), 22);
        assert_eq!((out.host_5, out.host_8, out.host_15), (sum.hosts[5], sum.hosts[8], sum.hosts[15]));
    }

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map(|settings| settings.interval.as_secs())
        };
        assert_eq!((parse(""), parse("-t 10"), parse("--time=-3")), (Ok(300), Ok(600), Ok(0)));
        assert!(parse("-t 0.5").is_err() && parse("-x").is_err());
    }
}
