//! The readable table of `sonda probe`: one flow a line, what it said behind it.
use crate::batch::{Batch, FlowRecord};
use crate::export::OpenError;
use crate::export::lines::{Form, LineExporter};
use crate::flow::Basic;
use crate::packet::protocol;
use std::fmt::Write;
use std::net::IpAddr;

/// The form of a line; times are UTC.
#[derive(Default)]
pub struct TableForm {
    text: String,
}

pub type TableExporter = LineExporter<TableForm>;

impl TableExporter {
    /// Prints to standard output.
    pub fn open() -> Result<TableExporter, OpenError> {
        LineExporter::open_form(TableForm::default(), None)
    }
}

impl Form for TableForm {
    const NAME: &'static str = "table on";

    fn header(&self) -> String {
        format!(
            "{:<19} {:>9}  {:<6} {:>21} {:<3} {:<21} {:>8} {:>9}  {:<6} {:<8} {}\n",
            "FIRST SEEN (UTC)",
            "DURATION",
            "PROTO",
            "SOURCE",
            "",
            "DESTINATION",
            "PACKETS",
            "BYTES",
            "FLAGS",
            "END",
            "SAYS"
        )
    }

    fn line(&mut self, batch: &Batch, flow: &FlowRecord, out: &mut Vec<u8>) {
        self.text.clear();
        self.basic(&flow.basic());
        for link in batch.links(flow) {
            let before = self.text.len();
            self.text.push(' ');
            batch.summary(*link, &mut self.text);
            if self.text.len() == before + 1 {
                self.text.truncate(before);
            }
        }
        out.extend_from_slice(self.text.trim_end().as_bytes());
    }
}

impl TableForm {
    fn basic(&mut self, b: &Basic) {
        let secs = b.time_last.0.saturating_sub(b.time_first.0) as f64 / 1e9;
        let first = jiff::Timestamp::from_second(b.time_first.secs() as i64).unwrap_or_default();
        let arrow = if b.packets_rev > 0 { "<->" } else { "-->" };
        let _ = write!(
            self.text,
            "{} {secs:>8.3}s  {:<6} {:>21} {arrow} {:<21} {:>8} {:>9}  {:<6} {:<8}",
            first.strftime("%F %T"),
            protocol_name(b.protocol),
            end(b.src_ip, b.src_port),
            end(b.dst_ip, b.dst_port),
            b.packets as u64 + b.packets_rev as u64,
            size(b.bytes + b.bytes_rev),
            flags(b),
            reason(b.end_reason),
        );
    }
}

fn end(ip: IpAddr, port: u16) -> String {
    match (ip, port) {
        (ip, 0) => ip.to_string(),
        (IpAddr::V4(ip), port) => format!("{ip}:{port}"),
        (IpAddr::V6(ip), port) => format!("[{ip}]:{port}"),
    }
}

fn protocol_name(number: u8) -> String {
    match number {
        protocol::ICMP => "icmp".into(),
        2 => "igmp".into(),
        protocol::TCP => "tcp".into(),
        protocol::UDP => "udp".into(),
        47 => "gre".into(),
        50 => "esp".into(),
        protocol::ICMPV6 => "icmpv6".into(),
        protocol::SCTP => "sctp".into(),
        n => format!("ip/{n}"),
    }
}

/// Flags of both directions as nfdump shows them: U A P R S F, a dot for each that is not set.
fn flags(b: &Basic) -> String {
    if b.protocol != protocol::TCP {
        return String::new();
    }
    let all = b.tcp_flags | b.tcp_flags_rev;
    (0..6).rev().map(|bit| if all >> bit & 1 == 1 { b"FSRPAU"[bit] as char } else { '.' }).collect()
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 10_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

fn reason(end_reason: u8) -> &'static str {
    match end_reason {
        1 => "idle",
        2 => "active",
        3 => "closed",
        4 => "forced",
        5 => "no room",
        _ => "-",
    }
}
