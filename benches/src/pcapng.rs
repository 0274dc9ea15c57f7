//! The least of pcapng: one section, interface descriptions, enhanced packets
//! (<https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html>).
use std::io::{self, Write};

use crate::Nanos;

/// Writes one section to anything.
#[derive(Debug)]
pub struct PcapngWriter<W> {
    out: W,
    big_endian: bool,
    /// Of each interface: nanoseconds in a tick, snap length.
    interfaces: Vec<(u64, u32)>,
}

impl<W: Write> PcapngWriter<W> {
    pub fn new(out: W, big_endian: bool) -> io::Result<Self> {
        let mut file = Self { out, big_endian, interfaces: Vec::new() };
        let version = if big_endian { 1 << 16 } else { 1 };
        // A section of unknown length has all ones there.
        let body = [0x1a2b_3c4d, version, !0, !0].map(|word| file.word(word)).concat();
        file.block(0x0a0d_0d0a, &body)?;
        Ok(file)
    }

    /// Describes the next interface and gives its number. `decimals` is the resolution of its timestamps: 3, 6 or 9.
    pub fn interface(&mut self, link: u16, snaplen: u32, decimals: u8) -> io::Result<u32> {
        let mut body = [self.half(link), self.half(0)].concat();
        body.extend(self.word(snaplen));
        // if_tsresol (9), one byte padded to four, then the end of options.
        body.extend([self.half(9), self.half(1), [decimals, 0], [0, 0], [0, 0], [0, 0]].concat());
        self.block(1, &body)?;
        self.interfaces.push((10u64.pow(9 - u32::from(decimals.min(9))), snaplen));
        Ok(self.interfaces.len() as u32 - 1)
    }

    /// A packet of a described interface.
    pub fn packet(&mut self, interface: u32, at: Nanos, bytes: &[u8]) -> io::Result<()> {
        let (tick, snaplen) = self.interfaces[interface as usize];
        let kept = &bytes[..bytes.len().min(snaplen as usize)];
        let time = at / tick;
        let fields = [interface, (time >> 32) as u32, time as u32, kept.len() as u32, bytes.len() as u32];
        let mut body = fields.map(|word| self.word(word)).concat();
        body.extend_from_slice(kept);
        body.resize(body.len().next_multiple_of(4), 0);
        self.block(6, &body)
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let length = self.word(body.len() as u32 + 12);
        self.out.write_all(&self.word(kind))?;
        self.out.write_all(&length)?;
        self.out.write_all(body)?;
        self.out.write_all(&length)
    }

    fn word(&self, value: u32) -> [u8; 4] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn half(&self, value: u16) -> [u8; 2] {
        if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}
