//! Templates: the sorted fields of a record and their places in it.
use super::{DESCRIPTOR, FIELDS_MAX, RECORD_MAX};
use crate::{Kind, Schema};
use std::collections::HashMap;

/// The fields of a record type, in record order. Two templates are equal when their fields are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    fields: Vec<TemplateField>,
    /// Index of the first variable-length field; all fields from here on are of variable length.
    first_var: usize,
    static_size: usize,
}

/// One field of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateField {
    pub name: String,
    pub kind: Kind,
    /// Where its value starts in the record, bytes; for a variable-length field, where its descriptor starts.
    pub offset: usize,
}

/// Why a template specification was refused (return codes -2 to -4 of the original, spec/unirec.md section 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error(
        "unknown type \"{0}\": write TYPE NAME pairs separated by commas, with types such as uint16, ipaddr, string or time*"
    )]
    UnknownType(String),
    #[error("bad field name \"{0}\": a name is a letter followed by letters, digits and underscores")]
    BadName(String),
    #[error("field {name} is given as {first} and as {second}: give it one type")]
    TypeMismatch { name: String, first: &'static str, second: &'static str },
    #[error("more than {FIELDS_MAX} fields: leave some out")]
    TooManyFields,
    #[error("the fixed part of the record would have {0} bytes, more than {RECORD_MAX}: leave fields out")]
    TooLarge(usize),
}

impl Template {
    /// Reads a specification, `TYPE NAME,TYPE NAME,...` in any order (spec/unirec.md section 3).
    ///
    /// White space around types, names and commas is skipped, a trailing comma is tolerated, a repeated field counts once. An
    /// empty specification is the empty template.
    pub fn parse(spec: &str) -> Result<Template, SpecError> {
        Template::new(spec_items(spec)?)
    }

    /// A template of these fields, in any order; a repeated field counts once.
    pub fn new<N: Into<String>>(fields: impl IntoIterator<Item = (N, Kind)>) -> Result<Template, SpecError> {
        let mut known: HashMap<String, Kind> = HashMap::new();
        for (name, kind) in fields {
            let name = name.into();
            if !is_name(&name) {
                return Err(SpecError::BadName(name));
            }
            match known.insert(name.clone(), kind) {
                Some(first) if first != kind => {
                    let (first, second) = (first.unirec_name(), kind.unirec_name());
                    return Err(SpecError::TypeMismatch { name, first, second });
                }
                _ if known.len() > FIELDS_MAX => return Err(SpecError::TooManyFields),
                _ => {}
            }
        }
        let mut fields: Vec<_> =
            known.into_iter().map(|(name, kind)| TemplateField { name, kind, offset: 0 }).collect();
        fields.sort_unstable_by(|a, b| sort_size(b.kind).cmp(&sort_size(a.kind)).then_with(|| a.name.cmp(&b.name)));
        let mut static_size = 0;
        for field in &mut fields {
            field.offset = static_size;
            static_size += field.kind.size().unwrap_or(DESCRIPTOR);
        }
        if static_size > RECORD_MAX {
            return Err(SpecError::TooLarge(static_size));
        }
        let first_var = fields.iter().position(|f| f.kind.size().is_none()).unwrap_or(fields.len());
        Ok(Template { fields, first_var, static_size })
    }

    /// The UniRec fields of declared record types, without those named in `omit`. A name that several schemas share counts once.
    ///
    /// # Panics
    /// If the declarations contradict each other or break a limit of UniRec: a mistake in the program, seen when it starts.
    pub fn from_schemas(schemas: &[&Schema], omit: &[&str]) -> Template {
        let fields = schemas.iter().flat_map(|s| s.fields).filter_map(|f| Some((f.unirec?, f.kind)));
        match Template::new(fields.filter(|(name, _)| !omit.contains(name))) {
            Ok(template) => template,
            Err(why) => panic!("record declarations make no UniRec template: {why}"),
        }
    }

    /// The canonical specification, as a TRAP peer expects it: record order, one space, no space after commas.
    pub fn spec(&self) -> String {
        let mut spec = String::new();
        for field in &self.fields {
            if !spec.is_empty() {
                spec.push(',');
            }
            spec.push_str(field.kind.unirec_name());
            spec.push(' ');
            spec.push_str(&field.name);
        }
        spec
    }

    /// All fields in record order: fixed-size ones first.
    pub fn fields(&self) -> &[TemplateField] {
        &self.fields
    }

    /// Index of the first variable-length field; the number of fields if there is none.
    pub fn first_var(&self) -> usize {
        self.first_var
    }

    /// Bytes of the fixed part: values and descriptors.
    pub fn static_size(&self) -> usize {
        self.static_size
    }

    /// Index of a field. A linear search: look names up when a template arrives, not for each record.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// Index of a field that has this kind.
    pub fn find(&self, name: &str, kind: Kind) -> Option<usize> {
        self.index_of(name).filter(|at| self.fields[*at].kind == kind)
    }
}

/// Splits a specification into names and kinds, in its own order; the order of CSV columns.
pub(super) fn spec_items(spec: &str) -> Result<Vec<(&str, Kind)>, SpecError> {
    let mut items = Vec::new();
    let mut rest = spec.trim();
    while !rest.is_empty() {
        let (item, more) = rest.split_once(',').unwrap_or((rest, ""));
        rest = more.trim_start();
        let item = item.trim();
        let (kind, name) = item.split_once(char::is_whitespace).unwrap_or((item, ""));
        let kind = Kind::from_unirec_name(kind).ok_or_else(|| SpecError::UnknownType(kind.to_owned()))?;
        items.push((name.trim_start(), kind));
    }
    Ok(items)
}

/// The first key of the record order, descending (spec/unirec.md section 1, column "sort size").
fn sort_size(kind: Kind) -> i32 {
    match (kind.size(), kind) {
        (Some(size), _) => size as i32,
        (None, Kind::List(item)) => -(item.size() as i32),
        (None, _) => -1,
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic()) && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_order_and_white_space_give_the_canonical_form() {
        let t = Template::parse(" uint8  B ,\tipaddr  A,string s,uint16* W, string _x,").unwrap_err();
        assert_eq!(t, SpecError::BadName("_x".into()));
        let t = Template::parse(" uint8  B ,\tipaddr  A,string s,ipaddr* P,uint16* W,string S_,string Sa,uint8 B,")
            .unwrap();
        assert_eq!(t.spec(), "ipaddr A,uint8 B,string S_,string Sa,string s,uint16* W,ipaddr* P");
        assert_eq!((t.static_size(), t.first_var(), t.index_of("W")), (37, 2, Some(5)));
        assert_eq!(Template::parse(&t.spec()).unwrap(), t);
    }

    #[test]
    fn what_is_refused() {
        let fails = |s: &str| Template::parse(s).unwrap_err();
        assert_eq!(fails("uint9 A"), SpecError::UnknownType("uint9".into()));
        assert_eq!(fails("uint8 A,,uint8 B"), SpecError::UnknownType("".into()));
        assert_eq!(fails("uint8"), SpecError::BadName("".into()));
        assert_eq!(fails("uint8 A B"), SpecError::BadName("A B".into()));
        assert!(matches!(fails("uint8 A,int8 A"), SpecError::TypeMismatch { .. }));
        let many = (0..5_000).map(|i| (format!("I{i}"), Kind::Ip));
        assert_eq!(Template::new(many), Err(SpecError::TooLarge(80_000)));
        assert_eq!(Template::parse("  ").unwrap(), Template::default());
    }
}
