//! A page as JSON and as a plain table.
use super::Found;
use record::Time;
use record::page::{Counts, Talker};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// Talkers that a table shows.
const TALKERS: usize = 10;

/// One object, on one line for each part. Names of counters are those of the page.
pub(super) fn json(found: &Found) -> String {
    let page = &found.page;
    let seconds = |at: Time| at.0 as f64 / 1e9;
    let counters = |columns: &[String], counts: &Counts| -> Map<String, Value> {
        columns.iter().zip(&counts.values).map(|(name, n)| (name.clone(), json!(n))).collect()
    };
    let lanes = page.layout.lanes.iter().zip(&page.lanes).map(|(input, lane)| {
        json!({
            "input": input,
            "updated": seconds(lane.counts.at),
            "counters": counters(&page.layout.lane_columns, &lane.counts),
        })
    });
    let outputs = outputs(found).into_iter().map(|output| {
        let dropped: Map<String, Value> = output.dropped.iter().map(|(why, n)| (why.clone(), json!(n))).collect();
        json!({ "name": output.name, "taken": output.taken, "sent": output.sent, "dropped": dropped })
    });
    let talkers = page.talkers().into_iter().map(|t| {
        json!({
            "src_ip": t.src.to_string(),
            "dst_ip": t.dst.to_string(),
            "protocol": t.protocol,
            "dst_port": t.dst_port,
            "bytes": t.bytes,
            "packets": t.packets,
            "bytes_error": t.error,
        })
    });
    let total = page.layout.lane_columns.iter().filter(|name| !name.starts_with("refused."));
    let total: Map<String, Value> = total.map(|name| (name.clone(), json!(page.sum(name)))).collect();
    let all = json!({
        "name": found.name,
        "pid": page.writer.pid,
        "alive": found.alive,
        "tool": page.layout.title,
        "started": seconds(page.writer.started),
        "updated": seconds(page.updated()),
        "total": total,
        "lanes": lanes.collect::<Vec<_>>(),
        "outputs": outputs.collect::<Vec<_>>(),
        "talkers": talkers.collect::<Vec<_>>(),
    });
    format!("{all:#}\n")
}

/// The same for people.
pub(super) fn table(found: &Found) -> String {
    let page = &found.page;
    let mut out = format!("{}\n\n", headline(found));
    let _ = writeln!(
        out,
        "{:<4} {:<20} {:>15} {:>12} {:>10} {:>12} {:>12} {:>10}",
        "LANE", "INPUT", "PACKETS", "BYTES", "LIVE", "OPENED", "ENDED", "DROPPED"
    );
    for lane in 0..page.lanes.len() {
        let of = |column: &str| lane_value(found, lane, column);
        let input = short(&page.layout.lanes[lane], 20);
        let (packets, bytes, live) = (of("packets.taken"), of("bytes.decoded"), of("flows.live"));
        let opened = of("flows.opened").wrapping_add(of("flows.continued"));
        let (ended, dropped) = (lane_sum(found, lane, "flows.ended."), lane_dropped(found, lane));
        let _ = writeln!(
            out,
            "{lane:<4} {input:<20} {packets:>15} {:>12} {live:>10} {opened:>12} {ended:>12} {dropped:>10}",
            si(bytes as f64)
        );
    }
    section(&mut out, "COUNTED IN THE KERNEL", offloaded(found));
    section(&mut out, "DROPPED BEFORE FLOWS", drops(found));
    section(&mut out, "RECORDS OF PROTOCOLS", mix(found));
    let _ = writeln!(out, "\n{:<48} {:>12} {:>12}  DROPPED", "OUTPUT", "RECORDS", "SENT");
    for output in outputs(found) {
        let why: Vec<String> =
            output.dropped.iter().filter(|(_, n)| *n > 0).map(|(why, n)| format!("{n} {why}")).collect();
        let why = if why.is_empty() { "-".to_string() } else { why.join(", ") };
        let _ = writeln!(out, "{:<48} {:>12} {:>12}  {why}", short(&output.name, 48), output.taken, output.sent);
    }
    let talkers = page.talkers();
    if !talkers.is_empty() {
        let _ = writeln!(out, "\n{:<60} {:>10} {:>12}", "TOP TALKERS", "BYTES", "PACKETS");
        for talker in talkers.iter().take(TALKERS) {
            let _ = writeln!(out, "{:<60} {:>10} {:>12}", talk(talker), si(talker.bytes as f64), talker.packets);
        }
    }
    out
}

fn section(out: &mut String, title: &str, rows: Vec<(String, u64)>) {
    if !rows.is_empty() {
        let _ = writeln!(out, "\n{title}");
        for (name, n) in rows {
            let _ = writeln!(out, "  {name:<34} {n:>12}");
        }
    }
}

/// Who it is and how it is.
pub(super) fn headline(found: &Found) -> String {
    let page = &found.page;
    let age = |at: Time| crate::page::now().0.saturating_sub(at.0) / 1_000_000_000;
    let state = if found.alive {
        format!("runs for {}", duration(age(page.writer.started)))
    } else {
        format!("has ended, last word {} ago", duration(age(page.updated())))
    };
    let named = if found.name == page.writer.pid.to_string() { String::new() } else { format!(" {}", found.name) };
    format!("sonda {}{named}, process {}, {state}", page.layout.title, page.writer.pid)
}

fn duration(secs: u64) -> String {
    match secs {
        0..60 => format!("{secs} s"),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        _ => format!("{} h {} min", secs / 3600, secs / 60 % 60),
    }
}

pub(super) struct OutputRow {
    pub(super) name: String,
    pub(super) taken: u64,
    pub(super) sent: u64,
    pub(super) dropped: Vec<(String, u64)>,
}

/// Outputs, with what lanes did not give them.
pub(super) fn outputs(found: &Found) -> Vec<OutputRow> {
    let page = &found.page;
    let rows = page.layout.outputs.iter().zip(&page.outputs).enumerate().map(|(index, (name, counts))| {
        let mut row = OutputRow { name: name.clone(), taken: 0, sent: 0, dropped: Vec::new() };
        for (column, n) in page.layout.output_columns.iter().zip(&counts.values) {
            match column.strip_prefix("dropped.") {
                Some(why) => {
                    let refused = page.sum(&format!("refused.{index}.{why}"));
                    row.taken = row.taken.wrapping_add(refused);
                    row.dropped.push((why.to_string(), n.wrapping_add(refused)));
                }
                None if column == "taken" => row.taken = row.taken.wrapping_add(*n),
                None if column == "sent" => row.sent = *n,
                None => {}
            }
        }
        row
    });
    rows.collect()
}

/// Packets that came to no flow, by stage and reason; those that occurred.
pub(super) fn drops(found: &Found) -> Vec<(String, u64)> {
    named(found, |name| is_drop(name).then(|| name.replace(".dropped.", " ")))
}

/// Offloaded flows, and what came back of them; nothing if none were.
pub(super) fn offloaded(found: &Found) -> Vec<(String, u64)> {
    named(found, |name| match name {
        "captured.offloaded" => Some("packets".into()),
        "offload.flows" => Some("flows now".into()),
        "offload.packets" => Some("packets back in flows".into()),
        "offload.bytes" => Some("bytes back in flows".into()),
        _ => None,
    })
}

/// Records of plugins; those that occurred, the most first.
pub(super) fn mix(found: &Found) -> Vec<(String, u64)> {
    let mut rows = named(found, |name| name.strip_prefix("records.").map(String::from));
    rows.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    rows
}

fn is_drop(column: &str) -> bool {
    column.starts_with("capture.dropped.") || column.starts_with("packets.dropped.")
}

fn named(found: &Found, name: impl Fn(&str) -> Option<String>) -> Vec<(String, u64)> {
    let columns = found.page.layout.lane_columns.iter();
    let rows = columns.filter_map(|column| Some((name(column)?, found.page.sum(column))));
    rows.filter(|(_, n)| *n > 0).collect()
}

pub(super) fn lane_value(found: &Found, lane: usize, column: &str) -> u64 {
    let at = found.page.layout.lane_columns.iter().position(|name| name == column);
    at.and_then(|at| found.page.lanes.get(lane)?.counts.values.get(at).copied()).unwrap_or(0)
}

fn lane_sum(found: &Found, lane: usize, prefix: &str) -> u64 {
    lane_sum_of(found, lane, |name| name.starts_with(prefix))
}

pub(super) fn lane_dropped(found: &Found, lane: usize) -> u64 {
    lane_sum_of(found, lane, is_drop)
}

fn lane_sum_of(found: &Found, lane: usize, wanted: impl Fn(&str) -> bool) -> u64 {
    let values = found.page.layout.lane_columns.iter().zip(&found.page.lanes[lane].counts.values);
    values.filter(|(name, _)| wanted(name)).fold(0, |sum, (_, n)| sum.wrapping_add(*n))
}

/// `192.0.2.1 > [2001:db8::1]:53 udp`
pub(super) fn talk(talker: &Talker) -> String {
    let protocol = match talker.protocol {
        1 => "icmp".to_string(),
        6 => "tcp".to_string(),
        17 => "udp".to_string(),
        58 => "icmp6".to_string(),
        132 => "sctp".to_string(),
        other => format!("proto {other}"),
    };
    let dst = std::net::SocketAddr::new(talker.dst, talker.dst_port);
    format!("{} > {dst} {protocol}", talker.src)
}

/// A number with at most four digits and the letter of its thousands.
pub(super) fn si(mut n: f64) -> String {
    for unit in ["", "k", "M", "G", "T"] {
        if n < 9999.5 {
            return if unit.is_empty() { format!("{n:.0}") } else { format!("{n:.1}{unit}") };
        }
        n /= 1000.0;
    }
    format!("{n:.1}P")
}

/// At most so many characters; the end of a path says more than its beginning.
pub(super) fn short(text: &str, max: usize) -> String {
    let count = text.chars().count();
    if count <= max {
        return text.to_string();
    }
    std::iter::once('…').chain(text.chars().skip(count + 1 - max)).collect()
}
