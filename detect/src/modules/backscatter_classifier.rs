//! backscatter_classifier: which events of the module backscatter are attacks, told by gradient-boosted trees and reported to MISP
//! (spec/detectors.md section 14).
//!
//! The original's model is a pickle, which only Python reads; ours is JSON (docs/backscatter_model.md), trained by `--train`.
mod boost;
mod features;
mod misp;
mod model;
mod places;
mod settings;
mod training;

use super::begin;
use super::resolver::Sources;
use crate::argparse;
use crate::sdk::{Failure, GO_ON, Handler, IpAddr, Reader, Step, View};
use features::{Kind, Sample};
use jiff::Zoned;
use misp::{Attack, Outbox};
use model::Model;
pub use model::fuzz_model;
use places::Places;
use record::fields;
use settings::{Export, INFO, Settings, Task};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;
pub use training::fuzz_training;
use trap::module::Module;
use trap::{Input, Timeout};

/// For the name of a victim.
const LOOKUP: Duration = Duration::from_secs(5);
/// A silent input lets events that wait go this often, microseconds.
const POLL_MICROS: u64 = 500_000;
/// All addresses of IPv4.
const ADDRESSES: f64 = 4_294_967_296.0;

/// One line for lists of modules.
pub const ABOUT: &str = "Tells attacks by their backscatter, and reports them to MISP.";

fields! {
    struct In {
        victim: IpAddr = "SRC_IP",
        protocol: u8 = "PROTOCOL",
        start: u32 = "POSIX_START",
        end: u32 = "POSIX_END",
        flows: u64 = "FLOW_COUNT",
        packets: u64 = "PACKET_COUNT",
        bytes: u64 = "BYTES",
        max_fpm: u64 = "MAX_FPM",
        dst_ips: u64 = "UNIQUE_DST_IPS",
        subnets: u64 = "UNIQUE_DST_24_SUBNETS",
        dst_ports: u64 = "UNIQUE_DST_PORTS",
        src_ports: u64 = "UNIQUE_SRC_PORTS",
        ppf_avg: f32 = "PPF_AVG",
        ppf_std: f32 = "PPF_STD",
        bytes_avg: f32 = "BYTES_AVG",
        bytes_std: f32 = "BYTES_STD",
        port: u16 = "SRC_PORT_1",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    // Training has no interface.
    if args.iter().any(|arg| arg.starts_with("--train")) {
        return train(&args);
    }
    let (task, Module { mut inputs, .. }) = match begin(&INFO, &args, Settings::parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let (Task::Classify(settings), Some(input)) = (task, inputs.first_mut()) else { return 2 };
    match run(input, &settings) {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("{why}");
            if matches!(why, Failure::Other(_)) { 3 } else { 1 }
        }
    }
}

fn train(args: &[String]) -> u8 {
    let trained = match Settings::parse(args) {
        Ok(Task::Train { csv, model }) => training::train(&csv, &model),
        Ok(Task::Classify(_)) => return 2,
        Err(why) => {
            eprintln!("{why}");
            return 2;
        }
    };
    match trained {
        Ok(said) => {
            println!("{said}");
            0
        }
        Err(why) => {
            eprintln!("Error: {why}");
            3
        }
    }
}

fn run(input: &mut Input, settings: &Settings) -> Result<(), Failure> {
    let failed =
        |what: &std::path::Path, why: &dyn std::fmt::Display| Failure::Other(format!("{}: {why}", what.display()));
    let model = Model::load(&settings.model).map_err(|why| failed(&settings.model, &why))?;
    let places = Places::open(settings.asn.as_deref(), settings.city.as_deref()).map_err(Failure::Other)?;
    let log = OpenOptions::new().append(true).create(true).open(&settings.log);
    let log = log.map_err(|why| failed(&settings.log, &why))?;
    let outbox = match &settings.export {
        Export::Misp(server) => Some(Outbox::new(server.clone())),
        Export::Print => None,
    };
    let sources = Sources::system(&settings.servers);
    let share = ADDRESSES / settings.networks.v4_addresses() as f64;
    let mut classifier = Classifier { settings, model, places, sources, share, outbox, log, totals: Totals::default() };
    input.set_timeout(Timeout::Micros(POLL_MICROS));
    let ended = Reader::new(input).run(&mut classifier);
    classifier.finish();
    ended.map(|_| ())
}

/// What was done with the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    events: u64,
    attacks: u64,
    /// Attacks whose victim has no name, which are not reported.
    nameless: u64,
    /// Of protocols that the model says nothing of.
    unknown: u64,
}

struct Classifier<'s> {
    settings: &'s Settings,
    model: Model,
    places: Places,
    sources: Sources,
    /// Addresses for each that is watched.
    share: f64,
    outbox: Option<Outbox>,
    log: File,
    totals: Totals,
}

impl Handler<In> for Classifier<'_> {
    fn record(&mut self, fields: &In, record: &View<'_>) -> Step {
        // The original looks at victims of IPv4 only.
        if let IpAddr::V4(victim) = fields.victim(record) {
            self.totals.events += 1;
            self.look(victim, fields, record);
        }
        GO_ON
    }

    fn idle(&mut self) -> Step {
        let said = self.outbox.as_mut().map(Outbox::go_on).unwrap_or_default();
        said.iter().for_each(|line| self.tell("WARNING", line));
        GO_ON
    }
}

impl Classifier<'_> {
    fn look(&mut self, victim: Ipv4Addr, fields: &In, record: &View<'_>) {
        let (begin, end) = (fields.start(record), fields.end(record));
        let secs = u64::from(end.saturating_sub(begin)).max(1);
        let Settings { min_secs, max_secs, flows_min, threshold, .. } = *self.settings;
        if !(min_secs..=max_secs).contains(&secs) || fields.flows(record) < flows_min {
            return;
        }
        let kind = Kind::of(fields.protocol(record));
        let Some((kind, forest)) = kind.and_then(|kind| Some((kind, self.model.forest(kind)?))) else {
            self.totals.unknown += 1;
            if self.totals.unknown.is_power_of_two() {
                let line = format!("{} events of protocols without a model", self.totals.unknown);
                self.tell("ERROR", &line);
            }
            return;
        };
        let probability = forest.probability(&sample(fields, record, secs));
        // No number is no attack.
        if probability.is_nan() || probability <= threshold {
            return;
        }
        self.totals.attacks += 1;
        let Some(name) = self.sources.name_of(victim.into(), LOOKUP) else {
            self.totals.nameless += 1;
            self.tell("INFO", &format!("{victim} is attacked ({probability:.4}), and has no name: not reported"));
            return;
        };
        self.tell("INFO", &format!("{victim} ({name}) is attacked ({probability:.4})"));
        let attack = Attack {
            victim: Some(victim),
            name,
            is_tcp: kind == Kind::Tcp,
            port: fields.port(record),
            begin: begin.into(),
            end: end.into(),
            bytes: fields.bytes(record),
            flows: fields.flows(record),
            packets: fields.packets(record),
            share: self.share,
            place: self.places.find(victim.into()),
        };
        let event = misp::event(&attack);
        let said = match &mut self.outbox {
            Some(outbox) => outbox.put(event),
            None => writeln!(io::stdout(), "{event}")
                .err()
                .map(|why| format!("an event is lost: {why}"))
                .into_iter()
                .collect(),
        };
        said.iter().for_each(|line| self.tell("WARNING", line));
    }

    /// Writes a line to the log file; what went wrong also goes to who looks.
    fn tell(&mut self, level: &str, what: &str) {
        let time = Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
        let written = writeln!(self.log, "{time} {level} {what}");
        if level != "INFO" || written.is_err() {
            eprintln!("{level}: {what}");
        }
    }

    fn finish(&mut self) {
        let said = self.outbox.as_mut().map(Outbox::end).unwrap_or_default();
        said.iter().for_each(|line| self.tell("WARNING", line));
        let Totals { events, attacks, nameless, unknown } = self.totals;
        let (sent, lost) = self.outbox.as_ref().map_or((attacks - nameless, 0), |outbox| (outbox.sent, outbox.lost));
        let line = format!(
            "{events} events, {unknown} without a model, {attacks} attacks: {sent} reported, {nameless} without a name, {lost} lost"
        );
        self.tell(if lost > 0 { "WARNING" } else { "INFO" }, &line);
    }
}

fn sample(fields: &In, record: &View<'_>, secs: u64) -> Sample {
    Sample {
        flow_count: fields.flows(record) as f64,
        max_fpm: fields.max_fpm(record) as f64,
        subnets: fields.subnets(record) as f64,
        dst_ips: fields.dst_ips(record) as f64,
        dst_ports: fields.dst_ports(record) as f64,
        src_ports: fields.src_ports(record) as f64,
        ppf_avg: fields.ppf_avg(record).into(),
        ppf_std: fields.ppf_std(record).into(),
        bytes_avg: fields.bytes_avg(record).into(),
        bytes_std: fields.bytes_std(record).into(),
        duration: secs as f64,
    }
}
