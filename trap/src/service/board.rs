//! The counters as the service tells them: what interfaces write while they work, and its JSON (trap.md section 8).
//!
//! Each counter has one writer, the thread of its interface, so storing is a plain move. Reading takes no lock but that of an
//! output's ring, for as long as it takes to copy the numbers of at most 64 clients.

use std::fmt::{self, Display, Formatter};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::output::{ClientStats, Clients};
use crate::spec::IfcType;

/// Id of the first entry of an output's clients, which tells what the module's own socket inputs received.
const OWN_INPUTS_ID: &str = "extended_input_interface_info";

/// All interfaces of one module.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) inputs: Vec<Arc<InputMeter>>,
    pub(crate) outputs: Vec<OutputMeter>,
}

/// Counters of an input.
#[derive(Debug)]
pub(crate) struct InputMeter {
    pub(crate) kind: IfcType,
    /// Port, socket name, current file or `none`.
    pub(crate) id: Mutex<String>,
    pub(crate) is_connected: AtomicBool,
    /// Messages answered by `recv`.
    pub(crate) messages: AtomicU64,
    /// Containers or blocks received.
    pub(crate) containers: AtomicU64,
    /// Messages that the sequence numbers show missing.
    pub(crate) missed: AtomicU64,
    /// Time that the module last spent on one message, microseconds.
    pub(crate) delay_last_us: AtomicU64,
    /// Time that the module spent on messages in all, microseconds.
    pub(crate) delay_total_us: AtomicU64,
}

/// Counters of an output.
#[derive(Debug, Clone)]
pub(crate) struct OutputMeter {
    pub(crate) kind: IfcType,
    pub(crate) id: String,
    pub(crate) counts: Arc<OutputCounts>,
    /// None for files and blackholes.
    pub(crate) clients: Option<Clients>,
}

/// What the producer of an output counts.
#[derive(Debug, Default)]
pub(crate) struct OutputCounts {
    /// Messages taken by `send`; sockets know theirs from the ring.
    pub(crate) sent: AtomicU64,
    /// Messages refused, or lost because a file could not be written.
    pub(crate) dropped: AtomicU64,
    /// Blocks of a file; as `sent`.
    pub(crate) blocks: AtomicU64,
}

impl InputMeter {
    pub(crate) fn new(kind: IfcType, id: String) -> Self {
        Self {
            kind,
            id: Mutex::new(id),
            is_connected: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            containers: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            delay_last_us: AtomicU64::new(0),
            delay_total_us: AtomicU64::new(0),
        }
    }

    pub(crate) fn set_id(&self, id: String) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    fn is_socket(&self) -> bool {
        matches!(self.kind, IfcType::Unix | IfcType::Tcp | IfcType::Tls)
    }
}

impl Board {
    /// The answer to a request. Keys stand in one of the orders that the original wrote (its order follows a random seed), with
    /// its blanks.
    pub(crate) fn to_json(&self) -> String {
        let (inputs, outputs) = (self.inputs.len(), self.outputs.len());
        let shown = List(self.inputs.iter().map(|meter| InputObject(meter)).collect());
        let sums = self.own_inputs();
        let outs = List(self.outputs.iter().map(|meter| OutputObject { meter, sums: &sums }).collect());
        format!("{{\"in_cnt\": {inputs}, \"out_cnt\": {outputs}, \"in\": {shown}, \"out\": {outs}}}")
    }

    fn own_inputs(&self) -> Client {
        let sum = |count: fn(&InputMeter) -> &AtomicU64| {
            self.inputs.iter().filter(|meter| meter.is_socket()).map(|meter| count(meter).load(Relaxed)).sum()
        };
        Client {
            id: Quoted(OWN_INPUTS_ID).to_string(),
            containers: sum(|meter| &meter.containers),
            messages: sum(|meter| &meter.messages),
            skipped: sum(|meter| &meter.missed),
            // The original never computes it.
            percentage: 0.0,
        }
    }
}

/// Objects in brackets.
struct List<T>(Vec<T>);

struct InputObject<'a>(&'a InputMeter);

struct OutputObject<'a> {
    meter: &'a OutputMeter,
    sums: &'a Client,
}

/// One entry of `client_stats_arr`; numbers are texts there, which the original `trap_stats` insists on.
#[derive(Clone)]
struct Client {
    /// A number, or a text in quotes.
    id: String,
    containers: u64,
    messages: u64,
    skipped: u64,
    percentage: f64,
}

/// A text as JSON.
struct Quoted<'a>(&'a str);

impl<T: Display> Display for List<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (n, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl Display for InputObject<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let meter = self.0;
        let id = meter.id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        write!(
            f,
            "{{\"ifc_state\": {}, \"buffers\": {}, \"ifc_id\": {}, \"ifc_type\": {}, \"messages\": {}, \
             \"delay_total\": {}, \"delay_last\": {}}}",
            u8::from(meter.is_connected.load(Relaxed)),
            meter.containers.load(Relaxed),
            Quoted(&id),
            u32::from(meter.kind.letter()),
            meter.messages.load(Relaxed),
            meter.delay_total_us.load(Relaxed) / 1_000_000,
            meter.delay_last_us.load(Relaxed),
        )
    }
}

impl Display for OutputObject<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let OutputMeter { kind, id, counts, clients } = self.meter;
        let (mut listed, mut connected, mut flushes) = (Vec::new(), 1, 0);
        let (mut sent, mut buffers) = (counts.sent.load(Relaxed), counts.blocks.load(Relaxed));
        if let Some(clients) = clients {
            let seen = clients.look();
            (connected, flushes) = (seen.clients.len(), seen.autoflushes);
            (sent, buffers) = (seen.taken, seen.containers);
            listed.push(self.sums.clone());
            listed.extend(seen.clients.iter().map(Client::of));
        }
        write!(
            f,
            "{{\"client_stats_arr\": {}, \"num_clients\": {connected}, \"buffers\": {buffers}, \"ifc_id\": {}, \
             \"sent-messages\": {sent}, \"ifc_type\": {}, \"autoflushes\": {flushes}, \"dropped-messages\": {}}}",
            List(listed),
            Quoted(id),
            u32::from(kind.letter()),
            counts.dropped.load(Relaxed),
        )
    }
}

impl Client {
    fn of(stats: &ClientStats) -> Self {
        let total = stats.sent_messages + stats.skipped_messages;
        Self {
            id: stats.id.to_string(),
            containers: stats.sent_containers,
            messages: stats.sent_messages,
            skipped: stats.skipped_messages,
            // Nothing sent is nothing skipped; the original's TLS output divides by zero there and answers nothing.
            percentage: if total == 0 { 0.0 } else { 100.0 * stats.skipped_messages as f64 / total as f64 },
        }
    }
}

impl Display for Client {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { id, containers, messages, skipped, percentage } = self;
        write!(
            f,
            "{{\"id\": {id}, \"sent_containers\": \"{containers}\", \"sent_messages\": \"{messages}\", \
             \"skipped_messages\": \"{skipped}\", \"skipped_percentage\": {percentage:?}}}"
        )
    }
}

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        serde_json::Value::from(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_of_the_real_library() {
        let input = InputMeter::new(IfcType::File, "a \"b\"\n".into());
        input.messages.store(7, Relaxed);
        input.is_connected.store(true, Relaxed);
        input.delay_total_us.store(2_999_999, Relaxed);
        let output = OutputMeter { kind: IfcType::Blackhole, id: "none".into(), counts: Arc::default(), clients: None };
        let board = Board { inputs: vec![Arc::new(input)], outputs: vec![output] };
        assert_eq!(
            board.to_json(),
            "{\"in_cnt\": 1, \"out_cnt\": 1, \"in\": [{\"ifc_state\": 1, \"buffers\": 0, \"ifc_id\": \"a \\\"b\\\"\\n\", \
             \"ifc_type\": 102, \"messages\": 7, \"delay_total\": 2, \"delay_last\": 0}], \"out\": [{\"client_stats_arr\": \
             [], \"num_clients\": 1, \"buffers\": 0, \"ifc_id\": \"none\", \"sent-messages\": 0, \"ifc_type\": 98, \
             \"autoflushes\": 0, \"dropped-messages\": 0}]}"
        );
        assert_eq!(
            Board { inputs: vec![], outputs: vec![] }.to_json(),
            "{\"in_cnt\": 0, \"out_cnt\": 0, \"in\": [], \"out\": []}"
        );
    }

    #[test]
    fn percentages_are_numbers() {
        let stats = |sent_messages, skipped_messages| ClientStats {
            id: 5,
            published: 0,
            sent_messages,
            sent_containers: 1,
            skipped_messages,
            queued_messages: 0,
        };
        assert!(Client::of(&stats(0, 0)).to_string().ends_with("\"skipped_percentage\": 0.0}"));
        assert!(Client::of(&stats(1, 3)).to_string().ends_with("\"skipped_percentage\": 75.0}"));
    }
}
