//! Options, and what is said of them at the start.
use super::VERSION;
use super::journal::Journal;
use crate::argparse::atoi;
use crate::sdk::{Failure, Options};
use std::path::PathBuf;

/// What the user asked for. Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) log: Option<PathBuf>,
    /// None: event ids begin with 1.
    pub(super) event_file: Option<PathBuf>,
    pub(super) prefix_file: Option<PathBuf>,
    pub(super) prefix_max: u32,
    /// Shown and of no effect.
    number_min: u32,
    pub(super) interval: u64,
    pub(super) threshold: u32,
    pub(super) pause: u64,
    pub(super) targets_max: u32,
    pub(super) silence: u64,
}

impl Settings {
    /// Reads the options.
    pub(super) fn read(options: &Options) -> Result<Settings, Failure> {
        for _ in ['c', 'a', 'w', 'o'].iter().filter(|letter| options.has(**letter)) {
            eprintln!("You must install GeoIP before you can use detection of calling to different countries!");
        }
        let number = |letter, default: u32| match options.text(letter) {
            None => Ok(default),
            Some(text) => {
                u32::try_from(atoi(text)).map_err(|_| Failure::Usage(format!("-{letter} cannot be negative")))
            }
        };
        let file = |letter| options.text(letter).map(PathBuf::from);
        let event_file = file('e').unwrap_or_else(|| "/data/voip_fraud_detection/event_id.txt".into());
        Ok(Settings {
            log: file('l'),
            event_file: Some(event_file).filter(|file| file.as_os_str() != "disabled"),
            prefix_file: file('n'),
            prefix_max: number('m', 10)?,
            number_min: number('d', 9)?,
            interval: number('s', 10)?.into(),
            threshold: number('t', 10)?,
            pause: number('p', 30)?.into(),
            targets_max: number('q', 100_000)?,
            silence: number('x', 1_209_600)?.into(),
        })
    }

    /// Says them.
    pub(super) fn say(&self, journal: &mut Journal) {
        let shown = |file: &Option<PathBuf>| file.as_ref().map(|file| format!("\"{}\"", file.display()));
        let rule = "-----------------------------------------------------";
        journal.line(format_args!("{rule}"));
        journal.line(format_args!("Start VoIP fraud detection module (version:{VERSION}) ..."));
        journal.line(format_args!("   Module configuration:"));
        for (name, value) in [
            ("max_prefix_length", u64::from(self.prefix_max)),
            ("min_length_called_number", self.number_min.into()),
            ("prefix_examination_detection_threshold", self.threshold.into()),
            ("detection_interval", self.interval),
            ("detection_pause_after_attack", self.pause),
            ("max_item_prefix_tree", self.targets_max.into()),
            ("clear_data_no_communication_after", self.silence),
        ] {
            journal.line(format_args!("    - {name}={value}"));
        }
        let event_file = shown(&self.event_file).unwrap_or_else(|| "disabled".into());
        journal.line(format_args!("    - event_id file={event_file}"));
        for (what, file) in [("log file", &self.log), ("prefix statistic file", &self.prefix_file)] {
            if let Some(file) = shown(file) {
                journal.line(format_args!("    - {what}:{file}"));
            }
        }
        journal.line(format_args!("{rule}"));
    }
}
