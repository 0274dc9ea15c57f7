//! Classic pcap files: 24 bytes of header, then 16 before each packet
//! (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>).
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{Nanos, SECOND};

/// Numbers of the link types written here.
pub mod link {
    pub const NULL: u32 = 0;
    pub const ETHERNET: u32 = 1;
    pub const RAW: u32 = 101;
    pub const LOOP: u32 = 108;
    pub const LINUX_SLL: u32 = 113;
    pub const LINUX_SLL2: u32 = 276;
}

/// How a file is spelled.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub link: u32,
    /// Nanoseconds instead of microseconds.
    pub nanoseconds: bool,
    pub big_endian: bool,
    /// Longer packets are cut; their length on the wire is kept.
    pub snaplen: u32,
}

impl Default for Format {
    fn default() -> Self {
        Self { link: link::ETHERNET, nanoseconds: false, big_endian: false, snaplen: 262_144 }
    }
}

/// Writes packets to anything; buffer it yourself or use [`create`].
#[derive(Debug)]
pub struct PcapWriter<W> {
    out: W,
    format: Format,
}

impl<W: Write> PcapWriter<W> {
    pub fn new(mut out: W, format: Format) -> io::Result<Self> {
        let magic: u32 = if format.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
        let mut header = [0; 24];
        // Version 2.4, whose two halves are 16-bit numbers.
        let version = if format.big_endian { 2 << 16 | 4 } else { 4 << 16 | 2 };
        for (field, value) in header.chunks_exact_mut(4).zip([magic, version, 0, 0, format.snaplen, format.link]) {
            field.copy_from_slice(&format.spell(value));
        }
        out.write_all(&header)?;
        Ok(Self { out, format })
    }

    pub fn packet(&mut self, at: Nanos, bytes: &[u8]) -> io::Result<()> {
        self.packet_of(at, bytes, bytes.len() as u32)
    }

    /// A packet that was longer on the wire than what is given.
    pub fn packet_of(&mut self, at: Nanos, bytes: &[u8], wire_len: u32) -> io::Result<()> {
        let kept = &bytes[..bytes.len().min(self.format.snaplen as usize)];
        let fraction = if self.format.nanoseconds { at % SECOND } else { at % SECOND / 1000 };
        let mut header = [0; 16];
        let fields = [(at / SECOND) as u32, fraction as u32, kept.len() as u32, wire_len];
        for (field, value) in header.chunks_exact_mut(4).zip(fields) {
            field.copy_from_slice(&self.format.spell(value));
        }
        self.out.write_all(&header)?;
        self.out.write_all(kept)
    }

    /// Flushes and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A buffered writer to a new file.
pub fn create(path: &Path, format: Format) -> io::Result<PcapWriter<BufWriter<File>>> {
    PcapWriter::new(BufWriter::with_capacity(1 << 20, File::create(path)?), format)
}

impl Format {
    fn spell(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_and_a_cut_packet() {
        let format = Format { snaplen: 3, ..Format::default() };
        let mut file = PcapWriter::new(Vec::new(), format).expect("memory takes all");
        file.packet(SECOND + 2_000, b"abcde").expect("memory takes all");
        let little = file.finish().expect("memory takes all");
        assert_eq!(little[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!(little[24..], *b"\x01\0\0\0\x02\0\0\0\x03\0\0\0\x05\0\0\0abc");

        let format = Format { big_endian: true, nanoseconds: true, ..format };
        let mut file = PcapWriter::new(Vec::new(), format).expect("memory takes all");
        file.packet(SECOND + 2_000, b"ab").expect("memory takes all");
        let big = file.finish().expect("memory takes all");
        assert_eq!(big[..8], [0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4]);
        assert_eq!(big[24..], *b"\0\0\0\x01\0\0\x07\xd0\0\0\0\x02\0\0\0\x02ab");
    }
}
