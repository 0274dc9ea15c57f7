//! Inputs: where a module's messages come from (trap.md sections 6 and 9.3).
//!
//! Contract: `recv` answers one event; a message is borrowed from the container's buffer and valid until the next call.
//! The system is asked once per filled buffer, not per message. Connecting is lazy: nothing happens before the first `recv`.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::container::Header;
use crate::deframer::{Deframer, Item, Layout, StreamError};
use crate::error::TrapError;
use crate::format::{self, Format, Verdict};
use crate::log;
use crate::place::Place;
use crate::service::Service;
use crate::service::board::InputMeter;
use crate::spec::{IfcSpec, IfcType, InputEnd, Timeout};

mod file;
mod generator;
mod pace;
mod socket;

/// One input interface.
#[derive(Debug)]
pub struct Input {
    kind: IfcType,
    source: Source,
    deframer: Deframer,
    timeout: Timeout,
    is_timeout_fixed: bool,
    required: Format,
    offered: Option<Format>,
    /// The next real message is the first of a changed format.
    is_changed: bool,
    /// Sequence number that the next container of this connection should have.
    expected_seq: Option<u64>,
    stats: InputStats,
    pace: pace::Pace,
    meter: Arc<InputMeter>,
    /// What tells the counters to outsiders, as long as one of its interfaces is there.
    service: Option<Arc<Service>>,
}

/// What the module sets where the specifier says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InputDefaults {
    /// Default [`Timeout::Wait`], as in the original. [`Timeout::HalfWait`] means the same here.
    pub timeout: Timeout,
}

/// What `recv` found.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message of at least 2 bytes.
    Message(&'a [u8]),
    /// As `Message`, and the sender's template is now `format`: take it first, then this message (code 23). A receiver
    /// that requires fewer fields than offered gets this after every connect (trap.md section 4.3).
    FormatChanged {
        /// Format as offered.
        format: &'a Format,
        /// First message in it.
        first: &'a [u8],
    },
    /// Nothing came in time (code 1).
    Timeout,
    /// A message of 0 or 1 byte: the sender is done, by convention (trap.md section 5.4). After the last file, always.
    EndOfStream,
    /// The stop flag is set (code 15).
    Terminated,
}

/// Counters of one input since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InputStats {
    /// Messages answered, end-of-stream messages included.
    pub messages: u64,
    /// Containers or blocks received.
    pub containers: u64,
    /// Bytes received, headers included.
    pub bytes: u64,
    /// Messages that the sequence numbers show missing (sockets only).
    pub missed: u64,
    /// Connections made, or files opened.
    pub connects: u64,
}

#[derive(Debug)]
enum Source {
    Socket(socket::SocketSource),
    File(file::FileSource),
    Generator(generator::GeneratorSource),
}

/// What asking the system brought.
#[derive(Debug, PartialEq, Eq)]
enum Filled {
    /// This many bytes came.
    Bytes(usize),
    /// A new connection or file begins: HELLO is expected.
    Fresh,
    /// The connection or file ended.
    Ended,
    /// Nothing in time.
    Timeout,
    /// There will never be anything again.
    Exhausted,
    Terminated,
}

impl Input {
    /// Opens the input in the surroundings of the environment ([`Place::default`]).
    ///
    /// # Errors
    /// Wrong specifier, or the first file cannot be opened. A sender that is not there yet is no error.
    pub fn open(spec: &IfcSpec, defaults: &InputDefaults) -> Result<Self, TrapError> {
        Self::open_at(spec, defaults, &Place::default())
    }

    /// Opens the input in `place`.
    ///
    /// # Errors
    /// Wrong specifier, or the first file cannot be opened.
    pub fn open_at(spec: &IfcSpec, defaults: &InputDefaults, place: &Place) -> Result<Self, TrapError> {
        let params = spec.as_input()?;
        for complaint in &params.complaints {
            log::error!("{complaint}");
        }
        let (source, layout) = match params.end {
            InputEnd::File(words) => (Source::File(file::FileSource::open(&words, place)?), Layout::File),
            InputEnd::Generator(message) => {
                (Source::Generator(generator::GeneratorSource::new(&message, place)), Layout::File)
            }
            InputEnd::Unix(name) => (Source::Socket(socket::SocketSource::unix(&name, place)), Layout::Wire),
            InputEnd::Tcp { host, port } => {
                (Source::Socket(socket::SocketSource::tcp(host, port, place)), Layout::Wire)
            }
            InputEnd::Tls { host, port, files } => {
                (Source::Socket(socket::SocketSource::tls(host, port, files.client()?, place)), Layout::Wire)
            }
        };
        Ok(Self {
            kind: spec.kind,
            pace: pace::Pace::default(),
            meter: Arc::new(InputMeter::new(spec.kind, source.id())),
            service: None,
            source,
            deframer: Deframer::new(layout),
            timeout: params.timeout.unwrap_or(defaults.timeout),
            is_timeout_fixed: params.timeout.is_some(),
            required: Format::Unknown,
            offered: None,
            is_changed: false,
            expected_seq: None,
            stats: InputStats::default(),
        })
    }

    /// Sets what the module can read; matters from the next connection on. `UniRec("")` accepts any template,
    /// `Json("")` any JSON. Without a requirement every sender mismatches, as in the original.
    pub fn require(&mut self, format: Format) {
        self.required = format;
    }

    /// Answers the next event. May block as the timeout says (trap.md section 6): `Wait` reconnects forever, at once after
    /// a lost connection and every second while there is no sender.
    ///
    /// # Errors
    /// [`TrapError::FormatMismatch`] (24), [`TrapError::NegotiationFailed`] (25), [`TrapError::Malformed`] (14),
    /// [`TrapError::BadCertificate`] (17): the connection
    /// was closed; another call tries again a second later, or goes on with the next file.
    pub fn recv(&mut self) -> Result<Event<'_>, TrapError> {
        self.recv_within(self.timeout)
    }

    /// As [`Input::recv`], but does not wait, whatever the specifier says: [`Event::Timeout`] means that nothing is there now.
    /// For modules that have something better to do before they wait, such as writing out what they gathered.
    ///
    /// # Errors
    /// As [`Input::recv`].
    pub fn recv_now(&mut self) -> Result<Event<'_>, TrapError> {
        self.recv_within(Timeout::NoWait)
    }

    /// The messages that follow the one of the last [`Input::recv`] in its container, all at once, up to one that ends the stream; none
    /// when there is no more. Never waits. For modules that pass messages on without a look at each.
    pub fn batch(&mut self) -> Option<Batch<'_>> {
        // The first message of a new format is `recv`'s, which tells the format.
        if self.is_changed {
            return None;
        }
        let batch = self.deframer.batch_at_hand()?;
        self.stats.messages += batch.len() as u64;
        self.meter.messages.store(self.stats.messages, Relaxed);
        Some(batch)
    }

    fn recv_within(&mut self, timeout: Timeout) -> Result<Event<'_>, TrapError> {
        if let Some(range) = self.deframer.next_at_hand() {
            return Ok(self.event(range));
        }
        let mut deadline = None;
        let range = loop {
            match self.deframer.next_item() {
                Ok(Item::Message(range)) => break range,
                Ok(Item::Container(header)) => self.note_container(header),
                Ok(Item::Hello(offered)) => self.negotiate(offered)?,
                Ok(Item::NeedMore) => {
                    // Set late, so that serving from the buffer never asks for the time.
                    let deadline = *deadline.get_or_insert_with(|| deadline_of(timeout));
                    match self.fill(deadline)? {
                        Filled::Bytes(_) | Filled::Fresh | Filled::Ended => {}
                        Filled::Timeout => return Ok(Event::Timeout),
                        Filled::Terminated => return Ok(Event::Terminated),
                        Filled::Exhausted => return Ok(Event::EndOfStream),
                    }
                }
                Err(error) => return Err(self.broken(&error)),
            }
        };
        Ok(self.event(range))
    }

    /// Format that the sender offered last; unknown before the first negotiation.
    #[must_use]
    pub fn format(&self) -> &Format {
        self.offered.as_ref().unwrap_or(&Format::Unknown)
    }

    /// Counters since opening.
    #[must_use]
    pub fn stats(&self) -> InputStats {
        self.stats
    }

    /// True while connected, or while a file is open.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.source.is_connected()
    }

    /// Changes the timeout unless the specifier fixed it; true when changed.
    pub fn set_timeout(&mut self, timeout: Timeout) -> bool {
        if !self.is_timeout_fixed {
            self.timeout = timeout;
        }
        !self.is_timeout_fixed
    }

    /// Type of the interface.
    #[must_use]
    pub fn kind(&self) -> IfcType {
        self.kind
    }

    /// Port, socket name or current file, as the statistics of the original name it (trap.md section 8).
    #[must_use]
    pub fn id(&self) -> String {
        self.source.id()
    }

    fn event(&mut self, range: Range<usize>) -> Event<'_> {
        self.stats.messages += 1;
        self.meter.messages.store(self.stats.messages, Relaxed);
        if range.len() <= 1 {
            return Event::EndOfStream;
        }
        let is_changed = std::mem::take(&mut self.is_changed);
        let message = self.deframer.bytes(range);
        match &self.offered {
            Some(format) if is_changed => Event::FormatChanged { format, first: message },
            _ => Event::Message(message),
        }
    }

    fn fill(&mut self, deadline: Option<Instant>) -> Result<Filled, TrapError> {
        self.pace.asks(self.stats.messages, &self.meter);
        let filled = match &mut self.source {
            Source::Socket(socket) => socket.fill(&mut self.deframer, deadline),
            Source::File(file) => file.fill(&mut self.deframer),
            Source::Generator(generator) => Ok(generator.fill(&mut self.deframer)),
        };
        self.pace.answered();
        self.meter.is_connected.store(self.source.is_connected(), Relaxed);
        let filled = filled?;
        match filled {
            Filled::Bytes(count) => self.stats.bytes += count as u64,
            Filled::Fresh => {
                self.stats.connects += 1;
                self.meter.set_id(self.source.id());
                self.expected_seq = None;
            }
            _ => {}
        }
        Ok(filled)
    }

    fn negotiate(&mut self, offered: Format) -> Result<(), TrapError> {
        if offered == Format::Unknown {
            // Sockets: as if nobody were there yet (trap.md section 4.2). Files cannot come to know it.
            return match &mut self.source {
                Source::Socket(socket) => {
                    socket.not_ready(&mut self.deframer);
                    Ok(())
                }
                Source::File(_) | Source::Generator(_) => Err(self.failed("the file tells no data format".into())),
            };
        }
        match format::negotiate(&self.required, &offered, self.offered.as_ref()) {
            Verdict::Mismatch(reason) => {
                log::error!("TRAP Negotiation failed: {reason}");
                self.close();
                return Err(TrapError::FormatMismatch(reason));
            }
            Verdict::Changed => self.is_changed = true,
            Verdict::Same => {}
        }
        self.offered = Some(offered);
        Ok(())
    }

    /// Counts what the sequence numbers show missing. A number that goes back is the original's `buffer=off` (0,0,1,2)
    /// and no loss (trap.md section 5.1).
    fn note_container(&mut self, header: Header) {
        self.stats.containers += 1;
        self.meter.containers.store(self.stats.containers, Relaxed);
        if header.count == 0 {
            return;
        }
        if let Some(expected) = self.expected_seq {
            self.stats.missed += header.first_seq.saturating_sub(expected);
            self.meter.missed.store(self.stats.missed, Relaxed);
        }
        self.expected_seq = Some(header.first_seq.wrapping_add(u64::from(header.count)));
    }

    fn broken(&mut self, error: &StreamError) -> TrapError {
        match error {
            StreamError::Hello(_) => self.failed(error.to_string()),
            _ => {
                self.close();
                TrapError::Malformed(error.to_string())
            }
        }
    }

    fn failed(&mut self, reason: String) -> TrapError {
        self.close();
        TrapError::NegotiationFailed(reason)
    }

    fn close(&mut self) {
        self.deframer.reset();
        match &mut self.source {
            Source::Socket(socket) => socket.close_for_a_while(),
            Source::File(file) => file.skip(),
            Source::Generator(_) => self.deframer.skip_hello(),
        }
        self.meter.is_connected.store(false, Relaxed);
    }

    /// What the service tells of this input.
    pub(crate) fn meter(&self) -> Arc<InputMeter> {
        Arc::clone(&self.meter)
    }

    /// Keeps the service alive.
    pub(crate) fn keep(&mut self, service: Arc<Service>) {
        self.service = Some(service);
    }
}

impl Source {
    fn is_connected(&self) -> bool {
        match self {
            Self::Socket(socket) => socket.is_connected(),
            Self::File(file) => file.is_open(),
            Self::Generator(_) => true,
        }
    }

    fn id(&self) -> String {
        match self {
            Self::Socket(socket) => socket.id(),
            Self::File(file) => file.id(),
            Self::Generator(_) => "none".into(),
        }
    }
}

/// None: no limit.
fn deadline_of(timeout: Timeout) -> Option<Instant> {
    let budget = match timeout {
        Timeout::Wait | Timeout::HalfWait => return None,
        Timeout::NoWait => Duration::ZERO,
        Timeout::Micros(micros) => Duration::from_micros(micros),
    };
    Instant::now().checked_add(budget)
}

impl Drop for Input {
    fn drop(&mut self) {
        let InputStats { messages, missed, connects, .. } = self.stats;
        log::verbose!("input {}: {messages} messages received in {connects} connections, {missed} missed", self.id());
    }
}
