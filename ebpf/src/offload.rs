//! Flows whose packets the program counts instead of sending them up, and how their counts come back, exactly.
//!
//! A flow's counters lie in a slot that only user space gives out and takes back. To take a flow back it leaves the map of flows; then
//! everything that ran when it left is waited for; only then is the slot read. So no packet is counted after the counters were read, and a
//! packet is either in the slot or was sent up, never both.
use crate::program::EbpfError;
use aya::maps::{Array, HashMap, MapData};
use std::net::IpAddr;

/// A flow as the program knows it, the same for both directions. Layout of `struct tuple`: addresses, ports, VLAN, protocol, version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple(pub(crate) [u8; TUPLE]);

pub(crate) const TUPLE: usize = 40;
/// `struct tally` in 64-bit words; the last one is both sets of flags.
pub(crate) const TALLY: usize = 11;

impl Tuple {
    /// Of two ends in either order; answers besides whether the first one given stands second.
    pub fn new(one: (IpAddr, u16), two: (IpAddr, u16), vlan: u16, protocol: u8) -> (Tuple, bool) {
        let reversed = (octets(one.0), one.1) > (octets(two.0), two.1);
        let (a, b) = if reversed { (two, one) } else { (one, two) };
        let mut bytes = [0; TUPLE];
        bytes[..16].copy_from_slice(&octets(a.0));
        bytes[16..32].copy_from_slice(&octets(b.0));
        bytes[32..34].copy_from_slice(&a.1.to_ne_bytes());
        bytes[34..36].copy_from_slice(&b.1.to_ne_bytes());
        bytes[36..38].copy_from_slice(&vlan.to_ne_bytes());
        bytes[38] = protocol;
        bytes[39] = if one.0.is_ipv4() { 4 } else { 6 };
        (Tuple(bytes), reversed)
    }

    /// What sampling by flow and steering go by (`hash_of` in the program).
    pub fn hash(&self) -> u64 {
        self.0.chunks_exact(8).fold(0, |hash: u64, word| {
            let word = u64::from_ne_bytes(*word.first_chunk().unwrap_or(&[0; 8]));
            let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^ hash >> 32
        })
    }
}

/// IPv4 stands in the first four bytes.
fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut all = [0; 16];
            all[..4].copy_from_slice(&ip.octets());
            all
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

/// What the program counted for a flow; index 0 is the direction from the lower endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub packets: [u64; 2],
    /// By the IP header, as flow records count.
    pub bytes: [u64; 2],
    /// As frames.
    pub wire_bytes: [u64; 2],
    /// When the last one came, CLOCK_MONOTONIC in nanoseconds; 0 if none did.
    pub last: [u64; 2],
    pub tcp_flags: [u8; 2],
}

impl Tally {
    fn of(words: [u64; TALLY]) -> Tally {
        let [p0, p1, b0, b1, w0, w1, l0, l1, _turns, _closed, flags] = words;
        let flags = flags.to_ne_bytes();
        Tally {
            packets: [p0, p1],
            bytes: [b0, b1],
            wire_bytes: [w0, w1],
            last: [l0, l1],
            // Two native 32-bit words with one byte in use.
            tcp_flags: [
                flags[if cfg!(target_endian = "big") { 3 } else { 0 }],
                flags[if cfg!(target_endian = "big") { 7 } else { 4 }],
            ],
        }
    }
}

/// Why a flow cannot be offloaded, or its counts not be had.
#[derive(Debug, thiserror::Error)]
pub enum OffloadError {
    #[error("all {slots} slots of offloaded flows are in use")]
    Full { slots: usize },
    #[error(transparent)]
    Map(#[from] EbpfError),
    #[error(
        "the kernel cannot wait for running programs (membarrier(2)): {0}; flow offload needs a kernel without nohz_full"
    )]
    Wait(std::io::Error),
}

/// The offloaded flows of one interface.
pub struct Offload {
    flows: HashMap<MapData, [u8; TUPLE], u32>,
    tallies: Array<MapData, [u64; TALLY]>,
    free: Vec<u32>,
    slots: usize,
}

impl Offload {
    pub(crate) fn new(flows: HashMap<MapData, [u8; TUPLE], u32>, tallies: Array<MapData, [u64; TALLY]>) -> Offload {
        let slots = tallies.len();
        Offload { flows, tallies, free: (0..slots).rev().collect(), slots: slots as usize }
    }

    /// From now on the program counts this flow's packets, if its policy says [`offload`](crate::Policy::offload); but after a FIN, SYN or
    /// RST it sends all of them up.
    pub fn add(&mut self, tuple: &Tuple) -> Result<(), OffloadError> {
        if self.flows.get(&tuple.0, 0).is_ok() {
            return Ok(());
        }
        let slot = self.free.pop().ok_or(OffloadError::Full { slots: self.slots })?;
        // A free slot is all zero: so it was made, and so `take` leaves it.
        if let Err(e) = self.flows.insert(tuple.0, slot, BPF_NOEXIST) {
            self.free.push(slot);
            return Err(EbpfError::map("flows", e).into());
        }
        Ok(())
    }

    /// Ends the offloading of these flows and answers what was counted since it began. Flows that are not offloaded answer zero. One wait of
    /// some milliseconds for all of them: take many at a time, and not in a lane.
    pub fn take(&mut self, tuples: &[Tuple]) -> Result<Vec<Tally>, OffloadError> {
        let mut slots = Vec::with_capacity(tuples.len());
        for tuple in tuples {
            let slot = self.flows.get(&tuple.0, 0).ok();
            if slot.is_some() {
                self.flows.remove(&tuple.0).map_err(|e| EbpfError::map("flows", e))?;
            }
            slots.push(slot);
        }
        sys::wait_for_programs().map_err(OffloadError::Wait)?;
        let read = |slot: Option<u32>| -> Result<Tally, OffloadError> {
            let Some(slot) = slot else { return Ok(Tally::default()) };
            let words = self.tallies.get(&slot, 0).map_err(|e| EbpfError::map("tallies", e))?;
            self.tallies.set(slot, [0; TALLY], 0).map_err(|e| EbpfError::map("tallies", e))?;
            self.free.push(slot);
            Ok(Tally::of(words))
        };
        slots.into_iter().map(read).collect()
    }

    /// What was counted so far for a flow that stays offloaded.
    pub fn look(&self, tuple: &Tuple) -> Result<Option<Tally>, OffloadError> {
        let Ok(slot) = self.flows.get(&tuple.0, 0) else { return Ok(None) };
        Ok(Some(Tally::of(self.tallies.get(&slot, 0).map_err(|e| EbpfError::map("tallies", e))?)))
    }

    /// Flows that are offloaded now; capacity = free + these (RELIABILITY.md, I15).
    pub fn in_use(&self) -> usize {
        self.slots - self.free.len()
    }
}

/// linux/bpf.h: a new element, or none.
const BPF_NOEXIST: u64 = 1;
