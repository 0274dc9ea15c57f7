//! The interface specifier after `-i`: `u:flows:timeout=HALF_WAIT,f:out.trapcap:w` (trap.md section 2).
//!
//! Parsing has two steps, because the same letters mean different things in each direction: [`Spec::parse`] splits the
//! text into interfaces; [`IfcSpec::as_input`] and [`IfcSpec::as_output`] read the parameters once the direction is known.
//! Differences from the original, which is stuck or wrong there: `b,u:x` needs no colon after `b`; setters are whole
//! parameters, not substrings, so a file name may contain `timeout=`; keywords must match exactly.

use thiserror::Error;

pub use crate::spec::params::{
    AUTOFLUSH_US, Autoflush, BUFFER_COUNT, BUFFER_COUNT_MAX, CLIENTS_MAX, InputEnd, InputParams, OutputEnd,
    OutputParams, RingLimits,
};

mod params;

/// Parser of whole specifiers.
#[derive(Debug)]
pub struct Spec;

/// Error of the first step. `Display` is the original's line where it has one.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// First letter of an interface is none of `t u T f b g s`.
    #[error("Unsupported IFC type '{0}'.")]
    UnsupportedType(char),
    /// Something stands between the letter and the colon.
    #[error(
        "Unsupported IFC type '{0}': a type is one letter, followed by ':' and its parameters, as in u:name or t:1234."
    )]
    LongType(String),
}

/// Type letter of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfcType {
    /// `t`
    Tcp,
    /// `u`
    Unix,
    /// `T`
    Tls,
    /// `f`
    File,
    /// `b`, outputs only.
    Blackhole,
    /// `g`, inputs only.
    Generator,
    /// `s`, known by name only, as in the original.
    Service,
}

/// One interface of a specifier: its type and its parameters as typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfcSpec {
    /// Type letter.
    pub kind: IfcType,
    /// Text after `X:`; empty when there is none.
    pub params: String,
}

/// How long a call may wait (trap.md sections 6 and 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Timeout {
    /// Until it is done. Outputs deliver everything and wait for a first client.
    #[default]
    Wait,
    /// Outputs only: as `Wait`, but without a client never blocks.
    HalfWait,
    /// Never.
    NoWait,
    /// Inputs: at most this many microseconds. Outputs: the same as `NoWait`, as in the original.
    Micros(u64),
}

impl Spec {
    /// Splits `text` into interfaces, in the order given: inputs first, then outputs. A trailing comma is ignored and the
    /// empty text has no interfaces. Nothing can be escaped.
    ///
    /// # Errors
    /// [`SpecError`] on a type that libtrap does not know.
    pub fn parse(text: &str) -> Result<Vec<IfcSpec>, SpecError> {
        let text = text.strip_suffix(',').unwrap_or(text);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        text.split(',').map(IfcSpec::parse).collect()
    }
}

impl IfcSpec {
    fn parse(text: &str) -> Result<Self, SpecError> {
        let mut rest = text.chars();
        // An empty entry is what the original sees when it meets the comma itself.
        let letter = rest.next().unwrap_or(',');
        let kind = IfcType::of(letter).ok_or(SpecError::UnsupportedType(letter))?;
        match rest.as_str() {
            "" => Ok(Self { kind, params: String::new() }),
            rest => match rest.strip_prefix(':') {
                Some(params) => Ok(Self { kind, params: params.to_owned() }),
                None => Err(SpecError::LongType(text.split(':').next().unwrap_or(text).to_owned())),
            },
        }
    }
}

impl IfcType {
    fn of(letter: char) -> Option<Self> {
        Some(match letter {
            't' => Self::Tcp,
            'u' => Self::Unix,
            'T' => Self::Tls,
            'f' => Self::File,
            'b' => Self::Blackhole,
            'g' => Self::Generator,
            's' => Self::Service,
            _ => return None,
        })
    }

    /// Letter in specifiers and statistics.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Tcp => 't',
            Self::Unix => 'u',
            Self::Tls => 'T',
            Self::File => 'f',
            Self::Blackhole => 'b',
            Self::Generator => 'g',
            Self::Service => 's',
        }
    }

    /// Name in messages of the original, as in `Initialization of UNIX input interface no. 0 failed.`
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCPIP",
            Self::Unix => "UNIX",
            Self::Tls => "TLS",
            Self::File => "FILE",
            Self::Blackhole => "BLACKHOLE",
            Self::Generator => "GENERATOR",
            Self::Service => "SERVICE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(text: &str) -> String {
        Spec::parse(text).expect("valid").iter().map(|ifc| ifc.kind.letter()).collect()
    }

    #[test]
    fn splits_in_order() {
        assert_eq!(letters("u:a,t:localhost:1234,f:/tmp/x:w,b"), "utfb");
        assert_eq!(letters("u:a,"), "u");
        assert_eq!(letters("b,u:x"), "bu");
        assert_eq!(letters("b:,u:x"), "bu");
        assert_eq!(letters("T:1:k:c:a,g:3:abc,s"), "Tgs");
        assert_eq!(letters(""), "");
        assert_eq!(Spec::parse("f:C,u:").expect("valid")[0].params, "C");
    }

    #[test]
    fn refuses_unknown_types() {
        assert_eq!(Spec::parse("x:foo"), Err(SpecError::UnsupportedType('x')));
        assert_eq!(Spec::parse("x:foo").unwrap_err().to_string(), "Unsupported IFC type 'x'.");
        assert_eq!(Spec::parse("u:a,,u:b"), Err(SpecError::UnsupportedType(',')));
        assert_eq!(Spec::parse("tcp:1"), Err(SpecError::LongType("tcp".into())));
        assert_eq!(Spec::parse(":x"), Err(SpecError::UnsupportedType(':')));
        assert_eq!(Spec::parse(",").unwrap(), vec![]);
    }
}
