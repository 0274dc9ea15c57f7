//! A list of pools: those of a file for ever, those that were found out for a day (spec/detectors.md section 11).
use crate::bounded::Bounded;
use crate::lines::Lines;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Address and port. A line without a port means port 0 and nothing else, as in the original.
pub(super) type Pool = (IpAddr, u16);

/// Seconds of flow time for which what was found out is believed.
const BELIEVED: u64 = 24 * 3_600;

/// See the module.
#[derive(Debug)]
pub(super) struct Pools {
    listed: BTreeSet<Pool>,
    /// With the second in which it was found out; in that order.
    found: Bounded<Pool, u64>,
    max: usize,
}

impl Pools {
    /// An empty list of at most `max` pools of a file, and as many others.
    pub(super) fn new(max: usize) -> Pools {
        Pools { listed: BTreeSet::new(), found: Bounded::new(max), max: max.max(1) }
    }

    /// Adds the pools of a file; says which of its lines are none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn load(&mut self, path: &Path) -> io::Result<()> {
        self.read(&path.display().to_string(), BufReader::new(File::open(path)?))
    }

    fn read(&mut self, name: &str, text: impl BufRead) -> io::Result<()> {
        let (mut lines, mut number) = (Lines::new(text), 0_u64);
        let mut left_out = 0_u64;
        while let Some((line, _)) = lines.next()? {
            number += 1;
            let line = String::from_utf8_lossy(line);
            match pool(line.trim()) {
                _ if line.trim().is_empty() => {}
                Some(pool) if self.listed.len() < self.max || self.listed.contains(&pool) => {
                    self.listed.insert(pool);
                }
                Some(_) => left_out += 1,
                None => eprintln!("WARNING: line {number} of '{name}' is no IP[:port]"),
            }
        }
        if left_out > 0 {
            eprintln!("WARNING: '{name}' has more than {} pools; {left_out} are left out", self.max);
        }
        Ok(())
    }

    /// Writes all pools in the form in which they are read.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn store(&self, path: &Path) -> io::Result<()> {
        let pools = self.listed.iter().chain(self.found.iter().map(|(pool, _)| pool));
        fs::write(path, pools.map(|pool| format!("{}\n", SocketAddr::from(*pool))).collect::<String>())
    }

    pub(super) fn contains(&self, pool: &Pool) -> bool {
        self.found.get(pool).is_some() || (!self.listed.is_empty() && self.listed.contains(pool))
    }

    /// Adds what was found out in this second of flow time.
    pub(super) fn add(&mut self, pool: Pool, now: u64) {
        *self.found.entry(pool, || now).0 = now;
    }

    /// Forgets what was found out a day ago.
    pub(super) fn forget(&mut self, now: u64) {
        while self.found.oldest().is_some_and(|(_, found)| now >= found.saturating_add(BELIEVED)) {
            self.found.pop_oldest();
        }
    }

    /// Says how many pools made room for others.
    pub(super) fn tell(&self) {
        self.found.tell("pools");
    }
}

/// `IP`, `IP:PORT`, and for IPv6 also `[IP]:PORT`.
fn pool(text: &str) -> Option<Pool> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((address.ip(), address.port()));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let ip = bare.map_or_else(|| text.parse().ok(), |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::V6));
    Some((ip?, 0))
}

/// Any bytes as a list: what is stored is what was read.
pub(crate) fn fuzz_pools(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for pool in text.lines().filter_map(pool) {
        assert_eq!(self::pool(&SocketAddr::from(pool).to_string()), Some(pool));
    }
    let mut pools = Pools::new(4);
    pools.read("input", input).expect("reading memory does not fail");
    assert!(pools.listed.len() <= 4);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tempfile::TempDir;

    #[test]
    fn files_and_days() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("pools");
        let mut pools = Pools::new(3);
        pools.read("text", &b"198.51.100.33:3333\r\n\n198.51.100.34\n[2001:db8::1]:5\n10.0.0.1:1\nx\n"[..]).unwrap();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(pools.contains(&(ip("198.51.100.33"), 3333)) && !pools.contains(&(ip("198.51.100.33"), 0)));
        assert!(pools.contains(&(ip("198.51.100.34"), 0)) && !pools.contains(&(ip("198.51.100.34"), 3333)));
        assert!(!pools.contains(&(ip("10.0.0.1"), 1)), "three are enough");
        pools.add((ip("10.0.0.2"), 2), 1_000);
        pools.store(&path).unwrap();
        let stored = fs::read_to_string(&path).unwrap();
        assert_eq!(stored, "198.51.100.33:3333\n198.51.100.34:0\n[2001:db8::1]:5\n10.0.0.2:2\n");
        pools.forget(87_399);
        assert!(pools.contains(&(ip("10.0.0.2"), 2)));
        pools.forget(87_400);
        assert!(!pools.contains(&(ip("10.0.0.2"), 2)) && pools.contains(&(ip("2001:db8::1"), 5)));
        let mut again = Pools::new(9);
        again.load(&path).unwrap();
        assert_eq!(again.listed.len(), 4);
        assert!(again.load(Path::new("/nonexist/x")).is_err());
    }

    proptest! {
        #[test]
        fn any_text(text in "((\\[?[0-9a-f:.]{1,9}\\]?|10\\.0\\.0\\.[0-9])(:[0-9]{1,6})?\n){0,6}") {
            fuzz_pools(text.as_bytes());
        }
    }
}
