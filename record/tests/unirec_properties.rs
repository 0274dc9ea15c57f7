//! Any template with any values: what is built is what is read; what CSV can say comes back from CSV; nothing panics.
use proptest::collection::vec;
use proptest::prelude::*;
use record::unirec::{Builder, Datum, Template, View, csv, fuzzing, time};
use record::{Item, Kind, ListRef, Time, Value};

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::all().collect::<Vec<_>>())
}

fn templates() -> impl Strategy<Value = Template> {
    vec(("[A-Za-z][A-Za-z0-9_]{0,6}", kinds()), 0..24)
        .prop_filter_map("one type for each name", |fields| Template::new(fields).ok())
}

/// Content of a value of fixed size, wire form. Times are whole nanoseconds: finer ones have no [`Value`].
fn scalar(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    match kind {
        Kind::Time => (0..=u64::from(u32::MAX), 0..1_000_000_000u64)
            .prop_map(|(s, ns)| time::to_fixed(Time(s * 1_000_000_000 + ns)).to_le_bytes().to_vec())
            .boxed(),
        Kind::Ip => prop_oneof![
            vec(any::<u8>(), 16),
            vec(any::<u8>(), 4).prop_map(|v4| [&[0; 8][..], &v4, &[0xff; 4]].concat()),
        ]
        .boxed(),
        kind => vec(any::<u8>(), kind.size().unwrap()).boxed(),
    }
}

/// Content of a field of any kind.
fn content(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    match kind {
        Kind::Text | Kind::Bytes => vec(any::<u8>(), 0..20).boxed(),
        Kind::List(item) => vec(scalar(item.scalar()), 0..6).prop_map(|v| v.concat()).boxed(),
        kind => scalar(kind),
    }
}

/// The same, restricted to what CSV says exactly.
fn sayable(kind: Kind) -> BoxedStrategy<Vec<u8>> {
    match kind {
        Kind::Char => "[!#-+.-~-]".prop_map(String::into_bytes).boxed(),
        Kind::F32 => any::<i16>().prop_map(|v| (f32::from(v) / 64.0).to_le_bytes().to_vec()).boxed(),
        Kind::F64 => any::<i32>().prop_map(|v| (f64::from(v) / 64.0).to_le_bytes().to_vec()).boxed(),
        Kind::Time => (0..=u64::from(u32::MAX), 0..1_000_000u64)
            .prop_map(|(s, us)| time::to_fixed(Time((s * 1_000_000 + us) * 1_000)).to_le_bytes().to_vec())
            .boxed(),
        Kind::Text => "[ -~]{0,12}".prop_map(String::into_bytes).boxed(),
        Kind::Bytes => content(kind),
        Kind::List(item) => vec(sayable(item.scalar()), 0..6).prop_map(|v| v.concat()).boxed(),
        kind => scalar(kind),
    }
}

type Content = fn(Kind) -> BoxedStrategy<Vec<u8>>;

/// A template, the contents of its fields, and the record assembled by hand: fixed part, descriptors, data.
fn records(content: Content) -> impl Strategy<Value = (Template, Vec<Vec<u8>>, Vec<u8>)> {
    templates().prop_flat_map(move |template| {
        let contents: Vec<_> = template.fields().iter().map(|f| content(f.kind)).collect();
        (Just(template), contents).prop_map(|(template, contents)| {
            let (mut record, mut data) = (Vec::new(), Vec::new());
            for (field, content) in template.fields().iter().zip(&contents) {
                assert_eq!(field.offset, record.len());
                if field.kind.size().is_some() {
                    record.extend_from_slice(content);
                } else {
                    record.extend_from_slice(&(data.len() as u16).to_le_bytes());
                    record.extend_from_slice(&(content.len() as u16).to_le_bytes());
                    data.extend_from_slice(content);
                }
            }
            assert_eq!(record.len(), template.static_size());
            record.extend_from_slice(&data);
            (template, contents, record)
        })
    })
}

fn print(template: &Template, record: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    csv::Printer::new(b',').row(&View::new(template, record).unwrap(), &mut out);
    out
}

proptest! {
    #[test]
    fn what_is_built_is_what_is_read((template, contents, record) in records(content)) {
        let view = View::new(&template, &record).unwrap();
        let mut builder = Builder::new(&template);
        for (index, (field, datum)) in view.iter().enumerate() {
            prop_assert_eq!(view.raw(index).unwrap(), &contents[index][..]);
            prop_assert_eq!(view.list(index).is_some(), matches!(field.kind, Kind::List(_)));
            builder.set(index, datum).unwrap();
        }
        let mut copy = Vec::new();
        builder.finish(&mut copy).unwrap();
        prop_assert_eq!(&copy, &record);
        // Bytes behind the record are no part of it.
        copy.extend_from_slice(b"tail");
        prop_assert_eq!(print(&template, &copy), print(&template, &record));
    }

    #[test]
    fn what_csv_can_say_comes_back((template, _, record) in records(sayable)) {
        let row = print(&template, &record);
        let columns = csv::Columns::parse(&template.spec()).unwrap();
        prop_assert_eq!(columns.template(), &template);
        let mut again = Vec::new();
        columns.rows().read(&row[..row.len() - 1], &mut again).unwrap();
        prop_assert_eq!(again, record, "{}", String::from_utf8_lossy(&row));
    }

    #[test]
    fn floats_print_as_the_exact_formatter_does(bits in any::<u64>(), small in any::<f32>(), int in any::<i32>()) {
        let template = Template::parse("double D").unwrap();
        for v in [f64::from_bits(bits), f64::from(small), f64::from(int) / 1e7] {
            let want = if v.is_nan() {
                (if v.is_sign_negative() { "-nan" } else { "nan" }).to_owned()
            } else {
                format!("{v:.6}")
            };
            let row = print(&template, &v.to_le_bytes());
            let row = String::from_utf8_lossy(&row);
            prop_assert_eq!(row.trim_end(), want);
        }
    }

    #[test]
    fn addresses_print_as_they_parse(octets in any::<[u8; 16]>(), zeros in any::<u16>()) {
        let template = Template::parse("ipaddr A").unwrap();
        let mut octets = octets;
        (0..16).filter(|i| zeros >> i & 1 == 1).for_each(|i| octets[i & 14] = 0);
        (0..16).filter(|i| zeros >> i & 1 == 1).for_each(|i| octets[i | 1] = 0);
        let row = print(&template, &octets);
        let columns = csv::Columns::parse("ipaddr A").unwrap();
        let mut again = Vec::new();
        columns.rows().read(&row[..row.len() - 1], &mut again).unwrap();
        prop_assert_eq!(&again[..], &octets[..]);
    }

    #[test]
    fn times_survive(ns in 0..=u64::from(u32::MAX) * 1_000_000_000 + 999_999_999) {
        prop_assert_eq!(time::from_fixed(time::to_fixed(Time(ns))), Time(ns));
    }

    #[test]
    fn declared_lists_are_raw_lists(values in vec(any::<i64>(), 0..9), ns in vec(0..4_000_000_000_000_000_000u64, 0..9)) {
        let template = Template::parse("int64* L,time* T").unwrap();
        let times: Vec<_> = ns.iter().copied().map(Time).collect();
        let mut builder = Builder::new(&template);
        builder.set(0, Value::List(ListRef::I64(&values))).unwrap();
        builder.set(1, Value::List(ListRef::Time(&times))).unwrap();
        let mut record = Vec::new();
        builder.finish(&mut record).unwrap();
        let view = View::new(&template, &record).unwrap();
        let Some(Datum::List(list)) = view.get(0) else { panic!("a list") };
        prop_assert_eq!(list.item(), Item::I64);
        prop_assert!(list.iter().eq(values.into_iter().map(Value::Int)));
        prop_assert!(view.list(1).unwrap().iter().eq(times.into_iter().map(Value::Time)));
    }

    #[test]
    fn no_bytes_make_it_panic(input in vec(any::<u8>(), 0..200)) {
        record::fuzzing::TARGETS.iter().for_each(|(_, harness)| harness(&input));
    }

    #[test]
    fn no_bytes_behind_a_good_header_make_it_panic(template in templates(), tail in vec(any::<u8>(), 0..300), small in vec(0..4u8, 0..300)) {
        for tail in [tail, small] {
            let input = [template.spec().as_bytes(), b"\n", &tail].concat();
            record::fuzzing::TARGETS.iter().for_each(|(_, harness)| harness(&input));
        }
    }

    #[test]
    fn no_text_row_makes_it_panic(template in templates(), body in "([0-9xe.:|\\[\\]\"\\\\,+ -]|\n|nan|T){0,80}") {
        fuzzing::fuzz_csv(format!("{}\n{body}", template.spec()).as_bytes());
        fuzzing::fuzz_time(body.as_bytes());
    }
}
