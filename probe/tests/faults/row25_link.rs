//! Row 25, the link goes down and comes up: it is said, quiet flows end meanwhile, and what comes after it is up again is taken from the
//! first packet on, before anybody has looked. The books hold over all of it (I1 to I3).
use crate::netns::{HERE, Netns, THERE};
use crate::support::{Folder, Summary, flows, json_so_far, mixture};
use crate::traffic::sendable;
use crate::xdp::books;
use crate::{started, wait_until};

#[test]
fn flows_end_while_a_link_is_down_and_its_first_packet_afterwards_is_taken() {
    let folder = Folder::new();
    let (bytes, sent) = sendable([mixture(1_000, 100)]);
    let capture = folder.write("mixture.pcap", bytes);
    let expected = flows(&capture, &[]).len();
    for backend in ["af_xdp", "af_packet"] {
        let ns = Netns::new(1);
        let out = folder.path(&format!("{backend}.json"));
        let written = || json_so_far(&out);
        let running = started(&ns, backend, &["--inactive", "4", "--json", out.to_str().expect("plain path")]);
        ns.send(&capture, 20_000);
        ns.must("ip", &["link", "set", HERE, "down"]);
        running.wait_for("v0 is down; packets go on when it is up again");
        wait_until("the flows of the time before", || written().len() >= expected);
        assert!(written().iter().any(|flow| flow["end_reason"] == 1), "{backend}: none was idle");
        ns.must("ip", &["link", "set", HERE, "up"]);
        // Until then the other end has no carrier, and what is sent there goes nowhere.
        wait_until("the carrier", || ns.must("cat", &[&format!("/sys/class/net/{THERE}/operstate")]).trim() == "up");
        ns.send(&capture, 20_000);
        running.wait_for("v0 is up again");
        let run = running.interrupt().must(130);
        let (offered, taken, lost) = books(&run);
        assert_eq!((offered, taken, lost.len()), (2 * sent, 2 * sent, 0), "{backend}: {}", run.stderr);
        assert_eq!(Summary::of(&run.stderr).records.1, 2 * expected as u64, "{backend}: {}", run.stderr);
    }
}
