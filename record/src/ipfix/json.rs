//! Decoded records as JSON in the form of ipfixcol2's json output (libfds; spec/ipfix.md section 9), one object for each record.
//!
//! Differences from libfds, both so that the output is always valid JSON: strings keep only what is valid UTF-8 (libfds lets
//! over-long forms and surrogates through), and lists nested more than [`NESTING_MAX`] deep become `null`.
use super::list::{BasicList, SubTemplateList, SubTemplateMultiList};
use super::protocols;
use super::record::{DataRecord, FieldRef};
use super::templates::{FieldSpec, Repeat, Template};
use super::wire::unix_secs;
use crate::element::{Abstract, CESNET, Element, IANA, REVERSE, iana};
use crate::text;

/// Lists in lists in lists.
pub const NESTING_MAX: u32 = 8;

/// The options of ipfixcol2's json output that change records; the defaults are its own. ignoreOptions is the caller's choice
/// (ask `template.is_options()`).
#[derive(Clone, Copy, Debug)]
pub struct Style<'a> {
    /// tcpFlags: `.AP.S.` instead of a number.
    pub tcp_flags_formatted: bool,
    /// timestamp: ISO 8601 UTC with milliseconds instead of Unix milliseconds.
    pub timestamp_formatted: bool,
    /// protocol: `TCP` instead of a number.
    pub protocol_formatted: bool,
    /// ignoreUnknown: elements that libfds does not know are left out.
    pub ignore_unknown: bool,
    /// nonPrintableChar: control characters and what is not UTF-8 are left out instead of escaped.
    pub drop_non_printable: bool,
    /// octetArrayAsUint: octet arrays of up to 8 bytes as numbers.
    pub octet_array_as_uint: bool,
    /// numericNames: `en0:id1` for all elements.
    pub numeric_names: bool,
    /// detailedInfo: message header, template id and this address of the exporter after the fields.
    pub detailed_info: Option<&'a str>,
}

impl Default for Style<'_> {
    fn default() -> Self {
        Style {
            tcp_flags_formatted: true,
            timestamp_formatted: true,
            protocol_formatted: true,
            ignore_unknown: true,
            drop_non_printable: true,
            octet_array_as_uint: true,
            numeric_names: false,
            detailed_info: None,
        }
    }
}

/// Appends the object of one record, without a line end.
pub fn record(out: &mut Vec<u8>, record: &DataRecord<'_>, style: &Style<'_>) {
    let kind: &[u8] = if record.template.is_options() { b"ipfix.optionsEntry" } else { b"ipfix.entry" };
    out.extend_from_slice(b"{\"@type\":\"");
    out.extend_from_slice(kind);
    out.push(b'"');
    let mut writer = Writer { out, style, depth: 0 };
    writer.fields(record, true);
    if let Some(source) = style.detailed_info {
        let h = record.header;
        let (time, sequence, domain, length) = (h.export_time_secs, h.sequence, h.domain, h.length);
        text::append(
            writer.out,
            format_args!(
                ",\"ipfix:exportTime\":{time},\"ipfix:seqNumber\":{sequence},\"ipfix:odid\":{domain},\
                 \"ipfix:msgLength\":{length},\"ipfix:srcAddr\":"
            ),
        );
        crate::json::string(writer.out, source.as_bytes());
        text::append(writer.out, format_args!(",\"ipfix:templateId\":{}", record.template.id()));
    }
    out.push(b'}');
}

/// Appends the object of a template (ipfixcol2's option templateInfo), without a line end.
pub fn template(out: &mut Vec<u8>, template: &Template) {
    let id = template.id();
    match template.is_options() {
        true => {
            let scopes = template.scopes();
            text::append(
                out,
                format_args!(
                    "{{\"@type\":\"ipfix.optionsTemplate\",\"ipfix:templateId\":{id},\"ipfix:scopeCount\":{scopes}"
                ),
            );
        }
        false => text::append(out, format_args!("{{\"@type\":\"ipfix.template\",\"ipfix:templateId\":{id}")),
    }
    for (i, f) in template.fields().iter().enumerate() {
        out.extend_from_slice(if i == 0 { b",\"ipfix:fields\":[" } else { b"," });
        text::append(
            out,
            format_args!(
                "{{\"ipfix:elementId\":{},\"ipfix:enterpriseId\":{},\"ipfix:fieldLength\":{}}}",
                f.id, f.pen, f.length
            ),
        );
    }
    // A template without fields is a withdrawal and never gets here.
    out.extend_from_slice(b"]}");
}

/// What cannot be converted becomes `null`.
struct Unfit;

struct Writer<'w> {
    out: &'w mut Vec<u8>,
    style: &'w Style<'w>,
    depth: u32,
}

impl Writer<'_> {
    /// The members of a record; an element that occurs several times is an array where it occurs last.
    fn fields(&mut self, record: &DataRecord<'_>, mut comma: bool) {
        for field in record.fields() {
            let unknown = known(field.spec).is_none() && self.style.ignore_unknown;
            if unknown || field.spec.repeat == Repeat::Again {
                continue;
            }
            if std::mem::replace(&mut comma, true) {
                self.out.push(b',');
            }
            self.name(field.spec);
            self.out.push(b':');
            match field.spec.repeat {
                Repeat::Last => self.array(record.fields().filter(|f| f.spec.same_element(field.spec))),
                _ => self.value(&field),
            }
        }
    }

    fn array<'f>(&mut self, fields: impl Iterator<Item = FieldRef<'f>>) {
        self.out.push(b'[');
        for (i, field) in fields.enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.value(&field);
        }
        self.out.push(b']');
    }

    fn name(&mut self, spec: &FieldSpec) {
        match known(spec).filter(|_| !self.style.numeric_names) {
            Some(e) => {
                let reverse = if e.pen == REVERSE { "@reverse" } else { "" };
                text::append(self.out, format_args!("\"{}:{}{reverse}\"", e.scope(), e.name));
            }
            None => text::append(self.out, format_args!("\"en{}:id{}\"", spec.pen, spec.id)),
        }
    }

    fn value(&mut self, field: &FieldRef<'_>) {
        let start = self.out.len();
        if self.converted(field).is_err() {
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
        }
    }

    fn converted(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let forward = field.spec.pen == IANA || field.spec.pen == REVERSE;
        if forward && field.spec.id == iana::tcpControlBits.id && self.style.tcp_flags_formatted {
            return self.tcp_flags(field);
        }
        if forward && field.spec.id == iana::protocolIdentifier.id && self.style.protocol_formatted {
            return self.protocol(field);
        }
        let Some(element) = known(field.spec) else { return self.octets(field) };
        match element.kind {
            Abstract::OctetArray => self.octets(field),
            Abstract::Unsigned8 | Abstract::Unsigned16 | Abstract::Unsigned32 | Abstract::Unsigned64 => {
                self.uint(field.uint().ok_or(Unfit)?)
            }
            Abstract::Signed8 | Abstract::Signed16 | Abstract::Signed32 | Abstract::Signed64 => {
                text::append(self.out, format_args!("{}", field.int().ok_or(Unfit)?));
                Ok(())
            }
            Abstract::Float32 | Abstract::Float64 => self.float(field),
            Abstract::Boolean => {
                text::append(self.out, format_args!("{}", field.boolean().ok_or(Unfit)?));
                Ok(())
            }
            Abstract::MacAddress => self.mac(field),
            Abstract::String => {
                self.string(field.bytes);
                Ok(())
            }
            Abstract::DateTimeSeconds
            | Abstract::DateTimeMilliseconds
            | Abstract::DateTimeMicroseconds
            | Abstract::DateTimeNanoseconds => self.time(field, element.kind),
            Abstract::Ipv4Address | Abstract::Ipv6Address => {
                let ip = field.ip().ok_or(Unfit)?;
                self.out.push(b'"');
                text::ip(self.out, ip);
                self.out.push(b'"');
                Ok(())
            }
            Abstract::BasicList => self.deeper(|w| w.basic_list(&field.basic_list().map_err(|_| Unfit)?)),
            Abstract::SubTemplateList => {
                self.deeper(|w| w.sub_template_list(&field.sub_template_list().map_err(|_| Unfit)?))
            }
            Abstract::SubTemplateMultiList => {
                self.deeper(|w| w.sub_template_multi_list(&field.sub_template_multi_list().map_err(|_| Unfit)?))
            }
        }
    }

    fn deeper(&mut self, f: impl FnOnce(&mut Self) -> Result<(), Unfit>) -> Result<(), Unfit> {
        if self.depth == NESTING_MAX {
            return Err(Unfit);
        }
        self.depth += 1;
        let done = f(self);
        self.depth -= 1;
        done
    }

    fn uint(&mut self, value: u64) -> Result<(), Unfit> {
        text::append(self.out, format_args!("{value}"));
        Ok(())
    }

    fn octets(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
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

    fn float(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
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

    fn mac(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let mac = field.mac().ok_or(Unfit)?;
        for (i, byte) in mac.iter().enumerate() {
            self.out.push(if i == 0 { b'"' } else { b':' });
            text::hex_byte(self.out, *byte, text::UPPER);
        }
        self.out.push(b'"');
        Ok(())
    }

    fn time(&mut self, field: &FieldRef<'_>, kind: Abstract) -> Result<(), Unfit> {
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
    fn tcp_flags(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
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

    fn protocol(&mut self, field: &FieldRef<'_>) -> Result<(), Unfit> {
        let [protocol] = *field.bytes else { return Err(Unfit) };
        match protocols::name(protocol) {
            Some(name) => text::append(self.out, format_args!("\"{name}\"")),
            None => text::append(self.out, format_args!("\"{protocol}\"")),
        }
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) {
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

    fn character(&mut self, byte: u8) {
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

    fn control(&mut self, byte: u8) {
        self.out.extend_from_slice(b"\\u00");
        text::hex_byte(self.out, byte, text::UPPER);
    }

    fn basic_list(&mut self, list: &BasicList<'_>) -> Result<(), Unfit> {
        self.out.extend_from_slice(b"{\"@type\":\"basicList\",\"data\":");
        // libfds converts items by their type alone: flags and protocols stay numbers in a list.
        let raw = Style { tcp_flags_formatted: false, protocol_formatted: false, ..*self.style };
        Writer { out: &mut *self.out, style: &raw, depth: self.depth }.array(list.items());
        text::append(self.out, format_args!(",\"semantic\":\"{}\",\"fieldID\":", list.semantic.name()));
        self.name(&list.spec);
        self.out.push(b'}');
        Ok(())
    }

    fn sub_template_list(&mut self, list: &SubTemplateList<'_>) -> Result<(), Unfit> {
        let semantic = list.semantic.name();
        text::append(self.out, format_args!("{{\"@type\":\"subTemplateList\",\"semantic\":\"{semantic}\",\"data\":"));
        self.records(list.records());
        self.out.push(b'}');
        Ok(())
    }

    fn sub_template_multi_list(&mut self, list: &SubTemplateMultiList<'_>) -> Result<(), Unfit> {
        let semantic = list.semantic.name();
        text::append(
            self.out,
            format_args!("{{\"@type\":\"subTemplateMultiList\",\"semantic\":\"{semantic}\",\"data\":["),
        );
        for (i, (_, records)) in list.blocks().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            self.records(records);
        }
        self.out.extend_from_slice(b"]}");
        Ok(())
    }

    fn records<'r>(&mut self, records: impl Iterator<Item = DataRecord<'r>>) {
        self.out.push(b'[');
        for (i, record) in records.enumerate() {
            self.out.extend_from_slice(if i > 0 { b",{" } else { b"{" });
            self.fields(&record, false);
            self.out.push(b'}');
        }
        self.out.push(b']');
    }
}

/// The element under the name that libfds 0f148ed knows it by. It has no names for JA4, MQTT and RTSP (spec/ipfix.md section 7.3).
fn known(spec: &FieldSpec) -> Option<Element> {
    spec.element.filter(|e| !(e.pen == CESNET && matches!(e.id, 809 | 1033..=1045)))
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
