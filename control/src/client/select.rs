//! Numbers that a user chooses: `2,4-6,13` (section 8.2).
use std::collections::BTreeSet;
use thiserror::Error;

/// Characters of a choice, at the most.
pub const LINE_MAX: usize = 98;

/// Why a choice is none; the texts are the original's.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SelectError {
    #[error("Wrong input - empty string.")]
    Empty,
    #[error("Wrong input - comma at the end.")]
    CommaAtEnd,
    #[error("Wrong input - comma without a number before it.")]
    CommaAlone,
    #[error("Wrong input - dash with no number before it.")]
    DashAlone,
    #[error("Wrong input - acceptable characters are digits, comma and dash.")]
    Character,
    #[error("Wrong input - an interval has two numbers.")]
    Interval,
    #[error("Wrong input - more than {LINE_MAX} characters.")]
    TooLong,
    #[error("Number {number} is not in range <0,{last}>!")]
    Range { number: String, last: usize },
}

/// The numbers of a choice, each once, below `count`.
///
/// # Errors
/// [`SelectError`].
pub fn numbers(text: &str, count: usize) -> Result<BTreeSet<usize>, SelectError> {
    if text.is_empty() {
        return Err(SelectError::Empty);
    }
    if text.len() > LINE_MAX {
        return Err(SelectError::TooLong);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b',' | b'-')) {
        return Err(SelectError::Character);
    }
    if text.ends_with(',') {
        return Err(SelectError::CommaAtEnd);
    }
    let mut chosen = BTreeSet::new();
    for part in text.split(',') {
        let (from, to) = match part.split_once('-') {
            None if part.is_empty() => return Err(SelectError::CommaAlone),
            None => (part, part),
            Some(("", _)) => return Err(SelectError::DashAlone),
            Some((_, to)) if to.is_empty() || to.contains('-') => return Err(SelectError::Interval),
            Some(both) => both,
        };
        let (from, to) = (number(from, count)?, number(to, count)?);
        chosen.extend(from.min(to)..=from.max(to));
    }
    Ok(chosen)
}

fn number(text: &str, count: usize) -> Result<usize, SelectError> {
    let out = || SelectError::Range { number: text.into(), last: count.saturating_sub(1) };
    text.parse().ok().filter(|number| *number < count).ok_or_else(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn choices() {
        let of = |text: &str| numbers(text, 14).map(Vec::from_iter);
        assert_eq!(of("2,4-6,13"), Ok(vec![2, 4, 5, 6, 13]));
        assert_eq!(of("6-4,5,5"), Ok(vec![4, 5, 6]));
        assert_eq!(of(""), Err(SelectError::Empty));
        assert_eq!(of("1,"), Err(SelectError::CommaAtEnd));
        assert_eq!(of(",1"), Err(SelectError::CommaAlone));
        assert_eq!(of("-1"), Err(SelectError::DashAlone));
        assert_eq!(of("1-"), Err(SelectError::Interval));
        assert_eq!(of("1, 2"), Err(SelectError::Character));
        assert_eq!(of("14").unwrap_err().to_string(), "Number 14 is not in range <0,13>!");
        assert_eq!(numbers("0", 0).unwrap_err().to_string(), "Number 0 is not in range <0,0>!");
    }

    proptest! {
        #[test]
        fn any_choice(text in "[0-9,-]{0,12}", count in 0usize..50) {
            if let Ok(chosen) = numbers(&text, count) {
                prop_assert!(chosen.iter().all(|number| *number < count));
            }
            crate::fuzzing::fuzz_select(text.as_bytes());
        }
    }
}
