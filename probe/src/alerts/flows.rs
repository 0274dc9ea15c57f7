//! `sonda alerts flows`: the flows that an alert speaks of, out of nfdump's files.
use super::row::local;
use super::{AlertsError, find, when, written};
use clap::Args;
use control::api::StoredFlow;
use detect::nfdump::{FOLDER, Flow, Found, Search, filter};
use detect::store::{Cause, Store};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Which flows.
#[derive(Args, Debug)]
pub(super) struct Options {
    #[arg(value_name = "ALERT")]
    alert: String,
    /// Where nfcapd keeps its files; folders in it, too
    #[arg(long, value_name = "PATH", default_value = FOLDER)]
    folder: PathBuf,
    /// Also flows back, from targets to sources
    #[arg(long)]
    answers: bool,
    /// Flows that had not ended before WHEN, in place of the alert's beginning
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Option<i64>,
    /// Flows that had begun by WHEN, in place of its end
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<i64>,
    /// So many, the earliest
    #[arg(short, long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    limit: u64,
    /// One JSON object for each
    #[arg(long)]
    json: bool,
}

const HEAD: [&str; 8] = ["FIRST SEEN", "LASTED", "PROTO", "SOURCE", "DESTINATION", "PACKETS", "BYTES", "FLAGS"];

pub(super) fn run(store: &Store, options: &Options) -> Result<(), AlertsError> {
    let alert = find(store, &options.alert)?;
    let document = serde_json::from_str(&alert.document).unwrap_or_default();
    let cause = Cause::of(&document, options.answers).ok_or_else(|| AlertsError::NoCause(options.alert.clone()))?;
    let filter =
        filter::parse(&cause.filter).map_err(|why| AlertsError::Flows(cause.filter.clone(), why.to_string()))?;
    let [from, until] = [options.from.unwrap_or(cause.from), options.until.unwrap_or(cause.until)];
    let search = Search {
        from: u64::try_from(from).unwrap_or(0),
        until: u64::try_from(until).unwrap_or(0),
        filter: &filter,
        limit: usize::try_from(options.limit).unwrap_or(usize::MAX),
        // Whoever waits ends it by Ctrl-C.
        deadline: None,
    };
    let found = search.run(&options.folder).map_err(|why| no_folder(&options.folder, &why))?;
    let mut out = io::stdout().lock();
    if options.json {
        let mut lines = found.flows.iter().map(|flow| serde_json::json!(StoredFlow::from(flow)));
        lines.try_for_each(|line| writeln!(out, "{line}")).map_err(written)?;
    } else {
        write_table(&mut out, &found.flows).map_err(written)?;
    }
    out.flush().map_err(written)?;
    found.faults.iter().for_each(|fault| eprintln!("sonda alerts: {fault}"));
    if io::stdout().is_terminal() {
        eprintln!("{}", summary(&found, [from, until], &cause.filter));
    }
    // What was not read may have been what was looked for.
    if found.faulty > 0 { Err(AlertsError::Unread(found.faulty)) } else { Ok(()) }
}

fn no_folder(folder: &Path, why: &io::Error) -> AlertsError {
    let why = match why.kind() {
        io::ErrorKind::NotFound => {
            "there is no such folder: no flows are stored here, or --folder says where (nfcapd -w FOLDER stores them)"
                .into()
        }
        _ => why.to_string(),
    };
    AlertsError::Flows(folder.display().to_string(), why)
}

fn summary(found: &Found, times: [i64; 2], filter: &str) -> String {
    let [from, until] = times.map(local);
    let shown = found.flows.len() as u64;
    let cut = if shown < found.matched { format!(", the first {shown} are shown (--limit)") } else { String::new() };
    let matched = found.matched;
    format!("{matched} flows from {from} to {until}{cut}; by nfdump: nfdump -R FOLDER '{filter}'")
}

fn write_table(out: &mut impl Write, flows: &[Flow]) -> io::Result<()> {
    let mut rows = vec![HEAD.map(String::from)];
    rows.extend(flows.iter().map(cells));
    let widths: Vec<_> = (0..HEAD.len()).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
    for row in rows {
        let line: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn cells(flow: &Flow) -> [String; HEAD.len()] {
    let protocol = match flow.protocol {
        1 => "ICMP".into(),
        6 => "TCP".into(),
        17 => "UDP".into(),
        58 => "ICMP6".into(),
        other => other.to_string(),
    };
    let end = |at: usize| match ([flow.source, flow.destination][at], flow.ports[at]) {
        (ip, 0) => ip.to_string(),
        (ip, port) => std::net::SocketAddr::new(ip, port).to_string(),
    };
    let both = |there: u64, back: u64| if back > 0 { format!("{there}/{back}") } else { there.to_string() };
    let lasted = flow.last.saturating_sub(flow.first);
    [
        local(flow.first.cast_signed()),
        format!("{}.{:03}s", lasted / 1000, lasted % 1000),
        protocol,
        end(0),
        end(1),
        both(flow.packets, flow.extra.packets_back),
        both(flow.bytes, flow.extra.bytes_back),
        if flow.protocol == 6 { flow.flag_letters() } else { String::new() },
    ]
}
