//! Two queues with a flow in one of them, and what a run says of the packets that it was offered.
use crate::netns::{Netns, THERE};
use crate::support::{Folder, Run};
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureSource, Frame, LinkType, OpenOptions, Poll, open};
use dataplane::packet::Packet;
use dataplane::packet::decode::{DecodeConfig, decode};
use ebpf::Tuple;
use std::collections::HashMap;
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

/// Sends each part into a queue of its own: what a processor sends leaves by its queue.
pub(crate) fn send_by_queue(ns: &Netns, parts: &[PathBuf; 2]) {
    for queue in 0..2 {
        let map = format!("echo {} > /sys/class/net/{THERE}/queues/tx-{queue}/xps_cpus", 1 << queue);
        ns.must("sh", &["-c", &map]);
    }
    std::thread::scope(|scope| {
        for (cpu, part) in parts.iter().enumerate() {
            scope.spawn(move || {
                let (cpu, part) = (cpu.to_string(), part.to_str().expect("plain"));
                ns.must("taskset", &["-c", &cpu, "tcpreplay", "-q", "-K", "--pps=25000", "-i", THERE, part]);
            });
        }
    });
}

/// The numbers of the line `capture N = N taken + N reason`: offered, taken, and the others by their word.
pub(crate) fn books(run: &Run) -> (u64, u64, HashMap<String, u64>) {
    let line = run.stderr.lines().find_map(|l| l.strip_prefix("  capture ")).expect("a line on the capture");
    let (offered, rest) = line.split_once(" = ").expect("a book");
    let term = |text: &str| -> (u64, String) {
        let (n, word) = text.split_once(' ').expect("a number and a word");
        (n.parse().expect("a number"), word.to_string())
    };
    let mut terms: HashMap<String, u64> = rest.split(" + ").map(term).map(|(n, word)| (word, n)).collect();
    let offered: u64 = offered.parse().expect("a number");
    assert_eq!(offered, terms.values().sum::<u64>(), "{line}");
    (offered, terms.remove("taken").expect("taken"), terms)
}
