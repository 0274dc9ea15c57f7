//! The process between a probe and its osqueryi. It is started with all privileges that the probe was started with, and keeps them: it starts
//! osqueryi when the first question comes, and ends it when the probe has closed its end or died, in whatever way.
//!
//! A question is one byte; what is asked in SQL stands here. Osqueryi can do much more than answer (read files, fetch pages, as root), and a
//! probe that was taken over by a broken packet must not have a way to ask it for that. Answers go straight to the probe.
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use sys::handover::{end_of, start_bound};
use sys::{any_readable, readable};

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ask {
    Machine = b'm',
    Sockets = b's',
}

impl Ask {
    fn of(byte: u8) -> Option<Ask> {
        [Ask::Machine, Ask::Sockets].into_iter().find(|ask| *ask as u8 == byte)
    }

    /// In the words of osquery 5; on one line each, and each is answered by one array.
    fn sql(self) -> &'static str {
        match self {
            Ask::Machine => {
                "SELECT o.name, o.major, o.minor, o.build, o.platform, o.platform_like, o.arch, k.version AS kernel, s.hostname \
                 FROM os_version AS o LEFT JOIN kernel_info AS k LEFT JOIN system_info AS s;\n"
            }
            // CROSS JOIN: sockets first. The other way round all of them would be looked through once for each process.
            Ask::Sockets => {
                "SELECT s.protocol, s.local_address, s.local_port, s.remote_address, s.remote_port, p.name AS program, u.username AS user \
                 FROM process_open_sockets AS s CROSS JOIN processes AS p ON p.pid = s.pid LEFT JOIN users AS u ON u.uid = p.uid \
                 WHERE s.family IN (2, 10) AND s.protocol IN (6, 17) AND s.remote_port <> 0;\n"
            }
        }
    }
}

/// A look at whether anything has happened, though nothing said so.
const LOOK: Duration = Duration::from_secs(3600);

/// What the process does: `program` is osqueryi. Answers its exit status.
pub fn keep(program: &OsStr) -> u8 {
    match serve(program) {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("{}: {why}", program.display());
            1
        }
    }
}

fn serve(program: &OsStr) -> io::Result<()> {
    // Not the buffered one: what waits in a buffer no poll(2) sees.
    let mut questions = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    // One that is kept for the case that another one fails.
    let Some(ask) = next(&mut questions) else { return Ok(()) };
    let mut command = Command::new(program);
    command.arg("--json").stdin(Stdio::piped()).stdout(Stdio::inherit()).stderr(Stdio::null());
    let mut child = start_bound(&mut command)?;
    let relayed = relay(&mut child, &mut questions, ask);
    // Nobody has waited for it so far, so the number is still its own.
    let _gone_already = child.kill();
    child.wait()?;
    relayed
}

/// Passes questions on until there are no more or the child has ended.
fn relay(child: &mut Child, questions: &mut File, first: Ask) -> io::Result<()> {
    let ended = end_of(child)?;
    let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut question = Some(first);
    while let Some(ask) = question {
        // That it has closed its input will show below, or its silence will be noticed.
        let _deaf = input.write_all(ask.sql().as_bytes());
        while !readable(questions.as_fd(), Duration::ZERO)? {
            if readable(ended.as_fd(), Duration::ZERO)? {
                return Ok(());
            }
            any_readable([questions.as_fd(), ended.as_fd()], LOOK)?;
        }
        question = next(questions);
    }
    Ok(())
}

/// The next question; `None` at the end, and for what is none.
fn next(questions: &mut impl Read) -> Option<Ask> {
    let mut byte = [0];
    questions.read_exact(&mut byte).ok()?;
    Ask::of(byte[0])
}
