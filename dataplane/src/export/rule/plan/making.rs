//! From the words of a rule to its plan.
use super::super::cell;
use super::super::term::{Declared, Fold, Mask, Term, What};
use super::super::{Does, RuleConfig, RuleError};
use super::{Column, NOWHERE, Plan};
use crate::flow::Basic;
use crate::registry::PluginId;
use record::element::{Abstract, Element, iana};
use record::ipfix::Family;
use record::schema::Shown;
use record::{Field, Item, Kind, ListRef, Record, Schema, Time, Value};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};

/// Fields of a rule at the most.
const FIELDS_MAX: usize = 64;
/// Bytes of a key at the most.
const KEY_MAX: usize = 4096;
/// Swapped for the other direction; the rest of the basic record is of both.
const SWAPPED: [(&str, &str); 6] = [
    ("src_ip", "dst_ip"),
    ("src_port", "dst_port"),
    ("src_mac", "dst_mac"),
    ("bytes", "bytes_rev"),
    ("packets", "packets_rev"),
    ("tcp_flags", "tcp_flags_rev"),
];

#[derive(Default)]
pub(super) struct Making {
    read: Vec<Declared>,
    columns: Vec<Column>,
    pub(super) fields: Vec<Field>,
    /// Fields that were named by the element of one family.
    limits: Vec<(usize, Family)>,
    by_family: bool,
    cells: usize,
    key_max: usize,
}

impl Making {
    pub(super) fn key(&mut self, term: &Term, lists: bool) -> Result<(), String> {
        let What::Key(declared, mask) = term.what else { return Err("values stand in values".into()) };
        if term.is_list() && !lists {
            return Err(format!("{} is a list, which can be no part of a key", declared.name()));
        }
        // Both elements of one address, each with a prefix of its own, are one field.
        if let Some(family) = term.family
            && let Some(at) =
                self.limits.iter().position(|(limited, other)| *limited == declared.at && *other != family)
        {
            self.limits.swap_remove(at);
            return self.widen(mask, declared);
        }
        self.limits.extend(term.family.map(|family| (declared.at, family)));
        let place = self.place(declared)?;
        let other_port = match mask {
            Mask::Service => self.place_of("src_port")?,
            _ => NOWHERE,
        };
        let field = declared.field;
        self.by_family |= field.ipfix_v6.is_some();
        self.key_max += cell::size_max(field.kind, field.bound).unwrap_or_default();
        self.add(Column::Key { place, kind: field.kind, mask, other_port }, outgoing(declared, None))?;
        match (mask, prefix_elements(declared)) {
            (Mask::Prefix { v4, v6 }, Some((element, element_v6))) => {
                let length = Field {
                    name: leaked(&format!("{}_prefix_length", json_name(declared))),
                    kind: Kind::U8,
                    ipfix: Some(element),
                    ipfix_v6: Some(element_v6),
                    doc: "Bits of the address that the rule keeps.",
                    ..outgoing(declared, None)
                };
                self.add(Column::PrefixLength { v4, v6 }, length)
            }
            _ => Ok(()),
        }
    }

    /// The rule has flows of both families, with a prefix for each.
    fn widen(&mut self, mask: Mask, declared: Declared) -> Result<(), String> {
        let is_its = |column: &Column| matches!(column, Column::Key { place, .. } if self.is_at(*place, declared));
        let at = self.columns.iter().position(is_its).unwrap_or_default();
        let joined = |a: Mask, b: Mask| match (a, b) {
            (Mask::Prefix { v4, v6 }, Mask::Prefix { v4: w4, v6: w6 }) => Some((v4.min(w4), v6.min(w6))),
            _ => None,
        };
        let Some(Column::Key { mask: there, .. }) = self.columns.get_mut(at) else { return Ok(()) };
        let Some((v4, v6)) = joined(*there, mask) else {
            return Err(format!("give both elements of {} a prefix, or write {0} alone", declared.name()));
        };
        *there = Mask::Prefix { v4, v6 };
        if let Some(Column::PrefixLength { v4: l4, v6: l6 }) = self.columns.get_mut(at + 1) {
            (*l4, *l6) = (v4, v6);
        }
        Ok(())
    }

    pub(super) fn value(&mut self, term: &Term, each_direction: bool) -> Result<(), String> {
        let (declared, fold) = match term.what {
            What::Flows => {
                let field = Field {
                    name: "flows",
                    kind: Kind::U64,
                    bound: 0,
                    ipfix: Some(iana::deltaFlowCount),
                    ipfix_v6: None,
                    ipfix_width: None,
                    unirec: None,
                    shown: Shown::Plain,
                    doc: "Flows that were joined.",
                };
                return self.add(Column::Flows, field);
            }
            What::Value(declared, fold) => (declared, fold),
            What::Key(..) => return Err("keys stand in key".into()),
        };
        let name = declared.name();
        if each_direction
            && declared.plugin.is_none()
            && SWAPPED.iter().any(|(_, back)| *back == name && back.ends_with("_rev"))
        {
            return Err(format!(
                "{name}: each direction is a flow of its own here, whose {} it is",
                name.trim_end_matches("_rev")
            ));
        }
        self.limits.extend(term.family.map(|family| (declared.at, family)));
        let place = self.place(declared)?;
        let field = outgoing(declared, Some(fold));
        self.by_family |= field.ipfix_v6.is_some();
        let size = cell::HEAD + cell::size_max(field.kind, field.bound).unwrap_or_default();
        let column = Column::Value { place, kind: field.kind, fold, at: self.cells, size, plugin: declared.plugin };
        self.cells += size;
        self.add(column, field)
    }

    fn add(&mut self, column: Column, field: Field) -> Result<(), String> {
        if self.fields.len() >= FIELDS_MAX {
            return Err(format!("more than {FIELDS_MAX} fields"));
        }
        if self.fields.iter().any(|other| field.name == other.name) {
            return Err(format!("{} is named twice", field.name));
        }
        self.fields.push(field);
        self.columns.push(column);
        Ok(())
    }

    fn is_at(&self, place: u8, declared: Declared) -> bool {
        self.read
            .get(usize::from(place))
            .is_some_and(|there| (there.plugin, there.at) == (declared.plugin, declared.at))
    }

    fn place(&mut self, declared: Declared) -> Result<u8, String> {
        if let Some(at) = (0..self.read.len() as u8).find(|at| self.is_at(*at, declared)) {
            return Ok(at);
        }
        if self.read.len() >= FIELDS_MAX {
            return Err(format!("more than {FIELDS_MAX} fields"));
        }
        self.read.push(declared);
        Ok(self.read.len() as u8 - 1)
    }

    /// The place of a field of the basic record.
    fn place_of(&mut self, name: &str) -> Result<u8, String> {
        let fields = Basic::SCHEMA.fields;
        let at = fields.iter().position(|field| field.name == name).unwrap_or_default();
        self.place(Declared { plugin: None, at, field: &fields[at] })
    }

    /// Bytes of a key at the most.
    fn key_bytes(&self) -> usize {
        self.key_max + usize::from(self.by_family)
    }

    pub(super) fn together(&self, config: &RuleConfig) -> Result<(), RuleError> {
        let family = self.limits.first().map(|(_, family)| *family);
        if self.limits.iter().any(|(_, other)| Some(*other) != family) {
            return Err(RuleError::whole(
                "it names elements of IPv4 and of IPv6, and no flow has both: give each address both elements, or its own name",
            ));
        }
        let key_max = self.key_bytes();
        if key_max > KEY_MAX && matches!(config.does, Does::Aggregate { .. }) {
            let why = format!("the key can have {key_max} bytes, more than {KEY_MAX}: leave a text out");
            return Err(RuleError::whole(&why));
        }
        Ok(())
    }

    pub(super) fn finish(self, config: &RuleConfig) -> Plan {
        let by_family = self.by_family;
        let family = self.limits.first().map(|(_, family)| *family);
        let key_max = self.key_bytes();
        // Rules are made at start and last as long as the program.
        let schema: &'static Schema = Box::leak(Box::new(Schema {
            name: leaked(&config.name),
            doc: "A record of a rule.",
            fields: Vec::leak(self.fields),
        }));
        let place = |plugin: Option<PluginId>, at: usize| {
            let is = |read: &Declared| (read.plugin, read.at) == (plugin, at);
            self.read.iter().position(is).map_or(NOWHERE, |place| place as u8)
        };
        let basic: Vec<u8> = (0..Basic::SCHEMA.fields.len()).map(|at| place(None, at)).collect();
        let mut plugins: Vec<(PluginId, Vec<u8>)> = Vec::new();
        for plugin in self.read.iter().filter_map(|read| read.plugin) {
            if !plugins.iter().any(|(known, _)| *known == plugin) {
                plugins.push((plugin, (0..plugin.schema().fields.len()).map(|at| place(Some(plugin), at)).collect()));
            }
        }
        Plan {
            swapped: (0..basic.len()).map(|at| basic[other_way(at)]).collect(),
            basic,
            plugins,
            empty: self.read.iter().map(|read| empty(read.field.kind)).collect(),
            columns: self.columns,
            schema,
            family,
            by_family,
            key_max,
            cells: self.cells,
        }
    }
}

/// The field of the basic record that a field of it is in the other direction.
fn other_way(at: usize) -> usize {
    let fields = Basic::SCHEMA.fields;
    let name = fields[at].name;
    let other = SWAPPED.iter().find_map(|(a, b)| match name {
        n if n == *a => Some(*b),
        n if n == *b => Some(*a),
        _ => None,
    });
    other.and_then(|other| fields.iter().position(|field| field.name == other)).unwrap_or(at)
}

/// The field of an outgoing record.
fn outgoing(declared: Declared, fold: Option<Fold>) -> Field {
    let Field { kind, bound, ipfix, ipfix_v6, ipfix_width, shown, doc, .. } = *declared.field;
    let plain = json_name(declared);
    let name = match fold {
        Some(fold) if declared.usual() != Some(fold) => leaked(&format!("{}_{plain}", word(fold))),
        _ => leaked(&plain),
    };
    // A sum needs more room than what is summed.
    let (kind, ipfix_width) = if fold == Some(Fold::Sum) { (Kind::U64, None) } else { (kind, ipfix_width) };
    let fits = |element: &Element| fold != Some(Fold::Sum) || element.kind == Abstract::Unsigned64;
    let ipfix = ipfix.filter(fits);
    let shown = if shown == Shown::AsText { shown } else { Shown::Plain };
    Field { name, kind, bound, ipfix, ipfix_v6, ipfix_width, unirec: None, shown, doc }
}

fn word(fold: Fold) -> &'static str {
    match fold {
        Fold::Sum => "sum",
        Fold::Or => "or",
        Fold::Min => "min",
        Fold::Max => "max",
        Fold::First => "first",
        Fold::Last => "last",
    }
}

fn json_name(declared: Declared) -> String {
    declared.name().replace('.', "_")
}

/// A name that lasts as long as the program, as those of other declared fields do; each is kept once, and there are so many as fields and
/// functions allow.
fn leaked(text: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(text) {
        return known;
    }
    let name = String::leak(text.to_string());
    names.insert(name);
    name
}

fn prefix_elements(declared: Declared) -> Option<(Element, Element)> {
    if declared.is("src_ip") {
        Some((iana::sourceIPv4PrefixLength, iana::sourceIPv6PrefixLength))
    } else if declared.is("dst_ip") {
        Some((iana::destinationIPv4PrefixLength, iana::destinationIPv6PrefixLength))
    } else {
        None
    }
}

fn empty(kind: Kind) -> Value<'static> {
    match kind {
        Kind::Text => Value::Text(&[]),
        Kind::Bytes => Value::Bytes(&[]),
        Kind::Char => Value::Char(0),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => Value::Int(0),
        Kind::F32 => Value::F32(0.0),
        Kind::F64 => Value::F64(0.0),
        Kind::Ip => Value::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Kind::Mac => Value::Mac([0; 6]),
        Kind::Time => Value::Time(Time(0)),
        Kind::List(item) => Value::List(item_list(item)),
        _ => Value::Uint(0),
    }
}

fn item_list(item: Item) -> ListRef<'static> {
    match item {
        Item::U8 => ListRef::U8(&[]),
        Item::I8 => ListRef::I8(&[]),
        Item::U16 => ListRef::U16(&[]),
        Item::I16 => ListRef::I16(&[]),
        Item::U32 => ListRef::U32(&[]),
        Item::I32 => ListRef::I32(&[]),
        Item::U64 => ListRef::U64(&[]),
        Item::I64 => ListRef::I64(&[]),
        Item::F32 => ListRef::F32(&[]),
        Item::F64 => ListRef::F64(&[]),
        Item::Ip => ListRef::Ip(&[]),
        Item::Mac => ListRef::Mac(&[]),
        Item::Time => ListRef::Time(&[]),
    }
}
