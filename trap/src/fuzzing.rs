//! One function per parser, for cargo-fuzz, for replay of a corpus and for random smoke tests (RELIABILITY.md part 3).
//!
//! Each takes any bytes, must not panic, and asserts what must hold for any input.

use crate::batch::Gathered;
use crate::container::{Builder, Header, LEN_PREFIX, PAYLOAD_MAX, WIRE_HEADER};
use crate::deframer::{Deframer, Item, Layout, StreamError};
use crate::expand;
use crate::format::{self, Format, Verdict};
use crate::hello::{self, HELLO_LEN, SPEC_MAX};
use crate::service::wire::{self, Requests};
use crate::spec::{OutputEnd, Spec};
use crate::trap_stats::report;
use record::fuzzing::Target;
use std::ops::ControlFlow;

/// Every harness.
pub const TARGETS: &[Target] = &[
    ("trap_spec", fuzz_spec),
    ("trap_expand", fuzz_expand),
    ("trap_hello", fuzz_hello),
    ("trap_negotiate", fuzz_negotiate),
    ("trap_wire_stream", fuzz_wire_stream),
    ("trap_file_stream", fuzz_file_stream),
    ("trap_header", fuzz_header),
    ("trap_service", fuzz_service),
    ("trap_stats", fuzz_stats),
];

/// Interface specifiers: each interface found reads as input or output or says why not; bounds hold.
pub fn fuzz_spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(specs) = Spec::parse(text) else { return };
    assert!(specs.len() <= text.matches(',').count() + 1);
    for spec in specs {
        assert!(!spec.params.contains(','));
        let _ = spec.as_input();
        if let Ok(params) = spec.as_output()
            && let OutputEnd::Unix(_, limits) | OutputEnd::Tcp(_, limits) | OutputEnd::Tls(_, _, limits) = params.end
        {
            assert!((1..=64).contains(&limits.clients_max) && limits.buffer_count >= 1);
            assert!((17..=100_014).contains(&limits.buffer_size));
        }
    }
}

/// File name expansion without globs (those would search the disk) and with made-up variables.
pub fn fuzz_expand(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = text.replace(['*', '?', '['], "_");
    let words = expand::expand_with(&text, &|name| Some(format!("<{name}>")));
    assert!(words.len() <= text.len());
}

/// HELLO: what decodes encodes to the same format again; the length is bounded.
pub fn fuzz_hello(data: &[u8]) {
    let Some((header, rest)) = data.split_first_chunk::<HELLO_LEN>() else { return };
    let Ok(len) = hello::spec_len(header) else { return };
    assert!(len <= SPEC_MAX);
    let Some(spec) = rest.get(..len) else { return };
    let Ok(format) = hello::decode(header, spec) else { return };
    let again = hello::encode(&format);
    if format != Format::UniRec(String::new()) {
        assert_eq!(again[0], header[0]);
        assert_eq!(&again[HELLO_LEN..], format.spec().as_bytes());
    }
}

/// Comparison of a required with an offered template, both taken from the data: equal ones match, and a match of UniRec
/// means that each required item is offered.
pub fn fuzz_negotiate(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (wanted, offered) = text.split_once('\n').unwrap_or((&text, &text));
    let (required, sender) = (Format::UniRec(wanted.into()), Format::UniRec(offered.into()));
    let verdict = format::negotiate(&required, &sender, None);
    if wanted == offered && !offered.is_empty() {
        assert_eq!(verdict, Verdict::Same);
    }
    if !matches!(verdict, Verdict::Mismatch(_)) {
        assert!(wanted.split(',').filter(|item| !item.is_empty()).all(|item| offered.split(',').any(|o| o == item)));
    }
    let _ = format::negotiate(&Format::Json(wanted.into()), &Format::Json(offered.into()), Some(&required));
    let _ = format::negotiate(&Format::Raw, &sender, None);
}

/// A connection: the same events however the bytes are cut and messages are asked for, messages inside their containers, and the same
/// messages behind whoever passes them on by batches.
pub fn fuzz_wire_stream(data: &[u8]) {
    chunking_invariance(Layout::Wire, data);
}

/// A file: as a connection, with the other header.
pub fn fuzz_file_stream(data: &[u8]) {
    chunking_invariance(Layout::File, data);
}

/// Container header: reads back what it writes.
pub fn fuzz_header(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<WIRE_HEADER>() {
        assert_eq!(Header::from_wire(bytes).to_wire(), *bytes);
    }
}

/// Requests to the service: found alike however the bytes are cut, none after the first that is refused.
pub fn fuzz_service(data: &[u8]) {
    let requests = |piece: usize| {
        let (mut collected, mut found, mut rest) = (Requests::default(), Vec::new(), data);
        while !rest.is_empty() {
            let spare = collected.spare();
            let len = spare.len().min(piece).min(rest.len());
            assert!(len > 0);
            spare[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            match collected.filled(len) {
                ControlFlow::Continue(request) => found.extend(request),
                ControlFlow::Break(()) => break,
            }
        }
        found
    };
    let found = requests(1);
    assert_eq!(found, requests(8));
    assert_eq!(found, requests(5));
    for request in found {
        let reply = wire::reply(request, "{}");
        let header = reply.first_chunk().map(wire::Header::from_bytes);
        assert_eq!(header, Some(wire::Header { command: wire::OK_REPLY, padding: request.padding, len: 3 }));
    }
}

/// The answer of a service: shown without control characters, in a text of bounded size.
pub fn fuzz_stats(data: &[u8]) {
    let mut text = String::new();
    let _ = report::write(data, &mut text);
    assert!(text.len() <= 1000 + 200 * data.len());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'));
}

/// What a stream says, for comparison.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Hello(Format),
    Container(Header),
    Message(Vec<u8>),
    Broken(StreamError),
}

/// How messages are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// Each as an item.
    Items,
    /// Those in the container at hand without a look at anything else.
    AtHand,
    /// All in the container at hand together.
    Batches,
}

fn chunking_invariance(layout: Layout, data: &[u8]) {
    let whole = run(layout, &[data], Asking::Items);
    let bytewise: Vec<&[u8]> = data.chunks(1).collect();
    // Cuts taken from the data itself, so that a fuzzer can steer them.
    let middle = data.first().map_or(0, |byte| usize::from(*byte)) % (data.len() + 1);
    let (head, tail) = data.split_at(middle);
    for asking in [Asking::Items, Asking::AtHand, Asking::Batches] {
        assert_eq!(whole, run(layout, &[data], asking), "{asking:?}");
        assert_eq!(whole, run(layout, &bytewise, asking), "{asking:?}");
        assert_eq!(whole, run(layout, &[head, tail], asking), "{asking:?}");
    }
    passed_on(&whole, middle);
}

/// Messages gathered and sent in batches are the same ones behind containers of any size, save those that are longer.
fn passed_on(seen: &[Seen], size: usize) {
    let mut messages: Vec<&[u8]> = Vec::new();
    messages.extend(
        seen.iter().filter_map(|seen| if let Seen::Message(message) = seen { Some(&message[..]) } else { None }),
    );
    let mut gathered = Gathered::default();
    let mut builder = Builder::wire(WIRE_HEADER + LEN_PREFIX + 1 + size);
    messages.retain(|message| !builder.is_oversize(message.len()));
    assert!(messages.iter().all(|message| gathered.push(message)));
    let mut deframer = Deframer::new(Layout::Wire);
    deframer.skip_hello();
    let mut rest = gathered.batch();
    while !rest.is_empty() {
        let before = rest.len();
        rest = builder.push_batch(&rest);
        assert!(rest.len() < before, "an empty container takes a message");
        deframer.feed(builder.seal(0));
        builder.clear();
    }
    let mut again = Vec::new();
    let ended = drain(&mut deframer, &mut again, Asking::Batches);
    again.retain(|seen| !matches!(seen, Seen::Container(_)));
    assert_eq!(ended, Ok(()));
    assert!(again.iter().eq(messages.iter().map(|message| Seen::Message(message.to_vec())).collect::<Vec<_>>().iter()));
}

fn run(layout: Layout, chunks: &[&[u8]], asking: Asking) -> Vec<Seen> {
    let mut deframer = Deframer::new(layout);
    let mut seen = Vec::new();
    for chunk in chunks {
        deframer.feed(chunk);
        if drain(&mut deframer, &mut seen, asking).is_err() {
            return seen;
        }
    }
    deframer.end_of_bytes();
    let _ = drain(&mut deframer, &mut seen, asking);
    seen
}

fn drain(deframer: &mut Deframer, seen: &mut Vec<Seen>, asking: Asking) -> Result<(), ()> {
    loop {
        if asking == Asking::AtHand {
            while let Some(range) = deframer.next_at_hand() {
                seen.push(Seen::Message(deframer.bytes(range).to_vec()));
            }
        }
        if asking == Asking::Batches {
            while let Some(batch) = deframer.batch_at_hand() {
                assert!(batch.iter().all(|message| message.len() > 1) && batch.iter().count() == batch.len());
                seen.extend(batch.iter().map(|message| Seen::Message(message.to_vec())));
            }
        }
        match deframer.next_item() {
            Ok(Item::NeedMore) => return Ok(()),
            Ok(Item::Hello(format)) => seen.push(Seen::Hello(format)),
            Ok(Item::Container(header)) => {
                assert!((1..=PAYLOAD_MAX).contains(&(header.payload_len as usize)));
                seen.push(Seen::Container(header));
            }
            Ok(Item::Message(range)) => {
                let len = range.len();
                let message = deframer.bytes(range);
                assert_eq!(message.len(), len);
                seen.push(Seen::Message(message.to_vec()));
            }
            Err(error) => {
                seen.push(Seen::Broken(error));
                return Err(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes of a stream that is valid until it is damaged or cut.
    fn stream(layout: Layout) -> impl Strategy<Value = Vec<u8>> {
        let messages = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..8);
        let containers = prop::collection::vec(messages, 0..6);
        let damage = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
        (containers, damage, any::<prop::sample::Index>(), any::<bool>()).prop_map(
            move |(containers, damage, end, cut)| {
                let mut bytes = hello::encode(&Format::UniRec("uint16 A,string S".into()));
                for messages in containers {
                    let mut builder = if layout == Layout::Wire { Builder::wire(100_000) } else { Builder::file() };
                    messages.iter().for_each(|message| assert!(builder.push(message)));
                    bytes.extend_from_slice(builder.seal(0));
                }
                if let Some((at, value)) = damage {
                    let at = at.index(bytes.len());
                    bytes[at] = value;
                }
                if cut {
                    bytes.truncate(end.index(bytes.len()));
                }
                bytes
            },
        )
    }

    const ANSWER: &[u8] = br#"{"in_cnt": 1, "out_cnt": 1, "in": [{"ifc_state": 1, "buffers": 5, "ifc_id": "x", "ifc_type": 117,
        "messages": 7, "delay_total": 0, "delay_last": 3}], "out": [{"client_stats_arr": [{"id": 5, "sent_containers": "4",
        "sent_messages": "3", "skipped_messages": "0", "skipped_percentage": 0.5}], "num_clients": 1, "buffers": 0, "ifc_id": "y",
        "sent-messages": 7, "ifc_type": 117, "autoflushes": 0, "dropped-messages": 0}]}"#;

    proptest! {
        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..600)) {
            for (_, target) in TARGETS {
                target(&data);
            }
        }

        #[test]
        fn nearly_valid_connections(data in stream(Layout::Wire)) {
            fuzz_wire_stream(&data);
            fuzz_hello(&data);
        }

        #[test]
        fn nearly_valid_files(data in stream(Layout::File)) {
            fuzz_file_stream(&data);
        }

        #[test]
        fn nearly_valid_specifiers(text in "([utTfbgs]:?((timeout|buffer|autoflush|max_clients|size|time)=)?[A-Za-z0-9_=:/~$.-]{0,12},?){0,4}") {
            fuzz_spec(text.as_bytes());
            fuzz_expand(text.as_bytes());
        }

        #[test]
        fn nearly_valid_requests(requests in prop::collection::vec((prop::bool::weighted(0.9), any::<[u8; 7]>()), 0..6), cut in 0usize..48) {
            let bytes = requests.iter().flat_map(|(is_get, rest)| [&[if *is_get { wire::GET } else { 11 }], &rest[..]].concat());
            let bytes: Vec<u8> = bytes.collect();
            fuzz_service(&bytes[..cut.min(bytes.len())]);
        }

        #[test]
        fn nearly_valid_answers(at in any::<prop::sample::Index>(), value in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = ANSWER.to_vec();
            fuzz_stats(&bytes);
            bytes[at.index(ANSWER.len())] = value;
            fuzz_stats(&bytes);
            bytes.truncate(cut.index(ANSWER.len()));
            fuzz_stats(&bytes);
        }

        #[test]
        fn nearly_equal_templates(text in "(uint8 A|uint8 B|string C| |,|\n){0,9}") {
            fuzz_negotiate(text.as_bytes());
        }
    }
}
