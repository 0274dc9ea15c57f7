//! Which input field becomes which output field, and how, for one input template.
use crate::fold;
use record::unirec::{SpecError, Template, View};
use record::{Kind, Time};

/// What is made of the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Key,
    Sum,
    Avg,
    Min,
    Max,
    First,
    FirstNonEmpty,
    Last,
    Or,
    And,
}

/// Why an input cannot be aggregated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("Requested field {0} not in input records, cannot continue.")]
    Missing(String),
    #[error("Error: Output template could not be created: {0}")]
    Output(#[from] SpecError),
}

/// The output template, and where its values come from.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) output: Template,
    /// Key fields, in the order given.
    pub(super) keys: Vec<Part>,
    /// Fields that are folded, in the order given.
    pub(super) folded: Vec<Part>,
    pub(super) first: Times,
    pub(super) last: Times,
    /// Place of COUNT in the output.
    pub(super) count: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) function: Function,
    pub(super) kind: Kind,
    /// Index in the input.
    pub(super) input: usize,
    /// Where it goes: the offset of a value of fixed size, the number of one of variable size.
    pub(super) output: usize,
}

/// A time field in the input and in the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    input: usize,
    pub(super) output: usize,
}

impl Plan {
    /// `fields` are those of the command line.
    pub(super) fn new(fields: &[(Function, String)], input: &Template) -> Result<Plan, PlanError> {
        let find = |name: &str| input.index_of(name).ok_or_else(|| PlanError::Missing(name.to_owned()));
        let time = |name: &str| input.find(name, Kind::Time).ok_or_else(|| PlanError::Missing(name.to_owned()));
        let (first, last) = (time("TIME_FIRST")?, time("TIME_LAST")?);
        let mut items = vec![("TIME_FIRST", Kind::Time), ("TIME_LAST", Kind::Time), ("COUNT", Kind::U32)];
        for (_, name) in fields {
            items.push((name, input.fields()[find(name)?].kind));
        }
        let output = Template::new(items)?;
        // The template was made of these very names.
        let place = |name: &str| output.index_of(name).unwrap_or(0);
        let offset = |name: &str| output.fields()[place(name)].offset;
        let (mut keys, mut folded) = (Vec::new(), Vec::new());
        for (function, name) in fields {
            let index = find(name)?;
            let kind = input.fields()[index].kind;
            let is_var = kind.size().is_none();
            let output = if is_var { place(name) - output.first_var() } else { offset(name) };
            let part = Part { function: function.for_kind(kind), kind, input: index, output };
            if *function == Function::Key { keys.push(part) } else { folded.push(part) }
        }
        let times = |name, input| Times { input, output: offset(name) };
        let (first, last, count) = (times("TIME_FIRST", first), times("TIME_LAST", last), offset("COUNT"));
        Ok(Plan { output, keys, folded, first, last, count })
    }

    /// Seconds of TIME_LAST of a record.
    pub(super) fn last_secs(&self, view: &View<'_>) -> u64 {
        view.time(self.last.input).map_or(0, Time::secs)
    }

    /// TIME_FIRST and TIME_LAST of a record, fixed point.
    pub(super) fn times(&self, view: &View<'_>) -> (u64, u64) {
        let fixed = |times: Times| view.raw(times.input).map_or(0, fold::unsigned);
        (fixed(self.first), fixed(self.last))
    }
}

impl Function {
    /// The function of an option letter.
    pub(super) fn of(letter: char) -> Option<Function> {
        Some(match letter {
            'k' => Function::Key,
            's' => Function::Sum,
            'a' => Function::Avg,
            'm' => Function::Min,
            'M' => Function::Max,
            'f' => Function::First,
            'F' => Function::FirstNonEmpty,
            'l' => Function::Last,
            'o' => Function::Or,
            'n' => Function::And,
            _ => return None,
        })
    }

    /// What is done with a type: one that the function does not know is told and keeps its first value, as in the original.
    fn for_kind(self, kind: Kind) -> Function {
        let is_scalar = fold::is_number(kind) || kind == Kind::Char;
        let (knows, which, name) = match self {
            Function::Key | Function::First => return self,
            Function::Sum => (fold::is_number(kind), "int, uint, float and double", "sum"),
            Function::Avg => (fold::is_number(kind), "int, uint, float and double", "avg"),
            Function::Min => (is_scalar || matches!(kind, Kind::Time | Kind::Ip), "fixed length fields", "min"),
            Function::Max => (is_scalar || matches!(kind, Kind::Time | Kind::Ip), "fixed length fields", "max"),
            Function::Or => (fold::is_integer(kind) || kind == Kind::Char, "int, uint and char", "or"),
            Function::And => (fold::is_integer(kind) || kind == Kind::Char, "int, uint and char", "and"),
            Function::Last => {
                let knows = is_scalar || matches!(kind, Kind::Ip | Kind::Time | Kind::Text | Kind::Bytes);
                (knows, "numbers, char, time, ipaddr, string and bytes", "last")
            }
            Function::FirstNonEmpty => {
                (kind != Kind::Mac, "numbers, char, time, ipaddr, string, bytes and arrays", "firstne")
            }
        };
        if knows {
            return self;
        }
        eprintln!("Only {which} can use {name} function, first assigned instead.");
        Function::First
    }
}
