//! IPFIX over UDP, TCP, TLS and DTLS, and to a file (RFC 7011; behaviour of the original: spec/ipfix.md sections 1 to 4).
use crate::batch::{Batch, FlowRecord};
use crate::export::spool::SpoolConfig;
use crate::export::{Books, Exporter, OpenError, Peer, RecordDrop};
use crate::lane::Share;
use numbers::Numbers;
use record::Schema;
pub use record::ipfix::Selection;
use record::ipfix::{AddError, DataSink, Family, Fate, Message, PackerConfig};
use wire::Wire;

mod delivery;
mod dialing;
#[cfg(feature = "dtls")]
mod dtls;
#[cfg(not(feature = "dtls"))]
#[path = "ipfix/without_dtls.rs"]
mod dtls;
mod encoder;
mod link;
mod numbers;
mod tls;
mod wire;

pub use encoder::Encoder;
pub(super) use encoder::last_of_each;
pub use tls::TlsFiles;
pub use wire::{Target, Transport};

/// What an IPFIX output is told at start; the defaults are the original's, but for `flushes_all`.
#[derive(Clone, Debug)]
pub struct IpfixConfig {
    pub target: Target,
    /// Largest message in bytes, above 16; template messages may be larger, as in the original. With DTLS the largest content of a datagram, hence
    /// messages of 37 bytes less, templates included.
    pub mtu: u16,
    /// Whether a record longer than `mtu` goes in a message of its own; the original loses it. Not with `lz4`, which looks back only so far.
    pub sends_alone: bool,
    /// See [`PackerConfig::flushes_all`].
    pub flushes_all: bool,
    /// Observation domain.
    pub domain: u32,
    /// Value of ingressInterface in every record, without a direction; `None`: what each flow knows of both.
    pub dir: Option<u32>,
    /// Id of the first template; none is the original's, 258.
    pub first_template: Option<u16>,
    /// Seconds after which templates are sent again, UDP only; 0 = only once.
    pub template_refresh_secs: u32,
    /// Seconds between attempts to reach a collector that is down.
    pub retry_secs: u64,
    /// Keeps what a TCP collector did not take; such a collector need not be there at start.
    pub spool: Option<SpoolConfig>,
    /// Compresses what goes over TCP as ipfixprobe does, looking so many bytes back; ipfixcol2 knows it.
    pub lz4: Option<u32>,
    /// Of targets with TLS or DTLS.
    pub tls: TlsFiles,
    /// Seconds after which an association of DTLS is ended and another begun, which shows whether the collector is there; 0 = never.
    pub dtls_lifetime_secs: u32,
    /// What is said besides flows, as options records; nothing in the ipfixprobe face.
    pub options: Option<Options>,
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
            sends_alone: true,
            flushes_all: false,
            domain: 1,
            dir: None,
            first_template: None,
            template_refresh_secs: 600,
            retry_secs: 60,
            spool: None,
            lz4: None,
            tls: TlsFiles::default(),
            dtls_lifetime_secs: DTLS_LIFETIME_SECS,
            options: None,
            share: Share::WHOLE,
            verbose: false,
        }
    }
}

impl IpfixConfig {
    /// Checks what can be known without opening anything.
    ///
    /// # Errors
    /// Messages of that size cannot be, or this program was built without DTLS.
    pub fn check(&self) -> Result<(), OpenError> {
        let least = MTU_MIN + self.overhead();
        if self.mtu < least {
            return Err(OpenError::Config(format!("ipfix: mtu {} is too small, the least is {least}", self.mtu)));
        }
        if self.target.is_dtls() && !dtls::IS_BUILT_IN { Err(wire::without_dtls()) } else { Ok(()) }
    }

    /// Bytes of a datagram that are not the message's.
    fn overhead(&self) -> u16 {
        if self.target.is_dtls() { dtls::OVERHEAD } else { 0 }
    }
}

/// What an exporter says about itself in options records (RFC 7011 section 4, RFC 5610): these, the types of private elements, and once a
/// minute and at the end how much was exported and what was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// One packet in so many was seen; 1 is not told.
    pub sampling: u32,
    pub selection: Selection,
    pub interfaces: Vec<Interface>,
}

/// An interface that flows come in by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// ingressInterface of its flows.
    pub index: u32,
    pub name: String,
    pub description: String,
}

/// Smallest useful mtu: a message header, a set header and one byte.
pub const MTU_MIN: u16 = 32;

/// How long a collector over DTLS may be away before it is noticed, if it goes without a word.
pub const DTLS_LIFETIME_SECS: u32 = 300;

/// Largest messages: by their length field (RFC 7011 section 3.1), and by what one datagram holds behind its headers over IPv4.
const MESSAGE_MAX: u16 = u16::MAX;
const DATAGRAM_MAX: u16 = u16::MAX - 20 - 8;

/// Exporting process of one observation domain.
pub struct IpfixExporter {
    config: IpfixConfig,
    encoder: Encoder,
    wire: Wire,
    books: Books,
    numbers: Numbers,
    now_secs: u64,
}

impl IpfixExporter {
    /// Opens the target; a collector that cannot be reached is an error.
    pub fn open(config: IpfixConfig, now_secs: u64) -> Result<IpfixExporter, OpenError> {
        config.check()?;
        let wire = Wire::open(&config)?;
        let is_dtls = config.target.is_dtls();
        let refresh = if matches!(config.target, Target::Udp(_)) { config.template_refresh_secs } else { 0 };
        let alone_max = match config.target {
            _ if !config.sends_alone || config.lz4.is_some() => 0,
            Target::Udp(_) => DATAGRAM_MAX,
            _ if is_dtls => dtls::MESSAGE_MAX,
            _ => MESSAGE_MAX,
        };
        let packing = PackerConfig {
            mtu: config.mtu - config.overhead(),
            mtu_limits_templates: is_dtls,
            alone_max,
            flushes_all: config.flushes_all,
            domain: config.domain,
            refresh_secs: refresh,
            // What waits for a collector has templates of its own, and UDP has no order.
            withdraws: matches!((&config.target, &config.spool), (Target::Tcp(_), None) | (Target::File(_), _)),
            first_id: config.first_template.unwrap_or(PackerConfig::default().first_id),
            ..PackerConfig::default()
        };
        let mut encoder = Encoder::new(packing, config.dir);
        if let Some(options) = &config.options {
            encoder.announce(numbers::lasting(options, config.domain));
        }
        Ok(IpfixExporter { config, encoder, wire, books: Books::default(), numbers: Numbers::new(now_secs), now_secs })
    }

    #[inline]
    fn record(&mut self, batch: &Batch, flow: &FlowRecord) {
        let now = self.now_secs;
        let IpfixExporter { encoder, wire, books, numbers, .. } = self;
        let taken = encoder.add(batch, flow, now as u32, &mut |message| send(wire, books, numbers, message, now));
        self.books.repeated_extensions += *taken.as_ref().unwrap_or(&0) as u64;
        self.book(taken.map(|_| ()));
    }

    /// Says of what record type all that is [put](IpfixExporter::put) will be.
    pub(super) fn declare(&mut self, schema: &'static Schema) {
        self.encoder.declare(schema);
    }

    /// Takes a record that is no flow of a batch, of the declared type.
    pub(super) fn put(&mut self, family: Family, schema: &'static Schema, fill: impl Fn(&mut DataSink<'_>)) {
        let now = self.now_secs;
        let IpfixExporter { encoder, wire, books, numbers, .. } = self;
        let mut emit = |message: Message<'_>| send(wire, books, numbers, message, now);
        let taken = encoder.put(family, schema, now as u32, fill, &mut emit);
        self.book(taken);
    }

    #[inline]
    fn book(&mut self, taken: Result<(), AddError>) {
        match taken {
            Ok(()) => self.books.records.keep(1),
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
        let now = self.now_secs;
        let IpfixExporter { encoder, wire, books, numbers, .. } = self;
        encoder.flush(now as u32, &mut |message| send(wire, books, numbers, message, now));
    }

    /// Tells the numbers of this moment.
    fn tell_numbers(&mut self) {
        if self.config.options.is_none() {
            return;
        }
        let now = self.now_secs;
        let said = self.numbers.say(&self.books, self.config.domain, now);
        let IpfixExporter { encoder, wire, books, numbers, .. } = self;
        encoder.tell(&said, now as u32, &mut |message| send(wire, books, numbers, message, now));
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
        if self.numbers.is_time(now_secs) {
            self.tell_numbers();
        }
        self.wire.flush();
        settle(&mut self.wire, &mut self.books);
        self.numbers.look(&self.books, now_secs);
    }

    fn finish(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        self.tell_numbers();
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
fn send(wire: &mut Wire, books: &mut Books, numbers: &mut Numbers, message: Message<'_>, now_secs: u64) -> Fate {
    let sent = wire.send(&message, now_secs);
    settle(wire, books);
    let fate = sent.unwrap_or_else(|loss| {
        books.lose(loss);
        Fate::Lost
    });
    if fate == Fate::Sent {
        numbers.sent(&message);
    }
    fate
}

fn settle(wire: &mut Wire, books: &mut Books) {
    while let Some(loss) = wire.late_loss() {
        books.lose(loss);
    }
}
