//! What became of the packets: the counters of `enum ended` in program/sonda.bpf.c, for each socket's row and processor.
use crate::program::EbpfError;
use aya::maps::{Map, MapData, PerCpuArray};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// `ENDS` of the program.
pub(crate) const ENDS: usize = 16;

/// How a packet ended. Numbers as in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Ended {
    /// Given to its socket; what the socket did with it is in XDP_STATISTICS.
    Redirected = 2,
    /// Left to the kernel's stack, because a rule said so.
    PassedByRule = 3,
    /// Left to the kernel's stack, because its socket is closed or its queue has none.
    PassedNoSocket = 4,
    DroppedVlan = 5,
    DroppedProtocol = 6,
    DroppedAddress = 7,
    DroppedPort = 8,
    /// No rule named it, and those that none names are dropped.
    DroppedOther = 9,
    Sampled = 10,
    /// Counted in the slot of its flow.
    Offloaded = 11,
}

impl Ended {
    pub const ALL: [Ended; 10] = [
        Ended::Redirected,
        Ended::PassedByRule,
        Ended::PassedNoSocket,
        Ended::DroppedVlan,
        Ended::DroppedProtocol,
        Ended::DroppedAddress,
        Ended::DroppedPort,
        Ended::DroppedOther,
        Ended::Sampled,
        Ended::Offloaded,
    ];
}

/// The counters of one socket, or of all, summed over processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; ENDS]);

impl Counts {
    /// Packets that reached the program.
    pub fn seen(&self) -> u64 {
        self.0[0]
    }

    /// Their bytes, as they arrived.
    pub fn seen_bytes(&self) -> u64 {
        self.0[1]
    }

    pub fn of(&self, ended: Ended) -> u64 {
        self.0[ended as usize]
    }

    /// Left to the kernel's stack.
    pub fn passed(&self) -> u64 {
        self.of(Ended::PassedByRule) + self.of(Ended::PassedNoSocket)
    }

    /// Refused by a rule, without sampling and offloading.
    pub fn refused(&self) -> u64 {
        [Ended::DroppedVlan, Ended::DroppedProtocol, Ended::DroppedAddress, Ended::DroppedPort, Ended::DroppedOther]
            .iter()
            .map(|ended| self.of(*ended))
            .sum()
    }

    /// Identity I2; a packet under way may be missing on either side while packets come.
    pub fn imbalance(&self) -> Option<String> {
        let ended: u64 = Ended::ALL.iter().map(|ended| self.of(*ended)).sum();
        (self.seen() != ended).then(|| format!("packets seen by XDP = ended: {} is not {ended}", self.seen()))
    }

    pub fn merge(&mut self, other: &Counts) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Counts) -> Counts {
        let mut since = *self;
        since.0.iter_mut().zip(before.0).for_each(|(now, then)| *now = now.wrapping_sub(then));
        since
    }
}

/// Reads the counters; lanes have one each.
#[derive(Clone)]
pub struct Reader(pub(crate) Arc<PerCpuArray<MapData, [u64; ENDS]>>);

impl Reader {
    /// Reads the counters of a program that another process has, from its map ([`Program::counters_fd`](crate::Program::counters_fd)).
    pub fn of_map(map: OwnedFd) -> Result<Reader, EbpfError> {
        let map = MapData::from_fd(map).map(Map::PerCpuArray).map_err(|e| EbpfError::map("counters", e))?;
        Ok(Reader(Arc::new(PerCpuArray::try_from(map).map_err(|e| EbpfError::map("counters", e))?)))
    }

    /// What was for the socket of this row ([`Program::give`](crate::Program::give)).
    pub fn of(&self, row: u32) -> Result<Counts, EbpfError> {
        let cpus = self.0.get(&row, 0).map_err(|e| EbpfError::map("counters", e))?;
        let mut counts = Counts::default();
        cpus.iter().for_each(|cpu| counts.merge(&Counts(*cpu)));
        Ok(counts)
    }

    /// Of all queues together.
    pub fn total(&self) -> Result<Counts, EbpfError> {
        let mut total = Counts::default();
        for row in 0..crate::ROWS_MAX {
            total.merge(&self.of(row)?);
        }
        Ok(total)
    }
}
