//! The end summary of `sonda probe`: what was taken, what was kept, what was lost and why.
use crate::run::Outcome;
use record::{Ledger, Reason};
use std::fmt::Write;

/// The summary as text, one fact a line.
pub(crate) fn summary(outcome: &Outcome) -> String {
    let mut out = String::new();
    for input in &outcome.inputs {
        let r = &input.report;
        let _ = writeln!(
            out,
            "{}: {} packets, {} bytes on the wire in {:.3} s ({:.2} Mpps)",
            input.name,
            input.taken.packets,
            input.taken.bytes,
            input.time.as_secs_f64(),
            input.taken.packets as f64 / input.time.as_secs_f64().max(1e-9) / 1e6,
        );
        let _ = writeln!(out, "  packets {}", books(&r.packets, "decoded"));
        let f = &r.fragments;
        if f.fragments > 0 {
            let _ = writeln!(
                out,
                "  fragments {} ({} found no first fragment, {} came too late)",
                f.fragments, f.not_found, f.timed_out
            );
        }
        let c = &r.cache;
        let _ = writeln!(
            out,
            "  flows   {} opened + {} continued = {} exported (idle {}, active {}, closed {}, forced {}, no room {}{})",
            c.opened,
            c.continued,
            c.ended_total(),
            c.ended[1],
            c.ended[2],
            c.ended[3],
            c.ended[4],
            c.ended[5],
            if c.ended[0] > 0 { format!(", not said {}", c.ended[0]) } else { String::new() },
        );
        for (plugin, n) in &r.refused {
            let _ = writeln!(
                out,
                "  {n} records of {} were not kept: its pool is full, raise the number of flows",
                plugin.name()
            );
        }
        for wrong in r.imbalance() {
            let _ = writeln!(out, "  LEDGER DOES NOT BALANCE: {wrong}; please report this");
        }
        if let Some(error) = &input.error {
            let _ = writeln!(out, "  input broken: {error}");
        }
    }
    for output in &outcome.outputs {
        let b = output.books();
        let _ = writeln!(out, "{}: records {}", output.name(), books(&b.records, "sent"));
        let mut note = |n: u64, what: &str| {
            if n > 0 {
                let _ = writeln!(out, "  {n} {what}");
            }
        };
        note(b.reconnects, "reconnects");
        note(b.unheard, "records were published while no client was connected");
        note(b.skipped, "records were missed by slow or leaving clients");
        note(
            b.repeated_extensions,
            "repeated plugin records have no place in an IPFIX record; UniRec and JSON carry all",
        );
        if let Some(trouble) = &b.trouble {
            let _ = writeln!(out, "  {trouble}");
        }
    }
    if let Some(live) = outcome.interrupted {
        let _ = writeln!(out, "interrupted: the {live} flows that were still live have been exported");
    }
    out
}

fn books<R: Reason>(ledger: &Ledger<R>, kept: &str) -> String {
    let mut text = format!("{} = {} {kept}", ledger.taken, ledger.kept);
    for (why, n) in ledger.losses() {
        let _ = write!(text, " + {n} {}", why.label());
    }
    text
}
