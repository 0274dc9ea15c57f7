//! JSON lines: one object for each flow, fields under their declared names, each plugin's record nested under its name.
use crate::batch::Batch;
use crate::export::text::Lines;
use crate::export::{Books, Exporter, OpenError};
use record::json::FlowWriter;
use std::path::PathBuf;

pub struct JsonExporter {
    out: Lines,
    line: Vec<u8>,
    books: Books,
}

impl JsonExporter {
    /// `None` or `-` is standard output.
    pub fn open(file: Option<PathBuf>) -> Result<JsonExporter, OpenError> {
        Ok(JsonExporter { out: Lines::open(file)?, line: Vec::new(), books: Books::default() })
    }
}

impl Exporter for JsonExporter {
    fn name(&self) -> String {
        format!("json {}", self.out.name)
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        for flow in batch.flows() {
            self.line.clear();
            let mut writer = FlowWriter::new(&mut self.line);
            writer.basic(&flow.basic);
            for link in batch.links(flow) {
                batch.json(*link, &mut writer);
            }
            writer.finish();
            self.line.push(b'\n');
            self.out.add(&self.line, 1);
            self.books.records.keep(1);
        }
        self.out.settle(&mut self.books);
    }

    fn tick(&mut self, _now_secs: u64) {
        self.out.flush();
        self.out.settle(&mut self.books);
    }

    fn finish(&mut self, now_secs: u64) {
        self.tick(now_secs);
    }

    fn books(&self) -> &Books {
        &self.books
    }
}
