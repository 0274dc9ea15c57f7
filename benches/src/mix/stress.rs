//! The two captures that hurt a flow cache: tiny packets over many flows, and nothing but new flows.
use std::io::{self, Write};

use super::CaptureSink;
use super::endpoints::endpoints;
use crate::dialog::{Host, Route, Side};
use crate::frame::{Frame, Tcp, flags, option};
use crate::{MICROSECOND, Rng};

/// Ethernet, IPv4 and UDP headers take 42 of the 64 bytes.
const SMALL_PAYLOAD_BYTES: usize = 22;
/// Shorter frames are padded by the network card.
const ETHERNET_MIN_BYTES: usize = 60;

/// The first packets visit each flow once, so that their number is exact; the others go anywhere, a third of them backwards.
pub(super) fn small64<W: Write>(seed: u64, packets: u64, flows: u64, sink: &mut CaptureSink<W>) -> io::Result<()> {
    let mut rng = Rng::new(seed);
    let mut frame = Frame::new();
    for number in 0..packets {
        let fresh = number < flows;
        let flow = if fresh { number } else { rng.below(flows) };
        let side = if fresh || rng.below(3) > 0 { Side::Client } else { Side::Server };
        open(flow, 7000, side, &mut frame, |from, to, frame| frame.udp(from.port, to.port));
        frame.filler(number, SMALL_PAYLOAD_BYTES).finish();
        sink.packet(number * MICROSECOND, &frame)?;
    }
    sink.totals.flows = flows.min(packets);
    Ok(())
}

/// `goes_on` gets the number of packets so far.
pub(super) fn syn<W: Write>(
    seed: u64,
    mut goes_on: impl FnMut(u64) -> bool,
    sink: &mut CaptureSink<W>,
) -> io::Result<()> {
    let mut rng = Rng::new(seed);
    let mut frame = Frame::new();
    for number in (0..).take_while(|number| goes_on(*number)) {
        let (port, sequence) = (rng.pick(&[22, 23, 80, 443, 445, 3389]), rng.draw() as u32);
        open(number, port, Side::Client, &mut frame, |from, to, frame| {
            let header = Tcp::new(from.port, to.port, flags::SYN);
            frame.tcp(&Tcp { sequence, options: &option::mss(1460), ..header })
        });
        frame.finish();
        frame.pad(ETHERNET_MIN_BYTES);
        sink.packet(number * MICROSECOND, &frame)?;
    }
    sink.totals.flows = sink.totals.packets;
    Ok(())
}

/// Headers of a packet of flow `number` up to the transport, which `close` appends.
fn open<'f>(
    number: u64,
    port: u16,
    side: Side,
    frame: &'f mut Frame,
    close: impl FnOnce(&Host, &Host, &'f mut Frame) -> &'f mut Frame,
) {
    let (client, server) = endpoints(number, port, false);
    let mut route = Route::new(client, server);
    route.ip_id = number as u16;
    route.open(side, frame);
    let (from, to) = route.ends(side);
    close(from, to, frame);
}
