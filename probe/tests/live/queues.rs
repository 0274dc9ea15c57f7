//! A capture in two parts, for two queues.
use crate::support::Folder;
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureSource, Frame, LinkType, OpenOptions, Poll, open};
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode};
use ebpf::Tuple;
use std::path::{Path, PathBuf};

/// The packets of a capture in two files, those of two addresses in the same, as a card with a symmetric hash spreads them.
pub(crate) fn two_parts(folder: &Folder, capture: &Path) -> [PathBuf; 2] {
    let mut parts = [(), ()].map(|()| PcapWriter::new(Vec::new(), LinkType::Ethernet, true).expect("memory"));
    let mut source = open(capture, OpenOptions::default()).expect("the capture");
    let mut put = |frame: &Frame<'_>| {
        let mut packet = Packet::default();
        let known = decode(frame, &DecodeConfig::default(), &mut packet).is_ok();
        let (a, b) = packet.key.endpoints();
        let (tuple, _) = Tuple::new((a.ip, 0), (b.ip, 0), 0, 0);
        let part = if known { tuple.hash() as usize >> 8 & 1 } else { 0 };
        parts[part].frame(frame).expect("memory");
    };
    while source.burst(|frames| frames.iter().for_each(&mut put)).expect("frames") != Poll::End {}
    let mut names = ["part0.pcap", "part1.pcap"].into_iter();
    parts.map(|part| folder.write(names.next().expect("two"), part.finish().expect("memory")))
}
