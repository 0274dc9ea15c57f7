//! Declared records as JSON, one object for each flow.
//!
//! The fields of Basic stand at the top level under their names; each extension is an object under the name of its schema, or an
//! array of objects when the flow has several of the kind. Times are RFC 3339 UTC with microseconds, addresses text, bytes
//! lower-case hexadecimal, numbers numbers; floats that are not finite are `null`.
//!
//! Text: valid UTF-8 is written as it is (control characters, `"` and `\` escaped). A byte that is not part of valid UTF-8 is
//! written as the escape `\u00XX` of its value, so nothing is lost or hidden: an escape from `\u0080` on always means such a byte,
//! because characters that are valid UTF-8 are escaped only below U+0080.
use crate::schema::{Field, Record, Shown, Sink};
use crate::text;
use crate::value::{ListRef, Value};

/// Writes the object of one flow to the end of a caller's buffer. Call [`FlowWriter::basic`], then [`FlowWriter::extension`] for each
/// extension, those of one kind one after the other, then [`FlowWriter::finish`]; without it the object stays open.
pub struct FlowWriter<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
    last: Option<Last>,
}

/// The extension written last: where its object begins, and whether it is an open array already.
struct Last {
    schema: &'static str,
    at: usize,
    array: bool,
}

impl<'o> FlowWriter<'o> {
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        FlowWriter { out, first: true, last: None }
    }

    /// Fields at the top level.
    pub fn basic(&mut self, record: &impl Record) {
        let mut sink = JsonSink { out: self.out, first: self.first };
        record.visit(&mut sink);
        self.first = sink.first;
    }

    /// Fields under the name of the schema; a second one of the same kind makes an array.
    pub fn extension<R: Record>(&mut self, record: &R) {
        match &mut self.last {
            Some(last) if last.schema == R::SCHEMA.name => {
                if !last.array {
                    self.out.insert(last.at, b'[');
                    last.array = true;
                }
                self.out.push(b',');
            }
            _ => {
                self.close();
                separate(self.out, &mut self.first);
                string(self.out, R::SCHEMA.name.as_bytes());
                self.out.push(b':');
                self.last = Some(Last { schema: R::SCHEMA.name, at: self.out.len(), array: false });
            }
        }
        object(self.out, record);
    }

    /// Ends the object. No line end is written.
    pub fn finish(mut self) {
        self.close();
        self.out.push(b'}');
    }

    fn close(&mut self) {
        if self.last.take().is_some_and(|l| l.array) {
            self.out.push(b']');
        }
    }
}

/// Appends one record as an object of its own.
pub fn object(out: &mut Vec<u8>, record: &impl Record) {
    out.push(b'{');
    record.visit(&mut JsonSink { out, first: true });
    out.push(b'}');
}

/// Appends an object of the fields that `visit` shows.
pub fn object_of(out: &mut Vec<u8>, visit: impl FnOnce(&mut JsonSink<'_>)) {
    out.push(b'{');
    visit(&mut JsonSink { out, first: true });
    out.push(b'}');
}

/// Appends one value.
pub fn value(out: &mut Vec<u8>, value: Value<'_>) {
    match value {
        Value::Uint(v) => text::append(out, format_args!("{v}")),
        Value::Int(v) => text::append(out, format_args!("{v}")),
        Value::F32(v) if v.is_finite() => text::append(out, format_args!("{v:?}")),
        Value::F64(v) if v.is_finite() => text::append(out, format_args!("{v:?}")),
        Value::F32(_) | Value::F64(_) => out.extend_from_slice(b"null"),
        Value::Char(v) => string(out, &[v]),
        Value::Ip(v) => quoted(out, |o| text::ip(o, v)),
        Value::Mac(v) => quoted(out, |o| text::mac(o, v)),
        Value::Time(v) => quoted(out, |o| text::time(o, v)),
        Value::Text(v) => string(out, v),
        Value::Bytes(v) => quoted(out, |o| text::hex(o, v)),
        Value::List(v) => list(out, v),
    }
}

/// Appends a JSON string of any bytes, as the head of this module says.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().bytes().for_each(|b| character(out, b));
        chunk.invalid().iter().for_each(|b| unicode_escape(out, *b));
    }
    out.push(b'"');
}

/// Fields of an object that is open.
pub struct JsonSink<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'a> Sink<'a> for JsonSink<'_> {
    fn put(&mut self, _at: usize, field: &'static Field, v: Value<'a>) {
        let v = match (field.shown, v) {
            (Shown::Never, _) => return,
            (Shown::AsText, Value::Bytes(text)) => Value::Text(text),
            _ => v,
        };
        separate(self.out, &mut self.first);
        string(self.out, field.name.as_bytes());
        self.out.push(b':');
        value(self.out, v);
    }
}

fn separate(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(b',');
    }
}

fn quoted(out: &mut Vec<u8>, f: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    f(out);
    out.push(b'"');
}

/// One byte of valid UTF-8 (RFC 8259 section 7).
fn character(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..=0x1f | 0x7f => unicode_escape(out, byte),
        _ => out.push(byte),
    }
}

fn unicode_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(b"\\u00");
    text::hex_byte(out, byte, text::LOWER);
}

fn list(out: &mut Vec<u8>, list: ListRef<'_>) {
    match list {
        ListRef::U8(l) => array(out, l, |i| Value::Uint(i.into())),
        ListRef::I8(l) => array(out, l, |i| Value::Int(i.into())),
        ListRef::U16(l) => array(out, l, |i| Value::Uint(i.into())),
        ListRef::I16(l) => array(out, l, |i| Value::Int(i.into())),
        ListRef::U32(l) => array(out, l, |i| Value::Uint(i.into())),
        ListRef::I32(l) => array(out, l, |i| Value::Int(i.into())),
        ListRef::U64(l) => array(out, l, Value::Uint),
        ListRef::I64(l) => array(out, l, Value::Int),
        ListRef::F32(l) => array(out, l, Value::F32),
        ListRef::F64(l) => array(out, l, Value::F64),
        ListRef::Ip(l) => array(out, l, Value::Ip),
        ListRef::Mac(l) => array(out, l, Value::Mac),
        ListRef::Time(l) => array(out, l, Value::Time),
    }
}

fn array<T: Copy>(out: &mut Vec<u8>, items: &[T], as_value: impl Fn(T) -> Value<'static>) {
    out.push(b'[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        value(out, as_value(*item));
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blob, List, Mac, Text, Time, record};
    use proptest::prelude::*;
    use std::net::IpAddr;

    record! {
        /// All kinds.
        struct All = "all" {
            /// A.
            text: Text<64>;
            /// A.
            bytes: Blob<64>;
            /// A.
            number: i64;
            /// A.
            half: f32;
            /// A.
            double: f64;
            /// A.
            ip: IpAddr;
            /// A.
            mac: Mac;
            /// A.
            time: Time;
            /// A.
            list: List<u16, 8>;
            /// A.
            times: List<Time, 2>;
        }
    }
    record! {
        /// Small.
        struct Small = "small" {
            /// A.
            id: u8;
        }
    }

    #[test]
    fn a_flow() {
        let mut all = All {
            number: -5,
            half: 0.5,
            double: f64::NAN,
            time: Time::from_micros(1_477_674_114_088_536),
            ..Default::default()
        };
        all.text.set(b"a\"\xff\xc3\xa9\n");
        all.bytes.set(&[0xde, 0xad]);
        all.list.push(7);
        all.list.push(8);
        let mut out = Vec::new();
        let mut flow = FlowWriter::new(&mut out);
        flow.basic(&all);
        flow.extension(&Small { id: 1 });
        flow.extension(&Small { id: 2 });
        flow.extension(&All::default());
        flow.finish();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(
            r#"{"text":"a\"\u00ffé\n","bytes":"dead","number":-5,"half":0.5,"double":null,"ip":"0.0.0.0","mac":"00:00:00:00:00:00","time":"2016-10-28T17:01:54.088536Z","list":[7,8],"times":[],"small":[{"id":1},{"id":2}],"all":{"text":"","#
        ), "{text}");
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    proptest! {
        /// F23 of RELIABILITY.md: valid JSON for any bytes.
        #[test]
        fn always_valid(text: Vec<u8>, bytes: Vec<u8>, number: i64, half: u32, double: u64, time: u64, list: Vec<u16>, v6: u128, ext in 0..4u8) {
            let mut all = All {
                number, half: f32::from_bits(half), double: f64::from_bits(double), time: Time(time),
                ip: IpAddr::from(v6.to_be_bytes()), ..Default::default()
            };
            all.text.set(&text);
            all.bytes.set(&bytes);
            list.iter().for_each(|i| { all.list.push(*i); });
            let mut out = Vec::new();
            let mut flow = FlowWriter::new(&mut out);
            flow.basic(&all);
            (0..ext).for_each(|id| flow.extension(&Small { id }));
            flow.extension(&all);
            flow.finish();
            let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(parsed["number"].as_i64(), Some(number));
            prop_assert_eq!(parsed["small"].as_array().map_or(0, |a| a.len()), if ext > 1 { ext.into() } else { 0 });
            if let Ok(valid) = std::str::from_utf8(all.text.as_bytes()) {
                prop_assert_eq!(parsed["text"].as_str(), Some(valid));
            }
        }
    }
}
