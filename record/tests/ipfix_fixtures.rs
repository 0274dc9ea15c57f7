//! The bytes of ipfixprobe 5.7.0 and the JSON that ipfixcol2 made of them are the authority (fixtures/INDEX.md, ipfix/).
//!
//! ipfixcol2 ran with tcpFlags, timestamp and protocol formatted, octetArrayAsUint, detailedInfo, and showed unknown elements;
//! nonPrintableChar was true (netbios: the control characters of __MSBROWSE__ are gone).

use record::element::{Abstract, Element, iana};
use record::ipfix::json::Style;
use record::ipfix::{
    DataRecord, DataSink, Decoder, Event, Family, Fate, FieldSpec, Framer, Limits, Packer, PackerConfig,
};
use record::{Field, Item, Kind, ListRef, Schema, Sink, Time, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The original crashes there, so the files are empty on purpose.
const EMPTY: &str = "mqtt";

#[test]
fn everything_decodes_in_any_chunking() {
    let Some(fixtures) = fixtures() else { return };
    for (name, bytes) in streams(&fixtures) {
        let whole = messages(&bytes, bytes.len().max(1));
        for chunk in [1, 7, 1000] {
            assert!(messages(&bytes, chunk) == whole, "{name}: chunks of {chunk}");
        }
        let (mut decoder, mut records) = (Decoder::new(Limits::default()), 0);
        for message in &whole {
            let summary = decoder
                .decode(message, &mut |event| {
                    if let Event::Skipped(error) = event {
                        panic!("{name}: {error}");
                    }
                })
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert!(matches!(summary.gap, None | Some(0)), "{name}: sequence gap {:?}", summary.gap);
            assert_eq!(summary.header.sequence, records, "{name}: I11 of RELIABILITY.md");
            records += summary.records;
        }
        assert_eq!(records == 0, name.starts_with(EMPTY), "{name}");
    }
}

#[test]
fn json_is_that_of_ipfixcol2() {
    let Some(fixtures) = fixtures() else { return };
    let style = Style { detailed_info: Some("127.0.0.1"), ignore_unknown: false, ..Style::default() };
    let mut compared = 0;
    for (name, bytes) in streams(&fixtures) {
        let Some(plugin) = name.strip_suffix(".tcp.ipfix") else { continue };
        let theirs =
            std::fs::read_to_string(fixtures.join(format!("{plugin}.ipfixcol2.jsonl"))).expect("ipfixcol2.jsonl");
        let mut theirs = theirs.lines();
        each_record(&bytes, |record| {
            let mut ours = Vec::new();
            record::ipfix::json::record(&mut ours, record, &style);
            let line = theirs.next().unwrap_or_else(|| panic!("{name}: one record more than ipfixcol2"));
            assert_eq!(parsed(&ours), parsed(line.as_bytes()), "{name}");
            // Also the text is the same, but for nothing.
            assert_eq!(String::from_utf8_lossy(&ours), line, "{name}");
            compared += 1;
        });
        assert_eq!(theirs.next(), None, "{name}: one record fewer than ipfixcol2");
    }
    assert!(compared > 500, "only {compared} records compared");
}

#[test]
fn packing_again_gives_the_same_bytes() {
    let Some(fixtures) = fixtures() else { return };
    let mut timed = Vec::new();
    for (name, bytes) in streams(&fixtures) {
        let (again, flushes) = pack_again(&bytes);
        let (mut ours, mut theirs) = (messages(&again, again.len().max(1)), messages(&bytes, bytes.len().max(1)));
        ours.iter_mut().chain(&mut theirs).for_each(|m| m[4..8].fill(0));
        assert_eq!(ours.len(), theirs.len(), "{name}: number of messages");
        for (i, (our, their)) in ours.iter().zip(&theirs).enumerate() {
            assert!(our == their, "{name}: message {i} differs\n  our {our:02x?}\ntheir {their:02x?}");
        }
        if flushes > 0 {
            timed.push((name, flushes));
        }
    }
    // No buffer was full there: the original flushed because its queue was idle.
    println!("flushes that no full buffer explains: {timed:?}");
    assert!(timed.is_empty(), "{timed:?}");
}

// ---- the records of a stream

fn each_record(bytes: &[u8], mut visit: impl FnMut(&DataRecord<'_>)) {
    let mut decoder = Decoder::new(Limits::default());
    for message in messages(bytes, bytes.len().max(1)) {
        let visit = &mut |event: Event<'_>| {
            if let Event::Record(record) = event {
                visit(&record);
            }
        };
        decoder.decode(&message, visit).expect("decodes");
    }
}

fn messages(bytes: &[u8], chunk: usize) -> Vec<Vec<u8>> {
    let (mut framer, mut messages) = (Framer::new(), Vec::new());
    for chunk in bytes.chunks(chunk) {
        framer.push(chunk, &mut |m| messages.push(m.to_vec())).expect("framed");
    }
    framer.finish().expect("no half message at the end");
    messages
}

fn parsed(json: &[u8]) -> serde_json::Value {
    serde_json::from_slice(json).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(json)))
}

// ---- packing again: schemas made of the templates, records in an order that explains the flushes

/// A record as it was, with the pair of its template.
struct Old {
    id: u16,
    spec: Vec<FieldSpec>,
    values: Vec<Vec<u8>>,
    size: usize,
}

/// Answers the packed stream, and how many flushes had to be asked for because no full buffer explains them.
fn pack_again(bytes: &[u8]) -> (Vec<u8>, usize) {
    let flushes = flush_groups(bytes);
    let schemas = schemas(bytes, flushes.iter().flatten());
    let mut packer = Packer::new(PackerConfig::default());
    let (mut out, mut asked) = (Vec::new(), 0);
    let mut used = BTreeMap::<u16, usize>::new();
    for (n, group) in flushes.iter().enumerate() {
        // The record that did not fit caused the flush before, so it came first; the others follow in the order of the ids,
        // in which the original created the templates.
        let full = |r: &&Old| used.get(&r.id).is_some_and(|used| used + r.size > 1458 - 16 - 4);
        let first_of = |id: u16| group.iter().find(|r| r.id == id);
        let cause = group.iter().map(|r| r.id).filter_map(first_of).find(full);
        let mut order: Vec<&Old> = cause.into_iter().collect();
        let mut rest: Vec<&Old> = group.iter().filter(|r| cause.is_none_or(|c| !std::ptr::eq(c, *r))).collect();
        rest.sort_by_key(|r| r.id);
        order.extend(rest);
        if cause.is_none() && n > 0 {
            asked += 1;
            packer.flush(0, &mut |m| keep(&mut out, m.bytes));
        }
        used.clear();
        for record in order {
            let pair = (record.id - 258) / 2;
            let family = if record.id % 2 == 0 { Family::V4 } else { Family::V6 };
            let schema = schemas[&pair];
            let added = packer.add(pair.into(), family, &[schema], 0, |s| refill(s, schema, record), &mut |m| {
                keep(&mut out, m.bytes)
            });
            added.expect("fits");
            *used.entry(record.id).or_default() += record.size;
        }
    }
    packer.flush(0, &mut |m| keep(&mut out, m.bytes));
    (out, asked)
}

fn keep(out: &mut Vec<u8>, message: &[u8]) -> Fate {
    out.extend_from_slice(message);
    Fate::Sent
}

/// Records by flush: a template appears once in a flush, and a template message begins one.
fn flush_groups(bytes: &[u8]) -> Vec<Vec<Old>> {
    let mut groups: Vec<Vec<Old>> = Vec::new();
    let mut decoder = Decoder::new(Limits::default());
    for message in messages(bytes, bytes.len().max(1)) {
        let mut sets = BTreeMap::<u16, Vec<Old>>::new();
        let mut order = Vec::new();
        decoder
            .decode(&message, &mut |event| {
                if let Event::Record(r) = event {
                    let id = r.template.id();
                    if !sets.contains_key(&id) {
                        order.push(id);
                    }
                    sets.entry(id).or_default().push(old(&r));
                }
            })
            .expect("decodes");
        let begins = order.is_empty() || groups.last().is_none_or(|g| g.iter().any(|r| order.contains(&r.id)));
        if begins && groups.last().is_none_or(|g| !g.is_empty()) {
            groups.push(Vec::new());
        }
        let group = groups.last_mut().expect("pushed above");
        order.iter().for_each(|id| group.append(sets.get_mut(id).expect("seen")));
    }
    groups
}

fn old(r: &DataRecord<'_>) -> Old {
    let fields: Vec<_> = r.fields().collect();
    Old {
        id: r.template.id(),
        spec: fields.iter().map(|f| *f.spec).collect(),
        values: fields.iter().map(|f| f.bytes.to_vec()).collect(),
        size: r.bytes.len(),
    }
}

/// A schema for each pair; what a list holds is told by any record of the pair.
fn schemas<'r>(bytes: &[u8], records: impl Iterator<Item = &'r Old>) -> BTreeMap<u16, &'static Schema> {
    let mut lists = BTreeMap::<u16, &Old>::new();
    records.for_each(|r| {
        lists.entry((r.id - 258) / 2).or_insert(r);
    });
    let mut specs = BTreeMap::<u16, Vec<FieldSpec>>::new();
    let mut decoder = Decoder::new(Limits::default());
    for message in messages(bytes, bytes.len().max(1)) {
        decoder
            .decode(&message, &mut |event| {
                if let Event::Template(t) = event {
                    specs.insert(t.id(), t.fields().to_vec());
                }
            })
            .expect("decodes");
    }
    let pairs = specs.keys().filter(|id| *id % 2 == 0).map(|id| (id - 258) / 2);
    pairs
        .filter_map(|pair| {
            let (v4, v6) = (&specs[&(258 + 2 * pair)], &specs[&(259 + 2 * pair)]);
            let sample = lists.get(&pair)?;
            let fields = v4.iter().zip(v6).enumerate().map(|(i, (a, b))| field(a, b, &sample.values[i]));
            let fields: &'static [Field] = Vec::leak(fields.collect());
            Some((pair, &*Box::leak(Box::new(Schema { name: "again", doc: "", fields }))))
        })
        .collect()
}

fn field(v4: &FieldSpec, v6: &FieldSpec, sample: &[u8]) -> Field {
    let is_list = v4.element == Some(iana::basicList);
    let (element, length) = if is_list {
        let id = u16::from_be_bytes([sample[1], sample[2]]) & 0x7fff;
        let pen = u32::from_be_bytes([sample[5], sample[6], sample[7], sample[8]]);
        (element(pen, id), u16::from_be_bytes([sample[3], sample[4]]))
    } else {
        (element(v4.pen, v4.id), v4.length)
    };
    let scalar = match (element.kind, length) {
        (Abstract::DateTimeMilliseconds | Abstract::DateTimeMicroseconds, 8) => Item::Time,
        (Abstract::Float32, 4) => Item::F32,
        (Abstract::MacAddress, 6) => Item::Mac,
        (Abstract::Ipv4Address, 4) => Item::Ip,
        (_, 1) => Item::U8,
        (_, 2) => Item::U16,
        (_, 4) => Item::U32,
        (_, 8) => Item::U64,
        _ => Item::U8,
    };
    let kind = match length {
        _ if is_list => Kind::List(scalar),
        u16::MAX => Kind::Bytes,
        _ => scalar.scalar(),
    };
    let ipfix_v6 = (v4.id != v6.id).then(|| self::element(v6.pen, v6.id));
    Field {
        name: "again",
        kind,
        bound: 0,
        ipfix: Some(element),
        ipfix_v6,
        ipfix_width: None,
        shown: record::schema::Shown::Plain,
        unirec: None,
        doc: "",
    }
}

fn element(pen: u32, id: u16) -> Element {
    Element::find(pen, id).unwrap_or_else(|| panic!("element {pen}:{id} is missing in element.rs"))
}

/// Gives the sink the values that the old bytes stand for.
fn refill(sink: &mut DataSink<'_>, schema: &'static Schema, old: &Old) {
    for (i, field) in schema.fields.iter().enumerate() {
        let (bytes, spec) = (&old.values[i], &old.spec[i]);
        match field.kind {
            Kind::Bytes => sink.put(i, field, Value::Bytes(bytes)),
            Kind::List(item) => refill_list(sink, i, field, item, &bytes[9..]),
            Kind::Time => sink.put(i, field, Value::Time(time(spec.element, number(bytes)))),
            Kind::F32 => sink.put(i, field, Value::F32(f32::from_bits(number(bytes) as u32))),
            Kind::Mac => sink.put(i, field, Value::Mac(bytes[..].try_into().expect("six bytes"))),
            Kind::Ip if bytes.len() == 4 => {
                sink.put(i, field, Value::Ip(<[u8; 4]>::try_from(&bytes[..]).expect("four bytes").into()))
            }
            Kind::Ip => sink.put(i, field, Value::Ip(<[u8; 16]>::try_from(&bytes[..]).expect("sixteen bytes").into())),
            _ => sink.put(i, field, Value::Uint(number(bytes))),
        }
    }
}

fn refill_list(sink: &mut DataSink<'_>, i: usize, field: &'static Field, item: Item, bytes: &[u8]) {
    match item {
        Item::U8 => sink.put(i, field, Value::List(ListRef::U8(bytes))),
        Item::U16 => {
            let items: Vec<u16> = bytes.chunks(2).map(|b| number(b) as u16).collect();
            sink.put(i, field, Value::List(ListRef::U16(&items)));
        }
        Item::U32 => {
            let items: Vec<u32> = bytes.chunks(4).map(|b| number(b) as u32).collect();
            sink.put(i, field, Value::List(ListRef::U32(&items)));
        }
        Item::Time => {
            let items: Vec<Time> = bytes.chunks(8).map(|b| Time(number(b) * 1_000_000)).collect();
            sink.put(i, field, Value::List(ListRef::Time(&items)));
        }
        item => panic!("no fixture has lists of {item:?}"),
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |v, b| (v << 8) | u64::from(*b))
}

fn time(element: Option<Element>, raw: u64) -> Time {
    match element.map(|e| e.kind) {
        Some(Abstract::DateTimeMicroseconds) => record::ipfix::wire::unix_from_ntp_micros(raw),
        _ => Time(raw * 1_000_000),
    }
}

// ---- where the fixtures are

/// The folder of the IPFIX fixtures, `None` where the tree came without them and nobody asked for them.
fn fixtures() -> Option<PathBuf> {
    let asked = std::env::var_os("SONDA_SHARED");
    let root = asked.as_ref().map_or(PathBuf::from("/work/shared"), PathBuf::from);
    let folder = root.join("fixtures/ipfix");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(asked.is_none(), "SONDA_SHARED is set but {} is missing", folder.display());
    println!("skipped: no {}; set SONDA_SHARED to the folder that holds fixtures/", folder.display());
    None
}

fn streams(fixtures: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(fixtures).expect("fixtures/ipfix is readable");
    let mut streams: Vec<(String, Vec<u8>)> = entries
        .map(|e| e.expect("entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "ipfix"))
        .map(|p| (p.file_name().expect("a file").to_string_lossy().into_owned(), std::fs::read(&p).expect("readable")))
        .collect();
    streams.sort();
    assert!(streams.len() >= 52, "only {} streams in {}", streams.len(), fixtures.display());
    streams
}
