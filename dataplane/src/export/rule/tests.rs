//! Any flows through rules: what leaves is what a map made by hand has, and the books balance.
use super::*;
use crate::export::RecordDrop;
use crate::export::ipfix::{IpfixConfig, Target};
use crate::flow::{Flow, FlowKey};
use crate::registry::Plugins;
use proptest::prelude::*;
use record::Time;
use std::collections::BTreeMap;
use std::path::Path;

/// A flow in numbers: few of each, so that many fall together.
type Told = (u8, u8, u16, u16, [u32; 2], u64, u64, bool, u8);

fn flows() -> impl Strategy<Value = Vec<Told>> {
    let ports = proptest::sample::select(vec![0u16, 53, 443, 1024, 40_000, 49_152, 65_535]);
    let counts = [0..4u32, 0..4u32];
    let one = (0..6u8, 0..6u8, ports.clone(), ports, counts, 0..40u64, 0..9u64, any::<bool>(), any::<u8>());
    proptest::collection::vec(one, 0..300)
}

/// Counts, flags, the greatest port, and the source port of the flow that began first.
type Joined = ([u64; 5], u8, u16, (u64, u16));

/// The seconds of the first packet of all.
const BEGAN: u64 = 1_600_000_000;

fn flow(told: &Told) -> Flow {
    let (a, b, src, dst, packets, first, lasted, v6, flags) = *told;
    let (key, reversed) = if v6 {
        FlowKey::v6([a + 1; 16], [b + 100; 16], src, dst, 6, 0, false)
    } else {
        FlowKey::v4([10, 0, a, 7], [10, 1, b, 9], src, dst, 6, 0, false)
    };
    let first = nanos(BEGAN + first);
    let bytes = packets.map(|n| u64::from(n) * 100);
    let last = Time(first + nanos(lasted));
    Flow { first: Time(first), last, packets, bytes, tcp_flags: [flags, 0], reversed, ..Flow::of(key) }
}

fn batches(all: &[Told]) -> Vec<Batch> {
    let of = |some: &[Told]| {
        let mut batch = Batch::default();
        some.iter().for_each(|told| batch.push(&flow(told), 1, true, &mut Plugins::default()));
        batch
    };
    all.chunks(100).map(of).collect()
}

fn terms(words: &[&str], read: impl Fn(&str) -> Result<Term, TermError>) -> Vec<Term> {
    words.iter().map(|word| read(word).expect(word)).collect()
}

fn config(key: &[&str], values: &[&str], secs: u64, entries: u32) -> RuleConfig {
    let (key, values) = (terms(key, Term::key), terms(values, Term::value));
    let does = Does::Aggregate { key, values, active_secs: secs, inactive_secs: secs, entries };
    RuleConfig { name: "r".into(), does, each_direction: false, template: 300, is_live: false }
}

fn opened(config: RuleConfig, filter: Option<Box<dyn FlowFilter>>, path: &Path) -> RuleExporter {
    let rule = Rule::new(config).expect("it goes together");
    RuleExporter::open(rule, filter, vec![To::Json(path.into())]).expect("a file")
}

/// The records of a rule as lines, and its books.
fn ran(config: RuleConfig, filter: Option<Box<dyn FlowFilter>>, all: &[Told]) -> (Vec<String>, Books) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let mut exporter = opened(config, filter, &path);
    batches(all).iter().for_each(|batch| exporter.export(batch));
    exporter.finish(BEGAN);
    let books = exporter.books().clone();
    let rule = books.rule.expect("a rule's");
    assert_eq!(rule.imbalance(books.records.taken), Vec::<String>::new());
    assert_eq!((books.records.imbalance(), rule.live), (0, 0));
    let text = std::fs::read_to_string(&path).expect("written");
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    lines.sort();
    (lines, books)
}

/// The number behind a key of a line.
fn number(line: &str, key: &str) -> u64 {
    let rest = line.split_once(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key} in {line}")).1;
    rest[..rest.find([',', '}']).expect("it ends")].parse().expect("a number")
}

struct EvenSources;

impl FlowFilter for EvenSources {
    fn accepts(&mut self, _batch: &Batch, flow: &FlowRecord) -> bool {
        flow.basic().src_port.is_multiple_of(2)
    }
}

const ALL: [&str; 8] =
    ["flows", "packets", "packets_rev", "bytes", "bytes_rev", "tcp_flags", "max(dst_port)", "first(src_port)"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With room and time for all of them aggregates are those of a map.
    #[test]
    fn aggregates_are_those_of_a_map(all in flows(), filtered: bool) {
        let config = config(&["SRC_IP/16/4", "DST_PORT:class"], &ALL, 1_000_000, 1000);
        let filter = || filtered.then(|| Box::new(EvenSources) as Box<dyn FlowFilter>);
        let (lines, books) = ran(config, filter(), &all);
        let mut expected: BTreeMap<String, Joined> = BTreeMap::new();
        for told in all.iter().filter(|told| !filtered || told.2.is_multiple_of(2)) {
            let (a, _, src, dst, [there, back], first, _, v6, flags) = *told;
            let net = if v6 { format!("{:x}", u16::from((a + 1) & 0xf0) << 8) } else { String::new() };
            let net = match (v6, net.as_str()) {
                (false, _) => "10.0.0.0".to_string(),
                (true, "0") => "::".to_string(),
                (true, net) => format!("{net}::"),
            };
            let class = if dst < 1024 { 0 } else if dst < 49_152 { 1024 } else { 49_152 };
            let length = if v6 { 4 } else { 16 };
            let key = format!("{{\"src_ip\":\"{net}\",\"src_ip_prefix_length\":{length},\"dst_port\":{class},");
            let sum = expected.entry(key).or_insert(([0; 5], 0, 0, (u64::MAX, 0)));
            let (there, back) = (u64::from(there), u64::from(back));
            [1, there, back, there * 100, back * 100].iter().zip(&mut sum.0).for_each(|(n, sum)| *sum += n);
            sum.1 |= flags;
            sum.2 = sum.2.max(dst);
            if first < sum.3.0 {
                sum.3 = (first, src);
            }
        }
        let expected: Vec<String> = expected.iter().map(|(key, ([n, p, pr, b, br], flags, port, (_, first)))| format!(
            "{key}\"flows\":{n},\"packets\":{p},\"packets_rev\":{pr},\"bytes\":{b},\"bytes_rev\":{br},\"tcp_flags\":{flags},\
             \"max_dst_port\":{port},\"first_src_port\":{first}}}"
        )).collect();
        let mut expected = expected;
        expected.sort();
        prop_assert_eq!(lines, expected);
        let rule = books.rule.unwrap();
        prop_assert_eq!((rule.offered, rule.evicted), (all.len() as u64, 0));
    }

    /// However small the table and short the timeouts, sums are those of the flows.
    #[test]
    fn nothing_is_lost_by_timeouts_and_eviction(all in flows(), secs in 1..20u64, entries in 1..5u32, each: bool) {
        let values: &[&str] = if each { &["flows", "packets", "bytes"] } else { &ALL };
        let config = RuleConfig { each_direction: each, ..config(&["SRC_IP", "SRC_PORT"], values, secs, entries) };
        let (lines, books) = ran(config, None, &all);
        let sum = |key: &str| lines.iter().map(|line| number(line, key)).sum::<u64>();
        let of = |count: fn(&Told) -> u64| all.iter().map(count).sum::<u64>();
        let both: fn(&Told) -> u64 = |told| u64::from(told.4[0]) + u64::from(told.4[1]);
        if each {
            let directions: fn(&Told) -> u64 = |told| told.4.iter().map(|n| u64::from(*n > 0)).sum();
            prop_assert_eq!((sum("flows"), sum("packets"), sum("bytes")), (of(directions), of(both), of(both) * 100));
        } else {
            prop_assert_eq!((sum("flows"), sum("packets") + sum("packets_rev")), (all.len() as u64, of(both)));
            prop_assert_eq!(sum("bytes") + sum("bytes_rev"), of(both) * 100);
        }
        prop_assert_eq!(books.records.kept, lines.len() as u64);
    }

    /// One family, named by its element; the flows of the other are counted.
    #[test]
    fn flows_leave_one_by_one(all in flows()) {
        let fields = terms(&["sourceIPv4Address/24", "destinationTransportPort:service", "packets"], Term::key);
        let config = RuleConfig { does: Does::Send { fields }, ..config(&["protocol"], &[], 1, 1) };
        let (lines, books) = ran(config, None, &all);
        let mut expected: Vec<String> = all.iter().filter(|told| !told.7).map(|(a, _, src, dst, [packets, _], ..)| {
            let service = if *src != 0 && (src < dst || *dst == 0) { src } else { dst };
            format!("{{\"src_ip\":\"10.0.{a}.0\",\"src_ip_prefix_length\":24,\"dst_port\":{service},\"packets\":{packets}}}")
        }).collect();
        expected.sort();
        prop_assert_eq!(&lines, &expected);
        let rule = books.rule.unwrap();
        prop_assert_eq!((rule.sent, rule.other_family), (lines.len() as u64, (all.len() - lines.len()) as u64));
    }
}

/// A quiet live run has no flows that tell the time.
#[test]
fn ticks_end_what_is_quiet() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = RuleConfig { is_live: true, ..config(&["SRC_PORT"], &["flows"], 10, 10) };
    let mut exporter = opened(config, None, &folder.path().join("out"));
    exporter.tick(5_000);
    exporter.export(&batches(&[(0, 0, 1, 2, [1, 0], 0, 0, false, 0)])[0]);
    let live = |exporter: &RuleExporter| exporter.books().rule.expect("a rule's").live;
    (5_001..5_010).for_each(|secs| exporter.tick(secs));
    assert_eq!(live(&exporter), 1);
    exporter.tick(5_010);
    assert_eq!((live(&exporter), exporter.books().records.kept), (0, 1));
}

#[test]
fn words_that_are_none() {
    let key = |text: &str| Term::key(text).expect_err(text).to_string();
    assert!(key("SRC_PI").contains("there is no field SRC_PI"));
    assert!(key("SRC_IP/24").contains("SRC_IP/24/64"), "{}", key("SRC_IP/24"));
    assert!(key("SRC_IP/33/64").contains("/33 is no prefix length, use 0 to 32"));
    assert!(key("sourceIPv4Address/24/64").contains("takes one prefix"));
    assert!(key("SRC_PORT/3").contains("for an address alone"));
    assert!(key("SRC_PORT:service").contains("dst_port") && key("BYTES:class").contains("src_port"));
    assert!(key("LINK_BIT_FIELD").contains("no field"), "an exporter's own");
    let value = |text: &str| Term::value(text).expect_err(text).to_string();
    assert!(value("dst_port").contains("max(dst_port)"));
    assert!(value("sum(SRC_IP)").contains("unsigned numbers") && value("median(BYTES)").contains("no function median"));
    for word in ["SRC_IP", "src_ip", "basic.src_ip", "sourceIPv6Address/48", "iana:sourceTransportPort", "dns.rcode"] {
        Term::key(word).expect(word);
    }
    for word in
        ["octetDeltaCount@reverse", "iana@reverse:octetDeltaCount", "flows", "or(TCP_FLAGS_REV)", "last(TLS_SNI)"]
    {
        Term::value(word).expect(word);
    }
}

#[test]
fn words_that_do_not_go_together() {
    let why = |key: &[&str], values: &[&str]| config(key, values, 1, 1).check().map_err(|why| (why.word, why.why));
    let same = why(&["SRC_PORT", "sourceTransportPort:class"], &[]).expect_err("twice");
    assert_eq!(same.0, Some(("key", 1)));
    assert_eq!(why(&["SRC_PORT"], &["bytes", "octetDeltaCount"]).expect_err("twice").0, Some(("values", 1)));
    why(&["sourceIPv4Address/8", "destinationIPv6Address/8"], &[]).expect_err("no flow has both");
    why(&[], &[]).expect_err("no field");
    for both in [
        &["sourceIPv4Address/8", "sourceIPv6Address/9"][..],
        &["sourceIPv4Address/8", "destinationIPv4Address/8", "sourceIPv6Address/9", "destinationIPv6Address/9"],
        &["sourceIPv6Address", "destinationIPv6Address"],
    ] {
        why(both, &["flows"]).expect("fine");
    }
    let each = RuleConfig { each_direction: true, ..config(&["SRC_PORT"], &["bytes_rev"], 1, 1) };
    assert_eq!(each.check().expect_err("no reverse").word, Some(("values", 0)));
    assert!(Rule::new(config(&["SRC_PORT"], &["flows"], 1, 0)).is_err(), "no entries");
}

/// Losses are those of the outputs, and every output has each record.
#[test]
fn outputs_that_fail() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = Rule::new(config(&["SRC_PORT"], &["flows"], 1, 1)).expect("fine");
    let target = Target::File(folder.path().join("out.ipfix"));
    let ipfix = IpfixExporter::open(IpfixConfig { target, first_template: Some(300), ..IpfixConfig::default() }, BEGAN);
    let to = vec![To::Ipfix(Box::new(ipfix.expect("a file"))), To::Json("/dev/full".into())];
    let mut exporter = RuleExporter::open(rule, None, to).expect("both open");
    let all: Vec<Told> = (1..100).map(|port| (0, 0, port, 2, [1, 0], 0, 0, false, 0)).collect();
    batches(&all).iter().for_each(|batch| exporter.export(batch));
    exporter.finish(BEGAN);
    let books = exporter.books();
    assert_eq!(
        (books.records.taken, books.records.kept, books.records.dropped(RecordDrop::WriteFailed)),
        (198, 99, 99)
    );
    let rule = books.rule.expect("a rule's");
    assert_eq!((rule.evicted, rule.at_end, rule.imbalance(198)), (98, 1, Vec::new()));
    let bytes = std::fs::read(folder.path().join("out.ipfix")).expect("written");
    // The first set tells templates; the newest first, then that of IPv4.
    assert_eq!((&bytes[16..18], &bytes[20..22]), (&[0, 2][..], &301u16.to_be_bytes()[..]));
}

/// Any words, and what the fuzzer does with them.
#[test]
fn harness() {
    fuzzing::fuzz_rule(b"SRC_IP/24/64\nDST_PORT:service\ntls.sni\n\nflows\nbytes\nmax(TCP_FLAGS)");
    fuzzing::fuzz_rule(b"sourceIPv4Address/8\nsourceIPv6Address/9\n\nsum(BYTES");
}
