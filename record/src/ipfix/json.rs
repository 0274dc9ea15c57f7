//! Decoded records as JSON in the form of ipfixcol2's json output (libfds; spec/ipfix.md section 9), one object for each record.
//!
//! Differences from libfds, both so that the output is always valid JSON: strings keep only what is valid UTF-8 (libfds lets
//! over-long forms and surrogates through), and lists nested more than [`NESTING_MAX`] deep become `null`.
mod scalar;

use super::list::{BasicList, SubTemplateList, SubTemplateMultiList};
use super::record::{DataRecord, FieldRef};
use super::templates::{FieldSpec, Repeat, Template};
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
