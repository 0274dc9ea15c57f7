//! `sonda top`: what a running probe does, from its page: in a terminal, as a plain table, or as JSON. Reads only; the probe never waits for it.
use crate::applets;
use clap::Parser;
use control::pages::{Found, ReadError, all, readable_folders};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant};

mod text;
mod view;

/// Show what a running `sonda probe` or `sonda ipfixprobe` does: packets, flows, losses by reason, top talkers, protocols.
#[derive(Parser, Debug)]
#[command(
    name = "sonda top",
    version,
    after_help = "Examples:\n  sonda top\n  sonda top edge            (started by `sonda probe --name edge ...`)\n  \
sonda top --once --json | jq .total\n\nKeys: q, Esc or Ctrl-C ends it, which the probe does not notice.\n\
Counters are since the start of the run; top talkers are of flows that ended in the last one to two minutes.\n\
Exit status: 0 fine; 1 no such probe, or its page cannot be read; 2 wrong usage."
)]
pub(crate) struct Args {
    /// Process number, name (--name of sonda probe) or page file; not needed when one probe runs
    probe: Option<String>,
    /// Print once and end; needs no terminal
    #[arg(long)]
    once: bool,
    /// Print as JSON
    #[arg(long, requires = "once")]
    json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    interval: f64,
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|s| (0.1..=3600.0).contains(s));
    seconds.ok_or_else(|| "use 0.1 to 3600".to_string())
}

/// Why there is nothing to show; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopError {
    #[error(
        "no probe runs that this user may look at (looked in {looked}). Start one, for example\n  sonda probe -i eth0 --name edge --json flows.json\nand then run `sonda top` again, as the same user or as root"
    )]
    NoProbe { looked: String },
    #[error("no probe runs; {left} was left behind by one that died: `sonda top {left}` shows its last counters")]
    OnlyDead { left: String },
    #[error("there is no probe '{asked}'; there are: {known}")]
    Unknown { asked: String, known: String },
    #[error("{count} probes run, say which: {known}")]
    Many { count: usize, known: String },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the terminal cannot be used: {0}; `sonda top --once` needs none")]
    Terminal(io::Error),
    #[error("standard output is no terminal: use `sonda top --once`, or `sonda top --once --json`")]
    NoTerminal,
}

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("top", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match run(&args) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("sonda top: {e}");
            1
        }
    }
}

fn run(args: &Args) -> Result<(), TopError> {
    let found = find(args.probe.as_deref())?;
    if args.once {
        let text = if args.json { text::json(&found) } else { text::table(&found) };
        // A reader that has gone wants no more.
        let _ = io::Write::write_all(&mut io::stdout(), text.as_bytes());
        return Ok(());
    }
    if !io::stdout().is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let mut terminal = ratatui::try_init().map_err(TopError::Terminal)?;
    let shown = show(&mut terminal, found, Duration::from_secs_f64(args.interval));
    ratatui::restore();
    shown.map_err(TopError::Terminal)
}

/// The probe that was asked for, or the only one that runs.
fn find(asked: Option<&str>) -> Result<Found, TopError> {
    if let Some(path) = asked.filter(|asked| asked.contains('/')) {
        return Ok(Found::open(Path::new(path))?);
    }
    let all = all();
    let known = |all: &[Found]| {
        let names = all
            .iter()
            .map(|f| format!("{} (process {}{})", f.name, f.page.writer.pid, if f.alive { "" } else { ", died" }));
        names.collect::<Vec<_>>().join(", ")
    };
    if let Some(asked) = asked {
        let pid = asked.parse::<u32>().ok();
        let is_it = |f: &&Found| f.name == asked || pid == Some(f.page.writer.pid);
        if let Some(found) = all.iter().find(is_it) {
            return Ok(found.clone());
        }
        if !all.is_empty() {
            return Err(TopError::Unknown { asked: asked.into(), known: known(&all) });
        }
    }
    let (mut alive, dead): (Vec<Found>, Vec<Found>) = all.into_iter().partition(|found| found.alive);
    match (alive.len(), dead.first()) {
        (1, _) => Ok(alive.remove(0)),
        (0, Some(dead)) => Err(TopError::OnlyDead { left: dead.name.clone() }),
        (0, None) => {
            let looked = readable_folders().iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
            Err(TopError::NoProbe { looked })
        }
        (count, _) => Err(TopError::Many { count, known: known(&alive) }),
    }
}

/// Shows the page until a key ends it. When the probe ends, what it said last stays.
fn show(terminal: &mut ratatui::DefaultTerminal, found: Found, interval: Duration) -> io::Result<()> {
    let mut shown = view::Shown::new(found);
    loop {
        terminal.draw(|frame| view::draw(frame, &shown))?;
        let due = Instant::now() + interval;
        loop {
            if !event::poll(due.saturating_duration_since(Instant::now()))? {
                break;
            }
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => {
                    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                    if control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                        return Ok(());
                    }
                }
                Event::Resize(..) => break,
                _ => {}
            }
        }
        match Found::open(&shown.found.path) {
            // Another run may have taken the name.
            Ok(next) if next.page.writer == shown.found.page.writer => shown.next(next),
            Ok(next) => shown = view::Shown::new(next),
            Err(_) => shown.found.alive = false,
        }
    }
}
