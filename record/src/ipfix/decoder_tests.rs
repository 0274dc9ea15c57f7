use super::super::{Decoded, FieldRef, Framer, Semantic};
use super::*;
use proptest::prelude::*;

/// A message of sets, each given with its id and body.
fn message(sequence: u32, sets: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0, 10, 0, 0, 0, 0, 0, 1];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(5u32.to_be_bytes());
    for (id, body) in sets {
        bytes.extend(id.to_be_bytes());
        bytes.extend((body.len() as u16 + 4).to_be_bytes());
        bytes.extend(*body);
    }
    let length = (bytes.len() as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
    bytes
}

/// 16-bit words as bytes.
fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_be_bytes()).collect()
}

/// Reads a message, answers the summary and a line for each event.
fn read(decoder: &mut Decoder, bytes: &[u8]) -> (Summary, Vec<String>) {
    let mut seen = Vec::new();
    let summary = decoder.decode(bytes, &mut |event| seen.push(line(event))).unwrap();
    (summary, seen)
}

fn line(event: Event<'_>) -> String {
    match event {
        Event::Template(t) => format!("template {} {}+{}", t.id(), t.scopes(), t.fields().len()),
        Event::Withdrawn(id) => format!("withdrawn {id}"),
        Event::Record(r) => {
            let values: Vec<String> = r.fields().map(|f| format!("{:02x?}", f.bytes)).collect();
            format!("record {} {}", r.template.id(), values.join(" "))
        }
        Event::Skipped(e) => format!("skipped {e}"),
    }
}

/// Template 256: protocol (1 byte), DNSName (variable).
fn template() -> Vec<u8> {
    words(&[256, 2, 4, 1, 0x8002, 65535, 0, 8057])
}

#[test]
fn templates_records_and_padding() {
    let mut d = Decoder::new(Limits::default());
    let padded = [template(), vec![0, 0]].concat();
    let data = [6, 2, b'a', b'b', 17, 255, 0, 1, b'c', 0];
    let (summary, seen) = read(&mut d, &message(9, &[(2, &padded), (256, &data)]));
    assert_eq!(seen, ["template 256 0+2", "record 256 [06] [61, 62]", "record 256 [11] [63]"]);
    assert_eq!((summary.records, summary.skipped, summary.gap, summary.header.domain), (2, 0, None, 5));
    assert_eq!(read(&mut d, &message(11, &[(256, &data)])).0.gap, Some(0));
    assert_eq!(read(&mut d, &message(20, &[(256, &data)])).0.gap, Some(7));
    assert_eq!(read(&mut d, &message(0, &[])).0.gap, Some(-22));
}

#[test]
fn options_templates_and_their_records() {
    let mut d = Decoder::new(Limits::default());
    let options = words(&[300, 2, 1, 149, 4, 41, 2]);
    let (summary, seen) = read(&mut d, &message(0, &[(3, &options), (300, &[0, 0, 0, 7, 0, 9])]));
    assert_eq!(seen, ["template 300 1+2", "record 300 [00, 00, 00, 07] [00, 09]"]);
    assert_eq!(summary.records, 1);
    for scopes in [0, 3] {
        let (_, seen) = read(&mut d, &message(1, &[(3, &words(&[301, 2, scopes, 149, 4, 41, 2]))]));
        assert_eq!(seen, ["skipped at byte 20: options template 301 has no scope field, or more than it has fields"]);
    }
}

#[test]
fn withdrawals() {
    let mut d = Decoder::new(Limits::default());
    read(&mut d, &message(0, &[(2, &template()), (3, &words(&[300, 1, 1, 149, 4]))]));
    let full = d.memory();
    assert_eq!(read(&mut d, &message(0, &[(2, &words(&[256, 0]))])).1, ["withdrawn 256"]);
    assert!(d.memory() < full);
    let (summary, seen) = read(&mut d, &message(0, &[(256, &[6, 0]), (300, &[0; 4])]));
    assert_eq!(
        seen,
        [
            "skipped at byte 16: template 256 is not known (yet): its records are skipped until the exporter sends it",
            "record 300 [00, 00, 00, 00]"
        ]
    );
    assert_eq!((summary.records, summary.skipped), (1, 1));
    // How many records went by is not known, so there is no gap to tell.
    assert_eq!(read(&mut d, &message(77, &[(2, &template()), (3, &words(&[3, 0])), (2, &words(&[2, 0]))])).0.gap, None);
    assert_eq!((d.memory(), d.templates(5).unwrap().iter().count()), (0, 0));
}

#[test]
fn bad_parts_are_skipped_and_the_rest_is_read() {
    let mut d = Decoder::new(Limits::default());
    let sets: &[(u16, &[u8])] = &[
        (2, &words(&[255, 1, 4, 1])),
        (2, &words(&[400, 1, 4])),
        (2, &words(&[401, 1, 4, 0])),
        (7, &[1, 2]),
        (2, &template()),
        (256, &[6, 9, b'a']),
        (256, &[6, 0]),
    ];
    let (summary, seen) = read(&mut d, &message(0, sets));
    assert_eq!(
        seen,
        [
            "skipped at byte 20: template id 255 is below 256",
            "skipped at byte 32: a template ends inside a field specifier: the rest of the set is skipped",
            "skipped at byte 42: template 401 describes records without bytes, or has more than 8 fields without bytes",
            "skipped at byte 50: set id 7 is reserved",
            "template 256 0+2",
            "skipped at byte 80: a record of template 256 ends before its last field: the rest of the set is skipped",
            "record 256 [06] []",
        ]
    );
    assert_eq!((summary.records, summary.skipped), (1, 5));
    let mut cut = message(0, &[(256, &[6, 0])]);
    cut[19] = 9;
    assert_eq!(
        read(&mut d, &cut).1,
        ["skipped at byte 16: the set says 9 bytes but 6 are left: the rest of the message is skipped"]
    );
    cut[19] = 3;
    assert_eq!(
        read(&mut d, &cut).1,
        ["skipped at byte 16: set length 3 is below the set header's 4: the rest of the message is skipped"]
    );
}

#[test]
fn headers_that_fail() {
    let mut d = Decoder::new(Limits { domains_max: 1, ..Limits::default() });
    let good = message(0, &[]);
    let mut fail = |bytes: &[u8]| d.decode(bytes, &mut |_| {}).unwrap_err();
    assert_eq!(fail(&good[..15]), Error { offset: 15, cause: Cause::HeaderCut });
    assert_eq!(fail(&[&[0, 9], &good[2..]].concat()).cause, Cause::Version(9));
    assert_eq!(fail(&[&[0, 10, 0, 15], &good[4..]].concat()).cause, Cause::MessageLength(15));
    assert_eq!(fail(&[&good[..], &[0]].concat()).cause, Cause::MessageCut { said: 16, have: 17 });
    d.decode(&good, &mut |_| {}).unwrap();
    let other = [&good[..15], &[6]].concat();
    assert_eq!(d.decode(&other, &mut |_| {}).unwrap_err().cause, Cause::DomainsMax(6));
}

#[test]
fn limits_hold() {
    let limits = Limits { templates_max: 2, fields_max: 3, memory_max: 400, ..Limits::default() };
    let mut d = Decoder::new(limits);
    let set = words(&[256, 1, 4, 1, 257, 1, 4, 1, 258, 1, 4, 1, 259, 4, 1, 1, 2, 1, 3, 1, 4, 1]);
    let (_, seen) = read(&mut d, &message(0, &[(2, &set)]));
    assert_eq!(seen[..2], ["template 256 0+1", "template 257 0+1"]);
    assert!(seen[2].contains("templates_max") && seen[3].contains("fields_max"), "{seen:?}");
    let mut d = Decoder::new(Limits { templates_max: 9, ..limits });
    let (_, seen) =
        read(&mut d, &message(0, &[(2, &words(&(256..262).flat_map(|id| [id, 1, 4, 1]).collect::<Vec<_>>()))]));
    assert!(seen.last().unwrap().contains("memory_max"), "{seen:?}");
    assert!(d.memory() <= 400);
    // The same id again replaces, and costs nothing more.
    let before = d.memory();
    read(&mut d, &message(0, &[(2, &words(&[256, 1, 5, 1]))]));
    assert_eq!(d.memory(), before);
}

#[test]
fn lists_of_all_three_kinds() {
    let mut d = Decoder::new(Limits::default());
    let lists = words(&[257, 3, 291, 65535, 292, 65535, 293, 65535]);
    let mut data = vec![255, 0, 13, 3, 0x83, 0xf5, 0, 2, 0, 0, 0x1f, 0x79, 0, 1, 0, 2];
    data.extend([8, 4, 1, 0, 6, 1, b'x', 17, 0]);
    data.extend([7, 1, 1, 0, 0, 6, 6, 0]);
    let bytes = message(0, &[(2, &template()), (2, &lists), (257, &data)]);
    let mut records = 0;
    d.decode(&bytes, &mut |event| {
        let Event::Record(r) = event else { return };
        records += 1;
        let fields: Vec<FieldRef<'_>> = r.fields().collect();
        let Ok(Decoded::BasicList(list)) = fields[0].value() else { panic!("no basicList") };
        assert_eq!((list.semantic, list.items().map(|i| i.int().unwrap()).collect::<Vec<_>>()), (Semantic::AllOf, vec![1, 2]));
        let Ok(Decoded::SubTemplateList(list)) = fields[1].value() else { panic!("no subTemplateList") };
        let names: Vec<&[u8]> = list.records().map(|r| r.get(8057, 2).unwrap().bytes).collect();
        assert_eq!((list.semantic, names), (Semantic::Ordered, vec![&b"x"[..], b""]));
        let Ok(Decoded::SubTemplateMultiList(list)) = fields[2].value() else { panic!("no subTemplateMultiList") };
        assert_eq!(list.blocks().map(|(t, records)| (t.id(), records.count())).collect::<Vec<_>>(), [(256, 1)]);
        let mut json = Vec::new();
        super::super::json::record(&mut json, &r, &super::super::json::Style::default());
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#"{"@type":"ipfix.entry","iana:basicList":{"@type":"basicList","data":[1,2],"semantic":"allOf","fieldID":"cesnet:packetLength"},"iana:subTemplateList":{"@type":"subTemplateList","semantic":"ordered","data":[{"iana:protocolIdentifier":"TCP","cesnet:DNSName":"x"},{"iana:protocolIdentifier":"UDP","cesnet:DNSName":""}]},"iana:subTemplateMultiList":{"@type":"subTemplateMultiList","semantic":"exactlyOneOf","data":[[{"iana:protocolIdentifier":"TCP","cesnet:DNSName":""}]]}}"#
        );
    })
    .unwrap();
    assert_eq!(records, 1);
}

#[test]
fn broken_lists_are_errors() {
    let mut d = Decoder::new(Limits::default());
    let lists: [(u16, &[u8], Cause); 6] = [
        (291, &[], Cause::ListCut),
        (291, &[3, 0x83, 0xf5, 0, 2, 0, 0, 0x1f], Cause::ListCut),
        (291, &[3, 0, 4, 0, 2, 1, 2, 3], Cause::ListItems { size: 2, have: 3 }),
        (291, &[3, 0, 82, 255, 255, 2, 1], Cause::ItemCut),
        (292, &[3, 9, 9], Cause::UnknownTemplate(0x909)),
        (293, &[3, 1, 0, 0, 3], Cause::ListCut),
    ];
    for (id, list, cause) in lists {
        let data = [&[list.len() as u8], list].concat();
        let bytes = message(0, &[(2, &template()), (2, &words(&[257, 1, id, 65535])), (257, &data)]);
        d.decode(&bytes, &mut |event| {
            if let Event::Record(r) = event {
                let error = r.fields().next().unwrap().value().err().unwrap();
                assert_eq!(error.cause, cause, "{id} {list:?}");
            }
        })
        .unwrap();
    }
}

#[test]
fn values_by_type() {
    let mut d = Decoder::new(Limits::default());
    let fields = words(&[256, 6, 1, 3, 323, 8, 322, 4, 7, 9, 0x83f8, 1, 0, 8057, 0x83fc, 4, 0, 8057]);
    let mut data = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 2];
    data.extend([9; 9]);
    data.extend([0xff, 0x3f, 0x80, 0, 0]);
    d.decode(&message(0, &[(2, &fields), (256, &data)]), &mut |event| {
        let Event::Record(r) = event else { return };
        let values: Vec<Decoded<'_>> = r.fields().map(|f| f.value().unwrap()).collect();
        assert!(matches!(values[0], Decoded::Uint(65536)));
        assert!(matches!(values[1], Decoded::Time(crate::Time(1_000_000_000))));
        assert!(matches!(values[2], Decoded::Time(crate::Time(2_000_000_000))));
        assert!(matches!(values[3], Decoded::Bytes([9, ..])), "a port of nine bytes is no number");
        assert!(matches!(values[4], Decoded::Int(-1)));
        assert!(matches!(values[5], Decoded::Float(1.0)));
    })
    .unwrap();
}

proptest! {
    #[test]
    fn framing_does_not_depend_on_chunks(
        sizes in prop::collection::vec(0usize..200, 0..8), cuts in prop::collection::vec(1usize..300, 1..8),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut stream: Vec<u8> = sizes.iter().flat_map(|n| message(0, &[(256, &vec![7; *n])])).collect();
        stream.extend(tail);
        let run = |chunks: &mut dyn Iterator<Item = &[u8]>| {
            let (mut framer, mut out) = (Framer::new(), Vec::new());
            for chunk in chunks {
                let _ = framer.push(chunk, &mut |m| out.push(m.to_vec()));
            }
            (out, framer.finish())
        };
        let whole = run(&mut std::iter::once(&stream[..]));
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        let mut pieces = std::iter::from_fn(|| {
            let (piece, after) = rest.split_at(rest.len().min(*cuts.next()?));
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(run(&mut pieces), whole);
    }
}
