//! UUIDs (RFC 9562).
use rustls::crypto::ring;

/// A random one (version 4).
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    // The system's source of chance does not fail once it was read; if it does, zeros with a version are still an identity.
    let _ = ring::default_provider().secure_random.fill(&mut bytes);
    of(bytes, 4)
}

/// The one of this version that is made of these bits.
pub(crate) fn of(bytes: [u8; 16], version: u8) -> String {
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | u128::from(version) << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_random_and_well_formed() {
        let (one, two) = (random(), random());
        assert_ne!(one, two);
        for id in [one, two] {
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
            assert!("89ab".contains(&id[19..20]) && id.matches('-').count() == 4, "{id}");
        }
    }

    #[test]
    fn identities_differ_and_say_what_they_are() {
        let (a, b) = (random(), random());
        assert!(a != b && a.len() == 36);
        assert_eq!((a.as_bytes()[14], a.as_bytes()[8]), (b'4', b'-'));
        assert!(matches!(a.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
