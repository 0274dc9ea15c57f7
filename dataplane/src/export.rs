//! Where ended flows go. One sink is one file; each keeps its own books and never lets a loss go uncounted.
use crate::batch::{Batch, FlowRecord};
use record::{Ledger, reasons};
use rule::RuleBooks;
use spool::SpoolBooks;

mod datagrams;
pub mod ipfix;
pub mod json;
pub mod kafka;
pub mod lines;
pub mod netflow;
mod peer;
pub mod ring;
pub mod rule;
pub mod spool;
pub mod table;
pub mod text;
pub mod unirec;

pub use peer::Peer;

reasons! {
    /// Why a record did not leave through an output.
    pub enum RecordDrop = "records" {
        /// The record is larger than a message may be.
        TooLarge = "too_large",
        /// More sets of extensions than the encoder has templates for.
        TooManyTemplates = "too_many_templates",
        /// The peer refused it or the connection broke while it was on its way.
        SendFailed = "send_failed",
        /// There was no connection to the peer.
        Down = "down",
        /// The file system refused it: disk full, pipe closed.
        WriteFailed = "write_failed",
        /// Whoever read our standard output wanted no more of it: `| head`.
        ReaderGone = "reader_gone",
        /// The flow has none of the fields that this output carries.
        NoExtension = "no_extension",
        /// A TRAP interface did not take it: client too slow, timeout, interface closed.
        NotTaken = "not_taken",
        /// The output is slower than the packets, and its queue was full; only where packets may not wait (`--overflow drop`).
        QueueFull = "queue_full",
        /// The output had failed by a mistake in the program.
        OutputFailed = "output_failed",
        /// Waits on disk for the collector; a later run with the same spool sends it.
        Spooled = "spooled",
        /// The spool had no room for more, and it was the oldest.
        SpoolExpired = "spool_expired",
        /// The disk of the spool refused it: full, or broken.
        SpoolFull = "spool_full",
        /// What was read back from the spool was not what had been written.
        SpoolCorrupt = "spool_corrupt",
        /// The output carries IPv4 alone (NetFlow 5), and this was IPv6.
        NotIpv4 = "not_ipv4",
        /// The flow lasted longer than the milliseconds that the output counts time in: 49 days.
        TooLong = "too_long",
        /// Kafka's brokers are away or slower than the flows, and the queue to them was full.
        BacklogFull = "backlog_full",
        /// No broker of Kafka had acknowledged it when its time (`message.timeout.ms`) or the run was over; one may have it all the same.
        Unacknowledged = "unacknowledged",
    }
}

impl RecordDrop {
    /// Whether the record was meant to stay behind: not a loss.
    pub fn is_intended(self) -> bool {
        matches!(self, RecordDrop::NoExtension | RecordDrop::ReaderGone | RecordDrop::NotIpv4 | RecordDrop::Spooled)
    }
}

/// The books of one output.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Identity I10: records offered = sent + dropped(reason). A flow can give several records on some outputs.
    pub records: Ledger<RecordDrop>,
    /// Flows offered, and their packets and IP bytes.
    pub flows: u64,
    pub packets: u64,
    pub bytes: u64,
    /// Extension records that the wire form has no room for: IPFIX carries one of each plugin in a flow.
    pub repeated_extensions: u64,
    /// TRAP: records published while no client was connected.
    pub unheard: u64,
    /// TRAP: records that slow or leaving clients missed, summed over clients.
    pub skipped: u64,
    /// Connections that were opened again.
    pub reconnects: u64,
    /// Records that a collector may not have read, at most so many: it acknowledged them and reset the connection; or, over DTLS, it was away when
    /// the session that they went by was renewed.
    pub unconfirmed: u64,
    /// Records that went through the spool of this output.
    pub spool: Option<SpoolBooks>,
    /// What a rule made of its flows.
    pub rule: Option<RuleBooks>,
    /// Of an output with several collectors in turn: each, and the records that it acknowledged.
    pub collectors: Vec<(String, u64)>,
    /// The latest trouble, in words.
    pub trouble: Option<String>,
}

impl Books {
    /// Notes a batch that was offered.
    pub fn offer(&mut self, batch: &Batch) {
        let (packets, bytes) = batch.totals();
        self.flows += batch.flows().len() as u64;
        self.packets += packets;
        self.bytes += bytes;
    }

    /// Notes one flow that was offered.
    fn offer_flow(&mut self, flow: &FlowRecord) {
        self.flows += 1;
        self.packets += flow.packets_total();
        self.bytes += flow.bytes_total();
    }

    /// Notes a batch that the output was not given: a record for each flow.
    pub fn refuse(&mut self, batch: &Batch, why: RecordDrop) {
        self.offer(batch);
        self.records.drop(why, batch.flows().len() as u64);
    }

    /// Adds other books of the same output.
    pub fn merge(&mut self, other: &Books) {
        self.records.merge(&other.records);
        self.flows += other.flows;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.repeated_extensions += other.repeated_extensions;
        self.unheard += other.unheard;
        self.skipped += other.skipped;
        self.reconnects += other.reconnects;
        self.unconfirmed += other.unconfirmed;
        self.spool = self.spool.or(other.spool);
        self.rule = self.rule.or(other.rule);
        self.collectors.extend(other.collectors.iter().cloned());
        if self.trouble.is_none() {
            self.trouble.clone_from(&other.trouble);
        }
    }

    /// Takes records that were booked as kept and turned out to be lost.
    fn lose(&mut self, loss: Loss) {
        self.records.give_up(loss.reason, loss.records);
        if let Some(trouble) = loss.trouble {
            self.trouble = Some(trouble);
        }
    }

    /// Records lost against intention.
    pub fn lost(&self) -> u64 {
        self.records.losses().filter(|(why, _)| !why.is_intended()).map(|(_, n)| n).sum()
    }
}

/// Records that were lost on the way to a peer or a file.
struct Loss {
    reason: RecordDrop,
    records: u64,
    /// In words, the first time.
    trouble: Option<String>,
}

/// A sink of flow records. Called from one thread at a time.
pub trait Exporter: Send {
    /// What it is and where it leads, for people: `ipfix udp 127.0.0.1:4739`.
    fn name(&self) -> String;
    /// Takes a batch; what cannot go out is counted in the books.
    fn export(&mut self, batch: &Batch);
    /// Called now and then with the wall clock (Unix seconds): time to send what waits.
    fn tick(&mut self, _now_secs: u64) {}
    /// Sends what waits and closes. The books are final afterwards.
    fn finish(&mut self, now_secs: u64);
    fn books(&self) -> &Books;
}

/// An output that cannot be opened: the message says why and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot resolve collector {host}: {cause}; give an address or check the name")]
    Resolve { host: String, cause: std::io::Error },
    #[error("cannot connect to collector {host}:{port} over {transport}: {cause}; {}", advice(.cause))]
    Connect { host: String, port: u16, transport: &'static str, cause: std::io::Error },
    #[error("cannot create {path}: {cause}; check the folder, its permissions and the free space")]
    Create { path: String, cause: std::io::Error },
    #[error("{0}")]
    Interface(String),
    #[error("{0}")]
    Config(String),
}

/// What to do about a collector that cannot be reached; [`std::io::ErrorKind::InvalidData`] is what TLS and DTLS say of one that was.
fn advice(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::InvalidData => "check its certificate, and the CA and the name that are expected",
        _ => "start the collector or check host and port",
    }
}
