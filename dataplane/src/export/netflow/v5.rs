//! NetFlow 5: a header of 24 bytes and up to 30 records of 48 (Cisco's "NetFlow Export Datagram Format", version 5).
use super::uptime::{Placed, Since, Uptime};
use super::{NetflowConfig, put};
use crate::export::RecordDrop;
use crate::flow::Basic;
use std::net::{IpAddr, Ipv4Addr};

const HEADER: usize = 24;
const RECORD: usize = 48;
/// Records in a packet at the most.
const RECORDS_MAX: usize = 30;
/// Bits of the sampling word below its mode.
const MODE_AT: u32 = 14;

pub(super) struct V5 {
    /// Header, still to be filled, and records.
    packet: Vec<u8>,
    records: u16,
    records_max: u16,
    uptime: Uptime,
    /// Records sent before this packet.
    sequence: u32,
    engine: u8,
    sampling: u16,
}

/// One direction of a flow.
struct Side {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    src_port: u16,
    dst_port: u16,
    packets: u64,
    bytes: u64,
    tcp_flags: u8,
}

impl V5 {
    pub(super) fn new(config: &NetflowConfig, algorithm: u8) -> V5 {
        let room = usize::from(config.mtu).saturating_sub(HEADER) / RECORD;
        V5 {
            packet: vec![0; HEADER],
            records: 0,
            records_max: room.clamp(1, RECORDS_MAX) as u16,
            uptime: Uptime::default(),
            sequence: 0,
            engine: config.domain as u8,
            sampling: if config.sampling > 1 { u16::from(algorithm) << MODE_AT | config.sampling as u16 } else { 0 },
        }
    }

    /// Takes a flow; answers how many records it became.
    pub(super) fn add(
        &mut self,
        basic: &Basic,
        now_secs: u64,
        emit: &mut impl FnMut(&[u8], u64),
    ) -> Result<u64, RecordDrop> {
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (basic.src_ip, basic.dst_ip) else { return Err(RecordDrop::NotIpv4) };
        let there = Side {
            src,
            dst,
            src_port: basic.src_port,
            dst_port: basic.dst_port,
            packets: basic.packets.into(),
            bytes: basic.bytes,
            tcp_flags: basic.tcp_flags,
        };
        let back = Side {
            src: dst,
            dst: src,
            src_port: basic.dst_port,
            dst_port: basic.src_port,
            packets: basic.packets_rev.into(),
            bytes: basic.bytes_rev,
            tcp_flags: basic.tcp_flags_rev,
        };
        let mut records = 0;
        for side in [there, back] {
            for (packets, bytes) in parts(side.packets, side.bytes) {
                let since = self.place(basic, now_secs, emit)?;
                self.write(&Side { packets, bytes, ..side }, basic, since);
                records += 1;
            }
        }
        Ok(records)
    }

    pub(super) fn flush(&mut self, now_secs: u64, emit: &mut impl FnMut(&[u8], u64)) {
        if self.records == 0 {
            return;
        }
        let records = self.records;
        let (uptime, secs) = self.uptime.header(now_secs);
        let mut header = Vec::with_capacity(HEADER);
        put(&mut header, [5, records]);
        // Nanoseconds are 0: times are exact against whole seconds.
        [uptime, secs, 0, self.sequence].iter().for_each(|n| header.extend_from_slice(&n.to_be_bytes()));
        header.extend_from_slice(&[0, self.engine]);
        put(&mut header, [self.sampling]);
        self.packet[..HEADER].copy_from_slice(&header);
        emit(&self.packet, records.into());
        self.sequence = self.sequence.wrapping_add(records.into());
        self.packet.truncate(HEADER);
        self.records = 0;
    }

    /// Makes room for a record with these times.
    fn place(&mut self, basic: &Basic, now_secs: u64, emit: &mut impl FnMut(&[u8], u64)) -> Result<Since, RecordDrop> {
        if self.records >= self.records_max {
            self.flush(now_secs, emit);
        }
        let mut placed = self.uptime.place(basic.time_first, basic.time_last, self.records == 0);
        if placed == Placed::NextPacket {
            self.flush(now_secs, emit);
            placed = self.uptime.place(basic.time_first, basic.time_last, true);
        }
        match placed {
            Placed::At(since) => Ok(since),
            Placed::TooLong | Placed::NextPacket => Err(RecordDrop::TooLong),
        }
    }

    fn write(&mut self, side: &Side, basic: &Basic, since: Since) {
        let packet = &mut self.packet;
        packet.extend_from_slice(&side.src.octets());
        packet.extend_from_slice(&side.dst.octets());
        // No next hop and no interface to go out by: a probe does not route.
        packet.extend_from_slice(&[0; 4]);
        put(packet, [u16::try_from(basic.ingress_interface).unwrap_or(u16::MAX), 0]);
        // `parts` has cut them to 32 bits.
        for number in [side.packets as u32, side.bytes as u32, since.first, since.last] {
            packet.extend_from_slice(&number.to_be_bytes());
        }
        put(packet, [side.src_port, side.dst_port]);
        // Padding, flags, protocol, ToS; no AS numbers and masks.
        packet.extend_from_slice(&[0, side.tcp_flags, basic.protocol, 0]);
        packet.extend_from_slice(&[0; 8]);
        self.records += 1;
    }
}

/// Packets and bytes as one record or more: bytes have 32 bits in each. Each part has a packet, so there are never more parts than packets.
fn parts(packets: u64, bytes: u64) -> impl Iterator<Item = (u64, u64)> {
    let of = bytes.div_ceil(u32::MAX.into()).clamp(1, packets.max(1));
    let share = move |n: u64, part: u64| n / of + u64::from(part < n % of);
    (0..if packets == 0 { 0 } else { of }).map(move |part| (share(packets, part), share(bytes, part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_above_32_bits_become_several_records() {
        assert_eq!(parts(0, 0).count(), 0);
        assert_eq!(parts(3, 4000).collect::<Vec<_>>(), [(3, 4000)]);
        let many: Vec<_> = parts(20_000_001, 21 << 30).collect();
        assert_eq!(many.len(), 6);
        assert_eq!((many.iter().map(|p| p.0).sum(), many.iter().map(|p| p.1).sum()), (20_000_001u64, 21u64 << 30));
        assert!(many.iter().all(|(packets, bytes)| *packets > 0 && *bytes <= u32::MAX.into()));
    }
}
