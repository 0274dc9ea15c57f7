//! Counters of outputs; the terms of identity I12 (RELIABILITY.md): each message ends in exactly one of them.

/// Counters of one output since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Messages taken by `send`.
    pub sent: u64,
    /// Messages refused: too long.
    pub too_large: u64,
    /// Messages refused: no format was set.
    pub no_format: u64,
    /// Messages refused: stopped while waiting, or already finished.
    pub terminated: u64,
    /// Containers or blocks finished.
    pub buffers: u64,
    /// Automatic and manual flushes that published something (sockets only).
    pub autoflushes: u64,
    /// Clients connected now; 1 for files and blackholes, as in the original.
    pub clients: usize,
    /// Clients ever accepted.
    pub clients_accepted: u64,
    /// Clients refused because of `max_clients`.
    pub clients_refused: u64,
    /// Messages skipped by slow lossy clients, summed over all clients ever.
    pub skipped: u64,
    /// Messages published while no client was connected.
    pub unheard: u64,
    /// Messages queued for clients that left or were cut off at the end, summed over clients.
    pub abandoned: u64,
    /// Messages lost because a file could not be written.
    pub lost_io: u64,
    /// Messages that a format change in mode `w` overwrote in their file (trap.md section 9.2).
    pub overwritten: u64,
}

/// Counters of one connected client. Always `published == sent_messages + skipped_messages + queued_messages`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientStats {
    /// TCP: remote port. Unix: process id of the client (trap.md section 7.6).
    pub id: u32,
    /// Messages published since this client joined.
    pub published: u64,
    /// Messages handed to the kernel.
    pub sent_messages: u64,
    /// Containers handed to the kernel.
    pub sent_containers: u64,
    /// Messages that were overwritten before this client took them.
    pub skipped_messages: u64,
    /// Messages waiting for this client, counted over the ring.
    pub queued_messages: u64,
}
