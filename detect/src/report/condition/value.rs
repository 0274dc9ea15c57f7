//! Values of conditions.
use std::cmp::Ordering;
use std::net::IpAddr;
use std::str::FromStr;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// A value: what a message has at a path, or a constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Truth values are 0 and 1, as in Python.
    Int(i64),
    Float(f64),
    Text(String),
    /// Microseconds since 1970, UTC.
    Time(i64),
    /// Microseconds.
    Span(i64),
    Range(AddressRange),
    /// An object: it exists, and equals nothing.
    Object,
}

/// What a part of a condition is for a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Got {
    /// Python's None: false, and `not` it is false too.
    Undefined,
    One(Value),
    /// The values of a path or a list; none is false.
    Many(Vec<Value>),
}

/// Addresses from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressRange {
    is_v6: bool,
    low: u128,
    high: u128,
}

/// The text is no address, prefix or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no address, prefix or range of addresses")]
pub struct NoRange;

impl Value {
    /// A time as RFC 3339 writes it, with any number of digits behind the point.
    pub(super) fn time(text: &str) -> Option<Value> {
        crate::report::time::parse(text).map(Value::Time)
    }

    /// `HH:MM:SS`, `<n>DHH:MM:SS`.
    pub(super) fn span(text: &str) -> Option<Value> {
        let (days, clock) = text.split_once(['D', 'd', '|']).unwrap_or(("0", text));
        let days: i64 = days.parse().ok()?;
        let mut parts = clock.split(':').map(|part| part.parse::<i64>().ok().filter(|n| (0..1_000_000).contains(n)));
        let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
        let seconds = days.checked_mul(86_400)?.checked_add(hours * 3_600 + minutes * 60 + seconds)?;
        Some(Value::Span(seconds.checked_mul(SECOND)?)).filter(|_| parts.next().is_none())
    }

    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Value::Int(n) => *n != 0,
            Value::Float(n) => *n != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Span(span) => *span != 0,
            Value::Time(_) | Value::Range(_) | Value::Object => true,
        }
    }

    /// As a number of seconds, or of whatever it counts. A text is read.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(*n as f64),
            Value::Float(n) => Some(*n),
            Value::Text(text) => text.trim().parse().ok(),
            Value::Time(micros) | Value::Span(micros) => Some(*micros as f64 / SECOND as f64),
            Value::Range(_) | Value::Object => None,
        }
    }

    /// Order of two values that can be compared: numbers, times with times, spans with spans, and both with numbers of seconds; texts; ranges.
    pub(super) fn order(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) | (Value::Time(a), Value::Time(b)) | (Value::Span(a), Value::Span(b)) => {
                Some(a.cmp(b))
            }
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Range(a), Value::Range(b)) => Some(a.cmp(b)),
            (Value::Text(_), _) | (_, Value::Text(_)) | (Value::Time(_), Value::Span(_)) => None,
            (Value::Span(_), Value::Time(_)) => None,
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }
}

impl Got {
    pub(super) fn bool(is_true: bool) -> Got {
        Got::One(Value::Int(is_true.into()))
    }

    pub(super) fn is_truthy(&self) -> bool {
        match self {
            Got::Undefined => false,
            Got::One(value) => value.is_truthy(),
            Got::Many(values) => !values.is_empty(),
        }
    }

    /// Its values, if it has any.
    pub(super) fn values(self) -> Option<Vec<Value>> {
        match self {
            Got::Undefined => None,
            Got::One(value) => Some(vec![value]),
            Got::Many(values) => Some(values).filter(|values| !values.is_empty()),
        }
    }
}

impl AddressRange {
    /// Whether all of `other` is in it.
    pub fn contains(&self, other: &AddressRange) -> bool {
        self.is_v6 == other.is_v6 && self.low <= other.low && other.high <= self.high
    }
}

impl FromStr for AddressRange {
    type Err = NoRange;

    /// Reads `ADDRESS`, `ADDRESS/LENGTH`, `FROM-TO` or `FROM..TO`.
    fn from_str(text: &str) -> Result<AddressRange, NoRange> {
        let text = text.trim();
        let number = |text: &str| match text.trim().parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => Ok((false, u128::from(u32::from(ip)))),
            Ok(IpAddr::V6(ip)) => Ok((true, u128::from(ip))),
            Err(_) => Err(NoRange),
        };
        if let Some((address, length)) = text.split_once('/') {
            let (is_v6, base) = number(address)?;
            let bits = if is_v6 { 128 } else { 32 };
            let length: u32 = length.parse().ok().filter(|length| *length <= bits).ok_or(NoRange)?;
            let hosts = u128::MAX.checked_shr(128 - (bits - length)).unwrap_or(0);
            return Ok(AddressRange { is_v6, low: base & !hosts, high: base | hosts });
        }
        if let Some((from, to)) = text.split_once("..").or_else(|| text.split_once('-')) {
            let ((is_v6, a), (is_also_v6, b)) = (number(from)?, number(to)?);
            return if is_v6 == is_also_v6 {
                Ok(AddressRange { is_v6, low: a.min(b), high: a.max(b) })
            } else {
                Err(NoRange)
            };
        }
        let (is_v6, low) = number(text)?;
        Ok(AddressRange { is_v6, low, high: low })
    }
}
