//! biflow_aggregator: flows with the same key as one, both directions together if wanted, as an XML file says (spec/modules.md
//! section 15).
use super::begin;
use crate::options::{self, flag, value};
use record::unirec::{SpecError, Template, View};
use std::path::PathBuf;
use std::time::Duration;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Event, Format, IfcType, Input, Output, Timeout, TrapError};

mod cache;
pub mod config;
mod introsort;
mod plan;
mod table;
mod value;

use cache::Cache;
use config::{Config, ConfigError};
use plan::{Plan, PlanError};

/// Flows, as a power of two, at the most: their table alone takes 1 GiB then.
const SIZE_MAX: u32 = 26;
/// A silent input is waited for so long before what is due goes out.
const TICK: Duration = Duration::from_millis(500);

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub config: PathBuf,
    pub name: String,
    /// End when the input's stream ends.
    pub eof: bool,
    /// Flows in progress, at the most; a power of two.
    pub size: usize,
    /// Seconds.
    pub active: u32,
    pub passive: u32,
    /// Seconds, 0 is off.
    pub global: u32,
    /// Global timeouts are multiples of their interval, not distances from the first flow.
    pub is_absolute: bool,
}

impl Default for Settings {
    fn default() -> Self {
        let (config, name) = (PathBuf::new(), String::new());
        Settings { config, name, eof: false, size: 1 << 16, active: 40, passive: 20, global: 0, is_absolute: false }
    }
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Config filename or config section missing.")]
    NoConfig,
    #[error("Passive timeout cannot be bigger than active timeout.")]
    Timeouts,
    #[error("Error: Parameter of -{0} must be a number of seconds from 0 to {max}.", max = u32::MAX)]
    Seconds(char),
    #[error("Error: Parameter of -s must be a power of two from 0 to {SIZE_MAX}.")]
    Size,
    #[error("Invalid flush timeout format. Expected: <interval> [a|absolute|r|relative|<empty for relative>].")]
    Global,
}

/// Why aggregation ended early.
#[derive(Debug, thiserror::Error)]
pub enum BiflowError {
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(#[from] SpecError),
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
    #[error("Error: {0}")]
    Send(TrapError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Aggregates flows and joins their directions as an XML file says.";

const INFO: ModuleInfo = ModuleInfo {
    name: "biflow_aggregator",
    description: "The module can aggregate UniRec records based on user-specified keys, aggregation functions and time interval, which \
                  a section of an XML file names. If the key is the five-tuple with its mirror, both directions are one flow. Output \
                  records have TIME_FIRST, TIME_LAST and COUNT, the number of records that were made one.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('c', "config", "filename", "Configuration file in xml format."),
    value('n', "name", "name", "Name of config section."),
    flag('e', "eof", "End when receive EOF."),
    value('s', "size", "number", "Max number of elements in flow cache, as a power of two. Default is 16."),
    value('a', "active-timeout", "number", "Active timeout, seconds. Default is 40."),
    value('p', "passive-timeout", "number", "Passive timeout, seconds. Default is 20."),
    value(
        'g',
        "global-timeout",
        "number",
        "Send all flows together each so many seconds instead: SECONDS[r|relative|a|absolute]. 0 is off, the default.",
    ),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let config = match Config::load(&settings.config, &settings.name) {
        Ok(config) => config,
        Err(why) => return refuse(&why),
    };
    let mut code = 0;
    if let Err(why) = run(&mut inputs[0], &mut outputs[0], &settings, &config) {
        eprintln!("{why}");
        code = why.exit_code();
    }
    if let Err(why) = outputs[0].finish() {
        eprintln!("Error: {why}");
        code = 1;
    }
    code
}

fn refuse(why: &ConfigError) -> u8 {
    eprintln!("{why}");
    1
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'c' => settings.config = given.value.into(),
                'n' => settings.name = given.value,
                'e' => settings.eof = true,
                's' => {
                    let power = options::number(&given.value).and_then(|n| u32::try_from(n).ok());
                    let power = power.filter(|n| *n <= SIZE_MAX).ok_or(UsageError::Size)?;
                    settings.size = (1 << power).max(4);
                }
                'a' => settings.active = seconds(&given)?,
                'p' => settings.passive = seconds(&given)?,
                _ => settings.set_global(&given.value)?,
            }
        }
        if settings.config.as_os_str().is_empty() || settings.name.is_empty() {
            return Err(UsageError::NoConfig);
        }
        if settings.passive > settings.active { Err(UsageError::Timeouts) } else { Ok(settings) }
    }

    fn set_global(&mut self, text: &str) -> Result<(), UsageError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        self.global = text[..digits].parse().map_err(|_| UsageError::Global)?;
        self.is_absolute = match &text[digits..] {
            "a" | "absolute" => true,
            "r" | "relative" | "" => false,
            _ => return Err(UsageError::Global),
        };
        Ok(())
    }
}

fn seconds(given: &options::Given) -> Result<u32, UsageError> {
    options::number(&given.value).and_then(|n| u32::try_from(n).ok()).ok_or(UsageError::Seconds(given.short))
}

impl BiflowError {
    /// Exit code of the original, which ends with 0 where the input lacks a field.
    pub fn exit_code(&self) -> u8 {
        match self {
            BiflowError::Plan(PlanError::Kind(_) | PlanError::SortKey)
            | BiflowError::Send(_)
            | BiflowError::Template(_) => 1,
            BiflowError::Plan(_) | BiflowError::Receive(_) => 0,
        }
    }
}

/// Aggregates until the stream ends (if that is wanted) or the stop flag is set, sends what is left and ends the stream.
pub fn run(input: &mut Input, output: &mut Output, settings: &Settings, config: &Config) -> Result<(), BiflowError> {
    input.require(Format::UniRec(String::new()));
    input.set_timeout(Timeout::Micros(TICK.as_micros() as u64));
    let mut stage =
        Stage { settings, config, template: Template::default(), cache: None, now: 0, flushed: 0, damaged: 0 };
    let ended = stage.receive(input, output);
    if let Some(cache) = &mut stage.cache {
        cache.send_all(output);
    }
    stage.tell();
    // Without a format there is nobody to tell.
    let _: trap::Sent = output.send_eof();
    output.flush().map_err(BiflowError::Send)?;
    ended
}

/// The flows and the time of the flows.
struct Stage<'a> {
    settings: &'a Settings,
    config: &'a Config,
    template: Template,
    cache: Option<Cache>,
    /// The latest end of a flow, seconds.
    now: u64,
    /// When all flows were sent last, seconds of flow time.
    flushed: u64,
    /// Records whose fields point outside of them.
    damaged: u64,
}

impl Stage<'_> {
    fn receive(&mut self, input: &mut Input, output: &mut Output) -> Result<(), BiflowError> {
        loop {
            let now = self.now;
            if self.settings.global == 0
                && let Some(cache) = &mut self.cache
                && cache.expire(|passive, _| now >= passive, output)
            {
                output.flush().map_err(BiflowError::Send)?;
            }
            let event = match input.recv_now().map_err(BiflowError::Receive)? {
                Event::Timeout => {
                    // Nothing waits: what was gathered goes out before the wait.
                    output.flush().map_err(BiflowError::Send)?;
                    input.recv().map_err(BiflowError::Receive)?
                }
                event => event,
            };
            let record = match event {
                Event::Message(record) => record,
                Event::FormatChanged { format, first } => {
                    self.template = Template::parse(format.spec())?;
                    self.format_changed(output)?;
                    first
                }
                Event::Timeout => continue,
                Event::Terminated => return Ok(()),
                Event::EndOfStream => {
                    // Behind its last file an input has nothing to wait for.
                    let is_over = input.kind() == IfcType::File && !input.is_connected();
                    if self.settings.eof || is_over {
                        return Ok(());
                    }
                    continue;
                }
            };
            // A format comes before the first message.
            let Some(cache) = &mut self.cache else { continue };
            let Ok(view) = View::new(&self.template, record) else {
                self.damaged += 1;
                continue;
            };
            let (first, last) = cache.plan().times(&view);
            self.now = self.now.max(last >> 32);
            let (now, first) = (self.now, first >> 32);
            let global = u64::from(self.settings.global);
            if global == 0 {
                cache.expire(|passive, active| first >= passive || now >= active, output);
            } else if now.saturating_sub(self.flushed) >= global {
                self.flushed = if self.settings.is_absolute { now / global * global } else { now };
                cache.send_all(output);
            }
            cache.add(&view, output);
        }
    }

    /// Sends all flows of the old template and begins anew.
    fn format_changed(&mut self, output: &mut Output) -> Result<(), BiflowError> {
        if let Some(mut old) = self.cache.take() {
            old.send_all(output);
            tell_unsent(&old);
        }
        let plan = Plan::new(self.config, &self.template)?;
        output.set_format(Format::UniRec(plan.output.spec())).map_err(BiflowError::Send)?;
        let Settings { size, active, passive, .. } = *self.settings;
        self.cache = Some(Cache::new(plan, size, active.into(), passive.into()));
        Ok(())
    }

    fn tell(&self) {
        if self.damaged > 0 {
            eprintln!("Warning: {} damaged records were skipped.", self.damaged);
        }
        self.cache.iter().for_each(tell_unsent);
    }
}

fn tell_unsent(cache: &Cache) {
    if cache.unsent > 0 {
        eprintln!("Cannot send record due to error or time_out: {} times", cache.unsent);
    }
}
