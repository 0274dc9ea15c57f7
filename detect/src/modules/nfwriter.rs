//! nfwriter: records as a file of nfdump (spec/modules.md section 8).
use super::begin;
use crate::nfdump::{Compression, Extra, Flow, NfError, Writer};
use crate::options::{self, flag, value};
use crate::stream::{ReadError, Reader, Step};
use record::Kind;
use record::unirec::{SpecError, Template, View};
use std::net::IpAddr;
use std::path::PathBuf;
use trap::module::{Count, Module, ModuleInfo, Param};

const FIELDS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
                      uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TOS,uint8 TTL";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub file: PathBuf,
    /// Go on with a file that is there.
    pub append: bool,
    /// Of a new file.
    pub compression: Compression,
}

/// Why the command line was refused; exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("nfwriter: Error: invalid arguments\n{0}")]
    Option(#[from] options::OptError),
    #[error("nfwriter: Error: specify output file with -f param")]
    NoFile,
}

/// Why writing ended.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("nfwriter: Error: {0}")]
    Spec(#[from] SpecError),
    #[error("nfwriter: Error: unable to open file \"{path}\" for writing\n{why}")]
    Open { path: String, why: NfError },
    #[error("nfwriter: Error: unable to write flow to file\n{0}")]
    Write(NfError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Writes flows to a file of nfdump.";

const INFO: ModuleInfo = ModuleInfo {
    name: "nfwriter",
    description: "This module write flows from input ifc to file in nfdump format. The file can be read when the module has ended.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('f', "file", "string", "Output nfdump file. Mandatory."),
    flag('a', "append", "Append output to file; it keeps its compression."),
    flag('b', "bz2", "Compress with bz2."),
    flag('l', "lzo", "Compress with lzo."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let ran = Reader::new(&mut inputs[0], FIELDS)
        .map_err(WriteError::Spec)
        .and_then(|mut reader| run(&mut reader, &settings));
    match ran {
        Ok(flows) => {
            println!("nfwriter: {flows} flows written to file");
            0
        }
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let (mut file, mut append, mut compression) = (None, false, Compression::None);
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'f' => file = Some(given.value.into()),
                'a' => append = true,
                'b' => compression = Compression::Bzip2,
                _ => compression = Compression::Lzo,
            }
        }
        Ok(Settings { file: file.ok_or(UsageError::NoFile)?, append, compression })
    }
}

/// Writes flows until the stream ends, and answers how many. Whatever ends it, the file is made whole.
///
/// # Errors
/// See [`WriteError`].
pub fn run(reader: &mut Reader<'_>, settings: &Settings) -> Result<u64, WriteError> {
    let Settings { file, append, compression } = settings;
    let opened = if *append { Writer::append(file, *compression) } else { Writer::create(file, *compression) };
    let mut writer = opened.map_err(|why| WriteError::Open { path: file.display().to_string(), why })?;
    let written = receive(reader, &mut writer);
    writer.finish().map_err(WriteError::Write)?;
    written
}

fn receive(reader: &mut Reader<'_>, writer: &mut Writer) -> Result<u64, WriteError> {
    let mut fields = None;
    let mut flows = 0;
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    fields = Fields::of(view.template());
                }
                // The reader has seen to it that the fields are there.
                let Some(fields) = &fields else { continue };
                writer.add(&fields.flow(&view)).map_err(WriteError::Write)?;
                flows += 1;
            }
            Step::Nothing => {}
            Step::End(_) => return Ok(flows),
        }
    }
}

/// Places of the fields in the template.
struct Fields {
    addresses: [usize; 2],
    times: [usize; 2],
    ports: [usize; 2],
    packets: usize,
    bytes: usize,
    link: usize,
    direction: usize,
    protocol: usize,
    tcp_flags: usize,
    tos: usize,
}

impl Fields {
    fn of(template: &Template) -> Option<Fields> {
        let find = |name, kind| template.find(name, kind);
        Some(Fields {
            addresses: [find("SRC_IP", Kind::Ip)?, find("DST_IP", Kind::Ip)?],
            times: [find("TIME_FIRST", Kind::Time)?, find("TIME_LAST", Kind::Time)?],
            ports: [find("SRC_PORT", Kind::U16)?, find("DST_PORT", Kind::U16)?],
            packets: find("PACKETS", Kind::U32)?,
            bytes: find("BYTES", Kind::U64)?,
            link: find("LINK_BIT_FIELD", Kind::U64)?,
            direction: find("DIR_BIT_FIELD", Kind::U8)?,
            protocol: find("PROTOCOL", Kind::U8)?,
            tcp_flags: find("TCP_FLAGS", Kind::U8)?,
            tos: find("TOS", Kind::U8)?,
        })
    }

    fn flow(&self, view: &View<'_>) -> Flow {
        let number = |index| view.uint(index).unwrap_or(0);
        let [source, destination] = same_family(self.addresses.map(|index| view.ip(index)));
        // As the original: seconds and milliseconds, the rest cut.
        let [first, last] = self.times.map(|index| view.time(index).map_or(0, |time| time.millis()));
        Flow {
            first,
            last,
            packets: number(self.packets),
            bytes: number(self.bytes),
            source,
            destination,
            ports: self.ports.map(|index| number(index) as u16),
            protocol: number(self.protocol) as u8,
            tcp_flags: number(self.tcp_flags) as u8,
            tos: number(self.tos) as u8,
            direction: number(self.direction) as u8,
            input: 0,
            // The lowest eight links, as the original.
            engine: number(self.link) as u8,
            extra: Extra::default(),
        }
    }
}

/// A file has both addresses in one family: of two families the IPv4 one is written as its mapped IPv6 address.
fn same_family(ips: [Option<IpAddr>; 2]) -> [IpAddr; 2] {
    let unset = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
    match ips.map(|ip| ip.unwrap_or(unset)) {
        [IpAddr::V4(source), IpAddr::V6(destination)] => [source.to_ipv6_mapped().into(), destination.into()],
        [IpAddr::V6(source), IpAddr::V4(destination)] => [source.into(), destination.to_ipv6_mapped().into()],
        same => same,
    }
}
