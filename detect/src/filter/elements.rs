//! Elements of a list as values of its field's type.
use super::lexer::integer;
use super::program::Load;
use super::{FilterError, show};
use std::net::IpAddr;

/// Elements as scanf reads them: up to the first character that does not fit, decimal for unsigned fields.
pub(super) fn numbers(field: &str, elements: &[Vec<u8>], load: Load) -> Result<Vec<i64>, FilterError> {
    let one = |text: &Vec<u8>| {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 {
            return Err(unreadable(field, text));
        }
        if load.is_signed() {
            return Ok(integer(&text[..text.len() - digits.len() + count]));
        }
        let magnitude =
            digits[..count].iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
        Ok(if text.len() > digits.len() { magnitude.wrapping_neg() } else { magnitude } as i64)
    };
    elements.iter().map(one).collect()
}

pub(super) fn floats(field: &str, elements: &[Vec<u8>]) -> Result<Vec<f64>, FilterError> {
    let one = |text: &Vec<u8>| {
        // The start of an address or time is a number, too.
        let digits = |from: usize| text.get(from..).unwrap_or(&[]).iter().take_while(|b| b.is_ascii_digit()).count();
        let whole = usize::from(text.first() == Some(&b'-'));
        let whole = whole + digits(whole);
        let end = if text.get(whole) == Some(&b'.') { whole + 1 + digits(whole + 1) } else { whole };
        std::str::from_utf8(&text[..end]).ok().and_then(|t| t.parse().ok()).ok_or_else(|| unreadable(field, text))
    };
    elements.iter().map(one).collect()
}

pub(super) fn times(field: &str, elements: &[Vec<u8>]) -> Result<Vec<u64>, FilterError> {
    elements.iter().map(|text| show::fixed_time(text).ok_or_else(|| unreadable(field, text))).collect()
}

/// Addresses count as prefixes of full length, but only before the first prefix.
pub(super) fn prefixes(field: &str, elements: &[Vec<u8>]) -> Result<Vec<(IpAddr, u8)>, FilterError> {
    let mut prefixes = Vec::with_capacity(elements.len());
    let mut has_prefix = false;
    for text in elements {
        let bad = || unreadable(field, text);
        let words = std::str::from_utf8(text).map_err(|_| bad())?;
        let (address, bits) = words.split_once('/').map_or((words, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => {
                has_prefix = true;
                bits.parse().ok().filter(|b| *b <= most).ok_or_else(bad)?
            }
            None if has_prefix => return Err(FilterError::PrefixExpected(field.to_owned())),
            None => most,
        };
        prefixes.push((address, bits));
    }
    Ok(prefixes)
}

fn unreadable(field: &str, text: &[u8]) -> FilterError {
    FilterError::Element { field: field.to_owned(), text: String::from_utf8_lossy(text).into_owned() }
}
