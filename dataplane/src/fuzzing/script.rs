//! One conversation in front of one plugin (F6, F7): the fuzzer writes the script, whose payload it can cut anywhere and send in
//! either direction.
//!
//! A script is a byte that names the service, then steps: a control byte, a length (16 bits, little endian), so many bytes of payload. The two upper
//! bits of the first length, for which no payload has use, name the page of services.
use super::books::{self, Frames};
use crate::capture::{Frame, LinkType};
use crate::face::Face;
use crate::lane::LaneConfig;
use crate::packet::fuzzing::FACES;
use crate::packet::{Direction, Tunnels, protocol, tcp};
use crate::registry::PluginId;
use record::Time;

/// Protocol and server port that a script's first byte [chooses](service). The client's port is [`CLIENT_PORT`].
pub const SERVICES: [(u8, u16); 53] = [
    (protocol::TCP, 80),
    (protocol::TCP, 443),
    (protocol::TCP, 25),
    (protocol::TCP, 53),
    (protocol::UDP, 53),
    (protocol::UDP, 5060),
    (protocol::TCP, 5060),
    (protocol::UDP, 5353),
    (protocol::ICMP, 0),
    (protocol::TCP, 587),
    (protocol::UDP, 443),
    (protocol::TCP, 8080),
    (protocol::TCP, 5061),
    (protocol::TCP, 22),
    (protocol::UDP, 123),
    (protocol::ICMPV6, 0),
    (protocol::TCP, 88),
    (protocol::UDP, 88),
    (protocol::TCP, 445),
    (protocol::TCP, 3389),
    (protocol::TCP, 139),
    (protocol::TCP, 2222),
    (protocol::TCP, 21),
    (protocol::TCP, 143),
    (protocol::TCP, 110),
    (protocol::TCP, 389),
    (protocol::TCP, 1883),
    (protocol::TCP, 554),
    (protocol::UDP, 137),
    (protocol::UDP, 1900),
    (protocol::UDP, 1194),
    (protocol::UDP, 51820),
    (protocol::UDP, 67),
    (protocol::UDP, 68),
    (protocol::UDP, 546),
    (protocol::UDP, 547),
    (protocol::UDP, 161),
    (protocol::UDP, 162),
    (protocol::UDP, 3478),
    (protocol::TCP, 3478),
    (protocol::TCP, 502),
    (protocol::TCP, 20000),
    (protocol::UDP, 20000),
    (protocol::TCP, 2404),
    (protocol::TCP, 6881),
    (protocol::UDP, 6881),
    (protocol::UDP, 16384),
    (protocol::TCP, 993),
    (protocol::UDP, 4789),
    (protocol::UDP, 2152),
    (protocol::UDP, 1701),
    (protocol::UDP, 6081),
    (protocol::UDP, 3544),
];
/// Services that the first byte tells apart.
const PAGE: usize = 32;
/// The upper byte of the first length.
const PAGE_AT: usize = 3;
/// In the upper byte of a length: what is none of it, and where the page begins.
const LEN_HIGH: u8 = 0x3f;
const PAGE_SHIFT: u32 = 6;
/// Bits of the first byte that choose a service; the lower ones come first.
const SERVICE_LOW: u8 = 0x0f;
const SERVICE_HIGH: u8 = 0x40;
/// Client's port.
pub const CLIENT_PORT: u16 = 40_000;
/// Payload of one step at the most: what a tunnel leaves of a jumbo frame.
pub const PAYLOAD_MAX: usize = 9_000;

/// In the first byte: the frames carry an 802.1Q tag.
pub const TAGGED: u8 = 0x10;
/// In the first byte: a second conversation goes on in between.
pub const DECOY: u8 = 0x20;
/// In the first byte: the frames carry an MPLS label.
pub const LABELLED: u8 = 0x80;
/// In a control byte: from the server.
const REVERSE: u8 = 0x01;
/// In a control byte: the next step of this side has the same place in its stream.
const REPEATED: u8 = 0x80;
/// In a control byte: bits 3 and 4 choose the time since the step before.
const WAITS_MS: [u64; 4] = [1, 1_000, 31_000, 301_000];

/// The script of a conversation, for seeds: (protocol, server port), then payloads with their direction. `None` if no service of
/// [`SERVICES`] is meant, or nothing is said.
pub fn write(service: (u8, u16), steps: &[(Direction, &[u8])]) -> Option<Vec<u8>> {
    let place = SERVICES.iter().position(|s| *s == service)?;
    let (page, number) = ((place / PAGE) as u8, (place % PAGE) as u8);
    let mut script = vec![number & SERVICE_LOW | if number > SERVICE_LOW { SERVICE_HIGH } else { 0 }];
    for (direction, payload) in steps {
        let payload = &payload[..payload.len().min(PAYLOAD_MAX)];
        script.push(if *direction == Direction::Reverse { REVERSE } else { 0 });
        script.extend((payload.len() as u16).to_le_bytes());
        script.extend(payload);
    }
    *script.get_mut(PAGE_AT)? |= page << PAGE_SHIFT;
    Some(script)
}

/// One conversation through a lane with this plugin alone. The books balance, all forms of the records are well formed, and a
/// conversation says the same whether it is alone or another goes on beside it.
pub(crate) fn fuzz_plugin(plugin: PluginId, script: &[u8]) {
    let Some((head, _)) = script.split_first() else { return };
    let alone = packets(script, false);
    for face in FACES {
        // What is inside of tunnels has addresses that the script chose: it may be of any conversation.
        let enters = plugin == PluginId::tunnel;
        let tunnels = if enters { Tunnels::Both } else { Tunnels::Ip };
        let config = LaneConfig { tunnels, ..books::config(&[plugin], face, false) };
        let records = run(&config, &alone);
        // The original's face drops a plugin's last word by how a flow ended, which is a matter of when the sweep came by.
        if head & DECOY != 0 && face == Face::Native && !enters {
            let mut among = run(&config, &packets(script, true));
            among.retain(|record| record.contains("\"10.0.0.1\""));
            assert_eq!(sorted(records), sorted(among), "a conversation beside it shows");
        }
    }
}

/// Records in an order of their own: in which they ended depends on when the sweep came by.
fn sorted(mut records: Vec<String>) -> Vec<String> {
    records.sort_unstable();
    records
}

fn run(config: &LaneConfig, packets: &[(Time, Vec<u8>)]) -> Vec<String> {
    let frames: Vec<Frame<'_>> = packets
        .iter()
        .map(|(at, bytes)| Frame {
            bytes,
            wire_len: bytes.len() as u32,
            at: *at,
            link: LinkType::Ethernet,
            ..Frame::default()
        })
        .collect();
    books::run(config, &mut Frames::new(&frames, 7))
}

/// The packets of a script; with `decoy`, each has a twin with its payload reversed that belongs to another conversation.
fn packets(script: &[u8], decoy: bool) -> Vec<(Time, Vec<u8>)> {
    let Some((head, mut steps)) = script.split_first() else { return Vec::new() };
    let service = service(script);
    let mut out = Vec::new();
    let mut at_ms = 1_600_000_000_000;
    let mut sequences = [1u32; 2];
    while let [control, low, high, rest @ ..] = steps {
        let len = usize::from(u16::from_le_bytes([*low, *high & LEN_HIGH])).min(PAYLOAD_MAX).min(rest.len());
        let (payload, next) = rest.split_at(len);
        steps = next;
        at_ms += WAITS_MS[usize::from(control >> 3 & 3)];
        let at = Time(at_ms * 1_000_000);
        let side = &mut sequences[usize::from(control & REVERSE)];
        let sequence = *side;
        // A step that is sent again, now and then.
        *side = if control & REPEATED != 0 { sequence } else { sequence.wrapping_add(len as u32) };
        out.push((at, ethernet(*head, service, *control, 1, sequence, payload)));
        if decoy {
            let reversed: Vec<u8> = payload.iter().rev().copied().collect();
            out.push((at, ethernet(*head, service, *control, 3, sequence, &reversed)));
        }
    }
    out
}

fn service(script: &[u8]) -> (u8, u16) {
    let byte = |at: usize| script.get(at).copied().unwrap_or_default();
    let high = if byte(0) & SERVICE_HIGH != 0 { SERVICE_LOW + 1 } else { 0 };
    let number = usize::from(byte(0) & SERVICE_LOW | high);
    SERVICES.get(usize::from(byte(PAGE_AT) >> PAGE_SHIFT) * PAGE + number).copied().unwrap_or(SERVICES[number])
}

/// IPv4 from 10.0.0.`client` to the host after it, or back.
fn ethernet(head: u8, (protocol, port): (u8, u16), control: u8, client: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let back = control & REVERSE != 0;
    let (src, dst) = if back { (client + 1, client) } else { (client, client + 1) };
    let (src_port, dst_port) = if back { (port, CLIENT_PORT) } else { (CLIENT_PORT, port) };
    let mut bytes = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src];
    if head & TAGGED != 0 {
        // The same for all packets: an id is part of the key, and more flows than two would displace each other.
        bytes.extend([0x81, 0, 0x0f, head]);
    }
    match head & LABELLED {
        0 => bytes.extend([8, 0]),
        // Label 5, bottom of the stack.
        _ => bytes.extend([0x88, 0x47, 0, 0, 0x51, 64]),
    }
    let l4_len = match protocol {
        protocol::TCP => 20,
        protocol::UDP => 8,
        _ => 0,
    };
    let ip_len = (20 + l4_len + payload.len()) as u16;
    bytes.extend([0x45, 0, (ip_len >> 8) as u8, ip_len as u8, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    bytes.extend([10, 0, 0, src, 10, 0, 0, dst]);
    if l4_len > 0 {
        bytes.extend(src_port.to_be_bytes());
        bytes.extend(dst_port.to_be_bytes());
    }
    match protocol {
        protocol::TCP => {
            bytes.extend(sequence.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 0x50, flags(control), 2, 0, 0, 0, 0, 0]);
        }
        protocol::UDP => bytes.extend([(ip_len - 20).to_be_bytes(), [0, 0]].concat()),
        _ => {}
    }
    bytes.extend(payload);
    bytes
}

/// TCP flags of a step: ACK always, others by bits of the control byte.
fn flags(control: u8) -> u8 {
    let bit = |mask: u8, flag: u8| if control & mask != 0 { flag } else { 0 };
    tcp::ACK | bit(0x02, tcp::FIN) | bit(0x04, tcp::SYN) | bit(0x20, tcp::RST) | bit(0x40, tcp::PSH)
}
