//! DNS queries and answers (RFC 1035, RFC 3596, RFC 2782, RFC 6891), each a whole message.
use std::net::{Ipv4Addr, Ipv6Addr};

use super::Turn;
use crate::{MILLISECOND, Rng};

/// Resource record types.
pub mod rtype {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
}

/// The data of a resource record.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(&'a str),
    Ns(&'a str),
    Ptr(&'a str),
    Mx(u16, &'a str),
    Txt(&'a [&'a str]),
    Soa { primary: &'a str, mailbox: &'a str, serial: u32 },
    Srv { priority: u16, weight: u16, port: u16, target: &'a str },
}

/// The EDNS pseudo record.
#[derive(Clone, Copy, Debug)]
pub struct Edns {
    pub payload_size: u16,
    pub dnssec_ok: bool,
}

/// A message with one question. Without `rcode` it is a query.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub id: u16,
    pub name: &'a str,
    pub rtype: u16,
    pub rcode: Option<u8>,
    /// Owner, time to live, data.
    pub answers: &'a [(&'a str, u32, Data<'a>)],
    pub authority: &'a [(&'a str, u32, Data<'a>)],
    pub edns: Option<Edns>,
}

impl<'a> Message<'a> {
    pub const fn query(id: u16, name: &'a str, rtype: u16) -> Self {
        Self { id, name, rtype, rcode: None, answers: &[], authority: &[], edns: None }
    }

    /// The answer to this query.
    #[must_use]
    pub const fn answer(self, rcode: u8, answers: &'a [(&'a str, u32, Data<'a>)]) -> Self {
        Self { rcode: Some(rcode), answers, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        // A recursive query, or the answer of a recursive resolver.
        let bits = self.rcode.map_or(0x0100, |rcode| 0x8180 | u16::from(rcode));
        let counts = [1, self.answers.len() as u16, self.authority.len() as u16, u16::from(self.edns.is_some())];
        let mut out = Vec::with_capacity(128);
        for half in [self.id, bits].into_iter().chain(counts) {
            out.extend(half.to_be_bytes());
        }
        put_name(&mut out, self.name);
        put_halves(&mut out, &[self.rtype, 1]);
        for (owner, ttl, data) in self.answers.iter().chain(self.authority) {
            self.put_record(&mut out, owner, *ttl, data);
        }
        if let Some(edns) = self.edns {
            out.push(0);
            put_halves(&mut out, &[41, edns.payload_size, 0, u16::from(edns.dnssec_ok) << 15, 0]);
        }
        out
    }

    /// The message as TCP carries it: its length first.
    pub fn over_tcp(&self) -> Vec<u8> {
        let message = self.bytes();
        [&(message.len() as u16).to_be_bytes()[..], &message].concat()
    }

    fn put_record(&self, out: &mut Vec<u8>, owner: &str, ttl: u32, data: &Data<'_>) {
        if owner == self.name {
            // A pointer to the question.
            out.extend([0xc0, 12]);
        } else {
            put_name(out, owner);
        }
        put_halves(out, &[data.rtype(), 1, (ttl >> 16) as u16, ttl as u16, 0]);
        let start = out.len();
        data.put(out);
        let length = ((out.len() - start) as u16).to_be_bytes();
        out[start - 2..start].copy_from_slice(&length);
    }
}

impl Data<'_> {
    pub const fn rtype(&self) -> u16 {
        match self {
            Self::A(_) => rtype::A,
            Self::Aaaa(_) => rtype::AAAA,
            Self::Cname(_) => rtype::CNAME,
            Self::Ns(_) => rtype::NS,
            Self::Ptr(_) => rtype::PTR,
            Self::Mx(..) => rtype::MX,
            Self::Txt(_) => rtype::TXT,
            Self::Soa { .. } => rtype::SOA,
            Self::Srv { .. } => rtype::SRV,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::A(address) => out.extend(address.octets()),
            Self::Aaaa(address) => out.extend(address.octets()),
            Self::Cname(name) | Self::Ns(name) | Self::Ptr(name) => put_name(out, name),
            Self::Mx(preference, name) => {
                put_halves(out, &[preference]);
                put_name(out, name);
            }
            Self::Txt(texts) => texts.iter().for_each(|text| put_text(out, text)),
            Self::Soa { primary, mailbox, serial } => {
                put_name(out, primary);
                put_name(out, mailbox);
                // Refresh, retry, expire, minimum.
                for word in [serial, 7200, 900, 1_209_600, 300] {
                    out.extend(word.to_be_bytes());
                }
            }
            Self::Srv { priority, weight, port, target } => {
                put_halves(out, &[priority, weight, port]);
                put_name(out, target);
            }
        }
    }
}

/// Query and answer as turns of a UDP exchange.
pub fn exchange(query: Message<'_>, answer: Message<'_>) -> Vec<Turn> {
    vec![Turn::client(query.bytes()), Turn::server(answer.bytes()).after(8 * MILLISECOND)]
}

/// A lookup as traffic mixes need it: mostly A and AAAA, some that do not exist.
pub fn lookup(rng: &mut Rng) -> Vec<Turn> {
    let name = format!("host{}.dept{}.example.org", rng.below(20_000), rng.below(40));
    let address = Ipv4Addr::new(203, 0, 113, rng.draw() as u8);
    let address6 = Ipv6Addr::new(0x2001, 0xdb8, rng.draw() as u16, 0, 0, 0, 0, rng.draw() as u16);
    let data = match rng.below(20) {
        0..9 => Data::A(address),
        9..16 => Data::Aaaa(address6),
        16 => Data::Mx(10, "mx.example.org"),
        17 => Data::Txt(&["v=spf1 -all"]),
        _ => Data::Ptr("gateway.example.org"),
    };
    let edns = rng.chance(70).then_some(Edns { payload_size: 1232, dnssec_ok: rng.chance(30) });
    let query = Message { edns, ..Message::query(rng.draw() as u16, &name, data.rtype()) };
    let soa = Data::Soa { primary: "ns1.example.org", mailbox: "hostmaster.example.org", serial: 2_020_091_300 };
    let records = [(name.as_str(), 60 + rng.below(86_400) as u32, data)];
    let authority = [("example.org", 300, soa)];
    if rng.chance(12) {
        exchange(query, Message { authority: &authority, ..query.answer(3, &[]) })
    } else {
        exchange(query, query.answer(0, &records))
    }
}

fn put_halves(out: &mut Vec<u8>, halves: &[u16]) {
    halves.iter().for_each(|half| out.extend(half.to_be_bytes()));
}

/// A name without compression.
fn put_name(out: &mut Vec<u8>, name: &str) {
    name.split('.').filter(|label| !label.is_empty()).for_each(|label| put_text(out, label));
    out.push(0);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}
