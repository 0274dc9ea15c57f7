use super::*;
use crate::element::{cesnet, iana, reverse};
use crate::ipfix::{Decoder, Event, Limits, Selection};
use crate::schema::Record;
use crate::{List, Mac, Text, Time, record};
use std::net::IpAddr;

record! {
    /// The basic part of the original, in its order (spec/ipfix.md section 2).
    struct Basic = "basic" {
        /// Reason.
        end_reason: u8, ipfix iana::flowEndReason;
        /// Bytes.
        bytes: u64, ipfix iana::octetDeltaCount;
        /// Bytes back.
        bytes_rev: u64, ipfix reverse::octetDeltaCount;
        /// Packets.
        packets: u64, ipfix iana::packetDeltaCount;
        /// Packets back.
        packets_rev: u64, ipfix reverse::packetDeltaCount;
        /// Start.
        first: Time, ipfix iana::flowStartMicroseconds;
        /// Not on the IPFIX wire.
        internal: u32, unirec "INTERNAL";
        /// End.
        last: Time, ipfix iana::flowEndMicroseconds;
        /// 4 or 6.
        version: u8, ipfix iana::ipVersion;
        /// Protocol.
        protocol: u8, ipfix iana::protocolIdentifier;
        /// Flags.
        flags: u8, ipfix iana::tcpControlBits;
        /// Flags back.
        flags_rev: u8, ipfix reverse::tcpControlBits;
        /// Port.
        src_port: u16, ipfix iana::sourceTransportPort;
        /// Port.
        dst_port: u16, ipfix iana::destinationTransportPort;
        /// Interface.
        input: u32, ipfix iana::ingressInterface;
        /// Address.
        src: IpAddr, ipfix iana::sourceIPv4Address | iana::sourceIPv6Address;
        /// Address.
        dst: IpAddr, ipfix iana::destinationIPv4Address | iana::destinationIPv6Address;
        /// Address.
        src_mac: Mac, ipfix iana::sourceMacAddress;
        /// Address.
        dst_mac: Mac, ipfix iana::destinationMacAddress;
    }
}

record! {
    /// Variable fields.
    struct Extra = "extra" {
        /// Name.
        name: Text<2000>, ipfix cesnet::TLSSNI;
        /// Lengths.
        lengths: List<u16, 8>, ipfix cesnet::packetLength;
        /// Times.
        times: List<Time, 4>, ipfix cesnet::packetTime;
    }
}

const BASIC: &[&Schema] = &[Basic::SCHEMA];
const BOTH: &[&Schema] = &[Basic::SCHEMA, Extra::SCHEMA];

/// First record of basic.tcp.ipfix of the original.
fn flow() -> Basic {
    Basic {
        end_reason: 1,
        bytes: 152,
        packets: 1,
        first: Time::from_micros(1_477_674_113_540_641),
        last: Time::from_micros(1_477_674_113_540_641),
        version: 6,
        protocol: 17,
        src_port: 546,
        dst_port: 547,
        src: "fe80::a2f3:c1ff:fe16:5aca".parse().unwrap(),
        dst: "ff02::1:2".parse().unwrap(),
        src_mac: [0xa0, 0xf3, 0xc1, 0x16, 0x5a, 0xca],
        dst_mac: [0x33, 0x33, 0, 1, 0, 2],
        ..Default::default()
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.bytes().filter(u8::is_ascii_hexdigit).map(|c| (c as char).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect()
}

type Sent = Vec<(Vec<u8>, u32)>;

fn add_basic(p: &mut Packer, family: Family, sent: &mut Sent) -> Result<(), AddError> {
    let flow = flow();
    p.add(0, family, BASIC, 7, |s| flow.visit(s), &mut |m| keep(sent, m))
}

fn add_both(p: &mut Packer, extra: &Extra, sent: &mut Sent) -> Result<(), AddError> {
    let flow = flow();
    let fill = |s: &mut DataSink<'_>| {
        flow.visit(s);
        extra.visit(s);
    };
    p.add(1, Family::V6, BOTH, 7, fill, &mut |m| keep(sent, m))
}

fn keep(sent: &mut Sent, m: Message<'_>) -> Fate {
    sent.push((m.bytes.to_vec(), m.records));
    Fate::Sent
}

fn flush(p: &mut Packer) -> Sent {
    let mut sent = Sent::new();
    p.flush(7, &mut |m| keep(&mut sent, m));
    sent
}

#[test]
fn the_first_messages_of_the_original() {
    let mut p = Packer::new(PackerConfig::default());
    add_basic(&mut p, Family::V6, &mut Sent::new()).unwrap();
    let sent = flush(&mut p);
    let templates = hex(
        "000a 00c4 00000007 00000000 00000001 0002 00b4
         0103 0012 00880001 00010008 80010008 00007279 00020008 80020008 00007279 009a0008 009b0008 003c0001 00040001 00060001
         80060001 00007279 00070002 000b0002 000a0004 001b0010 001c0010 00380006 00500006
         0102 0012 00880001 00010008 80010008 00007279 00020008 80020008 00007279 009a0008 009b0008 003c0001 00040001 00060001
         80060001 00007279 00070002 000b0002 000a0004 00080004 000c0004 00380006 00500006",
    );
    let data = hex("000a 007d 00000007 00000000 00000001 0103 006d
         01 0000000000000098 0000000000000000 0000000000000001 0000000000000000 dbbe03018a6772d5 dbbe03018a6772d5
         06 11 00 00 0222 0223 00000000 fe80000000000000a2f3c1fffe165aca ff020000000000000000000000010002
         a0f3c1165aca 333300010002");
    assert_eq!(sent, [(templates, 0), (data, 1)]);
    assert_eq!((p.sequence(), p.waiting(), p.templates()), (1, 0, 2));
}

#[test]
fn a_full_buffer_flushes_and_tries_once_more() {
    let mut p = Packer::new(PackerConfig::default());
    let mut sent = Sent::new();
    // 1458 - 16 - 4 bytes hold 13 IPv6 records of 105 bytes.
    for _ in 0..13 {
        add_basic(&mut p, Family::V6, &mut sent).unwrap();
    }
    assert!(sent.is_empty());
    add_basic(&mut p, Family::V6, &mut sent).unwrap();
    assert_eq!(sent.iter().map(|(b, n)| (b.len(), *n)).collect::<Vec<_>>(), [(196, 0), (16 + 4 + 13 * 105, 13)]);
    assert_eq!((p.waiting(), p.sequence()), (1, 13));
}

#[test]
fn what_never_fits_is_refused_after_a_flush() {
    let mut p = Packer::new(PackerConfig::default());
    let mut sent = Sent::new();
    let mut extra = Extra::default();
    extra.name.set(&[b'x'; 1400]);
    assert_eq!(add_both(&mut p, &extra, &mut sent), Err(AddError::TooLarge));
    assert_eq!(p.waiting(), 0);
    extra.name.set(b"short");
    add_both(&mut p, &extra, &mut sent).unwrap();
    assert_eq!(p.waiting(), 1);
}

#[test]
fn a_record_that_is_too_long_goes_alone_where_it_may() {
    let mut p = Packer::new(PackerConfig { alone_max: 3_000, ..Default::default() });
    let mut sent = Sent::new();
    let mut extra = Extra::default();
    extra.name.set(b"short");
    add_both(&mut p, &extra, &mut sent).unwrap();
    extra.name.set(&[b'x'; 1400]);
    add_both(&mut p, &extra, &mut sent).unwrap();
    // What waited of its template goes before it.
    assert_eq!(sent.iter().map(|(_, records)| *records).collect::<Vec<_>>(), [0, 1, 1]);
    let (message, _) = &sent[2];
    assert!(message.len() > 1_458 && message.windows(1400).any(|w| w == [b'x'; 1400]));
    assert_eq!(usize::from(u16::from_be_bytes([message[2], message[3]])), message.len());
    assert_eq!((message[11], p.waiting(), p.sequence()), (1, 0, 2));
    let mut p = Packer::new(PackerConfig { alone_max: 1_459, ..Default::default() });
    assert_eq!(add_both(&mut p, &extra, &mut sent), Err(AddError::TooLarge), "longer than that, too");
}

#[test]
fn variable_fields_and_lists_as_the_original_writes_them() {
    let mut p = Packer::new(PackerConfig::default());
    let mut extra = Extra::default();
    extra.name.set(&[b'y'; 255]);
    extra.lengths.push(36);
    extra.lengths.push(1500);
    extra.times.push(Time::from_micros(1_000_500));
    add_both(&mut p, &extra, &mut Sent::new()).unwrap();
    let sent = flush(&mut p);
    let specs = hex("8328 ffff 00001f79 0123 ffff 0123 ffff");
    assert!(sent[0].0.windows(specs.len()).any(|w| w == specs));
    let mut tail = hex("ff 00ff");
    tail.extend([b'y'; 255]);
    tail.extend(hex("ff 000d 03 83f5 0002 00001f79 0024 05dc  ff 0011 03 83f6 0008 00001f79 00000000000003e8"));
    assert!(sent[1].0.ends_with(&tail));
}

#[test]
fn a_restart_sends_templates_and_the_message_again() {
    let mut p = Packer::new(PackerConfig::default());
    add_basic(&mut p, Family::V6, &mut Sent::new()).unwrap();
    flush(&mut p);
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    let (mut sent, mut calls) = (Sent::new(), 0);
    p.flush(9, &mut |m| {
        calls += 1;
        keep(&mut sent, m);
        if calls == 1 { Fate::Restarted } else { Fate::Sent }
    });
    assert_eq!(
        sent.iter().map(|(b, n)| (b[11], b.len(), *n)).collect::<Vec<_>>(),
        [(1, 101, 1), (0, 196, 0), (0, 101, 1)]
    );
    assert_eq!(p.sequence(), 1);
}

#[test]
fn templates_lead_every_session_however_often_it_breaks() {
    let mut p = Packer::new(PackerConfig { mtu: 200, ..Default::default() });
    add_basic(&mut p, Family::V6, &mut Sent::new()).unwrap();
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    let (mut sent, mut calls) = (Sent::new(), 0);
    p.flush(9, &mut |m| {
        calls += 1;
        keep(&mut sent, m);
        if calls == 2 || calls == 4 { Fate::Restarted } else { Fate::Sent }
    });
    // The first data message meets two restarts and is lost; the second finds templates and sequence 0.
    assert_eq!(
        sent.iter().map(|(b, n)| (b[11], *n)).collect::<Vec<_>>(),
        [(0, 0), (0, 1), (0, 0), (0, 1), (0, 0), (0, 1)]
    );
    assert_eq!(p.sequence(), 1);
}

#[test]
fn lost_messages_do_not_count_and_lost_templates_go_again() {
    let mut p = Packer::new(PackerConfig::default());
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    p.flush(7, &mut |_| Fate::Lost);
    assert_eq!((p.sequence(), p.waiting()), (0, 0));
    assert_eq!(flush(&mut p).len(), 1);
    assert!(flush(&mut p).is_empty());
    p.flush(7, &mut |_| Fate::Restarted);
    p.mark_all_templates();
    // A transport that restarts for ever ends all the same.
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    p.flush(7, &mut |_| Fate::Restarted);
    assert_eq!(p.waiting(), 0);
}

#[test]
fn templates_are_refreshed_by_age() {
    let mut p = Packer::new(PackerConfig { refresh_secs: 600, ..Default::default() });
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    flush(&mut p);
    let mut sent = Sent::new();
    p.flush(606, &mut |m| keep(&mut sent, m));
    assert!(sent.is_empty());
    p.flush(607, &mut |m| keep(&mut sent, m));
    assert_eq!(sent.len(), 1);
}

#[test]
fn the_mtu_splits_templates_when_asked() {
    let mut p = Packer::new(PackerConfig { mtu: 200, mtu_limits_templates: true, ..Default::default() });
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    add_both(&mut p, &Extra::default(), &mut Sent::new()).unwrap();
    let sent = flush(&mut p);
    assert!(sent.iter().all(|(b, _)| b.len() <= 200));
    assert_eq!(sent.iter().filter(|(_, n)| *n == 0).count(), 3);
}

#[test]
fn a_full_template_goes_alone_when_asked() {
    for (flushes_all, others) in [(true, 0), (false, 1)] {
        let mut p = Packer::new(PackerConfig { mtu: 400, flushes_all, ..Default::default() });
        add_both(&mut p, &Extra::default(), &mut Sent::new()).unwrap();
        let (mut sent, mut added) = (Sent::new(), 1);
        while sent.is_empty() {
            add_basic(&mut p, Family::V6, &mut sent).unwrap();
            added += 1;
        }
        // All templates first, then what was full; the record that found no room waits.
        assert_eq!(sent[0].1, 0);
        assert_eq!(p.waiting(), 1 + others);
        assert_eq!(sent.iter().map(|(_, n)| u64::from(*n)).sum::<u64>() + p.waiting(), added);
        let rest = flush(&mut p);
        assert_eq!(rest.iter().map(|(_, n)| u64::from(*n)).sum::<u64>(), 1 + others);
        assert_eq!(p.waiting(), 0);
    }
}

#[test]
fn the_number_of_pairs_is_bounded() {
    let mut p = Packer::new(PackerConfig { pairs_max: 1, ..Default::default() });
    add_basic(&mut p, Family::V4, &mut Sent::new()).unwrap();
    assert_eq!(add_both(&mut p, &Extra::default(), &mut Sent::new()), Err(AddError::TooManyPairs));
}

#[test]
fn a_fixed_record_is_written_as_one_that_is_visited() {
    let v4 = || Basic { version: 4, src: [192, 0, 2, 1].into(), dst: [198, 51, 100, 2].into(), ..flow() };
    for (family, record, size) in [(Family::V4, v4(), 81), (Family::V6, flow(), 105)] {
        for room in [0, 1, size - 1, size, size + 1, 300] {
            let (mut visited, mut fixed) = ([7; 300], [7; 300]);
            let mut sink = DataSink::new(&mut visited[..room], family);
            record.visit(&mut sink);
            let expected = (sink.fields(), sink.finish());
            let mut sink = DataSink::new(&mut fixed[..room], family);
            sink.fixed(|asked| {
                assert_eq!(asked, family);
                record.clone()
            });
            assert_eq!((sink.fields(), sink.finish()), expected);
            assert_eq!(expected.1, (room >= size).then_some(size));
            assert!(expected.1.is_none() || visited == fixed);
        }
    }
}

/// What a decoder makes of messages: templates told, withdrawn, options records and the sequence of the next message.
fn events(sent: &Sent) -> (Vec<String>, u32) {
    let mut decoder = Decoder::new(Limits::default());
    let (mut events, mut next) = (Vec::new(), 0);
    for (bytes, _) in sent {
        let summary = decoder.decode(bytes, &mut |event| match event {
            Event::Template(t) => events.push(format!("told {}:{}", t.id(), t.fields().len())),
            Event::Withdrawn(id) => events.push(format!("withdrawn {id}")),
            Event::Record(r) if r.template.is_options() => {
                let values: Vec<String> = r
                    .fields()
                    .map(|f| match f.value() {
                        Ok(crate::ipfix::Decoded::Text(_)) => "text".into(),
                        _ => f.uint().map_or_else(String::new, |n| n.to_string()),
                    })
                    .collect();
                events.push(values.join(","));
            }
            Event::Record(r) => events.push(format!("record of {}", r.template.id())),
            Event::Skipped(error) => panic!("{error}"),
        });
        let summary = summary.expect("decodes");
        assert_eq!(summary.header.sequence, next);
        next += summary.records;
    }
    (events, next)
}

#[test]
fn ids_are_withdrawn_before_they_are_used_again() {
    let mut p = Packer::new(PackerConfig { pairs_max: 2, withdraws: true, ..Default::default() });
    let mut sent = Sent::new();
    let add = |p: &mut Packer, key, schemas: &[&'static Schema], sent: &mut Sent| {
        let fill = |sink: &mut DataSink<'_>| {
            flow().visit(sink);
            if schemas.len() > 1 {
                Extra::default().visit(sink);
            }
        };
        p.add(key, Family::V4, schemas, 7, fill, &mut |m| keep(sent, m)).expect("room")
    };
    add(&mut p, 1, BASIC, &mut sent);
    add(&mut p, 2, BOTH, &mut sent);
    add(&mut p, 1, BASIC, &mut sent);
    // The second was not asked for longest.
    add(&mut p, 3, BASIC, &mut sent);
    add(&mut p, 2, BOTH, &mut sent);
    p.flush(7, &mut |m| keep(&mut sent, m));
    let (events, sequence) = events(&sent);
    let mut alive = std::collections::BTreeSet::new();
    for event in &events {
        let (what, id) = event.rsplit_once(' ').expect("two words");
        let id: u16 = id.split(':').next().and_then(|id| id.parse().ok()).expect("an id");
        match what {
            "told" => assert!(alive.insert(id), "{id} was not withdrawn: {events:?}"),
            "withdrawn" => assert!(alive.remove(&id), "{id} was not told: {events:?}"),
            _ => assert!(alive.contains(&id), "{id} was not told: {events:?}"),
        }
    }
    let of = |what: &str| events.iter().filter(|e| e.starts_with(what)).count();
    assert_eq!((of("withdrawn"), of("record"), sequence), (4, 5, 5));
    // Key 3 took the place of key 2, which came back for that of key 1.
    assert_eq!([1, 2, 3].map(|key| p.id_of(key)), [None, Some(258), Some(260)]);
}

#[test]
fn options_are_told_with_the_templates_and_again_in_each_session() {
    let mut p = Packer::new(PackerConfig::default());
    let mut sent = Sent::new();
    p.announce(Statement::Sampling { domain: 1, interval: 10, selection: Selection::Systematic });
    p.announce(Statement::Interface { index: 3, name: "eth3".into(), description: "uplink".into() });
    add_basic(&mut p, Family::V4, &mut sent).unwrap();
    p.flush(7, &mut |m| keep(&mut sent, m));
    // Said already.
    p.announce(Statement::Sampling { domain: 1, interval: 10, selection: Selection::Systematic });
    p.announce(Statement::Type(cesnet::TLSSNI));
    let total = Statement::Exported { domain: 1, messages: 3, flow_records: 1, octets: 500 };
    p.tell(&[total], 8, &mut |m| keep(&mut sent, m));
    let (said, sequence) = events(&sent);
    let lasting = ["1,10,1,1,9", "3,3,text,text"];
    let expected: Vec<&str> = [&lasting[..], &["record of 258", "8057,808,13,0,text", "1,3,1,500"]].concat();
    let said: Vec<String> = said.into_iter().filter(|e| !e.starts_with("told")).collect();
    assert_eq!((said, sequence, p.sequence()), (expected.iter().map(|e| (*e).into()).collect(), 5, 5));
    p.reset_session();
    let mut again = Sent::new();
    p.flush(9, &mut |m| keep(&mut again, m));
    let (said, sequence) = events(&again);
    assert_eq!((said.len(), sequence), (2 + 7 + 3, 3));
    // And by age.
    let mut p = Packer::new(PackerConfig { refresh_secs: 600, ..Default::default() });
    p.announce(Statement::Sampling { domain: 1, interval: 10, selection: Selection::Systematic });
    let sent = |p: &mut Packer, now| {
        let mut sent = Sent::new();
        p.flush(now, &mut |m| keep(&mut sent, m));
        sent.len()
    };
    assert_eq!([sent(&mut p, 7), sent(&mut p, 606), sent(&mut p, 607)], [1, 0, 1]);
}
