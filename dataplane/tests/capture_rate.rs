//! How fast capture files are read. `cargo test --release -p dataplane --test capture_rate -- --ignored --nocapture`
//!
//! Another file: CAPTURE_RATE_FILE. Compare only files that were written alike: one written by 4 KiB lies in small pages of the
//! page cache and is read 1.7 times slower than the same bytes written by the megabyte.
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureSource, Frame, LinkType, OpenOptions, Poll, open};
use record::Time;
use std::io::BufWriter;
use std::path::Path;

/// Packets in the file.
const COUNT: u64 = 4_000_000;

fn write(path: &Path, len_of: impl Fn(u64) -> usize) {
    let out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path).unwrap());
    let mut file = PcapWriter::new(out, LinkType::Ethernet, false).unwrap();
    let bytes: Vec<u8> = (0..1_500_u32).map(|n| n as u8).collect();
    for n in 0..COUNT {
        let bytes = &bytes[..len_of(n)];
        file.frame(&Frame {
            bytes,
            wire_len: bytes.len() as u32,
            at: Time(n * 1_000),
            link: LinkType::Ethernet,
            ..Frame::default()
        })
        .unwrap();
    }
    file.finish().unwrap();
}

/// CPU time of this thread, seconds: the machine is shared, so time on the wall tells little.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn read(name: &str, path: &Path, options: &OpenOptions) {
    let (mut best, mut count) = (f64::MAX, 0);
    for _ in 0..5 {
        let start = cpu_s();
        let mut source = open(path, options.clone()).unwrap();
        let mut sum = 0_u64;
        let mut touch = |burst: &[Frame<'_>]| {
            sum += burst.iter().map(|frame| u64::from(frame.bytes[12]) + u64::from(frame.bytes[40])).sum::<u64>();
        };
        while source.burst(&mut touch).unwrap() != Poll::End {}
        count = source.stats().packets;
        best = best.min(cpu_s() - start);
        std::hint::black_box(sum);
    }
    assert!(count > 0);
    println!("{name}: {:.1} Mpps, {:.1} ns a packet", count as f64 / best / 1e6, best * 1e9 / count as f64);
}

#[test]
#[ignore = "a measurement: needs a quiet machine and a release build"]
fn read_rate() {
    if let Some(path) = std::env::var_os("CAPTURE_RATE_FILE") {
        return read("the given file", Path::new(&path), &OpenOptions::default());
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.pcap");
    write(&path, |_| 64);
    read("64 B, mapped", &path, &OpenOptions::default());
    // A mean of some 330 bytes: mostly small, some full-sized.
    write(&path, |n| match n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 {
        0..=2 => 1_400,
        rest => 60 + rest as usize * 4,
    });
    read("330 B mean, mapped", &path, &OpenOptions::default());
    read("330 B mean, read into a buffer", &path, &OpenOptions { filter: None, stream: true });
    read_by_libpcap("330 B mean, libpcap", &path);
    read("330 B mean, filter `not vlan 7`", &path, &OpenOptions { filter: Some("not vlan 7".into()), stream: false });
    let other = dir.path().join("x.pcapng");
    let made = std::process::Command::new("editcap").args(["-F", "pcapng"]).arg(&path).arg(&other).status();
    assert!(made.expect("editcap is in the Debian package wireshark-common").success());
    read("330 B mean, pcapng mapped", &other, &OpenOptions::default());
    println!("{}", memory());
    let packed = dir.path().join("x.zst");
    zstd::stream::copy_encode(std::fs::File::open(&path).unwrap(), std::fs::File::create(&packed).unwrap(), 1).unwrap();
    read("330 B mean, zstd", &packed, &OpenOptions::default());
}

fn read_by_libpcap(name: &str, path: &Path) {
    let start = cpu_s();
    let mut capture = pcap::Capture::from_file(path).unwrap();
    let (mut count, mut sum) = (0, 0);
    while let Ok(packet) = capture.next_packet() {
        sum += u64::from(packet.data[12]) + u64::from(packet.data[40]);
        count += 1;
    }
    std::hint::black_box(sum);
    let took = cpu_s() - start;
    println!("{name}: {:.1} Mpps, {:.1} ns a packet", count as f64 / took / 1e6, took * 1e9 / count as f64);
}

/// What this process has held of memory and of mapped files at the most.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("RssFile"))
        .collect::<Vec<_>>()
        .join(", ")
}
