//! JSON lines: one object for each flow, fields under their declared names, each plugin's record nested under its name.
use crate::batch::{Batch, FlowRecord};
use crate::export::OpenError;
use crate::export::lines::{Form, LineExporter};
use record::json::FlowWriter;
use std::path::PathBuf;

pub struct JsonForm;

pub type JsonExporter = LineExporter<JsonForm>;

impl JsonExporter {
    /// `None` or `-` is standard output.
    pub fn open(file: Option<PathBuf>) -> Result<JsonExporter, OpenError> {
        LineExporter::open_form(JsonForm, file)
    }
}

impl Form for JsonForm {
    const NAME: &'static str = "json";

    fn header(&self) -> String {
        String::new()
    }

    fn line(&mut self, batch: &Batch, flow: &FlowRecord, out: &mut Vec<u8>) {
        let mut writer = FlowWriter::new(out);
        writer.basic(&flow.basic());
        for link in batch.links(flow) {
            batch.json(*link, &mut writer);
        }
        writer.finish();
    }
}
