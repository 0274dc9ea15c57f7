//! ipv6stats: traffic and unique sources of IPv4, IPv6 and its tunnels, in files (spec/modules.md section 12).
mod windows;

use super::begin;
use crate::argparse::atoi;
use crate::bloom::SizeError;
use crate::options::{self, flag, value};
use crate::reading::{self, Next, ReadError, Reader};
use std::time::Duration;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, Timeout};
use windows::{Flow, Windows};

const FIELDS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,\
    uint32 PACKETS,uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 IPV6_TUN_TYPE,uint8 PROTOCOL,uint8 TCP_FLAGS,\
    uint8 TOS,uint8 TTL";

/// Silence after which what was counted is written.
const SILENCE: Duration = Duration::from_secs(40);

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Put before the names of files; a directory ends with `/`.
    pub prefix: String,
    /// Short window, seconds, 1 or more.
    pub short_secs: u32,
    /// Long window, seconds, 1 or more.
    pub long_secs: u32,
    /// Packets of a flow from which its source counts as one.
    pub packets_min: u32,
    /// Do not write the last windows, which are not complete.
    pub no_last: bool,
    /// Silence after which what was counted is written.
    pub silence: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            prefix: String::new(),
            short_secs: 300,
            long_secs: 3_600,
            packets_min: 1,
            no_last: false,
            silence: SILENCE,
        }
    }
}

/// Why the command line was refused, exit code 1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Bad window size.")]
    Window,
}

/// Why counting ended early.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Bloom(#[from] SizeError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Statistics of IPv4, IPv6 and tunnels, in files.";

const INFO: ModuleInfo = ModuleInfo {
    name: "IPv6 Statistics module",
    description: "Module for calculating various IPv6 statistics: rates and unique sources of IPv4, IPv6 and its tunnels.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('d', "dir", "string", "Path of the output files; a directory ends with /. Default is the working directory."),
    value('l', "length_long", "int32", "Length of the long window in seconds (default 3600)."),
    value('L', "length_multi", "int32", "Length of the long window as a multiple of the short one; overrides -l."),
    flag('n', "no_last", "Do not write the statistics of the last, incomplete windows."),
    value('p', "packets", "int32", "Packets of a flow from which its source counts as unique (default 1)."),
    value('s', "length_small", "int32", "Length of the short window in seconds (default 300)."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    match run(&mut inputs[0], &settings) {
        Ok(()) => {
            eprintln!("Cleaning up.\nExiting normally.");
            0
        }
        Err(StatsError::Read(why)) => why.report(),
        Err(why) => {
            eprintln!("Error: {why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        let mut multiple = None;
        let window = |text: &str| u32::try_from(atoi(text)).ok().filter(|secs| *secs > 0).ok_or(UsageError::Window);
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'd' => settings.prefix = given.value,
                'l' => settings.long_secs = window(&given.value)?,
                'L' => multiple = Some(atoi(&given.value)).filter(|times| *times != 0),
                'n' => settings.no_last = true,
                'p' => settings.packets_min = atoi(&given.value) as u32,
                _ => settings.short_secs = window(&given.value)?,
            }
        }
        if let Some(times) = multiple {
            let times = u32::try_from(times).map_err(|_| UsageError::Window)?;
            settings.long_secs = settings.short_secs.checked_mul(times).ok_or(UsageError::Window)?;
        }
        Ok(settings)
    }
}

/// Counts until the stream ends or the stop flag is set.
pub fn run(input: &mut Input, settings: &Settings) -> Result<(), StatsError> {
    let mut windows = Windows::new(settings)?;
    let mut reader = Reader::new(input, FIELDS)?;
    let ended = receive(&mut reader, settings, &mut windows);
    if !settings.no_last {
        windows.flush(false);
    }
    Ok(ended?)
}

/// How long the input has been silent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Silence {
    No,
    /// What was counted is written.
    Noticed,
    /// Zeros are written; there is nothing more to say.
    Said,
}

fn receive(reader: &mut Reader<'_>, settings: &Settings, windows: &mut Windows) -> Result<(), ReadError> {
    let micros = |wait: Duration| Timeout::Micros(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
    let mut silence = Silence::No;
    let (mut src, mut last, mut packets, mut bytes, mut tunnel) = (0, 0, 0, 0, 0);
    reader.input().set_timeout(micros(settings.silence));
    loop {
        let (view, is_new) = match reader.read()? {
            Next::Record { view, is_new } => (view, is_new),
            Next::Nothing => {
                let (text, next, wait) = match silence {
                    Silence::No => {
                        let short = Duration::from_secs(settings.short_secs.into());
                        ("Flushing by inactive.", Silence::Noticed, micros(short))
                    }
                    Silence::Noticed | Silence::Said => ("No data since last timeout.", Silence::Said, Timeout::Wait),
                };
                eprintln!("{}, Error: timeout reached on input interface. {text}", windows::now());
                windows.flush(true);
                windows.skip();
                silence = next;
                reader.input().set_timeout(wait);
                continue;
            }
            Next::Damaged => continue,
            Next::Eof | Next::Stopped => return Ok(()),
        };
        if is_new {
            let field = |name| reading::field(view.template(), name);
            (src, last) = (field("SRC_IP"), field("TIME_LAST"));
            (packets, bytes, tunnel) = (field("PACKETS"), field("BYTES"), field("IPV6_TUN_TYPE"));
        }
        let number = |field| view.uint(field).unwrap_or(0);
        let flow = Flow {
            at_secs: view.time(last).map_or(0, |at| at.secs()),
            packets: number(packets),
            bytes: number(bytes),
            tunnel: number(tunnel) as u8,
        };
        if let Some(src) = view.ip(src) {
            windows.add(src, flow);
        }
        if std::mem::replace(&mut silence, Silence::No) != Silence::No {
            reader.input().set_timeout(micros(settings.silence));
        }
    }
}
