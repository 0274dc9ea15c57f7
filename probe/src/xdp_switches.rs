//! The option `--af-xdp`: how AF_XDP sockets are opened, where the defaults do not fit.
use dataplane::capture::{HugePages, Spread, XdpConfig};
use std::str::FromStr;

/// The longest time of busy polling, microseconds: a lane sees its stop flag between two of them.
const BUSY_POLL_MAX: u32 = 10_000;
const KNOWN: &str = "zero-copy=auto|always|never, busy-poll=MICROSECONDS, huge[=try], spread=queues|flows";

/// Words with commas, in any order; what is not named is as it would be without the option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct XdpSwitches {
    zero_copy: Option<bool>,
    busy_poll_micros: Option<u32>,
    huge: HugePages,
    spread: Spread,
}

impl XdpSwitches {
    pub(crate) fn put_into(self, config: &mut XdpConfig) {
        config.zero_copy = self.zero_copy;
        config.busy_poll_micros = self.busy_poll_micros;
        config.huge = self.huge;
        config.spread = self.spread;
    }
}

impl FromStr for XdpSwitches {
    type Err = String;

    fn from_str(text: &str) -> Result<XdpSwitches, String> {
        let mut switches = XdpSwitches::default();
        for word in text.split(',') {
            match word.split_once('=').map_or((word, ""), |parts| parts) {
                ("zero-copy", "auto") => switches.zero_copy = None,
                ("zero-copy", "always") => switches.zero_copy = Some(true),
                ("zero-copy", "never") => switches.zero_copy = Some(false),
                ("busy-poll", number) => {
                    let micros = number.parse().ok().filter(|n| (1..=BUSY_POLL_MAX).contains(n));
                    let range = || format!("busy-poll takes microseconds, 1 to {BUSY_POLL_MAX}, not '{number}'");
                    switches.busy_poll_micros = Some(micros.ok_or_else(range)?);
                }
                ("huge", "") => switches.huge = HugePages::Must,
                ("huge", "try") => switches.huge = HugePages::Try,
                ("spread", "queues") => switches.spread = Spread::Queues,
                ("spread", "flows") => switches.spread = Spread::Flows,
                _ => return Err(format!("there is no '{word}'; known: {KNOWN}")),
            }
        }
        Ok(switches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_words_in_any_order() {
        let all = "huge=try,zero-copy=always,spread=flows,busy-poll=50".parse::<XdpSwitches>();
        let expected = XdpSwitches {
            zero_copy: Some(true),
            busy_poll_micros: Some(50),
            huge: HugePages::Try,
            spread: Spread::Flows,
        };
        assert_eq!(all, Ok(expected));
        assert_eq!("zero-copy=auto".parse(), Ok(XdpSwitches::default()));
        assert_eq!("huge".parse::<XdpSwitches>().map(|s| s.huge), Ok(HugePages::Must));
        for (wrong, part) in [
            ("zero-copy", "there is no 'zero-copy'; known: zero-copy=auto|"),
            ("busy-poll=0", "1 to 10000, not '0'"),
            ("busy-poll", "microseconds"),
            ("huge=1", "huge[=try]"),
            ("", "known"),
        ] {
            let why = wrong.parse::<XdpSwitches>().unwrap_err();
            assert!(why.contains(part), "{wrong}: {why}");
        }
    }
}
