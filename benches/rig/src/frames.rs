//! Frames as the generator's profiles have them, and frames of one kind for the decoder.
use crate::empty;
use benches::dialog::{Host, Route, Side, Wrap};
use benches::frame::Tcp;
use benches::{Frame, MICROSECOND, Nanos, Profile, Rng, write_capture};
use dataplane::capture::memory::MemorySource;
use dataplane::capture::{self, LinkType, OpenOptions, open_reader};
use record::Time;
use std::io::Cursor;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of the generator's captures, with seed 1.
pub fn profile(profile: Profile, packets: u64, flows: u64) -> MemorySource {
    let mut pcap = Vec::new();
    write_capture(profile, packets, flows, 1, &mut pcap).expect("memory takes all");
    let mut source = empty();
    source
        .fill(&mut open_reader("memory", Cursor::new(pcap), OpenOptions::default()))
        .expect("the generator writes good captures");
    source
}

/// What the decoder is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 64 bytes, IPv4, half TCP and half UDP.
    V4,
    /// The same with IPv6: as short as its headers let it be.
    V6,
    /// IPv4 with one 802.1Q tag.
    Vlan,
    /// A fifth IPv6, a tenth tagged, sizes as on a network.
    Mixed,
}

impl Kind {
    pub const ALL: [(Kind, &'static str); 4] =
        [(Kind::V4, "v4"), (Kind::V6, "v6"), (Kind::Vlan, "vlan"), (Kind::Mixed, "mixed")];

    pub fn frames(self, count: u64) -> MemorySource {
        let mut rng = Rng::new(1);
        let (mut source, mut frame) = (empty(), Frame::new());
        for number in 0..count {
            let (v6, tagged, payload) = match self {
                Kind::V4 => (false, false, 6),
                Kind::V6 => (true, false, 6),
                Kind::Vlan => (false, true, 6),
                Kind::Mixed => (rng.chance(20), rng.chance(10), rng.pick(&[20, 20, 60, 200, 500, 1000, 1400, 1400])),
            };
            let (client, server) = (host(v6, rng.draw() as u32 % (1 << 17), 40_000), host(v6, 1, 443));
            let mut route = Route::new(client, server);
            if tagged {
                route = route.wrap(Wrap::Vlan { tpid: 0x8100, id: 100 });
            }
            let side = if rng.chance(50) { Side::Client } else { Side::Server };
            route.open(side, &mut frame);
            let (from, to) = route.ends(side);
            if rng.chance(50) {
                frame.tcp(&Tcp::new(from.port, to.port, benches::frame::flags::ACK));
            } else {
                frame.udp(from.port, to.port);
            }
            frame.filler(number, payload).finish();
            frame.pad(60);
            push(&mut source, number * MICROSECOND, frame.bytes());
        }
        source
    }
}

fn host(v6: bool, number: u32, port: u16) -> Host {
    let ip: IpAddr = if v6 {
        Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number)).into()
    } else {
        Ipv4Addr::from(0xc612_0000 | number).into()
    };
    Host::new(ip, port)
}

/// Adds an Ethernet frame `at` after the beginning.
pub(crate) fn push(source: &mut MemorySource, at: Nanos, bytes: &[u8]) {
    source.push(&capture::Frame {
        bytes,
        wire_len: bytes.len() as u32,
        at: Time(benches::EPOCH + at),
        link: LinkType::Ethernet,
        ..capture::Frame::default()
    });
}
