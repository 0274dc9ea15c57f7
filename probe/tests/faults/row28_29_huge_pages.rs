//! Rows 28 and 29, huge pages for AF_XDP: too few at the start are refused with the number that is missing; taken away later, they are
//! not missed, because the memory is pinned. For DPDK: `dpdk.rs`.
use crate::netns::{HERE, Netns, THERE};
use crate::started;
use crate::support::{Folder, assert_same, flows, json_lines, mixture, outcome};
use crate::traffic::{sendable_within, timeless};
use crate::xdp::books;

const PAGES: &str = "/proc/sys/vm/nr_hugepages";

/// Puts the number back.
struct Before(String);

impl Drop for Before {
    fn drop(&mut self) {
        let _ = std::fs::write(PAGES, &self.0);
    }
}

#[test]
fn too_few_huge_pages_are_counted_and_those_that_go_later_are_not_missed() {
    let folder = Folder::new();
    let (bytes, sent) = sendable_within([mixture(2_000, 200)], 1514);
    let capture = folder.write("mixture.pcap", bytes);
    let before = Before(std::fs::read_to_string(PAGES).expect("Linux has it"));
    let own: u64 = before.0.trim().parse().expect("a number");
    let ns = Netns::new(1);
    [HERE, THERE].iter().for_each(|link| _ = ns.must("ip", &["link", "set", link, "mtu", "1500"]));
    // More than any machine has reserved for somebody else.
    let args = ["probe", "-i", HERE, "--backend", "af_xdp", "--af-xdp", "huge", "--ring", "4095", "--duration", "1"];
    let refused = outcome(&mut ns.sonda(args)).must(1);
    refused.says(&["huge pages of 2048 KiB", "are needed", "free", "are missing", "vm.nr_hugepages="]);
    std::fs::write(PAGES, (own + 8).to_string()).expect("root may reserve huge pages");
    let running = started(&ns, "af_xdp", &["--af-xdp", "huge", "--ring", "4", "--json", "-"]);
    std::fs::write(PAGES, &before.0).expect("root may");
    ns.send(&capture, 5_000);
    let run = running.interrupt().must(130);
    let (offered, taken, lost) = books(&run);
    assert_eq!((offered, taken, lost.len()), (sent, sent, 0), "{}", run.stderr);
    assert_same("on huge pages", &timeless(json_lines(&run.stdout)), &timeless(flows(&capture, &[])));
}
