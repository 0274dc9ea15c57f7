//! One output of a rule: what carries ordinary flows carries its records, too.
use crate::export::ipfix::IpfixExporter;
use crate::export::lines::Lines;
use crate::export::{Books, Exporter};
use record::ipfix::Family;
use record::{Schema, Sink};

/// A record that can show its fields.
pub(super) trait Filled {
    fn fill<'a>(&'a self, sink: &mut impl Sink<'a>);
}

pub(super) enum Outlet {
    Ipfix(Box<IpfixExporter>),
    Json(Box<Json>),
}

/// JSON lines, with books of their own.
pub(super) struct Json {
    lines: Lines,
    line: Vec<u8>,
    books: Books,
}

impl Outlet {
    pub(super) fn ipfix(mut exporter: Box<IpfixExporter>, schema: &'static Schema) -> Outlet {
        exporter.declare(schema);
        Outlet::Ipfix(exporter)
    }

    pub(super) fn json(lines: Lines) -> Outlet {
        Outlet::Json(Box::new(Json { lines, line: Vec::new(), books: Books::default() }))
    }

    pub(super) fn name(&self) -> String {
        match self {
            Outlet::Ipfix(exporter) => exporter.name(),
            Outlet::Json(json) => format!("json {}", json.lines.name()),
        }
    }

    pub(super) fn put(&mut self, family: Family, schema: &'static Schema, record: &impl Filled) {
        match self {
            Outlet::Ipfix(exporter) => exporter.put(family, schema, |sink| record.fill(sink)),
            Outlet::Json(json) => {
                let Json { lines, line, books } = &mut **json;
                line.clear();
                record::json::object_of(line, |sink| record.fill(sink));
                line.push(b'\n');
                books.records.keep(1);
                lines.add(line, 1);
            }
        }
    }

    /// Books what was lost meanwhile.
    pub(super) fn settle(&mut self) {
        if let Outlet::Json(json) = self {
            json.lines.settle(&mut json.books);
        }
    }

    pub(super) fn tick(&mut self, now_secs: u64) {
        match self {
            Outlet::Ipfix(exporter) => exporter.tick(now_secs),
            Outlet::Json(json) => json.lines.flush(),
        }
    }

    pub(super) fn finish(&mut self, now_secs: u64) {
        match self {
            Outlet::Ipfix(exporter) => exporter.finish(now_secs),
            Outlet::Json(json) => json.lines.flush(),
        }
    }

    pub(super) fn books(&self) -> &Books {
        match self {
            Outlet::Ipfix(exporter) => exporter.books(),
            Outlet::Json(json) => &json.books,
        }
    }
}
