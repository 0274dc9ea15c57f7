//! Secret keys as they are written: 32 characters, or `0x` and 64 hexadecimal digits (spec/modules.md section 6).
use super::cryptopan::Key;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Characters of a key, at the most.
const TEXT_MAX: usize = 66;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "*** CryptoPAnKey error: size: {0}\n\
         *** Need either a plain 32 char string, or a 32 byte hex key starting with 0x.."
    )]
    Size(usize),
    #[error("*** CryptoPAnKey error: a key that starts with 0x has 64 hexadecimal digits behind it")]
    Digits,
    #[error("Error: Could not open file with secret key.\n{0}")]
    Open(io::Error),
    #[error("Error: Error occured while reading the key.\n{0}")]
    Read(io::Error),
}

/// Reads a key as given. Bytes, not characters, are counted.
///
/// # Errors
/// [`KeyError::Size`], [`KeyError::Digits`].
pub fn parse(text: &[u8]) -> Result<Key, KeyError> {
    if let Ok(key) = text.try_into() {
        return Ok(key);
    }
    let digits = match text {
        [b'0', b'x' | b'X', digits @ ..] if text.len() == TEXT_MAX => digits,
        _ => return Err(KeyError::Size(text.len())),
    };
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8).ok_or(KeyError::Digits);
    let mut key = [0; 32];
    for (byte, [high, low]) in key.iter_mut().zip(digits.as_chunks().0) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Ok(key)
}

/// Reads the key on the first line of a file; blanks behind it are ignored.
///
/// # Errors
/// The file cannot be read, or its first line is no key.
pub fn from_file(path: &Path) -> Result<Key, KeyError> {
    let file = File::open(path).map_err(KeyError::Open)?;
    let mut line = Vec::new();
    BufReader::new(file.take(TEXT_MAX as u64)).read_until(b'\n', &mut line).map_err(KeyError::Read)?;
    parse(line.trim_ascii_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191A1b1c1d1e1F";

    #[test]
    fn both_forms_and_the_file() {
        let counted: Key = std::array::from_fn(|i| i as u8);
        assert_eq!(parse(HEX.as_bytes()).unwrap(), counted);
        assert_eq!(parse(HEX.replace("0x", "0X").as_bytes()).unwrap(), counted);
        assert_eq!(&parse(b"abcdefghijklmnopqrstuvwxyz012345").unwrap(), b"abcdefghijklmnopqrstuvwxyz012345");
        let file = tempfile::NamedTempFile::new().unwrap();
        for tail in ["", "\n", " \t\r\nmore"] {
            std::fs::write(file.path(), format!("{HEX}{tail}")).unwrap();
            assert_eq!(from_file(file.path()).unwrap(), counted, "{tail:?}");
        }
        std::fs::write(file.path(), "abcdefghijklmnopqrstuvwxyz012345 \nmore").unwrap();
        assert_eq!(&from_file(file.path()).unwrap(), b"abcdefghijklmnopqrstuvwxyz012345");
    }

    #[test]
    fn what_is_no_key() {
        for (bad, size) in [("", 0), ("short", 5), (&HEX[..65], 65), (&HEX.replace("0x", "zz"), 66)] {
            assert!(matches!(parse(bad.as_bytes()), Err(KeyError::Size(n)) if n == size), "{bad}");
        }
        assert!(matches!(parse(HEX.replace('F', "g").as_bytes()), Err(KeyError::Digits)));
        assert!(matches!(from_file(Path::new("/nonexist/x")), Err(KeyError::Open(_))));
    }
}
