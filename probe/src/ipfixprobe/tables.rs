//! The end tables of the original (spec/exporter.md 12.1).
use crate::run::Outcome;
use std::fmt::Write;

pub(super) fn tables(outcome: &Outcome) -> String {
    let mut out = String::from("Input stats:\n");
    let _ = writeln!(
        out,
        "{:>3}{:>13}{:>13}{:>20}{:>13}{:>16}{:>7}",
        "#", "packets", "parsed", "bytes", "dropped", "qtime", "status"
    );
    let mut sum = [0u64; 5];
    for (n, input) in outcome.inputs.iter().enumerate() {
        let row = [
            input.taken.packets - input.taken.filtered,
            input.report.packets.kept,
            input.report.decoded_bytes,
            input.taken.drops.total(),
            input.time.as_nanos() as u64,
        ];
        let status = if input.error.is_some() { "error" } else { "ok" };
        let _ = writeln!(
            out,
            "{n:>3} {:>12} {:>12} {:>19} {:>12} {:>15} {status:>6}",
            row[0], row[1], row[2], row[3], row[4]
        );
        sum.iter_mut().zip(row).for_each(|(s, r)| *s += r);
    }
    let _ = writeln!(out, "{:>3}{:>13}{:>13}{:>20}{:>13}{:>16}", "SUM", sum[0], sum[1], sum[2], sum[3], sum[4]);
    out.push_str("\nOutput stats:\n");
    let _ = writeln!(
        out,
        "{:>3}{:>13}{:>13}{:>20}{:>13}{:>7}",
        "#", "biflows", "packets", "bytes (L4)", "dropped", "status"
    );
    for (n, output) in outcome.outputs.iter().enumerate() {
        let b = &output.books;
        let status = if b.trouble.is_some() { "error" } else { "ok" };
        let _ = writeln!(out, "{n:>3} {:>12} {:>12} {:>19} {:>12} {status:>6}", b.flows, b.packets, b.bytes, b.lost());
    }
    out
}
