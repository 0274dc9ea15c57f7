//! Programs of others judge what we make of generated captures: capinfos counts packets, tshark and nfdump read our IPFIX.
//!
//! Needs the Debian packages `tshark`, `wireshark-common` and `nfdump`; SONDA_SKIP_TOOLS=1 does without.

mod support;

use support::{Folder, bytes_of, judge, tools};

/// One case through all judges.
#[track_caller]
fn judged(case: &str, args: &[&str]) {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.write(&format!("{case}.pcap"), bytes_of(case));
    let exported = judge::export(&folder, &capture, args);
    judge::totals(&capture, &exported);
    judge::wireshark(&folder, &exported);
    judge::nfdump(&capture, args, &exported.flows);
}

macro_rules! cases {
    ($($test:ident: $case:literal $(, $arg:literal)*;)+) => {$(
        #[test]
        fn $test() {
            judged($case, &[$($arg),*]);
        }
    )+};
}

cases! {
    basic_tcp: "basic_tcp";
    uniflows: "basic_tcp", "--uniflow";
    udp: "basic_udp";
    ipv6: "ipv6";
    vlan: "vlan", "--stats", "all";
    mpls: "mpls";
    pppoe: "pppoe";
    gre: "gre";
    tunnels: "sixinfour";
    fragments: "fragments";
    http: "http_keepalive", "--stats", "all";
    dns: "dns", "--stats", "all";
    smtp: "smtp";
    sip: "sip";
    tls: "tls13";
    active_timeout: "active_timeout";
    cooked: "sll2";
    raw_ip: "raw_ip";
    nanoseconds: "nanoseconds";
    snaplen: "snaplen";
    pcapng: "pcapng_two_interfaces";
    malformed: "malformed";
}

/// A realistic mixture of many flows, which fills many messages.
#[test]
fn a_mixture() {
    if tools::skipped() {
        return;
    }
    let folder = Folder::new();
    let capture = folder.path("mix.pcap");
    let mut file = std::fs::File::create(&capture).expect("a file");
    let totals = benches::write_capture(benches::Profile::Realistic, 20_000, 3000, 7, &mut file).expect("written");
    let exported = judge::export(&folder, &capture, &[]);
    assert_eq!(exported.summary.packets, totals.packets);
    judge::totals(&capture, &exported);
    judge::wireshark(&folder, &exported);
    judge::nfdump(&capture, &[], &exported.flows);
}
