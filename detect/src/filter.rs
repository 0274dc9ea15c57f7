//! The filter language of unirecfilter (spec/modules.md section 4.3): `SRC_PORT in [53, 123] && !(BYTES < 100)`.
//!
//! [`Expr::parse`] reads the text, [`Program::new`] resolves it for one template into typed comparisons, [`Program::accepts`]
//! evaluates it on records where they lie, without memory. AND and OR have equal precedence and are read from the left, NOT binds
//! tighter. Where we differ from the original, on purpose:
//!
//! * `=<` and `=>` work (the original warns and answers false), names may contain digits behind the first character;
//! * an address list finds overlapping prefixes, `NOT PROTOCOL == TCP` knows TCP, `int8` is compared with its sign, `float` and
//!   `double` are compared as numbers (equal below a distance of 1e-8);
//! * nesting is limited to [`DEPTH_MAX`], a text to [`TEXT_MAX`] bytes, a regular expression to what `regex` takes in 1 MiB.
mod compile;
mod elements;
pub mod fuzzing;
mod lexer;
mod parser;
mod posix;
mod program;
mod protocols;
mod sets;
mod show;

pub use program::Program;

/// Bytes of a filter, at the most: an expression keeps several times as much memory.
pub const TEXT_MAX: usize = 1 << 20;

/// Brackets and negations around each other, at the most.
pub const DEPTH_MAX: usize = 200;

/// Why a text is no filter. The module says "Parsing error: " and this, and stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("syntax error, unexpected {0}")]
    Unexpected(String),
    #[error("more than {DEPTH_MAX} brackets and negations around each other: simplify the filter")]
    TooDeep,
    #[error("the filter has {0} bytes, more than {TEXT_MAX}: split it")]
    TooLong(usize),
    #[error("syntax error, \"{text}\" is no value for {field}")]
    Element { field: String, text: String },
    #[error("syntax error, lists do not work with {field} of type {kind}")]
    ListKind { field: String, kind: &'static str },
    #[error(
        "syntax error, an address without prefix follows one with a prefix in the list of {0}: give each its prefix"
    )]
    PrefixExpected(String),
}

/// A filter as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    chain: Chain,
    /// Bytes that mean nothing, in order. The original's lexer prints them and goes on.
    pub echoed: Vec<u8>,
}

impl Expr {
    /// The fields that it asks for, as often as it does.
    pub fn fields(&self) -> Vec<&str> {
        let mut fields = Vec::new();
        named(&self.chain, &mut fields);
        fields
    }
}

/// As deep as brackets are, which is limited.
fn named<'e>(chain: &'e Chain, fields: &mut Vec<&'e str>) {
    for operand in std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, operand)| operand)) {
        let mut operand = operand;
        while let Operand::Not(inner) = operand {
            operand = inner;
        }
        match operand {
            Operand::Bracket(inner) => named(inner, fields),
            Operand::Term(term) => match &term.subject {
                Subject::Field(name) => fields.push(name),
                Subject::Host => fields.extend(["SRC_IP", "DST_IP"]),
                Subject::Port => fields.extend(["SRC_PORT", "DST_PORT"]),
                Subject::Protocol => fields.push("PROTOCOL"),
            },
            Operand::Bool(_) | Operand::Not(_) => {}
        }
    }
}

/// Operands joined by AND and OR, evaluated from the left.
#[derive(Clone, Debug, PartialEq)]
struct Chain {
    first: Operand,
    rest: Vec<(Join, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Term(Term),
    Bool(bool),
    Bracket(Box<Chain>),
    /// Covers one operand only.
    Not(Box<Operand>),
}

/// One comparison: what is compared, how, with what.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    subject: Subject,
    cmp: Cmp,
    literal: Literal,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Field(String),
    /// SRC_IP or DST_IP.
    Host,
    /// SRC_PORT or DST_PORT.
    Port,
    /// The field PROTOCOL, which also has names for its values.
    Protocol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// With a scalar: never true.
    In,
    Regex,
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    /// `is_signed`: written with a minus.
    Number {
        value: i64,
        is_signed: bool,
    },
    Float(f64),
    Time(Vec<u8>),
    Ip(std::net::IpAddr),
    Net {
        address: std::net::IpAddr,
        bits: u8,
    },
    Text(Vec<u8>),
    /// `TCP`, `UDP` or `ICMP`.
    Name(&'static str),
    /// Elements as written; what they mean depends on the field.
    Array(Vec<Vec<u8>>),
}

#[cfg(test)]
#[path = "filter/tests.rs"]
mod tests;
