//! IPFIX over UDP and TCP, and to a file (RFC 7011; behaviour of the original: spec/ipfix.md sections 1 to 4).
use crate::batch::{Batch, FlowRecord};
use crate::export::spool::SpoolConfig;
use crate::export::{Books, Exporter, OpenError, Peer, RecordDrop};
use crate::lane::Share;
use record::ipfix::{AddError, Fate, Message, PackerConfig};
use wire::Wire;

mod delivery;
mod dialing;
mod encoder;
mod link;
mod wire;

pub use encoder::Encoder;
pub(super) use encoder::last_of_each;
pub use wire::Target;

/// What an IPFIX output is told at start; the defaults are the original's, but for `flushes_all`.
#[derive(Clone, Debug)]
pub struct IpfixConfig {
    pub target: Target,
    /// Largest message in bytes, above 16; template messages may be larger, as in the original.
    pub mtu: u16,
    /// See [`PackerConfig::flushes_all`].
    pub flushes_all: bool,
    /// Observation domain.
    pub domain: u32,
    /// Value of ingressInterface in every record.
    pub dir: u32,
    /// Seconds after which templates are sent again, UDP only; 0 = only once.
    pub template_refresh_secs: u32,
    /// Seconds between attempts to reach a collector that is down.
    pub retry_secs: u64,
    /// Keeps what a TCP collector did not take; such a collector need not be there at start.
    pub spool: Option<SpoolConfig>,
    /// The flows that go to this collector.
    pub share: Share,
    /// Whether messages about the connection go to standard error.
    pub verbose: bool,
}

impl Default for IpfixConfig {
    fn default() -> Self {
        IpfixConfig {
            target: Target::Tcp(Peer { host: "127.0.0.1".into(), port: 4739 }),
            mtu: 1458,
            flushes_all: false,
            domain: 1,
            dir: 0,
            template_refresh_secs: 600,
            retry_secs: 60,
            spool: None,
            share: Share::WHOLE,
            verbose: false,
        }
    }
}

/// Smallest useful mtu: a message header, a set header and one byte.
pub const MTU_MIN: u16 = 32;

/// Exporting process of one observation domain.
pub struct IpfixExporter {
    config: IpfixConfig,
    encoder: Encoder,
    wire: Wire,
    books: Books,
    now_secs: u64,
}

impl IpfixExporter {
    /// Opens the target; a collector that cannot be reached is an error.
    pub fn open(config: IpfixConfig, now_secs: u64) -> Result<IpfixExporter, OpenError> {
        if config.mtu < MTU_MIN {
            return Err(OpenError::Config(format!("ipfix: mtu {} is too small, the least is {MTU_MIN}", config.mtu)));
        }
        let wire = Wire::open(&config)?;
        let refresh = if matches!(config.target, Target::Udp(_)) { config.template_refresh_secs } else { 0 };
        let packing = PackerConfig {
            mtu: config.mtu,
            flushes_all: config.flushes_all,
            domain: config.domain,
            refresh_secs: refresh,
            ..PackerConfig::default()
        };
        let encoder = Encoder::new(packing, config.dir);
        Ok(IpfixExporter { config, encoder, wire, books: Books::default(), now_secs })
    }

    #[inline]
    fn record(&mut self, batch: &Batch, flow: &FlowRecord) {
        let (wire, books, now) = (&mut self.wire, &mut self.books, self.now_secs);
        let taken = self.encoder.add(batch, flow, now as u32, &mut |message| send(wire, books, message, now));
        match taken {
            Ok(repeated) => {
                self.books.records.keep(1);
                self.books.repeated_extensions += repeated as u64;
            }
            Err(AddError::TooLarge) => self.books.records.drop(RecordDrop::TooLarge, 1),
            Err(AddError::TooManyPairs | AddError::TemplateTooLarge) => {
                self.books.records.drop(RecordDrop::TooManyTemplates, 1);
            }
        }
    }

    fn flush(&mut self) {
        if self.wire.templates_lost() {
            self.encoder.mark_all_templates();
        }
        let (wire, books, now) = (&mut self.wire, &mut self.books, self.now_secs);
        self.encoder.flush(now as u32, &mut |message| send(wire, books, message, now));
    }
}

impl Exporter for IpfixExporter {
    fn name(&self) -> String {
        format!("ipfix {}", self.config.target)
    }

    fn export(&mut self, batch: &Batch) {
        let share = self.config.share;
        if share == Share::WHOLE {
            self.books.offer(batch);
            return batch.flows().iter().for_each(|flow| self.record(batch, flow));
        }
        for flow in batch.flows().iter().filter(|flow| flow.is_in(share)) {
            self.books.offer_flow(flow);
            self.record(batch, flow);
        }
    }

    fn tick(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        self.wire.flush();
        settle(&mut self.wire, &mut self.books);
    }

    fn finish(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        if let Err(loss) = self.wire.close() {
            self.books.lose(loss);
        }
        settle(&mut self.wire, &mut self.books);
        self.wire.tell(&mut self.books);
    }

    fn books(&self) -> &Books {
        &self.books
    }
}

/// Sends one message and books the records of a lost one.
fn send(wire: &mut Wire, books: &mut Books, message: Message<'_>, now_secs: u64) -> Fate {
    let sent = wire.send(message.bytes, message.records as u64, now_secs);
    settle(wire, books);
    sent.unwrap_or_else(|loss| {
        books.lose(loss);
        Fate::Lost
    })
}

fn settle(wire: &mut Wire, books: &mut Books) {
    while let Some(loss) = wire.late_loss() {
        books.lose(loss);
    }
}
