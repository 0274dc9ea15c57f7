//! Records as CSV rows: what logger prints and logreplay reads (spec/unirec.md section 6, modules.md sections 1 and 2).
use super::builder::{Builder, SetError, Taken};
use super::template::{SpecError, Template, spec_items};
use super::view::View;
use super::{TooLarge, print, time, wire};
use crate::{Item, Kind};

/// Bytes of one field in a row, at the most; the rest of a longer one is cut (arrays are not, that would change a number).
pub const TEXT_MAX: usize = 16_384;

/// Prints rows. One per output, because it remembers the day of the last time.
#[derive(Clone, Debug)]
pub struct Printer {
    delimiter: u8,
    times: time::Printer,
}

impl Printer {
    /// Fields are joined by `delimiter`; it is not escaped where it occurs in a value.
    pub fn new(delimiter: u8) -> Printer {
        Printer { delimiter, times: time::Printer::default() }
    }

    /// Appends the header line, `TYPE NAME` of each field and a newline.
    pub fn header(&self, template: &Template, out: &mut Vec<u8>) {
        for (i, field) in template.fields().iter().enumerate() {
            if i > 0 {
                out.push(self.delimiter);
            }
            out.extend_from_slice(field.kind.unirec_name().as_bytes());
            out.push(b' ');
            out.extend_from_slice(field.name.as_bytes());
        }
        out.push(b'\n');
    }

    /// Appends one record and a newline. Takes no memory once `out` has grown.
    pub fn row(&mut self, record: &View<'_>, out: &mut Vec<u8>) {
        for (i, field) in record.template().fields().iter().enumerate() {
            if i > 0 {
                out.push(self.delimiter);
            }
            let content = record.content(field);
            match field.kind {
                Kind::Text => print::quoted(out, content),
                Kind::Bytes => print::hex(out, content),
                Kind::List(item) => self.list(item, content, out),
                kind => self.scalar(kind, content, out),
            }
        }
        out.push(b'\n');
    }

    /// Appends `YYYY-MM-DDTHH:MM:SS` and a comma, whatever the delimiter: the first column of `logger -T`.
    pub fn received(&mut self, unix_secs: u64, out: &mut Vec<u8>) {
        self.times.seconds(out, unix_secs);
        out.push(b',');
    }

    fn list(&mut self, item: Item, content: &[u8], out: &mut Vec<u8>) {
        out.push(b'[');
        for (i, element) in content.chunks_exact(item.size()).enumerate() {
            if i > 0 {
                out.push(b'|');
            }
            self.scalar(item.scalar(), element, out);
        }
        out.push(b']');
    }

    #[inline]
    fn scalar(&mut self, kind: Kind, b: &[u8], out: &mut Vec<u8>) {
        match kind {
            Kind::Char => out.extend_from_slice(b),
            Kind::U8 => print::uint(out, u8::from_le_bytes(wire::array(b)).into()),
            Kind::U16 => print::uint(out, u16::from_le_bytes(wire::array(b)).into()),
            Kind::U32 => print::uint(out, u32::from_le_bytes(wire::array(b)).into()),
            Kind::U64 => print::uint(out, u64::from_le_bytes(wire::array(b))),
            Kind::I8 => print::int(out, i8::from_le_bytes(wire::array(b)).into()),
            Kind::I16 => print::int(out, i16::from_le_bytes(wire::array(b)).into()),
            Kind::I32 => print::int(out, i32::from_le_bytes(wire::array(b)).into()),
            Kind::I64 => print::int(out, i64::from_le_bytes(wire::array(b))),
            Kind::F32 => print::float(out, f32::from_le_bytes(wire::array(b)).into()),
            Kind::F64 => print::float(out, f64::from_le_bytes(wire::array(b))),
            Kind::Ip => print::ip(out, wire::array(b)),
            Kind::Mac => print::mac(out, wire::array(b)),
            Kind::Time => self.times.micros(out, u64::from_le_bytes(wire::array(b))),
            // Not of fixed size, so never here.
            Kind::Text | Kind::Bytes | Kind::List(_) => {}
        }
    }
}

/// The header of a CSV file: which column is which field.
#[derive(Clone, Debug)]
pub struct Columns {
    template: Template,
    /// The file was written by `logger -T`: a time of reception stands before each row.
    timed: bool,
    /// For each column the index of its field.
    fields: Vec<usize>,
}

impl Columns {
    /// Reads the first line of a file: a specification in any order, optionally behind `time,`.
    pub fn parse(header: &str) -> Result<Columns, SpecError> {
        let (timed, spec) = header.strip_prefix("time,").map_or((false, header), |spec| (true, spec));
        let items = spec_items(spec)?;
        let template = Template::new(items.iter().copied())?;
        // The template was made of these very names.
        let fields = items.iter().map(|(name, _)| template.index_of(name).unwrap_or(0)).collect();
        Ok(Columns { template, timed, fields })
    }

    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Whether rows start with a time of reception.
    pub fn timed(&self) -> bool {
        self.timed
    }

    /// A reader of rows with this header.
    pub fn rows(&self) -> Rows<'_> {
        Rows { columns: self, record: Builder::new(&self.template), text: Vec::new() }
    }
}

/// Turns rows into records. Made for many rows: memory is reused.
#[derive(Clone, Debug)]
pub struct Rows<'c> {
    columns: &'c Columns,
    record: Builder<'c>,
    /// The field in hand, without its quotes.
    text: Vec<u8>,
}

/// What a row gave besides the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Time of reception, seconds since 1970; none if the file has none or the text is no time.
    pub received: Option<u64>,
    /// Times that could not be read and became 0.
    pub times_unreadable: u32,
    /// Fields that were cut to [`TEXT_MAX`].
    pub fields_cut: u32,
}

/// Why a row gave no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("invalid field \"{text}\": {why}")]
    Field { text: String, why: SetError },
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl Rows<'_> {
    /// Reads one line (without its newline) and replaces the contents of `out` with its record. Columns that are missing at the
    /// end read as empty texts, columns too many are ignored.
    pub fn read(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Row, RowError> {
        let mut row = Row::default();
        let mut rest = line;
        self.record.clear();
        if self.columns.timed {
            rest = take_field(rest, &mut self.text);
            row.received = time::parse(&self.text).map(|fixed| fixed >> 32);
        }
        for index in &self.columns.fields {
            rest = take_field(rest, &mut self.text);
            if matches!(self.columns.template.fields()[*index].kind, Kind::List(_)) {
                unbracket(&mut self.text);
            } else if self.text.len() > TEXT_MAX {
                self.text.truncate(TEXT_MAX);
                row.fields_cut += 1;
            }
            match self.record.set_text(*index, &self.text) {
                Ok(Taken::Whole) => {}
                Ok(Taken::TimeUnreadable) => row.times_unreadable += 1,
                Err(why) => {
                    return Err(RowError::Field { text: String::from_utf8_lossy(&self.text).into_owned(), why });
                }
            }
        }
        self.record.finish(out)?;
        Ok(row)
    }
}

/// Puts the next field into `text` and answers what lies behind its comma.
///
/// A field that starts with a quote ends at a quote before a comma or before the end of the line; two quotes are one, and a
/// single quote before anything else is itself. So logger's rows read back exactly, also where a text ends in a backslash.
fn take_field<'l>(line: &'l [u8], text: &mut Vec<u8>) -> &'l [u8] {
    text.clear();
    let Some(mut rest) = line.strip_prefix(b"\"") else {
        let end = memchr::memchr(b',', line).unwrap_or(line.len());
        text.extend_from_slice(&line[..end]);
        return line.get(end + 1..).unwrap_or(&[]);
    };
    while let Some(quote) = memchr::memchr(b'"', rest) {
        text.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest {
            [] => return rest,
            [b',', more @ ..] => return more,
            [b'"', more @ ..] => rest = more,
            _ => {}
        }
        text.push(b'"');
    }
    text.extend_from_slice(rest);
    &[]
}

/// Array text of the printer to that of [`Builder::set_text`]: no brackets, spaces between elements. Missing brackets are no
/// matter (the original dies of them).
fn unbracket(text: &mut [u8]) {
    for bracket in [b'[', b']'] {
        if let Some(at) = memchr::memchr(bracket, text) {
            text[at] = b' ';
        }
    }
    text.iter_mut().filter(|b| matches!(**b, b'|' | b'\r')).for_each(|b| *b = b' ');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(mut line: &[u8]) -> Vec<String> {
        let mut text = Vec::new();
        let mut out = Vec::new();
        while !line.is_empty() {
            line = take_field(line, &mut text);
            out.push(String::from_utf8(text.clone()).unwrap());
        }
        out
    }

    #[test]
    fn rows_are_split_as_logger_joins_them() {
        assert_eq!(fields(br#"1,,"a,""b"",c\","x"y,z","","open"#), ["1", "", "a,\"b\",c\\", "x\"y,z", "", "open"]);
        assert_eq!(fields(br#"a"b,c"#), ["a\"b", "c"]);
        assert_eq!(fields(br#""a\"b","c""#), ["a\\\"b", "c"]);
    }

    #[test]
    fn a_row_of_any_order_with_missing_tail() {
        let columns = Columns::parse("time,string S,uint16* W,uint8 B,string T").unwrap();
        let mut out = Vec::new();
        let row = columns.rows().read(b"2020-01-01T00:00:01,\"x\",[1|2\r],300", &mut out).unwrap();
        assert_eq!(row, Row { received: Some(1_577_836_801), ..Row::default() });
        assert_eq!(out, [44, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 0, b'x', 1, 0, 2, 0]);
        assert!(columns.rows().read(b",,[],x", &mut out).is_err());
        let long = format!(",{},1 2,5", "y".repeat(TEXT_MAX + 1));
        assert_eq!(columns.rows().read(long.as_bytes(), &mut out).unwrap().fields_cut, 1);
        assert_eq!(out.len(), 13 + TEXT_MAX + 4);
    }
}
