//! IPFIX over UDP and TCP, and to a file (RFC 7011; behaviour of the original: spec/ipfix.md sections 1 to 4).
use crate::batch::{Batch, FlowRecord, Link};
use crate::export::{Books, Exporter, OpenError, RecordDrop};
use crate::flow::Basic;
use crate::registry::PluginSet;
use record::ipfix::{AddError, Family, Fate, Message, Packer, PackerConfig};
use record::{Record, Schema};
use wire::{Loss, Wire};

mod datagrams;
mod wire;

pub use wire::Target;

/// What an IPFIX output is told at start; the defaults are the original's.
#[derive(Clone, Debug)]
pub struct IpfixConfig {
    pub target: Target,
    /// Largest message in bytes, above 16; template messages may be larger, as in the original.
    pub mtu: u16,
    /// Observation domain.
    pub domain: u32,
    /// Value of ingressInterface in every record.
    pub dir: u32,
    /// Seconds after which templates are sent again, UDP only; 0 = only once.
    pub template_refresh_secs: u32,
    /// Seconds between attempts to reach a collector that is down.
    pub retry_secs: u64,
    /// Whether messages about the connection go to standard error.
    pub verbose: bool,
}

impl Default for IpfixConfig {
    fn default() -> Self {
        IpfixConfig {
            target: Target::Tcp { host: "127.0.0.1".into(), port: 4739 },
            mtu: 1458,
            domain: 1,
            dir: 0,
            template_refresh_secs: 600,
            retry_secs: 60,
            verbose: false,
        }
    }
}

/// Smallest useful mtu: a message header, a set header and one byte.
pub const MTU_MIN: u16 = 32;

/// Exporting process of one observation domain.
pub struct IpfixExporter {
    config: IpfixConfig,
    packer: Packer,
    wire: Wire,
    books: Books,
    /// The record types of each set of extensions that has occurred, sorted by the set; and the place asked for last.
    schemas: Vec<(PluginSet, Vec<&'static Schema>)>,
    last: usize,
    now_secs: u64,
}

impl IpfixExporter {
    /// Opens the target; a collector that cannot be reached is an error.
    pub fn open(config: IpfixConfig, now_secs: u64) -> Result<IpfixExporter, OpenError> {
        if config.mtu < MTU_MIN {
            return Err(OpenError::Config(format!("ipfix: mtu {} is too small, the least is {MTU_MIN}", config.mtu)));
        }
        let wire = Wire::open(&config.target, config.retry_secs, config.verbose)?;
        let refresh = if matches!(config.target, Target::Udp { .. }) { config.template_refresh_secs } else { 0 };
        let packer = Packer::new(PackerConfig {
            mtu: config.mtu,
            domain: config.domain,
            refresh_secs: refresh,
            ..PackerConfig::default()
        });
        let (schemas, last, books) = (Vec::new(), 0, Books::default());
        Ok(IpfixExporter { config, packer, wire, books, schemas, last, now_secs })
    }

    fn record(&mut self, batch: &Batch, flow: &FlowRecord) {
        let links = batch.links(flow);
        if self.schemas.get(self.last).is_none_or(|(set, _)| *set != flow.extensions) {
            self.last = self.schemas.binary_search_by_key(&flow.extensions, |(set, _)| *set).unwrap_or_else(|at| {
                self.schemas.insert(at, (flow.extensions, schemas_of(links)));
                at
            });
        }
        let schemas = &self.schemas[self.last].1;
        let mut basic = flow.basic.clone();
        basic.ingress_interface = self.config.dir;
        let family = if basic.ip_version == 4 { Family::V4 } else { Family::V6 };
        let (wire, books, now) = (&mut self.wire, &mut self.books, self.now_secs);
        let taken = self.packer.add(
            flow.extensions as u64,
            family,
            schemas,
            now as u32,
            |sink| {
                basic.visit(sink);
                for link in last_of_each(links) {
                    batch.visit(link, sink);
                }
            },
            &mut |message| send(wire, books, message, now),
        );
        match taken {
            Ok(()) => self.books.records.keep(1),
            Err(AddError::TooLarge) => self.books.records.drop(RecordDrop::TooLarge, 1),
            Err(AddError::TooManyPairs | AddError::TemplateTooLarge) => {
                self.books.records.drop(RecordDrop::TooManyTemplates, 1);
            }
        }
        self.books.repeated_extensions += (links.len() - last_of_each(links).count()) as u64;
    }

    fn flush(&mut self) {
        if self.wire.templates_lost() {
            self.packer.mark_all_templates();
        }
        let (wire, books, now) = (&mut self.wire, &mut self.books, self.now_secs);
        self.packer.flush(now as u32, &mut |message| send(wire, books, message, now));
    }
}

impl Exporter for IpfixExporter {
    fn name(&self) -> String {
        format!("ipfix {}", self.config.target)
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        for flow in batch.flows() {
            self.record(batch, flow);
        }
    }

    fn tick(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        self.wire.flush();
        if let Some(loss) = self.wire.late_loss() {
            book(&mut self.books, loss);
        }
    }

    fn finish(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        if let Err(loss) = self.wire.close() {
            book(&mut self.books, loss);
        }
        self.books.reconnects = self.wire.reconnects();
    }

    fn books(&self) -> &Books {
        &self.books
    }
}

/// Sends one message and books the records of a lost one.
fn send(wire: &mut Wire, books: &mut Books, message: Message<'_>, now_secs: u64) -> Fate {
    let sent = wire.send(message.bytes, message.records as u64, now_secs);
    if let Some(loss) = wire.late_loss() {
        book(books, loss);
    }
    sent.unwrap_or_else(|loss| {
        book(books, loss);
        Fate::Lost
    })
}

/// Records were booked as kept when the packer took them.
fn book(books: &mut Books, loss: Loss) {
    books.records.give_up(loss.reason, loss.records);
    if let Some(trouble) = loss.trouble {
        books.trouble = Some(trouble);
    }
}

/// Basic, then each extension type that occurs, in order.
fn schemas_of(links: &[Link]) -> Vec<&'static Schema> {
    let mut schemas = vec![Basic::SCHEMA];
    schemas.extend(last_of_each(links).map(|link| link.id.schema()));
    schemas
}

/// IPFIX has room for one record of each plugin; the original writes the last one.
fn last_of_each(links: &[Link]) -> impl Iterator<Item = Link> + '_ {
    links
        .iter()
        .enumerate()
        .filter(|(at, link)| links.get(at + 1).is_none_or(|next| next.id != link.id))
        .map(|(_, l)| *l)
}
