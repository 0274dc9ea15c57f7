//! The part of a name that somebody registered.

/// Labels below which a country has its names registered, such as `co` in `example.co.uk`. The public suffix list has thousands of rules; these
/// are those under which most names are. A suffix that is missing here makes all names below it one domain, which only counts less.
const SECOND_LEVEL: [&[u8]; 20] = [
    b"ac", b"co", b"com", b"edu", b"ed", b"go", b"gob", b"gov", b"gv", b"ltd", b"me", b"mil", b"ne", b"net", b"nom",
    b"or", b"org", b"plc", b"sch", b"web",
];

/// The name in small letters, without a dot at its end, in `into`; what does not fit is cut at its beginning, so that the end stays.
pub(super) fn lower<'b>(name: &[u8], into: &'b mut [u8]) -> &'b [u8] {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let name = &name[name.len().saturating_sub(into.len())..];
    let into = &mut into[..name.len()];
    into.copy_from_slice(name);
    into.make_ascii_lowercase();
    into
}

/// The registered domain: the last two labels, or three below a [second level](SECOND_LEVEL) of a country. `None` for a name of one label, for
/// what belongs to the reverse tree or to no registry (RFC 6761, RFC 6762, RFC 8375), and for a domain with an empty label.
pub(super) fn registered(name: &[u8]) -> Option<&[u8]> {
    let mut labels = name.rsplit(|byte| *byte == b'.');
    let (top, second) = (labels.next()?, labels.next()?);
    if matches!(
        top,
        b"arpa" | b"local" | b"localhost" | b"lan" | b"home" | b"internal" | b"invalid" | b"test" | b"onion"
    ) {
        return None;
    }
    let mut length = second.len() + 1 + top.len();
    let mut own = second;
    if top.len() == 2
        && SECOND_LEVEL.contains(&second)
        && let Some(third) = labels.next()
    {
        length += third.len() + 1;
        own = third;
    }
    (!own.is_empty() && !top.is_empty()).then(|| &name[name.len() - length..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registered_domains() {
        for (name, domain) in [
            ("www.Example.COM.", Some("example.com")),
            ("example.com", Some("example.com")),
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("co.uk", Some("co.uk")),
            ("www.co.example", Some("co.example")),
            ("printer", None),
            ("4.3.2.1.in-addr.arpa", None),
            ("nas.local", None),
            ("a..com", None),
            ("x.", None),
            ("", None),
        ] {
            let mut room = [0; 127];
            let found = registered(lower(name.as_bytes(), &mut room));
            assert_eq!(found, domain.map(str::as_bytes), "{name}");
        }
        assert_eq!(lower(b"abcdef", &mut [0; 4]), b"cdef");
    }

    proptest! {
        #[test]
        fn any_name(name in "[a-zA-Z.\u{0}-\u{ff}]{0,140}") {
            let mut room = [0; 127];
            let name = lower(name.as_bytes(), &mut room);
            if let Some(domain) = registered(name) {
                prop_assert!(name.ends_with(domain) && domain.contains(&b'.'));
                prop_assert_eq!(registered(domain), Some(domain));
            }
        }
    }
}
