//! email_reporter: every record becomes a mail (spec/modules.md section 21).
//!
//! Contract: a record is sent, or counted and named as not sent; a server that stalls costs [`LIMITS`] for each of [`PAUSES`] and one
//! attempts, then the record or the module gives up. Values of records cannot add headers, recipients or commands ([`message`]).
mod config;
pub(crate) mod message;
pub(crate) mod smtp;

use super::start;
use crate::argparse::{self, ArgError, long_flag, long_value, positional};
use crate::client::{Limits, Trust};
use crate::options::flag;
use crate::pytrap;
use crate::reading::{Next, ReadError, Reader};
pub use config::{Config, ConfigError, Encryption, Mailbox, Server, fuzz_config};
use jiff::{Timestamp, Zoned};
use lettre::Address;
use message::Message;
use record::unirec::{Datum, View};
use record::{Time, Value};
use smtp::{Client, SmtpError};
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};
use trap::module::{self, Count, Module, ModuleInfo, Param};
use trap::{Input, Stop, log};

/// How long the server may take: a minute for each answer, three for a message.
pub const LIMITS: Limits = Limits { idle: Duration::from_secs(60), total: Duration::from_secs(180) };
/// Pauses before a message is tried again after a failure that may pass.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// The original's words for a command line without `-i` or a file.
const USAGE: &str = "Usage:\n   email_reporter -i \"ifc_spec\" [options] CONFIG_FILE";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Path of the configuration.
    pub config: String,
    /// Print the messages, send nothing.
    pub dry_run: bool,
    /// Do not try the server before the first record.
    pub skip_smtp_test: bool,
    pub verbose: bool,
    pub limits: Limits,
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("email_reporter: error: {0}")]
    Option(#[from] ArgError),
    #[error("email_reporter: error: option --limit: invalid integer value: {0:?}")]
    Limit(String),
    #[error("{USAGE}")]
    Words,
}

/// Why reporting ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: cannot print a message: {0}")]
    Print(io::Error),
    #[error("Error when trying to connect to '{host}:{port}': {source}")]
    Connect { host: String, port: u16, source: SmtpError },
    #[error("Error: the mail server {host}:{port} cannot be used: {source}")]
    Server { host: String, port: u16, source: SmtpError },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub records: u64,
    /// Messages that the server took for one recipient at least, or that were printed.
    pub sent: u64,
    /// Messages that nobody got.
    pub failed: u64,
    /// Recipients refused of messages that others got.
    pub refused: u64,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends a mail for every record.";

const INFO: ModuleInfo = ModuleInfo {
    name: "email_reporter",
    description: "Each record is put into a message's template and sent as mail. The configuration has three parts with a blank \
                  line between: settings (unirec=TYPE NAME,... server=HOST port=25 starttls=1 login=USER:PASSWORD; also tls=1, \
                  ca=FILE, verify=1), headers, and body; $NAME is replaced by the value of that field, $_DATETIME_ by the time.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    flag('d', "dry-run", "Print the messages instead of sending them."),
    long_flag("skip-smtp-test", "Do not connect to the server at the start to see whether it and the login work."),
    long_value("limit", "int32", "Messages per hour (default 20); read and, as in the original, not enforced."),
    long_flag("verbose", "As -v: print what is sent and received."),
    positional("CONFIG_FILE", "The configuration."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let args = argparse::plain_ifcspec(args);
    // The command line comes before the interfaces, as in the original.
    let settings = match module::parse(std::iter::once(INFO.name.to_owned()).chain(args.iter().cloned())) {
        Ok(line) => Settings::parse(&line.args[1..]),
        Err(module::Exit::NoSpecifier) => Err(UsageError::Words),
        Err(exit) => return exit.report(&INFO) as u8,
    };
    let settings = match settings {
        Ok(settings) => settings,
        Err(UsageError::Words) => {
            println!("{USAGE}");
            return 1;
        }
        Err(why) => {
            eprintln!("{why}");
            return 2;
        }
    };
    let Module { mut inputs, stop, .. } = match start(&INFO, &args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let settings = Settings { verbose: settings.verbose || log::level() >= 0, ..settings };
    let config = match Config::load(&settings.config) {
        Ok(config) => config,
        Err(why) => {
            eprintln!("{why}");
            return 1;
        }
    };
    let mut totals = Totals::default();
    let ended = run(&mut inputs[0], &stop, &config, &settings, &mut totals);
    if totals.failed + totals.refused > 0 {
        let Totals { records, failed, refused, .. } = totals;
        eprintln!(
            "Warning: {failed} of {records} messages were not sent; {refused} recipients of others were refused."
        );
    }
    match ended {
        Ok(()) => u8::from(totals.failed > 0),
        Err(ReportError::Read(why)) => why.report(),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let line = argparse::parse(args, PARAMS)?;
        let has = |option: &str| line.options.iter().any(|(name, _)| *name == option);
        for (_, value) in line.options.iter().filter(|(name, _)| *name == "limit") {
            value.trim().parse::<i64>().map_err(|_| UsageError::Limit(value.clone()))?;
        }
        let [config] = line.words.as_slice() else { return Err(UsageError::Words) };
        Ok(Settings {
            config: config.clone(),
            dry_run: has("dry-run"),
            skip_smtp_test: has("skip-smtp-test"),
            verbose: has("verbose"),
            limits: LIMITS,
        })
    }
}

/// Reports until the stream ends or the stop flag is set; `totals` is right whatever is answered.
///
/// # Errors
/// See [`ReportError`]: the server cannot be used at all, so every further record would be lost too.
pub fn run(
    input: &mut Input,
    stop: &Stop,
    config: &Config,
    settings: &Settings,
    totals: &mut Totals,
) -> Result<(), ReportError> {
    let reporter = Reporter { config, settings, stop };
    reporter.begin()?;
    let mut reader = Reader::new(input, &config.unirec)?;
    let mut places = Vec::new();
    loop {
        match reader.read()? {
            Next::Record { view, is_new } => {
                if is_new {
                    let names = config.message.fields().iter();
                    places = names.map(|name| crate::reading::field(view.template(), name)).collect();
                }
                totals.records += 1;
                reporter.report(&values(&view, &places), totals)?;
            }
            Next::Nothing | Next::Damaged => {}
            Next::Eof => {
                if settings.verbose {
                    println!("EOS received, exitting.");
                }
                return Ok(());
            }
            Next::Stopped => return Ok(()),
        }
    }
}

struct Reporter<'a> {
    config: &'a Config,
    settings: &'a Settings,
    stop: &'a Stop,
}

impl Reporter<'_> {
    /// Says what is going to be done, and tries the server.
    fn begin(&self) -> Result<(), ReportError> {
        let Server { host, port, encryption, trust, login } = &self.config.server;
        if self.settings.verbose {
            println!("Information parsed from config:");
            println!("  UniRec template:'{}'", self.config.unirec);
            println!("  SMTP server address:'{host}'");
            println!("  SMTP server port:{port}");
            println!("  Encryption:{encryption:?}");
            println!("  Login user:{:?}", login.as_ref().map(|(user, _)| user));
            println!("  Sender:'{}'", self.config.sender.shown);
            println!("  Recipients:{:?}", self.shown_recipients());
        }
        if self.settings.dry_run {
            return Ok(());
        }
        if *encryption != Encryption::None && *trust == Trust::Anyone {
            eprintln!(
                "Warning: the certificate of {host} is not checked; verify=1 or ca=FILE in the configuration does that."
            );
        }
        if !self.settings.skip_smtp_test {
            self.open()?.quit();
        }
        Ok(())
    }

    fn report(&self, values: &[String], totals: &mut Totals) -> Result<(), ReportError> {
        let sent = match self.config.message.fill(values, Timestamp::now()) {
            Ok(message) if self.settings.dry_run => self.print(&message).map(|()| Ok(Vec::new())),
            Ok(message) => self.send(&message),
            Err(why) => Ok(Err(why.to_string())),
        };
        match sent {
            Ok(Ok(refused)) => {
                totals.sent += 1;
                totals.refused += refused.len() as u64;
                for (address, why) in refused {
                    eprintln!("Warning: {address} does not get message {}: {why}", totals.records);
                }
                Ok(())
            }
            Ok(Err(why)) => {
                totals.failed += 1;
                eprintln!("Warning: message {} was not sent: {why}", totals.records);
                Ok(())
            }
            Err(why) => {
                totals.failed += 1;
                Err(why)
            }
        }
    }

    fn print(&self, message: &Message) -> Result<(), ReportError> {
        let mut out = io::stdout().lock();
        let line = "-".repeat(71);
        let time = Zoned::now().strftime("%Y-%m-%dT%H:%M:%S");
        let recipients = self.shown_recipients().join(", ");
        let blanks = " ".repeat(14);
        writeln!(out, "{line}\nTIME: {time}\nFROM: {}\nRECIPIENTS:{recipients}", self.config.sender.shown)
            .and_then(|()| writeln!(out, "{blanks}----- MESSAGE STARTS ON THE NEXT LINE -----{blanks}"))
            .and_then(|()| writeln!(out, "{}", message.to_text()))
            .and_then(|()| out.flush())
            .map_err(ReportError::Print)
    }

    /// Sends a message over a connection of its own; answers the recipients refused, or why it was given up.
    fn send(&self, message: &Message) -> Result<Result<Vec<(Address, String)>, String>, ReportError> {
        let wire = message.to_wire();
        let to: Vec<_> = self.config.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        let mut pauses = PAUSES.iter();
        loop {
            let mut client = self.open()?;
            let sent = client.send(&self.config.sender.address, &to, &wire);
            client.quit();
            match sent {
                Ok(refused) => return Ok(Ok(refused)),
                Err(why) if !why.is_passing() || !self.pause(pauses.next()) => return Ok(Err(why.to_string())),
                Err(_) => {}
            }
        }
    }

    /// A connection that is ready for a message. What may pass is tried again, a refused connection is not: the original ends then.
    fn open(&self) -> Result<Client, ReportError> {
        let server = &self.config.server;
        let mut pauses = PAUSES.iter();
        loop {
            let source = match Client::open(server, self.settings.limits, self.stop, self.settings.verbose) {
                Ok(client) => return Ok(client),
                Err(why) => why,
            };
            let (host, port) = (server.host.clone(), server.port);
            match source {
                SmtpError::Connect(_) => return Err(ReportError::Connect { host, port, source }),
                _ if source.is_passing() && self.pause(pauses.next()) => {}
                _ => return Err(ReportError::Server { host, port, source }),
            }
        }
    }

    /// Waits; false if there is no pause left or the module shall stop.
    fn pause(&self, pause: Option<&Duration>) -> bool {
        let Some(pause) = pause else { return false };
        let until = Instant::now() + *pause;
        while !self.stop.is_set() && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
        !self.stop.is_set()
    }

    fn shown_recipients(&self) -> Vec<&str> {
        self.config.recipients.iter().map(|recipient| recipient.shown.as_str()).collect()
    }
}

/// Values of the fields at `places`, as Python prints them.
fn values(view: &View<'_>, places: &[usize]) -> Vec<String> {
    places
        .iter()
        .map(|place| match view.get(*place) {
            Some(Datum::Value(Value::Time(time))) => datetime(time),
            Some(datum) => pytrap::text(datum),
            None => String::new(),
        })
        .collect()
}

/// `str` of Python's datetime, UTC; no fraction if its milliseconds are zero.
fn datetime(time: Time) -> String {
    let at = Timestamp::from_second(time.secs() as i64).unwrap_or_default();
    let text = at.strftime("%Y-%m-%d %H:%M:%S");
    match time.subsec_nanos() / 1_000_000 {
        0 => text.to_string(),
        millis => format!("{text}.{millis:03}000"),
    }
}
