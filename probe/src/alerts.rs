//! `sonda alerts`: what detectors found, from the alert store: as a table, one by one, as it comes, for other programs; and what people did about it.
use crate::applets;
use clap::{Args as Options, Parser, Subcommand, ValueEnum};
use detect::store::{self, Alert, Noted, Order, Query, Range, Role, State, Store, StoreError};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;
use trap::Stop;

mod export;
mod flows;
mod look;
mod row;

pub(crate) use row::{Paint, Table};

/// Time between two looks for new alerts.
const LOOK: Duration = Duration::from_millis(500);
/// Alerts that are taken out of the store at a time while following.
const FOLLOWED_AT_ONCE: u64 = 1_000;

/// Show and search the alerts that detectors raised, mark them as seen, hand them on.
#[derive(Parser, Debug)]
#[command(
    name = "sonda alerts",
    version,
    after_help = "Examples:\n  sonda alerts list --from 24h\n  sonda alerts list --category Recon --address 192.0.2.0/24 --state new\n  \
sonda alerts show 17\n  sonda alerts flows 17\n  sonda alerts follow --category Attempt\n  sonda alerts ack 17 18\n  sonda alerts ack --category Recon --until 7d\n  \
sonda alerts note 17 \"the scanner of our own department\"\n  sonda alerts export --from 2026-11-01 --format csv -o november.csv\n  \
sonda alerts export --format stix | jq .\n\n\
WHEN is how long ago (90s, 30m, 2h, 7d), a day (2026-11-22), a local time (2026-11-22T14:00) or one with a zone (2026-11-22T14:00:00Z).\n\
An ALERT is its number in the list, its ID, or the beginning of its ID.\n\
Exit status: 0 fine, also if nothing was found; 1 the store or the folder of flows is not there or cannot be used, or writing failed; 2 wrong usage; 3 no such alert."
)]
pub(crate) struct Args {
    /// The store's file
    #[arg(long, global = true, value_name = "PATH", default_value = store::PATH)]
    store: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// The newest alerts as a table
    List {
        #[command(flatten)]
        filter: Filter,
        /// So many, at the most
        #[arg(short, long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        limit: u64,
        /// The oldest ones in place of the newest
        #[arg(long)]
        oldest: bool,
        /// One JSON object for each: number, state, notes, and the alert
        #[arg(long)]
        json: bool,
    },
    /// All that is known of some alerts: what, who, why, notes, the whole message
    Show {
        #[arg(value_name = "ALERT", required = true)]
        alerts: Vec<String>,
        /// One JSON object for each
        #[arg(long)]
        json: bool,
    },
    /// The flows that an alert speaks of, where nfcapd stores flows
    Flows(#[command(flatten)] flows::Options),
    /// Alerts as they come, until Ctrl-C
    Follow {
        #[command(flatten)]
        filter: Filter,
        /// Begin with so many that are there
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=100_000))]
        last: u64,
        /// One JSON object for each
        #[arg(long)]
        json: bool,
    },
    /// Mark alerts as acknowledged: the named ones, or all that a filter finds
    Ack {
        #[arg(value_name = "ALERT", conflicts_with_all = ["from", "until", "category", "address", "source", "target", "node", "state"])]
        alerts: Vec<String>,
        #[command(flatten)]
        filter: Filter,
        /// Make them new again
        #[arg(long)]
        undo: bool,
        /// Who does it; the login name if it is not given
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Write a note on an alert
    Note {
        #[arg(value_name = "ALERT")]
        alert: String,
        #[arg(value_name = "TEXT")]
        text: String,
        /// Who writes it; the login name if it is not given
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// Alerts for other programs, the oldest first
    Export {
        #[command(flatten)]
        filter: Filter,
        /// json: the messages as they came, one a line (IDEA); csv: a table; stix: a STIX 2.1 bundle
        #[arg(short, long, value_enum, default_value_t = export::Form::Json)]
        format: export::Form,
        /// To this file in place of standard output
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// How many there are, and how many are gone for which reason
    Status {
        #[arg(long)]
        json: bool,
    },
}

/// All that are given must hold; of one that is repeated, any.
#[derive(Options, Clone, Debug)]
struct Filter {
    /// Detected at that time or later
    #[arg(long, value_name = "WHEN", value_parser = when)]
    from: Option<i64>,
    /// Detected before that time
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<i64>,
    /// Category, with those below it: Recon finds Recon.Scanning
    #[arg(short, long, value_name = "NAME")]
    category: Vec<String>,
    /// About this address, network or range FIRST-LAST, at either end
    #[arg(short, long, value_name = "ADDRESS")]
    address: Vec<Range>,
    /// The same, at the source
    #[arg(long, value_name = "ADDRESS")]
    source: Vec<Range>,
    /// The same, at the target
    #[arg(long, value_name = "ADDRESS")]
    target: Vec<Range>,
    /// A part of the name of the detector's node
    #[arg(short, long, value_name = "TEXT")]
    node: Vec<String>,
    /// Only those that are new, or acknowledged
    #[arg(short, long, value_enum)]
    state: Option<Chosen>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Chosen {
    New,
    #[value(alias = "ack")]
    Acknowledged,
}

/// Why it ended early; the message says what to do.
#[derive(Debug, thiserror::Error)]
enum AlertsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("there is no alert {0}, or more than one begins so; `sonda alerts list` shows their numbers")]
    NoAlert(String),
    #[error("give numbers of alerts, or conditions such as --category Recon; all alerts are `--from 1970-01-01`")]
    Nothing,
    #[error("alert {0} has {max} notes, no more are kept", max = store::NOTES_MAX)]
    Full(String),
    #[error("the note is empty or longer than {max} bytes", max = store::NOTE_MAX)]
    Length,
    #[error("cannot write{0}: {1}")]
    Write(String, io::Error),
    #[error("alert {0} names no address and no port, or no time: no flows can be looked for")]
    NoCause(String),
    #[error("{0}: {1}")]
    Flows(String, String),
    #[error("not all flows were looked at: {0} files could not be read")]
    Unread(u64),
    #[error("signals cannot be caught: {0}")]
    Signals(io::Error),
}

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("alerts", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match run(args) {
        Ok(()) => 0,
        // `sonda alerts list | head`.
        Err(AlertsError::Write(_, e)) if e.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(e) => {
            eprintln!("sonda alerts: {e}");
            match e {
                AlertsError::Nothing | AlertsError::Length => 2,
                AlertsError::NoAlert(_) => 3,
                _ => 1,
            }
        }
    }
}

fn run(args: Args) -> Result<(), AlertsError> {
    let path = args.store.as_path();
    match args.what {
        What::List { filter, limit, oldest, json } => list(&Store::read(path)?, &filter.query(), limit, oldest, json),
        What::Show { alerts, json } => show(&Store::read(path)?, &alerts, json),
        What::Flows(options) => flows::run(&Store::read(path)?, &options),
        What::Follow { filter, last, json } => follow(&Store::read(path)?, filter.query(), last, json),
        What::Ack { alerts, filter, undo, by } => acknowledge(path, &alerts, &filter.query(), undo, by),
        What::Note { alert, text, by } => note(path, &alert, &text, by),
        What::Export { filter, format, output } => {
            export::run(&Store::read(path)?, &filter.query(), format, output.as_deref())
        }
        What::Status { json } => status(&Store::read(path)?, path, json),
    }
}

fn list(store: &Store, query: &Query, limit: u64, oldest: bool, json: bool) -> Result<(), AlertsError> {
    let order = if oldest { Order::Oldest } else { Order::Newest };
    let mut alerts = Vec::new();
    store.alerts(query, order, limit, |alert| {
        alerts.push(alert);
        ControlFlow::Continue(())
    })?;
    let mut out = io::stdout().lock();
    if json {
        alerts.iter().try_for_each(|alert| writeln!(out, "{}", row::json(alert))).map_err(written)?;
        return out.flush().map_err(written);
    }
    let paint = Paint::of_stdout();
    let table = Table::of(&alerts, paint);
    table.write(&mut out).and_then(|()| out.flush()).map_err(written)?;
    if !paint.is_terminal {
        return Ok(());
    }
    let found = store.count(query)?;
    if found > limit {
        eprintln!("{limit} of {found} alerts; more with --limit, or fewer with a filter (sonda alerts list -h)");
    } else if found == 0 {
        eprintln!("no alerts{}", if query.is_all() { " yet" } else { " like that" });
    }
    Ok(())
}

fn show(store: &Store, names: &[String], json: bool) -> Result<(), AlertsError> {
    let mut out = io::stdout().lock();
    let paint = Paint::of_stdout();
    for (at, name) in names.iter().enumerate() {
        let alert = find(store, name)?;
        let notes = store.notes(alert.number)?;
        let text = if json {
            format!("{}\n", look::json(&alert, &notes))
        } else {
            let text = look::text(&alert, &notes, paint);
            if at > 0 { format!("\n{text}") } else { text }
        };
        out.write_all(text.as_bytes()).map_err(written)?;
    }
    out.flush().map_err(written)
}

fn follow(store: &Store, mut query: Query, last: u64, json: bool) -> Result<(), AlertsError> {
    let stop = Stop::default();
    stop.on_signals().map_err(AlertsError::Signals)?;
    let paint = Paint::of_stdout();
    let mut seen = store.last()?;
    let mut alerts: Vec<Alert> = Vec::new();
    let here = Query { after: None, ..query.clone() };
    store.alerts(&here, Order::Newest, last, |alert| {
        alerts.push(alert);
        ControlFlow::Continue(())
    })?;
    alerts.retain(|alert| alert.number <= seen);
    alerts.reverse();
    let table = Table::of_any(paint);
    let mut out = io::stdout().lock();
    let mut is_first = true;
    loop {
        if !json && is_first {
            table.head(&mut out).map_err(written)?;
        }
        is_first = false;
        for alert in &alerts {
            if json { writeln!(out, "{}", row::json(alert)) } else { table.line(&mut out, alert) }.map_err(written)?;
        }
        out.flush().map_err(written)?;
        if alerts.is_empty() || alerts.len() < FOLLOWED_AT_ONCE as usize {
            std::thread::sleep(LOOK);
        }
        if stop.is_set() {
            return Ok(());
        }
        alerts.clear();
        query.after = Some(seen);
        store.alerts(&query, Order::Stored, FOLLOWED_AT_ONCE, |alert| {
            seen = seen.max(alert.number);
            alerts.push(alert);
            ControlFlow::Continue(())
        })?;
    }
}

fn acknowledge(
    path: &Path,
    names: &[String],
    query: &Query,
    undo: bool,
    by: Option<String>,
) -> Result<(), AlertsError> {
    if names.is_empty() && query.is_all() {
        return Err(AlertsError::Nothing);
    }
    let mut store = Store::open(path)?;
    let mut numbers = Vec::new();
    for name in names {
        numbers.push(find(&store, name)?.number);
    }
    if names.is_empty() {
        numbers = store.numbers(query)?;
    }
    let state = if undo { State::New } else { State::Acknowledged };
    let changed = store.set_state(&numbers, state, &author(by))?;
    let were = numbers.len() as u64 - changed;
    let done = if undo { "new again" } else { "acknowledged" };
    let before = if were > 0 { format!(", {were} were so before") } else { String::new() };
    let alerts = if changed == 1 { "alert" } else { "alerts" };
    writeln!(io::stdout(), "{changed} {alerts} {done}{before}").map_err(written)
}

fn note(path: &Path, name: &str, text: &str, by: Option<String>) -> Result<(), AlertsError> {
    if text.trim().is_empty() || text.len() > store::NOTE_MAX {
        return Err(AlertsError::Length);
    }
    let mut store = Store::open(path)?;
    let number = find(&store, name)?.number;
    match store.note(number, &author(by), text)? {
        Noted::Yes => Ok(()),
        Noted::NoAlert => Err(AlertsError::NoAlert(name.to_owned())),
        Noted::Full => Err(AlertsError::Full(name.to_owned())),
    }
}

fn status(store: &Store, path: &Path, json: bool) -> Result<(), AlertsError> {
    let counts = store.counts()?;
    let rows = [
        ("alerts", counts.alerts),
        ("new", counts.unread),
        ("expired", counts.expired),
        ("displaced", counts.displaced),
        ("known", counts.known),
        ("refused", counts.refused),
        ("unindexed", counts.unindexed),
    ];
    let text = if json {
        let all: serde_json::Map<_, _> = rows.iter().map(|(name, n)| ((*name).to_owned(), (*n).into())).collect();
        format!("{}\n", serde_json::Value::Object(all))
    } else {
        let about = [
            "are in the store",
            "of them are not acknowledged",
            "removed for their age",
            "removed to make room",
            "came again with an ID that was there",
            "refused: no JSON object with an ID, or too large",
            "addresses or names left out of the index of alerts that have too many",
        ];
        let lines = rows.iter().zip(about).map(|((name, n), about)| format!("{name:<10} {n:>10}  {about}\n"));
        format!("{}\n{}", store::shown(path), lines.collect::<String>())
    };
    io::stdout().write_all(text.as_bytes()).map_err(written)
}

fn find(store: &Store, name: &str) -> Result<Alert, AlertsError> {
    store.find(name)?.ok_or_else(|| AlertsError::NoAlert(name.to_owned()))
}

/// Who acts: as told, or who logged in.
fn author(given: Option<String>) -> String {
    let login = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    given.or_else(login).unwrap_or_else(|| "unknown".into())
}

fn when(text: &str) -> Result<i64, store::WhenError> {
    store::when(text, jiff::Timestamp::now(), &jiff::tz::TimeZone::system())
}

/// Standard output cannot be written.
fn written(why: io::Error) -> AlertsError {
    AlertsError::Write(String::new(), why)
}

impl Filter {
    fn query(&self) -> Query {
        let ends = [(None, &self.address), (Some(Role::Source), &self.source), (Some(Role::Target), &self.target)];
        Query {
            from: self.from,
            until: self.until,
            categories: self.category.clone(),
            addresses: ends.iter().flat_map(|(role, ranges)| ranges.iter().map(|range| (*role, *range))).collect(),
            nodes: self.node.clone(),
            state: self.state.map(|state| match state {
                Chosen::New => State::New,
                Chosen::Acknowledged => State::Acknowledged,
            }),
            after: None,
        }
    }
}

impl Paint {
    pub(crate) fn of_stdout() -> Paint {
        let is_terminal = io::stdout().is_terminal();
        // A terminal that does not say how wide it is says 0.
        let columns = ratatui::crossterm::terminal::size().ok().map(|(columns, _)| columns.into());
        let columns = columns.filter(|columns| is_terminal && *columns > 0);
        // https://no-color.org
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { is_terminal, has_colour: is_terminal && !is_plain, columns }
    }
}
