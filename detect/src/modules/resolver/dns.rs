//! The little of DNS that a stub resolver needs: one question, and the first answer of its kind (RFC 1035 section 4).
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Bytes of a name as text, without the last dot, at the most (RFC 1035 section 2.3.4).
pub(super) const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;
const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
const CNAME: u16 = 5;
/// Aliases in a row, at the most.
const ALIASES_MAX: usize = 16;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// The name of an address.
    Ptr(IpAddr),
    /// An IPv4 address of a name.
    A(String),
    /// An IPv6 address of a name.
    Aaaa(String),
}

/// An answer's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Name(String),
    Address(IpAddr),
}

/// What a message says about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Found(Found, Duration),
    /// The name exists, without a value of this kind.
    NoData,
    NoName,
    /// The server could not find out, or does not want to answer.
    Failed,
    /// Ask again over TCP.
    Cut,
    /// It is no answer to this question, or damaged.
    Other,
}

impl Question {
    /// The name that is looked up.
    pub(super) fn name(&self) -> String {
        match self {
            Question::A(name) | Question::Aaaa(name) => name.clone(),
            Question::Ptr(IpAddr::V4(ip)) => {
                let [a, b, c, d] = ip.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            Question::Ptr(IpAddr::V6(ip)) => {
                let nibbles = ip.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
                let text: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
                format!("{text}ip6.arpa")
            }
        }
    }

    fn kind(&self) -> u16 {
        match self {
            Question::A(_) => 1,
            Question::Ptr(_) => 12,
            Question::Aaaa(_) => 28,
        }
    }

    /// The message that asks it.
    pub(super) fn to_bytes(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + NAME_MAX + 6);
        out.extend_from_slice(&id.to_be_bytes());
        // Recursion desired; one question.
        out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        for label in self.name().split('.') {
            // Checked where the question was made.
            out.push(label.len().min(LABEL_MAX) as u8);
            out.extend_from_slice(&label.as_bytes()[..label.len().min(LABEL_MAX)]);
        }
        out.push(0);
        out.extend_from_slice(&self.kind().to_be_bytes());
        out.extend_from_slice(&CLASS_IN.to_be_bytes());
        out
    }

    /// Reads what `message` says about it.
    pub(super) fn read(&self, id: u16, message: &[u8]) -> Reply {
        self.try_read(id, message).unwrap_or(Reply::Other)
    }

    fn try_read(&self, id: u16, message: &[u8]) -> Option<Reply> {
        let number = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
        let flags = number(2)?;
        let is_answer = number(0)? == id && flags & 0xf800 == 0x8000 && number(4)? == 1;
        let (asked, at) = name_at(message, HEADER)?;
        if !is_answer || asked != self.name() || number(at)? != self.kind() || number(at + 2)? != CLASS_IN {
            return None;
        }
        match (flags & 0x0200 != 0, flags & 15) {
            (true, _) => return Some(Reply::Cut),
            (false, 0) => {}
            (false, 3) => return Some(Reply::NoName),
            (false, _) => return Some(Reply::Failed),
        }
        let mut records = Vec::new();
        let mut at = at + 4;
        for _ in 0..number(6)? {
            let (owner, head) = name_at(message, at)?;
            let (kind, class, length) = (number(head)?, number(head + 2)?, number(head + 8)?);
            let ttl = (u32::from(number(head + 4)?) << 16) | u32::from(number(head + 6)?);
            let data = head + 10;
            at = data + usize::from(length);
            message.get(data..at)?;
            if class == CLASS_IN && (kind == self.kind() || kind == CNAME) {
                records.push(Record { owner, kind, ttl, data, end: at });
            }
        }
        self.follow(asked, &records, message)
    }

    /// Goes from alias to alias until a value of the right kind is there.
    fn follow(&self, asked: String, records: &[Record], message: &[u8]) -> Option<Reply> {
        let (mut name, mut ttl) = (asked, u32::MAX);
        for _ in 0..=ALIASES_MAX {
            let own = |kind| records.iter().find(|r| r.kind == kind && r.owner == name);
            if let Some(record) = own(self.kind()) {
                let ttl = Duration::from_secs(ttl.min(record.ttl).into());
                // A name that no host can have counts as none, as with glibc.
                return Some(self.value(message, record).map_or(Reply::NoData, |found| Reply::Found(found, ttl)));
            }
            let Some(alias) = own(CNAME) else { return Some(Reply::NoData) };
            ttl = ttl.min(alias.ttl);
            name = name_at(message, alias.data)?.0;
        }
        Some(Reply::Failed)
    }

    fn value(&self, message: &[u8], record: &Record) -> Option<Found> {
        let data = &message[record.data..record.end];
        Some(match self {
            Question::A(_) => Found::Address(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            Question::Aaaa(_) => Found::Address(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            Question::Ptr(_) => Found::Name(name_at(message, record.data)?.0),
        })
    }
}

struct Record {
    owner: String,
    kind: u16,
    ttl: u32,
    data: usize,
    end: usize,
}

/// Whether a text is a name that can be asked for or answered: what glibc takes, without the last dot.
pub(super) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_sign = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(is_sign)
    };
    text.len() <= NAME_MAX && text.split('.').all(is_label)
}

/// The name at `at` in small letters and the place behind it; nothing if it is damaged, or not one for [`is_name`].
fn name_at(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let (mut text, mut behind) = (String::new(), None);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => break,
            1..=63 => {
                let end = at + 1 + usize::from(length);
                let label = str::from_utf8(message.get(at + 1..end)?).ok()?;
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(&label.to_ascii_lowercase());
                if text.len() > NAME_MAX || label.contains('.') {
                    return None;
                }
                at = end;
            }
            0xc0.. => {
                let target = usize::from(u16::from_be_bytes([length & 0x3f, *message.get(at + 1)?]));
                behind = behind.or(Some(at + 2));
                // Only backwards, so it ends.
                if target >= at {
                    return None;
                }
                at = target;
            }
            _ => return None,
        }
    }
    is_name(&text).then_some((text, behind.unwrap_or(at + 1)))
}

/// Any bytes as an answer to any question; what is asked is read as asked.
pub fn fuzz_dns(input: &[u8]) {
    let label: String = input.iter().take(40).map(|b| char::from(b'a' + b % 26)).collect();
    let name = format!("x{label}.y");
    let ip = IpAddr::from(input.get(..16).and_then(|b| <[u8; 16]>::try_from(b).ok()).unwrap_or_default());
    for question in [Question::A(name.clone()), Question::Aaaa(name), Question::Ptr(ip)] {
        assert!(is_name(&question.name()));
        let asked = question.to_bytes(7);
        assert_eq!(name_at(&asked, HEADER), Some((question.name(), asked.len() - 4)));
        assert_eq!(question.read(7, &asked), Reply::Other, "a question is no answer");
        let mut answer = asked;
        answer[2] |= 0x80;
        assert_eq!(question.read(7, &answer), Reply::NoData);
        answer[7] = input.first().copied().unwrap_or(1) % 8;
        answer.extend_from_slice(input);
        if let Reply::Found(Found::Name(name), _) = question.read(7, &answer) {
            assert!(is_name(&name));
        }
        question
            .read(u16::from_be_bytes([input.first().copied().unwrap_or(0), input.get(1).copied().unwrap_or(0)]), input);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_addresses() {
        assert_eq!(Question::Ptr([192, 0, 2, 1].into()).name(), "1.2.0.192.in-addr.arpa");
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(Question::Ptr(six).name(), format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23)));
    }

    #[test]
    fn aliases_and_pointers() {
        let question = Question::A("www.example.org".into());
        let mut answer = question.to_bytes(9);
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = 3;
        let end = answer.len();
        // The address first, then WWW is an alias of a.example.org; a stranger between.
        answer.extend_from_slice(b"\x01a\xc0\x10\0\x01\0\x01\0\0\0\x07\0\x04\x0a\0\0\x01");
        answer.extend_from_slice(b"\x01b\xc0\x10\0\x01\0\x01\0\0\0\x07\0\x04\x0a\0\0\x02");
        answer.extend_from_slice(b"\x03WWW\xc0\x10\0\x05\0\x01\0\0\0\x09\0\x02\xc0");
        answer.push(end as u8);
        let found = Reply::Found(Found::Address([10, 0, 0, 1].into()), Duration::from_secs(7));
        assert_eq!(question.read(9, &answer), found);
        assert_eq!(question.read(8, &answer), Reply::Other);
        assert_eq!(Question::A("www.example.com".into()).read(9, &answer), Reply::Other);
        for cut in 0..answer.len() {
            assert_eq!(question.read(9, &answer[..cut]), Reply::Other);
        }
        for (flags, reply) in [(0x8183, Reply::NoName), (0x8182, Reply::Failed), (0x8380, Reply::Cut)] {
            answer[2..4].copy_from_slice(&u16::to_be_bytes(flags));
            assert_eq!(question.read(9, &answer), reply);
        }
        // A name that points at itself.
        let mut circle = question.to_bytes(9);
        circle[2] |= 0x80;
        circle[7] = 1;
        circle.extend_from_slice(&[0xc0, circle.len() as u8, 0, 1, 0, 1]);
        assert_eq!(question.read(9, &circle), Reply::Other);
    }

    #[test]
    fn what_is_a_name() {
        let long = format!("{}aaa", "a.".repeat(125));
        for good in ["a", "a-b._c.d9", &long] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "a.", "a b", "\u{e9}", &format!("{long}a"), &"a".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(input in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(12), Just(0xc0), any::<u8>()], 0..90)) {
            fuzz_dns(&input);
        }
    }
}
