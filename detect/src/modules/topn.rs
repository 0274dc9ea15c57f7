//! topn: the flows, ports, addresses and networks with the most traffic of each interval, as text (spec/modules.md section 13).
use super::begin;
use crate::options::{self, value};
use crate::stream::{ReadError, Reader, Step};
use record::Kind;
use record::unirec::{SpecError, Template, View};
use statistics::{Record, Statistics};
use std::io::{self, Write};
use std::time::{Duration, Instant};
use trap::module::{Count, Module, ModuleInfo, Param};

pub mod ranking;
pub mod report;
pub mod statistics;
pub mod tables;

/// Rows of one table, at the most: there are no more ports.
const TOP_MAX: u64 = 65_536;

/// Ports of -p, at the most: each has tables of its own.
const PORTS_MAX: usize = 64;

const FIELDS: &str =
    "uint32 PACKETS,uint64 BYTES,ipaddr SRC_IP,ipaddr DST_IP,uint16 SRC_PORT,uint16 DST_PORT,uint8 PROTOCOL";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Rows of each table.
    pub top: usize,
    pub interval: Duration,
    /// Ports with tables of their own. One above 65535 has empty tables.
    pub ports: Vec<u32>,
    pub networks: Option<NetworkLengths>,
}

/// Lengths of the prefixes by which addresses are gathered to networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkLengths {
    pub v4: u8,
    /// `None`: IPv6 has no tables of networks.
    pub v6: Option<u8>,
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Invalid argument for parameter -{0}")]
    Number(char),
    #[error("Error during processing -{0} parameter.")]
    List(char),
    #[error("Parameter -{0} missing.")]
    Missing(char),
}

/// Why counting ended.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: {0}")]
    Spec(#[from] SpecError),
    /// Nobody reads any more (`topn | head`): a normal end.
    #[error("output closed by its reader")]
    ReaderGone,
    #[error("Error: cannot write the tables: {0}")]
    Write(io::Error),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Prints the flows, ports, addresses and networks with the most traffic of each interval.";

const INFO: ModuleInfo = ModuleInfo {
    name: "topn",
    description: "Module for computing various Top N statistics. Tables are printed with the first record after the end of an \
                  interval, and at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('n', "top_n", "uint16", "Number of entities for top N statistics. Mandatory."),
    value('l', "time", "uint32", "Length of time interval in seconds. Mandatory."),
    value(
        'p',
        "ports",
        "string",
        "Ports upon which statistics will be calculated independently: x1,x2,x3... (at most 64)",
    ),
    value('m', "prefix", "string", "Length of the prefix for IPv4 and IPv6: x1,x2 for both or x1 for IPv4 only."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let ran = Reader::new(&mut inputs[0], FIELDS)
        .map_err(TopError::Spec)
        .and_then(|mut reader| run(&mut reader, &settings, io::stdout().lock()));
    match ran {
        Ok(()) | Err(TopError::ReaderGone) => 0,
        Err(why) => {
            eprintln!("{why}");
            if let TopError::Read(why) = why { why.exit_code() } else { 1 }
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let (mut top, mut interval, mut ports, mut networks) = (None, None, Vec::new(), None);
        for given in options::parse(args, PARAMS)? {
            let number = |most| {
                let number = options::number(&given.value).filter(|n| (1..=most).contains(n));
                number.ok_or(UsageError::Number(given.short))
            };
            match given.short {
                'n' => top = Some(number(TOP_MAX)? as usize),
                'l' => interval = Some(Duration::from_secs(number(u32::MAX.into())?)),
                'p' => ports = read_ports(&given.value).ok_or(UsageError::List('p'))?,
                _ => networks = Some(NetworkLengths::parse(&given.value).ok_or(UsageError::List('m'))?),
            }
        }
        let top = top.ok_or(UsageError::Missing('n'))?;
        Ok(Settings { top, interval: interval.ok_or(UsageError::Missing('l'))?, ports, networks })
    }
}

/// Ports between commas, five digits at the most.
fn read_ports(text: &str) -> Option<Vec<u32>> {
    let words = text.split(',').filter(|word| !word.is_empty());
    let ports: Option<Vec<u32>> = words.map(|word| word.parse().ok().filter(|_| word.len() <= 5)).collect();
    ports.filter(|ports| ports.len() <= PORTS_MAX)
}

impl NetworkLengths {
    /// Reads `V4` (1 to 32) or `V4,V6` (1 to 128).
    pub fn parse(text: &str) -> Option<NetworkLengths> {
        let length = |text: &str, most| text.parse().ok().filter(|length| (1..=most).contains(length));
        match text.split_once(',') {
            Some((v4, v6)) => Some(NetworkLengths { v4: length(v4, 32)?, v6: Some(length(v6, 128)?) }),
            None => Some(NetworkLengths { v4: length(text, 32)?, v6: None }),
        }
    }
}

/// Counts until the stream ends and writes the tables of each interval. Whatever ends it, the last tables are written.
///
/// # Errors
/// See [`TopError`].
pub fn run(reader: &mut Reader<'_>, settings: &Settings, mut out: impl Write) -> Result<(), TopError> {
    let mut statistics = Statistics::new(settings);
    let ended = count(reader, settings, &mut statistics, &mut out);
    if !matches!(ended, Err(TopError::ReaderGone | TopError::Write(_))) {
        write(&statistics, settings, &mut out)?;
    }
    ended
}

fn count(
    reader: &mut Reader<'_>,
    settings: &Settings,
    statistics: &mut Statistics,
    out: &mut impl Write,
) -> Result<(), TopError> {
    let mut fields = Fields::default();
    let mut began = Instant::now();
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    fields = Fields::of(view.template());
                }
                statistics.add(&fields.read(&view));
                if began.elapsed() >= settings.interval {
                    write(statistics, settings, out)?;
                    statistics.clear();
                    began = Instant::now();
                }
            }
            Step::Nothing => {}
            Step::End(_) => return Ok(()),
        }
    }
}

fn write(statistics: &Statistics, settings: &Settings, out: &mut impl Write) -> Result<(), TopError> {
    let left_out = statistics.left_out();
    if left_out > 0 {
        eprintln!(
            "Warning: {left_out} addresses and networks with little traffic were left out of the tables for lack of room."
        );
    }
    let written = report::write(statistics, settings.top, jiff::Zoned::now(), out).and_then(|()| out.flush());
    written.map_err(|why| match why.kind() {
        io::ErrorKind::BrokenPipe => TopError::ReaderGone,
        _ => TopError::Write(why),
    })
}

/// Places of the fields in the template.
#[derive(Clone, Copy, Debug, Default)]
struct Fields {
    addresses: [usize; 2],
    ports: [usize; 2],
    protocol: usize,
    packets: usize,
    bytes: usize,
}

impl Fields {
    /// The reader has seen to it that the fields are there.
    fn of(template: &Template) -> Fields {
        let index = |name, kind| template.find(name, kind).unwrap_or(usize::MAX);
        Fields {
            addresses: [index("SRC_IP", Kind::Ip), index("DST_IP", Kind::Ip)],
            ports: [index("SRC_PORT", Kind::U16), index("DST_PORT", Kind::U16)],
            protocol: index("PROTOCOL", Kind::U8),
            packets: index("PACKETS", Kind::U32),
            bytes: index("BYTES", Kind::U64),
        }
    }

    fn read(&self, view: &View<'_>) -> Record {
        let number = |index| view.uint(index).unwrap_or(0);
        let unset = std::net::Ipv6Addr::UNSPECIFIED.into();
        let [source, destination] = self.addresses.map(|index| view.ip(index).unwrap_or(unset));
        Record {
            flow: ranking::Flow {
                source,
                destination,
                ports: self.ports.map(|index| number(index) as u16),
                protocol: number(self.protocol) as u8,
            },
            packets: number(self.packets),
            bytes: number(self.bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Settings, String> {
        let args: Vec<_> = line.split_whitespace().map(String::from).collect();
        Settings::parse(&args).map_err(|why| why.to_string())
    }

    #[test]
    fn options_and_their_refusals() {
        let all = parse("-n 3 -l 60 -p 53,443 -m 16,32").unwrap();
        assert_eq!((all.top, all.interval.as_secs(), all.ports), (3, 60, vec![53, 443]));
        assert_eq!(all.networks, Some(NetworkLengths { v4: 16, v6: Some(32) }));
        assert_eq!(parse("-n 3 -l 60 -m 8").unwrap().networks, Some(NetworkLengths { v4: 8, v6: None }));
        for (line, said) in [
            ("-l 5", "Parameter -n missing."),
            ("-n 5", "Parameter -l missing."),
            ("-n 0 -l 5", "Invalid argument for parameter -n"),
            ("-n 99999 -l 5", "Invalid argument for parameter -n"),
            ("-n 1 -l x", "Invalid argument for parameter -l"),
            ("-n 1 -l 1 -p 123456", "Error during processing -p parameter."),
            ("-n 1 -l 1 -p x", "Error during processing -p parameter."),
            ("-n 1 -l 1 -m 33", "Error during processing -m parameter."),
            ("-n 1 -l 1 -m 8,129", "Error during processing -m parameter."),
            ("-n 1 -l 1 -m 8,8,8", "Error during processing -m parameter."),
            ("-n 1 -l 1 -m 0", "Error during processing -m parameter."),
        ] {
            assert_eq!(parse(line).unwrap_err(), said, "{line}");
        }
    }
}
