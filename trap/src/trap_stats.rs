//! `trap_stats`: asks a running module for its counters and prints them (trap.md section 8). Options, texts and exit codes are
//! those of libtrap's tool.
//!
//! Differences: `TRAP_SOCKET_DIR` is honoured, the process id may have any number of digits, and an answer that is damaged, too
//! long or does not come ends the program with a line that says so.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::SIGINT;

use crate::net;
use crate::patience::Patience;
use crate::place::Place;
use crate::service::wire::{HEADER_LEN, Header, OK_REPLY, REPLY_MAX};

pub mod report;

/// Pause between two questions.
const PERIOD: Duration = Duration::from_secs(3);
/// A module must answer within this time, counted in [`Patience`].
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// How often the pause looks for SIGINT.
const LOOK: Duration = Duration::from_millis(50);

/// One line for lists of tools.
pub const ABOUT: &str = "show the counters of a running module's interfaces";

const BANNER: &str = "\x1b[31;1mUse Control+C to stop me...\n\x1b[0mLegend:\n\
    \tIS_CONN (is connected)\n\tNUM_CLI (number of clients)\n\tRM (received messages)\n\tRB (received buffers)\n\
    \tSM (sent messages)\n\tDM (dropped messages)\n\tSB (sent buffers)\n\tAF (autoflushes counter)\n\
    - - - - - - - - - - - - - - - - - - -\n";

/// What the user asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Help,
    /// The socket, whether it was named without `-s`, and whether one answer is enough.
    Counters {
        path: PathBuf,
        is_checked: bool,
        once: bool,
    },
}

/// Runs the tool with the arguments behind its name and answers the exit code: 1 for a wrong command line or a socket that
/// does not exist, else 0, also when the module does not answer.
#[must_use]
pub fn main(args: &[String]) -> u8 {
    let mut out = io::stdout();
    match parse(args, &Place::default()) {
        Err(why) => {
            eprintln!("trap_stats: {why}");
            say(&mut out, &help());
            1
        }
        Ok(Asked::Help) => {
            say(&mut out, &help());
            0
        }
        Ok(Asked::Counters { path, is_checked, once }) => {
            if is_checked && let Err(error) = std::fs::metadata(&path) {
                eprintln!("Socket does not exist ({}) {error}.", path.display());
                return 1;
            }
            watch(&path, once, &mut out);
            0
        }
    }
}

/// As getopt reads `h1s:`, words anywhere.
fn parse(args: &[String], place: &Place) -> Result<Asked, String> {
    let (mut named, mut once, mut words) = (None, false, Vec::new());
    let mut rest = args.iter().map(String::as_str);
    while let Some(arg) = rest.next() {
        let Some(mut letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
            words.push(arg);
            continue;
        };
        if arg == "--" {
            words.extend(rest.by_ref());
        }
        while let Some(letter) = letters.chars().next().filter(|_| arg != "--") {
            letters = &letters[letter.len_utf8()..];
            match letter {
                'h' => return Ok(Asked::Help),
                '1' => once = true,
                's' => {
                    let attached = Some(std::mem::take(&mut letters)).filter(|value| !value.is_empty());
                    named = Some(attached.or_else(|| rest.next()).ok_or("option requires an argument -- 's'")?);
                }
                other => return Err(format!("invalid option -- '{other}'")),
            }
        }
    }
    match (named, words.first()) {
        (Some(path), None) => Ok(Asked::Counters { path: path.into(), is_checked: false, once }),
        (None, Some(word)) => {
            let is_pid = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            let path = if is_pid { place.socket_path(&format!("service_{word}")) } else { word.into() };
            Ok(Asked::Counters { path, is_checked: true, once })
        }
        (Some(_), Some(_)) => Ok(Asked::Help),
        (None, None) => Err("no socket and no process id given".into()),
    }
}

fn help() -> String {
    let dir = Place::default().socket_dir;
    let example = format!("{}/trap-service_31270.sock", dir.display());
    format!(
        "Usage:  trap_stats  [-s service_socket_path] [socket_identifier]\n\
         The socket of the module's service is the argument of -s, or a word of its own. A word that is a number is the process \
         id of the module; its socket is looked for in {}.\n\n\
         Optional parameters:\n\t-1\t- quit after first read\n\n\
         Examples:\n\ttrap_stats -s {example}\n\ttrap_stats 31270\n\ttrap_stats {example}\n",
        dir.display()
    )
}

/// Prints the counters once, or until SIGINT, a failure, or nobody reads any more.
fn watch(path: &Path, once: bool, out: &mut impl Write) {
    let interrupted = Arc::new(AtomicBool::new(false));
    // Without the handler SIGINT ends the program as well.
    let _default_action = signal_hook::flag::register(SIGINT, Arc::clone(&interrupted));
    if !once && !say(out, BANNER) {
        return;
    }
    let mut module = match UnixStream::connect(path) {
        Ok(module) => module,
        Err(_) => {
            say(out, &format!("Could not connect to service ifc (path: {}).\n", path.display()));
            return;
        }
    };
    loop {
        let mut text = String::new();
        let shown = ask(&mut module).and_then(|json| report::write(&json, &mut text).map_err(|why| why.to_string()));
        if let Err(why) = &shown {
            let _never = writeln!(text, "{why}");
        }
        if !say(out, &text) || shown.is_err() || once {
            return;
        }
        if !say(out, "- - - 3 seconds waiting - - -\n\n") {
            return;
        }
        let next = Instant::now() + PERIOD;
        while Instant::now() < next {
            if interrupted.load(Ordering::SeqCst) {
                say(out, "[SIGNAL HANDLER] SIGINT caught -> gonna terminate!\n");
                return;
            }
            thread::sleep(LOOK);
        }
    }
}

/// Prints; false when nobody reads.
fn say(out: &mut impl Write, text: &str) -> bool {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// One question to a module's service and its answer, JSON without the final NUL; waits a second at the most.
///
/// # Errors
/// What went wrong, in the words of the original. The connection is of no use any more.
pub fn ask(module: &mut UnixStream) -> Result<Vec<u8>, String> {
    let mut patience = Patience::new(ANSWER_WAIT);
    let asked =
        module.set_write_timeout(Some(ANSWER_WAIT)).and_then(|()| module.write_all(&Header::REQUEST.to_bytes()));
    asked.map_err(|error| format!("[SERVICE] Error while sending request to module. ({error})"))?;
    let failed = |what: &str, error: io::Error| {
        let closed = "Modules service thread closed its socket, im done !\n";
        let closed = if error.kind() == io::ErrorKind::UnexpectedEof { closed } else { "" };
        format!("{closed}[SERVICE] Error while receiving {what} from module. ({error})")
    };
    let header = read(module, HEADER_LEN, &mut patience).map_err(|error| failed("reply header", error))?;
    let header = header.first_chunk().map_or(Header::REQUEST, Header::from_bytes);
    if header.command != OK_REPLY {
        return Err("[SERVICE] Wrong reply from module.".into());
    }
    let len = header.len as usize;
    if len > REPLY_MAX {
        return Err(format!("[SERVICE] Wrong reply from module. (It has {len} bytes, more than {REPLY_MAX}.)"));
    }
    let mut json = read(module, len, &mut patience).map_err(|error| failed("stats", error))?;
    if json.last() == Some(&0) {
        json.pop();
    }
    Ok(json)
}

/// Exactly `len` bytes before `patience` is spent. Memory is taken for what came, not for what was announced.
fn read(module: &mut UnixStream, len: usize, patience: &mut Patience) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while bytes.len() < len {
        // Zero would mean for ever.
        module.set_read_timeout(Some(patience.slice().max(Duration::from_millis(1))))?;
        let most = piece.len().min(len - bytes.len());
        let read = module.read(&mut piece[..most]);
        let is_over = patience.is_spent();
        match read {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if net::is_transient(&error) => {}
            Err(error) => return Err(error),
        }
        if is_over && bytes.len() < len {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Result<Asked, String> {
        let args: Vec<String> = words.split_whitespace().map(String::from).collect();
        parse(&args, &Place::with_socket_dir("/run"))
    }

    fn counters(path: &str, is_checked: bool, once: bool) -> Result<Asked, String> {
        Ok(Asked::Counters { path: path.into(), is_checked, once })
    }

    #[test]
    fn command_lines() {
        assert_eq!(asked("-1 -s /a/b"), counters("/a/b", false, true));
        assert_eq!(asked("-1s/a"), counters("/a", false, true));
        assert_eq!(asked("31270"), counters("/run/trap-service_31270.sock", true, false));
        assert_eq!(asked("1234567 -1"), counters("/run/trap-service_1234567.sock", true, true));
        assert_eq!(asked("/x/y.sock"), counters("/x/y.sock", true, false));
        assert_eq!(asked("-- -1"), counters("-1", true, false));
        assert_eq!(asked("-h"), Ok(Asked::Help));
        assert_eq!(asked("-s a b"), Ok(Asked::Help));
        assert_eq!(asked("-x 1"), Err("invalid option -- 'x'".into()));
        assert!(asked("-s").is_err() && asked("").is_err());
    }
}
