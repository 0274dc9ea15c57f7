//! IPFIX over DTLS before `openssl s_server`, which writes what datagrams hold to its output: it gets what a collector over UDP gets; what it does not
//! get is counted; and who is not vouched for gets nothing. A relay between the two loses datagrams, makes others up, and keeps what passes.
//!
//! Needs the Debian packages `openssl` and `tshark`.
#![cfg(feature = "dtls")]

#[path = "dtls/certificates.rs"]
mod certificates;
#[path = "dtls/far.rs"]
mod far;

use benches::{Profile, write_capture};
use certificates::Site;
use dataplane::batch::Batch;
use dataplane::capture::{OpenOptions, Poll, open_reader};
use dataplane::export::ipfix::{Interface, IpfixConfig, IpfixExporter, Options, Selection, Target, Transport};
use dataplane::export::spool::SpoolConfig;
use dataplane::export::{Books, Exporter, OpenError, Peer, RecordDrop};
use dataplane::lane::{Lane, LaneConfig};
use dataplane::registry::PluginId;
use far::{Relay, Server, UdpCollector, as_capture, records, sessions, tshark, wait_for};
use std::io::Cursor;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Bytes of a DTLS record that are not the message's: header, nonce, tag.
const OVERHEAD: usize = 37;
const NOW_SECS: u64 = 1_700_000_000;

/// The flows of a capture in batches, each shown to `each` with its number: some twenty datagrams, of which a receiver's buffer has room for 92.
fn flows(count: u64, each: &mut dyn FnMut(usize, &Batch)) {
    flows_with(&[], count, each);
}

fn flows_with(plugins: &[PluginId], count: u64, each: &mut dyn FnMut(usize, &Batch)) {
    let mut capture = Vec::new();
    write_capture(Profile::Realistic, 4 * count, count, 7, &mut capture).expect("memory takes it");
    let mut source = open_reader("memory", Cursor::new(capture), OpenOptions::default());
    let plugins = plugins.iter().map(|plugin| (*plugin, Vec::new())).collect();
    let mut lane = Lane::new(&LaneConfig { plugins, ..LaneConfig::default() }).expect("memory");
    let mut number = 0;
    let mut show = |batch: &mut Batch| {
        each(number, batch);
        batch.clear();
        number += 1;
    };
    while lane.step(&mut source).expect("our own capture") != Poll::End {
        if lane.batch().is_full() {
            show(lane.batch());
        }
    }
    lane.finish(&mut show);
}

fn to(site: &Site, port: u16) -> IpfixConfig {
    let target = Target::Dtls(Peer { host: "127.0.0.1".into(), port });
    IpfixConfig { target, tls: site.tls(), flushes_all: true, ..IpfixConfig::default() }
}

fn open(config: IpfixConfig) -> IpfixExporter {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        match IpfixExporter::open(config.clone(), NOW_SECS) {
            Ok(exporter) => return exporter,
            // A machine that stalls is no collector that is away.
            Err(why) => assert!(why.to_string().contains("timed out") && Instant::now() < until, "{why}"),
        }
    }
}

/// The books balance, and nothing was lost but for these reasons.
#[track_caller]
fn balanced(books: &Books, reasons: &[RecordDrop]) -> u64 {
    assert_eq!(books.records.imbalance(), 0, "{books:?}");
    let unexpected: Vec<_> = books.records.losses().filter(|(why, n)| *n > 0 && !reasons.contains(why)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}: {books:?}");
    books.records.kept
}

/// All flows of a capture.
fn export(count: u64, to: &mut IpfixExporter) {
    flows(count, &mut |_, batch| {
        to.export(batch);
        to.tick(NOW_SECS);
    });
    to.finish(NOW_SECS);
}

#[track_caller]
fn same(got: &[String], wanted: &[String]) {
    assert_eq!(got.len(), wanted.len());
    assert!(got == wanted, "other records");
}

#[test]
fn openssl_gets_what_a_collector_over_udp_gets() {
    for (key, plugins, count) in [("ec", PluginId::ALL, 60), ("rsa", &[], 400)] {
        let site = Site::new(key);
        let (server, mut udp) = (Server::start(&site, &["-Verify", "2", "-naccept", "1"]), UdpCollector::start());
        let relay = Relay::to(server.port);
        let mut dtls = open(to(&site, relay.port));
        let target = Target::Udp(Peer { host: "127.0.0.1".into(), port: udp.port });
        let mut plain = open(IpfixConfig { target, ..to(&site, 0) });
        flows_with(plugins, count, &mut |_, batch| {
            for exporter in [&mut dtls, &mut plain] {
                exporter.export(batch);
                exporter.tick(NOW_SECS);
            }
            udp.read();
        });
        dtls.finish(NOW_SECS);
        plain.finish(NOW_SECS);
        let sent = balanced(dtls.books(), &[]);
        assert!(sent >= count && dtls.books().lost() == 0);
        // It leaves when it is told that this was all.
        let received = server.ended();
        same(&records(&received), &records(&udp.ended()));
        let passed = relay.passed();
        let there: Vec<&Vec<u8>> = passed.iter().filter(|(there, _)| *there).map(|(_, datagram)| datagram).collect();
        // RFC 6347 section 4.1: type, version, epoch. Messages stay below the mtu with what DTLS adds; a flow that is longer has one of its own.
        let messages = there.iter().filter(|datagram| datagram[0] == 23 && datagram[1..3] == [0xfe, 0xfd]);
        let longest = messages.clone().map(|datagram| datagram.len()).filter(|length| *length <= 1458).max();
        assert!(!plugins.is_empty() || longest > Some(1458 - 200), "{longest:?}");
        assert_eq!(messages.map(|datagram| datagram.len() - OVERHEAD).sum::<usize>(), received.len());
        assert_eq!(there.last().map(|last| last[0]), Some(21), "a farewell");
        let folder = site.path("passed.pcap");
        std::fs::write(&folder, as_capture(&passed)).expect("a folder");
        let versions = tshark(&folder, "dtls.handshake.type == 2", "dtls.handshake.version");
        assert_eq!(versions, ["0xfefd"], "the hello of the server says DTLS 1.2");
        assert!(!tshark(&folder, "dtls.handshake.type == 11", "dtls.handshake.version").is_empty());
    }
}

/// Why a collector is not taken.
fn refusal(config: IpfixConfig) -> String {
    match IpfixExporter::open(config, NOW_SECS) {
        Err(why @ OpenError::Connect { .. }) => why.to_string(),
        Err(why) => panic!("{why}"),
        Ok(_) => panic!("taken"),
    }
}

#[test]
fn who_is_not_vouched_for_gets_nothing() {
    let (site, stranger) = (Site::new("ec"), Site::new("ec"));
    let server = Server::start(&site, &["-Verify", "2"]);
    let with = |change: &dyn Fn(&mut IpfixConfig)| {
        let mut config = to(&site, server.port);
        change(&mut config);
        config
    };
    let why = refusal(with(&|config| config.tls.authority = stranger.tls().authority));
    assert!(why.contains("over DTLS") && why.contains("invalid peer certificate") && why.contains("the CA"), "{why}");
    let why = refusal(with(&|config| config.tls.name = Some("elsewhere.example".into())));
    assert!(why.contains("invalid peer certificate") && why.contains("ostname"), "{why}");
    // Without our certificate its door stays shut, and so with one that it does not know.
    let why = refusal(with(&|config| config.tls.identity = None));
    assert!(why.contains("handshake failure") || why.contains("alert"), "{why}");
    let why = refusal(with(&|config| config.tls.identity = stranger.tls().identity));
    assert!(why.contains("alert"), "{why}");
    let silent = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let why = refusal(to(&site, silent));
    assert!(why.contains("refused"), "{why}");
    let wrong =
        with(&|config| config.tls.identity = config.tls.identity.clone().map(|(own, _)| (own, site.path("ca.key"))));
    assert!(matches!(IpfixExporter::open(wrong, NOW_SECS), Err(OpenError::Config(why)) if why.contains("ca.key")));
    let mut named = open(with(&|config| config.tls.name = Some("collector.example".into())));
    export(20, &mut named);
    let sent = balanced(named.books(), &[]);
    assert_eq!(records(&server.killed(sent)).len() as u64, sent);
}

#[test]
fn a_handshake_survives_losses_and_noise() {
    let site = Site::new("rsa");
    let server = Server::start(&site, &[]);
    // The first hello, the first answer and a piece of the certificates are lost; and what comes comes twice, with nonsense behind it.
    let relay = Relay::with(server.port, [&[0], &[0, 2]], true);
    let mut dtls = open(to(&site, relay.port));
    let hellos = relay.passed().iter().filter(|(there, datagram)| *there && datagram.get(13) == Some(&1)).count();
    assert!(hellos >= 2, "{hellos} came through, of at least three");
    export(100, &mut dtls);
    let sent = balanced(dtls.books(), &[]);
    assert_eq!(records(&server.killed(sent)).len() as u64, sent);
}

#[test]
fn what_a_collector_did_not_get_is_counted() {
    let site = Site::new("ec");
    let first = Server::start(&site, &[]);
    let port = first.port;
    let mut dtls = open(to(&site, port));
    let (mut server, mut got) = (Some(first), [0; 2]);
    flows(4000, &mut |number, batch| {
        match number {
            // It has read all of it by then, and is killed without a word. What comes meanwhile waits.
            6 => {
                let killed: Server = server.take().expect("it was started");
                got[0] = records(&killed.whole()).len() as u64;
            }
            8 => server = Some(Server::again(&site, port, &[])),
            // The rest nobody takes.
            12 => {
                let killed = server.take().expect("it was started");
                assert_eq!(sessions(&killed.whole()), 1);
                got[1] = records(&killed.whole()).len() as u64;
            }
            _ => {}
        }
        dtls.export(batch);
        dtls.tick(NOW_SECS);
        if let Some(server) = &server {
            // It is not asked to be as fast as we are.
            wait_for("what was offered", || {
                dtls.tick(NOW_SECS);
                records(&server.whole()).len() as u64 == dtls.books().records.taken - got[0]
            });
        }
    });
    dtls.finish(NOW_SECS);
    let books = dtls.books();
    let sent = balanced(books, &[RecordDrop::Down]);
    assert_eq!((got[0] + got[1], books.reconnects), (sent, 1), "sent is what was taken: {books:?}");
    assert!(books.lost() > 0 && books.records.taken == sent + books.lost(), "{books:?}");
}

#[test]
fn one_that_is_gone_without_a_word_is_noticed_and_the_spool_keeps_the_rest() {
    let site = Site::new("ec");
    let server = Server::start(&site, &[]);
    let port = server.port;
    let relay = Relay::to(port);
    let spool = Some(SpoolConfig { folder: site.path("spool"), bytes_max: 64 << 20 });
    let config = IpfixConfig { dtls_lifetime_secs: 1, spool, ..to(&site, relay.port) };
    let mut dtls = open(config.clone());
    flows(2000, &mut |number, batch| {
        if number == 3 {
            wait_for("the first records", || {
                dtls.tick(NOW_SECS);
                !server.whole().is_empty()
            });
            relay.be_silent(true);
        }
        dtls.export(batch);
        dtls.tick(NOW_SECS);
        if number == 4 {
            // The session ends after its second, and the next handshake is not answered.
            wait_for("the end of the lifetime", || {
                dtls.tick(NOW_SECS);
                dtls.books().trouble.as_ref().is_some_and(|why| why.contains("away"))
            });
        }
    });
    dtls.finish(NOW_SECS);
    let books = dtls.books().clone();
    let sent = balanced(&books, &[RecordDrop::Spooled]);
    let (spooled, taken) = (books.records.taken - sent, records(&server.whole()).len() as u64);
    assert!(books.unconfirmed > 0 && spooled > 0, "{books:?}");
    assert!(sent - taken <= books.unconfirmed, "{taken} were taken: {books:?}");
    // What was kept goes out with the next run, in a session of its own.
    drop((dtls, server));
    let server = Server::again(&site, port, &[]);
    relay.be_silent(false);
    let mut later = open(config);
    wait_for("what was spooled", || {
        later.tick(NOW_SECS);
        records(&server.whole()).len() as u64 >= spooled
    });
    later.finish(NOW_SECS);
    assert_eq!(records(&server.whole()).len() as u64, spooled);
    assert_eq!(balanced(later.books(), &[]), later.books().records.taken);
}

#[test]
fn another_collector_stands_in() {
    let site = Site::new("ec");
    let [first, second] = [Server::start(&site, &[]), Server::start(&site, &[])];
    let peers = [&first, &second].map(|server| Peer { host: "127.0.0.1".into(), port: server.port }).to_vec();
    let mut dtls = open(IpfixConfig { target: Target::Failover { peers, over: Transport::Dtls }, ..to(&site, 0) });
    let (mut first, mut got) = (Some(first), Vec::new());
    flows(2000, &mut |number, batch| {
        if number == 4 {
            let server = first.take().expect("it was started");
            let offered = dtls.books().records.taken;
            wait_for("what was sent", || {
                dtls.tick(NOW_SECS);
                records(&server.whole()).len() as u64 == offered
            });
            got = server.killed(offered);
        }
        dtls.export(batch);
        dtls.tick(NOW_SECS);
    });
    wait_for("the other one", || {
        dtls.tick(NOW_SECS);
        !second.whole().is_empty()
    });
    dtls.finish(NOW_SECS);
    let sent = balanced(dtls.books(), &[]);
    assert_eq!(dtls.books().records.taken, sent);
    let before = records(&got).len() as u64;
    assert_eq!(before + records(&second.killed(sent - before)).len() as u64, sent);
}

#[test]
fn templates_are_sent_again() {
    let site = Site::new("ec");
    let server = Server::start(&site, &[]);
    let interface = Interface { index: 1, name: "eth0".into(), description: "uplink".into() };
    let options = Options { sampling: 10, selection: Selection::Systematic, interfaces: vec![interface] };
    let mut dtls = open(IpfixConfig { template_refresh_secs: 1, options: Some(options), ..to(&site, server.port) });
    flows(100, &mut |_, batch| dtls.export(batch));
    wait_for("templates, three times", || {
        dtls.tick(NOW_SECS);
        far::templates(&server.whole()) >= 3
    });
    dtls.finish(NOW_SECS);
    let sent = balanced(dtls.books(), &[]);
    let end = dtls.books().clone();
    wait_for("the last word", || far::flows(&server.whole()) == sent as usize);
    // Options records come again with them, and count.
    assert_eq!((sessions(&server.whole()), end.reconnects), (1, 0));
}

#[test]
fn renewed_sessions_begin_with_templates_and_are_no_reconnects() {
    let site = Site::new("ec");
    let server = Server::start(&site, &[]);
    let mut dtls = open(IpfixConfig { dtls_lifetime_secs: 1, ..to(&site, server.port) });
    flows(2000, &mut |_, batch| {
        dtls.export(batch);
        dtls.tick(NOW_SECS);
        std::thread::sleep(Duration::from_millis(300));
    });
    dtls.finish(NOW_SECS);
    let books = dtls.books();
    let sent = balanced(books, &[]);
    assert_eq!((books.reconnects, books.unconfirmed, books.records.taken), (0, 0, sent));
    wait_for("all records", || records(&server.whole()).len() as u64 == sent);
    assert!(sessions(&server.whole()) > 1);
}
