//! Hosts and ports whose flows never match.
use crate::argparse::atoi;
use crate::lines::Lines;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;

/// Prefixes of both sides, at the most; about 100 bytes each.
const PREFIXES_MAX: usize = 1 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Whitelist {
    /// Of attackers and of victims.
    sides: [Side; 2],
    prefixes: usize,
}

#[derive(Debug, Default)]
struct Side {
    v4: Prefixes,
    v6: Prefixes,
}

/// Ports of prefixes, by length and address.
type Prefixes = BTreeMap<u8, HashMap<u128, Ports>>;

#[derive(Debug, Default)]
struct Ports {
    are_all: bool,
    ranges: Vec<[u16; 2]>,
}

/// One line that was understood.
#[derive(Debug, PartialEq, Eq)]
struct Rule<'l> {
    /// Attackers, victims.
    sides: [bool; 2],
    ip: IpAddr,
    length: u8,
    /// Empty for all.
    ports: &'l str,
}

impl Whitelist {
    /// Reads a file; with `is_verbose` says what was read.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub(super) fn load(path: &Path, is_verbose: bool) -> io::Result<Whitelist> {
        Whitelist::read(BufReader::new(File::open(path)?), is_verbose)
    }

    fn read(text: impl BufRead, is_verbose: bool) -> io::Result<Whitelist> {
        let say = |what: String| {
            if is_verbose {
                println!("{what}");
            }
        };
        say("Parsing whitelist file...".into());
        let (mut list, mut rules) = (Whitelist::default(), 0);
        let mut lines = Lines::new(text);
        while let Some((line, _)) = lines.next()? {
            let line = String::from_utf8_lossy(line);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match rule(&line) {
                Some(rule) => {
                    say(format!("IP: {}", rule.ip));
                    rules += list.add(&rule, &say);
                }
                None => say(format!("Invalid line: {line}")),
            }
        }
        say(format!("Total rules added: {rules}\nParsing whitelist file done"));
        Ok(list)
    }

    /// Whether flows between these are not attacks.
    pub(super) fn contains(&self, attacker: (IpAddr, u16), victim: (IpAddr, u16)) -> bool {
        [attacker, victim].into_iter().zip(&self.sides).any(|((ip, port), side)| side.contains(ip, port))
    }

    /// Adds a rule and answers how many rules the original would count for it.
    fn add(&mut self, rule: &Rule<'_>, say: &impl Fn(String)) -> usize {
        let mut rules = 0;
        for (_, side) in rule.sides.into_iter().zip(&mut self.sides).filter(|(is_meant, _)| *is_meant) {
            if self.prefixes >= PREFIXES_MAX {
                eprintln!("Error Whitelist: more than {PREFIXES_MAX} prefixes; {} is left out.", rule.ip);
                return rules;
            }
            let (prefixes, bits) = side.of(rule.ip);
            let prefixes = prefixes.entry(rule.length).or_default();
            let before = prefixes.len();
            let ports = prefixes.entry(prefix(bits, rule.length)).or_default();
            ports.are_all |= rule.ports.is_empty();
            rules += 1 + ports.add(rule.ports, say);
            self.prefixes += prefixes.len() - before;
        }
        rules
    }
}

/// Understands `[src |dst ]IP/PREFIX[/PORTS]` with a comment behind it. As in the original the prefix is needed.
fn rule(line: &str) -> Option<Rule<'_>> {
    let line = line.split('#').next().unwrap_or_default();
    let (sides, line) = match line.get(..4) {
        Some(word) if word.starts_with("src") => ([true, false], &line[4..]),
        Some(word) if word.starts_with("dst") => ([false, true], &line[4..]),
        Some(_) => ([true, true], line),
        None => return None,
    };
    let (ip, rest) = line.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let (length, ports) = match rest.split_once('/') {
        Some((_, "")) => return None,
        Some((length, ports)) => (length, ports),
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    // The original keeps it in 8 bits.
    let length = atoi(length) as u8;
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    (length <= longest).then_some(Rule { sides, ip, length, ports })
}

impl Side {
    fn contains(&self, ip: IpAddr, port: u16) -> bool {
        let (prefixes, bits) = match ip {
            IpAddr::V4(v4) => (&self.v4, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (&self.v6, v6.to_bits()),
        };
        let mut found = prefixes.iter().filter_map(|(length, ports)| ports.get(&prefix(bits, *length)));
        found.any(|ports| ports.contain(port))
    }

    fn of(&mut self, ip: IpAddr) -> (&mut Prefixes, u128) {
        match ip {
            IpAddr::V4(v4) => (&mut self.v4, u128::from(v4.to_bits()) << 96),
            IpAddr::V6(v6) => (&mut self.v6, v6.to_bits()),
        }
    }
}

impl Ports {
    fn contain(&self, port: u16) -> bool {
        self.are_all || self.ranges.iter().any(|[from, to]| (*from..=*to).contains(&port))
    }

    /// Adds a list such as `20-23,80`; answers how many ranges it has. What follows a range without an end is left out.
    fn add(&mut self, list: &str, say: &impl Fn(String)) -> usize {
        let mut ranges = 0;
        for word in list.split(',').filter(|word| !word.is_empty()) {
            let port = |text| atoi(text) as u16;
            let range = match word.split_once('-') {
                Some((_, "")) => {
                    say(format!("Invalid ports range: {word}"));
                    break;
                }
                Some((from, to)) => {
                    say(format!("Adding port range {word}"));
                    ranges += 1;
                    [port(from), port(to)]
                }
                None => {
                    say(format!("Adding single port {}", port(word)));
                    [port(word); 2]
                }
            };
            if !self.ranges.contains(&range) {
                self.ranges.push(range);
            }
        }
        ranges
    }
}

/// The upper `length` of an address that begins at the uppermost bit.
fn prefix(bits: u128, length: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// Any bytes as a whitelist: an address of a rule is in it.
pub fn fuzz_whitelist(input: &[u8]) {
    let list = Whitelist::read(input, false).expect("reading memory does not fail");
    let text = String::from_utf8_lossy(input);
    let lines = text.split('\n').filter(|line| !line.starts_with('#'));
    for rule in lines.filter_map(rule).filter(|rule| rule.ports.is_empty()).take(100) {
        let other = (IpAddr::from([255; 4]), 1);
        let (attacker, victim) = if rule.sides[0] { ((rule.ip, 7), other) } else { (other, (rule.ip, 7)) };
        assert!(list.contains(attacker, victim), "{rule:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> (IpAddr, u16) {
        let (ip, port) = text.rsplit_once(':').unwrap();
        (ip.parse().unwrap(), port.parse().unwrap())
    }

    #[test]
    fn rules_and_what_they_mean() {
        let text = "# comment\nsrc 203.0.113.6\ndst 192.0.2.40/32/3389 # why\n203.0.113.10/31/20-23,80\nsrc 2001:db8::/32\n\
            0.0.0.0/0/9\n10.0.0.0/33\n10.0.0.0/8/\n1/\nsrc\ndst 10.0.0.0/8/5-,7\n";
        let list = Whitelist::read(text.as_bytes(), false).unwrap();
        for (attacker, victim, is_listed) in [
            // Without a prefix a line is no rule, as in the original.
            ("203.0.113.6:1", "1.1.1.1:22", false),
            ("1.1.1.1:1", "192.0.2.40:3389", true),
            ("1.1.1.1:1", "192.0.2.40:22", false),
            ("192.0.2.40:3389", "1.1.1.1:1", false),
            ("203.0.113.11:21", "1.1.1.1:1", true),
            ("203.0.113.12:21", "1.1.1.1:1", false),
            ("1.1.1.1:1", "203.0.113.10:80", true),
            ("2001:db8:1::1:5", "2001::1:22", true),
            ("2001::1:5", "2001:db8:1::1:22", false),
            ("8.8.8.8:9", "8.8.8.8:1", true),
            ("8.8.8.8:1", "10.0.0.1:7", false),
        ] {
            assert_eq!(list.contains(host(attacker), host(victim)), is_listed, "{attacker} {victim}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "((src |dst )?(10\\.0\\.[0-9]\\.1|::[0-9a-f]{1,4})?/[0-9]{0,3}(/([0-9]{0,5}[-,]?){0,4})?#?\n?){0,6}") {
            fuzz_whitelist(text.as_bytes());
        }
    }
}
