//! Records of version 3. What an element holds is told once, in [`Flow::visit`], for reading and for writing.
use super::extra::{Extra, NOWHERE};
use super::{NfError, bytes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Type of a flow record.
const RECORD: u16 = 11;
const RECORD_HEADER: usize = 12;
const ELEMENT_HEADER: usize = 4;

/// Elements that each flow has when it is written: times, counts, ports; addresses of a family; interfaces and direction.
const GENERIC: u16 = 1;
const IPV4: u16 = 2;
const IPV6: u16 = 3;
const MISC: u16 = 4;
/// Elements for [`Extra`], which are written if they say anything.
const EXTRA: [u16; 24] = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 25, 26, 31, 32, 33, 36];

/// What is read and written of a flow; other elements are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Milliseconds since 1970.
    pub first: u64,
    pub last: u64,
    pub packets: u64,
    pub bytes: u64,
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Of the source and of the destination; ICMP has its type and code in the second.
    pub ports: [u16; 2],
    pub protocol: u8,
    pub tcp_flags: u8,
    pub tos: u8,
    /// 0 is ingress, 1 egress.
    pub direction: u8,
    /// Number of the input interface.
    pub input: u32,
    /// Number of the exporting engine.
    pub engine: u8,
    pub extra: Extra,
}

impl Flow {
    /// TCP flags as nfdump prints them: letters of `CEUAPRSF`, dots for those that were not seen.
    pub fn flag_letters(&self) -> String {
        let letters = "CEUAPRSF".chars().enumerate();
        letters.map(|(at, letter)| if self.tcp_flags & (0x80 >> at) != 0 { letter } else { '.' }).collect()
    }

    /// Appends the record. Addresses of two families cannot be written together: then the record has none.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut flow = *self;
        // Type, size and number of elements (set below), engine's type and number, exporter, flags, version.
        let exporter = self.extra.exporter.to_le_bytes();
        out.extend_from_slice(&[RECORD as u8, 0, 0, 0, 0, 0, self.extra.engine_type, self.engine]);
        out.extend_from_slice(&[exporter[0], exporter[1], 0, 0]);
        flow.element(GENERIC, out);
        match (self.source, self.destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => flow.element(IPV4, out),
            (IpAddr::V6(_), IpAddr::V6(_)) => flow.element(IPV6, out),
            _ => {}
        }
        flow.element(MISC, out);
        if self.extra != Extra::default() {
            for kind in EXTRA {
                let before = out.len();
                flow.element(kind, out);
                if out[before + ELEMENT_HEADER..].iter().all(|b| *b == 0) {
                    out.truncate(before);
                }
            }
        }
        // At most 700 bytes in 27 elements.
        let size = (out.len() - start) as u16;
        out[start + 2..start + 4].copy_from_slice(&size.to_le_bytes());
        out[start + 4] = elements(&out[start + RECORD_HEADER..]);
    }

    fn element(&mut self, kind: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        self.visit(kind, &mut Put(out));
        let size = (out.len() - start) as u16;
        out[start + 2..start + ELEMENT_HEADER].copy_from_slice(&size.to_le_bytes());
    }

    /// Reads a record with its header; `None` if it is none of a flow.
    pub(super) fn read(record: &[u8]) -> Result<Option<Flow>, NfError> {
        if bytes::u16(record, 0) != RECORD {
            return Ok(None);
        }
        if record.len() < RECORD_HEADER {
            return Err(NfError::Damaged("a record is shorter than its header"));
        }
        let mut flow = Flow { engine: record[7], ..Flow::default() };
        flow.extra.engine_type = record[6];
        flow.extra.exporter = bytes::u16(record, 8);
        let mut is_flow = false;
        let mut rest = &record[RECORD_HEADER..];
        for _ in 0..bytes::u16(record, 4) {
            let length = usize::from(bytes::u16(rest, 2));
            let Some(content) = rest.get(ELEMENT_HEADER..length) else {
                return Err(NfError::Damaged("an element leaves its record"));
            };
            let kind = bytes::u16(rest, 0);
            let mut take = Take { rest: content, is_short: false };
            flow.visit(kind, &mut take);
            is_flow |= kind == GENERIC && !take.is_short;
            rest = &rest[length..];
        }
        flow.extra.tidy();
        Ok(is_flow.then_some(flow))
    }

    /// Goes through what the element of this kind holds; nothing if it is not known.
    fn visit(&mut self, kind: u16, io: &mut impl Io) {
        let extra = &mut self.extra;
        match kind {
            GENERIC => {
                io.u64(&mut self.first);
                io.u64(&mut self.last);
                // When a collector received it: nobody received what we write.
                io.skip(8);
                io.u64(&mut self.packets);
                io.u64(&mut self.bytes);
                self.ports.iter_mut().for_each(|port| io.u16(port));
                io.u8(&mut self.protocol);
                io.u8(&mut self.tcp_flags);
                io.u8(&mut extra.forwarding);
                io.u8(&mut self.tos);
            }
            IPV4 => [&mut self.source, &mut self.destination].into_iter().for_each(|ip| io.v4(ip)),
            IPV6 => [&mut self.source, &mut self.destination].into_iter().for_each(|ip| io.v6(ip)),
            MISC => {
                io.u32(&mut self.input);
                io.u32(&mut extra.output);
                extra.masks.iter_mut().for_each(|mask| io.u8(mask));
                io.u8(&mut self.direction);
                io.u8(&mut extra.tos_back);
                // Biflow's direction, reason of the end, flags of the other direction.
                io.skip(4);
            }
            5 => [&mut extra.flows, &mut extra.packets_back, &mut extra.bytes_back].into_iter().for_each(|n| io.u64(n)),
            6 => extra.vlans.iter_mut().for_each(|vlan| io.u32(vlan)),
            7 => extra.systems.iter_mut().for_each(|system| io.u32(system)),
            8 => io.v4(&mut extra.bgp_next),
            9 => io.v6(&mut extra.bgp_next),
            10 => io.v4(&mut extra.next_hop),
            11 => io.v6(&mut extra.next_hop),
            12 => io.v4(&mut extra.router),
            13 => io.v6(&mut extra.router),
            14 => extra.mpls.iter_mut().for_each(|entry| io.u32(entry)),
            15 => extra.macs.iter_mut().for_each(|mac| io.u64(mac)),
            16 => [&mut extra.next_system, &mut extra.previous_system].into_iter().for_each(|n| io.u32(n)),
            17 => extra.latencies.iter_mut().for_each(|latency| io.u64(latency)),
            19 => {
                // Time of the event, connection.
                io.skip(12);
                io.u16(&mut extra.event_extended);
                io.u8(&mut extra.event);
                io.skip(1);
            }
            20 => extra.translated.iter_mut().for_each(|ip| io.v4(ip)),
            21 => extra.translated.iter_mut().for_each(|ip| io.v6(ip)),
            22 => extra.translated_ports.iter_mut().for_each(|port| io.u16(port)),
            23 => extra.access_lists.iter_mut().for_each(|id| io.u32(id)),
            25 => {
                // Time of the event, pool.
                io.skip(12);
                io.u8(&mut extra.event);
                io.skip(3);
            }
            26 => extra.port_block.iter_mut().for_each(|port| io.u16(port)),
            31 | 32 => {
                extra.tunnel.iter_mut().for_each(|ip| if kind == 31 { io.v4(ip) } else { io.v6(ip) });
                // Addresses of the other family are written with that element.
                if io.is_reading() || extra.tunnel.iter().all(IpAddr::is_ipv4) == (kind == 31) {
                    io.u32(&mut extra.tunnel_protocol);
                } else {
                    io.skip(4);
                }
                io.skip(if kind == 31 { 0 } else { 4 });
            }
            33 => {
                io.u64(&mut extra.observation_point);
                io.u32(&mut extra.observation_domain);
                io.skip(4);
            }
            36 => extra.vrfs.iter_mut().for_each(|id| io.u32(id)),
            _ => {}
        }
    }
}

/// Number of elements that lie one after the other.
fn elements(mut rest: &[u8]) -> u8 {
    let mut count = 0;
    while let Some(next) = rest.get(usize::from(bytes::u16(rest, 2)).max(ELEMENT_HEADER)..) {
        count += 1;
        rest = next;
    }
    count
}

/// Reads or writes the numbers of an element, little endian.
trait Io {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]);
    fn is_reading(&self) -> bool;

    fn skip(&mut self, count: usize) {
        (0..count).for_each(|_| self.bytes(&mut [0]));
    }

    fn u8(&mut self, number: &mut u8) {
        self.bytes(std::array::from_mut(number));
    }

    fn u16(&mut self, number: &mut u16) {
        let mut bytes = number.to_le_bytes();
        self.bytes(&mut bytes);
        *number = u16::from_le_bytes(bytes);
    }

    fn u32(&mut self, number: &mut u32) {
        let mut bytes = number.to_le_bytes();
        self.bytes(&mut bytes);
        *number = u32::from_le_bytes(bytes);
    }

    fn u64(&mut self, number: &mut u64) {
        let mut bytes = number.to_le_bytes();
        self.bytes(&mut bytes);
        *number = u64::from_le_bytes(bytes);
    }

    /// An address of IPv6 is written as 0.
    fn v4(&mut self, ip: &mut IpAddr) {
        let mut bits = if let IpAddr::V4(v4) = ip { v4.to_bits() } else { 0 };
        self.u32(&mut bits);
        if self.is_reading() {
            *ip = Ipv4Addr::from_bits(bits).into();
        }
    }

    /// Two halves, the upper one first. An address of IPv4 is written as 0.
    fn v6(&mut self, ip: &mut IpAddr) {
        let bits = if let IpAddr::V6(v6) = ip { v6.to_bits() } else { 0 };
        let (mut upper, mut lower) = ((bits >> 64) as u64, bits as u64);
        self.u64(&mut upper);
        self.u64(&mut lower);
        if self.is_reading() {
            *ip = Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)).into();
        }
    }
}

/// Reads; what is missing is 0.
struct Take<'e> {
    rest: &'e [u8],
    is_short: bool,
}

impl Io for Take<'_> {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) {
        match self.rest.split_first_chunk() {
            Some((taken, rest)) => (*bytes, self.rest) = (*taken, rest),
            None => (*bytes, self.is_short) = ([0; N], true),
        }
    }

    fn is_reading(&self) -> bool {
        true
    }
}

/// Writes.
struct Put<'o>(&'o mut Vec<u8>);

impl Io for Put<'_> {
    fn bytes<const N: usize>(&mut self, bytes: &mut [u8; N]) {
        self.0.extend_from_slice(bytes);
    }

    fn is_reading(&self) -> bool {
        false
    }
}

impl Default for Flow {
    /// Nothing, from nowhere: what a record without addresses reads as.
    fn default() -> Self {
        Flow {
            first: 0,
            last: 0,
            packets: 0,
            bytes: 0,
            source: NOWHERE,
            destination: NOWHERE,
            ports: [0; 2],
            protocol: 0,
            tcp_flags: 0,
            tos: 0,
            direction: 0,
            input: 0,
            engine: 0,
            extra: Extra::default(),
        }
    }
}
