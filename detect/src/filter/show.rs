//! The normal form of a filter, as the original prints it (spec/modules.md section 4.3).
use super::{Cmp, Join, Literal};
use record::unirec::time;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) fn join(out: &mut Vec<u8>, join: Join) {
    out.extend_from_slice(match join {
        Join::And => b" && ",
        Join::Or => b" || ",
    });
}

/// `SUBJECT OPERATOR LITERAL`.
pub(super) fn comparison(out: &mut Vec<u8>, subject: &str, cmp: Cmp, literal: &Literal) {
    out.extend_from_slice(subject.as_bytes());
    out.extend_from_slice(match cmp {
        Cmp::Eq => b" == ",
        Cmp::Ne => b" != ",
        Cmp::Lt => b" < ",
        Cmp::Le => b" <= ",
        Cmp::Gt => b" > ",
        Cmp::Ge => b" >= ",
        Cmp::Regex => b" =~ ",
        Cmp::In => b" <invalid operator> ",
    });
    let mut put = |text: std::fmt::Arguments<'_>| drop(out.write_fmt(text)); // A Vec takes every write.
    match literal {
        Literal::Number { value, is_signed: true } => put(format_args!("{value}")),
        Literal::Number { value, is_signed: false } => put(format_args!("{}", *value as u64)),
        Literal::Float(value) => put(format_args!("{value:.6}")),
        Literal::Time(text) => put(format_args!("{}", millis(fixed_time(text).unwrap_or(0)))),
        Literal::Ip(address) => put(format_args!("{address}")),
        Literal::Net { address, bits } => {
            let (network, mask) = masked(*address, *bits);
            put(format_args!("{network}/{bits} ({mask})"));
        }
        Literal::Text(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        Literal::Name(name) => out.extend_from_slice(name.as_bytes()),
        Literal::Array(_) => {}
    }
}

/// `SUBJECT IN [A, B, ]`.
pub(super) fn array(out: &mut Vec<u8>, subject: &str, elements: &[String]) {
    out.extend_from_slice(subject.as_bytes());
    out.extend_from_slice(b" IN [");
    for element in elements {
        out.extend_from_slice(element.as_bytes());
        out.extend_from_slice(b", ");
    }
    out.push(b']');
}

/// `NETWORK/MASK`.
pub(super) fn network(address: IpAddr, bits: u8) -> String {
    let (network, mask) = masked(address, bits);
    format!("{network}/{mask}")
}

/// A time with milliseconds.
pub(super) fn millis(fixed: u64) -> String {
    let mut out = Vec::new();
    time::Printer::default().micros(&mut out, fixed);
    out.truncate(out.len() - 3);
    String::from_utf8_lossy(&out).into_owned()
}

/// UniRec form of a time literal, whose month and day may have one digit.
pub(super) fn fixed_time(text: &[u8]) -> Option<u64> {
    let mut padded = Vec::with_capacity(text.len() + 2);
    let mut parts = text.splitn(3, |b| *b == b'-');
    padded.extend_from_slice(parts.next()?);
    for part in parts {
        padded.push(b'-');
        if part.iter().take_while(|b| b.is_ascii_digit()).count() == 1 {
            padded.push(b'0');
        }
        padded.extend_from_slice(part);
    }
    time::parse(&padded)
}

fn masked(address: IpAddr, bits: u8) -> (IpAddr, IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let mask = !u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            (Ipv4Addr::from_bits(v4.to_bits() & mask).into(), Ipv4Addr::from_bits(mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = !u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            (Ipv6Addr::from_bits(v6.to_bits() & mask).into(), Ipv6Addr::from_bits(mask).into())
        }
    }
}
