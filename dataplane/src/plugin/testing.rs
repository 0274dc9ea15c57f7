//! One flow through one plugin, with the packet order of the flow cache (spec/exporter.md 9.4 and 9.5), for unit tests of plugins.
//!
//! Forward packets go from 10.0.0.1 to 10.0.0.2, one millisecond apart. A flushed flow is exported without [`Plugin::end`], as the
//! original does; [`Harness::records`] ends the live one in the regular way.
use super::{Context, NONE, Plugin, Pool, Slab, Slots, Step};
use crate::face::Face;
use crate::flow::{Flow, FlowKey};
use crate::packet::{Direction, Packet, PacketView, protocol};
use record::Time;

/// Slots at the most.
const FLOWS_MAX: usize = 64;

pub(crate) struct Harness<P: Plugin> {
    plugin: P,
    pool: Pool<P>,
    slab: Slab,
    head: u32,
    flow: Option<Flow>,
    interested: bool,
    eager: bool,
    exported: Vec<P::Record>,
    clock_ms: u64,
}

impl<P: Plugin> Harness<P> {
    pub(crate) fn new(face: Face) -> Self {
        Self::with_options(&[], face)
    }

    pub(crate) fn with_options(options: &[&str], face: Face) -> Self {
        let plugin = P::new(options, face).unwrap_or_else(|e| panic!("test options: {e}"));
        let mut slab = Slab::default();
        slab.reserve(FLOWS_MAX * Pool::<P>::CHUNK_LEN_MAX);
        Harness {
            plugin,
            pool: Pool::new(FLOWS_MAX),
            slab,
            head: NONE,
            flow: None,
            interested: true,
            eager: false,
            exported: Vec::new(),
            clock_ms: 0,
        }
    }

    /// The plugin itself.
    pub(crate) fn plugin(&mut self) -> &mut P {
        &mut self.plugin
    }

    /// Lets time go by before the next packet.
    pub(crate) fn pause(&mut self, ms: u64) {
        self.clock_ms += ms;
    }

    /// One packet with this payload. Ports are the packet's own: swap them for [`Direction::Reverse`].
    pub(crate) fn packet(
        &mut self,
        direction: Direction,
        src_port: u16,
        dst_port: u16,
        protocol: u8,
        payload: &[u8],
    ) -> Step {
        let (packet, bytes) = frame(direction, src_port, dst_port, protocol, &[], payload);
        self.frame(direction, packet, &bytes)
    }

    /// One TCP segment of a flow between these ports, the forward sender's first.
    pub(crate) fn segment(&mut self, direction: Direction, ports: (u16, u16), sequence: u32, payload: &[u8]) -> Step {
        let (src, dst) = if direction == Direction::Forward { ports } else { (ports.1, ports.0) };
        let (packet, mut bytes) = frame(direction, src, dst, protocol::TCP, &[], payload);
        bytes[24..28].copy_from_slice(&sequence.to_be_bytes());
        self.frame(direction, packet, &bytes)
    }

    /// A text in segments of `len` bytes, of which `order` says which comes when.
    pub(crate) fn segments(
        &mut self,
        direction: Direction,
        ports: (u16, u16),
        (text, len): (&[u8], usize),
        order: impl Fn(usize) -> Vec<usize>,
    ) {
        let pieces: Vec<&[u8]> = text.chunks(len).collect();
        for at in order(pieces.len()) {
            self.segment(direction, ports, (u32::MAX - 7).wrapping_add((at * len) as u32), pieces[at]);
        }
    }

    /// One packet made by hand, mostly by [`frame`] and then changed.
    pub(crate) fn frame(&mut self, direction: Direction, mut packet: Packet, bytes: &[u8]) -> Step {
        self.clock_ms += 1;
        packet.at = Time(self.clock_ms * 1_000_000);
        let view = PacketView { packet: &packet, bytes };
        let Some(mut flow) = self.flow.take() else {
            let flow = Flow { reversed: packet.reversed, first: packet.at, ..Flow::of(packet.key) };
            return self.create(counted(flow, &view, direction), view, direction);
        };
        let wanted =
            self.interested && !(P::PAYLOAD_ONLY && view.payload().is_empty()) && (self.eager || passes::<P>(&view));
        let mut step = Step::More;
        if wanted && P::BEFORE {
            step = self.call(&flow, view, direction, P::before);
        }
        if !matches!(step, Step::Flush | Step::Reinsert) {
            flow = counted(flow, &view, direction);
            if wanted && P::AFTER && self.interested {
                step = self.call(&flow, view, direction, P::after);
            }
        }
        match step {
            Step::More | Step::Each | Step::Done => self.flow = Some(flow),
            Step::Flush => self.export(),
            Step::Reinsert => {
                self.export();
                let again =
                    Flow { first: flow.last, bytes: [0; 2], packets: [0; 2], tcp_flags: [0; 2], row: 0, ..flow };
                self.create(counted(again, &view, direction), view, direction);
            }
        }
        step
    }

    /// Ends the live flow, answers the records of all ended flows in the order of their export, and starts anew.
    pub(crate) fn records(&mut self) -> Vec<P::Record> {
        if let Some(flow) = self.flow.take() {
            if P::ENDS {
                self.plugin.end(&flow, &mut Slots { pool: &mut self.pool, slab: &mut self.slab, head: &mut self.head });
            }
            self.export();
        }
        assert_eq!(self.pool.in_use(), 0, "slots leaked");
        std::mem::take(&mut self.exported)
    }

    fn create(&mut self, flow: Flow, view: PacketView<'_, '_>, direction: Direction) -> Step {
        self.interested = !P::BY_PORT || P::may_use(view.packet.src_port, view.packet.dst_port);
        self.eager = false;
        let step = if !self.interested {
            Step::Done
        } else if passes::<P>(&view) {
            self.call(&flow, view, direction, P::create)
        } else {
            Step::More
        };
        match step {
            Step::More | Step::Each | Step::Done => self.flow = Some(flow),
            Step::Flush | Step::Reinsert => self.export(),
        }
        step
    }

    fn call(
        &mut self,
        flow: &Flow,
        packet: PacketView<'_, '_>,
        direction: Direction,
        hook: impl Fn(&mut P, &Context<'_, '_>, &mut Slots<'_, P>) -> Step,
    ) -> Step {
        let mut slots = Slots { pool: &mut self.pool, slab: &mut self.slab, head: &mut self.head };
        let step = hook(&mut self.plugin, &Context { packet, direction, flow }, &mut slots);
        // As the registry does.
        if !matches!(step, Step::Flush | Step::Reinsert) {
            slots.put_away();
        }
        self.interested &= step != Step::Done;
        self.eager |= step == Step::Each;
        step
    }

    fn export(&mut self) {
        let mut slots = Slots { pool: &mut self.pool, slab: &mut self.slab, head: &mut self.head };
        slots.exported(|kept| {
            let mut copy = P::Record::default();
            kept.write(&mut copy);
            self.exported.push(copy);
        });
        slots.clear();
    }
}

fn passes<P: Plugin>(view: &PacketView<'_, '_>) -> bool {
    !P::PROBES || P::may_begin(view.payload())
}

fn counted(mut flow: Flow, view: &PacketView<'_, '_>, direction: Direction) -> Flow {
    flow.last = view.packet.at;
    flow.bytes[direction as usize] += view.packet.ip_len as u64;
    flow.packets[direction as usize] += 1;
    flow.tcp_flags[direction as usize] |= view.packet.tcp_flags;
    flow
}

/// An IPv4 frame without link header: TTL 64, DF; TCP with `options`, PSH and ACK and window 512; UDP; for others no transport header.
pub(crate) fn frame(
    direction: Direction,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
    options: &[u8],
    payload: &[u8],
) -> (Packet, Vec<u8>) {
    let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
    let (src, dst) = if direction == Direction::Forward { (a, b) } else { (b, a) };
    let l4 = match protocol {
        protocol::TCP => 20 + options.len(),
        protocol::UDP => 8,
        _ => 0,
    };
    let len = (20 + l4 + payload.len()) as u16;
    let mut bytes = vec![0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    bytes.extend(src);
    bytes.extend(dst);
    if l4 > 0 {
        bytes.extend(src_port.to_be_bytes());
        bytes.extend(dst_port.to_be_bytes());
    }
    match protocol {
        protocol::TCP => {
            bytes.extend([0, 0, 0, 1, 0, 0, 0, 1, (l4 * 4) as u8, 0x18, 2, 0, 0, 0, 0, 0]);
            bytes.extend(options);
        }
        protocol::UDP => bytes.extend([(len - 20).to_be_bytes(), [0, 0]].concat()),
        _ => {}
    }
    bytes.extend(payload);
    let (key, reversed) = FlowKey::v4(src, dst, src_port, dst_port, protocol, 0, false);
    let packet = Packet {
        key,
        reversed,
        ip_len: len as u32,
        l4: 20,
        payload_at: 20 + l4 as u16,
        payload_len: payload.len() as u16,
        payload_wire: payload.len() as u16,
        src_port: if l4 > 0 { src_port } else { 0 },
        dst_port: if l4 > 0 { dst_port } else { 0 },
        protocol,
        ip_version: 4,
        tcp_flags: if protocol == protocol::TCP { 0x18 } else { 0 },
        ..Packet::default()
    };
    (packet, bytes)
}

/// Orders in which segments may come: as sent, each twice, and neighbours behind the first exchanged.
pub(crate) const ORDERS: [fn(usize) -> Vec<usize>; 3] = [
    |count| (0..count).collect(),
    |count| (0..count).flat_map(|at| [at, at]).collect(),
    |count| {
        let mut order: Vec<usize> = (0..count).collect();
        order.get_mut(1..).unwrap_or_default().chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
        order
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::icmp::Icmp;

    #[test]
    fn a_flow_passes_through() {
        let mut h = Harness::<Icmp>::new(Face::Native);
        assert_eq!(h.packet(Direction::Forward, 0, 0, protocol::ICMP, &[8, 0, 1, 2]), Step::Done);
        assert_eq!(h.packet(Direction::Reverse, 0, 0, protocol::ICMP, &[0, 0, 1, 2]), Step::More);
        let records = h.records();
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].type_code, 0x0800);
        assert!(h.records().is_empty());
    }
}
