//! An outside decoder reads what we write: round trips through our own code prove little (STYLE.md).
//!
//! Needs tshark (Debian package `tshark`); SONDA_SKIP_TOOLS=1 skips the test on a machine without it.

use record::element::{cesnet, flowmon, iana, reverse};
use record::ipfix::{DataSink, Family, Fate, Packer, PackerConfig};
use record::{Blob, List, Mac, Record, Text, Time, record};
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

record! {
    /// Basic, with a time in each unit.
    struct Basic = "basic" {
        /// Reason.
        end_reason: u8, ipfix iana::flowEndReason;
        /// Bytes.
        bytes: u64, ipfix iana::octetDeltaCount;
        /// Bytes back.
        bytes_rev: u64, ipfix reverse::octetDeltaCount;
        /// Start.
        first: Time, ipfix iana::flowStartMicroseconds;
        /// End.
        last: Time, ipfix iana::flowEndMicroseconds;
        /// Protocol.
        protocol: u8, ipfix iana::protocolIdentifier;
        /// Flags.
        flags: u8, ipfix iana::tcpControlBits;
        /// Port.
        src_port: u16, ipfix iana::sourceTransportPort;
        /// Port.
        dst_port: u16, ipfix iana::destinationTransportPort;
        /// Address.
        src: IpAddr, ipfix iana::sourceIPv4Address | iana::sourceIPv6Address;
        /// Address.
        dst: IpAddr, ipfix iana::destinationIPv4Address | iana::destinationIPv6Address;
        /// Address.
        src_mac: Mac, ipfix iana::sourceMacAddress;
        /// Seconds.
        seen_secs: Time, ipfix iana::observationTimeSeconds;
        /// Milliseconds.
        seen_millis: Time, ipfix iana::observationTimeMilliseconds;
        /// Nanoseconds.
        seen_nanos: Time, ipfix iana::observationTimeNanoseconds;
    }
}

record! {
    /// Variable length, lists, enterprise elements.
    struct Extra = "extra" {
        /// Name.
        interface: Text<300>, ipfix iana::interfaceName;
        /// Text of a private enterprise.
        agent: Text<300>, ipfix flowmon::httpUserAgent;
        /// Bytes.
        content: Blob<100>, ipfix cesnet::IDPContent;
        /// Lengths.
        lengths: List<u16, 30>, ipfix cesnet::packetLength;
        /// Nothing.
        nothing: List<u8, 30>, ipfix cesnet::packetFlag;
        /// Times.
        times: List<Time, 30>, ipfix cesnet::packetTime;
    }
}

#[test]
fn tshark_reads_what_we_write() {
    if std::env::var_os("SONDA_SKIP_TOOLS").is_some_and(|v| v == "1") {
        println!("skipped: SONDA_SKIP_TOOLS=1");
        return;
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ipfix-{}.pcap", std::process::id()));
    std::fs::write(&path, pcap(&messages())).expect("the build folder is writable");
    let shown = tshark(&path);
    let _ = std::fs::remove_file(&path);
    for bad in ["Malformed", "malformed", "Expert Info", "Template Frame: 0", "no template"] {
        assert!(!shown.contains(bad), "tshark says {bad:?}:\n{shown}");
    }
    for (text, times) in [
        ("Octets: 123456789012", 20),
        ("Octets: 4321 (Reverse Type 1 BYTES)", 20),
        ("Protocol: TCP (6)", 20),
        ("TCP Flags: 0x1b", 20),
        ("SrcPort: 443", 20),
        ("SrcAddr: 192.0.2.1", 10),
        ("SrcAddr: 2001:db8::1", 10),
        ("Source Mac Address: 00:1a:2b:33:44:55", 20),
        ("Value (hex bytes): 03 83 f5 00 02 00 00 1f 79 00 24 05 dc 00 28\n", 20),
        ("Value (hex bytes): 03 83 f7 00 01 00 00 1f 79\n", 20),
        ("IfName: eth0", 20),
        ("Observation Time Seconds: Oct 28, 2016 17:01:54.000000000 UTC", 20),
        ("Observation Time Milliseconds: Oct 28, 2016 17:01:54.088000000 UTC", 20),
    ] {
        assert_eq!(shown.matches(text).count(), times, "{text} in\n{shown}");
    }
    // tshark cuts the fraction where we round it, so a microsecond may look like its last nanosecond is missing.
    for label in [
        "StartTime: Oct 28, 2016 17:01:53.",
        "EndTime: Oct 28, 2016 17:01:54.",
        "Observation Time Nanoseconds: Oct 28, 2016 17:01:54.",
    ] {
        let wanted: u64 = if label.starts_with("Start") { 540_641_000 } else { 88_536_000 };
        let seen: Vec<u64> = shown
            .match_indices(label)
            .map(|(at, _)| shown[at + label.len()..][..9].parse().expect("nine digits"))
            .collect();
        assert_eq!(seen.len(), 20, "{label} in\n{shown}");
        assert!(seen.iter().all(|s| s.abs_diff(wanted) <= 1), "{label} {seen:?}");
    }
}

/// Twenty records, IPv4 and IPv6 in turn, as messages.
fn messages() -> Vec<Vec<u8>> {
    let mut packer = Packer::new(PackerConfig::default());
    let mut messages = Vec::new();
    let mut emit = |message: record::ipfix::Message<'_>| {
        messages.push(message.bytes.to_vec());
        Fate::Sent
    };
    let extra = extra();
    for i in 0..20 {
        let (family, basic) =
            if i % 2 == 0 { (Family::V4, basic("192.0.2.1")) } else { (Family::V6, basic("2001:db8::1")) };
        let fill = |sink: &mut DataSink<'_>| {
            basic.visit(sink);
            extra.visit(sink);
        };
        packer.add(1, family, &[Basic::SCHEMA, Extra::SCHEMA], 1_477_674_200, fill, &mut emit).expect("fits");
    }
    packer.flush(1_477_674_200, &mut emit);
    messages
}

fn basic(address: &str) -> Basic {
    let address: IpAddr = address.parse().expect("an address");
    let last = Time::from_micros(1_477_674_114_088_536);
    Basic {
        end_reason: 3,
        bytes: 123_456_789_012,
        bytes_rev: 4321,
        first: Time::from_micros(1_477_674_113_540_641),
        last,
        protocol: 6,
        flags: 0x1b,
        src_port: 443,
        dst_port: 51_000,
        src: address,
        dst: address,
        src_mac: [0x00, 0x1a, 0x2b, 0x33, 0x44, 0x55],
        seen_secs: last,
        seen_millis: last,
        seen_nanos: last,
    }
}

fn extra() -> Extra {
    let mut extra = Extra::default();
    extra.interface.set(b"eth0");
    extra.agent.set(&[b'a'; 260]);
    extra.content.set(&[0, 1, 2, 255]);
    [36, 1500, 40].iter().for_each(|l| assert!(extra.lengths.push(*l)));
    assert!(extra.times.push(Time::from_micros(1_477_674_114_088_000)));
    extra
}

/// Datagrams to port 4739 in a capture of raw IPv4 (link type 101); checksums stay 0, which means "none" for UDP.
fn pcap(messages: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4u32.to_le_bytes());
    out.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend(65_535u32.to_le_bytes());
    out.extend(101u32.to_le_bytes());
    for message in messages {
        let length = message.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((length + 28).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        packet.extend([40_000, 4739, length + 8, 0].iter().flat_map(|n: &u16| n.to_be_bytes()));
        packet.extend(message);
        out.extend([0; 8]);
        out.extend([(packet.len() as u32).to_le_bytes(); 2].concat());
        out.extend(packet);
    }
    out
}

fn tshark(path: &Path) -> String {
    let run = Command::new("tshark")
        .arg("-r")
        .arg(path)
        .args(["-n", "-V", "-d", "udp.port==4739,cflow"])
        .env("TZ", "UTC")
        .output();
    let run = run.unwrap_or_else(|e| {
        panic!("tshark does not run ({e}): install the Debian package `tshark`, or set SONDA_SKIP_TOOLS=1")
    });
    assert!(run.status.success(), "tshark failed: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).into_owned()
}
