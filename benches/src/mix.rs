//! Captures of any size, streamed: memory follows the flows that are alive, never the length of the file.
//!
//! Numbers are integers throughout: a mathematical library that rounds differently must not change the bytes.
mod endpoints;
pub(crate) mod realistic;
pub(crate) mod stage;
mod stress;

use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use crate::frame::Frame;
use crate::pcap::{Format, PcapWriter};
use crate::{EPOCH, Nanos};

/// The kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// A research network: heavy-tailed flows, real dialogs, IPv6 and VLAN among them.
    Realistic,
    /// 64-byte UDP packets over a fixed number of flows in random order.
    Small64,
    /// Each packet opens a new TCP flow.
    Syn,
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "realistic" => Ok(Self::Realistic),
            "small64" => Ok(Self::Small64),
            "syn" => Ok(Self::Syn),
            _ => Err(UnknownProfile(name.to_owned())),
        }
    }
}

/// A name that is no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProfile(pub String);

impl std::fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unknown profile {:?}: use realistic, small64 or syn", self.0)
    }
}

impl std::error::Error for UnknownProfile {}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub packets: u64,
    /// On the wire, without preamble and checksum of Ethernet.
    pub bytes: u64,
    /// By the IP headers: what flow records add up to.
    pub ip_bytes: u64,
    /// Distinct biflows that have at least one packet.
    pub flows: u64,
}

/// Writes a pcap of exactly `packets` packets (Ethernet, microseconds) that begins at [`EPOCH`].
///
/// `flows`: small64 has exactly so many (or `packets`, if that is less); realistic aims at it and the totals say what came out, 0 takes
/// one flow per 12 packets as real networks have; syn ignores it.
pub fn write_capture(
    profile: Profile,
    packets: u64,
    flows: u64,
    seed: u64,
    out: &mut impl Write,
) -> io::Result<Totals> {
    let mut sink = CaptureSink::new(out)?;
    match profile {
        Profile::Realistic => {
            let flows = if flows == 0 { packets / 12 } else { flows };
            realistic::write(seed, packets, flows.clamp(1, packets.max(1)), &mut sink)?;
        }
        Profile::Small64 => stress::small64(seed, packets, flows.clamp(1, packets.max(1)), &mut sink)?,
        Profile::Syn => stress::syn(seed, |number| number < packets, &mut sink)?,
    }
    sink.finish()
}

/// Writes a pcap of packets that open a new TCP flow each, as long as `goes_on` says so, which gets the number of packets so far. Up to
/// 1 MiB of them wait in memory.
pub fn write_syn_while(seed: u64, goes_on: impl FnMut(u64) -> bool, out: &mut impl Write) -> io::Result<Totals> {
    let mut sink = CaptureSink::new(out)?;
    stress::syn(seed, goes_on, &mut sink)?;
    sink.finish()
}

/// The file and the sums of what went into it.
pub(crate) struct CaptureSink<W: Write> {
    file: PcapWriter<BufWriter<W>>,
    pub(crate) totals: Totals,
}

impl<W: Write> CaptureSink<W> {
    /// Begins a pcap file. Up to 1 MiB of it waits in memory.
    pub(crate) fn new(out: W) -> io::Result<Self> {
        let file = PcapWriter::new(BufWriter::with_capacity(1 << 20, out), Format::default())?;
        Ok(CaptureSink { file, totals: Totals::default() })
    }

    pub(crate) fn finish(self) -> io::Result<Totals> {
        self.file.finish()?;
        Ok(self.totals)
    }

    /// Writes a finished packet, `at` after the beginning.
    pub(crate) fn packet(&mut self, at: Nanos, frame: &Frame) -> io::Result<()> {
        self.totals.packets += 1;
        self.totals.bytes += frame.bytes().len() as u64;
        self.totals.ip_bytes += frame.ip_bytes();
        self.file.packet(EPOCH + at, frame.bytes())
    }
}
