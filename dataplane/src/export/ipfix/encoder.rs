//! Flow records to IPFIX messages: the templates a flow needs, and its fields in their order.
use crate::batch::{Batch, FlowRecord, Link};
use crate::flow::{Basic, Heading};
use crate::registry::{PluginId, PluginSet};
use record::element::{IANA, REVERSE};
use record::ipfix::{AddError, DataSink, Family, Fate, Message, Packer, PackerConfig, Statement};
use record::{Record, Schema};

/// A [`Packer`] of flow records.
pub struct Encoder {
    packer: Packer,
    /// Value of ingressInterface in every record, and no direction in any; otherwise each says its own.
    dir: Option<u32>,
    /// The record types of each set of extensions that has occurred, sorted by the set; and the place asked for last.
    schemas: Vec<(PluginSet, Vec<&'static Schema>)>,
    last: usize,
    /// Whether the types of private elements are told.
    tells_types: bool,
}

/// Stands in the set of a flow that says its direction: templates are told apart by sets.
const HEADING: PluginSet = 1 << 63;
const _: () = assert!(PluginId::COUNT < 64);

/// Sets of extensions remembered; past them all are looked up again.
const SETS_MAX: usize = 4096;

impl Encoder {
    pub fn new(config: PackerConfig, dir: Option<u32>) -> Encoder {
        Encoder { packer: Packer::new(config), dir, schemas: Vec::new(), last: 0, tells_types: false }
    }

    /// Takes a flow of the batch; answers how many of its extension records were left behind, for which a record has no room.
    #[inline]
    pub fn add(
        &mut self,
        batch: &Batch,
        flow: &FlowRecord,
        now_secs: u32,
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> Result<usize, AddError> {
        let (heading, interface) = match self.dir {
            None => (flow.heading().element_value(), flow.interface()),
            Some(dir) => (None, dir),
        };
        let basic = |family| Basic { ingress_interface: interface, ..flow.basic_in(family) };
        let set = flow.extensions | if heading.is_some() { HEADING } else { 0 };
        if set == 0 {
            // Most flows of most networks: code of its own for them has all values in registers.
            let fill = |sink: &mut DataSink<'_>| sink.fixed(basic);
            return self.packer.add(0, flow.family(), &[Basic::SCHEMA], now_secs, fill, emit).map(|()| 0);
        }
        let links = batch.links(flow);
        if self.schemas.get(self.last).is_none_or(|(known, _)| *known != set) {
            self.last = self.place(set, links);
        }
        let schemas = &self.schemas[self.last].1;
        let fill = |sink: &mut DataSink<'_>| {
            sink.fixed(basic);
            heading.into_iter().for_each(|direction| sink.fixed(|_| Heading { direction }));
            last_of_each(links).for_each(|link| batch.visit(link, sink));
        };
        self.packer.add(set, flow.family(), schemas, now_secs, fill, emit)?;
        Ok(links.len() + 1 + usize::from(heading.is_some()) - schemas.len())
    }

    /// Takes a record of the one declared type that this encoder has ([`Encoder::declare`]).
    pub(super) fn put(
        &mut self,
        family: Family,
        schema: &'static Schema,
        now_secs: u32,
        fill: impl Fn(&mut DataSink<'_>),
        emit: &mut impl FnMut(Message<'_>) -> Fate,
    ) -> Result<(), AddError> {
        self.packer.add(0, family, &[schema], now_secs, fill, emit)
    }

    /// Tells the types of the private elements of a record type.
    pub(super) fn declare(&mut self, schema: &Schema) {
        if self.tells_types {
            let elements = schema.fields.iter().filter_map(|field| field.ipfix);
            let private = elements.filter(|element| ![IANA, REVERSE].contains(&element.pen));
            private.for_each(|element| self.packer.announce(Statement::Type(element)));
        }
    }

    /// Says something in each session, and the types of all private elements as they occur.
    pub(super) fn announce(&mut self, statements: impl IntoIterator<Item = Statement>) {
        self.tells_types = true;
        statements.into_iter().for_each(|statement| self.packer.announce(statement));
    }

    /// Sends numbers of this moment.
    pub(super) fn tell(&mut self, statistics: &[Statement], now_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        self.packer.tell(statistics, now_secs, emit);
    }

    /// Sends templates that are due and all that waits.
    pub fn flush(&mut self, now_secs: u32, emit: &mut impl FnMut(Message<'_>) -> Fate) {
        self.packer.flush(now_secs, emit);
    }

    /// All templates are sent again by the next flush.
    pub fn mark_all_templates(&mut self) {
        self.packer.mark_all_templates();
    }

    #[cold]
    fn place(&mut self, set: PluginSet, links: &[Link]) -> usize {
        if let Ok(at) = self.schemas.binary_search_by_key(&set, |(known, _)| *known) {
            return at;
        }
        let schemas = schemas_of(set, links);
        schemas.iter().for_each(|schema| self.declare(schema));
        if self.schemas.len() >= SETS_MAX {
            self.schemas.clear();
        }
        let at = self.schemas.partition_point(|(known, _)| *known < set);
        self.schemas.insert(at, (set, schemas));
        at
    }
}

/// Basic, the direction if it is said, then each extension type that occurs, in order.
fn schemas_of(set: PluginSet, links: &[Link]) -> Vec<&'static Schema> {
    let mut schemas = vec![Basic::SCHEMA];
    if set & HEADING != 0 {
        schemas.push(Heading::SCHEMA);
    }
    schemas.extend(last_of_each(links).map(|link| link.id.schema()));
    schemas
}

/// IPFIX has room for one record of each plugin; the original writes the last one.
pub(in crate::export) fn last_of_each(links: &[Link]) -> impl Iterator<Item = Link> + '_ {
    links
        .iter()
        .enumerate()
        .filter(|(at, link)| links.get(at + 1).is_none_or(|next| next.id != link.id))
        .map(|(_, l)| *l)
}
