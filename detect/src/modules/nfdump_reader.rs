//! nfdump_reader, in Debian's words nfreader: the flows of nfdump's files as records (spec/modules.md section 7).
use super::start;
use crate::clock::unix_secs;
use crate::nfdump::{Flow, NfError, Reader, filter};
use crate::options::{self, flag, value};
use crate::progress::Progress;
use crate::stream::Sender;
use pace::Pace;
use record::unirec::{Builder, SetError, SpecError, Template};
use record::{Time, Value};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use trap::module::{self, Argument, Count, Module, ModuleInfo, Param};
use trap::{Stop, TrapError};

mod pace;

/// Records a second, at the least.
const RATE_MIN: u64 = 100;

const FIELDS: &str = "ipaddr SRC_IP,ipaddr DST_IP,uint16 SRC_PORT,uint16 DST_PORT,uint8 PROTOCOL,uint32 PACKETS,uint64 BYTES,\
                      time TIME_FIRST,time TIME_LAST,uint8 TCP_FLAGS,uint64 LINK_BIT_FIELD,uint8 DIR_BIT_FIELD,uint8 TOS,uint8 TTL";

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    pub files: Vec<PathBuf>,
    pub filter: Option<filter::Filter>,
    /// Send so many records, over all files.
    pub first: Option<u64>,
    pub no_eof: bool,
    /// Times are those of sending.
    pub send_time: bool,
    /// DIR_BIT_FIELD tells the input interface.
    pub interface_bit: bool,
    /// LINK_BIT_FIELD.
    pub links: u64,
    /// A dot for every so many flows; 0 prints none.
    pub print: u64,
    pub pace: Pace,
}

/// Why the command line was refused; exit code 2.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Invalid maximal number of records.")]
    First,
    #[error("Error: 'progress' argument has to be greater than zero.")]
    Progress,
    #[error("Invalid sending rate ({RATE_MIN} rec/s is minimum).")]
    Rate,
    #[error("Invalid link mask.")]
    Links,
    #[error("Wrong parameters, use only one of -r / -R.")]
    TwoPaces,
    #[error(
        "Wrong number of parameters.\nUsage: nfdump_reader -i trap-ifc-specifier [-f FILTER] [-n] [-c NUM] [-r NUM] [-R] [-T] [-l MASK] \
         [-D] nfdump-file [nfdump-file...]"
    )]
    NoFile,
}

/// Why reading ended; exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("Can not init filter '{text}'\n{why}")]
    Filter { text: String, why: filter::FilterError },
    #[error("Error when trying to open file \"{path}\": {why}")]
    Open { path: String, why: NfError },
    #[error("Error during reading file \"{path}\": {why}")]
    Read { path: String, why: NfError },
    #[error("Error: {0}")]
    Output(#[from] TrapError),
    #[error("Error: {0}")]
    Spec(#[from] SpecError),
    #[error("Error: {0}")]
    Set(#[from] SetError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends the flows of nfdump files.";

const INFO: ModuleInfo = ModuleInfo {
    name: "nfdump_reader",
    description: "This module reads a given nfdump file and outputs flow records in UniRec format. If more files are specified, all flows \
                  from the first file are read, then all flows from second file and so on.",
    inputs: Count::Exactly(0),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'f',
        "filter",
        "string",
        "A nfdump-like filter expression. Only records matching the filter will be sent to the output.",
    ),
    value('c', "first", "uint64", "Read only the first N flow records."),
    flag('n', "no_eof", "Don't send EOF message at the end."),
    flag('T', "send_time", "Replace original timestamps by record actual sending time."),
    flag('D', "DBF_record", "Fill DIR_BIT_FIELD according to record direction."),
    value(
        'l',
        "link_mask",
        "string",
        "Use this hexadecimal number for LINK_BIT_FIELD, e.g. 1, c2 or AB. Default is 1.",
    ),
    value('p', "print", "uint64", "Show progress - print a dot every N flows."),
    value('r', "rate", "uint64", "Rate limiting. Limiting sending flow rate to N records/sec, at least 100."),
    flag('R', "resend", "Real time re-sending: flows follow each other as they ended."),
    Param {
        short: Some('-'),
        long: "",
        description: "Input files - one or more nfdump files to read.",
        argument: Argument::Required,
        argument_type: "string",
    },
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let argv = std::iter::once(INFO.name.to_owned()).chain(args.iter().cloned());
    let line = match module::parse(argv) {
        Ok(line) => line,
        Err(exit) => return exit.report(&INFO) as u8,
    };
    let (mut settings, filter) = match Settings::parse(&line.args[1..]) {
        Ok(parsed) => parsed,
        Err(why) => {
            eprintln!("{why}");
            return 2;
        }
    };
    let Module { mut outputs, stop, .. } = match start(&INFO, args, 4) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let mut sender = Sender::new(&mut outputs[0]);
    let ran = read_filter(filter).and_then(|filter| {
        settings.filter = filter;
        run(&settings, &mut sender, &stop)
    });
    let finished = sender.finish();
    match ran {
        Ok(()) => u8::from(!finished),
        Err(why) => {
            eprintln!("{why}");
            3
        }
    }
}

fn read_filter(text: Option<String>) -> Result<Option<filter::Filter>, ReadError> {
    let Some(text) = text else { return Ok(None) };
    filter::parse(&text).map(Some).map_err(|why| ReadError::Filter { text, why })
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone; the text of the filter is read later.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<(Settings, Option<String>), UsageError> {
        let (given, files) = options::parse_with_words(args, PARAMS)?;
        let mut settings =
            Settings { links: 1, files: files.into_iter().map(PathBuf::from).collect(), ..Settings::default() };
        let (mut text, mut rate, mut resend) = (None, None, false);
        for given in given {
            let number = |least| options::number(&given.value).filter(|n| *n >= least);
            match given.short {
                'f' => text = Some(given.value),
                'c' => settings.first = Some(number(1).ok_or(UsageError::First)?),
                'n' => settings.no_eof = true,
                'T' => settings.send_time = true,
                'D' => settings.interface_bit = true,
                'l' => {
                    let digits = given.value.trim_start_matches("0x");
                    settings.links = u64::from_str_radix(digits, 16).map_err(|_| UsageError::Links)?;
                }
                'p' => settings.print = number(1).ok_or(UsageError::Progress)?,
                'r' => rate = Some(number(RATE_MIN).ok_or(UsageError::Rate)?),
                _ => resend = true,
            }
        }
        settings.pace = match (rate, resend) {
            (Some(_), true) => return Err(UsageError::TwoPaces),
            (Some(rate), false) => Pace::rate(rate),
            (None, true) => Pace::Resend { base: None },
            (None, false) => Pace::Fast,
        };
        if settings.files.is_empty() { Err(UsageError::NoFile) } else { Ok((settings, text)) }
    }
}

/// Sends the flows of all files. The receivers are told of the end only if all went well.
///
/// # Errors
/// See [`ReadError`].
pub fn run(settings: &Settings, sender: &mut Sender<'_>, stop: &Stop) -> Result<(), ReadError> {
    let template = Template::parse(FIELDS)?;
    sender.set_template(&template)?;
    let mut work = Work {
        settings,
        pace: settings.pace,
        progress: Progress::new(settings.print, '.'),
        records: Records::new(&template),
        record: Vec::new(),
        read: 0,
        flows: 0,
    };
    for path in &settings.files {
        if !work.file(path, sender, stop)? {
            break;
        }
    }
    work.progress.end();
    println!("{} flow records sent", work.flows);
    if !settings.no_eof && !stop.is_set() {
        sender.send_eof();
    }
    Ok(())
}

/// What goes on from file to file.
struct Work<'s> {
    settings: &'s Settings,
    pace: Pace,
    progress: Progress,
    records: Records<'s>,
    record: Vec<u8>,
    /// Flows of all files that were read, and those that were sent.
    read: u64,
    flows: u64,
}

impl Work<'_> {
    /// Sends the flows of one file; false if no more are wanted.
    fn file(&mut self, path: &Path, sender: &mut Sender<'_>, stop: &Stop) -> Result<bool, ReadError> {
        let named = || path.display().to_string();
        let mut reader = Reader::open(path).map_err(|why| ReadError::Open { path: named(), why })?;
        while !stop.is_set() && self.settings.first.is_none_or(|first| self.flows < first) {
            let flow = reader.next_flow().map_err(|why| ReadError::Read { path: named(), why })?;
            let Some(flow) = flow else { return Ok(true) };
            self.read += 1;
            if self.settings.filter.as_ref().is_some_and(|filter| !filter.matches(&flow, self.read)) {
                continue;
            }
            self.pace.wait(&flow, sender, stop);
            self.records.set(&flow, self.settings)?;
            match self.records.builder.finish(&mut self.record) {
                Ok(()) => sender.send(&self.record),
                Err(why) => sender.too_large(why),
            }
            self.flows += 1;
            self.progress.count();
        }
        Ok(false)
    }
}

/// A record under construction and the places of its fields.
struct Records<'t> {
    builder: Builder<'t>,
    /// Indexes in the order of [`FIELDS`].
    fields: Vec<usize>,
}

impl<'t> Records<'t> {
    fn new(template: &'t Template) -> Records<'t> {
        let names = FIELDS.split(',').filter_map(|field| field.split_whitespace().last());
        // The template was made of these very names.
        let fields = names.map(|name| template.index_of(name).unwrap_or(usize::MAX)).collect();
        Records { builder: Builder::new(template), fields }
    }

    fn set(&mut self, flow: &Flow, settings: &Settings) -> Result<(), SetError> {
        let [first, last] = if settings.send_time { sent_now(flow) } else { [flow.first, flow.last] };
        let time = |millis: u64| Value::Time(Time(millis.saturating_mul(1_000_000)));
        // In eight bits, so interfaces above 7 have none.
        let interface =
            if settings.interface_bit && flow.input > 0 { 1u8.checked_shl(flow.input).unwrap_or(0) } else { 0 };
        let values = [
            Value::Ip(address(flow.source)),
            Value::Ip(address(flow.destination)),
            Value::Uint(flow.ports[0].into()),
            Value::Uint(flow.ports[1].into()),
            Value::Uint(flow.protocol.into()),
            // The field has 32 bits.
            Value::Uint(flow.packets.min(u32::MAX.into())),
            Value::Uint(flow.bytes),
            time(first),
            time(last),
            Value::Uint(flow.tcp_flags.into()),
            Value::Uint(settings.links),
            Value::Uint(interface.into()),
        ];
        // TOS and TTL stay 0, as in the original.
        self.fields.iter().zip(values).try_for_each(|(field, value)| self.builder.set(*field, value))
    }
}

/// The address as the original tells it: it knows the family by the shape, so `::a.b.c.d` is the IPv4 address.
fn address(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) if v6.to_bits() >> 32 == 0 && v6.to_bits() > 1 => {
            std::net::Ipv4Addr::from_bits(v6.to_bits() as u32).into()
        }
        ip => ip,
    }
}

/// Times as if the flow ended in this second; whole seconds move, milliseconds stay.
fn sent_now(flow: &Flow) -> [u64; 2] {
    let now = unix_secs();
    let length = (flow.last / 1_000).saturating_sub(flow.first / 1_000);
    [now.saturating_sub(length) * 1_000 + flow.first % 1_000, now * 1_000 + flow.last % 1_000]
}
