//! Values of a record as Python's `json`, `str` and `repr` show the objects that pytrap makes of them: addresses as text, times as
//! seconds with milliseconds, what JSON cannot say (`bytes`, `macaddr`) as `repr`.
use crate::pyjson::{Json, float};
use record::unirec::Datum;
use record::{Time, Value};
use std::fmt::Write;

/// What `json.dumps(value, default=...)` is given.
pub(crate) fn json(datum: Datum<'_>) -> Json {
    match datum {
        Datum::List(list) => Json::Array(list.iter().map(scalar_json).collect()),
        Datum::Value(value) => scalar_json(value),
    }
}

/// What `str(value)` answers.
pub(crate) fn text(datum: Datum<'_>) -> String {
    match datum {
        Datum::List(list) => {
            let elements: Vec<_> = list.iter().map(repr).collect();
            format!("[{}]", elements.join(", "))
        }
        Datum::Value(Value::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Datum::Value(Value::Ip(ip)) => ip.to_string(),
        Datum::Value(Value::Mac(mac)) => mac_text(mac),
        Datum::Value(Value::Time(time)) => format!("{}.{:03}", time.secs(), millis(time)),
        Datum::Value(value) => repr(value),
    }
}

/// Seconds since 1970, as `float(UnirecTime)`: exact to the millisecond.
pub(crate) fn seconds(time: Time) -> f64 {
    time.secs() as f64 + f64::from(millis(time)) / 1_000.0
}

fn scalar_json(value: Value<'_>) -> Json {
    match value {
        Value::Uint(v) => Json::int(v),
        Value::Int(v) => Json::int(v),
        Value::F32(v) => Json::Float(v.into()),
        Value::F64(v) => Json::Float(v),
        // pytrap answers a signed number for a char.
        Value::Char(v) => Json::int(v as i8),
        Value::Ip(v) => Json::text(&v.to_string()),
        Value::Time(v) => Json::Float(seconds(v)),
        Value::Text(v) => Json::text(&String::from_utf8_lossy(v)),
        Value::Mac(_) | Value::Bytes(_) | Value::List(_) => Json::text(&repr(value)),
    }
}

fn repr(value: Value<'_>) -> String {
    match value {
        Value::Uint(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::F32(v) => python_float(v.into()),
        Value::F64(v) => python_float(v),
        Value::Char(v) => (v as i8).to_string(),
        Value::Ip(v) => format!("UnirecIPAddr('{v}')"),
        Value::Mac(v) => format!("UnirecMACAddr('{}')", mac_text(v)),
        Value::Time(v) => format!("UnirecTime({}, {})", v.secs(), millis(v)),
        Value::Text(v) => format!("'{}'", String::from_utf8_lossy(v)),
        Value::Bytes(v) => format!("bytearray(b{})", quoted(v)),
        // Arrays come as `Datum::List`.
        Value::List(_) => String::new(),
    }
}

/// `repr(float)`; it names infinity and no number otherwise than JSON does.
fn python_float(v: f64) -> String {
    if v.is_finite() {
        float(v)
    } else if v.is_nan() {
        "nan".into()
    } else {
        if v > 0.0 { "inf" } else { "-inf" }.into()
    }
}

fn mac_text(mac: [u8; 6]) -> String {
    let mut out = Vec::new();
    record::text::mac(&mut out, mac);
    String::from_utf8_lossy(&out).into_owned()
}

fn millis(time: Time) -> u32 {
    time.subsec_nanos() / 1_000_000
}

/// Python's bytes literal without its `b`: single quotes unless only they occur inside.
fn quoted(bytes: &[u8]) -> String {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push(quote.into());
    for byte in bytes {
        match byte {
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\\' => out.push_str("\\\\"),
            b if *b == quote => out.extend(['\\', quote.into()]),
            b' '..=b'~' => out.push((*byte).into()),
            _ => {
                // A String takes every write.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(quote.into());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_as_python_writes_them() {
        assert_eq!(quoted(b"a'b\n\x00\xff\\"), r#""a'b\n\x00\xff\\""#);
        assert_eq!(quoted(b"a'b\"\t\r~"), r#"'a\'b"\t\r~'"#);
        assert_eq!(text(Datum::Value(Value::Bytes(b"x"))), "bytearray(b'x')");
    }

    #[test]
    fn numbers_and_times() {
        assert_eq!(text(Datum::Value(Value::Time(Time(1_500_000_000_123_999_999)))), "1500000000.123");
        assert_eq!(seconds(Time(1_500_000_000_123_999_999)), 1_500_000_000.123);
        assert_eq!(text(Datum::Value(Value::F64(f64::NEG_INFINITY))), "-inf");
        assert_eq!(json(Datum::Value(Value::Char(0xff))), Json::int(-1));
    }
}
