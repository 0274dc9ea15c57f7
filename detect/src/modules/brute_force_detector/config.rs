//! Limits of the services, as the configuration file gives them.
use crate::argparse::strtod;
use crate::lines::Lines;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// What can be attacked. The order is that of the configuration and of all output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Ssh,
    Rdp,
    Telnet,
}

/// All of them.
pub(super) const SERVICES: [Service; 3] = [Service::Ssh, Service::Rdp, Service::Telnet];

impl Service {
    pub(super) fn name(self) -> &'static str {
        ["SSH", "RDP", "TELNET"][self as usize]
    }

    pub(super) fn port(self) -> u16 {
        [22, 3389, 23][self as usize]
    }
}

/// Everything that the file may change.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    /// Seconds of flow time between the looks for attacks that ended, and for what is too old.
    pub report_check: u32,
    pub delete_check: u32,
    /// Matched flows that are worth another report.
    pub events_min: u16,
    /// Per cent of matched flows with which a host is still attacking.
    pub ratio_min: f64,
    /// The first report about an attack is not sent.
    pub is_first_ignored: bool,
    /// In the order of [`SERVICES`].
    pub services: [Limits; 3],
}

/// Limits of a service; timeouts in seconds of flow time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Records of each direction of a host, at the most.
    pub records_max: u16,
    /// Matched records that make an attack.
    pub threshold: u16,
    pub record_timeout: u32,
    pub host_timeout: u32,
    pub report_timeout: u32,
    pub attack_timeout: u32,
    pub incoming: Sizes,
    pub outgoing: Sizes,
}

/// Sizes of flows that match, ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub packets: [u32; 2],
    pub bytes: [u64; 2],
}

impl Sizes {
    pub(super) const fn new(packets: [u32; 2], bytes: [u64; 2]) -> Sizes {
        Sizes { packets, bytes }
    }

    pub(super) fn contain(&self, packets: u32, bytes: u64) -> bool {
        (self.packets[0]..=self.packets[1]).contains(&packets) && (self.bytes[0]..=self.bytes[1]).contains(&bytes)
    }
}

impl Default for Config {
    fn default() -> Config {
        let limits = |incoming, outgoing| Limits {
            records_max: 1_000,
            threshold: 30,
            record_timeout: 1_800,
            host_timeout: 4_200,
            report_timeout: 300,
            attack_timeout: 600,
            incoming,
            outgoing,
        };
        Config {
            report_check: 60,
            delete_check: 60,
            events_min: 10,
            ratio_min: 10.0,
            is_first_ignored: false,
            services: [
                limits(Sizes::new([11, 30], [1_000, 5_000]), Sizes::new([11, 50], [1_000, 11_000])),
                limits(Sizes::new([20, 100], [2_200, 8_001]), Sizes::new([30, 190], [3_000, 180_000])),
                // Outgoing flows are held against what the server does otherwise.
                limits(Sizes::new([9, 50], [450, 3_000]), Sizes::new([0, 0], [0, 0])),
            ],
        }
    }
}

impl Config {
    /// Takes over what the file says and keeps the rest. Lines that cannot be read are said and skipped.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub(super) fn load(&mut self, path: &Path) -> io::Result<()> {
        self.read(BufReader::new(File::open(path)?))
    }

    fn read(&mut self, text: impl BufRead) -> io::Result<()> {
        let mut lines = Lines::new(text);
        while let Some((line, _)) = lines.next()? {
            let line = String::from_utf8_lossy(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                eprintln!("Error Config: Invalid line \"{line}\"");
                continue;
            };
            let without_blanks = |text: &str| text.split_ascii_whitespace().collect::<String>();
            let key = without_blanks(key);
            if self.set(&key, &without_blanks(value)).is_none() {
                eprintln!("Error Config: Unknown keyword {key}");
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        // The original keeps most numbers in 16 bits.
        let (number, short) = (number(value), number(value) as u16);
        match key {
            "GENERAL_CHECK_FOR_REPORT_TIMEOUT" => self.report_check = number,
            "GENERAL_CHECK_FOR_DELETE_TIMEOUT" => self.delete_check = number,
            "GENERAL_ATTACK_MIN_EVENTS_TO_REPORT" => self.events_min = short,
            "GENERAL_ATTACK_MIN_RATIO_TO_KEEP_TRACKING_HOST" => self.ratio_min = strtod(value),
            "GENERAL_IGNORE_FIRST_SEND" => self.is_first_ignored = number as u8 != 0,
            _ => {
                let named = |service: &Service| key.strip_prefix(service.name())?.strip_prefix('_');
                let (service, key) = SERVICES.iter().find_map(|s| Some((*s, named(s)?)))?;
                let limits = &mut self.services[service as usize];
                match key {
                    "LIST_SIZE" => limits.records_max = short,
                    "LIST_THRESHOLD" => limits.threshold = short,
                    "RECORD_TIMEOUT" => limits.record_timeout = number,
                    "HOST_TIMEOUT" => limits.host_timeout = number,
                    "REPORT_TIMEOUT" => limits.report_timeout = number,
                    "ATTACK_TIMEOUT" => limits.attack_timeout = number,
                    _ => {
                        let (direction, key) = key.strip_prefix("BRUTEFORCE_")?.split_once('_')?;
                        let sizes = match direction {
                            "INC" => &mut limits.incoming,
                            "OUT" if service != Service::Telnet => &mut limits.outgoing,
                            _ => return None,
                        };
                        // Bytes from an RDP server are the only sizes of 32 bits.
                        let is_long = service == Service::Rdp && direction == "OUT" && key == "MAX_BYTES";
                        let size = if is_long { number } else { short.into() };
                        match key {
                            "MIN_PACKETS" => sizes.packets[0] = size,
                            "MAX_PACKETS" => sizes.packets[1] = size,
                            "MIN_BYTES" => sizes.bytes[0] = size.into(),
                            "MAX_BYTES" => sizes.bytes[1] = size.into(),
                            _ => return None,
                        }
                    }
                }
            }
        }
        Some(())
    }
}

/// Digits at the begin, 0 without; the lower 32 bits.
fn number(text: &str) -> u32 {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..end].parse::<u64>().unwrap_or(if end > 0 { u64::MAX } else { 0 }) as u32
}

/// Any bytes as a configuration.
pub fn fuzz_config(input: &[u8]) {
    let mut config = Config::default();
    config.read(input).expect("reading memory does not fail");
    assert!(!config.ratio_min.is_nan());
    assert_eq!(config.services[2].outgoing, Config::default().services[2].outgoing);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_file_changes_what_it_names() {
        let mut config = Config::default();
        let text = "# SSH_LIST_SIZE = 1\n\nGENERAL_CHECK_FOR_REPORT_TIMEOUT = 30s\nGENERAL_ATTACK_MIN_RATIO_TO_KEEP_TRACKING_HOST=20.5x\n\
            GENERAL_IGNORE_FIRST_SEND = 1\n S S H_LIST_SIZE=65537\nRDP_BRUTEFORCE_OUT_MAX_BYTES = 70000\nTELNET_BRUTEFORCE_INC_MIN_PACKETS = 70000\n\
            TELNET_BRUTEFORCE_OUT_MIN_PACKETS = 1\nnonsense\nNO_KEY = 5\nSSH_ATTACK_TIMEOUT =";
        config.read(text.as_bytes()).unwrap();
        let mut expected = Config { report_check: 30, ratio_min: 20.5, is_first_ignored: true, ..Config::default() };
        expected.services[0].records_max = 1;
        expected.services[0].attack_timeout = 0;
        expected.services[1].outgoing.bytes[1] = 70_000;
        expected.services[2].incoming.packets[0] = 70_000 - 65_536;
        assert_eq!(config, expected);
    }

    proptest! {
        #[test]
        fn any_text(text in "((SSH|RDP|TELNET|GENERAL)_(LIST_SIZE|BRUTEFORCE_(INC|OUT)_(MIN|MAX)_(BYTES|PACKETS)|[A-Z_]{0,20})? ?= ?[-0-9.einfa]{0,25}\n?){0,5}") {
            fuzz_config(text.as_bytes());
        }
    }
}
