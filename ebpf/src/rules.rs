//! Rules: what is dropped, left to the stack or kept before user space sees it, and how the rest is thinned out.
//!
//! A rule names an outer VLAN id, an IP protocol, a prefix or a port (of either end). The strongest of all rules that name a packet
//! holds: drop before pass before keep; [`Policy::other`] is for packets that none names. Only the outermost IP header is looked at.
use std::net::IpAddr;
use std::str::FromStr;

/// Rules of each kind, at most: `RULES_MAX` of the program, half of it for each generation.
pub(crate) const PREFIXES_MAX: usize = 8192;

/// What a rule says; numbers as in the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Verdict {
    /// To user space.
    #[default]
    Keep = 1,
    /// To the kernel's stack, unseen by user space.
    Pass = 2,
    Drop = 3,
}

/// Addresses that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub address: IpAddr,
    /// Bits that count.
    pub len: u8,
}

/// One of `every` packets or flows is kept; 0 and 1 keep all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    pub every: u32,
    /// Whole flows, by a hash that both directions share (and all fragments between two addresses); otherwise each Nth packet.
    pub by_flow: bool,
}

/// Everything that can be changed while the program runs; a change is one store, so each packet meets all of the old or all of the new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub vlans: Vec<(u16, Verdict)>,
    pub protocols: Vec<(u8, Verdict)>,
    pub prefixes: Vec<(Prefix, Verdict)>,
    pub ports: Vec<(u16, Verdict)>,
    /// For packets that no rule names.
    pub other: Verdict,
    pub sampling: Sampling,
    /// Whether packets of offloaded flows are counted in the program instead of going to user space.
    pub offload: bool,
    /// Packets after which a flow is offloaded by its lane, once no plugin wants more of it.
    pub offload_after: u32,
    /// Of those, one of so many goes to user space all the same; 0: none but SYN, FIN and RST.
    pub offload_every: u32,
}

/// What is wrong with a text of rules, and in which line of it, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct PolicyError {
    pub line: usize,
    pub fault: Fault,
}

/// What is wrong with a rule; the message says what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error(
        "'{0}' is no rule: write drop, pass or keep and then net ADDRESS/BITS, port N, proto N, vlan N or other; or sample N [flow]; \
         or offload [after N] [sample N]"
    )]
    NoRule(String),
    #[error("{what} '{value}' is none, or out of range")]
    Value { what: &'static str, value: String },
    #[error("more than {PREFIXES_MAX} prefixes: join some, or filter behind the capture (--filter)")]
    TooMany,
}

/// A flow is offloaded after so many packets, if the rule does not say.
const OFFLOAD_AFTER: u32 = 32;

/// One rule a line, or several between `;`: `drop net 10.0.0.0/8`, `pass port 22`, `keep proto 6`, `drop vlan 7`, `drop other`,
/// `sample 10 flow`, `offload after 100 sample 1000`. What follows a `#` in its line is a comment.
impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Policy, PolicyError> {
        let mut policy = Policy::default();
        for (at, line) in text.lines().enumerate() {
            let rules = line.split('#').next().unwrap_or_default();
            for rule in rules.split(';') {
                let words: Vec<&str> = rule.split_whitespace().collect();
                policy.rule(&words).map_err(|fault| PolicyError { line: at + 1, fault })?;
            }
        }
        Ok(policy)
    }
}

impl Policy {
    fn rule(&mut self, words: &[&str]) -> Result<(), Fault> {
        let no_rule = || Fault::NoRule(words.join(" "));
        match *words {
            [] => {}
            ["sample", every] => self.sampling = Sampling { every: number("count", every)?, by_flow: false },
            ["sample", every, "flow"] => {
                self.sampling = Sampling { every: number("count", every)?, by_flow: true };
            }
            ["offload", ref how @ ..] => {
                let (after, every) = match *how {
                    [] => (None, None),
                    ["after", after] => (Some(after), None),
                    ["sample", every] => (None, Some(every)),
                    ["after", after, "sample", every] => (Some(after), Some(every)),
                    _ => return Err(no_rule()),
                };
                self.offload = true;
                self.offload_after = after.map_or(Ok(OFFLOAD_AFTER), |n| number("count", n))?.max(1);
                self.offload_every = every.map_or(Ok(0), |n| number("count", n))?;
            }
            [word, ref what @ ..] => {
                let verdict = match word {
                    "drop" => Verdict::Drop,
                    "pass" => Verdict::Pass,
                    "keep" => Verdict::Keep,
                    _ => return Err(no_rule()),
                };
                match *what {
                    ["other"] => self.other = verdict,
                    ["net", _] if self.prefixes.len() == PREFIXES_MAX => return Err(Fault::TooMany),
                    ["net", prefix] => self.prefixes.push((self::prefix(prefix)?, verdict)),
                    ["port", port] => self.ports.push((number("port", port)?, verdict)),
                    ["proto", protocol] => self.protocols.push((self::protocol(protocol)?, verdict)),
                    ["vlan", vlan] => self.vlans.push((self::vlan(vlan)?, verdict)),
                    _ => return Err(no_rule()),
                }
            }
        }
        Ok(())
    }
}

fn number<T: FromStr>(what: &'static str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Value { what, value: text.to_owned() })
}

fn vlan(text: &str) -> Result<u16, Fault> {
    match number("VLAN id", text)? {
        id if id < 4096 => Ok(id),
        _ => Err(Fault::Value { what: "VLAN id", value: text.to_owned() }),
    }
}

fn protocol(text: &str) -> Result<u8, Fault> {
    match text {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmpv6" => Ok(58),
        "sctp" => Ok(132),
        _ => number("protocol", text),
    }
}

fn prefix(text: &str) -> Result<Prefix, Fault> {
    let wrong = || Fault::Value { what: "prefix", value: text.to_owned() };
    let (address, len) = text.split_once('/').map_or((text, None), |(address, len)| (address, Some(len)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let len = len.map_or(Ok(bits), |len| len.parse().map_err(|_| wrong()))?;
    if len > bits { Err(wrong()) } else { Ok(Prefix { address, len }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rules_say_what_they_say() {
        let policy: Policy =
            "drop net 10.0.0.0/8; pass net 2001:db8::1 # the collector\nkeep port 53\ndrop proto udp; drop vlan 7\n\
             drop other; sample 10 flow; offload after 50 sample 100 # all; of it"
                .parse()
                .unwrap();
        let net = |text: &str, len| Prefix { address: text.parse().unwrap(), len };
        assert_eq!(
            policy,
            Policy {
                vlans: vec![(7, Verdict::Drop)],
                protocols: vec![(17, Verdict::Drop)],
                prefixes: vec![(net("10.0.0.0", 8), Verdict::Drop), (net("2001:db8::1", 128), Verdict::Pass)],
                ports: vec![(53, Verdict::Keep)],
                other: Verdict::Drop,
                sampling: Sampling { every: 10, by_flow: true },
                offload: true,
                offload_after: 50,
                offload_every: 100,
            }
        );
        assert_eq!("".parse::<Policy>(), Ok(Policy::default()));
        let policy: Policy = "offload".parse().unwrap();
        assert_eq!((policy.offload, policy.offload_after, policy.offload_every), (true, OFFLOAD_AFTER, 0));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in [
            "drop",
            "drop port 65536",
            "drop net 10.0.0.0/33",
            "keep vlan 4096",
            "drop proto 256",
            "sample x",
            "offload 7",
        ] {
            let error =
                format!("keep other; keep port 1 # one; two\n{text}").parse::<Policy>().unwrap_err().to_string();
            assert!(error.starts_with("line 2: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_broken(text in "(drop|pass|keep|sample|offload|after|net|port|proto|vlan|other|[0-9a-f:./;# \n]){0,30}") {
            let _ = text.parse::<Policy>();
        }
    }
}
