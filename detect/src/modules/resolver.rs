//! resolver: records with names, addresses and services looked up for them (spec/modules.md section 24).
//!
//! Contract: records leave in the order in which they came. One waits for its lookups as long as [`Settings::wait`], then it leaves
//! with what a failed lookup gives; meanwhile the lookups of up to [`WINDOW`] records behind it go on, so the stream as a whole is never
//! held longer than that. What was found is remembered ([`pool`]).
mod amend;
mod dns;
mod lookup;
mod pool;
mod services;

use super::begin;
use crate::argparse::{self, ArgError, long_flag, long_value};
use crate::options::value;
use crate::reading::{Next, ReadError, Reader};
use crate::stream::Sender;
use amend::{Amended, Plan};
pub use dns::fuzz_dns;
pub(crate) use lookup::Sources;
use pool::Pool;
use record::Kind;
use record::unirec::{SpecError, Template};
use services::Services;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, Output, Timeout, TrapError, log};

/// Records that wait for lookups, at the most.
const WINDOW: usize = 1_024;
/// How long one record waits unless said otherwise.
const WAIT: Duration = Duration::from_secs(4);
/// While records wait, the input is left for the answers so often.
const GLANCE: Duration = Duration::from_millis(5);

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Fields that records must have.
    pub spec: String,
    pub resolutions: Vec<Resolution>,
    /// In place of those of `resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How long a record waits for its lookups.
    pub wait: Duration,
    pub verbose: bool,
    /// The system's `hosts`, `resolv.conf` and `services`.
    pub files: [PathBuf; 3],
}

/// One lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Fields looked up: one, or two for services.
    pub infields: Vec<String>,
    pub lookup: Lookup,
    /// Field of the result.
    pub outfield: String,
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    Ptr,
    A,
    Aaaa,
    Services,
}

/// Why the command line was refused, exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("resolver: error: {0}")]
    Option(#[from] ArgError),
    #[error("resolver: error: -u/--urformat: {0}")]
    Spec(#[from] SpecError),
    #[error("resolver: error: Too many infields in: {0}")]
    TooManyInfields(String),
    #[error("resolver: error: Unrecognised resolution: {0}, choose from: dns_a, dns_aaaa, dns_ptr, ent_services.")]
    Lookup(String),
    #[error(
        "resolver: error: Too many/not enough infields ({infields}) for selected resolution ({lookup}), needed {needed}"
    )]
    Infields { infields: String, lookup: String, needed: usize },
    #[error("resolver: error: Undefined infield in: {0}, choose from fields specified in urspec.")]
    Undefined(String),
    #[error(
        "resolver: error: Field {infield} in urspec does not match type requirement {needed} of supplied resolvspec: {text}"
    )]
    Type { infield: String, needed: &'static str, text: String },
    #[error("resolver: error: argument --server: {0:?} is no address such as 192.0.2.1, 192.0.2.1:53 or [::1]:53")]
    Server(String),
    #[error("resolver: error: argument --timeout: {0:?} is no number of seconds from 0.1 to 60")]
    Timeout(String),
}

/// Why resolving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: the output's fields: {0}")]
    Spec(#[from] SpecError),
    #[error("Error: {0}")]
    Send(TrapError),
    #[error("Error: the last records may be lost.")]
    End,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub sent: u64,
    pub dropped: u64,
    /// Records that did not wait for the end of a lookup.
    pub impatient: u64,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Adds names of addresses, addresses of names and names of services to records.";

const INFO: ModuleInfo = ModuleInfo {
    name: "resolver",
    description: "Amends records with resolved fields: dns_ptr (ipaddr -> string), dns_a, dns_aaaa (string -> ipaddr) and \
                  ent_services (uint16 port/uint8 protocol -> string).",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('u', "urformat", "string", "Fields that the input must have: \"TYPE NAME,...\". Mandatory."),
    value(
        'r',
        "resolvspec",
        "string",
        "Three words, may be repeated: INFIELD[/INFIELD], the resolution, and OUTFIELD. Mandatory.",
    ),
    long_value("server", "string", "Name server in place of the system's, ADDRESS[:PORT]; may be repeated."),
    long_value("timeout", "double", "Seconds that a record waits for its lookups (default 4)."),
    long_flag("verbose", "As -v: print messages."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, &args, Settings::parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    match run(&mut inputs[0], &mut outputs[0], &settings) {
        Ok(_) => 0,
        Err(ResolveError::Read(why)) => why.report(),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let line = argparse::parse_several(args, PARAMS, &[("resolvspec", 3)])?;
        if let Some(word) = line.words.into_iter().next() {
            return Err(ArgError::Unknown(word).into());
        }
        let files = [lookup::HOSTS, lookup::RESOLV_CONF, "/etc/services"].map(PathBuf::from);
        let (mut spec, mut words, mut servers) = (None, Vec::new(), Vec::new());
        let (mut wait, mut verbose) = (WAIT, log::level() >= 0);
        for (name, value) in line.options {
            match name {
                "urformat" => spec = Some(value),
                "resolvspec" => words.push(value),
                "server" => servers.push(server(&value).ok_or(UsageError::Server(value))?),
                "timeout" => {
                    let seconds: Option<f64> = value.parse().ok().filter(|s| (0.1..=60.0).contains(s));
                    wait = seconds.map(Duration::from_secs_f64).ok_or(UsageError::Timeout(value))?;
                }
                _ => verbose = true,
            }
        }
        let spec = spec.ok_or(ArgError::Required("-u/--urformat"))?;
        let template = Template::parse(&spec)?;
        let resolutions: Vec<_> = words
            .chunks_exact(3)
            .map(|words| Resolution::parse(&words[0], &words[1], &words[2], &template))
            .collect::<Result<_, _>>()?;
        if resolutions.is_empty() {
            return Err(ArgError::Required("-r/--resolvspec").into());
        }
        Plan::spec(&spec, &resolutions)?;
        Ok(Settings { spec, resolutions, servers, wait, verbose, files })
    }
}

/// A name server, on port 53 if none is said.
pub(crate) fn server(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, 53)))
}

impl Resolution {
    fn parse(infields: &str, lookup: &str, outfield: &str, template: &Template) -> Result<Resolution, UsageError> {
        let text = || format!("{infields} {lookup} {outfield}");
        let names: Vec<_> = infields.split('/').map(str::to_owned).collect();
        if names.len() > 2 {
            return Err(UsageError::TooManyInfields(text()));
        }
        let known = Lookup::parse(lookup).ok_or_else(|| UsageError::Lookup(lookup.to_owned()))?;
        let kinds = known.infields();
        if names.len() != kinds.len() {
            let (infields, lookup) = (infields.to_owned(), lookup.to_owned());
            return Err(UsageError::Infields { infields, lookup, needed: kinds.len() });
        }
        for (name, (kind, needed)) in names.iter().zip(kinds) {
            if template.index_of(name).is_none() {
                return Err(UsageError::Undefined(text()));
            }
            // The original's check is never reached: such a lookup always fails.
            if template.find(name, *kind).is_none() {
                return Err(UsageError::Type { infield: name.clone(), needed, text: text() });
            }
        }
        Ok(Resolution { infields: names, lookup: known, outfield: outfield.to_owned() })
    }
}

impl Lookup {
    fn parse(name: &str) -> Option<Lookup> {
        Some(match name {
            "dns_ptr" => Lookup::Ptr,
            "dns_a" => Lookup::A,
            "dns_aaaa" => Lookup::Aaaa,
            "ent_services" => Lookup::Services,
            _ => return None,
        })
    }

    /// Types of the fields looked up.
    fn infields(self) -> &'static [(Kind, &'static str)] {
        match self {
            Lookup::Ptr => &[(Kind::Ip, "ipaddr")],
            Lookup::A | Lookup::Aaaa => &[(Kind::Text, "string")],
            Lookup::Services => &[(Kind::U16, "uint16"), (Kind::U8, "uint8")],
        }
    }

    /// Type of the result.
    fn outfield(self) -> &'static str {
        match self {
            Lookup::Ptr | Lookup::Services => "string",
            Lookup::A | Lookup::Aaaa => "ipaddr",
        }
    }
}

/// Amends records until the stream ends or the stop flag is set. At the end of the stream the last ones are waited for; the end is not
/// passed on.
pub fn run(input: &mut Input, output: &mut Output, settings: &Settings) -> Result<Totals, ResolveError> {
    output.set_buffered(false);
    let [hosts, resolv_conf, services] = &settings.files;
    let sources = Sources::load(hosts, resolv_conf, &settings.servers);
    let mut work = Work {
        settings,
        services: Services::load(services),
        pool: Pool::new(sources, settings.wait),
        plan: Plan::new(&Template::parse(&settings.spec)?, &settings.resolutions)?,
        waiting: VecDeque::new(),
        sender: Sender::new(output),
        record: Vec::new(),
        impatient: 0,
    };
    work.announce("Set")?;
    if settings.verbose {
        println!("Waiting for events.");
    }
    let ended = work.receive(input);
    work.drain(|_| false);
    let Work { pool, sender, impatient, .. } = work;
    let totals = Totals { sent: sender.sent, dropped: sender.dropped, impatient };
    if impatient + pool.refused > 0 {
        let refused = pool.refused;
        eprintln!("Warning: {impatient} records did not wait for an answer, {refused} lookups found no room.");
    }
    let is_good = sender.finish();
    ended?;
    if is_good { Ok(totals) } else { Err(ResolveError::End) }
}

struct Work<'a> {
    settings: &'a Settings,
    services: Services,
    pool: Pool,
    plan: Plan,
    /// In the order in which they came.
    waiting: VecDeque<Amended>,
    sender: Sender<'a>,
    /// Memory for the record that is sent.
    record: Vec<u8>,
    impatient: u64,
}

impl Work<'_> {
    fn receive(&mut self, input: &mut Input) -> Result<(), ResolveError> {
        let mut reader = Reader::new(input, &self.settings.spec)?;
        loop {
            self.drain(|waiting| waiting < WINDOW);
            let timeout = if self.waiting.is_empty() {
                Timeout::Wait
            } else {
                // At most 5000.
                Timeout::Micros(GLANCE.as_micros() as u64)
            };
            if !reader.input().set_timeout(timeout) && !self.waiting.is_empty() {
                // The user's own timeout may be long.
                self.drain(|_| false);
            }
            match reader.read()? {
                Next::Record { view, is_new } => {
                    if is_new && view.template() != self.plan.input() {
                        self.drain(|_| false);
                        self.plan = Plan::new(view.template(), &self.settings.resolutions)?;
                        self.announce("Reset")?;
                    }
                    let until = Instant::now() + self.settings.wait;
                    let mut amended = self.plan.amend(&view, &self.settings.resolutions, &self.services, until);
                    // Asks; whether it must wait shows when it is its turn.
                    amended.is_done(&mut self.pool, false);
                    self.waiting.push_back(amended);
                }
                Next::Nothing | Next::Damaged => {}
                Next::Eof | Next::Stopped => return Ok(()),
            }
        }
    }

    fn announce(&mut self, word: &str) -> Result<(), ResolveError> {
        self.sender.set_template(self.plan.output()).map_err(ResolveError::Send)?;
        if self.settings.verbose {
            println!("{word} output format to '{}'.", self.plan.output().spec());
        }
        Ok(())
    }

    /// Sends the records whose lookups are done, from the oldest on; goes on, and waits, while `is_enough` says no to how many wait.
    fn drain(&mut self, is_enough: impl Fn(usize) -> bool) {
        self.pool.wait(Duration::ZERO);
        while let Some(first) = self.waiting.front_mut() {
            let is_late = Instant::now() >= first.until;
            if first.is_done(&mut self.pool, is_late) {
                self.impatient += u64::from(first.is_impatient());
                first.complain();
                match first.write(&self.plan, &mut self.record) {
                    Ok(()) => self.sender.send(&self.record),
                    Err(why) => self.sender.too_large(why),
                }
                self.waiting.pop_front();
                continue;
            }
            let left = first.until.saturating_duration_since(Instant::now());
            if is_enough(self.waiting.len()) {
                return;
            }
            self.pool.wait(left.min(GLANCE * 10));
        }
    }
}
