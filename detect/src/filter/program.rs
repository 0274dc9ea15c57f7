//! A filter resolved for one template: comparisons at known places.
use super::sets::{Addresses, Numbers, is_v4};
use super::{Expr, Join};
use record::unirec::View;
use regex::bytes::Regex;
use std::cmp::Ordering;

/// A filter ready for records of one template.
#[derive(Clone, Debug)]
pub struct Program {
    pub(super) chain: Chain,
    /// The filter in the normal form that the original prints.
    pub(super) text: Vec<u8>,
    /// What was said about terms that can never be true.
    pub(super) warnings: Vec<String>,
}

/// Operands evaluated from the left.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) first: Operand,
    pub(super) rest: Vec<(Join, Operand)>,
}

#[derive(Clone, Debug)]
pub(super) enum Operand {
    Const(bool),
    Test(Test),
    Bracket(Box<Chain>),
    Not(Box<Operand>),
}

#[derive(Clone, Debug)]
pub(super) enum Test {
    Number {
        at: Number,
        range: Range<u64>,
    },
    /// One of two numbers is in range.
    Either {
        src: Number,
        dst: Number,
        range: Range<u64>,
    },
    NumberIn {
        at: Number,
        also: Option<Number>,
        values: Numbers,
    },
    Float {
        at: Number,
        compare: FloatTest,
    },
    FloatIn {
        at: Number,
        values: Vec<f64>,
    },
    Address {
        at: usize,
        range: Range<u128>,
    },
    /// For prefixes, and for source and destination together.
    Net(NetTest),
    AddressIn {
        at: usize,
        also: Option<usize>,
        set: Addresses,
    },
    Char {
        at: usize,
        byte: u8,
        negate: bool,
    },
    Text {
        field: usize,
        text: Vec<u8>,
        negate: bool,
    },
    Regex {
        field: usize,
        regex: Regex,
    },
}

/// A number at a fixed place, read so that its order is that of u64.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    pub(super) at: usize,
    pub(super) load: Load,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    /// Bits of an f64.
    F32,
    F64,
}

/// `first` to `first + span`, or what lies outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range<T> {
    pub(super) first: T,
    pub(super) span: T,
    pub(super) negate: bool,
}

/// What the three outcomes of a comparison answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) less: bool,
    pub(super) equal: bool,
    pub(super) greater: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FloatTest {
    pub(super) value: f64,
    pub(super) outcomes: Outcomes,
}

/// A comparison with a network, of one address or of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct NetTest {
    pub(super) at: usize,
    /// Place of the destination, for `host`.
    pub(super) also: Option<usize>,
    /// Version that the first address must have, and the answer if it has the other one; `None` for a plain address.
    pub(super) version: Option<(bool, bool)>,
    pub(super) mask: u128,
    pub(super) value: u128,
    pub(super) outcomes: Outcomes,
}

impl Program {
    /// Whether the filter is true for a record of the template that the program was made for; others are refused.
    #[inline]
    pub fn accepts(&self, record: &View<'_>) -> bool {
        chain(&self.chain, record)
    }

    /// The filter in the normal form that the original prints at the start.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Lines about terms that can never be true, in the words of the original.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the original prints of the filter `expr` of the interface `name` when it is compiled.
    pub fn announcement(&self, expr: &Expr, name: &str) -> Vec<u8> {
        let mut text = expr.echoed.clone();
        for warning in &self.warnings {
            text.extend_from_slice(warning.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(format!("[{name}] Filter: ").as_bytes());
        text.extend_from_slice(&self.text);
        text.push(b'\n');
        text
    }
}

fn chain(chain: &Chain, record: &View<'_>) -> bool {
    let mut value = operand(&chain.first, record);
    for (join, next) in &chain.rest {
        match join {
            Join::And => value = value && operand(next, record),
            Join::Or => value = value || operand(next, record),
        }
    }
    value
}

/// As deep as brackets are, which is limited.
#[inline]
fn operand(operand_: &Operand, record: &View<'_>) -> bool {
    match operand_ {
        Operand::Const(value) => *value,
        Operand::Test(test) => test.is_true(record),
        Operand::Bracket(inner) => chain(inner, record),
        Operand::Not(inner) => !operand(inner, record),
    }
}

impl Test {
    #[inline]
    fn is_true(&self, record: &View<'_>) -> bool {
        let bytes = record.as_bytes();
        match self {
            Test::Number { at, range } => range.contains(at.read(bytes)),
            Test::Either { src, dst, range } => range.contains(src.read(bytes)) || range.contains(dst.read(bytes)),
            Test::NumberIn { at, also, values } => {
                values.contains(at.read(bytes)) || also.is_some_and(|also| values.contains(also.read(bytes)))
            }
            Test::Float { at, compare } => compare.is_true(f64::from_bits(at.read(bytes)), at.load == Load::F32),
            Test::FloatIn { at, values } => {
                let found = f64::from_bits(at.read(bytes));
                values.iter().any(|value| nearly(found, *value, at.load == Load::F32))
            }
            Test::Address { at, range } => range.contains(address(bytes, *at)),
            Test::Net(test) => test.is_true(bytes),
            Test::AddressIn { at, also, set } => {
                set.contains(address(bytes, *at)) || also.is_some_and(|also| set.contains(address(bytes, also)))
            }
            Test::Char { at, byte, negate } => (bytes.get(*at) == Some(byte)) != *negate,
            Test::Text { field, text, negate } => (record.raw(*field) == Some(text)) != *negate,
            Test::Regex { field, regex } => {
                let value = record.raw(*field).unwrap_or(&[]);
                // The original hands a C string to its matcher.
                let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
                regex.is_match(&value[..end])
            }
        }
    }
}

impl Number {
    #[inline]
    fn read(self, bytes: &[u8]) -> u64 {
        const SIGN: u64 = 1 << 63;
        match self.load {
            Load::U8 => u8::from_le_bytes(take(bytes, self.at)).into(),
            Load::U16 => u16::from_le_bytes(take(bytes, self.at)).into(),
            Load::U32 => u32::from_le_bytes(take(bytes, self.at)).into(),
            Load::U64 => u64::from_le_bytes(take(bytes, self.at)),
            Load::I8 => i64::from(i8::from_le_bytes(take(bytes, self.at))) as u64 ^ SIGN,
            Load::I16 => i64::from(i16::from_le_bytes(take(bytes, self.at))) as u64 ^ SIGN,
            Load::I32 => i64::from(i32::from_le_bytes(take(bytes, self.at))) as u64 ^ SIGN,
            Load::I64 => i64::from_le_bytes(take(bytes, self.at)) as u64 ^ SIGN,
            Load::F32 => f64::from(f32::from_le_bytes(take(bytes, self.at))).to_bits(),
            Load::F64 => u64::from_le_bytes(take(bytes, self.at)),
        }
    }
}

impl Load {
    pub(super) fn is_signed(self) -> bool {
        matches!(self, Load::I8 | Load::I16 | Load::I32 | Load::I64)
    }
}

impl Range<u64> {
    #[inline]
    fn contains(&self, value: u64) -> bool {
        (value.wrapping_sub(self.first) <= self.span) != self.negate
    }
}

impl Range<u128> {
    #[inline]
    fn contains(&self, value: u128) -> bool {
        (value.wrapping_sub(self.first) <= self.span) != self.negate
    }
}

impl Outcomes {
    pub(super) fn of(self, order: Ordering) -> bool {
        match order {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }
}

impl FloatTest {
    fn is_true(self, found: f64, is_single: bool) -> bool {
        if nearly(found, self.value, is_single) {
            return self.outcomes.equal;
        }
        match found.partial_cmp(&self.value) {
            Some(order) => self.outcomes.of(order),
            // Not a number: only different.
            None => self.outcomes.less && self.outcomes.greater,
        }
    }
}

impl NetTest {
    fn is_true(&self, bytes: &[u8]) -> bool {
        let first = address(bytes, self.at);
        if let Some((wants_v4, otherwise)) = self.version
            && is_v4(first) != wants_v4
        {
            return otherwise;
        }
        let first = self.masked(first).cmp(&self.value);
        let Some(also) = self.also else { return self.outcomes.of(first) };
        let second = self.masked(address(bytes, also)).cmp(&self.value);
        // One that is equal decides, then one that is lower.
        let either = |order| first == order || second == order;
        self.outcomes
            .of([Ordering::Equal, Ordering::Less].into_iter().find(|o| either(*o)).unwrap_or(Ordering::Greater))
    }

    /// As the original masks: what was IPv4 stays so.
    fn masked(&self, address: u128) -> u128 {
        let tail = if is_v4(address) { u128::from(u32::MAX) } else { 0 };
        address & self.mask | tail
    }
}

/// Equal as far as decimals tell: closer than 1e-8, or the literal itself cut to the width of the field.
fn nearly(found: f64, literal: f64, is_single: bool) -> bool {
    (found - literal).abs() < 1e-8 || found == literal || (is_single && found == f64::from(literal as f32))
}

/// An address in network order.
#[inline]
fn address(bytes: &[u8], at: usize) -> u128 {
    u128::from_be_bytes(take(bytes, at))
}

/// Bytes at a place that the view has checked.
#[inline]
fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}
