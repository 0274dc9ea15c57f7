//! The configuration file: lines `key = value`; `#` at the begin makes a comment, unknown keys are ignored, the last one of a key counts.
use crate::argparse::{atoi, strtod};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a file, at the most; the shipped one has 3 thousand.
const FILE_MAX: u64 = 1 << 20;
/// Hosts at a time, whatever the file says; some 4 GB.
const HOSTS_LIMIT: usize = 1 << 24;
const HOSTS_DEFAULT: i32 = 65_536;

/// How much is said on standard output, as numbers of syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

/// Everything that the file says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    /// Which rules are enabled.
    pub is_generic: bool,
    pub is_ssh: bool,
    pub is_dns: bool,
    pub log_folder: Option<PathBuf>,
    pub level: Level,
    /// Hosts at a time, a power of two.
    pub hosts_max: usize,
    /// Directions are guessed from ports instead of read from DIRECTION_FLAGS.
    pub is_direction_guessed: bool,
    /// Seconds after the begin of a record, and after its last change, at which it is looked at; and between the looks.
    pub active: u32,
    pub inactive: u32,
    pub check: u32,
    pub scan: Scan,
    pub dos: Dos,
    pub brute_force: BruteForce,
    /// Large responses that are an amplification, when there are more.
    pub dns_threshold: f32,
    /// What is to be said of it.
    pub warnings: Vec<String>,
}

/// Limits of a horizontal scan.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scan {
    pub syn_min: f32,
    pub syn_to_ack: f32,
    pub request_to_response: f32,
    pub addresses_min: f32,
}

/// Limits of floods.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dos {
    pub is_by_packets: bool,
    pub victim: Limits,
    pub attacker: Limits,
    /// Share of requests that is answered by a host that is well.
    pub responsibility: f32,
    /// Shares of flows without a known direction that are taken for requests and for responses.
    pub request_share: f32,
    pub response_share: f32,
}

/// Limits of one side of a flood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub syn: u32,
    pub others: u32,
    /// Packets of a flow on average.
    pub packets_each: f32,
    /// Bytes of a packet on average.
    pub bytes_each: u32,
}

/// Limits of guesses over SSH.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BruteForce {
    /// From this many addresses half of [`BruteForce::each_address_min`] is enough.
    pub addresses: f32,
    pub each_address_min: f32,
    pub requests_min: f32,
    pub request_packets: [f32; 2],
    pub responses_min: f32,
    pub response_packets: [f32; 2],
    pub server_ratio: f32,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be opened or read, or is longer than 1 MiB.
    pub(super) fn load(path: &Path) -> io::Result<Config> {
        let mut text = Vec::new();
        File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > FILE_MAX {
            return Err(io::Error::other("a configuration of more than 1 MiB"));
        }
        Ok(Config::parse(&String::from_utf8_lossy(&text)))
    }

    /// Reads a text; what is missing or too small takes its default.
    pub(super) fn parse(text: &str) -> Config {
        let mut file = Values::new(text);
        let level = file.level();
        let is_generic = file.switch("rules-generic", "generic rules");
        let is_direction_guessed = file.switch("port-flowdir", "port flowdirection");
        let [is_dns, is_ssh] = [("rules-dns", "subprofile dns"), ("rules-ssh", "subprofile ssh")]
            .map(|(key, name)| file.switch(key, name));
        let scan = Scan {
            syn_min: file.float("syn-scan-threshold", 200.0),
            syn_to_ack: file.float("syn-scan-syn-to-ack-ratio", 20.0),
            request_to_response: file.float("syn-scan-request-to-response-ratio", 5.0),
            addresses_min: file.float("syn-scan-ips", 200.0),
        };
        let dos = Dos {
            is_by_packets: file.float("dos-detection-type", 0.0) as u8 != 0,
            victim: file.limits("victim"),
            responsibility: file.float("dos-victim-responsibility", 0.8),
            attacker: file.limits("attacker"),
            request_share: file.float("dos-req-rsp-est-ratio", 0.8),
            response_share: file.float("dos-rsp-req-est-ratio", 0.2),
        };
        let brute_force = BruteForce {
            addresses: file.float("bruteforce-ips", 5.0),
            each_address_min: file.float("bruteforce-ips-ratio", 20.0),
            requests_min: file.float("bruteforce-req-threshold", 60.0),
            request_packets: [
                file.float("bruteforce-req-min-packet-ratio", 5.0),
                file.float("bruteforce-req-max-packet-ratio", 20.0),
            ],
            responses_min: file.float("bruteforce-data-threshold", 30.0),
            response_packets: [
                file.float("bruteforce-data-min-packet-ratio", 10.0),
                file.float("bruteforce-data-max-packet-ratio", 25.0),
            ],
            server_ratio: file.float("bruteforce-server-ratio", 3.0),
        };
        Config {
            is_generic,
            is_ssh,
            is_dns,
            log_folder: file.text("detection-log").map(PathBuf::from),
            level,
            hosts_max: file.hosts(),
            is_direction_guessed,
            check: file.int("det-start-time", "Detector start time", 10, 1),
            active: file.int("timeout-active", "Active timeout", 300, 1),
            inactive: file.int("timeout-inactive", "Inactive timeout", 30, 1),
            scan,
            dos,
            brute_force,
            dns_threshold: file.float("dns-amplif-threshold", 10_000.0),
            warnings: file.warnings,
        }
    }
}

/// Values by their keys, and what is to be said of them.
struct Values<'t> {
    values: HashMap<&'t str, &'t str>,
    warnings: Vec<String>,
}

impl<'t> Values<'t> {
    fn new(text: &'t str) -> Values<'t> {
        let blanks = [' ', '\t', '\r', '\n'];
        let lines = text.split('\n').filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        let values = pairs.map(|(key, value)| (key.trim_matches(blanks), value.trim_matches(blanks))).collect();
        Values { values, warnings: Vec::new() }
    }

    /// The value of a key, unless it is empty.
    fn text(&self, key: &str) -> Option<&'t str> {
        self.values.get(key).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn level(&self) -> Level {
        match self.text("log-upto-level") {
            Some("LOG_EMERG") => Level::Emerg,
            Some("LOG_ALERT") => Level::Alert,
            Some("LOG_CRIT") => Level::Crit,
            Some("LOG_WARNING") => Level::Warning,
            Some("LOG_NOTICE") => Level::Notice,
            Some("LOG_INFO") => Level::Info,
            Some("LOG_DEBUG") => Level::Debug,
            _ => Level::Err,
        }
    }

    fn switch(&mut self, key: &str, name: &str) -> bool {
        if self.text(key).is_none() {
            self.warnings.push(format!(
                "Warning: Status of {name} '{key}' is not specified in the configuration file. Disabled by default."
            ));
        }
        matches!(self.text(key), Some("1" | "true" | "enabled"))
    }

    fn float(&mut self, key: &str, default: f32) -> f32 {
        if self.text(key).is_none() {
            self.missing(key, key, format_args!("{default:.6}"));
        }
        self.text(key).map_or(default, |text| strtod(text) as f32)
    }

    /// A whole number that is not below `min`, which is not below 0.
    fn int(&mut self, key: &str, name: &str, default: i32, min: i32) -> u32 {
        let Some(text) = self.text(key) else {
            self.missing(key, name, format_args!("{default}"));
            return default as u32;
        };
        let value = atoi(text);
        if value >= min {
            return value as u32;
        }
        self.warnings.push(format!(
            "Warning: {name} value '{key}' is less than the minimum value ({min}). Using {default} as default."
        ));
        default as u32
    }

    fn limits(&mut self, who: &str) -> Limits {
        let key = |what: &str| format!("dos-{who}-{what}");
        let mut connections = |what, default| {
            let key = key(what);
            self.int(&key, &key, default, 0)
        };
        Limits {
            syn: connections("connections-synflood", 270_000),
            others: connections("connections-others", 1_000_000),
            packets_each: self.float(&key("packet-ratio"), 2.0),
            bytes_each: self.float(&key("bytes-packets-ratio"), 100.0) as u32,
        }
    }

    fn hosts(&mut self) -> usize {
        let asked = self.int("table-size", "Table size", HOSTS_DEFAULT, HOSTS_DEFAULT) as usize;
        let hosts = asked.next_power_of_two().min(HOSTS_LIMIT);
        if hosts != asked {
            self.warnings.push(format!(
                "Warning: Table size is not power of two. Using the smallest correct value ({hosts}) greater then specified size."
            ));
        }
        hosts
    }

    fn missing(&mut self, key: &str, name: &str, default: std::fmt::Arguments<'_>) {
        self.warnings.push(format!(
            "Warning: {name} '{key}' is not specified in the configuration file. Using {default} as default."
        ));
    }
}

/// Any bytes as a configuration: every limit is a number, and the table has its bounds.
pub fn fuzz_config(input: &[u8]) {
    let config = Config::parse(&String::from_utf8_lossy(input));
    assert!(config.hosts_max.is_power_of_two() && (65_536..=HOSTS_LIMIT).contains(&config.hosts_max));
    assert!(config.active > 0 && config.inactive > 0 && config.check > 0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_missing_takes_its_default() {
        let config = Config::parse("");
        assert!(!config.is_generic && !config.is_ssh && !config.is_dns && !config.is_direction_guessed);
        assert_eq!((config.active, config.inactive, config.check, config.hosts_max), (300, 30, 10, 65_536));
        assert_eq!((config.level, config.log_folder), (Level::Err, None));
        let limits = Limits { syn: 270_000, others: 1_000_000, packets_each: 2.0, bytes_each: 100 };
        assert_eq!((config.dos.victim, config.dos.attacker), (limits, limits));
        assert_eq!((config.dos.request_share, config.dos.response_share, config.dos.responsibility), (0.8, 0.2, 0.8));
        let expected = "Warning: Active timeout 'timeout-active' is not specified in the configuration file. Using 300 as default.";
        assert!(config.warnings.iter().any(|warning| warning == expected), "{:?}", config.warnings);
    }

    #[test]
    fn the_file_changes_what_it_names() {
        let config = Config::parse(
            "#rules-ssh = 1\nrules-generic = true\r\n rules-dns=enabled\nrules-ssh = yes\nport-flowdir = 1 \ntable-size = 70000\n\
             timeout-active = 0\ntimeout-inactive = 15s\ndet-start-time = 5\ndet-start-time = 6\ndetection-log = /tmp/log dir/\n\
             log-upto-level = LOG_DEBUG\ndos-detection-type = 1\nsyn-scan-threshold = 2.5x\ndos-victim-connections-others = -1\n\
             dos-attacker-connections-synflood = 7\ndos-attacker-bytes-packets-ratio = 9.9\nbruteforce-ips = \nno line\nunknown = 1",
        );
        assert!(config.is_generic && config.is_dns && !config.is_ssh && config.is_direction_guessed);
        assert_eq!((config.active, config.inactive, config.check, config.hosts_max), (300, 15, 6, 131_072));
        assert_eq!(config.log_folder, Some("/tmp/log dir/".into()));
        assert_eq!((config.level, config.dos.is_by_packets, config.scan.syn_min), (Level::Debug, true, 2.5));
        assert_eq!(
            (config.dos.victim.others, config.dos.attacker.syn, config.dos.attacker.bytes_each),
            (1_000_000, 7, 9)
        );
        assert_eq!(config.brute_force.addresses, 5.0);
        let said = |text: &str| config.warnings.iter().any(|warning| warning.contains(text));
        assert!(said(
            "Active timeout value 'timeout-active' is less than the minimum value (1). Using 300 as default."
        ));
        assert!(said("Using the smallest correct value (131072)") && said("'bruteforce-ips' is not specified"));
        assert_eq!(Config::parse("table-size = 99999999999").hosts_max, HOSTS_LIMIT);
    }

    proptest! {
        #[test]
        fn any_text(text in "(([a-z-]{0,30}|table-size|timeout-active|bruteforce-ips) ?= ?[-0-9.einfa]{0,25}\r?\n?){0,8}") {
            fuzz_config(text.as_bytes());
        }
    }
}
