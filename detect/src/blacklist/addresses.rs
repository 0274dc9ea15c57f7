//! A list of addresses and networks of one family, as its file has them (spec/detectors.md section 8.1).
//!
//! ```text
//! 192.0.2.0/24,8                    on list 4
//! 198.51.100.5,9;1:80,443;4:25      on lists 1 and 4, each with some ports only
//! 203.0.113.9,999,UUID,UUID         an entry of the adaptive filter
//! ```
//! Contract: of overlapping networks the longest prefix counts, in any order of lines; of two lines about one network both count. A look-up
//! costs a load from a table of the upper 16 bits and a binary search among what begins alike.
use super::{ENTRIES_MAX, LISTS_MAX, Wrong};
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// The bit field that is no bit field but says that ids of the adaptive filter follow.
pub const ADAPTIVE: u64 = 999;
/// No entry.
const NONE: u32 = u32::MAX;

/// The list of IPv4 addresses.
pub type Addresses4 = Addresses<u32>;
/// The list of IPv6 addresses.
pub type Addresses6 = Addresses<u128>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Addresses<B> {
    /// Where ranges begin, sorted; a range goes to the next beginning.
    begins: Vec<B>,
    /// Index of each range's entry, or [`NONE`].
    ranges: Vec<u32>,
    /// How many ranges begin below each value of the upper 16 bits; one more at the end. Empty for an empty list.
    upper: Vec<u32>,
    entries: Vec<Entry>,
}

/// What a list says of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    bits: u64,
    /// What few entries have.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct More {
    /// Bits of lists that know ports, and those ports, sorted.
    ports: Vec<(u64, Vec<u16>)>,
    /// Ids of the adaptive filter, as they stand in the line.
    ids: String,
}

/// An address of one family, as a number.
pub trait Bits: Copy + Ord {
    /// From an address in the upper bits.
    fn from_upper(upper: u128) -> Self;
    fn upper_16(self) -> usize;
    /// The address in the upper bits, if it is of the family, and the length of the family's addresses.
    fn of(ip: IpAddr) -> Option<(u128, u8)>;
}

impl Bits for u32 {
    fn from_upper(upper: u128) -> u32 {
        (upper >> 96) as u32
    }
    fn upper_16(self) -> usize {
        (self >> 16) as usize
    }
    fn of(ip: IpAddr) -> Option<(u128, u8)> {
        let IpAddr::V4(ip) = ip else { return None };
        Some((u128::from(ip.to_bits()) << 96, 32))
    }
}

impl Bits for u128 {
    fn from_upper(upper: u128) -> u128 {
        upper
    }
    fn upper_16(self) -> usize {
        (self >> 112) as usize
    }
    fn of(ip: IpAddr) -> Option<(u128, u8)> {
        let IpAddr::V6(ip) = ip else { return None };
        Some((ip.to_bits(), 128))
    }
}

/// A network and what is said of it.
struct Network {
    first: u128,
    length: u8,
    entry: Entry,
}

impl<B: Bits> Addresses<B> {
    /// Reads a file and says on standard error which of its lines mean nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn load(path: &Path) -> io::Result<Addresses<B>> {
        let mut networks = Vec::new();
        super::load(path, |line| take::<B>(line, &mut networks))?;
        Ok(Addresses::of(networks))
    }

    /// What the list says of an address.
    #[inline]
    pub fn find(&self, address: B) -> Option<&Entry> {
        let upper = address.upper_16();
        let (from, to) = (*self.upper.get(upper)? as usize, *self.upper.get(upper + 1)? as usize);
        let behind = from + self.begins.get(from..to)?.partition_point(|begin| *begin <= address);
        let range = *self.ranges.get(behind.checked_sub(1)?)?;
        self.entries.get(range as usize)
    }

    /// Entries; of lines about one network only one.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn of(mut networks: Vec<Network>) -> Addresses<B> {
        networks.sort_by_key(|network| (network.first, network.length));
        networks.dedup_by(|later, kept| {
            let is_same = (later.first, later.length) == (kept.first, kept.length);
            if is_same {
                kept.entry.add(std::mem::take(&mut later.entry));
            }
            is_same
        });
        let ranges = flatten(&networks);
        let begins: Vec<B> = ranges.iter().map(|(begin, _)| B::from_upper(*begin)).collect();
        let mut upper = Vec::new();
        if !begins.is_empty() {
            let mut at = 0;
            for value in 0..=1_usize << 16 {
                at += begins[at..].iter().take_while(|begin| begin.upper_16() < value).count();
                // There are at most twice as many ranges as entries.
                upper.push(at as u32);
            }
        }
        Addresses {
            begins,
            ranges: ranges.into_iter().map(|(_, entry)| entry).collect(),
            upper,
            entries: networks.into_iter().map(|network| network.entry).collect(),
        }
    }
}

impl Entry {
    /// The lists that the address is on, with this port: a list that knows ports counts with them only.
    #[inline]
    pub fn bits(&self, port: u16) -> u64 {
        let Some(more) = &self.more else { return self.bits };
        let other = |(_, ports): &&(u64, Vec<u16>)| ports.binary_search(&port).is_err();
        more.ports.iter().filter(other).fold(self.bits, |bits, (list, _)| bits & !list)
    }

    /// Ids of the adaptive filter, separated by commas; empty for a usual entry.
    pub fn ids(&self) -> &str {
        self.more.as_ref().map_or("", |more| &more.ids)
    }

    /// Adds what another line says of the same network. A list that one of them has without ports has all ports.
    fn add(&mut self, other: Entry) {
        let known = |entry: &Entry, list: u64| {
            let ports = entry.more.as_ref().and_then(|more| more.ports.iter().find(|(bit, _)| *bit == list));
            (entry.bits & list != 0).then(|| ports.map(|(_, ports)| ports.clone()))
        };
        let mut more = More::default();
        for list in (0..LISTS_MAX).map(|shift| 1_u64 << shift) {
            let ports = match (known(self, list), known(&other, list)) {
                (Some(Some(mut ports)), Some(Some(others))) => {
                    ports.extend(others);
                    Some(ports)
                }
                (Some(ports), None) | (None, Some(ports)) => ports,
                _ => None,
            };
            more.add_ports(list, ports.unwrap_or_default());
        }
        let ids: Vec<_> = [self.ids(), other.ids()].into_iter().filter(|ids| !ids.is_empty()).collect();
        more.ids = ids.join(",");
        self.bits |= other.bits;
        self.more = more.boxed();
    }
}

impl More {
    /// None if there is nothing in it.
    fn boxed(self) -> Option<Box<More>> {
        (self != More::default()).then(|| Box::new(self))
    }

    fn add_ports(&mut self, list: u64, mut ports: Vec<u16>) {
        if ports.is_empty() {
            return;
        }
        match self.ports.iter_mut().find(|(known, _)| *known == list) {
            Some((_, known)) => {
                known.append(&mut ports);
                known.sort_unstable();
                known.dedup();
            }
            None => {
                ports.sort_unstable();
                ports.dedup();
                self.ports.push((list, ports));
            }
        }
    }
}

/// Adds the network of a line.
fn take<B: Bits>(line: &str, networks: &mut Vec<Network>) -> Result<(), Wrong> {
    let (address, rest) = line.split_once(',').ok_or(Wrong::Format)?;
    let (ip, length) = address.split_once('/').map_or((address, None), |(ip, length)| (ip, Some(length)));
    let (upper, longest) = ip.trim().parse().ok().and_then(B::of).ok_or(Wrong::Address)?;
    let length = match length {
        Some(length) => length.trim().parse().ok().filter(|length| *length <= longest).ok_or(Wrong::Address)?,
        None => longest,
    };
    let (entry, taken) = entry(rest)?;
    if networks.len() >= ENTRIES_MAX {
        return Err(Wrong::Full);
    }
    networks.push(Network { first: upper & mask(length), length, entry });
    taken
}

/// What stands behind the address; the second answer is about parts of it.
fn entry(text: &str) -> Result<(Entry, Result<(), Wrong>), Wrong> {
    let end = text.find([',', ';']).unwrap_or(text.len());
    let (bits, rest) = text.split_at(end);
    let bits = bits.trim().parse().map_err(|_| Wrong::Format)?;
    let mut more = More::default();
    if let Some(ids) = rest.strip_prefix(',') {
        if bits != ADAPTIVE {
            return Err(Wrong::Format);
        }
        ids.clone_into(&mut more.ids);
        return Ok((Entry { bits, more: more.boxed() }, Ok(())));
    }
    let mut taken = Ok(());
    for group in rest.split(';').skip(1) {
        match ports(group) {
            Some((list, ports)) => more.add_ports(list, ports),
            None => taken = Err(Wrong::Ports(group.to_owned())),
        }
    }
    Ok((Entry { bits, more: more.boxed() }, taken))
}

/// The bit of a list, and its ports.
fn ports(group: &str) -> Option<(u64, Vec<u16>)> {
    let (list, ports) = group.split_once(':')?;
    let list: u8 = list.trim().parse().ok().filter(|list| (1..=LISTS_MAX).contains(list))?;
    let ports: Vec<u16> = ports.split(',').map(|port| port.trim().parse().ok()).collect::<Option<_>>()?;
    Some((1 << (list - 1), ports))
}

/// Ranges of networks that are sorted by their first address, the outer one first where two begin alike: where each begins, and the
/// innermost network that it is in.
fn flatten(networks: &[Network]) -> Vec<(u128, u32)> {
    let mut ranges: Vec<(u128, u32)> = Vec::new();
    let mut begin = |at: u128, network: u32| match ranges.last_mut() {
        Some(last) if last.0 == at => last.1 = network,
        _ => ranges.push((at, network)),
    };
    // Networks that are open here, each inside the one before it.
    let mut open: Vec<(u128, u32)> = Vec::new();
    let close = |open: &mut Vec<(u128, u32)>, until: Option<u128>, begin: &mut dyn FnMut(u128, u32)| {
        while let Some((last, _)) = open.last().copied().filter(|(last, _)| until.is_none_or(|until| *last < until)) {
            open.pop();
            if let Some(next) = last.checked_add(1) {
                begin(next, open.last().map_or(NONE, |(_, outer)| *outer));
            }
        }
    };
    for (index, network) in networks.iter().enumerate() {
        close(&mut open, Some(network.first), &mut begin);
        // ENTRIES_MAX fits.
        begin(network.first, index as u32);
        open.push((network.first | !mask(network.length), index as u32));
    }
    close(&mut open, None, &mut begin);
    ranges
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// Any bytes as both lists: every address of a line has an answer.
pub fn fuzz_addresses(input: &[u8]) {
    fn check<B: Bits>(input: &[u8]) {
        let mut networks = Vec::new();
        super::read("input", input, |line| take::<B>(line, &mut networks)).expect("reading memory does not fail");
        let ends: Vec<_> = networks.iter().map(|n| (n.first, n.first | !mask(n.length), n.entry.bits)).collect();
        let list = Addresses::<B>::of(networks);
        for (first, last, bits) in ends {
            for address in [first, last] {
                let found = list.find(B::from_upper(address)).expect("an address of a line is in the list");
                // A longer prefix may hide this one.
                assert!(found.bits & bits == bits || list.len() > 1);
            }
        }
    }
    check::<u32>(input);
    check::<u128>(input);
}

#[cfg(test)]
#[path = "addresses_tests.rs"]
mod tests;
