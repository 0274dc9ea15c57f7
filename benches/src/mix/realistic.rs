//! A research network as its probe sees it: many short dialogs, few elephants that carry most bytes, all interleaved.
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::CaptureSink;
use super::endpoints::endpoints;
use super::stage::Stage;
use crate::dialog::{
    Carrier, Datagrams, Dialog, Ending, Host, Route, Side, TcpSession, Turn, Wrap, dns, http, icmp, quic, sip, smtp,
    tls,
};
use crate::frame::Frame;
use crate::{MICROSECOND, MILLISECOND, Nanos, Rng, SECOND};

/// 5000 new flows in a second.
const ARRIVAL_GAP: Nanos = 200 * MICROSECOND;
/// Of the smallest transfers, in bytes, before the controller moves it.
const BASE_BYTES: u64 = 260;
/// A kind that is a scan.
const SCAN: u64 = 840;
/// The largest transfer is 2^16 times the smallest.
const OCTAVES_MAX: u32 = 16;

/// Opens flows at random times and always writes the earliest packet of all that are alive; stops at `packets`.
pub(super) fn write<W: Write>(seed: u64, packets: u64, flows: u64, sink: &mut CaptureSink<W>) -> io::Result<()> {
    let mut mix = Mix { rng: Rng::new(seed), packets, flows, opened: 0, planned: 0 };
    let mut stage = Stage::new();
    let mut frame = Frame::new();
    let (mut now, mut arrival) = (0, 0);
    while sink.totals.packets < packets {
        let next = stage.due();
        let due = mix.opened < flows && next.is_none_or(|next| arrival <= next);
        // All flows were told and packets are missing: one more flow fills the gap.
        if due || next.is_none() {
            let at = arrival.max(now);
            arrival = at + mix.rng.below(2 * ARRIVAL_GAP);
            let talk = if mix.opened < flows { mix.open() } else { mix.fill(packets - sink.totals.packets) };
            stage.enter(at, talk);
            continue;
        }
        let Some((at, first)) = stage.tell(&mut frame) else { continue };
        now = at;
        sink.packet(at, &frame)?;
        sink.totals.flows += u64::from(first);
    }
    Ok(())
}

/// The same flows without end, for who wants to put others between them: when each begins, `gap` apart on average. `flows` and 12 packets
/// for each of them are what the lengths of transfers aim at.
pub(crate) fn background(seed: u64, flows: u64, gap: Nanos) -> impl Iterator<Item = (Nanos, Transport)> {
    let mut mix = Mix { rng: Rng::new(seed), packets: 12 * flows, flows, opened: 0, planned: 0 };
    let mut arrival = 0;
    std::iter::from_fn(move || {
        arrival += mix.rng.below(2 * gap);
        Some((arrival, mix.open()))
    })
}

/// What carries a flow.
pub(crate) enum Transport {
    Tcp(Box<TcpSession>),
    Datagrams(Datagrams),
}

impl Dialog for Transport {
    fn gap(&mut self) -> Option<Nanos> {
        match self {
            Transport::Tcp(session) => session.gap(),
            Transport::Datagrams(datagrams) => datagrams.gap(),
        }
    }

    fn packet(&mut self, frame: &mut Frame) {
        match self {
            Transport::Tcp(session) => session.packet(frame),
            Transport::Datagrams(datagrams) => datagrams.packet(frame),
        }
    }
}

/// What the flows are drawn from.
struct Mix {
    rng: Rng,
    packets: u64,
    flows: u64,
    opened: u64,
    /// Packets that the opened flows will have, by estimate.
    planned: u64,
}

impl Mix {
    /// Draws the next flow: who, what, how much.
    fn open(&mut self) -> Transport {
        let content = self.content();
        // Too many packets for the flows that are still to come: only scans are short enough.
        let kind = if content.is_some() { self.rng.below(1000) } else { SCAN };
        let content = content.unwrap_or(0);
        let v6 = self.rng.chance(20);
        let number = self.opened;
        self.opened += 1;
        let rng = &mut self.rng;
        let carrier = match kind {
            0..330 => datagrams(rng, route(number, 53, v6), dns::lookup),
            330..580 => session(rng, route(number, 443, v6), |rng| tls::connection(rng, content)),
            580..660 => {
                let port = rng.pick(&[80, 80, 8080]);
                session(rng, route(number, port, v6), |rng| http::visit(rng, content))
            }
            660..740 => datagrams(rng, route(number, 443, v6), |rng| quic::connection(rng, content.max(64))),
            740..790 => {
                let port = rng.pick(&[873, 2811, 9000, 50_010]);
                session(rng, route(number, port, v6), |rng| bulk(rng, 4 * content))
            }
            790..840 => session(rng, route(number, 22, v6), interactive),
            SCAN..900 => unanswered(rng, number, v6),
            900..960 => {
                let port = rng.pick(&[3478, 6881, 27_015, 50_000]);
                datagrams(rng, route(number, port, v6), |rng| bulk(rng, content / 2))
            }
            960..980 => ping(rng, number, v6),
            980..992 => session(rng, route(number, 25, v6), |rng| smtp::delivery(rng, content.min(100_000) as usize)),
            _ => {
                let (client, server) = endpoints(number, 5060, false);
                let contact = format!("{}:{}", client.ip, client.port);
                datagrams(rng, tagged(client, server), |rng| sip::talk(rng, &contact))
            }
        };
        self.planned += estimate(&carrier);
        carrier
    }

    /// A transfer of about so many packets.
    fn fill(&mut self, missing: u64) -> Transport {
        let number = self.opened;
        self.opened += 1;
        session(&mut self.rng, route(number, 873, false), |rng| bulk(rng, missing * 1000))
    }

    /// Bytes of a transfer: each doubling is half as likely, so every octave carries as much (Pareto with exponent 1). The base
    /// follows what is still missing, so that packets and flows both come out as asked; `None` when the flows had too much already.
    fn content(&mut self) -> Option<u64> {
        let wanted = (u128::from(self.packets) * u128::from(self.opened) / u128::from(self.flows)) as i64;
        let window = (self.packets / 50 + 100) as i64;
        let push = (wanted - self.planned as i64).min(window * 4);
        if push < -window {
            return None;
        }
        // Some 7 packets of a flow carry no transfer; at 12 packets a flow the base is as it stands above.
        let tenths = (self.packets * 10 / self.flows).saturating_sub(70).max(5);
        let base = BASE_BYTES * tenths / 50 * (window + push) as u64 / window as u64;
        let octave = self.rng.draw().leading_zeros().min(OCTAVES_MAX);
        let low = base.max(16) << octave;
        // Nothing is longer than a twentieth of the capture, or small captures would be one elephant.
        Some(self.rng.between(low, 2 * low).min(self.packets * 40))
    }
}

fn route(number: u64, port: u16, v6: bool) -> Route {
    let (client, server) = endpoints(number, port, v6);
    tagged(client, server)
}

/// Every seventh port is behind a trunk with four VLANs.
fn tagged(client: Host, server: Host) -> Route {
    let id = 100 + 10 * (client.port % 4);
    let trunk = client.port.is_multiple_of(7);
    let route = Route::new(client, server);
    if trunk { route.wrap(Wrap::Vlan { tpid: 0x8100, id }) } else { route }
}

/// A TCP connection with a round trip, pace, segment size, and now and then a fault of its own.
fn session(rng: &mut Rng, route: Route, talk: impl FnOnce(&mut Rng) -> Vec<Turn>) -> Transport {
    let mut session = TcpSession::new(route, paused(rng, talk));
    session.rtt = rng.between(1, 60) * MILLISECOND;
    session.pace = rng.pick(&[15, 40, 150, 600]) * MICROSECOND;
    session.segment = rng.pick(&[1448, 1448, 1448, 1428, 1368]);
    session.timestamps = rng.chance(80);
    session.isn = [rng.draw() as u32, rng.draw() as u32];
    session.ending = rng.pick(&[Ending::Fin, Ending::Fin, Ending::Fin, Ending::Fin, Ending::Rst, Ending::Open]);
    session.retransmit = rng.chance(3).then_some(rng.below(6) as u32);
    session.route.ip_id = rng.draw() as u16;
    Transport::Tcp(Box::new(session))
}

fn datagrams(rng: &mut Rng, route: Route, talk: impl FnOnce(&mut Rng) -> Vec<Turn>) -> Transport {
    let mut exchange = Datagrams::udp(route, talk(rng));
    exchange.carrier = Carrier::Udp { datagram: rng.pick(&[1350, 1200, 1200, 500]) };
    exchange.pace = rng.pick(&[15, 60, 300]) * MICROSECOND;
    Transport::Datagrams(exchange)
}

/// A scan, or a server that is gone.
fn unanswered(rng: &mut Rng, number: u64, v6: bool) -> Transport {
    let port = rng.pick(&[22, 23, 445, 3389]);
    let mut session = TcpSession::new(route(number, port, v6), Vec::new()).ending(Ending::Unanswered);
    session.isn[0] = rng.draw() as u32;
    Transport::Tcp(Box::new(session))
}

fn ping(rng: &mut Rng, number: u64, v6: bool) -> Transport {
    let carrier = if v6 { Carrier::Icmpv6 } else { Carrier::Icmp };
    // A key without ports needs addresses of its own.
    let (client, server): (IpAddr, IpAddr) = if v6 {
        let [a, b, c, d] = (number as u32).to_be_bytes().map(u16::from);
        let client = Ipv6Addr::new(0x2001, 0xdb8, 0xfffe, 0, a, b, c, d);
        (client.into(), Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1).into())
    } else {
        let client = u32::from(Ipv4Addr::new(198, 18, 0, 0)) | number as u32 & 0x1_ffff;
        (Ipv4Addr::from(client).into(), Ipv4Addr::new(203, 0, 113, (number >> 17) as u8).into())
    };
    let count = rng.between(1, 4) as u16;
    Transport::Datagrams(Datagrams::new(
        Route::new(Host::new(client, 0), Host::new(server, 0)),
        carrier,
        icmp::ping(v6, number as u16, count),
    ))
}

/// A transfer either way.
fn bulk(rng: &mut Rng, bytes: u64) -> Vec<Turn> {
    let from = if rng.chance(60) { Side::Server } else { Side::Client };
    vec![Turn::filler(from.other(), rng.between(20, 200)), Turn::filler(from, bytes)]
}

/// Someone types: small packets both ways.
fn interactive(rng: &mut Rng) -> Vec<Turn> {
    let strokes = rng.between(5, 40);
    (0..strokes)
        .flat_map(|_| [Turn::filler(Side::Client, 36), Turn::filler(Side::Server, rng.between(36, 180))])
        .collect()
}

/// Some people think for seconds, most programs do not.
fn paused(rng: &mut Rng, talk: impl FnOnce(&mut Rng) -> Vec<Turn>) -> Vec<Turn> {
    let mut turns = talk(rng);
    for turn in &mut turns {
        if turn.side == Side::Client && rng.chance(40) {
            turn.pause += rng.below(2 * SECOND);
        }
    }
    turns
}

/// Packets of a flow: TCP pays handshake, ending and half an acknowledgement for each segment.
fn estimate(carrier: &Transport) -> u64 {
    match carrier {
        Transport::Tcp(session) if session.ending == Ending::Unanswered => 1,
        Transport::Tcp(session) => {
            let segment = u64::from(session.segment);
            6 + session.turns.iter().map(|turn| turn.body.len().div_ceil(segment) * 3 / 2).sum::<u64>()
        }
        Transport::Datagrams(datagrams) => {
            let Carrier::Udp { datagram } = datagrams.carrier else { return datagrams.turns.len() as u64 };
            datagrams.turns.iter().map(|turn| turn.body.len().div_ceil(u64::from(datagram)).max(1)).sum()
        }
    }
}
