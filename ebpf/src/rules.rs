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
    /// Of those, one of so many goes to user space all the same; 0: none but SYN, FIN and RST.
    pub offload_every: u32,
}

/// What is wrong with a text of rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error(
        "rule {line}: '{text}' is none: write drop, pass or keep and then net ADDRESS/BITS, port N, proto N, vlan N or other; or sample N [flow]; or offload [N]"
    )]
    NoRule { line: usize, text: String },
    #[error("rule {line}: {what} '{value}' is none, or out of range")]
    Value { line: usize, what: &'static str, value: String },
    #[error("more than {PREFIXES_MAX} prefixes")]
    TooMany,
}

/// One rule a line (or between `;`): `drop net 10.0.0.0/8`, `pass port 22`, `keep proto 6`, `drop vlan 7`, `drop other`, `sample 10 flow`,
/// `offload 100`. What follows a `#` is a comment.
impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Policy, PolicyError> {
        let mut policy = Policy::default();
        for (at, line) in text.split(['\n', ';']).enumerate() {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            policy.rule(at + 1, &words)?;
        }
        if policy.prefixes.len() > PREFIXES_MAX {
            return Err(PolicyError::TooMany);
        }
        Ok(policy)
    }
}

impl Policy {
    fn rule(&mut self, line: usize, words: &[&str]) -> Result<(), PolicyError> {
        let no_rule = || PolicyError::NoRule { line, text: words.join(" ") };
        match *words {
            [] => {}
            ["sample", every] => self.sampling = Sampling { every: number(line, "count", every)?, by_flow: false },
            ["sample", every, "flow"] => {
                self.sampling = Sampling { every: number(line, "count", every)?, by_flow: true };
            }
            ["offload"] => self.offload = true,
            ["offload", every] => {
                (self.offload, self.offload_every) = (true, number(line, "count", every)?);
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
                    ["net", prefix] => self.prefixes.push((self::prefix(line, prefix)?, verdict)),
                    ["port", port] => self.ports.push((number(line, "port", port)?, verdict)),
                    ["proto", protocol] => self.protocols.push((self::protocol(line, protocol)?, verdict)),
                    ["vlan", vlan] => self.vlans.push((self::vlan(line, vlan)?, verdict)),
                    _ => return Err(no_rule()),
                }
            }
        }
        Ok(())
    }
}

fn number<T: FromStr>(line: usize, what: &'static str, text: &str) -> Result<T, PolicyError> {
    text.parse().map_err(|_| PolicyError::Value { line, what, value: text.to_owned() })
}

fn vlan(line: usize, text: &str) -> Result<u16, PolicyError> {
    match number(line, "VLAN id", text)? {
        id if id < 4096 => Ok(id),
        _ => Err(PolicyError::Value { line, what: "VLAN id", value: text.to_owned() }),
    }
}

fn protocol(line: usize, text: &str) -> Result<u8, PolicyError> {
    match text {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmpv6" => Ok(58),
        "sctp" => Ok(132),
        _ => number(line, "protocol", text),
    }
}

fn prefix(line: usize, text: &str) -> Result<Prefix, PolicyError> {
    let wrong = || PolicyError::Value { line, what: "prefix", value: text.to_owned() };
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
             drop other; sample 10 flow; offload 100"
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
                offload_every: 100,
            }
        );
        assert_eq!("".parse::<Policy>(), Ok(Policy::default()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for text in ["drop", "drop port 65536", "drop net 10.0.0.0/33", "keep vlan 4096", "drop proto 256", "sample x"]
        {
            let error = format!("keep other\n{text}").parse::<Policy>().unwrap_err().to_string();
            assert!(error.starts_with("rule 2: "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_broken(text in "(drop|pass|keep|sample|offload|net|port|proto|vlan|other|[0-9a-f:./;# \n]){0,30}") {
            let _ = text.parse::<Policy>();
        }
    }
}
