//! DPDK's virtual devices as sources: the frames are those that went in, no mbuf is lost, statistics balance. Feature `dpdk`.
//!
//! One test, because a process can start DPDK once.
#![cfg(feature = "dpdk")]

use dataplane::capture::dpdk::{Dpdk, DpdkSource, PortOptions, Start, hash_key, memory};
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureDrop, CaptureSource, Frame, LinkType, Poll};
use dataplane::lane::{Lane, LaneConfig};
use record::Time;
use std::collections::HashSet;
use std::path::Path;

const OPTIONS: PortOptions =
    PortOptions { queues: 1, mbufs: 1024, descriptors: 256, mtu: 0, rss: 0, promiscuous: true };
/// A frame in pieces is cut here.
const CUT: usize = 16_384;

#[derive(Debug, PartialEq, Eq)]
struct Kept {
    bytes: Vec<u8>,
    wire_len: u32,
    at: Time,
}

#[test]
fn virtual_devices_lend_what_went_in() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("in.pcap");
    let frames = write(&file);
    let eal = format!(
        "--no-huge --no-pci --log-level=critical --vdev=net_null0,size=64 --vdev=net_null1 --vdev=net_pcap0,rx_pcap={0} \
         --vdev=net_pcap1,rx_pcap={0},rx_pcap={0} --vdev=net_pcap2,rx_pcap={0} --vdev=net_null2 --vdev=net_ring0",
        file.display()
    );
    let dpdk = Dpdk::start(&eal, Start::Alone, memory(&OPTIONS, 8)).expect("DPDK starts without huge pages");
    assert_eq!(dpdk.ports(), 7);
    let again = Dpdk::start("", Start::Alone, 0).expect_err("a second start").to_string();
    assert!(again.contains("already started"), "{again}");

    bounded(&dpdk);
    let mut source = one(&dpdk, "net_pcap0", &OPTIONS);
    assert_eq!(all(&mut source), frames);
    assert_eq!((source.in_use(), source.port_stats().next().expect("its port").received), (0, frames.len() as u64));
    drop(source);
    queues(&dpdk, &frames);
    spread(&dpdk);
    short_of_buffers(&dpdk, frames.len() as u64);
    port_of_a_ring(&dpdk, &frames);
    lane(&dpdk);
    ring(&dpdk, &frames);
    refusals(&dpdk);
}

/// A device that always has packets: as many are taken as were asked for, and what DPDK had ready beyond that is given back.
fn bounded(dpdk: &Dpdk) {
    let mut source = one(dpdk, "0", &OPTIONS);
    let mut taken = 0;
    for limit in [1, 3, 64, 7, 1000].into_iter().cycle().take(500) {
        source.limit(limit);
        let mut lent = 0;
        assert_eq!(source.burst(|frames| lent += frames.len()).expect("fine"), Poll::More);
        assert!(lent > 0 && lent <= limit, "{lent} frames of {limit}");
        taken += lent as u64;
    }
    let waiting = source.waiting();
    let port = source.port_stats().next().expect("its port");
    assert_eq!((source.stats().packets, source.stats().bytes), (taken, taken * 64));
    assert_eq!((port.received, source.in_use()), (taken + waiting as u64, waiting as u32));
    assert_eq!(source.stats().drops.total(), port.missed + port.no_mbuf + port.errors);

    // Closed, it comes to an end although the device does not.
    source.close().expect("fine");
    let rest = all(&mut source).len();
    assert!(rest >= waiting && rest <= 256 + 64 + waiting, "{rest}");
    assert_eq!(source.burst(|_| panic!("it has ended")).expect("fine"), Poll::End);
}

/// Each queue is a source, and one source can read several.
fn queues(dpdk: &Dpdk, frames: &[Kept]) {
    let options = PortOptions { queues: 2, ..OPTIONS };
    let mut sources = dpdk.port("net_pcap1", &options).expect("it opens").into_iter();
    let (mut first, mut second) = (sources.next().expect("a queue"), sources.next().expect("another"));
    assert!(sources.next().is_none());
    assert_eq!(all(&mut first), frames);
    assert_eq!(all(&mut second), frames);
    assert_eq!((first.port_stats().count(), second.port_stats().count()), (1, 0));
    assert_eq!(first.port_stats().next().expect("its port").received, 2 * frames.len() as u64);
    first.join(second);
    assert_eq!((all(&mut first).len(), first.in_use()), (0, 0));
}

/// The key that devices get, if they take one, makes a hash that is the same for both directions. No virtual device computes it.
fn spread(dpdk: &Dpdk) {
    let sources = dpdk.port("net_null2", &PortOptions { queues: 2, ..OPTIONS }).expect("it opens");
    let port = sources[0].port().expect("its port");
    assert!(!port.spread, "net_null takes no key, and says so");
    let key = hash_key();
    let mut seen = HashSet::new();
    for n in 0..1000u32 {
        // Addresses and ports, as the card puts them together for IPv4; then addresses as for IPv6.
        let words: Vec<u32> = (0..8).map(|at| n.wrapping_mul(2_654_435_761).rotate_left(at * 5) ^ at).collect();
        let (a, b, ports) = (words[0], words[1], words[2]);
        let there = toeplitz(&key, &[a, b, ports]);
        assert_eq!(there, toeplitz(&key, &[b, a, ports.rotate_left(16)]), "IPv4 {n}");
        let (a, b) = words.split_at(4);
        assert_eq!(toeplitz(&key, &[a, b].concat()), toeplitz(&key, &[b, a].concat()), "IPv6 {n}");
        seen.insert(there);
    }
    assert!(seen.len() > 900, "it is a hash: {} values of 1000", seen.len());
}

/// The hash of network cards (Microsoft, "RSS hashing types"): for each bit of the input that is set, the 32 bits of the key from there on.
fn toeplitz(key: &[u8], input: &[u32]) -> u32 {
    let bit = |at: usize| u32::from(key[at / 8] >> (7 - at % 8) & 1);
    let mut window = (0..32).fold(0, |window, at| window << 1 | bit(at));
    let mut hash = 0;
    for at in 0..input.len() * 32 {
        if input[at / 32] >> (31 - at % 32) & 1 == 1 {
            hash ^= window;
        }
        window = window << 1 | bit(at + 32);
    }
    hash
}

/// A pool that is smaller than a burst: what the driver has no buffer for is lost and counted as that, and nothing else is.
fn short_of_buffers(dpdk: &Dpdk, sent: u64) {
    let mut source = one(dpdk, "net_pcap2", &PortOptions { mbufs: 40, descriptors: 20, ..OPTIONS });
    let taken = all(&mut source).len() as u64;
    let stats = source.stats();
    // net_pcap calls a frame in pieces that it has no buffers for an error.
    let lost = stats.drops.of(CaptureDrop::NicNoBuffer) + stats.drops.of(CaptureDrop::NicErrors);
    assert!(lost > 0 && taken > 0, "{taken} taken, {stats:?}");
    assert_eq!((stats.packets, taken + lost, stats.drops.total()), (taken, sent, lost), "{stats:?}");
    assert_eq!(source.in_use(), 0, "each buffer came back");
}

/// net_ring: a port whose receive queue is a ring, which this test fills.
fn port_of_a_ring(dpdk: &Dpdk, frames: &[Kept]) {
    let mut source = one(dpdk, "net_ring0", &OPTIONS);
    let mut sender = dpdk.test_ring("ETH_RXTX0_net_ring0", 0, 2048, 10_000).expect("the ring of that port");
    let sent: Vec<&[u8]> = frames.iter().map(|frame| &frame.bytes[..]).collect();
    for piece in [10_000, 512] {
        for bytes in &sent {
            assert!(sender.send(bytes, piece));
        }
        let got = all(&mut source);
        assert_eq!(got.iter().map(|frame| &frame.bytes[..]).collect::<Vec<_>>(), sent, "in pieces of {piece}");
    }
    let port = source.port_stats().next().expect("its port");
    assert_eq!((port.received, source.stats().packets), (2 * sent.len() as u64, 2 * sent.len() as u64));
    assert_eq!((source.stats().drops.total(), sender.in_use()), (0, 0), "{port:?}");
}

/// Through a lane, on another thread than the one that started DPDK.
fn lane(dpdk: &Dpdk) {
    let mut source = one(dpdk, "net_null1", &OPTIONS);
    let report = std::thread::spawn(move || {
        let mut lane = Lane::new(&LaneConfig::default()).expect("memory");
        for _ in 0..1000 {
            lane.step(&mut source).expect("fine");
        }
        lane.finish(|batch| batch.clear());
        assert_eq!((lane.report(&source).packets.taken, source.waiting()), (source.stats().packets, 0));
        lane.report(&source)
    });
    let report = report.join().expect("no panic");
    assert!(report.packets.taken >= 1000);
    assert_eq!(report.imbalance(), Vec::<String>::new());
}

/// What another program puts into a ring, whole and in pieces.
fn ring(dpdk: &Dpdk, frames: &[Kept]) {
    let mut sender = dpdk.test_ring("cable", 128, 8192, 1024).expect("memory for a ring");
    let mut source = dpdk.ring("cable").expect("it is there");
    let twice = dpdk.ring("cable").err().expect("a second reader").to_string();
    assert!(twice.contains("already an input"), "{twice}");
    for piece in [1024, 100] {
        for frame in frames.iter().filter(|frame| frame.bytes.len() < 10_000) {
            assert!(sender.send(&frame.bytes, piece));
        }
        let sent: Vec<&[u8]> = frames.iter().map(|frame| &frame.bytes[..]).filter(|b| b.len() < 10_000).collect();
        let got = all(&mut source);
        assert_eq!(got.iter().map(|frame| &frame.bytes[..]).collect::<Vec<_>>(), sent, "in pieces of {piece}");
        assert_eq!(sender.in_use(), 0, "each mbuf went back to its pool");
    }
    // Taken and not lent, and never asked for: given back when the source ends.
    (0..100).for_each(|_| assert!(sender.send(&[1; 60], 60)));
    source.limit(1);
    source.burst(|frames| assert_eq!(frames.len(), 1)).expect("fine");
    assert_eq!((sender.in_use(), source.waiting()), (99, 63));
    drop(source);
    assert_eq!(sender.in_use(), 36, "those still in the ring");
    assert_eq!(all(&mut dpdk.ring("cable").expect("free again")).len(), 36);
    assert_eq!(sender.in_use(), 0);
    // A ring that is full refuses, and loses no mbuf.
    let room = (0..1000).take_while(|_| sender.send(&[1; 60], 60)).count();
    assert_eq!((room, sender.in_use()), (127, 127));
}

fn refusals(dpdk: &Dpdk) {
    let says = |name: &str| dpdk.port(name, &OPTIONS).err().map(|e| e.to_string()).unwrap_or_default();
    for name in ["17", "net_pcap7", "0000:ff:1f.7", "", "a\0b"] {
        assert!(says(name).contains("DPDK does not work on"), "{name}: {}", says(name));
    }
    assert!(says("17").contains("not there"), "{}", says("17"));
    assert!(dpdk.ring("none").is_err());
    // A port that was closed is gone.
    let port = (0..7).map(|n| n.to_string()).find(|n| !says(n).contains("not there"));
    assert_eq!(port, None);
}

fn one(dpdk: &Dpdk, name: &str, options: &PortOptions) -> DpdkSource {
    let mut sources = dpdk.port(name, options).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

/// Takes bursts until one is idle or the source has ended.
fn all(source: &mut DpdkSource) -> Vec<Kept> {
    let mut kept = Vec::new();
    let mut keep = |frame: &Frame<'_>| {
        kept.push(Kept { bytes: frame.bytes.to_vec(), wire_len: frame.wire_len, at: frame.at });
    };
    while source.burst(|frames| frames.iter().for_each(&mut keep)).expect("fine") == Poll::More {}
    kept
}

/// A capture with short frames, jumbo frames and one that is longer than a frame in pieces may be; answers what is to come of it.
fn write(path: &Path) -> Vec<Kept> {
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = PcapWriter::new(std::io::BufWriter::new(file), LinkType::Ethernet, false).expect("a file");
    let mut frames = Vec::new();
    for length in [60, 61, 1514, 2048, 2049, 4096, 9014, 20_000, 64].into_iter().cycle().take(90) {
        let n = frames.len();
        let bytes: Vec<u8> = (0..length).map(|at: usize| (at * 7 + n) as u8).collect();
        let at = Time::from_micros(1_500_000_000_000_000 + n as u64 * 10);
        let wire_len = length as u32;
        writer
            .frame(&Frame { bytes: &bytes, wire_len, at, link: LinkType::Ethernet, ..Frame::default() })
            .expect("the file takes it");
        frames.push(Kept { bytes: bytes[..length.min(CUT)].to_vec(), wire_len, at });
    }
    writer.finish().expect("the file takes it");
    frames
}
