//! Harnesses F11, F12 and F23 of RELIABILITY.md. Each takes any bytes and panics when a promise is broken.
mod values;

use self::values::{Input, Owned, POOL};
use crate::ipfix::{
    AddError, DataRecord, DataSink, Decoded, Decoder, Event, Family, Fate, FieldRef, Framer, Header, Holds, Limits,
    Message, Packer, PackerConfig, Selection, Statement, json as ipfixcol2,
};
use crate::schema::Schema;
use crate::{json, text};
use std::collections::{BTreeMap, VecDeque};

/// F12: any bytes are decoded as a stream and as one message; memory stays within the limits, and every record has its ipfixcol2
/// JSON form, which is valid.
pub fn fuzz_ipfix_decode(data: &[u8]) {
    let limits = Limits { domains_max: 2, templates_max: 8, fields_max: 64, memory_max: 8192 };
    let mut decoder = Decoder::new(limits);
    let mut framer = Framer::new();
    let split = data.len() / 2;
    for chunk in [&data[..split], &data[split..]] {
        let _ = framer.push(chunk, &mut |message| decode(&mut decoder, message));
    }
    let _ = framer.finish();
    // The same bytes as one well-framed message, so that the fuzzer need not find the length.
    let body = &data[..data.len().min(2000)];
    let length = (body.len() as u16 + 16).to_be_bytes();
    let mut message = vec![0, 10, length[0], length[1]];
    message.extend([0; 12]);
    message.extend(body);
    decode(&mut decoder, &message);
    decode(&mut decoder, &message);
    assert!(decoder.memory() <= limits.memory_max);
}

/// F11: records of random schemas and values, packed under random sizes, send failures and restarts, are what the decoder reads;
/// sequence numbers count the records sent (I11).
pub fn fuzz_ipfix_encode(data: &[u8]) {
    let mut input = Input(data);
    let mtu = 64 + input.number(2) as u16 % 1500;
    let (mtu_limits_templates, knobs) = (input.flag(), input.number(1) as u32);
    let (refresh_secs, flushes_all) = (knobs % 4, knobs & 4 == 0);
    let (announces, withdraws) = (knobs & 8 != 0, knobs & 16 != 0);
    let alone_max = if knobs & 32 != 0 { u16::MAX } else { 0 };
    let config = PackerConfig {
        mtu,
        alone_max,
        domain: 7,
        mtu_limits_templates,
        flushes_all,
        refresh_secs,
        pairs_max: 3,
        withdraws,
        ..PackerConfig::default()
    };
    let mut packer = Packer::new(config);
    let about = |n: u64| Statement::Exported { domain: 7, messages: n, flow_records: 2 * n, octets: 3 * n };
    if announces {
        packer.announce(Statement::Sampling { domain: 7, interval: 9, selection: Selection::Systematic });
    }
    let shapes: Vec<Vec<&'static Schema>> = (0..4).map(|_| input.shape()).collect();
    let mut peer = Peer { withdraws, alone_max: alone_max.into(), ..Peer::new(mtu) };
    let mut now_secs = 1;
    while !input.0.is_empty() {
        let (key, family) = (input.number(1) as usize % 4, if input.flag() { Family::V4 } else { Family::V6 });
        now_secs += u32::from(input.flag());
        peer.fates = input.number(1);
        let values: Vec<Owned> = shapes[key].iter().map(|s| input.value(&s.fields[0], family)).collect();
        let fill = |sink: &mut DataSink<'_>| {
            for (schema, value) in shapes[key].iter().zip(&values) {
                value.put(&schema.fields[0], sink);
            }
        };
        peer.adding = Some(values.clone());
        let added = packer.add(key as u64, family, &shapes[key], now_secs, fill, &mut |m| peer.take(m));
        if announces && key == 1 {
            packer.announce(Statement::Interface { index: now_secs % 8, name: "n".into(), description: "d".into() });
            packer.tell(&[about(1), about(2)], now_secs, &mut |m| peer.take(m));
        }
        match (added, packer.id_of(key as u64)) {
            (Ok(()), Some(id)) => peer.added(id + u16::from(family == Family::V6)),
            (added, id) => {
                assert!(added.is_err() && (id.is_some() || !withdraws));
                assert_eq!(added == Err(AddError::TooManyPairs), id.is_none());
            }
        }
    }
    peer.fates = 0;
    packer.flush(now_secs, &mut |m| peer.take(m));
    assert_eq!(packer.waiting(), 0);
    assert_eq!(packer.sequence(), peer.sent);
    assert!(peer.waiting.values().all(VecDeque::is_empty), "records vanished");
}

/// F23: any value is valid JSON, and text that is UTF-8 comes back.
pub fn fuzz_record_json(data: &[u8]) {
    let mut out = Vec::new();
    json::string(&mut out, data);
    let parsed: serde_json::Value = serde_json::from_slice(&out).expect("a JSON string");
    if let Ok(text) = std::str::from_utf8(data) {
        assert_eq!(parsed.as_str(), Some(text));
    }
    let mut input = Input(data);
    while !input.0.is_empty() {
        let field = &POOL[input.number(1) as usize % POOL.len()].fields[0];
        let value = input.value(field, Family::V6);
        out.clear();
        value.with(field, |v| json::value(&mut out, v));
        serde_json::from_slice::<serde_json::Value>(&out).expect("a JSON value");
    }
    out.clear();
    text::escaped(&mut out, data);
    assert!(std::str::from_utf8(&out).is_ok(), "escaped text is UTF-8");
}

fn decode(decoder: &mut Decoder, message: &[u8]) {
    let mut out = Vec::new();
    let mut offset_max = 0;
    let done = decoder.decode(message, &mut |event| match event {
        Event::Record(record) => {
            out.clear();
            ipfixcol2::record(&mut out, &record, &ipfixcol2::Style { ignore_unknown: false, ..Default::default() });
            serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON");
            assert_eq!(record.fields().count(), record.template.fields().len());
            record.fields().for_each(|f| drop(f.value()));
        }
        Event::Template(template) => {
            out.clear();
            ipfixcol2::template(&mut out, template);
            serde_json::from_slice::<serde_json::Value>(&out).expect("valid JSON");
        }
        Event::Skipped(error) => offset_max = offset_max.max(error.offset),
        Event::Withdrawn(_) => {}
    });
    assert!(done.is_err() || offset_max <= message.len());
}

/// The other end of the wire: a collector that reads what was sent, and an observer that reads everything.
struct Peer {
    mtu: usize,
    alone_max: usize,
    observer: Decoder,
    collector: Decoder,
    /// The record that is being added, until it is sent alone.
    adding: Option<Vec<Owned>>,
    /// Records added and not yet seen, by template id.
    waiting: BTreeMap<u16, VecDeque<Vec<Owned>>>,
    /// Records sent in this session.
    sent: u32,
    /// Two bits for each message: sent, sent, lost, restarted.
    fates: u64,
    restarting: bool,
    /// Templates are withdrawn, so a lost message is the end of the session.
    withdraws: bool,
}

impl Peer {
    fn new(mtu: u16) -> Peer {
        let decoder = || Decoder::new(Limits::default());
        Peer {
            mtu: mtu.into(),
            alone_max: 0,
            observer: decoder(),
            collector: decoder(),
            adding: None,
            waiting: BTreeMap::new(),
            sent: 0,
            fates: 0,
            restarting: false,
            withdraws: false,
        }
    }

    /// The record was taken; it waits, unless it was seen already.
    fn added(&mut self, id: u16) {
        if let Some(values) = self.adding.take() {
            self.waiting.entry(id).or_default().push_back(values);
        }
    }

    fn take(&mut self, message: Message<'_>) -> Fate {
        let header = Header::parse(message.bytes).expect("a header");
        let max = if message.records == 1 { self.mtu.max(self.alone_max) } else { self.mtu };
        assert!(message.records == 0 || message.bytes.len() <= max, "a data message over the mtu");
        assert_eq!(header.sequence, self.sent);
        let fate = self.fates & 3;
        self.fates >>= 2;
        if fate == 3 && !self.restarting {
            self.restarting = true;
            self.sent = 0;
            self.collector.reset();
            return Fate::Restarted;
        }
        self.observe(message);
        self.restarting &= message.holds != Holds::Flows;
        if fate == 2 {
            if self.withdraws {
                self.collector.reset();
            }
            return Fate::Lost;
        }
        self.collect(message.bytes);
        self.sent += message.records + message.options;
        Fate::Sent
    }

    /// Every record that leaves, sent or lost, is the oldest of its template.
    fn observe(&mut self, message: Message<'_>) {
        let (waiting, adding) = (&mut self.waiting, &mut self.adding);
        let visit = &mut |event: Event<'_>| match event {
            Event::Record(record) if record.template.is_options() => {}
            Event::Withdrawn(id) => {
                assert!(waiting.get(&id).is_none_or(VecDeque::is_empty), "records of {id} come too late");
            }
            Event::Record(record) => {
                let values = waiting.get_mut(&record.template.id()).and_then(VecDeque::pop_front);
                let values = values.or_else(|| adding.take());
                compare(&record, &values.expect("a record that nobody added"));
            }
            Event::Skipped(error) => panic!("{error}"),
            _ => {}
        };
        let summary = self.observer.decode(message.bytes, visit).expect("decodes");
        assert_eq!(summary.records, message.records + message.options);
    }

    /// Only a lost template may make data unreadable.
    fn collect(&mut self, bytes: &[u8]) {
        let visit = &mut |event: Event<'_>| {
            if let Event::Skipped(error) = event {
                assert!(matches!(error.cause, crate::ipfix::Cause::UnknownTemplate(_)), "{error}");
            }
        };
        let summary = self.collector.decode(bytes, visit).expect("decodes");
        assert!(matches!(summary.gap, None | Some(0)), "gap {:?}", summary.gap);
    }
}

fn compare(record: &DataRecord<'_>, values: &[Owned]) {
    let fields: Vec<FieldRef<'_>> = record.fields().collect();
    assert_eq!(fields.len(), values.len());
    for (field, value) in fields.iter().zip(values) {
        let same = match (value, field.value().expect("a well-formed list")) {
            (Owned::List(items), Decoded::BasicList(list)) => {
                assert_eq!(list.items().count(), items.len());
                list.items().zip(items).all(|(field, item)| equal(&field, item))
            }
            (value, _) => equal(field, value),
        };
        assert!(same, "{value:?} came back as {:02x?}", field.bytes);
    }
}

fn equal(field: &FieldRef<'_>, value: &Owned) -> bool {
    match value {
        Owned::Uint(v) => field.uint() == Some(*v),
        Owned::Int(v) => field.int() == Some(*v),
        Owned::Float(v) => field.float().map(f64::to_bits) == Some(v.to_bits()),
        Owned::Ip(v) => field.ip() == Some(*v),
        Owned::Mac(v) => field.mac() == Some(*v),
        Owned::Time(v) => field.time() == Some(*v),
        Owned::Bytes(v) => field.bytes == v,
        Owned::List(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A valid stream, as a start for damage.
    fn stream(data: &[u8]) -> Vec<u8> {
        let (mut input, mut out) = (Input(data), Vec::new());
        let shape = input.shape();
        let mut packer = Packer::new(PackerConfig::default());
        while !input.0.is_empty() {
            let values: Vec<Owned> = shape.iter().map(|s| input.value(&s.fields[0], Family::V4)).collect();
            let fill = |sink: &mut DataSink<'_>| {
                for (schema, value) in shape.iter().zip(&values) {
                    value.put(&schema.fields[0], sink);
                }
            };
            let _ = packer.add(0, Family::V4, &shape, 1, fill, &mut |m| {
                out.extend_from_slice(m.bytes);
                Fate::Sent
            });
        }
        packer.flush(1, &mut |m| {
            out.extend_from_slice(m.bytes);
            Fate::Sent
        });
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn f11(data in prop::collection::vec(any::<u8>(), 0..3000)) {
            fuzz_ipfix_encode(&data);
        }

        #[test]
        fn f12_any_bytes(data in prop::collection::vec(any::<u8>(), 0..600)) {
            fuzz_ipfix_decode(&data);
        }

        #[test]
        fn f12_damaged_streams(
            data in prop::collection::vec(any::<u8>(), 20..600), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut stream = stream(&data);
            damage.iter().filter(|_| !data.is_empty()).for_each(|(at, byte)| *at.get_mut(&mut stream) = *byte);
            fuzz_ipfix_decode(&stream);
            fuzz_ipfix_decode(&stream[16.min(stream.len())..]);
        }

        #[test]
        fn f23(data in prop::collection::vec(any::<u8>(), 0..600)) {
            fuzz_record_json(&data);
        }
    }
}
