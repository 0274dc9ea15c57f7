//! Single values as libfds prints them.
use super::super::protocols;
use super::super::record::FieldRef;
use super::super::wire::unix_secs;
use super::{Unfit, Writer};
use crate::element::Abstract;
use crate::text;

impl Writer<'_> {
    pub(super) fn octets(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        match field.bytes.len() {
            0 => Err(Unfit),
            1..=8 if self.style.octet_array_as_uint => self.uint(field.uint().ok_or(Unfit)?),
            _ => {
                self.out.extend_from_slice(b"\"0x");
                field.bytes.iter().for_each(|b| text::hex_byte(self.out, *b, text::UPPER));
                self.out.push(b'"');
                Ok(())
            }
        }
    }

    pub(super) fn float(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let value = field.float().ok_or(Unfit)?;
        if value.is_nan() {
            self.out.extend_from_slice(b"\"NaN\"");
        } else if value.is_infinite() {
            self.out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        } else {
            // FLT_DIG and DBL_DIG of C.
            general(self.out, value, if field.bytes.len() == 4 { 6 } else { 15 });
        }
        Ok(())
    }

    pub(super) fn mac(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let mac = field.mac().ok_or(Unfit)?;
        for (i, byte) in mac.iter().enumerate() {
            self.out.push(if i == 0 { b'"' } else { b':' });
            text::hex_byte(self.out, *byte, text::UPPER);
        }
        self.out.push(b'"');
        Ok(())
    }

    pub(super) fn time(&mut self, field: &FieldRef<'_>, kind: Abstract) -> Result<(), Unfit> {
        let raw = field.uint().ok_or(Unfit)?;
        let (secs, millis) = match (kind, field.bytes.len()) {
            (Abstract::DateTimeSeconds, 4) => (raw, 0),
            (Abstract::DateTimeMilliseconds, 8) => (raw / 1_000, raw % 1_000),
            // libfds follows RFC 7011 section 6.1.9: the lowest 11 bits of microseconds do not count.
            (Abstract::DateTimeMicroseconds, 8) => (unix_secs(raw), ntp_millis(raw & 0xffff_f800)),
            (Abstract::DateTimeNanoseconds, 8) => (unix_secs(raw), ntp_millis(raw & 0xffff_ffff)),
            _ => return Err(Unfit),
        };
        if self.style.timestamp_formatted {
            self.out.push(b'"');
            text::date_time(self.out, secs);
            text::append(self.out, format_args!(".{millis:03}Z\""));
        } else {
            text::append(self.out, format_args!("{}", secs.saturating_mul(1_000).saturating_add(millis)));
        }
        Ok(())
    }

    /// The lower six flags; a two-byte field keeps its lower byte.
    pub(super) fn tcp_flags(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let flags = match field.bytes {
            [flags] | [_, flags] => *flags,
            _ => return Err(Unfit),
        };
        self.out.push(b'"');
        for (bit, letter) in (0..6).rev().zip(b"UAPRSF") {
            self.out.push(if flags >> bit & 1 == 1 { *letter } else { b'.' });
        }
        self.out.push(b'"');
        Ok(())
    }

    pub(super) fn protocol(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let [protocol] = *field.bytes else { return Err(Unfit) };
        match protocols::name(protocol) {
            Some(name) => text::append(self.out, format_args!("\"{name}\"")),
            None => text::append(self.out, format_args!("\"{protocol}\"")),
        }
        Ok(())
    }

    pub(super) fn string(&mut self, bytes: &[u8]) {
        self.out.push(b'"');
        for chunk in bytes.utf8_chunks() {
            chunk.valid().bytes().for_each(|b| self.character(b));
            for byte in chunk.invalid() {
                match byte {
                    _ if self.style.drop_non_printable => {}
                    0x80..=0x9f => self.control(*byte),
                    _ => self.out.extend_from_slice("\u{fffd}".as_bytes()),
                }
            }
        }
        self.out.push(b'"');
    }

    pub(super) fn character(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' => self.out.extend_from_slice(&[b'\\', byte]),
            0..=0x1f | 0x7f if self.style.drop_non_printable => {}
            b'\n' => self.out.extend_from_slice(b"\\n"),
            b'\r' => self.out.extend_from_slice(b"\\r"),
            b'\t' => self.out.extend_from_slice(b"\\t"),
            8 => self.out.extend_from_slice(b"\\b"),
            12 => self.out.extend_from_slice(b"\\f"),
            0..=0x1f | 0x7f => self.control(byte),
            _ => self.out.push(byte),
        }
    }

    pub(super) fn control(&mut self, byte: u8) {
        self.out.extend_from_slice(b"\\u00");
        text::hex_byte(self.out, byte, text::UPPER);
    }
}

/// Milliseconds of an NTP fraction as libfds has them: nanoseconds rounded to the nearest, then cut.
fn ntp_millis(fraction: u64) -> u64 {
    (((fraction & 0xffff_ffff) * 1_000_000_000 + (1 << 31)) >> 32) / 1_000_000
}

/// Appends a finite number as C's `%.*g` does: `digits` significant ones, no trailing zeros, an exponent below 1e-4 and from
/// 10^digits on.
fn general(out: &mut Vec<u8>, value: f64, digits: usize) {
    let start = out.len();
    text::append(out, format_args!("{:.*e}", digits - 1, value));
    let Some(e) = out[start..].iter().position(|b| *b == b'e') else { return };
    let exponent = std::str::from_utf8(&out[start + e + 1..]).ok().and_then(|t| t.parse::<i32>().ok()).unwrap_or(0);
    out.truncate(start + e);
    if (-4..digits as i32).contains(&exponent) {
        out.truncate(start);
        // Digits after the point: never negative here, because the exponent is below `digits`.
        text::append(out, format_args!("{:.*}", (digits as i32 - 1 - exponent) as usize, value));
        trim_zeros(out, start);
    } else {
        trim_zeros(out, start);
        let sign = if exponent < 0 { '-' } else { '+' };
        text::append(out, format_args!("e{sign}{:02}", exponent.unsigned_abs()));
    }
}

fn trim_zeros(out: &mut Vec<u8>, start: usize) {
    if out[start..].contains(&b'.') {
        while out.last() == Some(&b'0') {
            out.pop();
        }
        if out.last() == Some(&b'.') {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_c_prints_them() {
        let cases = [
            (0.0, "0"),
            (8.0, "8"),
            (2.666_666_7, "2.66667"),
            (4_001_660.0, "4.00166e+06"),
            (749_777.0, "749777"),
            (999_999.5, "1e+06"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012_3, "1.23e-05"),
            (-1.5, "-1.5"),
            (1e100, "1e+100"),
        ];
        for (value, text) in cases {
            let mut out = Vec::new();
            general(&mut out, value, 6);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
