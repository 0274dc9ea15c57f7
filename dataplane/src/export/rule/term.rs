//! A declared field as a rule names it: `sourceIPv4Address/24`, `DST_PORT:class`, `max(tls.version)`.
//!
//! A field goes by each of its names in docs/fields.md: `PLUGIN.FIELD` (of the basic record `FIELD` alone), the UniRec name, the name of its
//! IPFIX element, with `@reverse` behind that of a reverse element. Where several plugins share a name the first of the registry has it.
use crate::flow::Basic;
use crate::registry::PluginId;
use record::element::{Element, REVERSE};
use record::ipfix::Family;
use record::schema::Shown;
use record::{Field, Kind, Record, Schema};
use std::net::{Ipv4Addr, Ipv6Addr};

/// A field by its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Declared {
    /// The basic record's, or a plugin's.
    pub(super) plugin: Option<PluginId>,
    /// Index in its schema.
    pub(super) at: usize,
    pub(super) field: &'static Field,
}

/// What is done with the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mask {
    Whole,
    /// Bits that stay of an IPv4 and of an IPv6 address.
    Prefix {
        v4: u8,
        v6: u8,
    },
    /// A port becomes the first of its range: 0 (system), 1024 (user), 49152 (dynamic; RFC 6335 section 6).
    Class,
    /// The lower port of the two that is not 0.
    Service,
}

/// How values of several flows become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Sum,
    Or,
    Min,
    Max,
    /// Of the flow that began first, and last; flows that do not have the field do not count.
    First,
    Last,
}

/// A word of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    pub(super) what: What,
    /// The only family that the rule has flows of, if it was named by an element of one.
    pub(super) family: Option<Family>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Key(Declared, Mask),
    Value(Declared, Fold),
    /// The number of flows.
    Flows,
}

/// Why a word is none of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TermError {
    #[error("there is no field {0}: docs/fields.md lists them")]
    Unknown(String),
    #[error("there is no function {0}: sum, or, min, max, first and last are known")]
    Function(String),
    #[error("{0}: a prefix is for an address alone")]
    NoAddress(String),
    #[error("/{0} is no prefix length, use 0 to {1}")]
    Length(String, u8),
    #[error(
        "{0} is of both families: give the prefix of IPv6 too, as in {0}/{1}/64, or name the element of one family"
    )]
    TwoFamilies(String, String),
    #[error("{0} is of one family and takes one prefix")]
    OneFamily(String),
    #[error("there is nothing like :{0}: class and service are known, for ports")]
    Mask(String),
    #[error(":{0} is for {1}")]
    NoPort(String, &'static str),
    #[error("{0} is a list, which can be no part of a key")]
    List(String),
    #[error("{0} needs to be told how flows are joined: sum, or, min, max, first or last, as in max({0})")]
    HowJoined(String),
    #[error("{0} works with {1}, and {2} is none")]
    Kind(&'static str, &'static str, String),
}

impl Term {
    /// A part of a key, or a field of records that are sent one for each flow: `NAME`, `NAME/BITS`, `NAME/BITS/BITS`, `NAME:class`, `NAME:service`.
    ///
    /// # Errors
    /// What is wrong with the word.
    pub fn key(text: &str) -> Result<Term, TermError> {
        let text = text.trim();
        let (name, mask) = match (text.split_once('/'), split_mask(text)) {
            (Some((name, bits)), _) => (name, Some(('/', bits))),
            (None, Some((name, mask))) => (name, Some((':', mask))),
            (None, None) => (text, None),
        };
        let (declared, family) = find(name)?;
        let mask = match mask {
            None => Mask::Whole,
            Some(('/', bits)) => prefix(name, bits, declared, family)?,
            Some((_, word)) => port_mask(word, declared)?,
        };
        Ok(Term { what: What::Key(declared, mask), family })
    }

    /// A value of an aggregate: `NAME` of a counter, a time or flags, `FUNCTION(NAME)`, `flows`.
    ///
    /// # Errors
    /// What is wrong with the word.
    pub fn value(text: &str) -> Result<Term, TermError> {
        let text = text.trim();
        if text == "flows" || text == "deltaFlowCount" {
            return Ok(Term { what: What::Flows, family: None });
        }
        if let Some((function, rest)) = text.split_once('(') {
            let name = rest.strip_suffix(')').unwrap_or(rest).trim();
            let fold = match function.trim() {
                "sum" => Fold::Sum,
                "or" => Fold::Or,
                "min" => Fold::Min,
                "max" => Fold::Max,
                "first" => Fold::First,
                "last" => Fold::Last,
                other => return Err(TermError::Function(other.into())),
            };
            let (declared, family) = find(name)?;
            fits(fold, declared.field)?;
            return Ok(Term { what: What::Value(declared, fold), family });
        }
        let (declared, family) = find(text)?;
        let fold = declared.usual().ok_or_else(|| TermError::HowJoined(text.into()))?;
        Ok(Term { what: What::Value(declared, fold), family })
    }

    /// The plugin whose field it is.
    pub fn plugin(&self) -> Option<PluginId> {
        match self.what {
            What::Key(declared, _) | What::Value(declared, _) => declared.plugin,
            What::Flows => None,
        }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.what, What::Key(declared, _) if matches!(declared.field.kind, Kind::List(_)))
    }
}

impl Declared {
    /// How the values of most rules are joined, where there is no question.
    pub(super) fn usual(&self) -> Option<Fold> {
        let basic = self.plugin.is_none();
        match self.field.name {
            "bytes" | "bytes_rev" | "packets" | "packets_rev" if basic => Some(Fold::Sum),
            "tcp_flags" | "tcp_flags_rev" if basic => Some(Fold::Or),
            "time_first" if basic => Some(Fold::Min),
            "time_last" if basic => Some(Fold::Max),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> String {
        match self.plugin {
            None => self.field.name.into(),
            Some(plugin) => format!("{}.{}", plugin.name(), self.field.name),
        }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        self.plugin.is_none() && self.field.name == name
    }
}

/// All names that fields go by, for suggestions.
pub fn known_names() -> Vec<String> {
    let mut names = vec!["flows".to_string()];
    for declared in all() {
        names.push(declared.name());
        names.extend(declared.field.unirec.map(String::from));
        names.extend([declared.field.ipfix, declared.field.ipfix_v6].into_iter().flatten().map(element_name));
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn split_mask(text: &str) -> Option<(&str, &str)> {
    // `iana:octetDeltaCount`, as docs/fields.md writes it, is no mask.
    text.rsplit_once(':').filter(|(name, _)| !SCOPES.contains(name))
}

const SCOPES: [&str; 4] = ["iana", "iana@reverse", "cesnet", "flowmon"];

fn all() -> impl Iterator<Item = Declared> {
    let of = |plugin: Option<PluginId>, schema: &'static Schema| {
        schema.fields.iter().enumerate().map(move |(at, field)| Declared { plugin, at, field })
    };
    // What the basic record has for exporters to fill in says nothing of a flow.
    let basic = of(None, Basic::SCHEMA).filter(|declared| declared.field.shown != Shown::Never);
    basic.chain(PluginId::ALL.iter().flat_map(move |plugin| of(Some(*plugin), plugin.schema())))
}

fn find(name: &str) -> Result<(Declared, Option<Family>), TermError> {
    let unknown = || TermError::Unknown(name.into());
    let by_name = |declared: &Declared| match (declared.plugin, name.split_once('.')) {
        (None, None) => declared.field.name == name,
        (None, Some(("basic", field))) => declared.field.name == field,
        (Some(plugin), Some((of, field))) => plugin.name() == of && declared.field.name == field,
        _ => false,
    };
    if let Some(declared) = all().find(by_name) {
        return Ok((declared, None));
    }
    if let Some(declared) = all().find(|declared| declared.field.unirec == Some(name)) {
        return Ok((declared, None));
    }
    let is = |element: Option<Element>| {
        element.is_some_and(|e| element_name(e) == name || format!("{}:{}", e.scope(), e.name) == name)
    };
    for declared in all() {
        let Field { ipfix, ipfix_v6, .. } = declared.field;
        match (is(*ipfix), is(*ipfix_v6)) {
            (true, _) => return Ok((declared, ipfix_v6.map(|_| Family::V4))),
            (_, true) => return Ok((declared, Some(Family::V6))),
            _ => {}
        }
    }
    Err(unknown())
}

fn element_name(element: Element) -> String {
    if element.pen == REVERSE { format!("{}@reverse", element.name) } else { element.name.to_string() }
}

fn prefix(name: &str, bits: &str, declared: Declared, family: Option<Family>) -> Result<Mask, TermError> {
    if declared.field.kind != Kind::Ip {
        return Err(TermError::NoAddress(name.into()));
    }
    let length = |text: &str, most: u32| {
        let bits = text.trim().parse::<u8>().ok().filter(|bits| u32::from(*bits) <= most);
        bits.ok_or_else(|| TermError::Length(text.trim().into(), most as u8))
    };
    match (bits.split_once('/'), family) {
        (None, Some(Family::V4)) => Ok(Mask::Prefix { v4: length(bits, Ipv4Addr::BITS)?, v6: Ipv6Addr::BITS as u8 }),
        (None, Some(Family::V6)) => Ok(Mask::Prefix { v4: Ipv4Addr::BITS as u8, v6: length(bits, Ipv6Addr::BITS)? }),
        (None, None) => Err(TermError::TwoFamilies(name.into(), bits.into())),
        (Some((v4, v6)), None) => Ok(Mask::Prefix { v4: length(v4, Ipv4Addr::BITS)?, v6: length(v6, Ipv6Addr::BITS)? }),
        (Some(_), Some(_)) => Err(TermError::OneFamily(name.into())),
    }
}

fn port_mask(word: &str, declared: Declared) -> Result<Mask, TermError> {
    let (is_src, is_dst) = (declared.is("src_port"), declared.is("dst_port"));
    match word {
        "class" if is_src || is_dst => Ok(Mask::Class),
        "class" => Err(TermError::NoPort(word.into(), "src_port and dst_port")),
        "service" if is_dst => Ok(Mask::Service),
        "service" => Err(TermError::NoPort(word.into(), "dst_port")),
        other => Err(TermError::Mask(other.into())),
    }
}

fn fits(fold: Fold, field: &Field) -> Result<(), TermError> {
    let is_unsigned = matches!(field.kind, Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64);
    let has_order = is_unsigned
        || matches!(field.kind, Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 | Kind::F32 | Kind::F64 | Kind::Time);
    let no = |function, works_with| Err(TermError::Kind(function, works_with, field.name.into()));
    match fold {
        Fold::Sum if !is_unsigned => no("sum", "unsigned numbers"),
        Fold::Or if !is_unsigned => no("or", "unsigned numbers"),
        Fold::Min | Fold::Max if !has_order => no("min and max", "numbers and times"),
        Fold::First | Fold::Last if matches!(field.kind, Kind::List(_)) => no("first and last", "single values"),
        _ => Ok(()),
    }
}
