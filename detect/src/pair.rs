//! Two inputs that are read at the same time, with work by the clock in between.
use crate::sdk::Failure;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

/// Reads both inputs, each in a thread of its own, until both have ended; `work` is done at `due`, and then when it says.
///
/// # Errors
/// What ended the first input, or else the second, if that was no end in order.
pub(crate) fn read(
    first: impl FnOnce() -> Result<(), Failure> + Send,
    second: impl FnOnce() -> Result<(), Failure> + Send,
    mut due: Instant,
    mut work: impl FnMut() -> Instant,
) -> Result<(), Failure> {
    let ended = thread::scope(|scope| {
        let (ending, ended) = mpsc::channel::<()>();
        let also_ending = ending.clone();
        let first = scope.spawn(move || {
            let _until_the_end = ending;
            first()
        });
        let second = scope.spawn(move || {
            let _until_the_end = also_ending;
            second()
        });
        // Nothing is ever sent: the channel tells when both threads have ended.
        while ended.recv_timeout(due.saturating_duration_since(Instant::now())) == Err(RecvTimeoutError::Timeout) {
            due = work();
        }
        // A panic of a reader is a mistake of ours and is not hidden.
        [first, second].map(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    ended.into_iter().collect()
}
