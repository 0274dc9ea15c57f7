//! The runtime of modules: templates that come and change, records that are damaged, streams that end.

use detect::sdk::{
    ControlFlow, Ended, Failure, Forward, GO_ON, Handler, Reader, Step, Str, Template, Totals, View, Writer, fields,
    record,
};
use record::unirec::Builder;
use std::thread;
use tempfile::TempDir;
use trap::{Format, Input, InputDefaults, Output, OutputDefaults, Place, Sent, Spec};

fields! {
    struct Named {
        number: u32 = "N",
        text: Option<Str> = "TEXT",
    }
}

record! {
    /// What a writer sends.
    struct Twice = "twice" {
        /// Twice the number.
        twice: u64, unirec "TWICE";
    }
}

fn input(spec: &str, place: &Place) -> Input {
    Input::open_at(&Spec::parse(spec).unwrap()[0], &InputDefaults::default(), place).unwrap()
}

fn output(spec: &str, place: &Place) -> Output {
    Output::open_at(&Spec::parse(spec).unwrap()[0], OutputDefaults::default(), place).unwrap()
}

fn named(folder: &TempDir, name: &str) -> String {
    format!("f:{}", folder.path().join(name).display())
}

/// A record of numbers in text, in the order of the template.
fn row(template: &Template, values: &[&str]) -> Vec<u8> {
    let (mut builder, mut out) = (Builder::new(template), Vec::new());
    for (at, value) in values.iter().enumerate() {
        builder.set_text(at, value.as_bytes()).unwrap();
    }
    builder.finish(&mut out).unwrap();
    out
}

/// Writes a file of messages.
fn file(spec: &str, template: &str, messages: &[&[u8]]) {
    let mut out = output(spec, &Place::default());
    out.set_format(Format::UniRec(template.into())).unwrap();
    for message in messages {
        assert_eq!(out.send(message), Sent::Sent);
    }
    out.finish().unwrap();
}

/// What came, in words.
#[derive(Default)]
struct Seen {
    said: Vec<String>,
    breaks_at: Option<u32>,
    idle: u32,
}

impl Handler<Named> for Seen {
    fn record(&mut self, fields: &Named, record: &View<'_>) -> Step {
        let text = fields.text(record).map(String::from_utf8_lossy);
        self.said.push(format!("{} {}", fields.number(record), text.as_deref().unwrap_or("-")));
        if self.breaks_at == Some(fields.number(record)) { Ok(ControlFlow::Break(())) } else { GO_ON }
    }
    fn template(&mut self, template: &Template) -> Step {
        self.said.push(template.spec());
        GO_ON
    }
    fn idle(&mut self) -> Step {
        self.idle += 1;
        Ok(ControlFlow::Break(()))
    }
}

#[test]
fn templates_are_told_once_and_fields_follow_them() {
    let folder = TempDir::new().unwrap();
    let (plain, wide) = (Template::parse("uint32 N").unwrap(), Template::parse("uint32 N,string TEXT").unwrap());
    let (a, b) = (named(&folder, "a"), named(&folder, "b"));
    file(&a, "uint32 N", &[&row(&plain, &["1"]), &row(&plain, &["2"])]);
    file(&b, "string TEXT,uint32 N", &[&row(&wide, &["3", "x"])]);
    let mut seen = Seen::default();
    let mut from = input(&format!("{a} {}", b.strip_prefix("f:").unwrap()), &Place::default());
    let mut reader = Reader::new(&mut from);
    assert_eq!(reader.run(&mut seen).unwrap(), Ended::Sender);
    assert_eq!(seen.said, ["uint32 N", "1 -", "2 -", "uint32 N,string TEXT", "3 x"]);
    assert_eq!(reader.totals(), Totals { records: 3, damaged: 0 });
    let mut seen = Seen { breaks_at: Some(1), ..Seen::default() };
    assert_eq!(Reader::new(&mut input(&a, &Place::default())).run(&mut seen).unwrap(), Ended::Module);
    assert_eq!(seen.said.len(), 2);
}

#[test]
fn damaged_records_are_counted_and_wrong_ones_end_it() {
    let folder = TempDir::new().unwrap();
    let spec = named(&folder, "a");
    let damaged = [1, 0, 0, 0, 0, 0, 9, 0];
    file(&spec, "uint32 N,string TEXT", &[&[1, 0, 0, 0, 0, 0, 0, 0], &damaged, &[2, 0, 0, 0, 0, 0, 0, 0], &[0, 0, 0]]);
    let mut from = input(&spec, &Place::default());
    let mut reader = Reader::new(&mut from);
    let failed = reader.run(&mut Seen::default()).unwrap_err();
    assert!(matches!(failed, Failure::WrongSize { need: 8, have: 3 }), "{failed}");
    assert_eq!(reader.totals(), Totals { records: 2, damaged: 1 });
    let missing = named(&folder, "b");
    file(&missing, "uint16 N", &[&[1, 0]]);
    let failed = Reader::new(&mut input(&missing, &Place::default())).run(&mut Seen::default()).unwrap_err();
    assert!(matches!(failed, Failure::Receive(_)), "{failed}");
}

#[test]
fn records_pass_through_sockets_as_they_are_or_as_declared() {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let template = Template::parse("uint32 N,string TEXT").unwrap();
    let rows: Vec<_> = (0..5_000).map(|n: u32| row(&template, &[&n.to_string(), "text"])).collect();
    let (from, kept) = (named(&folder, "a"), named(&folder, "kept"));
    let messages: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
    file(&from, &template.spec(), &messages);
    let sending_place = Place::with_socket_dir(folder.path());
    let mut twice = output("u:twice", &sending_place);
    let sending = thread::spawn(move || {
        let mut out = Writer::new(&mut twice).unwrap();
        let ended = Reader::new(&mut input(&from, &sending_place))
            .for_each(|fields: &Named, record| out.send(&Twice { twice: 2 * u64::from(fields.number(record)) }));
        out.end(ended.unwrap()).unwrap();
        twice.finish().unwrap();
    });
    fields! { struct Twices { twice: u64 = "TWICE" } }
    let (mut next, mut sink) = (0, output(&kept, &place));
    let mut forward = Forward::new(&mut sink);
    struct Pass<'f, 'o>(&'f mut Forward<'o>, &'f mut u64);
    impl Handler<Twices> for Pass<'_, '_> {
        fn record(&mut self, fields: &Twices, record: &View<'_>) -> Step {
            assert_eq!(fields.twice(record), *self.1);
            *self.1 += 2;
            self.0.send(record)
        }
        fn template(&mut self, template: &Template) -> Step {
            self.0.template(template)
        }
    }
    let mut source = input("u:twice", &place);
    let ended = Reader::new(&mut source).run(&mut Pass(&mut forward, &mut next)).unwrap();
    forward.end(ended).unwrap();
    sink.finish().unwrap();
    sending.join().unwrap();
    assert_eq!((ended, next), (Ended::Sender, 10_000));
    let mut again = 0;
    let each = |_: &Twices, _: &View<'_>| {
        again += 1;
        GO_ON
    };
    assert_eq!(Reader::new(&mut input(&kept, &place)).for_each(each).unwrap(), Ended::Sender);
    assert_eq!(again, 5_000);
}

#[test]
fn pauses_and_stops_are_told() {
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let mut seen = Seen::default();
    let mut source = input("u:nobody:timeout=1000", &place);
    assert_eq!(Reader::new(&mut source).run(&mut seen).unwrap(), Ended::Module);
    assert_eq!(seen.idle, 1);
    place.stop.request();
    assert_eq!(Reader::new(&mut source).run(&mut seen).unwrap(), Ended::Stop);
}
