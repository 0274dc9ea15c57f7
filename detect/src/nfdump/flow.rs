//! Records of version 3.
use super::{NfError, bytes};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Type of a flow record.
const RECORD: u16 = 11;
const RECORD_HEADER: usize = 12;
const ELEMENT_HEADER: usize = 4;

/// Elements: times, counts, ports; addresses; interfaces and direction.
const GENERIC: (u16, usize) = (1, 48);
const IPV4: (u16, usize) = (2, 8);
const IPV6: (u16, usize) = (3, 32);
const MISC: (u16, usize) = (4, 16);

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
}

impl Flow {
    /// Appends the record. Addresses of two families cannot be written together: then the record has none.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // Type, size (set below), number of elements, engine's type and number, exporter, flags, version.
        out.extend_from_slice(&[RECORD as u8, 0, 0, 0, 3, 0, 0, self.engine, 0, 0, 0, 0]);
        element(out, GENERIC);
        // Nobody received this flow by NetFlow: the time of reception stays 0.
        for number in [self.first, self.last, 0, self.packets, self.bytes] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.ports.iter().for_each(|port| out.extend_from_slice(&port.to_le_bytes()));
        out.extend_from_slice(&[self.protocol, self.tcp_flags, 0, self.tos]);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                element(out, IPV4);
                [source, destination].iter().for_each(|ip| out.extend_from_slice(&ip.to_bits().to_le_bytes()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                element(out, IPV6);
                for ip in [source, destination] {
                    // Two halves, each little endian.
                    out.extend_from_slice(&((ip.to_bits() >> 64) as u64).to_le_bytes());
                    out.extend_from_slice(&(ip.to_bits() as u64).to_le_bytes());
                }
            }
            _ => out[start + 4] = 2,
        }
        element(out, MISC);
        out.extend_from_slice(&self.input.to_le_bytes());
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, self.direction, 0, 0, 0, 0, 0]);
        // At most 132 bytes.
        out[start + 2] = (out.len() - start) as u8;
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
        let mut is_flow = false;
        let mut rest = &record[RECORD_HEADER..];
        for _ in 0..bytes::u16(record, 4) {
            let length = usize::from(bytes::u16(rest, 2));
            let Some(content) = rest.get(ELEMENT_HEADER..length) else {
                return Err(NfError::Damaged("an element leaves its record"));
            };
            is_flow |= flow.take(bytes::u16(rest, 0), content);
            rest = &rest[length..];
        }
        Ok(is_flow.then_some(flow))
    }

    /// Takes what an element tells; true if it is the one that makes a flow.
    fn take(&mut self, kind: u16, content: &[u8]) -> bool {
        let is = |(number, size)| kind == number && content.len() >= size;
        if is(GENERIC) {
            [self.first, self.last, self.packets, self.bytes] = [0, 8, 24, 32].map(|at| bytes::u64(content, at));
            self.ports = [40, 42].map(|at| bytes::u16(content, at));
            [self.protocol, self.tcp_flags, self.tos] = [content[44], content[45], content[47]];
            return true;
        } else if is(IPV4) {
            let at = |at| Ipv4Addr::from_bits(bytes::u32(content, at)).into();
            (self.source, self.destination) = (at(0), at(4));
        } else if is(IPV6) {
            let half = |at| u128::from(bytes::u64(content, at));
            let at = |at| Ipv6Addr::from_bits(half(at) << 64 | half(at + 8)).into();
            (self.source, self.destination) = (at(0), at(16));
        } else if is(MISC) {
            self.input = bytes::u32(content, 0);
            self.direction = content[10];
        }
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
            source: Ipv4Addr::UNSPECIFIED.into(),
            destination: Ipv4Addr::UNSPECIFIED.into(),
            ports: [0; 2],
            protocol: 0,
            tcp_flags: 0,
            tos: 0,
            direction: 0,
            input: 0,
            engine: 0,
        }
    }
}

fn element(out: &mut Vec<u8>, (number, size): (u16, usize)) {
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&((ELEMENT_HEADER + size) as u16).to_le_bytes());
}
