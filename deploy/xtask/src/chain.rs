//! `cargo xtask chain`: probe -> unirecfilter -> merger -> logger as processes, with many records. Fails when a record is not accounted for
//! or memory grows.
//!
//! With WAIT nothing may be lost; with NO_WAIT what each client got and what was skipped for it must add up to what was sent; a client
//! at each output that is killed and started anew changes nothing for the chain. See benches/rig/src/chain.rs.
use crate::{Outcome, shell};
use clap::ValueEnum;
use rig::chain::{self, Beside, Client, Plan, Received, Report, Served, Transport};
use std::path::{Path, PathBuf};

/// Run records through probe, unirecfilter, merger and logger; fail if one is lost unseen
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Records of each run
    #[arg(long, default_value_t = 10_000_000)]
    records: u64,
    /// What the processes are joined by; without it all three, one after the other
    #[arg(long, value_enum)]
    transport: Option<Carrier>,
    /// Go on for so many seconds; each second clients beside the chain are killed and started anew
    #[arg(long, value_name = "SECONDS")]
    kills: Option<u32>,
    /// This program in place of one that is built for release
    #[arg(long, value_name = "SONDA")]
    program: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Carrier {
    Unix,
    Tcp,
    Tls,
}

/// Memory may grow by a tenth and this much from the first quarter of a run to the last: an output's ring, which may be empty at first and full
/// later, has 50 containers of 100 kB, and the filter has two.
const GROWTH: u64 = 12 << 20;

pub(crate) fn run(args: &Args) -> Outcome {
    let sonda = shell::release(args.program.as_deref())?;
    let mut faults = Vec::new();
    for (carrier, name, transport) in [
        (Carrier::Unix, "unix", Transport::Unix),
        (Carrier::Tcp, "tcp", Transport::Tcp),
        (Carrier::Tls, "tls", Transport::Tls),
    ] {
        if args.transport.is_some_and(|only| only != carrier) {
            continue;
        }
        let runs = match args.kills {
            Some(seconds) => vec![(format!("{name}, WAIT, clients killed"), Beside::Killed(seconds))],
            None => vec![(format!("{name}, WAIT"), Beside::Nobody), (format!("{name}, NO_WAIT"), Beside::Stopped)],
        };
        for (title, others) in runs {
            faults.extend(one(&sonda, &title, Plan { sonda: &sonda, transport, records: args.records, others })?);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// Runs it, prints its table, answers what does not hold.
fn one(sonda: &Path, title: &str, plan: Plan<'_>) -> Result<Vec<String>, String> {
    let report = chain::run(&plan).map_err(|why| format!("{title}: {why}"))?;
    let mut faults = report.faults();
    if plan.others == Beside::Nobody {
        let direct = chain::direct(sonda, report.fed)?;
        if direct != report.rows {
            faults.push(format!("rows differ from those without a chain: {:?}, {direct:?}", report.rows));
        }
    }
    show(title, &report);
    for (name, first, last) in &report.memory {
        if *last > first + first / 10 + GROWTH {
            faults.push(format!("{name} grew from {} to {}", mib(*first), mib(*last)));
        }
    }
    println!("  {}", if faults.is_empty() { "every identity holds" } else { "FAILED" });
    Ok(faults.into_iter().map(|fault| format!("{title}: {fault}")).collect())
}

fn show(title: &str, report: &Report) {
    let Report { fed, books, rows, time, memory, kills } = report;
    let seconds = time.as_secs_f64();
    println!("\n{title}: {fed} records in {seconds:.1} s, {:.2} M/s; {} rows", *fed as f64 / seconds / 1e6, rows.count);
    if *kills > 0 {
        let outputs = [&books.low, &books.high, &books.all];
        let heard =
            outputs.iter().flat_map(|served| &served.clients).filter(|client| client.sent < client.published).count();
        println!("  {kills} clients were killed, {heard} of those at filter and merger with records on their way");
    }
    println!("  {:14} {:>12} {:>12} {:>12} {:>12}", "", "received", "missed", "sent", "RSS, first and last quarter");
    let sent_by_filter = books.low.messages + books.high.messages;
    let sum = |received: &[Received]| Received {
        messages: received.iter().map(|received| received.messages).sum(),
        missed: received.iter().map(|received| received.missed).sum(),
    };
    let rows = [
        ("probe", None, Some(books.probe.sent + 1)),
        ("unirecfilter", Some(books.filter), Some(sent_by_filter)),
        ("merger", Some(sum(&books.merger)), Some(books.all.messages)),
        ("logger", Some(books.logger), None),
    ];
    for ((name, received, sent), (_, first, last)) in rows.into_iter().zip(memory) {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let (messages, missed) = (received.map(|r| r.messages), received.map(|r| r.missed));
        let columns = [messages, missed, sent].map(number);
        println!(
            "  {name:14} {:>12} {:>12} {:>12} {:>12} {:>12}",
            columns[0],
            columns[1],
            columns[2],
            mib(*first),
            mib(*last)
        );
    }
    if !books.others.is_empty() {
        println!("  the probe's records: {} unheard, {} skipped", books.probe.unheard, books.probe.missed);
        [&books.low, &books.high, &books.all].into_iter().for_each(clients);
    }
}

/// Each client of an output.
fn clients(served: &Served) {
    for Client { before, sent, skipped, undelivered, .. } in &served.clients {
        println!(
            "  output {}: {} sent = {before} before a client came + {sent} received + {skipped} skipped + {undelivered} not delivered",
            served.name, served.messages
        );
    }
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}
