//! communityid: the Community ID of a flow, version 1 (github.com/corelight/community-id-spec): a text that Zeek, Suricata, Arkime and others make of
//! the same packets, so that what they say of a connection can be joined.
//!
//! SHA-1 of seed, addresses, protocol, a zero and ports, the smaller end first, so both directions have one. It is made of the flow's first
//! packet: a type of ICMP is in no flow's key, and whatever is exported of a flow later would have to be kept until then anyway.
//! VLANs and tunnels are no part of it. Fragments whose first one was not seen have ports 0.
use crate::face::Face;
use crate::flow::Flow;
use crate::flow::key::Endpoint;
use crate::packet::{Direction, protocol};
use crate::plugin::options::{number, split};
use crate::plugin::{Context, Layer, OptionError, Plugin, PluginOption, Slots, Step, Takes, put_text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use record::element::cesnet;
use record::{Text, record};
use sha1::{Digest, Sha1};
use std::net::IpAddr;

record! {
    /// Community ID of the flow.
    pub struct CommunityIdRecord = "communityid" {
        /// `1:` and the Base64 form of a SHA-1, as version 1 of the Community ID specification has it. Of ICMP by the first packet's type and code.
        community_id: Text<ID_LEN>, ipfix cesnet::communityId, unirec "COMMUNITY_ID";
    }
}

/// Version, colon, 20 bytes in Base64.
const ID_LEN: usize = VERSION.len() + HASH_LEN;
const HASH_LEN: usize = 28;
const VERSION: &[u8] = b"1:";

pub struct CommunityId {
    seed: u16,
}

impl Plugin for CommunityId {
    type Record = CommunityIdRecord;
    type State = ();

    const LAYER: Layer = Layer::Stat;
    const OPTIONS: &'static [PluginOption] = &[PluginOption {
        short: "s",
        long: "seed",
        takes: Takes::Number { least: 0, most: u16::MAX as u32, default: 0 },
        about: "seed of the hash; all programs whose ids are joined have the same",
    }];

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        let mut seed = 0;
        for option in options {
            let (name, value) = split(option);
            match name {
                "s" | "seed" => {
                    let bad = |_| OptionError::BadValue(name.into(), value.unwrap_or_default().into());
                    seed = number(name, value)?.try_into().map_err(bad)?;
                }
                _ => return Err(OptionError::Unknown((*option).to_string())),
            }
        }
        Ok(CommunityId { seed })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            let tuple = Tuple::of(ctx.flow, ctx.direction, ctx.packet.payload());
            slot.record.community_id.set(&tuple.id(self.seed));
        }
        Step::Done
    }

    fn text(record: &CommunityIdRecord, out: &mut String) {
        out.push_str("community_id=\"");
        put_text(out, record.community_id.as_bytes());
        out.push('"');
    }
}

/// What is hashed, the source first.
struct Tuple {
    protocol: u8,
    src: Endpoint,
    dst: Endpoint,
    /// Whether the ends keep their order: a message of ICMP that nobody answers.
    is_one_way: bool,
}

impl Tuple {
    /// `payload`: of the packet that begins the flow, which goes in this direction.
    fn of(flow: &Flow, direction: Direction, payload: &[u8]) -> Tuple {
        let (src, dst) = flow.endpoints();
        let protocol = flow.key().protocol();
        let mut tuple = Tuple { protocol, src, dst, is_one_way: false };
        if let protocol::ICMP | protocol::ICMPV6 = protocol {
            if direction == Direction::Reverse {
                std::mem::swap(&mut tuple.src, &mut tuple.dst);
            }
            let [kind, code] = payload.first_chunk().copied().unwrap_or_default();
            let counterpart = if protocol == protocol::ICMP { answered(kind) } else { answered_v6(kind) };
            // Type and counterpart stand for ports; without a counterpart type and code.
            tuple.src.port = kind.into();
            tuple.dst.port = counterpart.unwrap_or(code).into();
            tuple.is_one_way = counterpart.is_none();
        }
        tuple
    }

    fn id(&self, seed: u16) -> [u8; ID_LEN] {
        let mut hash = Sha1::new();
        hash.update(seed.to_be_bytes());
        let is_ordered = (self.src.ip, self.src.port) <= (self.dst.ip, self.dst.port);
        let (first, second) = if self.is_one_way || is_ordered { (self.src, self.dst) } else { (self.dst, self.src) };
        for end in [first, second] {
            match end.ip {
                IpAddr::V4(ip) => hash.update(ip.octets()),
                IpAddr::V6(ip) => hash.update(ip.octets()),
            }
        }
        hash.update([self.protocol, 0]);
        if has_ports(self.protocol) {
            hash.update(first.port.to_be_bytes());
            hash.update(second.port.to_be_bytes());
        }
        let mut id = [0; ID_LEN];
        let (version, text) = id.split_at_mut(VERSION.len());
        version.copy_from_slice(VERSION);
        // 20 bytes are 28 letters, which is the room there is.
        let written = STANDARD.encode_slice(hash.finalize(), text);
        debug_assert_eq!(written, Ok(HASH_LEN));
        id
    }
}

/// Whether ports are hashed.
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP | protocol::ICMPV6)
}

/// The type of ICMP (RFC 792, RFC 950, RFC 1256) that answers this one, or that this one answers.
fn answered(kind: u8) -> Option<u8> {
    Some(match kind {
        0 => 8,
        8 => 0,
        9 => 10,
        10 => 9,
        13 => 14,
        14 => 13,
        15 => 16,
        16 => 15,
        17 => 18,
        18 => 17,
        _ => return None,
    })
}

/// The same for ICMPv6 (RFC 4443, RFC 2710, RFC 4861, RFC 4620, RFC 6275).
fn answered_v6(kind: u8) -> Option<u8> {
    Some(match kind {
        128 => 129,
        129 => 128,
        130 => 131,
        131 => 130,
        133 => 134,
        134 => 133,
        135 => 136,
        136 => 135,
        139 => 140,
        140 => 139,
        144 => 145,
        145 => 144,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
