//! Writes a classic pcap file: for tests and for the traffic generator. Format: draft-ietf-opsawg-pcap, sections 4 and 5.
use super::{Frame, LinkType};
use std::io::{self, Write};

/// The snapshot length that is declared in the file, bytes: that of tcpdump, and the longest frame that is accepted.
pub const SNAPLEN: u32 = 262_144;

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;

/// A classic pcap file in the making, little-endian. Each frame is two small writes: give it a buffered writer.
pub struct PcapWriter<W: Write> {
    out: W,
    link: LinkType,
    nanos: bool,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header. `nanos` chooses timestamps in nanoseconds; otherwise microseconds, and what is finer is cut off.
    pub fn new(mut out: W, link: LinkType, nanos: bool) -> io::Result<Self> {
        let mut head = [0_u8; 24];
        head[0..4].copy_from_slice(&(if nanos { MAGIC_NANOS } else { MAGIC_MICROS }).to_le_bytes());
        head[4..6].copy_from_slice(&2_u16.to_le_bytes());
        head[6..8].copy_from_slice(&4_u16.to_le_bytes());
        head[16..20].copy_from_slice(&SNAPLEN.to_le_bytes());
        head[20..24].copy_from_slice(&u32::from(link.number()).to_le_bytes());
        out.write_all(&head)?;
        Ok(Self { out, link, nanos })
    }

    /// Appends a frame. Refused with `InvalidInput`: another link type than the file's, more than [`SNAPLEN`] bytes,
    /// or a time past 2106 (the format has 32 bits of seconds).
    pub fn frame(&mut self, frame: &Frame<'_>) -> io::Result<()> {
        if frame.link != self.link {
            return Err(refused(format!("frame of {:?} in a file of {:?}", frame.link, self.link)));
        }
        let captured = u32::try_from(frame.bytes.len()).ok().filter(|&n| n <= SNAPLEN);
        let captured = captured.ok_or_else(|| refused(format!("frame of {} bytes", frame.bytes.len())))?;
        let secs = u32::try_from(frame.at.secs()).map_err(|_| refused(format!("time of {} s", frame.at.secs())))?;
        let fraction = frame.at.subsec_nanos() / if self.nanos { 1 } else { 1_000 };
        let mut head = [0_u8; 16];
        for (place, value) in head.chunks_exact_mut(4).zip([secs, fraction, captured, frame.wire_len]) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        self.out.write_all(&head)?;
        self.out.write_all(frame.bytes)
    }

    /// Flushes what the writer below holds and gives it back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn refused(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Time;

    #[test]
    fn bytes_are_those_of_the_format() {
        let mut file = PcapWriter::new(Vec::new(), LinkType::RawIp, true).unwrap();
        file.frame(&Frame {
            bytes: b"abc",
            wire_len: 60,
            at: Time(7_000_000_009),
            link: LinkType::RawIp,
            ..Frame::default()
        })
        .unwrap();
        let bytes = file.finish().unwrap();
        let head = b"\x4d\x3c\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x65\0\0\0";
        assert_eq!(bytes[..24], head[..]);
        assert_eq!(bytes[24..], b"\x07\0\0\0\x09\0\0\0\x03\0\0\0\x3c\0\0\0abc"[..]);
    }

    #[test]
    fn what_the_format_cannot_say_is_refused() {
        let mut file = PcapWriter::new(Vec::new(), LinkType::Ethernet, false).unwrap();
        let long = vec![0; SNAPLEN as usize + 1];
        for bad in [
            Frame { link: LinkType::Null, ..Frame::default() },
            Frame { bytes: &long, ..Frame::default() },
            Frame { at: Time(u64::MAX), ..Frame::default() },
        ] {
            assert_eq!(file.frame(&bad).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(file.finish().unwrap().len(), 24);
    }
}
