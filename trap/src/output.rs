//! Outputs: where a module's messages go (trap.md sections 7 and 9).
//!
//! Contract: `send` takes a message into the active container or says why not; nothing is lost without a counter. Sockets
//! deliver from their own threads; the caller blocks only where the timeout says so.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::batch::Batch;
use crate::container;
use crate::error::TrapError;
use crate::format::Format;
use crate::hello::SPEC_MAX;
use crate::log;
use crate::place::Place;
use crate::service::Service;
use crate::service::board::{OutputCounts, OutputMeter};
use crate::spec::{Autoflush, IfcSpec, IfcType, OutputEnd, Timeout};

mod client;
mod clients;
mod file;
mod hub;
pub mod naming;
mod ring;
mod socket;
mod stats;

pub(crate) use clients::Clients;
pub use stats::{ClientStats, OutputStats};

/// One output interface.
#[derive(Debug)]
pub struct Output {
    kind: IfcType,
    id: String,
    fixed: Fixed,
    sink: Sink,
    format: Format,
    stats: OutputStats,
    counts: Arc<OutputCounts>,
    /// What tells the counters to outsiders, as long as one of its interfaces is there.
    service: Option<Arc<Service>>,
}

/// What the module sets where the specifier says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputDefaults {
    /// Default [`Timeout::Wait`], as in the original.
    pub timeout: Timeout,
}

/// What became of a message.
#[must_use = "a dropped message is a loss that the caller has to count"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Taken into the active container. Later losses show in [`OutputStats`].
    Sent,
    /// Not taken.
    Dropped(DropReason),
}

/// What became of a batch of messages.
#[must_use = "a dropped message is a loss that the caller has to count"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentBatch {
    /// Messages taken.
    pub sent: u64,
    /// Messages not taken: all that were too large, and what is left when the output ended.
    pub dropped: u64,
    /// True when nothing can be sent any more.
    pub is_over: bool,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Longer than 65535 bytes or than a container. The original calls this success (trap.md section 5.2).
    TooLarge,
    /// `set_format` was not called; the original answers 254 or blocks forever.
    NoFormat,
    /// The stop flag ended the wait for room or for a client.
    Terminated,
    /// The output was finished.
    Finished,
}

#[derive(Debug)]
enum Sink {
    Socket(socket::SocketOutput),
    File(file::FileOutput),
    Blackhole,
    Finished,
}

/// Which attributes the specifier fixed against the module (trap.md section 2.1).
#[derive(Debug)]
struct Fixed {
    timeout: bool,
    buffer: bool,
    autoflush: bool,
}

impl Output {
    /// Opens the output in the surroundings of the environment ([`Place::default`]).
    ///
    /// # Errors
    /// Wrong specifier, or the socket or file cannot be created.
    pub fn open(spec: &IfcSpec, defaults: OutputDefaults) -> Result<Self, TrapError> {
        Self::open_at(spec, defaults, &Place::default())
    }

    /// Opens the output in `place`. Sockets listen at once but refuse clients politely until [`Output::set_format`].
    ///
    /// # Errors
    /// Wrong specifier, or the socket or file cannot be created.
    pub fn open_at(spec: &IfcSpec, defaults: OutputDefaults, place: &Place) -> Result<Self, TrapError> {
        let params = spec.as_output()?;
        for complaint in &params.complaints {
            log::error!("{complaint}");
        }
        let fixed = Fixed {
            timeout: params.timeout.is_some(),
            buffer: params.buffer.is_some(),
            autoflush: params.autoflush.is_some(),
        };
        let settings = hub::Settings {
            timeout: params.timeout.unwrap_or(defaults.timeout),
            buffered: params.buffer.unwrap_or(true),
            autoflush: params.autoflush.unwrap_or(Autoflush::Micros(crate::spec::AUTOFLUSH_US)),
        };
        let (id, sink) = match params.end {
            OutputEnd::Unix(name, limits) => {
                let socket = socket::SocketOutput::unix(&name, limits, settings, place)?;
                (name, Sink::Socket(socket))
            }
            OutputEnd::Tcp(port, limits) => {
                let socket = socket::SocketOutput::tcp(&port, limits, settings, place)?;
                (port, Sink::Socket(socket))
            }
            OutputEnd::Tls(port, files, limits) => {
                let socket = socket::SocketOutput::tls(&port, &files, limits, settings, place)?;
                (port, Sink::Socket(socket))
            }
            OutputEnd::File { path, append, minutes, megabytes } => {
                let naming = naming::Naming::new(&path, append, minutes, megabytes)?;
                (path, Sink::File(file::FileOutput::open(naming, settings.buffered)?))
            }
            OutputEnd::Blackhole => ("none".into(), Sink::Blackhole),
        };
        Ok(Self {
            kind: spec.kind,
            id,
            fixed,
            sink,
            format: Format::Unknown,
            stats: OutputStats::default(),
            counts: Arc::default(),
            service: None,
        })
    }

    /// Announces what the following messages are. The active container goes to the present clients in the old format
    /// first, then they are disconnected and negotiate anew; a file goes on under its next name (trap.md sections 4.4, 9.2).
    /// The format in use again changes nothing (the original would disconnect everybody).
    ///
    /// # Errors
    /// A UniRec template without fields, a specifier above 1 MiB, or a failed write of the last block.
    pub fn set_format(&mut self, format: Format) -> Result<(), TrapError> {
        if format == self.format {
            return Ok(());
        }
        if format == Format::UniRec(String::new()) {
            return Err(TrapError::BadFormat(
                "a UniRec template must have a field; receivers refuse an empty one".into(),
            ));
        }
        if format.spec().len() > SPEC_MAX {
            return Err(TrapError::BadFormat(format!("template specifier is longer than {SPEC_MAX} bytes")));
        }
        match &mut self.sink {
            Sink::Socket(socket) => socket.set_format(&format),
            Sink::File(file) => file.set_format(&format)?,
            Sink::Blackhole | Sink::Finished => {}
        }
        self.format = format;
        Ok(())
    }

    /// Format set last.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Takes `msg` (0..=65535 bytes). Blocks as trap.md section 7.2 says for the timeout: `Wait` until a client is there
    /// and has room, `HalfWait` until the clients have room, otherwise never.
    pub fn send(&mut self, msg: &[u8]) -> Sent {
        let sent = if self.format == Format::Unknown {
            Sent::Dropped(DropReason::NoFormat)
        } else {
            match &mut self.sink {
                Sink::Socket(socket) => socket.send(msg),
                Sink::File(file) => file.send(msg),
                Sink::Blackhole => Sent::Sent,
                Sink::Finished => Sent::Dropped(DropReason::Finished),
            }
        };
        self.count(sent, msg.len());
        sent
    }

    /// As [`Output::send`] for each message of a batch, but a socket takes all that fit a container in one go.
    pub fn send_batch(&mut self, batch: &Batch<'_>) -> SentBatch {
        let mut done = SentBatch { sent: 0, dropped: 0, is_over: false };
        let mut rest = *batch;
        if let Sink::Socket(socket) = &mut self.sink
            && self.format != Format::Unknown
        {
            rest = socket.send_batch(rest);
            done.sent = (batch.len() - rest.len()) as u64;
            self.stats.sent += done.sent;
            self.tell();
        }
        for message in rest.iter() {
            let sent = if done.is_over { Sent::Dropped(DropReason::Terminated) } else { self.send(message) };
            match sent {
                Sent::Sent => done.sent += 1,
                Sent::Dropped(reason) => {
                    done.dropped += 1;
                    self.stats.terminated += u64::from(done.is_over);
                    done.is_over |= matches!(reason, DropReason::Terminated | DropReason::Finished);
                }
            }
        }
        done
    }

    /// Sends the one-byte end-of-stream message and flushes (trap.md section 5.4). After a stop request it waits at most
    /// about 2 s for room.
    pub fn send_eof(&mut self) -> Sent {
        let sent = match &mut self.sink {
            Sink::Socket(socket) if self.format != Format::Unknown => socket.send_eof(),
            _ => return self.send_and_flush_eof(),
        };
        self.count(sent, 1);
        sent
    }

    /// Publishes the active container now. Without a client a socket keeps it for the first one to come.
    ///
    /// # Errors
    /// Writing the file failed; the messages are counted in [`OutputStats::lost_io`].
    pub fn flush(&mut self) -> Result<(), TrapError> {
        match &mut self.sink {
            Sink::Socket(socket) => {
                socket.flush();
                Ok(())
            }
            Sink::File(file) => {
                let flushed = file.flush();
                self.tell();
                flushed
            }
            Sink::Blackhole | Sink::Finished => Ok(()),
        }
    }

    /// Delivers what is left, closes, removes the socket file. Waits for slow clients while they make progress: up to 30 s without a
    /// byte, after a stop request and with a timeout that loses messages 2 s, after a stop request 30 s in all. What is then undelivered
    /// is counted in [`OutputStats::abandoned`]. A second call only answers the statistics.
    ///
    /// # Errors
    /// Writing the last block of a file failed.
    pub fn finish(&mut self) -> Result<OutputStats, TrapError> {
        let mut sink = std::mem::replace(&mut self.sink, Sink::Finished);
        let outcome = match &mut sink {
            Sink::Socket(socket) => {
                socket.finish();
                Ok(())
            }
            Sink::File(file) => file.flush(),
            Sink::Blackhole | Sink::Finished => Ok(()),
        };
        let was_open = !matches!(sink, Sink::Finished);
        self.merge(&sink);
        self.tell();
        if was_open {
            let OutputStats { sent, unheard, skipped, abandoned, .. } = self.stats;
            log::verbose!(
                "output {}: {sent} messages sent, {unheard} while nobody listened; clients missed {skipped} and {abandoned} were not \
                 delivered",
                self.id
            );
        }
        outcome.map(|()| self.stats.clone())
    }

    /// Counters since opening.
    #[must_use]
    pub fn stats(&self) -> OutputStats {
        let mut stats = self.stats.clone();
        self.sink.add_to(&mut stats);
        stats
    }

    /// Counters of the clients connected now; empty for files and blackholes.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientStats> {
        match &self.sink {
            Sink::Socket(socket) => socket.clients(),
            _ => Vec::new(),
        }
    }

    /// Clients connected now; 1 for files and blackholes, as in the original.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.stats().clients
    }

    /// Changes the timeout unless the specifier fixed it; true when changed.
    pub fn set_timeout(&mut self, timeout: Timeout) -> bool {
        match &mut self.sink {
            Sink::Socket(socket) if !self.fixed.timeout => socket.change(|settings| settings.timeout = timeout),
            _ => return false,
        }
        true
    }

    /// Switches buffering unless the specifier fixed it; true when changed. Off publishes each message by itself.
    pub fn set_buffered(&mut self, buffered: bool) -> bool {
        match &mut self.sink {
            Sink::Socket(socket) if !self.fixed.buffer => socket.change(|settings| settings.buffered = buffered),
            Sink::File(file) if !self.fixed.buffer => file.set_buffered(buffered),
            _ => return false,
        }
        true
    }

    /// Changes the autoflush period unless the specifier fixed it; true when changed.
    pub fn set_autoflush(&mut self, autoflush: Autoflush) -> bool {
        match &mut self.sink {
            Sink::Socket(socket) if !self.fixed.autoflush => socket.change(|settings| settings.autoflush = autoflush),
            _ => return false,
        }
        true
    }

    /// Type of the interface.
    #[must_use]
    pub fn kind(&self) -> IfcType {
        self.kind
    }

    /// Port, socket name, file template or `none`, as the statistics of the original name it (trap.md section 8).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn send_and_flush_eof(&mut self) -> Sent {
        let sent = self.send(&[0]);
        if let Err(error) = self.flush() {
            log::error!("{error}");
        }
        sent
    }

    fn count(&mut self, sent: Sent, len: usize) {
        match sent {
            Sent::Sent => {
                self.stats.sent += 1;
                // What a socket took is told by its ring.
                if matches!(self.sink, Sink::Socket(_)) {
                    return;
                }
            }
            Sent::Dropped(DropReason::TooLarge) => {
                self.stats.too_large += 1;
                if log::worth_a_line(self.stats.too_large) {
                    let most = usize::from(u16::MAX).min(container::BUFFER_SIZE_MAX);
                    log::error!(
                        "output {}: message of {len} bytes dropped, it exceeds its container or {most} bytes \
                         (so far {} messages)",
                        self.id,
                        self.stats.too_large
                    );
                }
            }
            Sent::Dropped(DropReason::NoFormat) => self.stats.no_format += 1,
            Sent::Dropped(DropReason::Terminated | DropReason::Finished) => self.stats.terminated += 1,
        }
        self.tell();
    }

    /// Lets the service see the counters.
    fn tell(&self) {
        let OutputStats { sent, too_large, no_format, terminated, .. } = self.stats;
        let (blocks, lost_io) = match &self.sink {
            Sink::File(file) => file.blocks_and_losses(),
            _ => (self.stats.buffers, self.stats.lost_io),
        };
        self.counts.sent.store(sent, Relaxed);
        self.counts.dropped.store(too_large + no_format + terminated + lost_io, Relaxed);
        self.counts.blocks.store(blocks, Relaxed);
    }

    /// What the service tells of this output.
    pub(crate) fn meter(&self) -> OutputMeter {
        let clients = match &self.sink {
            Sink::Socket(socket) => Some(socket.clients_for_service()),
            _ => None,
        };
        OutputMeter { kind: self.kind, id: self.id.clone(), counts: Arc::clone(&self.counts), clients }
    }

    /// Keeps the service alive.
    pub(crate) fn keep(&mut self, service: Arc<Service>) {
        self.service = Some(service);
    }

    fn merge(&mut self, sink: &Sink) {
        sink.add_to(&mut self.stats);
        self.stats.clients = 0;
    }
}

impl Sink {
    fn add_to(&self, stats: &mut OutputStats) {
        match self {
            Self::Socket(socket) => socket.add_to(stats),
            Self::File(file) => file.add_to(stats),
            Self::Blackhole => stats.clients = 1,
            Self::Finished => {}
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !matches!(self.sink, Sink::Finished)
            && let Err(error) = self.finish()
        {
            log::error!("output {}: {error}", self.id);
        }
    }
}
