//! The address inside of a text, found as the original's regular expressions find it (spec/modules.md section 6).
use std::net::IpAddr;
use std::ops::Range;

/// Groups of an IPv6 address.
const GROUPS: usize = 8;

/// The first thing that looks like an IPv4 address, or, where there is none, like an IPv6 address: its place and its value. `None` also
/// if what was found is no address, such as 999.1.1.1 or an address with a zone.
pub fn find(text: &[u8]) -> Option<(Range<usize>, IpAddr)> {
    let search = |length: fn(&[u8]) -> Option<usize>| {
        (0..text.len()).find_map(|at| length(&text[at..]).map(|length| at..at + length))
    };
    let place = search(dotted).or_else(|| search(colons))?;
    let address = str::from_utf8(&text[place.clone()]).ok()?.parse().ok()?;
    Some((place, address))
}

/// Length of four numbers of one to three digits with dots between them, at the start of the text.
fn dotted(text: &[u8]) -> Option<usize> {
    let mut end = 0;
    for part in 0..4 {
        if part > 0 {
            (text.get(end) == Some(&b'.')).then_some(())?;
            end += 1;
        }
        end += some(run(&text[end..], 3, u8::is_ascii_digit))?;
    }
    Some(end)
}

/// Length of an IPv6 address without dots, at the start of the text, with a zone and all behind it if there is one. Up to seven groups
/// come with their colon; what may follow is the eighth, or the second colon and the groups behind the gap.
fn colons(text: &[u8]) -> Option<usize> {
    let (mut end, mut groups) = (0, 0);
    while groups < GROUPS - 1 {
        let digits = group(&text[end..]);
        if digits == 0 || text.get(end + digits) != Some(&b':') {
            break;
        }
        end += digits + 1;
        groups += 1;
    }
    if groups == GROUPS - 1 && group(&text[end..]) > 0 {
        end += group(&text[end..]);
    } else {
        if groups == 0 {
            (text.first() == Some(&b':')).then_some(())?;
            end = 1;
        }
        (text.get(end) == Some(&b':')).then_some(())?;
        // The groups behind the gap: the first follows its second colon, each other one a colon of its own.
        let mut more = groups;
        while more < GROUPS - 1 && text.get(end) == Some(&b':') {
            let digits = group(&text[end + 1..]);
            if digits == 0 {
                break;
            }
            end += 1 + digits;
            more += 1;
        }
        if more == groups {
            end += 1;
        }
    }
    let has_zone = text.get(end) == Some(&b'%') && end + 1 < text.len();
    Some(if has_zone { text.len() } else { end })
}

/// Hexadecimal digits at the start of the text, four at the most.
fn group(text: &[u8]) -> usize {
    run(text, 4, u8::is_ascii_hexdigit)
}

fn run(text: &[u8], most: usize, is_one: fn(&u8) -> bool) -> usize {
    text.iter().take(most).take_while(|b| is_one(b)).count()
}

fn some(n: usize) -> Option<usize> {
    (n > 0).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Option<&str> {
        find(text.as_bytes()).map(|(place, _)| &text[place])
    }

    #[test]
    fn ipv4_wins_and_the_first_counts() {
        for (text, address) in [
            ("SIP/2.0/UDP 10.0.0.1:5060;rport", Some("10.0.0.1")),
            ("sip:a@10.0.0.1, 10.0.0.2", Some("10.0.0.1")),
            ("1234.1.1.1", Some("234.1.1.1")),
            ("1.1.1.2345", Some("1.1.1.234")),
            ("[2001:db8::1] then 10.0.0.1", Some("10.0.0.1")),
            ("999.1.1.1 10.0.0.1", None),
            ("1.2.3 and 1..2.3.4", None),
            ("010.0.0.1", None),
            ("578222729-4665d775@578222732-4665d772", None),
        ] {
            assert_eq!(found(text), address, "{text}");
        }
    }

    #[test]
    fn ipv6_in_all_its_forms() {
        for (text, address) in [
            ("sip:[2001:db8::1]:5060", Some("2001:db8::1")),
            ("1:2:3:4:5:6:7:8", Some("1:2:3:4:5:6:7:8")),
            ("1:2:3:4:5:6:7::", Some("1:2:3:4:5:6:7::")),
            ("x 1:2:3:4:5:6::8 y", Some("1:2:3:4:5:6::8")),
            ("::", Some("::")),
            ("::1", Some("::1")),
            ("::2:3:4:5:6:7:8", Some("::2:3:4:5:6:7:8")),
            ("1::", Some("1::")),
            ("1::3:4:5:6:7:8", Some("1::3:4:5:6:7:8")),
            ("12345::1", Some("2345::1")),
            ("a::b", Some("a::b")),
            ("1:2:3:4:5:6:7:8:9", Some("1:2:3:4:5:6:7:8")),
            ("fe80::1%eth0 2001:db8::1", None),
            ("fe80::1%", Some("fe80::1")),
            ("sip:5060", None),
            ("1:2:3:4:5:6:7", None),
            (":1", None),
        ] {
            assert_eq!(found(text), address, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_address_is_found_in_its_text(bits in any::<u128>(), before in "[ <@g-z]{0,5}", after in "( [ -$&-~]{0,9})?") {
            let v6: IpAddr = std::net::Ipv6Addr::from_bits(bits | 1 << 127).into();
            let v4: IpAddr = std::net::Ipv4Addr::from_bits(bits as u32).into();
            for address in [v4, v6] {
                let shown = address.to_string();
                let text = format!("{before}{shown}{}", after.replace(|c: char| c.is_ascii_digit(), "x"));
                prop_assert_eq!(find(text.as_bytes()), Some((before.len()..before.len() + shown.len(), address)), "{}", text);
            }
        }

        #[test]
        fn any_bytes(text in prop::collection::vec(prop_oneof![any::<u8>(), Just(b':'), Just(b'.'), b'0'..=b'9'], 0..80)) {
            if let Some((place, _)) = find(&text) {
                prop_assert!(place.end <= text.len());
            }
        }
    }
}
