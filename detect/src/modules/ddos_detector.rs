//! ddos_detector: hosts that suddenly get many times the bytes of before from many times the sources (spec/detectors.md section 10).
mod floods;
mod victim;

use crate::detector;
use crate::options::{self, flag, value};
use crate::sdk::{ControlFlow, Failure, GO_ON, IpAddr, Reader, Step, Time, View, Writer};
use floods::{Floods, Flow};
use record::unirec::MissingField;
use record::{fields, record};
use trap::module::{Count, ModuleInfo, Param};
use trap::{Input, Output};

/// Seconds of a window, and windows that are kept.
pub(crate) const WINDOW: u32 = 60;
pub(crate) const WINDOWS: usize = 7;

/// What the user asked for; sums of bytes are those of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub attack_bytes_min: u64,
    pub before_bytes_min: u64,
    /// How many times the bytes of before make a flood.
    pub bytes_factor: u16,
    /// How many times the sources of before make a flood.
    pub sources_factor: u16,
    /// Lengths of prefixes.
    pub source_mask: u8,
    pub destination_mask: u8,
    /// Destinations with no more bytes in all windows are forgotten.
    pub kept_bytes_min: u64,
    /// The way back of a biflow is a flow of its own.
    pub is_biflow: bool,
}

/// Why the command line was refused; the original answers -1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Invalid arguments.\noption -{0} needs a number")]
    Number(char),
    #[error("Invalid value of argument. Mask must be between 0 and 32.")]
    Mask,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Detects volumetric floods.";

const INFO: ModuleInfo = ModuleInfo {
    name: "ddos_detector",
    description: "A simple module for detection of extremely intensive flooding attacks.\nAt most 1048576 destinations are remembered (up \
                  to 250 MB); those without a flow for longest make room for others, which is counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('m', "minimal_attack_size", "uint64", "Minimal attack size (kb/s). Default value is 1000 kb/s."),
    value(
        'b',
        "min_traffic_before_attack",
        "uint64",
        "Minimal average traffic before attack (kb/s). Default value is 1 kb/s.",
    ),
    value(
        't',
        "threshold_flow_rate",
        "uint16",
        "How many times the bytes of two windows must exceed the average of the windows before to be a flood (4).",
    ),
    value(
        'c',
        "threshold_ip_count_rate",
        "uint16",
        "How many times the SRC_IPs of two windows must exceed the average of the windows before to be a flood (4).",
    ),
    value('s', "mask_source_addresses", "uint8", "Take source addresses by prefixes of this length (24)."),
    value('d', "mask_destination_addresses", "uint8", "Take destination addresses by prefixes of this length (32)."),
    value(
        'p',
        "min_threshold_before_pruning",
        "uint64",
        "Destinations with less traffic on average (kb/s) are forgotten. Default value is 10 kb/s.",
    ),
    flag(
        'B',
        "biflow",
        "Records are biflows: BYTES_REV is what the source got. The original knows one direction only.",
    ),
];

fields! {
    struct Fields {
        destination: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        bytes_back: Option<u64> = "BYTES_REV",
    }
}

record! {
    /// A flood, or what it was since the last record about it.
    #[derive(PartialEq)]
    pub struct Alert = "ddos" {
        /// Who is flooded.
        destination: IpAddr, unirec "DST_IP";
        /// Bytes a second since the last record.
        bytes_now: u64, unirec "AVG_BYTES_CURRENT";
        /// Bytes a second before the flood.
        bytes_before: u64, unirec "AVG_BYTES_ORIGINAL";
        /// Bytes beyond those of before, since the last record.
        excess: u64, unirec "BYTES";
        /// A random number, and the destination in the lower 32 bits.
        event: u64, unirec "EVENT_ID";
        /// Begin of the flood, or the last record.
        first: Time, unirec "TIME_FIRST";
        /// End of what the record tells.
        last: Time, unirec "TIME_LAST";
        /// Sources of a window since the last record.
        sources_now: u32, unirec "AVG_IP_CNT_CURRENT";
        /// Sources of a window before the flood.
        sources_before: u32, unirec "AVG_IP_CNT_ORIGINAL";
        /// Number of the record about this flood.
        number: u16, unirec "EVENT_SEQ";
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    detector::run(&INFO, args, Settings::parse, |_| 255, run)
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Settings {
            attack_bytes_min: 0,
            before_bytes_min: 0,
            bytes_factor: 4,
            sources_factor: 4,
            source_mask: 24,
            destination_mask: 32,
            kept_bytes_min: 0,
            is_biflow: false,
        };
        for (option, kilobits) in [('m', 1_000), ('b', 1), ('p', 10)] {
            settings.set_bytes(option, kilobits);
        }
        settings
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            let number = |most| {
                let number = options::number(&given.value).filter(|n| *n <= most);
                number.ok_or(UsageError::Number(given.short))
            };
            match given.short {
                'B' => settings.is_biflow = true,
                't' => settings.bytes_factor = number(u16::MAX.into())? as u16,
                'c' => settings.sources_factor = number(u16::MAX.into())? as u16,
                's' => settings.source_mask = number(u8::MAX.into())? as u8,
                'd' => settings.destination_mask = number(u8::MAX.into())? as u8,
                _ => settings.set_bytes(given.short, number(u64::MAX)?),
            }
        }
        let is_mask = |mask| mask <= 32;
        let masks = [settings.source_mask, settings.destination_mask];
        if masks.into_iter().all(is_mask) { Ok(settings) } else { Err(UsageError::Mask) }
    }

    fn set_bytes(&mut self, option: char, kilobits: u64) {
        let bytes = kilobits.saturating_mul(1_000 / 8 * u64::from(WINDOW));
        match option {
            'm' => self.attack_bytes_min = bytes,
            'b' => self.before_bytes_min = bytes,
            _ => self.kept_bytes_min = bytes.saturating_mul(WINDOWS as u64),
        }
    }
}

fn run(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    let mut alerts = Writer::new(output)?;
    let mut floods = Floods::new(settings);
    let mut send = |alert: &Alert| -> Step { alerts.send(alert) };
    let ended = Reader::new(input).for_each(|fields: &Fields, record| {
        let ends = [fields.source(record), fields.destination(record)];
        // UniRec has 32 bits for them.
        let times = [fields.first(record).secs() as u32, fields.last(record).secs() as u32];
        let back = if settings.is_biflow { Some(bytes_back(fields, record)?) } else { None };
        let there = flow(ends, fields.bytes(record), times);
        let back = back.filter(|bytes| *bytes > 0).and_then(|bytes| flow([ends[1], ends[0]], bytes, times));
        for flow in there.into_iter().chain(back) {
            if floods.add(&flow, &mut send)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        GO_ON
    });
    // The original's receivers hear of floods that go on, but nothing of the end.
    let _: Step = floods.finish(&mut send);
    floods.tell();
    ended.map(|_| ())
}

/// A direction of a record, if it goes to an address of IPv4.
fn flow([source, destination]: [IpAddr; 2], bytes: u64, [first, last]: [u32; 2]) -> Option<Flow> {
    let IpAddr::V4(destination) = destination else { return None };
    let source = match source {
        IpAddr::V4(ip) => ip.to_bits(),
        // The original takes the part where an IPv4 address would be.
        IpAddr::V6(ip) => (ip.to_bits() >> 32) as u32,
    };
    Some(Flow { destination: destination.to_bits(), source, bytes, first, last })
}

fn bytes_back(fields: &Fields, record: &View<'_>) -> Result<u64, Failure> {
    let missing = MissingField { name: "BYTES_REV", kind: "uint64" };
    fields.bytes_back(record).ok_or(Failure::Missing(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_their_refusals() {
        let parse = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            Settings::parse(&args).map_err(|why| why.to_string())
        };
        let default = parse("").unwrap();
        assert_eq!(
            (default.attack_bytes_min, default.before_bytes_min, default.kept_bytes_min),
            (7_500_000, 7_500, 525_000)
        );
        let all = parse("-m 2 -b 3 -p 4 -t 5 -c 6 -s 7 -d 8").unwrap();
        assert_eq!((all.attack_bytes_min, all.before_bytes_min, all.kept_bytes_min), (15_000, 22_500, 210_000));
        assert_eq!((all.bytes_factor, all.sources_factor, all.source_mask, all.destination_mask), (5, 6, 7, 8));
        assert_eq!(parse("-s 33").unwrap_err(), "Invalid value of argument. Mask must be between 0 and 32.");
        for line in ["-t 65536", "-m x", "-m -1", "-x"] {
            assert!(parse(line).unwrap_err().starts_with("Invalid arguments."), "{line}");
        }
    }
}
