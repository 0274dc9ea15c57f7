//! Several sockets on one queue, and which of them a packet goes to (program/steer.h).
//!
//! Each socket has a row in the maps of sockets and counters. The first one's row is the number of its queue, the others' come behind.
use crate::program::EbpfError;
use crate::{QUEUES_MAX, ROWS_MAX};
use aya::maps::{Array, MapData, XskMap};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The sockets of all queues.
pub(crate) struct Sockets {
    sockets: XskMap<MapData>,
    spreads: Array<MapData, [u32; 2]>,
    /// The first row that nobody has.
    next: u32,
}

impl Sockets {
    pub(crate) fn new(sockets: XskMap<MapData>, spreads: Array<MapData, [u32; 2]>) -> Sockets {
        Sockets { sockets, spreads, next: QUEUES_MAX }
    }

    /// Gives a queue its sockets and answers their rows.
    pub(crate) fn give(&mut self, queue: u32, sockets: &[BorrowedFd<'_>]) -> Result<Vec<u32>, EbpfError> {
        let more = sockets.len().saturating_sub(1) as u32;
        // The last row is for packets of queues that have none.
        if queue >= QUEUES_MAX || more >= ROWS_MAX - self.next {
            return Err(EbpfError::Rows);
        }
        let rows: Vec<u32> = std::iter::once(queue).chain(self.next..self.next + more).collect();
        for (row, socket) in rows.iter().zip(sockets) {
            self.sockets.set(*row, socket.as_raw_fd(), 0).map_err(|e| EbpfError::map("sockets", e))?;
        }
        // As the last step: a packet meets either one socket or all of them.
        self.spreads.set(queue, [more + 1, self.next], 0).map_err(|e| EbpfError::map("spreads", e))?;
        self.next += more;
        Ok(rows)
    }

    /// What is spread to this row goes to the stack from now on.
    pub(crate) fn withdraw(&mut self, row: u32) -> Result<(), EbpfError> {
        self.sockets.unset(row).map_err(|e| EbpfError::map("sockets", e))
    }
}

/// What spreading goes by (`hash_of_addresses` of the program); the same with the two addresses exchanged.
pub fn hash_of_addresses(one: IpAddr, two: IpAddr) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (one, two) = (words(one), words(two));
    let hash = one[0].wrapping_add(two[0]).wrapping_mul(SPREAD);
    let hash = (hash ^ hash >> 32).wrapping_add(one[1]).wrapping_add(two[1]).wrapping_mul(SPREAD);
    hash ^ hash >> 32
}

/// Which of `count` sockets a hash means (`row_of` of the program).
pub fn turn(hash: u64, count: u32) -> u32 {
    (((hash >> 32) * u64::from(count)) >> 32) as u32
}

/// As the program has them: native words, IPv4 in the first four bytes.
fn words(ip: IpAddr) -> [u64; 2] {
    let mut bytes = [0; 16];
    match ip {
        IpAddr::V4(ip) => bytes[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => bytes = ip.octets(),
    }
    let (high, low) = bytes.split_at(8);
    [high, low].map(|half| half.first_chunk().copied().map_or(0, u64::from_ne_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_go_to_one_socket_and_all_sockets_have_work() {
        for count in 2..=8 {
            let mut counts = vec![0; count as usize];
            for host in 0..8_000u32 {
                let (a, b) = (IpAddr::from(host.to_be_bytes()), IpAddr::from([192, 0, 2, 1]));
                assert_eq!(hash_of_addresses(a, b), hash_of_addresses(b, a));
                counts[turn(hash_of_addresses(a, b), count) as usize] += 1;
            }
            let even = 8_000 / count;
            assert!(counts.iter().all(|n| (even * 8 / 10..even * 12 / 10).contains(n)), "{counts:?}");
        }
    }
}
