//! brute_force_detector: passwords tried over SSH, RDP and TELNET, told by the sizes of flows (spec/detectors.md section 4).
mod config;
mod host;
mod service;
mod telnet;
mod whitelist;

use crate::detector;
use crate::options::{self, flag, value};
use crate::sdk::{self, Failure, GO_ON, Handler, IpAddr, Reader, Step, Time, View};
pub use config::fuzz_config;
use config::{Config, SERVICES, Service};
use host::{Report, is_over};
use record::unirec::{Builder, SetError, Template};
use record::{Value, fields};
use service::{Counts, Flow, Watch};
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trap::module::{Count, ModuleInfo, Param};
use trap::{Format, Input, Output, Timeout};
use whitelist::Whitelist;
pub use whitelist::fuzz_whitelist;

const TCP: u8 = 6;
/// What reporters know a brute force attack by.
const WARDEN_TYPE: u64 = 2;
/// A silent input looks for signals this often, microseconds.
const POLL_US: u64 = 500_000;

const OUTPUT: &str =
    "ipaddr SRC_IP,time DETECTION_TIME,uint32 EVENT_SCALE,uint16 DST_PORT,uint8 PROTOCOL,uint8 WARDEN_TYPE,string NOTE";

/// What the user asked for.
#[derive(Debug, Default)]
pub struct Settings {
    services: Vec<Service>,
    config_file: Option<PathBuf>,
    config: Config,
    whitelist_file: Option<PathBuf>,
    whitelist: Whitelist,
}

/// Why the command line was refused.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Detection mode is not set.")]
    NoService,
    #[error("Error: Cannot open configuration file \"{0}\".\n{1}")]
    Config(PathBuf, io::Error),
    #[error("Error: Cannot open whitelist file.\n{0}")]
    Whitelist(io::Error),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects brute force attacks on SSH, RDP and TELNET.";

const INFO: ModuleInfo = ModuleInfo {
    name: "brute_force_detector",
    description: "A module used for detecting brute force dictionary attacks on SSH, RDP and TELNET. Of each host the last flows are \
                  remembered; when enough of them have the sizes of failed logins, an alert is sent.\nFor each service at most 131072 hosts \
                  and 2097152 flows are remembered (up to 100 MB); hosts without a flow for longest make room for others, which is counted \
                  and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    flag('S', "SSH", "Set detection mode to SSH."),
    flag('R', "RDP", "Set detection mode to RDP."),
    flag('T', "TELNET", "Set detection mode to TELNET."),
    value('c', "config", "string", "Configuration file; SIGUSR1 reads it again."),
    value('w', "whitelist", "string", "Whitelist file; SIGUSR2 reads it again."),
    flag('W', "verbose", "Set whitelist parser to verbose mode."),
];

fields! {
    struct Fields {
        source: IpAddr = "SRC_IP",
        destination: IpAddr = "DST_IP",
        source_port: u16 = "SRC_PORT",
        destination_port: u16 = "DST_PORT",
        protocol: u8 = "PROTOCOL",
        packets: u32 = "PACKETS",
        bytes: u64 = "BYTES",
        _first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        flags: u8 = "TCP_FLAGS",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let usage_code = |why: &UsageError| match why {
        UsageError::Option(_) | UsageError::NoService => 3,
        UsageError::Config(..) | UsageError::Whitelist(_) => 5,
    };
    detector::run(&INFO, args, Settings::parse, usage_code, run)
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone, and the files.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let (mut settings, mut is_verbose) = (Settings::default(), false);
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'S' => settings.services.push(Service::Ssh),
                'R' => settings.services.push(Service::Rdp),
                'T' => settings.services.push(Service::Telnet),
                'c' => settings.config_file = Some(given.value.into()),
                'w' => settings.whitelist_file = Some(given.value.into()),
                _ => is_verbose = true,
            }
        }
        if settings.services.is_empty() {
            return Err(UsageError::NoService);
        }
        if let Some(path) = &settings.config_file {
            settings.config.load(path).map_err(|why| UsageError::Config(path.clone(), why))?;
        }
        if let Some(path) = &settings.whitelist_file {
            settings.whitelist = Whitelist::load(path, is_verbose).map_err(UsageError::Whitelist)?;
        }
        Ok(settings)
    }

    /// SIGUSR1: takes over what the configuration file says now.
    fn reload_config(&mut self) {
        match self.config_file.as_deref().map(|path| self.config.load(path)) {
            Some(Ok(())) => println!("Config: Configuration reloaded successfully."),
            Some(Err(why)) => eprintln!("Error Config: Configuration reload failed!\n{why}"),
            None => eprintln!("Error Config: Configuration path is not set!"),
        }
    }

    /// SIGUSR2: takes the whitelist as it is now; one that cannot be read changes nothing.
    fn reload_whitelist(&mut self) {
        match self.whitelist_file.as_deref().map(|path| Whitelist::load(path, false)) {
            Some(Ok(list)) => {
                self.whitelist = list;
                println!("Whitelist: Whitelist reloaded successfully.");
            }
            Some(Err(why)) => eprintln!("Error Whitelist: Cannot open whitelist file!\n{why}"),
            None => eprintln!("Error Whitelist: Whitelist path is not set!"),
        }
    }
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    let template = Template::parse(OUTPUT).map_err(Failure::Template)?;
    output.set_format(Format::UniRec(template.spec())).map_err(Failure::Send)?;
    input.set_timeout(Timeout::Micros(POLL_US));
    let on_signal = |signal, flag: &Arc<AtomicBool>| {
        signal_hook::flag::register(signal, Arc::clone(flag))
            .map_err(|why| Failure::Other(format!("cannot watch signals: {why}")))
    };
    let signals = [Arc::default(), Arc::default()];
    on_signal(SIGUSR1, &signals[0])?;
    on_signal(SIGUSR2, &signals[1])?;
    let watched = |service: &Service| settings.services.contains(service);
    let mut detection = Detection {
        watches: SERVICES.into_iter().filter(watched).map(Watch::new).collect(),
        // A new configuration does not change these, as in the original.
        report_check: Check::new(settings.config.report_check),
        delete_check: Check::new(settings.config.delete_check),
        settings,
        signals,
        alerts: Alerts { record: Builder::new(&template), message: Vec::new(), output },
    };
    let ended = Reader::new(input).run(&mut detection);
    for watch in &detection.watches {
        // A closed terminal is no reason to fail at the end.
        let _ = print(watch.service, &watch.counts, watch.hosts(), io::stdout().lock());
        watch.tell();
    }
    // The original's receivers hear nothing of the end.
    ended.map(|_| ())
}

struct Detection<'o> {
    settings: Settings,
    watches: Vec<Watch>,
    report_check: Check,
    delete_check: Check,
    /// SIGUSR1 and SIGUSR2 came.
    signals: [Arc<AtomicBool>; 2],
    alerts: Alerts<'o>,
}

impl Handler<Fields> for Detection<'_> {
    fn record(&mut self, fields: &Fields, record: &View<'_>) -> Step {
        self.heed_signals();
        let ports = [fields.source_port(record), fields.destination_port(record)];
        let is_service = |port| SERVICES.iter().any(|service| service.port() == port);
        if fields.protocol(record) != TCP || !ports.into_iter().any(is_service) {
            return GO_ON;
        }
        let is_answer = !is_service(ports[1]);
        let source = (fields.source(record), ports[0]);
        let destination = (fields.destination(record), ports[1]);
        let (attacker, victim) = if is_answer { (destination, source) } else { (source, destination) };
        let last = fields.last(record);
        let flow = Flow {
            attacker,
            victim,
            is_answer,
            last,
            packets: fields.packets(record),
            bytes: fields.bytes(record),
            flags: fields.flags(record),
        };
        let (config, whitelist) = (&self.settings.config, &self.settings.whitelist);
        let mut step = GO_ON;
        for watch in self.watches.iter_mut().filter(|watch| ports.contains(&watch.service.port())) {
            if let Some(report) = watch.add(&flow, config, whitelist) {
                step = self.alerts.send(watch.service, attacker.0, &report);
            }
        }
        if self.report_check.is_due(last) {
            for watch in &mut self.watches {
                for (host, report) in watch.end_silent(last, config) {
                    step = self.alerts.send(watch.service, host, &report);
                }
            }
        }
        if self.delete_check.is_due(last) {
            self.watches.iter_mut().for_each(|watch| watch.forget_old(last, config));
        }
        step
    }

    fn idle(&mut self) -> Step {
        self.heed_signals();
        GO_ON
    }
}

impl Detection<'_> {
    fn heed_signals(&mut self) {
        // A load alone is cheap enough for each record.
        let came = |flag: &AtomicBool| flag.load(Ordering::Relaxed) && flag.swap(false, Ordering::Relaxed);
        if came(&self.signals[0]) {
            self.settings.reload_config();
        }
        if came(&self.signals[1]) {
            self.settings.reload_whitelist();
        }
    }
}

/// Something that is done at intervals of flow time.
#[derive(Clone, Copy, Debug)]
struct Check {
    last: Time,
    secs: u32,
}

impl Check {
    fn new(secs: u32) -> Check {
        Check { last: Time::default(), secs }
    }

    fn is_due(&mut self, now: Time) -> bool {
        let is_due = is_over(self.last, self.secs, now);
        if is_due {
            self.last = now;
        }
        is_due
    }
}

/// The output, and a record in which alerts are made.
struct Alerts<'o> {
    record: Builder<'o>,
    message: Vec<u8>,
    output: &'o mut Output,
}

impl Alerts<'_> {
    fn send(&mut self, service: Service, host: IpAddr, report: &Report) -> Step {
        // A note is bounded, so a record fits.
        let is_made = self.fill(service, host, report).is_ok() && self.record.finish(&mut self.message).is_ok();
        if is_made { sdk::step(self.output.send(&self.message)) } else { GO_ON }
    }

    fn fill(&mut self, service: Service, host: IpAddr, report: &Report) -> Result<(), SetError> {
        let values = [
            ("SRC_IP", Value::Ip(host)),
            ("DETECTION_TIME", Value::Time(report.at)),
            ("EVENT_SCALE", Value::Uint(report.scale.into())),
            ("DST_PORT", Value::Uint(service.port().into())),
            ("PROTOCOL", Value::Uint(TCP.into())),
            ("WARDEN_TYPE", Value::Uint(WARDEN_TYPE)),
            ("NOTE", Value::Text(report.note.as_bytes())),
        ];
        let template = self.record.template();
        values
            .into_iter()
            .try_for_each(|(name, value)| self.record.set(template.index_of(name).unwrap_or(usize::MAX), value))
    }
}

/// What was counted, as the original prints it.
fn print(service: Service, counts: &Counts, hosts: usize, mut out: impl Write) -> io::Result<()> {
    let name = service.name();
    let (flows, matched) = (counts.flows.iter().sum(), counts.matched.iter().sum());
    writeln!(out, "{name} Counter: {}", grouped(flows))?;
    let mut line = |what: &str, part: u64, wholes: &[u64]| {
        let shares: String = wholes.iter().map(|whole| share(part, *whole)).collect();
        writeln!(out, "{name} {what}: {}{shares}", grouped(part))
    };
    line("Incoming Counter", counts.flows[0], &[flows])?;
    line("Outgoing Counter", counts.flows[1], &[flows])?;
    line("Matched Counter", matched, &[flows])?;
    line("Matched Incoming Counter", counts.matched[0], &[matched, flows])?;
    line("Matched Outgoing Counter", counts.matched[1], &[matched, flows])?;
    writeln!(out, "{name} host map size: {}", grouped(hosts as u64))
}

/// Per cent in brackets; nothing of nothing, which is said as the original says it.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        eprintln!("Attempted division by zero in printFlowPercent.");
        return String::new();
    }
    format!(" ({:.2}%)", 100.0 / whole as f64 * part as f64)
}

/// A number with dots between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_as_the_original_prints_them() {
        let counts = Counts { flows: [985, 759], matched: [793, 713] };
        let mut out = Vec::new();
        print(Service::Ssh, &counts, 35, &mut out).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "SSH Counter: 1.744\nSSH Incoming Counter: 985 (56.48%)\nSSH Outgoing Counter: 759 (43.52%)\n\
             SSH Matched Counter: 1.506 (86.35%)\nSSH Matched Incoming Counter: 793 (52.66%) (45.47%)\n\
             SSH Matched Outgoing Counter: 713 (47.34%) (40.88%)\nSSH host map size: 35\n"
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1.000", "1.234.567"]);
    }

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map(|settings| settings.services.len()).map_err(|why| why.to_string())
        };
        assert_eq!(parse("-RST"), Ok(3));
        assert_eq!(parse("-W").unwrap_err(), "Error: Detection mode is not set.");
        assert!(parse("-S -x").unwrap_err().starts_with("Error: Invalid arguments."));
        assert!(
            parse("-S -c /nonexist/c")
                .unwrap_err()
                .starts_with("Error: Cannot open configuration file \"/nonexist/c\".")
        );
        assert!(parse("-S -w /nonexist/w").unwrap_err().starts_with("Error: Cannot open whitelist file."));
    }
}
