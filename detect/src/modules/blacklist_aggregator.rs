//! blacklist_aggregator: alerts of the blacklist filters about one listed address or URL as one message (spec/detectors.md section 8.6).
mod events;

use crate::argparse::{self, ArgError};
use crate::modules;
use crate::options::value;
use crate::pair;
use crate::sdk::{self, Failure, GO_ON, IpAddr, Reader, Step, Str, Time};
use events::{Events, IpAlert, Sums, UrlAlert};
use record::fields;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Format, Input, Output};

/// Targets, ports and events at a time, at the most; about 100 bytes each. With more, everything is sent before its time.
const WEIGHT_MAX: usize = 1 << 20;
/// An interval is no shorter.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Why the command line was refused, exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("blacklist_aggregator: error: {0}")]
    Option(#[from] ArgError),
    #[error("blacklist_aggregator: error: option -t: invalid floating-point value: '{0}'")]
    Minutes(String),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Aggregates alerts of the blacklist filters.";

const INFO: ModuleInfo = ModuleInfo {
    name: "blacklist_aggregator",
    description: "Aggregates alerts of blacklist filters: one JSON message for each listed address or URL, list, protocol and \
                  interval. The first input has the alerts of ipblacklistfilter as agg sums them up, the second those of \
                  urlblacklistfilter.\nAt most 1048576 targets and ports are kept (about 100 MB); with more, all events are sent \
                  before their time, which is counted and told at the end.",
    inputs: Count::Exactly(2),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] =
    &[value('t', "time", "float", "MINUTES: length of time interval in which alerts are aggregated (default 5).")];

fields! {
    struct Ip {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        destination_lists: u64 = "DST_BLACKLIST",
        source_lists: u64 = "SRC_BLACKLIST",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        count: u32 = "COUNT",
        packets: u32 = "PACKETS",
        destination_port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL",
    }
}

fields! {
    struct Url {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        lists: u64 = "BLACKLIST",
        bytes: u64 = "BYTES",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        packets: u32 = "PACKETS",
        destination_port: u16 = "DST_PORT",
        _source_port: u16 = "SRC_PORT",
        protocol: u8 = "PROTOCOL",
        host: Str = "HTTP_REQUEST_HOST",
        referer: Str = "HTTP_REQUEST_REFERER",
        url: Str = "HTTP_REQUEST_URL",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    let (minutes, Module { mut inputs, mut outputs, .. }) = match modules::begin(&INFO, &args, parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    // Declared with two inputs and one output.
    let ([ips, urls], [output]) = (&mut inputs[..], &mut outputs[..]) else { return 1 };
    let ended = run(ips, urls, output, minutes);
    sdk::end(ended, &mut outputs)
}

/// The interval in minutes.
fn parse(args: &[String]) -> Result<f64, UsageError> {
    let mut minutes = 5.0;
    for (_, value) in argparse::parse(args, PARAMS)?.options {
        let number = value.trim().parse::<f64>().ok().filter(|minutes| minutes.is_finite());
        minutes = number.ok_or(UsageError::Minutes(value))?;
    }
    Ok(minutes)
}

/// Aggregates until both inputs ended; what was collected is sent whatever ended them.
fn run(ips: &mut Input, urls: &mut Input, output: &mut Output, minutes: f64) -> Result<(), Failure> {
    output.set_format(Format::Json("aggregated_blacklist".into())).map_err(Failure::Send)?;
    let interval = Duration::try_from_secs_f64(minutes * 60.0).unwrap_or(Duration::ZERO).max(INTERVAL_MIN);
    let aggregator = Mutex::new(Aggregator { events: Events::new(minutes, WEIGHT_MAX), output, text: String::new() });
    let aggregator = &aggregator;
    let ended = pair::read(
        || take_ips(ips, aggregator),
        || take_urls(urls, aggregator),
        Instant::now() + interval,
        || {
            // A receiver that is gone is counted by the output.
            let _: Step = lock(aggregator).send();
            Instant::now() + interval
        },
    );
    let mut aggregator = lock(aggregator);
    let _: Step = aggregator.send();
    if aggregator.events.early > 0 {
        eprintln!(
            "Warning: {} times all events were sent early: {WEIGHT_MAX} targets are kept.",
            aggregator.events.early
        );
    }
    ended
}

fn take_ips(input: &mut Input, aggregator: &Mutex<Aggregator<'_>>) -> Result<(), Failure> {
    let ended = Reader::new(input).for_each(|alert: &Ip, record| {
        let mut aggregator = lock(aggregator);
        let is_full = aggregator.events.add_ip(&IpAlert {
            source: alert.source(record),
            destination: alert.destination(record),
            source_lists: alert.source_lists(record),
            destination_lists: alert.destination_lists(record),
            destination_port: alert.destination_port(record),
            protocol: alert.protocol(record),
            sent: Sums {
                bytes: alert.bytes(record),
                flows: alert.count(record).into(),
                packets: alert.packets(record).into(),
            },
            times: [alert.first(record), alert.last(record)],
        });
        if is_full { aggregator.send() } else { GO_ON }
    });
    ended.map(|_| ())
}

fn take_urls(input: &mut Input, aggregator: &Mutex<Aggregator<'_>>) -> Result<(), Failure> {
    let ended = Reader::new(input).for_each(|alert: &Url, record| {
        let mut aggregator = lock(aggregator);
        let is_full = aggregator.events.add_url(&UrlAlert {
            client: alert.source(record),
            server: alert.destination(record),
            lists: alert.lists(record),
            server_port: alert.destination_port(record),
            protocol: alert.protocol(record),
            sent: Sums { bytes: alert.bytes(record), flows: 1, packets: alert.packets(record).into() },
            times: [alert.first(record), alert.last(record)],
            host: alert.host(record),
            url: alert.url(record),
            referer: alert.referer(record),
        });
        if is_full { aggregator.send() } else { GO_ON }
    });
    ended.map(|_| ())
}

struct Aggregator<'o> {
    events: Events,
    output: &'o mut Output,
    text: String,
}

impl Aggregator<'_> {
    /// Sends all events and forgets them.
    fn send(&mut self) -> Step {
        let Aggregator { events, output, text } = self;
        let step = events.take(|message| {
            text.clear();
            message.dump(text);
            sdk::step(output.send(text.as_bytes()))
        })?;
        output.flush().map_err(Failure::Send)?;
        Ok(step)
    }
}

/// A thread that failed with the lock leaves events that are whole.
fn lock<'a, 'o>(aggregator: &'a Mutex<Aggregator<'o>>) -> MutexGuard<'a, Aggregator<'o>> {
    aggregator.lock().unwrap_or_else(PoisonError::into_inner)
}
