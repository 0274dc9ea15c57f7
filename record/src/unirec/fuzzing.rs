//! Harnesses: each takes any bytes and must return. Called as property tests, as fuzz targets and on their corpus.
use super::{Builder, Template, View, csv, repair, time};
use crate::{Item, Kind};

/// Any text as a template specification; an accepted one is read back from its canonical form unchanged.
pub fn fuzz_spec(input: &[u8]) {
    let Ok(template) = Template::parse(&String::from_utf8_lossy(input)) else { return };
    assert_eq!(Template::parse(&template.spec()).as_ref(), Ok(&template));
}

/// A specification up to the first newline, behind it any bytes as its record: reading, printing and copying stay inside, and a
/// copy reads the same.
pub fn fuzz_record(input: &[u8]) {
    let (spec, bytes) = split_line(input);
    let Ok(template) = Template::parse(&String::from_utf8_lossy(spec)) else { return };
    let mut repaired = Vec::new();
    let emptied = repair(&template, bytes, &mut repaired);
    if emptied.is_some() {
        assert!(View::new(&template, &repaired).is_ok(), "a repaired record is a record");
    }
    let Ok(view) = View::new(&template, bytes) else {
        assert_ne!(emptied, Some(0), "what is refused has something to repair");
        return;
    };
    assert_eq!(emptied, Some(0));
    let mut text = Vec::new();
    csv::Printer::new(b',').row(&view, &mut text);
    let mut builder = Builder::new(&template);
    for (index, (_, datum)) in view.iter().enumerate() {
        builder.set(index, datum).expect("a value that was read fits the field it was read from");
    }
    let mut copy = Vec::new();
    builder.finish(&mut copy).expect("a copy is no larger than its record");
    let again = View::new(&template, &copy).expect("what the builder wrote is a record");
    let mut text_again = Vec::new();
    csv::Printer::new(b',').row(&again, &mut text_again);
    // A fraction of a second has 2^32 values, of which a billion are whole nanoseconds: only those survive the way through `Time`.
    if has_whole_nanoseconds(&view) {
        assert_eq!(text, text_again);
    }
    let mut third = Vec::new();
    for (index, (_, datum)) in again.iter().enumerate() {
        builder.set(index, datum).expect("a value that was read fits the field it was read from");
    }
    builder.finish(&mut third).expect("a copy is no larger than its record");
    assert_eq!(copy, third, "a copy of a copy is the same");
}

/// Whether every time in a record is one that a writer of nanoseconds makes.
fn has_whole_nanoseconds(view: &View<'_>) -> bool {
    view.iter().enumerate().all(|(index, (field, _))| {
        let is_time = matches!(field.kind, Kind::Time | Kind::List(Item::Time));
        let raw = view.raw(index).unwrap_or(&[]);
        !is_time
            || raw.as_chunks::<8>().0.iter().all(|b| {
                let fixed = u64::from_le_bytes(*b);
                time::to_fixed(time::from_fixed(fixed)) == fixed
            })
    })
}

/// Any CSV file: every record that it gives is a record, and its own CSV gives it again, save for what CSV cannot say.
pub fn fuzz_csv(input: &[u8]) {
    let (header, body) = split_line(input);
    let Ok(columns) = csv::Columns::parse(&String::from_utf8_lossy(header)) else { return };
    let mut rows = columns.rows();
    let mut out = Vec::new();
    for line in body.split(|b| *b == b'\n') {
        if rows.read(line, &mut out).is_ok() {
            let view = View::new(columns.template(), &out).expect("what a row gives is a record");
            csv::Printer::new(b',').row(&view, &mut Vec::new());
        }
    }
}

/// Any text as a time; an accepted one survives the way through nanoseconds.
pub fn fuzz_time(input: &[u8]) {
    if let Some(fixed) = time::parse(input) {
        assert_eq!(time::to_fixed(time::from_fixed(fixed)), fixed);
    }
}

fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', input).unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or(&[]))
}
