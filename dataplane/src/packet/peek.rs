//! Whose packet a frame is, without decoding it: for lanes that share one capture, of which each leaves most packets to others.
//!
//! What is answered here decodes, and has these addresses: the frames of the fast path, judged as that one judges them
//! (`packet::decode`, tests below). For all others the answer is `None`, and the decoder has to tell.
use super::decode::DecodeConfig;
use super::{protocol, tcp, udp_tunnel};
use crate::capture::{Frame, LinkType};
use crate::flow::FlowKey;

/// A key of the frame's addresses alone.
#[inline]
pub fn addresses(frame: &Frame<'_>, config: &DecodeConfig) -> Option<FlowKey> {
    let bytes = frame.bytes;
    if frame.link != LinkType::Ethernet || bytes.len() > u16::MAX as usize {
        return None;
    }
    let link = bytes.first_chunk::<18>()?;
    let l3 = if [link[12], link[13]] == [0x81, 0x00] { 18 } else { 14 };
    let h = bytes.get(l3 - 2..)?.first_chunk::<42>()?;
    match [h[0], h[1]] {
        [0x08, 0x00] if h[2] == 0x45 && u16::from_be_bytes([h[8], h[9]]) & 0x3fff == 0 => {
            let payload_len = usize::from(u16::from_be_bytes([h[4], h[5]])).checked_sub(20)?;
            is_whole(bytes, l3 + 20, h[11], payload_len, config)?;
            let (src, dst) = (h[14..18].first_chunk()?, h[18..22].first_chunk()?);
            Some(FlowKey::v4(*src, *dst, 0, 0, 0, 0, true).0)
        }
        [0x86, 0xdd] if h[2] >> 4 == 6 => {
            bytes.get(l3 + 40..)?.first_chunk::<14>()?;
            is_whole(bytes, l3 + 40, h[8], u16::from_be_bytes([h[6], h[7]]).into(), config)?;
            let (src, dst) = (h[10..26].first_chunk()?, h[26..42].first_chunk()?);
            Some(FlowKey::v6(*src, *dst, 0, 0, 0, 0, true).0)
        }
        _ => None,
    }
}

/// Whether a TCP or UDP header stands at `l4` that was captured whole, fits into the packet and is one that the face accepts.
#[inline]
fn is_whole(bytes: &[u8], l4: usize, protocol: u8, payload_len: usize, config: &DecodeConfig) -> Option<()> {
    let header_len = match protocol {
        // What is inside has other addresses.
        protocol::UDP if config.looks_into_udp() && udp_tunnel::on_its_port(bytes.get(l4..)?.first_chunk()?) => {
            return None;
        }
        protocol::UDP => 8,
        protocol::TCP => usize::from(bytes.get(l4 + 12)? >> 4) * 4,
        _ => return None,
    };
    if protocol == protocol::TCP && header_len < 20 || header_len > payload_len || l4 + header_len > bytes.len() {
        return None;
    }
    let is_refused = header_len > 20
        && config.face.is_original()
        && !bytes.get(l4 + 20..l4 + header_len).is_some_and(tcp::accepted_by_original);
    (!is_refused).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Face;
    use crate::flow::key::HashSeed;
    use crate::packet::Packet;
    use crate::packet::Tunnels;
    use crate::packet::decode::decode;

    const SEED: HashSeed = HashSeed::fixed([1, 2, 3, 4]);

    fn frames() -> Vec<Vec<u8>> {
        let v4 = |protocol: u8| {
            [&[0x08, 0, 0x45, 0, 0, 60, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 1, 2, 3, 9, 8, 7, 6][..], &[0; 40]].concat()
        };
        let v6 = |protocol: u8| {
            [&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, protocol, 64][..], &[7; 16], &[8; 16], &[0; 40]].concat()
        };
        let mut all = Vec::new();
        for from_type in [v4(6), v4(17), v4(1), v6(6), v6(17), v6(44)] {
            for front in [vec![0; 12], [&[0; 12][..], &[0x81, 0, 0, 9]].concat()] {
                for data_offset in [0x50, 0x80, 0xf0, 0x10] {
                    let mut frame = [&front[..], &from_type].concat();
                    let l4 = frame.len() - 40;
                    frame[l4 + 12] = data_offset;
                    frame[l4 + 20..l4 + 24].copy_from_slice(&[1, 1, 8, 10]);
                    all.push(frame);
                }
            }
        }
        all
    }

    #[test]
    fn who_is_told_decodes_and_has_these_addresses() {
        let mut told = 0;
        for whole in frames() {
            // Cut at each place, and with each byte of the headers changed.
            let cuts = (0..whole.len()).map(|len| whole[..len].to_vec());
            let changed =
                (0..whole.len()).flat_map(|at| [1, 0x20, 0x80, 0xff].map(|bits| (at, bits))).map(|(at, bits)| {
                    let mut frame = whole.clone();
                    frame[at] ^= bits;
                    frame
                });
            for bytes in cuts.chain(changed).chain([whole.clone()]) {
                let modes = [
                    (Face::Native, Tunnels::Ip),
                    (Face::Native, Tunnels::Inner),
                    (Face::Native, Tunnels::Outer),
                    (Face::Ipfixprobe, Tunnels::Ip),
                ];
                for (face, tunnels) in modes {
                    let config = DecodeConfig { face, tunnels, ..DecodeConfig::default() };
                    let frame = Frame { bytes: &bytes, wire_len: bytes.len() as u32, ..Frame::default() };
                    let Some(key) = addresses(&frame, &config) else { continue };
                    let mut packet = Packet::default();
                    decode(&frame, &config, &mut packet).expect("a packet, if it was told");
                    assert_eq!(packet.key.hash_of_addresses(SEED), key.hash_of_addresses(SEED), "{bytes:02x?}");
                    told += 1;
                }
            }
        }
        assert!(told > 1_000, "{told}");
    }
}
