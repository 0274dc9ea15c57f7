//! The end summary of `sonda probe`: what was taken, what was kept, what was lost and why.
use crate::run::Outcome;
use dataplane::export::RecordDrop;
use dataplane::export::rule::RuleBooks;
use dataplane::export::spool::SpoolBooks;
use dataplane::lane::LaneReport;
use record::{Ledger, Reason};
use std::fmt::Write;

/// A shorter run says nothing about speed.
const RATE_FROM_SECS: f64 = 0.1;

/// The summary as text, one fact a line.
pub(crate) fn summary(outcome: &Outcome) -> String {
    let mut out = String::new();
    for input in &outcome.inputs {
        let r = &input.report;
        let _ = write!(out, "{}: {} packets, {} bytes on the wire", input.name, input.taken.packets, input.taken.bytes);
        let secs = input.time.as_secs_f64();
        if secs >= RATE_FROM_SECS {
            let _ = write!(out, " in {secs:.2} s ({:.2} Mpps)", input.taken.packets as f64 / secs / 1e6);
        }
        out.push('\n');
        let (taken, drops) = (input.taken.packets, &input.taken.drops);
        if input.live {
            let offered = input.taken.offered.unwrap_or(taken + drops.total());
            let _ = write!(out, "  capture {offered} = {taken} taken");
            if input.taken.offloaded > 0 {
                let _ = write!(out, " + {} offloaded", input.taken.offloaded);
            }
            for (why, n) in drops.losses() {
                let _ = write!(out, " + {n} {}", why.label());
            }
            if input.cut {
                let _ = write!(out, " + {} left in the ring", input.left_over());
            }
            out.push('\n');
            if input.taken.passed > 0 {
                let _ = writeln!(out, "  passed  {} packets to this machine's stack", input.taken.passed);
            }
        }
        let _ = writeln!(out, "  packets {}", books(&r.packets, "decoded"));
        if r.inside.taken > 0 {
            let _ =
                writeln!(out, "  inside  {}", books(&r.inside, "decoded in tunnels, counted besides their outside"));
        }
        let o = &r.offload;
        if o.lent + o.refused > 0 {
            let _ = write!(out, "  offload {} packets, {} bytes were counted in the XDP program", o.packets, o.bytes);
            let _ = writeln!(out, "; flows were offloaded {} times, {} times there was no room", o.lent, o.refused);
        }
        if input.lanes.len() > 1 {
            for (n, lane) in input.lanes.iter().enumerate() {
                let (packets, flows) = (lane.packets.kept, lane.cache.ended_total());
                let _ = writeln!(out, "  lane {n}: {packets} packets, {flows} flows");
            }
        }
        let f = &r.fragments;
        if f.fragments > 0 {
            let _ = writeln!(
                out,
                "  fragments {} ({} found no first fragment, {} came too late)",
                f.fragments, f.not_found, f.timed_out
            );
        }
        let c = &r.cache;
        let ends = ["end not said", "idle", "active timeout", "closed", "forced", "no room"];
        let ends: Vec<String> =
            ends.iter().zip(c.ended).filter(|(_, n)| *n > 0).map(|(why, n)| format!("{n} {why}")).collect();
        let (opened, continued, ended) = (c.opened, c.continued, c.ended_total());
        let _ =
            writeln!(out, "  flows   {opened} opened + {continued} continued = {ended} exported: {}", ends.join(" + "));
        for (plugin, n) in &r.refused {
            let _ = writeln!(
                out,
                "  {n} records of {} were not kept: its pool is full, raise the number of flows",
                plugin.name()
            );
        }
        notes(r).for_each(|line| out.push_str(&format!("  {line}\n")));
        for wrong in input.imbalance() {
            let _ = writeln!(out, "  LEDGER DOES NOT BALANCE: {wrong}; please report this");
        }
        if let Some(error) = &input.error {
            let _ = writeln!(out, "  input broken: {error}");
        }
    }
    for output in &outcome.outputs {
        let b = &output.books;
        let _ = writeln!(out, "{}: records {}", output.name, books(&b.records, "sent"));
        let mut note = |n: u64, what: &str| {
            if n > 0 {
                let _ = writeln!(out, "  {n} {what}");
            }
        };
        note(b.reconnects, "reconnects");
        note(
            b.unconfirmed,
            "records at most may not have been read: the collector reset the connection, or was gone without a word",
        );
        note(b.unheard, "records were published while no client was connected");
        note(b.skipped, "records were missed by slow or leaving clients");
        note(
            b.repeated_extensions,
            "repeated plugin records have no place in an IPFIX record; UniRec and JSON carry all",
        );
        for (collector, n) in &b.collectors {
            let _ = writeln!(out, "  {n} records acknowledged by {collector}");
        }
        if let Some(rule) = &b.rule {
            out.push_str(&rule_books(rule, &b.records));
        }
        if let Some(spool) = b.spool.filter(|spool| *spool != SpoolBooks::default()) {
            let _ = writeln!(out, "  spool {}", spooled(&spool));
        }
        if let Some(trouble) = &b.trouble {
            let _ = writeln!(out, "  {trouble}");
        }
    }
    if outcome.batches_out > 0 {
        let n = outcome.batches_out;
        let _ = writeln!(out, "LEDGER DOES NOT BALANCE: {n} batches were not given back; please report this");
    }
    if outcome.privileges_kept {
        let _ = writeln!(out, "privileges: kept, as was asked");
    }
    if let Some(live) = outcome.interrupted {
        let _ = writeln!(out, "interrupted: the {live} flows that were still live have been exported");
    }
    out
}

/// What plugins counted beside their records, a line for each of them.
pub(crate) fn notes(report: &LaneReport) -> impl Iterator<Item = String> {
    report.notes.chunk_by(|a, b| a.id == b.id).map(|of_one| {
        let counts: Vec<String> = of_one.iter().map(|note| format!("{} {}", note.count, note.what)).collect();
        format!("{} flows {}", of_one[0].id.name(), counts.join(", "))
    })
}

/// What a rule made of its flows.
fn rule_books(rule: &RuleBooks, records: &Ledger<RecordDrop>) -> String {
    let terms = |names: &[&str], numbers: &[u64]| {
        let all = names.iter().zip(numbers).filter(|(_, n)| **n > 0);
        all.map(|(name, n)| format!(" + {n} {}", name.replace('_', " "))).collect::<String>()
    };
    let mut text = format!("  flows {} = {} matched", rule.offered, rule.matched);
    text.push_str(&terms(&RuleBooks::FATES[1..], &rule.fates()[1..]));
    if rule.opened > 0 {
        let ends = terms(&RuleBooks::ENDS, &rule.ends());
        let _ = write!(text, "; aggregates {} = {}", rule.opened, ends.trim_start_matches(" + "));
    }
    text.push('\n');
    // What lanes could not give it was never its own, and one that failed cannot say.
    let failed = records.dropped(RecordDrop::OutputFailed) > 0;
    let wrong =
        if failed { Vec::new() } else { rule.imbalance(records.taken - records.dropped(RecordDrop::QueueFull)) };
    for wrong in wrong {
        let _ = writeln!(text, "  LEDGER DOES NOT BALANCE: {wrong}; please report this");
    }
    text
}

/// The records of a spool: identity I13.
fn spooled(s: &SpoolBooks) -> String {
    let mut text = format!("{} found + {} written = {} arrived", s.found, s.written, s.arrived);
    let waiting = s.waiting + s.waiting_earlier;
    for (n, what) in [(waiting, "waiting"), (s.expired + s.expired_earlier, "expired"), (s.corrupt, "corrupt")]
        .iter()
        .filter(|(n, _)| *n > 0)
    {
        let _ = write!(text, " + {n} {what}");
    }
    if s.torn > 0 {
        let _ = write!(text, "; {} segments were torn", s.torn);
    }
    if s.imbalance() != 0 {
        text.push_str("; LEDGER DOES NOT BALANCE, please report this");
    }
    text
}

fn books<R: Reason>(ledger: &Ledger<R>, kept: &str) -> String {
    let mut text = format!("{} = {} {kept}", ledger.taken, ledger.kept);
    for (why, n) in ledger.losses() {
        let _ = write!(text, " + {n} {}", why.label());
    }
    text
}
