//! The original's `text` output: one line for each flow (spec/exporter.md section 6, "text").
use crate::batch::{Batch, FlowRecord};
use crate::export::OpenError;
use crate::export::lines::{Form, LineExporter};
use crate::flow::Basic;
use jiff::tz::TimeZone;
use record::{Mac, Time};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;

/// The form of a line; times are local, as in the original.
pub struct TextForm {
    hide_mac: bool,
    zone: TimeZone,
    text: String,
}

pub type TextExporter = LineExporter<TextForm>;

impl TextExporter {
    /// `None` or `-` is standard output.
    pub fn open(file: Option<PathBuf>, hide_mac: bool) -> Result<TextExporter, OpenError> {
        let form = TextForm { hide_mac, zone: TimeZone::system(), text: String::new() };
        LineExporter::open_form(form, file)
    }
}

impl Form for TextForm {
    const NAME: &'static str = "text";

    fn header(&self) -> String {
        let mac = if self.hide_mac { "" } else { "mac " };
        format!("{mac}conversation packets bytes tcp-flags time extensions\n")
    }

    fn line(&mut self, batch: &Batch, flow: &FlowRecord, out: &mut Vec<u8>) {
        self.text.clear();
        self.basic(&flow.basic());
        for link in batch.links(flow) {
            self.text.push(' ');
            batch.text(*link, &mut self.text);
        }
        out.extend_from_slice(self.text.as_bytes());
    }
}

impl TextForm {
    fn basic(&mut self, b: &Basic) {
        if !self.hide_mac {
            let (src, dst) = (MacText(b.src_mac), MacText(b.dst_mac));
            let _ = write!(self.text, "{src}->{dst} ");
        }
        let (src, dst) = (IpText(b.src_ip), IpText(b.dst_ip));
        let _ = write!(
            self.text,
            "{:2}@{src}:{}->{dst}:{} {}->{} {}->{} {}->{} ",
            b.protocol,
            b.src_port,
            b.dst_port,
            b.packets,
            b.packets_rev,
            b.bytes,
            b.bytes_rev,
            b.tcp_flags,
            b.tcp_flags_rev
        );
        self.time(b.time_first);
        self.text.push_str("->");
        self.time(b.time_last);
    }

    fn time(&mut self, t: Time) {
        let at = jiff::Timestamp::from_nanosecond(t.0 as i128).unwrap_or_default().to_zoned(self.zone.clone());
        let _ = write!(self.text, "{}.{:06}", at.strftime("%FT%T"), t.subsec_nanos() / 1000);
    }
}

struct MacText(Mac);
impl std::fmt::Display for MacText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

struct IpText(IpAddr);
impl std::fmt::Display for IpText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}
