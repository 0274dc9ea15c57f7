//! The books of a cache.

/// The books of a cache (RELIABILITY.md I6 to I8). Packets and bytes are those counted into flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub packets: u64,
    /// IP bytes.
    pub bytes: u64,
    /// Packets and bytes of the flows that were exported.
    pub exported_packets: u64,
    pub exported_bytes: u64,
    /// Flows that began with a packet of a key that was not live.
    pub opened: u64,
    /// Records that go on from one that was cut by a plugin.
    pub continued: u64,
    /// Exported records by flowEndReason; index 0: not said (original face only).
    pub ended: [u64; 6],
    /// Packets that ended a flow without being counted into it (original face only: a plugin's flush before the update).
    pub uncounted: u64,
}

impl CacheStats {
    pub fn ended_total(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Adds the books of another lane.
    pub fn merge(&mut self, other: &CacheStats) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.exported_packets += other.exported_packets;
        self.exported_bytes += other.exported_bytes;
        self.opened += other.opened;
        self.continued += other.continued;
        self.uncounted += other.uncounted;
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
    }
}
