//! A configuration resolved for one input template: which field comes from where and goes where.
use super::config::{Config, Function};
use super::value;
use crate::fold;
use record::unirec::{SpecError, Template, View};
use record::{Item, Kind};

/// Why an input cannot be aggregated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("Requested field {0} is not in input records, cannot continue.")]
    Missing(String),
    #[error("Name and reverse name field size is not equal, cannot continue.")]
    Mirror,
    #[error("{0}\nCannot set field template.")]
    Kind(&'static str),
    #[error("Invalid sort key type.")]
    SortKey,
    #[error("Error: Output template could not be created: {0}")]
    Output(#[from] SpecError),
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) output: Template,
    pub(super) keys: Vec<Key>,
    pub(super) parts: Vec<Part>,
    /// Places of TIME_FIRST, TIME_LAST and COUNT in the output.
    pub(super) own: [Place; 3],
    first: usize,
    last: usize,
    count: Option<usize>,
    /// SRC_IP and DST_IP of the input, if both directions are one flow.
    pub(super) ends: Option<(usize, usize)>,
}

/// A field of the key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) input: usize,
    pub(super) reverse_input: usize,
    pub(super) output: Place,
    pub(super) reverse_output: Place,
}

/// A field that is aggregated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) function: Function,
    pub(super) kind: Kind,
    pub(super) input: usize,
    pub(super) reverse_input: usize,
    pub(super) output: Place,
    pub(super) reverse_output: Place,
    /// Array that orders a sorted merge, and what it is made of.
    pub(super) sort_key: usize,
    pub(super) sort_item: Item,
    pub(super) is_descending: bool,
    pub(super) delimiter: u8,
    pub(super) size: usize,
}

/// Where a value goes in the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Offset of a value of fixed size.
    Fixed(usize),
    /// Number among the values of variable size.
    Var(usize),
}

impl Plan {
    pub(super) fn new(config: &Config, input: &Template) -> Result<Plan, PlanError> {
        let missing = |name: &str| PlanError::Missing(name.to_owned());
        let find = |name: &str| input.index_of(name).ok_or_else(|| missing(name));
        let time = |name: &str| input.find(name, Kind::Time).ok_or_else(|| missing(name));
        let kind = |index: usize| input.fields()[index].kind;
        let (first, last) = (time("TIME_FIRST")?, time("TIME_LAST")?);

        let mut items: Vec<(String, Kind)> =
            vec![("TIME_FIRST".into(), Kind::Time), ("TIME_LAST".into(), Kind::Time), ("COUNT".into(), Kind::U32)];
        for field in &config.fields {
            let at = find(&field.name)?;
            let mirror = if field.reverse.is_empty() { at } else { find(&field.reverse)? };
            if kind(at) != kind(mirror) {
                return Err(PlanError::Mirror);
            }
            match field.function {
                Function::UniqueCount => items.push((unique(&field.name), Kind::U32)),
                _ => items.push((field.name.clone(), kind(at))),
            }
            // Where only one direction is configured without a five-tuple, the other one has no place of its own.
            if field.function == Function::UniqueCount && mirror != at {
                items.push((unique(&field.reverse), Kind::U32));
            }
        }
        let output = Template::new(items)?;
        let place = |name: &str| {
            let at = output.index_of(name)?;
            let vars = output.first_var();
            Some(if at < vars { Place::Fixed(output.fields()[at].offset) } else { Place::Var(at - vars) })
        };
        // The template was made of these very names.
        let known = |name: &str| place(name).unwrap_or(Place::Fixed(0));

        let (mut keys, mut parts) = (Vec::new(), Vec::new());
        for field in &config.fields {
            let at = find(&field.name)?;
            let mirror = if field.reverse.is_empty() { at } else { find(&field.reverse)? };
            let name =
                |name: &str| if field.function == Function::UniqueCount { unique(name) } else { name.to_owned() };
            let target = known(&name(&field.name));
            let mirrored = if mirror == at { target } else { place(&name(&field.reverse)).unwrap_or(target) };
            let kind = kind(at);
            if field.function == Function::Key {
                keys.push(Key { kind, input: at, reverse_input: mirror, output: target, reverse_output: mirrored });
                continue;
            }
            let mut sort = (0, None);
            if !field.sort_key.is_empty() {
                let key = input.index_of(&field.sort_key).ok_or(PlanError::SortKey)?;
                let Kind::List(item) = input.fields()[key].kind else { return Err(PlanError::SortKey) };
                sort = (key, Some(item));
            }
            value::check(field.function, kind, sort.1).map_err(PlanError::Kind)?;
            parts.push(Part {
                function: field.function,
                kind,
                input: at,
                reverse_input: mirror,
                output: target,
                reverse_output: mirrored,
                sort_key: sort.0,
                sort_item: sort.1.unwrap_or(Item::U8),
                is_descending: field.is_descending,
                delimiter: field.delimiter,
                size: field.size,
            });
        }
        let ends = if config.is_biflow { Some((find("SRC_IP")?, find("DST_IP")?)) } else { None };
        let own = ["TIME_FIRST", "TIME_LAST", "COUNT"].map(known);
        Ok(Plan { keys, parts, own, first, last, count: input.find("COUNT", Kind::U32), ends, output })
    }

    /// TIME_FIRST and TIME_LAST of a record, fixed point.
    pub(super) fn times(&self, view: &View<'_>) -> (u64, u64) {
        let fixed = |index| view.raw(index).map_or(0, fold::unsigned);
        (fixed(self.first), fixed(self.last))
    }

    /// How many records a record stands for.
    pub(super) fn count(&self, view: &View<'_>) -> u32 {
        self.count.and_then(|index| view.uint(index)).map_or(1, |count| count as u32)
    }

    /// Whether a record belongs to the mirrored key: the source is the greater address, read as a little-endian number.
    pub(super) fn is_reversed(&self, view: &View<'_>) -> bool {
        self.ends.is_some_and(|(src, dst)| {
            let address = |index| view.raw(index).unwrap_or(&[]).iter().rev();
            address(src).cmp(address(dst)).is_gt()
        })
    }
}

fn unique(name: &str) -> String {
    format!("{name}_UNIQUE_COUNT")
}
