//! The readable table of `sonda probe`: one flow a line, what it said behind it.
use crate::batch::Batch;
use crate::export::text::Lines;
use crate::export::{Books, Exporter, OpenError};
use crate::flow::Basic;
use crate::packet::protocol;
use std::fmt::Write;
use std::net::IpAddr;

/// Prints to standard output. Times are UTC.
pub struct TableExporter {
    out: Lines,
    line: String,
    books: Books,
}

impl TableExporter {
    /// Writes the header at once.
    pub fn open() -> Result<TableExporter, OpenError> {
        let mut out = Lines::open(None)?;
        let header = format!(
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
        );
        out.add(header.as_bytes(), 0);
        Ok(TableExporter { out, line: String::new(), books: Books::default() })
    }

    fn basic(&mut self, b: &Basic) {
        let secs = b.time_last.0.saturating_sub(b.time_first.0) as f64 / 1e9;
        let first = jiff::Timestamp::from_second(b.time_first.secs() as i64).unwrap_or_default();
        let arrow = if b.packets_rev > 0 { "<->" } else { "-->" };
        let _ = write!(
            self.line,
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

impl Exporter for TableExporter {
    fn name(&self) -> String {
        "table on standard output".into()
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        for flow in batch.flows() {
            self.line.clear();
            self.basic(&flow.basic);
            for link in batch.links(flow) {
                let before = self.line.len();
                self.line.push(' ');
                batch.summary(*link, &mut self.line);
                if self.line.len() == before + 1 {
                    self.line.truncate(before);
                }
            }
            let end = self.line.trim_end().len();
            self.line.truncate(end);
            self.line.push('\n');
            self.out.add(self.line.as_bytes(), 1);
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
