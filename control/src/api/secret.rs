//! Secrets: 256 random bits as text. Only their SHA-256 is kept, and compared in the same time whatever it is.
use rustls::crypto::ring;
use sha2::{Digest, Sha256};
use std::fmt;

/// A text that is not shown by accident.
pub struct Secret(String);

/// The SHA-256 of a secret.
pub type Hash = [u8; 32];

impl Secret {
    /// A random one behind a word that says what it is. `None`: the system has no source of chance.
    #[must_use]
    pub fn random(word: &str) -> Option<Self> {
        let mut bits = [0; 32];
        ring::default_provider().secure_random.fill(&mut bits).ok()?;
        Some(Self(format!("{word}{}", hex(&bits))))
    }

    /// The text, for the one who is to have it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn hash(&self) -> Hash {
        hash(&self.0)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The SHA-256 of a text that somebody presents.
#[must_use]
pub fn hash(presented: &str) -> Hash {
    hash_of(presented.as_bytes())
}

/// The SHA-256 of bytes.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_random_and_not_shown() {
        let [one, two] = ["sonda_", "sonda_"].map(|word| Secret::random(word).expect("a source of chance"));
        assert!(one.shown().len() == 70 && one.shown() != two.shown() && one.hash() != two.hash());
        assert_eq!(format!("{one:?}"), "***");
        // NIST FIPS 180-4, the example of one block.
        assert_eq!(hex(&hash("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
