//! Row 26, the interface is removed, or its queues or MTU are changed: nothing crashes, the reason is shown, and what is lost is counted.
use crate::netns::{HERE, Netns, THERE};
use crate::support::{Folder, Summary, assert_same, bytes_of, flows, json_lines, mixture};
use crate::traffic::{sendable, sendable_within, timeless};
use crate::xdp::books;
use crate::{started, wait_until};
use dataplane::capture::write::PcapWriter;
use dataplane::capture::{CaptureSource, Frame, LinkType, OpenOptions, Poll, open_reader};
use std::io::Cursor;
use std::path::Path;

#[test]
fn an_interface_that_is_removed_ends_the_run_and_its_flows_are_exported() {
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(2_000, 200)]);
    let capture = folder.write("mixture.pcap", bytes);
    let expected = timeless(flows(&capture, &[]));
    for (backend, lanes) in [("af_xdp", "1"), ("af_xdp", "2"), ("af_packet", "1"), ("af_packet", "2")] {
        let ns = Netns::new(2);
        let running = started(&ns, backend, &["--json", "-", "--lanes", lanes]);
        // Into one queue: in veth's own spread directions would part.
        send_into(&ns, 0, &capture);
        ns.must("ip", &["link", "del", HERE]);
        let run = running.end().must(3).says(&["v0 is not there any more"]);
        let (offered, taken, lost) = books(&run);
        assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "{backend}, {lanes} lanes\n{}", run.stderr);
        assert_same(backend, &timeless(json_lines(&run.stdout)), &expected);
    }
}

/// Sends into this queue of our end: all processors send by the other end's queue of that number. One that is off takes no setting.
fn send_into(ns: &Netns, queue: u32, capture: &Path) {
    let all = "for q in /sys/class/net/v1/queues/tx-*; do (echo 0 > $q/xps_cpus) 2> /dev/null; done";
    let every = "printf %x $(( (1 << $(nproc --all)) - 1 ))";
    ns.must("sh", &["-c", &format!("{all}; {every} > /sys/class/net/{THERE}/queues/tx-{queue}/xps_cpus")]);
    ns.send(capture, 20_000);
}

#[test]
fn queues_that_an_interface_gets_later_are_named_and_what_they_bring_is_counted() {
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(2_000, 200)]);
    let capture = folder.write("mixture.pcap", bytes);
    let ns = Netns::new(4);
    ns.must("ethtool", &["-L", THERE, "rx", "4", "tx", "2"]);
    ns.must("ethtool", &["-L", HERE, "rx", "2", "tx", "4"]);
    let running = started(&ns, "af_xdp", &["--json", "-", "--lanes", "2"]);
    send_into(&ns, 1, &capture);
    ns.must("ethtool", &["-L", HERE, "rx", "4"]);
    ns.must("ethtool", &["-L", THERE, "tx", "4"]);
    running.wait_for("v0 was changed: it has 4 receive queues now and 2 are read");
    // veth runs the program on its new queues only once it was opened anew (veth_enable_xdp, drivers/net/veth.c); cards do at once.
    ns.must("ip", &["link", "set", HERE, "down"]);
    ns.must("ip", &["link", "set", HERE, "up"]);
    wait_until("the carrier", || ns.must("cat", &[&format!("/sys/class/net/{THERE}/operstate")]).trim() == "up");
    send_into(&ns, 3, &capture);
    send_into(&ns, 0, &capture);
    let run = running.interrupt().must(130);
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken, lost.len()), (3 * sent, 2 * sent, 1), "{}", run.stderr);
    assert_eq!(lost["queue_not_read"], sent);
}

#[test]
fn queues_with_sockets_cannot_be_taken_away() {
    let folder = Folder::new();
    let (bytes, sent) = sendable([bytes_of("basic_tcp")]);
    let capture = folder.write("tcp.pcap", bytes);
    let ns = Netns::new(2);
    ns.must("ethtool", &["-L", THERE, "tx", "1"]);
    let running = started(&ns, "af_xdp", &["--json", "-"]);
    // The kernel refuses or does it; the capture goes on in both cases.
    let _ = ns.command("ethtool", ["-L", HERE, "rx", "1"]).status();
    ns.send(&capture, 1_000);
    let run = running.interrupt().must(130);
    assert_eq!(Summary::of(&run.stderr).packets, sent, "{}", run.stderr);
}

#[test]
fn packets_that_a_higher_mtu_lets_in_are_counted_where_they_do_not_fit() {
    let folder = Folder::new();
    let (short, few) = sendable_within([mixture(5_000, 300)], 1514);
    // Each third frame is longer than the memory that a socket has for one, by bytes behind its packet.
    let mut long = PcapWriter::new(Vec::new(), LinkType::Ethernet, true).expect("memory");
    let mut source = open_reader("memory", Cursor::new(short.clone()), OpenOptions::default());
    let mut count = 0;
    let mut put = |frame: &Frame<'_>| {
        count += 1;
        let mut bytes = frame.bytes.to_vec();
        bytes.resize(if count % 3 == 0 { 5_000 } else { bytes.len() }, 0);
        long.frame(&Frame { bytes: &bytes, wire_len: bytes.len() as u32, ..*frame }).expect("memory");
    };
    while source.burst(|frames| frames.iter().for_each(&mut put)).expect("frames") != Poll::End {}
    let (short, long) = (folder.write("short.pcap", short), folder.write("long.pcap", long.finish().expect("memory")));
    for backend in ["af_xdp", "af_packet"] {
        let ns = Netns::new(1);
        [HERE, THERE].iter().for_each(|link| _ = ns.must("ip", &["link", "set", link, "mtu", "1500"]));
        let running = started(&ns, backend, &["--json", "-"]);
        ns.send(&short, 20_000);
        [HERE, THERE].iter().for_each(|link| _ = ns.must("ip", &["link", "set", link, "mtu", "9000"]));
        if backend == "af_xdp" {
            running.wait_for("v0 was changed: its MTU is 9000 now");
        }
        ns.send(&long, 20_000);
        let run = running.interrupt().must(130);
        let (offered, taken, lost) = books(&run);
        assert_eq!(offered, 2 * few, "{backend}\n{}", run.stderr);
        let too_long = lost.get("rx_dropped").copied().unwrap_or(0);
        assert_eq!(taken + too_long, offered, "{backend}: nothing else is lost\n{}", run.stderr);
        assert_eq!(
            too_long,
            if backend == "af_xdp" { few / 3 } else { 0 },
            "blocks of AF_PACKET hold long packets\n{}",
            run.stderr
        );
    }
}
