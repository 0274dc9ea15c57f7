//! The file around the packets: link types, byte orders, resolutions, cut and broken packets.
use super::tape::{CLIENT, SERVER, Tape, route, route6, talk};
use super::{Case, Flows, clean};
use crate::dialog::{Datagrams, Link, TcpSession};
use crate::frame::{Frame, Ipv4, Tcp, flags};
use crate::pcap::{Format, link};
use crate::pcapng::PcapngWriter;
use crate::{MILLISECOND, Nanos};

/// A TCP connection over IPv4 and a UDP exchange over IPv6, the same in every file here.
const PAIR: Flows = Flows::new(2, 4);

pub(super) const CASES: &[Case] = &[
    clean("sll", "Linux cooked capture", (16, 9688), PAIR, || cooked(Link::Sll, link::LINUX_SLL)),
    clean("sll2", "Linux cooked capture, version 2", (16, 9752), PAIR, || cooked(Link::Sll2, link::LINUX_SLL2)),
    clean("raw_ip", "no link header at all", (16, 9432), PAIR, || cooked(Link::RawIp, link::RAW)),
    clean("null", "BSD loopback, family in little endian", (16, 9496), PAIR, || {
        cooked(Link::Null { big_endian: false }, link::NULL)
    }),
    clean("loop", "OpenBSD loopback, family in network byte order", (16, 9496), PAIR, || {
        cooked(Link::Loop, link::LOOP)
    }),
    clean("nanoseconds", "nanosecond timestamps: packets 1 ns apart keep their distance", (16, 9656), PAIR, || {
        shifted(1).pcap(Format { nanoseconds: true, ..Format::default() })
    }),
    clean("big_endian", "written on a big-endian machine", (16, 9656), PAIR, || {
        pair(Link::Ethernet).pcap(Format { big_endian: true, ..Format::default() })
    }),
    clean("snaplen", "packets cut to 96 bytes: counters follow the wire, payloads the file", (16, 9656), PAIR, || {
        pair(Link::Ethernet).pcap(Format { snaplen: 96, ..Format::default() })
    }),
    clean(
        "pcapng_two_interfaces",
        "pcapng, big endian: Ethernet in microseconds, raw IP in nanoseconds",
        (16, 9600),
        PAIR,
        || pcapng(true),
    ),
    clean("pcapng_little", "pcapng, little endian, the same two interfaces", (16, 9600), PAIR, || pcapng(false)),
    Case {
        name: "malformed",
        about: "one good connection among ARP, LLDP, truncated frames, wrong lengths, versions, offsets and label stacks",
        packets: 35,
        wire_bytes: 6191,
        // What a broken packet counts for is the decoder's decision: the good connection is what must survive.
        flows: Flows::new(1, 2),
        clean: false,
        build: malformed,
    },
];

fn pair(link: Link) -> Tape {
    let mut tape = Tape::new();
    tape.play(0, TcpSession::new(route(40001, 8001).link(link), talk()));
    tape.play(5 * MILLISECOND, Datagrams::udp(route6(40002, 7000).link(link), talk()));
    tape
}

fn cooked(link: Link, number: u32) -> Vec<u8> {
    pair(link).pcap(Format { link: number, ..Format::default() })
}

/// The pair with packet number n moved by n times `step`, so that times have digits below the microsecond.
fn shifted(step: Nanos) -> Tape {
    let mut tape = Tape::new();
    for (number, (at, bytes)) in pair(Link::Ethernet).packets().into_iter().enumerate() {
        tape.packet(at - crate::EPOCH + number as u64 * step, bytes);
    }
    tape
}

fn pcapng(big_endian: bool) -> Vec<u8> {
    let write = || {
        let mut file = PcapngWriter::new(Vec::new(), big_endian)?;
        let interfaces = [file.interface(1, 262_144, 6)?, file.interface(101, 262_144, 9)?];
        for (at, bytes) in pair(Link::Ethernet).packets() {
            // IPv6 arrives on the raw interface, without its Ethernet header.
            let raw = bytes[12..14] == [0x86, 0xdd];
            file.packet(interfaces[usize::from(raw)], at, if raw { &bytes[14..] } else { &bytes })?;
        }
        file.finish()
    };
    write().expect("a Vec takes every write")
}

fn malformed() -> Vec<u8> {
    let mut tape = Tape::new();
    let end = tape.play(0, TcpSession::new(route(40001, 8001), talk()));
    for (number, bytes) in broken().into_iter().enumerate() {
        tape.packet(end + (1 + number as u64) * MILLISECOND, bytes);
    }
    tape.plain()
}

/// Each frame is wrong in one way.
fn broken() -> Vec<Vec<u8>> {
    let good = ethernet().ipv4(&Ipv4::new(CLIENT, SERVER)).udp(666, 7000).payload(b"0123456789").finish().to_vec();
    let syn = ethernet().ipv4(&Ipv4::new(CLIENT, SERVER)).tcp(&Tcp::new(666, 8001, flags::SYN)).finish().to_vec();
    let changed = |frame: &[u8], at: usize, bytes: &[u8]| {
        let mut frame = frame.to_vec();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let six = ethernet().ethertype(0x86dd).payload(&[0x60, 0, 0, 0]).bytes().to_vec();
    // Hop-by-hop headers that lead only to each other until the frame ends.
    let mut chain = ethernet();
    chain.ethertype(0x86dd).payload(&[0x60, 0, 0, 0, 0, 80, 0, 64]).payload(&[0x20; 32]).payload(&[0; 80]);
    let mut labels = ethernet();
    labels.ethertype(0x8847).payload(&[0; 40]);
    let mut tags = ethernet();
    tags.vlan(0x8100, 1).vlan(0x8100, 2).vlan(0x8100, 3);
    let mut arp = ethernet();
    arp.ethertype(0x0806).payload(&[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 0, 2, 10]);
    arp.payload(&[0, 0, 0, 0, 0, 0, 198, 51, 100, 20]).pad(60);
    let mut lldp = ethernet();
    lldp.ethertype(0x88cc).payload(&[2, 7, 4, 2, 0, 0, 0, 0, 1, 4, 2, 7, b'1', 6, 2, 0, 120, 0, 0]).pad(60);
    vec![
        arp.bytes().to_vec(),
        lldp.bytes().to_vec(),
        // Nothing, half an Ethernet header, half an IPv4 header, half a UDP header.
        Vec::new(),
        good[..7].to_vec(),
        good[..24].to_vec(),
        good[..38].to_vec(),
        // IPv4: version 5, header of 16 bytes, header of 60 bytes that is not there, total length 0, below the header, beyond the frame.
        changed(&good, 14, &[0x55]),
        changed(&good, 14, &[0x44]),
        changed(&good[..42], 14, &[0x4f]),
        changed(&good, 16, &[0, 0]),
        changed(&good, 16, &[0, 19]),
        changed(&good, 16, &[0xff, 0xff]),
        // A later fragment that would end beyond 65535 bytes.
        changed(&good, 20, &[0x1f, 0xff]),
        // UDP: length below its header, length beyond the packet, wrong checksum.
        changed(&good, 38, &[0, 4]),
        changed(&good, 38, &[0xff, 0xff]),
        changed(&good, 40, &[0xde, 0xad]),
        // TCP: header of 0 bytes, header longer than the segment, cut before its options.
        changed(&syn, 46, &[0x00]),
        changed(&syn, 46, &[0xf0]),
        syn[..44].to_vec(),
        six,
        chain.bytes().to_vec(),
        labels.bytes().to_vec(),
        tags.bytes().to_vec(),
    ]
}

fn ethernet() -> Frame {
    let mut frame = Frame::new();
    frame.ethernet([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    frame
}
