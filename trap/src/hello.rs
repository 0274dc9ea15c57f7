//! HELLO: the format announcement that opens every connection and every file (trap.md section 4.1).
//!
//! Layout: u8 type, 3 zero bytes (ignored on read), u32 big-endian length of the specifier, specifier without NUL.

use thiserror::Error;

use crate::format::Format;

/// Bytes before the specifier.
pub const HELLO_LEN: usize = 8;
/// Longest specifier accepted or sent, bytes. Real ones stay below 4 KiB; the bound keeps a bad peer from taking memory.
pub const SPEC_MAX: usize = 1 << 20;

/// Why a HELLO is not one.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum HelloError {
    /// The type byte is none of 0..=3: the peer is no TRAP sender.
    #[error("HELLO has unknown data type {0}; is the peer a TRAP output?")]
    UnknownType(u8),
    /// The announced specifier is longer than [`SPEC_MAX`].
    #[error("HELLO announces a specifier of {0} bytes, more than {SPEC_MAX}")]
    TooLong(u32),
    /// The specifier is not text.
    #[error("specifier in HELLO is not valid UTF-8")]
    NotText,
}

/// Bytes that announce `format`. A format that cannot be announced yet (unknown, UniRec without fields) gives type 0.
#[must_use]
pub fn encode(format: &Format) -> Vec<u8> {
    let format = match format {
        Format::UniRec(spec) if spec.is_empty() => &Format::Unknown,
        other => other,
    };
    let spec = format.spec().as_bytes();
    let mut bytes = Vec::with_capacity(HELLO_LEN + spec.len());
    bytes.extend_from_slice(&[format.type_byte(), 0, 0, 0]);
    // set_format refuses longer specifiers than SPEC_MAX, so the length always fits.
    bytes.extend_from_slice(&(spec.len() as u32).to_be_bytes());
    bytes.extend_from_slice(spec);
    bytes
}

/// Length of the specifier that follows this header, bytes.
///
/// # Errors
/// [`HelloError::UnknownType`], [`HelloError::TooLong`].
pub fn spec_len(header: &[u8; HELLO_LEN]) -> Result<usize, HelloError> {
    if header[0] > 3 {
        return Err(HelloError::UnknownType(header[0]));
    }
    let len = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    if len as usize > SPEC_MAX { Err(HelloError::TooLong(len)) } else { Ok(len as usize) }
}

/// Format told by a header and the specifier after it. The specifier of raw and unknown is ignored.
///
/// # Errors
/// [`HelloError::UnknownType`], [`HelloError::NotText`].
pub fn decode(header: &[u8; HELLO_LEN], spec: &[u8]) -> Result<Format, HelloError> {
    let text = || std::str::from_utf8(spec).map(str::to_owned).map_err(|_| HelloError::NotText);
    match header[0] {
        0 => Ok(Format::Unknown),
        1 => Ok(Format::Raw),
        2 => Ok(Format::UniRec(text()?)),
        3 => Ok(Format::Json(text()?)),
        other => Err(HelloError::UnknownType(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_the_real_library() {
        let unirec = encode(&Format::UniRec("uint16 A,string S".into()));
        assert_eq!(unirec, b"\x02\0\0\0\0\0\0\x11uint16 A,string S");
        assert_eq!(encode(&Format::Json(String::new())), [3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encode(&Format::Raw), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encode(&Format::Unknown), [0; 8]);
        assert_eq!(encode(&Format::UniRec(String::new())), [0; 8]);
    }

    #[test]
    fn bad_headers_are_refused() {
        assert_eq!(spec_len(&[4, 0, 0, 0, 0, 0, 0, 0]), Err(HelloError::UnknownType(4)));
        assert_eq!(spec_len(&[2, 0, 0, 0, 0xff, 0, 0, 0]), Err(HelloError::TooLong(0xff00_0000)));
        assert_eq!(decode(&[2, 0, 0, 0, 0, 0, 0, 1], &[0xff]), Err(HelloError::NotText));
        // Padding is uninitialised memory in the original's eyes.
        assert_eq!(spec_len(&[3, 9, 9, 9, 0, 0, 0, 5]), Ok(5));
    }
}
