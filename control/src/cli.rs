//! The tools: the daemon, its client, checks of configurations, and who is running.
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub mod ctl;
pub mod modulesinfo;
pub mod munin;
pub mod supcli;
pub mod supervisor;

/// Exit status of a failure, and of a wrong command line.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// Bytes of an answer, at the most.
const ANSWER_MAX: u64 = 64 << 20;

/// Sends a code to the daemon and reads until it closes, or says no more for `silence`. One that never says anything is a failure.
fn ask(socket: &Path, code: &str, silence: Duration) -> io::Result<String> {
    let mut daemon = UnixStream::connect(socket)?;
    daemon.write_all(format!("{code}\n").as_bytes())?;
    daemon.set_read_timeout(Some(silence))?;
    let mut bytes = Vec::new();
    if let Err(why) = daemon.take(ANSWER_MAX).read_to_end(&mut bytes) {
        let is_silent = matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if !is_silent || bytes.is_empty() {
            return Err(why);
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Prints; nobody reading is no failure.
fn print(text: &str) {
    let _closed = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// Reads the arguments behind a tool's name; else help or what is wrong was printed and the status is answered.
fn parse<A: clap::Parser>(name: &str, args: &[String]) -> Result<A, u8> {
    A::try_parse_from(std::iter::once(name).chain(args.iter().map(String::as_str))).map_err(|why| {
        // Nobody is left to tell if this fails.
        let _unread = why.print();
        if why.use_stderr() { USAGE } else { 0 }
    })
}
