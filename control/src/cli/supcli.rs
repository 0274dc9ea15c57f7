//! `supervisor_cli`, also `supcli`: the client of the daemon (section 8).
//!
//! Difference from the original: `-r` waits for what comes of the reload, prints it, and fails if it was refused.
use super::{FAILED, ask, print};
use crate::client::layout::{PROMPT, RED, RESET};
use crate::client::{PAGE, SOCKET, code};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Silence after which no more is expected.
const SILENCE: Duration = Duration::from_millis(800);
/// For a reload.
const RELOAD_WAIT: Duration = Duration::from_secs(30);
/// `Dstop` is three zeros with pauses, as daemons of the original want it.
const ZERO_PAUSE: Duration = Duration::from_millis(300);

/// One line for lists of tools.
pub const ABOUT: &str = "the supervisor's client: menu, counters, state, reload";

/// Client of the supervisor. Without -x, -i or -r it shows the menu.
#[derive(clap::Parser, Debug)]
#[command(
    name = "supervisor_cli",
    after_help = "Examples:\n  supcli\n  supcli -i\n  supcli -x -s /run/sonda/supervisor.sock\n  supcli -r && echo taken\n\n\
Exit status: 0 fine; 1 no supervisor answers, the reload was refused, or more than one of -x, -i, -r."
)]
struct Args {
    /// Path of the daemon's socket
    #[arg(short = 's', long = "daemon-socket", value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Print counters of running modules as JSON
    #[arg(short = 'x')]
    statistics: bool,
    /// Print all modules with their state as JSON
    #[arg(short = 'i')]
    inventory: bool,
    /// Reload the configuration
    #[arg(short = 'r')]
    reload: bool,
}

/// Runs the tool; answers the exit status.
#[must_use]
pub fn main(args: &[String]) -> u8 {
    let args: Args = match super::parse("supervisor_cli", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let done = match (args.statistics, args.inventory, args.reload) {
        (false, false, false) => talk(&args.socket),
        (true, false, false) => ask(&args.socket, code::STATISTICS, SILENCE).map(|text| shown(&text)),
        (false, true, false) => ask(&args.socket, code::INVENTORY, SILENCE).map(|text| shown(&text)),
        (false, false, true) => ask(&args.socket, code::RELOAD, RELOAD_WAIT).map(|text| {
            print(&text);
            u8::from(text.contains("[ERROR]")) * FAILED
        }),
        _ => {
            eprintln!("supervisor_cli: only one of -x, -i and -r at a time");
            return FAILED;
        }
    };
    done.unwrap_or_else(|why| {
        eprintln!("{RED}[ERROR] Could not connect to supervisor!{RESET}");
        eprintln!("{}: {why}; is `sonda supervisor` running, and may you use its socket?", args.socket.display());
        FAILED
    })
}

fn shown(text: &str) -> u8 {
    print(text);
    0
}

/// The menu: lines of the terminal go to the daemon, what it says comes back.
fn talk(socket: &std::path::Path) -> io::Result<u8> {
    let daemon = UnixStream::connect(socket)?;
    (&daemon).write_all(format!("{}\n", code::CONFIGURE).as_bytes())?;
    let to_daemon = daemon.try_clone()?;
    std::thread::spawn(move || forward(to_daemon));
    show(daemon);
    print(&format!("\n{PROMPT}[INTERACTIVE] The connection has ended.{RESET}\n"));
    Ok(0)
}

fn forward(mut daemon: UnixStream) {
    let mut lines = BufReader::new(io::stdin().take(u64::MAX));
    let mut text = String::new();
    loop {
        text.clear();
        let read = lines.read_line(&mut text);
        let line = text.trim_end_matches(['\r', '\n']);
        if !matches!(read, Ok(1..)) || line == "Cquit" {
            // The daemon says what it has to say and closes, which is seen by the one that shows.
            let _gone = daemon.shutdown(Shutdown::Write);
            return;
        }
        let sent = if line == "Dstop" {
            (0..3).try_for_each(|_| {
                let sent = daemon.write_all(b"0\n");
                std::thread::sleep(ZERO_PAUSE);
                sent
            })
        } else {
            daemon.write_all(format!("{line}\n").as_bytes())
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Shows what comes, also the beginning of a line; a log that is named is opened in a pager.
fn show(mut daemon: UnixStream) {
    let mut piece = [0; 8192];
    while let Ok(read @ 1..) = daemon.read(&mut piece) {
        let text = String::from_utf8_lossy(&piece[..read]);
        match text.strip_prefix(PAGE).and_then(|rest| rest.split_once('\n')) {
            Some((path, rest)) => {
                if Command::new("less").arg("+G").arg("--").arg(path).status().is_err() {
                    print(&format!("{PAGE}{path}\n"));
                }
                print(rest);
            }
            None => print(&text),
        }
    }
}
