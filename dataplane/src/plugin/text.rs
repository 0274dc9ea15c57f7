//! How plugins write values into the original's text output, and into summaries.
use record::Text;
use std::fmt::{Display, Write};

/// Adds a text field's bytes to the text output; what is not UTF-8 becomes U+FFFD.
pub(crate) fn put_text(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Adds values to the text output with commas between them.
pub(crate) fn join(out: &mut String, values: impl IntoIterator<Item = impl Display>) {
    for (i, value) in values.into_iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(out, "{}{value}", if i == 0 { "" } else { "," });
    }
}

/// Formatted text goes to the end of a [`Text`], cut at its bound.
pub(crate) struct Cut<'t, const N: usize>(pub(crate) &'t mut Text<N>);

impl<const N: usize> Write for Cut<'_, N> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.push(text.as_bytes());
        Ok(())
    }
}

/// Adds bytes to the text output, two small hexadecimal digits each.
pub(crate) fn put_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

/// Characters of a value that a summary shows at the most.
const SUMMARY_MAX: usize = 60;

/// Appends the printable part of a value to a summary, shortened if it is long.
pub(crate) fn put_short(out: &mut String, bytes: &[u8]) {
    for chunk in bytes[..bytes.len().min(SUMMARY_MAX)].utf8_chunks() {
        out.extend(chunk.valid().chars().map(|c| if c.is_control() { '.' } else { c }));
        out.extend(chunk.invalid().iter().map(|_| '.'));
    }
    if bytes.len() > SUMMARY_MAX {
        out.push('…');
    }
}
