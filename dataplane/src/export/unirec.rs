//! UniRec over TRAP interfaces (spec/exporter.md section 6, "unirec").
//!
//! Each interface carries one group of plugins: one template of the basic fields and the fields of the group. A group gets a record
//! of each flow that has data for it; the original repeats older records there (its QUIRK), which nobody can want.
use crate::batch::{Batch, FlowRecord, Link};
use crate::export::{Books, Exporter, OpenError, RecordDrop};
use crate::flow::Basic;
use crate::registry::{PluginId, PluginSet};
use record::unirec::Layout;
use record::{Record, Schema};
use trap::{Format, Gathered, IfcSpec, Output, OutputDefaults, Place, Sent, ServiceName};

/// Bytes of records that are gathered before the output is asked for, also within a batch.
const GATHERED: usize = 64 * 1024;

/// What one interface carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// The basic record of every flow.
    Basic,
    /// The basic fields and those of these plugins, for flows that any of them has data of.
    Plugins(Vec<PluginId>),
}

#[derive(Clone, Debug)]
pub struct UnirecConfig {
    /// One interface for each group.
    pub interfaces: Vec<(IfcSpec, Group)>,
    /// Value of LINK_BIT_FIELD, or of ODID.
    pub id: u64,
    /// Value of DIR_BIT_FIELD.
    pub dir: u8,
    /// ODID (uint32) in place of LINK_BIT_FIELD.
    pub odid: bool,
    /// Send an end-of-stream record at the end.
    pub eof: bool,
}

pub struct UnirecExporter {
    config: UnirecConfig,
    interfaces: Vec<Interface>,
    books: Books,
}

struct Interface {
    output: Output,
    layout: Layout,
    group: Group,
    /// Plugins of the group; empty for a basic interface.
    set: PluginSet,
    record: Vec<u8>,
    /// Records of the batch at hand on their way to the output.
    gathered: Gathered,
    /// Records too large for a container that were counted.
    too_large: u64,
    /// For each part of the layout, the extension record that goes into the next UniRec record.
    parts: Vec<Option<Link>>,
}

impl UnirecExporter {
    /// Opens the interfaces, announces their templates and tells their counters to `trap_stats PID`. Waiting for room or clients ends when the stop flag of `place` is set.
    pub fn open(config: UnirecConfig, place: &Place) -> Result<UnirecExporter, OpenError> {
        let mut interfaces = Vec::with_capacity(config.interfaces.len());
        for (index, (spec, group)) in config.interfaces.iter().enumerate() {
            let place = Place { index, ..place.clone() };
            interfaces.push(Interface::open(spec, group, config.odid, &place)?);
        }
        let outputs = interfaces.iter_mut().map(|interface| &mut interface.output);
        trap::service::start(&ServiceName::Pid, place, [], outputs);
        Ok(UnirecExporter { config, interfaces, books: Books::default() })
    }
}

impl Interface {
    fn open(spec: &IfcSpec, group: &Group, odid: bool, place: &Place) -> Result<Interface, OpenError> {
        let plugins: &[PluginId] = if let Group::Plugins(plugins) = group { plugins } else { &[] };
        let mut schemas: Vec<&'static Schema> = vec![Basic::SCHEMA];
        schemas.extend(plugins.iter().map(|p| p.schema()));
        let layout = Layout::new(&schemas, if odid { &["LINK_BIT_FIELD"] } else { &["ODID"] });
        let say = |e: trap::TrapError| OpenError::Interface(format!("unirec output {}: {e}", spec.kind.letter()));
        let defaults = OutputDefaults { timeout: trap::Timeout::HalfWait };
        let mut output = Output::open_at(spec, defaults, place).map_err(say)?;
        output.set_format(Format::UniRec(layout.template().spec())).map_err(say)?;
        Ok(Interface {
            output,
            layout,
            group: group.clone(),
            set: plugins.iter().map(|p| p.bit()).sum(),
            record: Vec::with_capacity(1 << 16),
            gathered: Gathered::default(),
            too_large: 0,
            parts: vec![None; schemas.len()],
        })
    }

    /// Sends what this interface has to say of a flow: one record for each round of its plugins' records.
    fn flow(&mut self, batch: &Batch, flow: &FlowRecord, basic: &Basic, books: &mut Books) {
        let Group::Plugins(plugins) = &self.group else {
            return self.send(batch, basic, books);
        };
        if flow.extensions & self.set == 0 {
            return books.records.drop(RecordDrop::NoExtension, 1);
        }
        let plugins = plugins.clone();
        for link in batch.links(flow) {
            let Some(at) = plugins.iter().position(|p| *p == link.id) else { continue };
            if self.parts[at + 1].is_some() {
                self.send(batch, basic, books);
            }
            self.parts[at + 1] = Some(*link);
        }
        self.send(batch, basic, books);
        self.parts.fill(None);
    }

    fn send(&mut self, batch: &Batch, basic: &Basic, books: &mut Books) {
        let parts = &self.parts;
        let encoded = self.layout.encode(&mut self.record, |sink| {
            sink.part(0);
            basic.visit(sink);
            for (part, link) in parts.iter().enumerate() {
                if let Some(link) = link {
                    sink.part(part);
                    batch.visit(*link, sink);
                }
            }
        });
        if encoded.is_err() || !self.gathered.push(&self.record) {
            return books.records.drop(RecordDrop::TooLarge, 1);
        }
        if self.gathered.size() >= GATHERED {
            self.send_gathered(books);
        }
    }

    /// Gives the output what was gathered: one lock for all of it.
    fn send_gathered(&mut self, books: &mut Books) {
        if self.gathered.is_empty() {
            return;
        }
        let done = self.output.send_batch(&self.gathered.batch());
        self.gathered.clear();
        books.records.keep(done.sent);
        if done.dropped > 0 {
            let too_large = self.output.stats().too_large;
            let newly = std::mem::replace(&mut self.too_large, too_large).abs_diff(too_large);
            books.records.drop(RecordDrop::TooLarge, newly);
            books.records.drop(RecordDrop::NotTaken, done.dropped - newly);
        }
    }
}

impl Exporter for UnirecExporter {
    fn name(&self) -> String {
        let ends: Vec<String> =
            self.interfaces.iter().map(|i| format!("{}:{}", i.output.kind().letter(), i.output.id())).collect();
        format!("unirec {}", ends.join(","))
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        for flow in batch.flows() {
            let mut basic = flow.basic();
            basic.link_bit_field = self.config.id;
            basic.odid = self.config.id as u32;
            basic.dir_bit_field = self.config.dir;
            for interface in &mut self.interfaces {
                interface.flow(batch, flow, &basic, &mut self.books);
            }
        }
        for interface in &mut self.interfaces {
            interface.send_gathered(&mut self.books);
        }
    }

    fn finish(&mut self, _now_secs: u64) {
        for interface in &mut self.interfaces {
            if self.config.eof
                && let Sent::Dropped(why) = interface.output.send_eof()
            {
                self.books.trouble = Some(format!("end-of-stream record not sent: {why:?}"));
            }
            if let Err(e) = interface.output.finish() {
                self.books.trouble = Some(e.to_string());
            }
            let stats = interface.output.stats();
            // Lost after `send` took them: a file that could not be written, clients that left or were too slow (each client's loss counts).
            let kept = self.books.records.kept;
            self.books.records.give_up(RecordDrop::WriteFailed, stats.lost_io.min(kept));
            self.books.unheard += stats.unheard;
            self.books.skipped += stats.skipped + stats.abandoned;
        }
    }

    fn books(&self) -> &Books {
        &self.books
    }
}
