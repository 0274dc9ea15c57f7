use super::*;
use crate::{Blob, List, Record, Sink, Text, Value, record};
use proptest::prelude::*;

record! {
    /// A field of each kind.
    struct Everything = "everything" {
        /// A.
        number: u8;
        /// A.
        signed: i32;
        /// A.
        real: f64;
        /// A.
        text: Text<20>;
        /// A.
        long: Text<511>;
        /// A.
        blob: Blob<16>;
        /// A.
        mac: Mac;
        /// A.
        ip: IpAddr;
        /// A.
        time: Time;
        /// A.
        words: List<u16, 5>;
        /// A.
        times: List<Time, 3>;
        /// A.
        last: Text<40>;
    }
}

/// What a sink is given, owned.
#[derive(Default)]
struct Seen(Vec<String>);

impl Sink<'_> for Seen {
    fn put(&mut self, at: usize, _: &'static crate::Field, value: Value<'_>) {
        self.0.push(format!("{at} {value:?}"));
    }
}

fn seen(record: &impl Record) -> Vec<String> {
    let mut seen = Seen::default();
    record.visit(&mut seen);
    seen.0
}

prop_compose! {
    fn any_record()(
        number: u8,
        signed: i32,
        real in -1e9..1e9f64,
        texts in prop::array::uniform4(prop::collection::vec(any::<u8>(), 0..600)),
        mac: Mac,
        ip: IpAddr,
        time: u64,
        words in prop::collection::vec(any::<u16>(), 0..7),
        times in prop::collection::vec(any::<u64>(), 0..5),
    ) -> Everything {
        let mut r = Everything { number, signed, real, mac, ip, time: Time(time), ..Everything::default() };
        r.text.set(&texts[0][..texts[0].len() % 24]);
        r.long.set(&texts[1]);
        r.blob.set(&texts[2][..texts[2].len() % 20]);
        r.last.set(&texts[3][..texts[3].len() % 50]);
        words.iter().for_each(|word| _ = r.words.push(*word));
        times.iter().for_each(|time| _ = r.times.push(Time(*time)));
        r
    }
}

fn packed(record: &Everything) -> Vec<u8> {
    let mut bytes = vec![0xaa; record.packed_len()];
    record.pack(&mut Packer::new(&mut bytes));
    bytes
}

proptest! {
    /// Whatever was in the place before, and whatever lies behind the packed bytes.
    #[test]
    fn what_was_packed_comes_back(record in any_record(), mut before in any_record(), behind in 0..40usize) {
        let mut bytes = packed(&record);
        prop_assert!(bytes.len() <= Everything::PACKED_MAX);
        bytes.extend(vec![0x55; behind]);
        let mut from = Unpacker::new(&bytes);
        before.unpack(&mut from);
        prop_assert_eq!(from.at, bytes.len() - behind);
        prop_assert_eq!(seen(&before), seen(&record));
    }

    #[test]
    fn nothing_is_written_behind_the_end(record in any_record()) {
        let len = record.packed_len();
        let mut bytes = vec![0xaa; len + 100];
        let mut out = Packer::new(&mut bytes);
        record.pack(&mut out);
        prop_assert_eq!(out.at, len);
        // The last value is copied in blocks, so this much may have been touched.
        prop_assert!(bytes[len + 4 * BLOCK..].iter().all(|byte| *byte == 0xaa));
        prop_assert_eq!(&bytes[..len], packed(&record));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..700), cut in 0..700usize) {
        let mut record = Everything::default();
        record.unpack(&mut Unpacker::new(&bytes));
        record.pack(&mut Packer::new(&mut vec![0; cut]));
        let _ = seen(&record);
    }
}

#[test]
fn an_empty_record_is_small() {
    let empty = Everything::default();
    assert_eq!(empty.packed_len(), 1 + 4 + 8 + 1 + 2 + 1 + 6 + 5 + 8 + 2 + 2 + 1);
    assert_eq!(Everything::PACKED_MAX, 1 + 4 + 8 + 21 + 513 + 17 + 6 + 17 + 8 + 12 + 26 + 41);
}
