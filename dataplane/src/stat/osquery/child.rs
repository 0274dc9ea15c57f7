//! One osqueryi, seen through the process that keeps it: a question goes in, one answer comes out, in bounded time and of bounded length.
use super::OsqueryRecord;
use super::answer::{facts, sockets};
use super::desk::{Connection, Owner};
use super::keeper::Ask;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use sys::readable;

/// Bytes of an answer at the most: some 60,000 sockets.
pub(super) const ANSWER_MAX: u64 = 16 << 20;

/// What is wrong with a child.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("has ended")]
    Ended,
    #[error("gave no whole answer within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("does not end its answer: more than {} MiB", ANSWER_MAX >> 20)]
    Long,
    #[error("answers what cannot be read: {0}")]
    Unreadable(serde_json::Error),
    #[error("says what nobody asked for")]
    Unasked,
    #[error("cannot be asked: {0}")]
    Pipe(io::Error),
}

/// A child, or one that waits to be one: it is started by its first question.
pub(super) struct Child {
    keeper: Process,
    questions: Option<ChildStdin>,
    answers: BufReader<Bounded>,
}

impl Child {
    /// Starts the keeper. It has a process group of its own: Ctrl-C is for the probe, which asks until its last flow has ended.
    pub(super) fn start(mut keeper: Command) -> io::Result<Child> {
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn()?;
        let pipes = keeper.stdin.take().zip(keeper.stdout.take());
        let (questions, from) = pipes.ok_or(ErrorKind::BrokenPipe)?;
        let answers = BufReader::new(Bounded { from, until: Instant::now(), left: 0 });
        Ok(Child { keeper, questions: Some(questions), answers })
    }

    /// What machine this is.
    pub(super) fn machine(&mut self, wait: Duration) -> Result<OsqueryRecord, Trouble> {
        self.ask(Ask::Machine, wait, |answer| facts(answer))
    }

    /// The sockets of this machine's processes that have two ends.
    pub(super) fn sockets(
        &mut self,
        wait: Duration,
        each: impl FnMut(Connection, &dyn Fn() -> Owner),
    ) -> Result<(), Trouble> {
        self.ask(Ask::Sockets, wait, |answer| sockets(answer, each))
    }

    fn ask<R>(
        &mut self,
        ask: Ask,
        wait: Duration,
        read: impl FnOnce(&mut BufReader<Bounded>) -> serde_json::Result<R>,
    ) -> Result<R, Trouble> {
        self.nothing_unasked()?;
        let questions = self.questions.as_mut().ok_or(Trouble::Ended)?;
        questions.write_all(&[ask as u8]).map_err(|why| match why.kind() {
            ErrorKind::BrokenPipe => Trouble::Ended,
            _ => Trouble::Pipe(why),
        })?;
        self.answers.get_mut().allow(ANSWER_MAX, wait);
        read(&mut self.answers).map_err(|why| match why.io_error_kind() {
            Some(ErrorKind::TimedOut) => Trouble::Late(wait),
            Some(ErrorKind::FileTooLarge) => Trouble::Long,
            Some(_) => Trouble::Pipe(why.into()),
            None if why.is_eof() => Trouble::Ended,
            None => Trouble::Unreadable(why),
        })
    }

    /// Between answers there is nothing but the end of a line: what else is there would be taken for the next answer.
    fn nothing_unasked(&mut self) -> Result<(), Trouble> {
        let blank = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_whitespace);
        // Twice: what was read with the last answer, and what has come since.
        for _ in 0..2 {
            let rest = self.answers.buffer().len();
            if !blank(self.answers.buffer()) {
                return Err(Trouble::Unasked);
            }
            self.answers.consume(rest);
            if !readable(self.answers.get_ref().from.as_fd(), Duration::ZERO).map_err(Trouble::Pipe)? {
                return Ok(());
            }
            // Something is there: this does not wait.
            self.answers.get_mut().allow(ANSWER_MAX, Duration::ZERO);
            match self.answers.fill_buf() {
                Ok([]) => return Err(Trouble::Ended),
                Ok(bytes) if !blank(bytes) => return Err(Trouble::Unasked),
                Ok(_) => {}
                Err(why) => return Err(Trouble::Pipe(why)),
            }
        }
        Err(Trouble::Unasked)
    }
}

/// The keeper sees the end of its input and ends, osqueryi with it, whatever that is doing.
impl Drop for Child {
    fn drop(&mut self) {
        self.questions = None;
        // It is nobody's zombie; that it had ended before is no error.
        let _ended = self.keeper.wait();
    }
}

/// A pipe that is read for so long and so many bytes.
struct Bounded {
    from: ChildStdout,
    until: Instant,
    left: u64,
}

impl Bounded {
    fn allow(&mut self, bytes: u64, wait: Duration) {
        (self.left, self.until) = (bytes, Instant::now() + wait);
    }
}

impl Read for Bounded {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let mut wait = self.until.saturating_duration_since(Instant::now());
        // What is there is read even when the time is over: it may be this process that was stopped.
        while !readable(self.from.as_fd(), wait)? {
            let left = self.until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            // Rounded up, so that the last part of a millisecond is not spent in a loop.
            wait = left + Duration::from_millis(1);
        }
        let room_len = room.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let len = self.from.read(&mut room[..room_len])?;
        self.left -= len as u64;
        Ok(len)
    }
}
