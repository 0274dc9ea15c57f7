//! The record under edit: values, and rules that change them at once or before each sending.
//!
//! `+X` and `-X` add and subtract, `now` is the present time (also `now+5`, seconds), a `!` before a rule keeps it and applies it
//! before each sending, `!` alone forgets it. Anything else is a value.
use record::unirec::{Builder, Datum, SetError, SpecError, Template, View, time};
use record::{Kind, Time, Value};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i128 = 1_000_000_000;

/// A record and the rules of its fields. Fields are numbered as in the specification.
#[derive(Debug)]
pub(super) struct Draft {
    template: Template,
    /// For each field of the specification its index in the template.
    order: Vec<usize>,
    rules: Vec<Option<String>>,
    record: Vec<u8>,
}

/// Why a value was not taken; it stays as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EditError {
    #[error("Unable to convert '{text}' to {kind}: {why}")]
    Value { text: String, kind: &'static str, why: String },
    #[error("A field of type {0} cannot be changed by '{1}'")]
    Rule(&'static str, String),
    #[error("The result does not fit: {0}")]
    Fit(String),
}

impl Draft {
    /// All fields zero.
    pub(super) fn new(spec: &str) -> Result<Draft, SpecError> {
        let template = Template::parse(spec)?;
        let names = spec.split(',').filter_map(|item| item.split_whitespace().nth(1));
        let order: Vec<_> = names.filter_map(|name| template.index_of(name)).collect();
        let rules = vec![None; order.len()];
        let mut record = Vec::new();
        // Only variable-length data can make a record too long, and there is none yet.
        let _fits = Builder::new(&template).finish(&mut record);
        Ok(Draft { template, order, rules, record })
    }

    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// Number of fields.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn name(&self, at: usize) -> &str {
        &self.template.fields()[self.order[at]].name
    }

    /// The rule of a field, without its `!`.
    pub(super) fn rule(&self, at: usize) -> Option<&str> {
        self.rules[at].as_deref()
    }

    /// Looks at the value of a field, and whether it is a text.
    pub(super) fn value<T>(&self, at: usize, look: impl FnOnce(Datum<'_>, bool) -> T) -> T {
        let view = View::new(&self.template, &self.record).ok();
        let datum = view.and_then(|view| view.get(self.order[at])).unwrap_or(Datum::Value(Value::Bytes(&[])));
        look(datum, self.kind(at) == Kind::Text)
    }

    /// The record as it is sent.
    pub(super) fn record(&self) -> &[u8] {
        &self.record
    }

    /// Does what an answer to the prompt means; an empty one keeps the value.
    pub(super) fn edit(&mut self, at: usize, answer: &str) -> Result<(), EditError> {
        let kind = self.kind(at);
        match answer.strip_prefix('!') {
            _ if answer.is_empty() => Ok(()),
            Some("") => {
                self.rules[at] = None;
                Ok(())
            }
            Some(rule) if is_rule(kind, rule) => {
                self.rules[at] = Some(rule.to_owned());
                Ok(())
            }
            None if is_rule(kind, answer) => {
                // Where a type knows no rules, as `-x` of a text, the answer is a value.
                let changed = self.apply(at, answer);
                if matches!(changed, Err(EditError::Rule(..))) { self.set_text(at, answer) } else { changed }
            }
            _ => self.set_text(at, answer),
        }
    }

    /// Applies the rules that were kept.
    pub(super) fn apply_rules(&mut self) -> Result<(), EditError> {
        for at in 0..self.rules.len() {
            if let Some(rule) = self.rules[at].clone() {
                self.apply(at, &rule)?;
            }
        }
        Ok(())
    }

    fn kind(&self, at: usize) -> Kind {
        self.template.fields()[self.order[at]].kind
    }

    fn apply(&mut self, at: usize, rule: &str) -> Result<(), EditError> {
        let refused = || EditError::Rule(self.kind(at).unirec_name(), rule.to_owned());
        let (is_plus, operand) = match (rule.strip_prefix('+'), rule.strip_prefix('-')) {
            (Some(operand), _) => (true, operand),
            (_, Some(operand)) => (false, operand),
            _ => (true, "0"),
        };
        let sign = if is_plus { 1 } else { -1 };
        let number = || operand.trim().parse::<i128>().map_err(|_| refused());
        let old = match (self.value(at, |datum, _| owned(datum)), rule.strip_prefix("now")) {
            (Old::Time(_), Some(offset)) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
                let secs = if offset.is_empty() { 0 } else { offset.parse::<i128>().map_err(|_| refused())? };
                return self.set_time(at, (now as i128).saturating_add(secs.saturating_mul(SECOND)));
            }
            (old, _) => old,
        };
        match old {
            Old::Int(old) => self.set_int(at, old.saturating_add(number()?.saturating_mul(sign))),
            Old::Float(old) => {
                let operand: f64 = operand.trim().parse().map_err(|_| refused())?;
                self.set(at, Value::F64(old + operand * sign as f64))
            }
            Old::Time(old) => {
                self.set_time(at, i128::from(old.0).saturating_add(number()?.saturating_mul(sign * SECOND)))
            }
            Old::Ip(old) => {
                let step = match operand.trim().parse::<IpAddr>() {
                    Ok(IpAddr::V4(ip)) => u128::from(ip.to_bits()),
                    Ok(IpAddr::V6(ip)) => ip.to_bits(),
                    Err(_) => number()? as u128,
                };
                let step = if is_plus { step } else { step.wrapping_neg() };
                let moved = match old {
                    IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits().wrapping_add(step as u32))),
                    IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits().wrapping_add(step))),
                };
                self.set(at, Value::Ip(moved))
            }
            Old::Text(mut old) if is_plus => {
                old.extend_from_slice(operand.as_bytes());
                self.set(at, Value::Text(&old))
            }
            Old::Text(_) | Old::Other => Err(refused()),
        }
    }

    /// Sets a field to what a text means in its type.
    fn set_text(&mut self, at: usize, text: &str) -> Result<(), EditError> {
        let kind = self.kind(at);
        let wrong = |why: &str| EditError::Value { text: text.into(), kind: kind.unirec_name(), why: why.into() };
        let trimmed = text.trim();
        match kind {
            Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 | Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => {
                self.set_int(at, trimmed.parse().map_err(|_| wrong("it is no whole number"))?)
            }
            Kind::F32 | Kind::F64 => self.set(at, Value::F64(trimmed.parse().map_err(|_| wrong("it is no number"))?)),
            Kind::Ip => self.set(at, Value::Ip(trimmed.parse().map_err(|_| wrong("it is no IP address"))?)),
            Kind::Time => match (time::parse(trimmed.as_bytes()), trimmed.parse::<f64>()) {
                (Some(fixed), _) => self.set(at, Value::Time(time::from_fixed(fixed))),
                (None, Ok(secs)) => self.set_time(at, (secs * SECOND as f64) as i128),
                (None, Err(_)) => Err(wrong("YYYY-mm-ddTHH:MM:SS or seconds since 1970 expected")),
            },
            Kind::Bytes if trimmed.len() % 2 == 1 || !trimmed.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Err(wrong("pairs of hexadecimal digits expected"))
            }
            _ => self
                .change(|builder, index| builder.set_text(index, text.as_bytes()).map(|_| ()), at)
                .map_err(|why| wrong(&why.to_string())),
        }
    }

    fn set_int(&mut self, at: usize, n: i128) -> Result<(), EditError> {
        let value = match (u64::try_from(n), i64::try_from(n)) {
            (Ok(n), _) => Value::Uint(n),
            (_, Ok(n)) => Value::Int(n),
            _ => return Err(EditError::Fit(format!("{n} in {}", self.kind(at).unirec_name()))),
        };
        self.set(at, value)
    }

    fn set_time(&mut self, at: usize, nanos: i128) -> Result<(), EditError> {
        let nanos = u64::try_from(nanos).map_err(|_| EditError::Fit("the time is before 1970 or far ahead".into()))?;
        self.set(at, Value::Time(Time(nanos)))
    }

    fn set(&mut self, at: usize, value: Value<'_>) -> Result<(), EditError> {
        self.change(|builder, index| builder.set(index, value), at)
    }

    /// Makes the record anew with one field changed.
    fn change(
        &mut self,
        change: impl FnOnce(&mut Builder<'_>, usize) -> Result<(), SetError>,
        at: usize,
    ) -> Result<(), EditError> {
        let fit = |why: String| EditError::Fit(why);
        let mut builder = Builder::new(&self.template);
        let view = View::new(&self.template, &self.record).map_err(|why| fit(why.to_string()))?;
        for (index, (_, datum)) in view.iter().enumerate() {
            builder.set(index, datum).map_err(|why| fit(why.to_string()))?;
        }
        change(&mut builder, self.order[at]).map_err(|why| fit(why.to_string()))?;
        let mut record = Vec::new();
        builder.finish(&mut record).map_err(|why| fit(why.to_string()))?;
        self.record = record;
        Ok(())
    }
}

/// `+X`, `-X`; for times also `now`, `now+X`, `now-X`.
fn is_rule(kind: Kind, text: &str) -> bool {
    let is_step = |text: &str| text.len() > 1 && text.starts_with(['+', '-']);
    let now = text.strip_prefix("now").filter(|_| kind == Kind::Time);
    is_step(text) || now.is_some_and(|rest| rest.is_empty() || is_step(rest))
}

/// A value that rules can start from.
enum Old {
    Int(i128),
    Float(f64),
    Time(Time),
    Ip(IpAddr),
    Text(Vec<u8>),
    Other,
}

fn owned(datum: Datum<'_>) -> Old {
    match datum {
        Datum::Value(Value::Uint(v)) => Old::Int(v.into()),
        Datum::Value(Value::Int(v)) => Old::Int(v.into()),
        Datum::Value(Value::F32(v)) => Old::Float(v.into()),
        Datum::Value(Value::F64(v)) => Old::Float(v),
        Datum::Value(Value::Time(v)) => Old::Time(v),
        Datum::Value(Value::Ip(v)) => Old::Ip(v),
        Datum::Value(Value::Text(v)) => Old::Text(v.to_vec()),
        _ => Old::Other,
    }
}

/// Lines of any text as answers for fields of all types: the draft stays a record.
pub fn fuzz_edit(input: &[u8]) {
    let spec = "uint8 A,int64 B,float C,ipaddr D,time E,string F,bytes G,macaddr H,uint16* I,char J";
    let Ok(mut draft) = Draft::new(spec) else { return };
    for (n, line) in input.split(|b| *b == b'\n').take(100).enumerate() {
        // A refusal is an answer.
        let _refused = draft.edit(n % draft.len(), &String::from_utf8_lossy(line));
        let _refused = draft.apply_rules();
        View::new(draft.template(), draft.record()).expect("a draft is a record");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pytrap;
    use proptest::prelude::*;

    fn edited(kind: &str, answers: &[&str]) -> String {
        let mut draft = Draft::new(&format!("uint8 Z,{kind} A")).unwrap();
        let mut out = String::new();
        for answer in answers {
            match draft.edit(1, answer) {
                Ok(()) => out += &draft.value(1, |datum, _| pytrap::text(datum)),
                Err(why) => out += &why.to_string(),
            }
            out.push(';');
        }
        out
    }

    #[test]
    fn values_and_rules_of_each_type() {
        assert_eq!(
            edited("uint8", &["7", "+3", "-4", "", "x", "+250"]),
            "7;10;6;6;Unable to convert 'x' to uint8: it is no whole number;The result does not fit: the number does not fit a field of type uint8: limit it or choose a wider type;"
        );
        assert_eq!(edited("ipaddr", &["10.0.0.1", "+1.1.1.1", "-2"]), "10.0.0.1;11.1.1.2;11.1.1.0;");
        assert_eq!(edited("string", &["ab", "+c", "-d"]), "ab;abc;-d;");
        assert_eq!(
            edited("time", &["2020-01-01T00:00:00.5", "+60", "-30", "12.25"]),
            "1577836800.500;1577836860.500;1577836830.500;12.250;"
        );
        assert_eq!(edited("double", &["1.5", "+0.25"]), "1.5;1.75;");
        assert_eq!(
            edited("bytes", &["00ff", "0"]),
            "bytearray(b'\\x00\\xff');Unable to convert '0' to bytes: pairs of hexadecimal digits expected;"
        );
        assert_eq!(edited("uint16*", &["1 2"]), "[1, 2];");
        assert!(edited("time", &["now", "now-5"]).starts_with("1") || edited("time", &["now"]).starts_with("2"));
    }

    #[test]
    fn kept_rules_work_until_they_are_forgotten() {
        let mut draft = Draft::new("uint32 N").unwrap();
        draft.edit(0, "!+5").unwrap();
        assert_eq!(draft.rule(0), Some("+5"));
        for _ in 0..3 {
            draft.apply_rules().unwrap();
        }
        draft.edit(0, "!").unwrap();
        draft.apply_rules().unwrap();
        assert_eq!((draft.record(), draft.rule(0)), (&[15, 0, 0, 0][..], None));
    }

    proptest! {
        #[test]
        fn any_answers(input in "([!+\\-a-f0-9.:now \u{e9}]{0,12}\n){0,20}") {
            fuzz_edit(input.as_bytes());
        }
    }
}
