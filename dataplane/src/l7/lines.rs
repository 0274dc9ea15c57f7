//! Sessions of text lines over TCP, as FTP, POP3 and IMAP hold them: each line of a side once and whole.
//!
//! A segment sent again is passed over. A line that spans segments is held up to [`LINE_LEN_MAX`] bytes; what stands behind a gap begins a new one.
use super::headers::line;
use crate::packet::tcp;
use crate::plugin::options::{split, switch};
use crate::plugin::{OptionError, PluginOption, Takes};
use record::Text;

/// Bytes of a line that are kept until its end comes.
pub(super) const LINE_LEN_MAX: usize = 256;

/// What one side has said so far.
#[derive(Default)]
pub(super) struct Speaker {
    has_begun: bool,
    /// Sequence number of what comes next.
    next: u32,
    /// A line that has not ended yet, and how long it is by now.
    partial: Text<LINE_LEN_MAX>,
    partial_len: u32,
}

record::packed!(Speaker { has_begun: bool, next: u32, partial: Text<LINE_LEN_MAX>, partial_len: u32 });

impl Speaker {
    /// Shows the lines that end in a segment, without their ends, and how many bytes each had with its end; until `each` answers false.
    pub(super) fn lines(&mut self, payload: &[u8], sequence: u32, mut each: impl FnMut(&[u8], u32) -> bool) {
        let mut rest = self.fresh(payload, sequence);
        while let Some((text, behind)) = line(rest) {
            let len = (rest.len() - behind.len()) as u32;
            rest = behind;
            let goes_on = if self.partial_len == 0 {
                each(text, len)
            } else {
                self.partial.push(text);
                let whole = self.partial.as_bytes();
                // The CR came with the LF, or before it in a segment of its own.
                let end = if text.len() + 2 == len as usize { None } else { whole.strip_suffix(b"\r") };
                let goes_on = each(end.unwrap_or(whole), self.partial_len.saturating_add(len));
                self.forget();
                goes_on
            };
            if !goes_on {
                return;
            }
        }
        self.partial.push(rest);
        self.partial_len = self.partial_len.saturating_add(rest.len() as u32);
    }

    fn forget(&mut self) {
        self.partial.set(&[]);
        self.partial_len = 0;
    }

    fn fresh<'m>(&mut self, payload: &'m [u8], sequence: u32) -> &'m [u8] {
        let seen = if self.has_begun { tcp::distance(sequence, self.next) } else { 0 };
        let fresh = match usize::try_from(seen) {
            Ok(seen) => payload.get(seen..).unwrap_or_default(),
            Err(_) => {
                self.forget();
                payload
            }
        };
        if !self.has_begun || !fresh.is_empty() {
            self.has_begun = true;
            self.next = sequence.wrapping_add(payload.len() as u32);
        }
        fresh
    }
}

/// How a login went: values of the field `login`; 0 if none was tried.
pub(super) const REFUSED: u8 = 1;
pub(super) const ACCEPTED: u8 = 2;

/// Encryption: values of the field `tls`; 0 if it was not asked for.
pub(super) const ASKED: u8 = 1;
pub(super) const GRANTED: u8 = 2;

/// What a summary says of a login.
pub(super) fn outcome(login: u8) -> &'static str {
    match login {
        REFUSED => " refused",
        ACCEPTED => " logged in",
        _ => "",
    }
}

pub(super) const OPTIONS: &[PluginOption] =
    &[PluginOption { short: "u", long: "user", takes: Takes::Switch { default: true }, about: "keep the user's name" }];

/// Whether the user's name is kept, by [`OPTIONS`].
pub(super) fn names_user(options: &[&str]) -> Result<bool, OptionError> {
    options.iter().try_fold(true, |_, option| match split(option) {
        ("u" | "user", value) => switch("user", value),
        (name, _) => Err(OptionError::Unknown(name.into())),
    })
}

/// The word that a payload begins with.
pub(super) fn first_word(payload: &[u8]) -> &[u8] {
    payload.split(u8::is_ascii_whitespace).next().unwrap_or_default()
}

/// A word and what stands behind the blanks that end it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let (word, rest) = text.split_at(text.iter().position(|b| *b == b' ').unwrap_or(text.len()));
    (word, rest.trim_ascii())
}

/// The letters of a verb as capitals; `None` if it has more than four.
pub(super) fn verb(word: &[u8]) -> Option<[u8; 4]> {
    let mut verb = [b' '; 4];
    verb.get_mut(..word.len())?.copy_from_slice(word);
    Some(verb.map(|b| b.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(speaker: &mut Speaker, payload: &[u8], sequence: u32) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        speaker.lines(payload, sequence, |line, _| {
            lines.push(line.to_vec());
            true
        });
        lines
    }

    #[test]
    fn each_line_once() {
        let mut s = Speaker::default();
        assert_eq!(read(&mut s, b"a\r\nb", u32::MAX), [b"a"]);
        assert_eq!(read(&mut s, b"a\r\nb", u32::MAX), [b""; 0], "sent again");
        assert_eq!(read(&mut s, b"bc\r", 2), [b""; 0], "with a byte that was there");
        assert_eq!(read(&mut s, b"\nd\n", 5), [&b"bc"[..], b"d"]);
        assert_eq!(read(&mut s, b"e", 8), [b""; 0]);
        assert_eq!(read(&mut s, b"g\n", 10), [b"g"], "behind a gap");
        assert_eq!(
            (word(b"USER  a b "), verb(b"pWd"), verb(b"NOTHING")),
            ((&b"USER"[..], &b"a b"[..]), Some(*b"PWD "), None)
        );
    }

    proptest! {
        #[test]
        fn segments_do_not_matter(text in "[a-z\r\n ]{0,120}", cuts in prop::collection::vec(1usize..20, 0..40)) {
            let whole = read(&mut Speaker::default(), text.as_bytes(), 7);
            let (mut pieces, mut speaker, mut at) = (Vec::new(), Speaker::default(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                let end = (at + cut).min(text.len());
                pieces.extend(read(&mut speaker, &text.as_bytes()[at..end], 7 + at as u32));
                at = end;
            }
            prop_assert_eq!(pieces, whole);
        }
    }
}
