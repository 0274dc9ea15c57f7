//! miner_detector: hosts that mine in a pool, known by a list, or suspected by their flows and then found out by asking the pool
//! (spec/detectors.md section 11).
//!
//! Nothing is connected to unless the settings say `stratum_check`.
pub(crate) mod pools;
mod settings;
pub(crate) mod stratum;
mod suspect;
mod tree;

use crate::bounded::Bounded;
use crate::configurator::Elements;
use crate::detector::Window;
use crate::modules;
use crate::options::{self, OptError, value};
use crate::sdk::{self, Ended, Failure, GO_ON, Handler, IpAddr, Reader, Step, Time, View, Writer};
use pools::{Pool, Pools};
use record::{fields, record};
use settings::{ListSettings, Settings};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use stratum::Questions;
use suspect::{Flow, Suspect};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, Output, Stop, Timeout};

const CONFIG: &str = "/etc/nemea/miner_detector/userConfigFile.xml";
const TCP: u8 = 6;
const NANOS: u64 = 1_000_000_000;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects hosts that mine cryptocurrencies in a pool.";

const INFO: ModuleInfo = ModuleInfo {
    name: "miner_detector",
    description: "Detector of hosts that communicate with mining pools. Pools are those of a list; with stratum_check in the \
                  configuration, servers that look like one are asked in the languages of miners.\nTables have the sizes of the \
                  configuration; what was not seen for longest makes room for others, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[value(
    'u',
    "user-conf",
    "string",
    "Specify user configuration file for miner detector (default: /etc/nemea/miner_detector/userConfigFile.xml).",
)];

fields! {
    struct In {
        source: IpAddr = "SRC_IP",
        destination: IpAddr = "DST_IP",
        source_port: u16 = "SRC_PORT",
        destination_port: u16 = "DST_PORT",
        tcp_flags: u8 = "TCP_FLAGS",
        protocol: u8 = "PROTOCOL",
        packets: u32 = "PACKETS",
        bytes: u64 = "BYTES",
        _first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
    }
}

record! {
    /// A host that mines.
    struct Alert = "miner" {
        /// The pool.
        pool: IpAddr, unirec "DST_IP";
        /// The miner.
        miner: IpAddr, unirec "SRC_IP";
        /// End of the first flow, whole seconds.
        first: Time, unirec "TIME_FIRST";
        /// End of the last flow, whole seconds.
        last: Time, unirec "TIME_LAST";
        /// Packets since the miner was suspected first.
        packets: u32, unirec "EVENT_SCALE";
        /// Of the pool.
        port: u16, unirec "DST_PORT";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (config, Module { mut inputs, mut outputs, stop, .. }) = match modules::begin(&INFO, args, parse, |_| 3) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    // Declared with one of each.
    let (Some(input), Some(output)) = (inputs.first_mut(), outputs.first_mut()) else { return 1 };
    let mut code = 0;
    let settings = Elements::load(&config).and_then(|elements| Settings::of(&elements));
    let settings = settings.map_err(|why| Failure::Other(why.to_string()));
    if let Err(why) = settings.and_then(|settings| run(input, output, &settings, &stop)) {
        eprintln!("{why}");
        let is_template = match &why {
            Failure::Receive(error) => matches!(error.code(), 24 | 25),
            Failure::Template(_) | Failure::Missing(_) => true,
            _ => false,
        };
        code = if is_template { 4 } else { 1 };
    }
    code.max(sdk::finish(&mut outputs))
}

fn parse(args: &[String]) -> Result<PathBuf, OptError> {
    let given = options::parse(args, PARAMS)?;
    Ok(given.into_iter().next_back().map_or_else(|| CONFIG.into(), |given| given.value.into()))
}

fn run(input: &mut Input, output: &mut Output, settings: &Settings, stop: &Stop) -> Result<(), Failure> {
    output.set_timeout(Timeout::Micros(10_000));
    output.set_buffered(false);
    let mut questions = None;
    if let Some(patience) = settings.asks {
        let stop = stop.clone();
        let started = Questions::start(move |pool| stratum::is_pool(pool, patience, &stop));
        questions = Some(started.map_err(|why| Failure::Other(format!("cannot ask pools: {why}")))?);
    }
    let mut detector = Detector {
        suspects: Bounded::new(settings.suspects_max),
        black: pools(&settings.blacklist)?,
        white: pools(&settings.whitelist)?,
        questions,
        now: 0,
        window: Window::open(input, settings.check_period),
        settings,
        out: Writer::new(output)?,
    };
    let ended = Reader::new(input).run(&mut detector);
    let patience = settings.asks.filter(|_| matches!(ended, Ok(Ended::Sender)));
    detector.end(patience.map_or(Duration::ZERO, |patience| 4 * (patience.connect + patience.read)))?;
    // The original tells its receivers of the end, whatever it was.
    detector.out.end(Ended::Sender)?;
    ended.map(|_| ())
}

fn pools(settings: &ListSettings) -> Result<Pools, Failure> {
    let mut pools = Pools::new(settings.max);
    if let Some(path) = &settings.load {
        let failed = |why| Failure::Other(format!("cannot read '{}': {why}", path.display()));
        pools.load(path).map_err(failed)?;
    }
    Ok(pools)
}

/// Miner, pool and its port.
type Key = (IpAddr, IpAddr, u16);

struct Detector<'o> {
    suspects: Bounded<Key, Suspect>,
    black: Pools,
    white: Pools,
    /// None if pools are not asked.
    questions: Option<Questions>,
    /// The latest second of all flows.
    now: u64,
    window: Window,
    settings: &'o Settings,
    out: Writer<'o, Alert>,
}

impl Handler<In> for Detector<'_> {
    fn record(&mut self, fields: &In, record: &View<'_>) -> Step {
        let last = fields.last(record).secs();
        self.now = self.now.max(last);
        let step = self.take(fields, record, last)?;
        if step.is_continue() && self.window.is_over() { self.check() } else { Ok(step) }
    }

    fn idle(&mut self) -> Step {
        if self.window.is_over() { self.check() } else { GO_ON }
    }
}

impl Detector<'_> {
    fn take(&mut self, fields: &In, record: &View<'_>, last: u64) -> Step {
        let (source, destination) = (fields.source(record), fields.destination(record));
        let (source_port, port) = (fields.source_port(record), fields.destination_port(record));
        let pool = (destination, port);
        if self.white.contains(&pool) || self.black.contains(&(source, source_port)) {
            return GO_ON;
        }
        let flow = Flow {
            packets: fields.packets(record),
            bytes: fields.bytes(record),
            last,
            tcp_flags: fields.tcp_flags(record),
            is_request: source_port > port,
        };
        let key = (source, destination, port);
        let is_suspicious = fields.protocol(record) == TCP && suspect::is_established(flow.tcp_flags);
        if !is_suspicious && self.suspects.get(&key).is_none() && !self.black.contains(&pool) {
            return GO_ON;
        }
        let mut is_new = false;
        let fresh = || {
            is_new = true;
            Suspect::new(&flow)
        };
        let (suspect, evicted) = self.suspects.entry(key, fresh);
        if !is_new {
            suspect.add(&flow);
        }
        match evicted {
            Some((key, suspect)) if self.black.contains(&(key.1, key.2)) => alert(&mut self.out, &key, &suspect),
            _ => GO_ON,
        }
    }

    /// Looks at all suspects: asks pools, sends alerts, forgets who is quiet.
    fn check(&mut self) -> Step {
        self.take_answers();
        let Detector { suspects, black, white, questions, now, settings, out, .. } = self;
        black.forget(*now);
        white.forget(*now);
        let mut step = GO_ON;
        suspects.retain(|key, suspect| {
            let pool = (key.1, key.2);
            let is_pool = black.contains(&pool);
            if !is_pool && white.contains(&pool) {
                return false;
            }
            // A suspect whose pool is asked waits for the answer.
            let is_asked = !is_pool && is_asked(questions, pool, suspect, settings.threshold);
            let is_quiet = now.saturating_sub(suspect.last_seen) >= settings.inactive;
            let is_due = now.saturating_sub(suspect.last_exported) >= settings.active;
            if !is_quiet && !is_due {
                return true;
            }
            if is_pool {
                if matches!(step, Ok(ControlFlow::Continue(()))) {
                    step = alert(out, key, suspect);
                }
                suspect.last_exported = *now;
            }
            is_asked || (is_pool && !is_quiet)
        });
        step
    }

    fn take_answers(&mut self) {
        while let Some((pool, is_pool)) = self.questions.as_mut().and_then(Questions::answer) {
            self.found(pool, is_pool);
        }
    }

    fn found(&mut self, pool: Pool, is_pool: bool) {
        if trap::log::level() >= 0 {
            eprintln!("{} {} a mining pool", stratum::shown(&pool), if is_pool { "is" } else { "is not" });
        }
        if is_pool { &mut self.black } else { &mut self.white }.add(pool, self.now);
    }

    /// Asks what is to be asked, for `patience` at the most; then alerts of all suspects whose pool is one, and lists are stored.
    fn end(&mut self, patience: Duration) -> Result<(), Failure> {
        if !patience.is_zero() {
            for (key, suspect) in self.suspects.iter() {
                let pool = (key.1, key.2);
                if !self.black.contains(&pool) && !self.white.contains(&pool) {
                    is_asked(&mut self.questions, pool, suspect, self.settings.threshold);
                }
            }
            let until = Instant::now() + patience;
            while let Some((pool, is_pool)) = self.questions.as_mut().and_then(|questions| questions.wait(until)) {
                self.found(pool, is_pool);
            }
        }
        let Detector { suspects, black, out, .. } = self;
        for (key, suspect) in suspects.iter().filter(|(key, _)| black.contains(&(key.1, key.2))) {
            if alert(out, key, suspect)?.is_break() {
                break;
            }
        }
        self.suspects.tell("suspects");
        self.black.tell();
        self.white.tell();
        for (pools, list) in [(&self.black, &self.settings.blacklist), (&self.white, &self.settings.whitelist)] {
            if let Some(path) = &list.store {
                pools.store(path).map_err(|why| Failure::Other(format!("cannot write '{}': {why}", path.display())))?;
            }
        }
        Ok(())
    }
}

/// Whether a suspect looks like a miner and its pool is asked therefore.
fn is_asked(questions: &mut Option<Questions>, pool: Pool, suspect: &Suspect, threshold: u32) -> bool {
    questions.as_mut().is_some_and(|questions| suspect.is_miner(threshold) && questions.ask(pool))
}

fn alert(out: &mut Writer<'_, Alert>, key: &Key, suspect: &Suspect) -> Step {
    out.send(&Alert {
        pool: key.1,
        miner: key.0,
        first: Time(suspect.first_seen * NANOS),
        last: Time(suspect.last_seen * NANOS),
        packets: u32::try_from(suspect.packets).unwrap_or(u32::MAX),
        port: key.2,
    })
}
