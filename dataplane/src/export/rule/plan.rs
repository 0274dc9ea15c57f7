//! A rule made ready for flows: which field of which record goes to which place, and what the records that leave look like.
//!
//! Made once at start. The outgoing record is a declared one from then on, so templates, IPFIX and JSON come from where those of all records do.
use super::cell;
use super::term::{Fold, Mask};
use super::{Does, RuleConfig, RuleError};
use crate::batch::{Batch, FlowRecord};
use crate::export::ipfix::last_of_each;
use crate::flow::Basic;
use crate::registry::PluginId;
use making::Making;
use record::ipfix::Family;
use record::{Field, Kind, Record, Schema, Sink, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod making;

/// No place in a row.
const NOWHERE: u8 = u8::MAX;
pub(super) struct Plan {
    /// Rows have a place for each field that is read. For each field of the basic record its place; the same for the other direction.
    basic: Vec<u8>,
    swapped: Vec<u8>,
    plugins: Vec<(PluginId, Vec<u8>)>,
    /// What a place holds if a flow has no such record.
    empty: Vec<Value<'static>>,
    columns: Vec<Column>,
    pub(super) schema: &'static Schema,
    /// The only family of the rule.
    pub(super) family: Option<Family>,
    /// Whether aggregates of both families are different ones.
    by_family: bool,
    pub(super) key_max: usize,
    pub(super) cells: usize,
}

/// Where a field of the outgoing record comes from.
#[derive(Clone, Copy)]
enum Column {
    Key { place: u8, kind: Kind, mask: Mask, other_port: u8 },
    PrefixLength { v4: u8, v6: u8 },
    Value { place: u8, kind: Kind, fold: Fold, at: usize, size: usize, plugin: Option<PluginId> },
    Flows,
}

impl Plan {
    /// # Errors
    /// What does not go together, and in which list of the rule which word is to blame.
    pub(super) fn new(config: &RuleConfig) -> Result<Plan, RuleError> {
        Ok(Plan::make(config)?.finish(config))
    }

    /// The fields of the outgoing records, by name.
    ///
    /// # Errors
    /// As of [`Plan::new`].
    pub(super) fn names(config: &RuleConfig) -> Result<Vec<&'static str>, RuleError> {
        Ok(Plan::make(config)?.fields.iter().map(|field| field.name).collect())
    }

    fn make(config: &RuleConfig) -> Result<Making, RuleError> {
        let mut making = Making::default();
        match &config.does {
            Does::Send { fields } => {
                let list = "fields";
                fields
                    .iter()
                    .enumerate()
                    .try_for_each(|(n, term)| making.key(term, true).map_err(|why| RuleError::at(list, n, why)))?;
            }
            Does::Aggregate { key, values, .. } => {
                key.iter()
                    .enumerate()
                    .try_for_each(|(n, term)| making.key(term, false).map_err(|why| RuleError::at("key", n, why)))?;
                let each = config.each_direction;
                values.iter().enumerate().try_for_each(|(n, term)| {
                    making.value(term, each).map_err(|why| RuleError::at("values", n, why))
                })?;
            }
        }
        if making.fields.is_empty() {
            return Err(RuleError::whole("a rule needs a field"));
        }
        making.together(config)?;
        Ok(making)
    }

    /// A row of a batch, to be filled flow by flow.
    pub(super) fn row<'b>(&self) -> Vec<Value<'b>> {
        self.empty.clone()
    }

    /// Reads the fields of a flow. `back`: as its other direction has them.
    pub(super) fn read<'b>(
        &self,
        batch: &'b Batch,
        flow: &FlowRecord,
        basic: &Basic,
        back: bool,
        row: &mut [Value<'b>],
    ) {
        row.copy_from_slice(&self.empty);
        basic.visit_here(&mut Places { places: if back { &self.swapped } else { &self.basic }, row });
        if self.plugins.is_empty() || flow.extensions == 0 {
            return;
        }
        for link in last_of_each(batch.links(flow)) {
            if let Some((_, places)) = self.plugins.iter().find(|(plugin, _)| *plugin == link.id) {
                batch.visit(link, &mut Borrowed { places, row });
            }
        }
    }

    /// The key of the aggregate of a row.
    pub(super) fn key(&self, row: &[Value<'_>], family: Family, out: &mut Vec<u8>) {
        out.clear();
        if self.by_family {
            out.push(family_byte(family));
        }
        for column in &self.columns {
            if let Column::Key { place, kind, mask, other_port } = *column {
                cell::push(out, kind, masked(row, place, mask, other_port));
            }
        }
    }

    /// Joins a row with an aggregate.
    pub(super) fn join(
        &self,
        flow: &FlowRecord,
        basic: &Basic,
        row: &[Value<'_>],
        cells: &mut [u8],
        scratch: &mut Vec<u8>,
    ) {
        for column in &self.columns {
            let Column::Value { place, kind, fold, at, size, plugin } = *column else { continue };
            if plugin.is_some_and(|plugin| flow.extensions & plugin.bit() == 0) {
                continue;
            }
            let time = if fold == Fold::First { basic.time_first } else { basic.time_last };
            if let (Some(cell), Some(value)) = (cells.get_mut(at..at + size), row.get(usize::from(place))) {
                cell::join(fold, kind, cell, *value, time, scratch);
            }
        }
    }

    pub(super) fn family_of(&self, key: &[u8]) -> Family {
        if self.by_family && key.first() == Some(&6) { Family::V6 } else { Family::V4 }
    }

    /// The family under whose template a flow's record leaves.
    pub(super) fn family_for(&self, family: Family) -> Family {
        if self.by_family { family } else { Family::V4 }
    }

    /// Shows the outgoing record of an aggregate.
    pub(super) fn visit_aggregate<'a>(&self, key: &'a [u8], cells: &'a [u8], flows: u64, sink: &mut impl Sink<'a>) {
        let family = self.family_of(key);
        let mut rest = if self.by_family { key.get(1..).unwrap_or_default() } else { key };
        for (at, (column, field)) in self.columns.iter().zip(self.schema.fields).enumerate() {
            let value = match *column {
                Column::Key { kind, .. } => cell::pull(kind, &mut rest),
                Column::PrefixLength { v4, v6 } => length(family, v4, v6),
                Column::Value { kind, at, size, .. } => cell::value(kind, cells.get(at..at + size).unwrap_or_default()),
                Column::Flows => Value::Uint(flows),
            };
            sink.put(at, field, value);
        }
    }

    /// Shows the outgoing record of one flow.
    pub(super) fn visit_flow<'a>(&self, row: &[Value<'a>], family: Family, sink: &mut impl Sink<'a>) {
        for (at, (column, field)) in self.columns.iter().zip(self.schema.fields).enumerate() {
            let value = match *column {
                Column::Key { place, mask, other_port, .. } => masked(row, place, mask, other_port),
                Column::PrefixLength { v4, v6 } => length(family, v4, v6),
                Column::Value { .. } | Column::Flows => continue,
            };
            sink.put(at, field, value);
        }
    }
}

fn family_byte(family: Family) -> u8 {
    if family == Family::V6 { 6 } else { 4 }
}

fn length(family: Family, v4: u8, v6: u8) -> Value<'static> {
    Value::Uint(if family == Family::V6 { v6 } else { v4 }.into())
}

fn masked<'a>(row: &[Value<'a>], place: u8, mask: Mask, other_port: u8) -> Value<'a> {
    let at = |place: u8| row.get(usize::from(place)).copied().unwrap_or(Value::Uint(0));
    match (mask, at(place)) {
        (Mask::Prefix { v4, .. }, Value::Ip(IpAddr::V4(ip))) => {
            let bits = u32::MAX.checked_shl(Ipv4Addr::BITS - u32::from(v4)).unwrap_or(0);
            Value::Ip(Ipv4Addr::from_bits(ip.to_bits() & bits).into())
        }
        (Mask::Prefix { v6, .. }, Value::Ip(IpAddr::V6(ip))) => {
            let bits = u128::MAX.checked_shl(Ipv6Addr::BITS - u32::from(v6)).unwrap_or(0);
            Value::Ip(Ipv6Addr::from_bits(ip.to_bits() & bits).into())
        }
        (Mask::Class, Value::Uint(port)) => Value::Uint(match port {
            0..1024 => 0,
            1024..49_152 => 1024,
            _ => 49_152,
        }),
        (Mask::Service, Value::Uint(port)) => match at(other_port) {
            Value::Uint(other) if other != 0 && (other < port || port == 0) => Value::Uint(other),
            _ => Value::Uint(port),
        },
        (_, value) => value,
    }
}

/// Takes the fields of the basic record to their places: none of them borrows.
struct Places<'p, 'r, 'b> {
    places: &'p [u8],
    row: &'r mut [Value<'b>],
}

impl<'a> Sink<'a> for Places<'_, '_, '_> {
    #[inline(always)]
    fn put(&mut self, at: usize, _field: &'static Field, value: Value<'a>) {
        let place = self.places.get(at).copied().unwrap_or(NOWHERE);
        if let Some(to) = self.row.get_mut(usize::from(place)) {
            *to = match value {
                Value::Uint(v) => Value::Uint(v),
                Value::Ip(v) => Value::Ip(v),
                Value::Mac(v) => Value::Mac(v),
                Value::Time(v) => Value::Time(v),
                // The basic record has no other.
                _ => Value::Uint(0),
            };
        }
    }
}

/// The same of a plugin's record, which lies in the batch.
struct Borrowed<'p, 'r, 'b> {
    places: &'p [u8],
    row: &'r mut [Value<'b>],
}

impl<'b> Sink<'b> for Borrowed<'_, '_, 'b> {
    #[inline(always)]
    fn put(&mut self, at: usize, _field: &'static Field, value: Value<'b>) {
        let place = self.places.get(at).copied().unwrap_or(NOWHERE);
        if let Some(to) = self.row.get_mut(usize::from(place)) {
            *to = value;
        }
    }
}
