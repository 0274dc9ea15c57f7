//! The ring of finished containers and the place of each client in it (trap.md section 7.1). No threads, no I/O.
//!
//! A container is stored once and shared; a client is a cursor. What all clients have passed leaves at once, and its memory is filled again
//! while the processor still has it at hand. Identity I12 holds after every step: messages published
//! since a client joined = sent + skipped + queued.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::stats::ClientStats;
use crate::container::Builder;

/// Finished containers, oldest first.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    /// Number of the oldest entry, counted from the first container ever.
    base: u64,
    /// Messages published so far.
    messages: u64,
    limit: usize,
    clients: BTreeMap<u64, Cursor>,
    /// Clients without an end; asked for each message, so it is kept.
    listeners: usize,
    next_key: u64,
    totals: Totals,
    /// Memory of containers that left.
    spares: Vec<Vec<u8>>,
}

/// Containers whose memory is kept: one is filled while others are on their way.
const SPARES_MAX: usize = 4;

/// Sums over clients and containers of the past.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) containers: u64,
    pub(super) skipped: u64,
    pub(super) unheard: u64,
    pub(super) abandoned: u64,
    pub(super) joined: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    bytes: Arc<Vec<u8>>,
    /// Messages before this container.
    first: u64,
}

#[derive(Debug)]
struct Cursor {
    id: u32,
    /// Next container to send.
    next: u64,
    joined_at: u64,
    sent_messages: u64,
    sent_containers: u64,
    skipped: u64,
    /// Set when the client is to be closed: the container and message number where it ends.
    end: Option<(u64, u64)>,
}

/// What a client's sender has to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Send this, then call [`Ring::delivered`].
    Send(Arc<Vec<u8>>),
    /// Nothing published yet.
    Wait,
    /// Everything meant for this client was delivered, or it is unknown.
    Close,
}

impl Ring {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: VecDeque::with_capacity(limit.min(1024)),
            base: 0,
            messages: 0,
            limit: limit.max(1),
            clients: BTreeMap::new(),
            listeners: 0,
            next_key: 0,
            totals: Totals::default(),
            spares: Vec::new(),
        }
    }

    /// Finishes the active container. The sequence number repeats the original's: without buffering it is taken before
    /// the counter moves, so it runs 0,0,1,2 (trap.md section 5.1). An empty container is never published.
    pub(super) fn publish(&mut self, active: &mut Builder, buffered: bool) -> bool {
        if active.is_empty() {
            return false;
        }
        let seq = if buffered { self.messages } else { self.messages.saturating_sub(1) };
        let count = active.count();
        let spare = self.spares.pop().unwrap_or_default();
        self.entries.push_back(Entry { bytes: Arc::new(active.take_sealed(seq, spare)), first: self.messages });
        self.messages += u64::from(count);
        self.totals.containers += 1;
        if self.listeners() == 0 {
            self.totals.unheard += u64::from(count);
        }
        while self.entries.len() > self.limit {
            self.drop_first();
        }
        self.drop_passed();
        true
    }

    /// Lets go of the containers that nobody waits for.
    fn drop_passed(&mut self) {
        let head = self.head();
        let wanted = self.clients.values().map(|cursor| cursor.next.min(head)).min().unwrap_or(head);
        while self.base < wanted {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.base += 1;
        // One that a client is sending goes with that client's hold on it.
        if let Some(bytes) = Arc::into_inner(entry.bytes).filter(|_| self.spares.len() < SPARES_MAX) {
            self.spares.push(bytes);
        }
    }

    /// Adds a client at the head: it gets the active container and later ones. Returns its key.
    pub(super) fn join(&mut self, id: u32) -> u64 {
        let cursor = Cursor {
            id,
            next: self.head(),
            joined_at: self.messages,
            sent_messages: 0,
            sent_containers: 0,
            skipped: 0,
            end: None,
        };
        self.next_key += 1;
        self.totals.joined += 1;
        self.listeners += 1;
        self.clients.insert(self.next_key, cursor);
        self.next_key
    }

    /// Removes a client; what was queued for it is abandoned. Answers its counters, and how many messages were published before it joined.
    pub(super) fn leave(&mut self, key: u64) -> Option<(ClientStats, u64)> {
        let cursor = self.clients.remove(&key)?;
        let stats = self.stats_of(&cursor);
        self.listeners -= usize::from(cursor.end.is_none());
        self.totals.abandoned += stats.queued_messages;
        self.drop_passed();
        Some((stats, cursor.joined_at))
    }

    /// Decides what client `key` gets next. A client whose next container was overwritten jumps to the head and loses
    /// its whole backlog (trap.md section 7.2).
    pub(super) fn task(&mut self, key: u64) -> Task {
        let (base, head, messages) = (self.base, self.head(), self.messages);
        let Some(cursor) = self.clients.get_mut(&key) else { return Task::Close };
        let (end, end_messages) = cursor.end.unwrap_or((head, messages));
        if cursor.next < base && cursor.next < end {
            let lost = end_messages - cursor.joined_at - cursor.sent_messages - cursor.skipped;
            cursor.skipped += lost;
            cursor.next = end;
            self.totals.skipped += lost;
        }
        if cursor.next < end {
            // next is in base..head, so the index is small and inside.
            return match self.entries.get((cursor.next - base) as usize) {
                Some(entry) => Task::Send(Arc::clone(&entry.bytes)),
                None => Task::Wait,
            };
        }
        if cursor.end.is_some() { Task::Close } else { Task::Wait }
    }

    /// Notes that the container of the last [`Task::Send`], with `count` messages, was handed over.
    pub(super) fn delivered(&mut self, key: u64, count: u16) {
        if let Some(cursor) = self.clients.get_mut(&key) {
            cursor.next += 1;
            cursor.sent_containers += 1;
            cursor.sent_messages += u64::from(count);
            self.drop_passed();
        }
    }

    /// Lets every present client end after what is published now.
    pub(super) fn end_all(&mut self) {
        let end = (self.head(), self.messages);
        for cursor in self.clients.values_mut() {
            cursor.end.get_or_insert(end);
        }
        self.listeners = 0;
    }

    /// True when each client has room for one more container: it is less than `buffer_count - 1` behind.
    pub(super) fn has_room(&self) -> bool {
        let head = self.head();
        let most = (self.limit as u64 - 1).max(1);
        // A client that ends before the head needs nothing that is published from now on, but its queue must stay.
        self.clients.values().all(|cursor| head - cursor.next.min(head) < most)
    }

    /// Clients connected, including those that are about to be closed.
    pub(super) fn connected(&self) -> usize {
        self.clients.len()
    }

    /// Clients that will get what is published next.
    pub(super) fn listeners(&self) -> usize {
        self.listeners
    }

    /// Messages published so far.
    pub(super) fn published(&self) -> u64 {
        self.messages
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn client_stats(&self) -> Vec<ClientStats> {
        self.clients.values().map(|cursor| self.stats_of(cursor)).collect()
    }

    fn stats_of(&self, cursor: &Cursor) -> ClientStats {
        ClientStats {
            id: cursor.id,
            published: cursor.end.map_or(self.messages, |(_, messages)| messages) - cursor.joined_at,
            sent_messages: cursor.sent_messages,
            sent_containers: cursor.sent_containers,
            skipped_messages: cursor.skipped,
            queued_messages: self.queued(cursor),
        }
    }

    /// Messages between the cursor and its end. Counted from the containers still here; what was overwritten but not yet
    /// noticed by the sender is still queued, it becomes skipped at the next [`Ring::task`].
    fn queued(&self, cursor: &Cursor) -> u64 {
        let (end, end_messages) = cursor.end.unwrap_or((self.head(), self.messages));
        if cursor.next >= end {
            return 0;
        }
        match cursor.next.checked_sub(self.base).and_then(|index| self.entries.get(index as usize)) {
            Some(entry) => end_messages - entry.first,
            None => end_messages - cursor.joined_at - cursor.sent_messages - cursor.skipped,
        }
    }

    fn head(&self) -> u64 {
        self.base + self.entries.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn publish(ring: &mut Ring, messages: usize) {
        let mut active = Builder::wire(100_000);
        for _ in 0..messages {
            assert!(active.push(&[1, 2]));
        }
        ring.publish(&mut active, true);
    }

    fn count_of(bytes: &[u8]) -> u16 {
        u16::from_le_bytes([bytes[12], bytes[13]])
    }

    #[test]
    fn overwritten_client_jumps_to_the_head() {
        let mut ring = Ring::new(3);
        let key = ring.join(7);
        for _ in 0..5 {
            publish(&mut ring, 2);
        }
        assert!(matches!(ring.task(key), Task::Wait));
        let stats = ring.client_stats()[0];
        assert_eq!((stats.published, stats.skipped_messages, stats.queued_messages), (10, 10, 0));
        publish(&mut ring, 1);
        let Task::Send(bytes) = ring.task(key) else { panic!("nothing to send") };
        assert_eq!(bytes[4], 10);
    }

    #[test]
    fn end_delivers_the_backlog_first() {
        let mut ring = Ring::new(5);
        let key = ring.join(1);
        publish(&mut ring, 1);
        ring.end_all();
        publish(&mut ring, 1);
        assert!(matches!(ring.task(key), Task::Send(_)));
        ring.delivered(key, 1);
        assert!(matches!(ring.task(key), Task::Close));
        assert_eq!(ring.totals().unheard, 1);
    }

    #[test]
    fn unbuffered_sequence_repeats_the_first() {
        let mut ring = Ring::new(9);
        let key = ring.join(1);
        let mut active = Builder::wire(100);
        let sequence: Vec<u8> = (0..4)
            .map(|_| {
                assert!(active.push(&[5]));
                ring.publish(&mut active, false);
                let Task::Send(bytes) = ring.task(key) else { panic!("nothing to send") };
                ring.delivered(key, 1);
                bytes[4]
            })
            .collect();
        assert_eq!(sequence, [0, 0, 1, 2]);
    }

    proptest! {
        /// Identity I12 after every step, for any order of steps.
        #[test]
        fn published_is_sent_plus_skipped_plus_queued(limit in 1usize..6, steps in prop::collection::vec((0u8..5, 0usize..4), 0..200)) {
            let mut ring = Ring::new(limit);
            let mut keys: Vec<u64> = Vec::new();
            let (mut published, mut gone_skipped) = (0u64, 0u64);
            for (step, which) in steps {
                match step {
                    0 => keys.push(ring.join(0)),
                    1 if which < keys.len() => {
                        let key = keys.remove(which);
                        let (client, before) = ring.leave(key).expect("it was there");
                        prop_assert_eq!(client.published, client.sent_messages + client.skipped_messages + client.queued_messages);
                        prop_assert!(before + client.published <= published);
                        prop_assert!(ring.leave(key).is_none());
                    }
                    2 if which < keys.len() => {
                        if let Task::Send(bytes) = ring.task(keys[which]) {
                            ring.delivered(keys[which], count_of(&bytes));
                        }
                    }
                    3 if which == 0 => ring.end_all(),
                    _ => { publish(&mut ring, which + 1); published += which as u64 + 1; }
                }
                for client in ring.client_stats() {
                    prop_assert_eq!(client.published, client.sent_messages + client.skipped_messages + client.queued_messages);
                }
                gone_skipped = gone_skipped.max(ring.totals().skipped);
                prop_assert!(ring.entries.len() <= limit);
                prop_assert_eq!(ring.listeners(), ring.clients.values().filter(|client| client.end.is_none()).count());
                prop_assert_eq!(ring.messages, published);
            }
            prop_assert!(ring.totals().skipped >= gone_skipped);
        }
    }
}
