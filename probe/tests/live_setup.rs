//! How AF_XDP is set up by options: what is in force is said, what cannot be is refused with the way out, and the card is put back.

#[path = "live/netns.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod netns;
mod support;
#[path = "live/traffic.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod traffic;
#[path = "live/xdp.rs"]
mod xdp;

use netns::{HERE, Netns, THERE};
use support::{Folder, Run, bytes_of, outcome};
use traffic::sendable;
use xdp::{books, captured};

fn probe(ns: &Netns, args: &[&str]) -> Run {
    let mut all = vec!["probe", "-i", HERE, "--backend", "af_xdp", "--duration", "1"];
    all.extend(args);
    outcome(&mut ns.sonda(all))
}

#[test]
fn switches_are_in_force_or_refused() {
    let ns = Netns::new(2);
    let both = ["--lanes", "2"];
    probe(&ns, &both)
        .must(0)
        .says(&["2 queues for 2 lanes, ring", "whether both directions of a flow come on one queue: --af-xdp"]);
    let flows = ["--lanes", "2", "--af-xdp", "spread=flows,zero-copy=never"];
    let run =
        probe(&ns, &flows).must(0).says(&["copy, 2 queues for 2 lanes, all lanes on each queue by addresses, ring"]);
    assert!(!run.stderr.contains("both directions"), "nothing to warn of\n{}", run.stderr);
    // veth has no zero-copy.
    probe(&ns, &["--af-xdp", "zero-copy=always"]).must(1).says(&["no zero-copy: use --af-xdp zero-copy=auto"]);
    probe(&ns, &["--af-xdp", "zero-copy"])
        .must(2)
        .says(&["there is no 'zero-copy'; known: zero-copy=auto|always|never"]);
    // Nor does it stamp packets.
    probe(&ns, &["--hardware-time"]).must(1).says(&["does not stamp all packets (see `ethtool -T`)"]);
    let other = outcome(&mut ns.sonda(["probe", "-i", HERE, "--af-xdp", "huge"])).must(1);
    other.says(&["--af-xdp and --rss are for AF_XDP alone: add --backend af_xdp"]);
}

#[test]
fn packets_come_by_busy_polling() {
    let ns = Netns::new(1);
    let folder = Folder::new();
    let (bytes, sent) = sendable([bytes_of("basic_tcp")]);
    let capture = folder.write("tcp.pcap", bytes);
    let run = captured(&ns, &["--af-xdp", "busy-poll=20"], |_| ns.send(&capture, 1_000));
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "{}", run.stderr);
    run.says(&[", busy polling of 20 us"]);
}

#[test]
fn queues_are_set_up_and_put_back() {
    let ns = Netns::new(2);
    let receiving = || {
        let shown = ns.must("ethtool", &["-l", HERE]);
        let now = shown.split("Current hardware settings").nth(1).expect("what is now");
        now.lines().find_map(|line| line.strip_prefix("RX:")).expect("queues that receive").trim().to_string()
    };
    // Native XDP of veth wants no more queues at the other end than there are here.
    ns.must("ethtool", &["-L", THERE, "tx", "1"]);
    assert_eq!(receiving(), "2");
    let run = captured(&ns, &["--rss", "queues=1", "--isolate", "--ring", "1", "--lanes", "2"], |_| {
        assert_eq!(receiving(), "1")
    });
    run.says(&["native XDP, copy, 1 queue for 2 lanes"]);
    assert_eq!(receiving(), "2");
    probe(&ns, &["--rss", "queues=3", "--keep-privileges"]).must(1).says(&["its driver cannot have 3 receive queues"]);
    // veth has no hash of its own; what was done before is taken back.
    let refused = probe(&ns, &["--rss", "queues=1,symmetric", "--keep-privileges"]).must(1);
    refused.says(&["its driver does not let the hash of its queues be set: leave --rss out; --af-xdp spread=flows"]);
    assert_eq!(receiving(), "2");
}

/// A few huge pages more, until the end of the test. The pool is the machine's.
struct Reserved(u64);

const POOL: &str = "/proc/sys/vm/nr_hugepages";

fn pool() -> u64 {
    std::fs::read_to_string(POOL).expect("the pool").trim().parse().expect("a number")
}

impl Reserved {
    fn more(pages: u64) -> Reserved {
        let before = pool();
        std::fs::write(POOL, (before + pages).to_string()).expect("this test reserves huge pages, run it as root");
        assert!(pool() >= before + pages, "the kernel has no {pages} huge pages to give");
        Reserved(pages)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let _ = std::fs::write(POOL, pool().saturating_sub(self.0).to_string());
    }
}

/// RELIABILITY.md, 28.
#[test]
fn huge_pages_are_used_and_those_that_are_missing_are_counted() {
    let ns = Netns::new(2);
    // 2 queues of 131,072 packets in twice as many frames of 4 KiB.
    let run = probe(&ns, &["--af-xdp", "huge", "--ring", "4095"]).must(1);
    run.says(&[
        "1073741824 bytes were asked for",
        "of huge pages of 2048 KiB 1024 are needed and ",
        "are missing: reserve them (`sysctl vm.nr_hugepages=",
    ]);
    if pool() < 64 {
        let run = probe(&ns, &["--af-xdp", "huge=try", "--ring", "64"]).must(0);
        run.says(&["in 64 MiB each on small pages, because not enough huge ones are free"]);
    }
    let _reserved = Reserved::more(8);
    probe(&ns, &["--af-xdp", "huge", "--ring", "8"])
        .must(0)
        .says(&["ring of 1024 packets in 8 MiB each on huge pages"]);
}
