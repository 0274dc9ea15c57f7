//! The list of addresses against what the format says, and against a search through all lines.
use super::*;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};

fn list<B: Bits>(text: &str) -> (Addresses<B>, Vec<Wrong>) {
    let (mut networks, mut wrong) = (Vec::new(), Vec::new());
    let each = |line: &str| {
        wrong.extend(take::<B>(line, &mut networks).err());
        Ok(())
    };
    super::super::read("text", text.as_bytes(), each).unwrap();
    (Addresses::of(networks), wrong)
}

fn bits4(list: &Addresses4, ip: &str, port: u16) -> u64 {
    list.find(ip.parse::<Ipv4Addr>().unwrap().to_bits()).map_or(0, |entry| entry.bits(port))
}

#[test]
fn lines_and_what_they_mean() {
    let (list, wrong) = list::<u32>(
        "203.0.113.9,1\r\n\n192.0.2.0/24,8\n198.51.100.5,9;1:443,80;4:25\n192.0.2.128/25,16\n0.0.0.0/1,9223372036854775808\n\
         10.0.0.1,999,one-id,two-id\n10.0.0.2,3;1:80;x:1;65:1;2:99999;2\n10.0.0.3,1;1:80\n10.0.0.3,3;1:81\n10.0.0.4,1;1:80\n10.0.0.4,1\n",
    );
    assert_eq!(wrong, [Wrong::Ports("2".into())], "of several parts of one line the last is told");
    for (ip, port, bits) in [
        ("203.0.113.9", 0, 1),
        ("203.0.113.10", 0, 0),
        ("192.0.2.1", 0, 8),
        ("192.0.2.127", 7, 8),
        ("192.0.2.128", 7, 16),
        ("192.0.2.255", 7, 16),
        ("192.0.3.0", 7, 0),
        ("198.51.100.5", 80, 1),
        ("198.51.100.5", 25, 8),
        ("198.51.100.5", 22, 0),
        ("1.2.3.4", 0, 1 << 63),
        ("127.255.255.255", 0, 1 << 63),
        ("128.0.0.0", 0, 0),
        ("255.255.255.255", 0, 0),
        ("10.0.0.2", 80, 3),
        ("10.0.0.2", 81, 2),
        ("10.0.0.3", 81, 3),
        ("10.0.0.3", 80, 3),
        ("10.0.0.3", 82, 2),
        ("10.0.0.4", 9, 1),
    ] {
        assert_eq!(bits4(&list, ip, port), bits, "{ip}:{port}");
    }
    let adaptive = list.find(0x0a00_0001).unwrap();
    assert_eq!((adaptive.bits(5), adaptive.ids()), (ADAPTIVE, "one-id,two-id"));
}

#[test]
fn lines_that_are_none() {
    let (list, wrong) =
        list::<u32>("x\n,1\n1.2.3.4\n1.2.3.4/33,1\n::1,1\n1.2.3.4,x\n1.2.3.4,8,id\n1.2.3.4,18446744073709551616\n");
    assert!(list.is_empty() && list.find(0).is_none());
    let (format, address) = (Wrong::Format, Wrong::Address);
    let expected = [&format, &address, &format, &address, &address, &format, &format, &format];
    assert_eq!(wrong.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn prefixes_of_any_length_of_ipv6() {
    let (list, wrong) = list::<u128>("2001:0db8::/32,16\n2001:db8:0:8000::/49,1\n::/0,2\nffff::/16,4\n10.0.0.1,1\n");
    assert_eq!((list.len(), wrong), (4, vec![Wrong::Address]));
    for (ip, bits) in [
        ("2001:db8::1", 16),
        ("2001:db8:0:8000::1", 1),
        ("2001:db8:0:7fff::1", 16),
        ("2001:db8:1::", 16),
        ("2001:db9::", 2),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4),
    ] {
        let entry = list.find(ip.parse::<Ipv6Addr>().unwrap().to_bits()).unwrap();
        assert_eq!(entry.bits(1), bits, "{ip}");
    }
}

proptest! {
    /// Against the longest of all networks that the address is in.
    #[test]
    fn as_a_search_through_all(nets in prop::collection::vec((any::<u32>(), 0u8..=32, 1u64..64), 0..60), asked in any::<u32>()) {
        // Few different addresses, so that networks are inside each other.
        let narrow = |address: u32| address & 0xc000_0003 | (address & 0x40) << 10;
        let nets: Vec<_> = nets.into_iter().map(|(address, length, bits)| (narrow(address), length, bits)).collect();
        let text: String = nets.iter().map(|(a, l, bits)| format!("{}/{l},{bits}\n", Ipv4Addr::from(*a))).collect();
        let (list, _) = list::<u32>(&text);
        let mask = |length: u8| u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        for address in nets.iter().map(|(a, ..)| *a).chain([narrow(asked), asked]) {
            let within = || nets.iter().filter(|(net, length, _)| (net ^ address) & mask(*length) == 0);
            let longest = within().map(|(_, length, _)| *length).max();
            let bits = within().filter(|(_, length, _)| Some(*length) == longest).fold(0, |all, (.., bits)| all | bits);
            prop_assert_eq!(list.find(address).map_or(0, |entry| entry.bits(0)), bits);
        }
    }

    #[test]
    fn any_text(text in "(((10|192)\\.[0-3]\\.0\\.1|[0-9a-f]{1,3}::[0-9])(/[0-9]{1,3})?,[0-9]{1,3}(;[0-9]{1,2}:[0-9]{1,2}(,[0-9]{1,2}){0,2}){0,2}\n?){0,6}") {
        fuzz_addresses(text.as_bytes());
    }
}
