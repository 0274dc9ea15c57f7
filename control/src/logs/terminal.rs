//! The terminal of a supervisor that is no daemon. Who does not read it, a stopped terminal or a full pipe, holds nobody up: a thread of its own
//! writes, and what does not fit before it is not written (fault row 38).
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Texts that wait for the terminal, at the most.
const WAITING_MAX: usize = 1_024;
/// Between two looks at whether all is written.
const LOOK: Duration = Duration::from_millis(2);

/// The way to the terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    texts: SyncSender<String>,
    waiting: Arc<AtomicUsize>,
}

impl Terminal {
    /// The terminal behind `out`; standard output but in tests.
    pub(super) fn new(mut out: impl Write + Send + 'static) -> io::Result<Self> {
        let (texts, written) = sync_channel::<String>(WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&waiting);
        std::thread::Builder::new().name("terminal".into()).spawn(move || {
            for text in written {
                // A terminal that was closed takes no more; there is nobody to tell.
                let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                left.fetch_sub(1, Ordering::SeqCst);
            }
        })?;
        Ok(Self { texts, waiting })
    }

    /// Hands a text on; false if it is lost.
    pub(super) fn print(&self, text: String) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let is_taken = self.texts.try_send(text).is_ok();
        if !is_taken {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        is_taken
    }

    /// Waits until all is written, or for so long.
    pub(super) fn settle(&self, within: Duration) {
        let end = Instant::now() + within;
        while self.waiting.load(Ordering::SeqCst) > 0 && Instant::now() < end {
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_terminal_that_nobody_reads_holds_nobody_up() {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let terminal = Terminal::new(writer).expect("a thread");
        let text = "x".repeat(4_096);
        // More than the pipe and the queue hold.
        let taken = (0..3 * WAITING_MAX).filter(|_| terminal.print(text.clone())).count();
        assert!((WAITING_MAX..2 * WAITING_MAX).contains(&taken), "{taken} were taken");
        terminal.settle(Duration::from_millis(10));
        // What was taken comes as soon as somebody reads.
        let mut all = vec![0; taken * text.len()];
        reader.read_exact(&mut all).expect("it is written");
        terminal.settle(Duration::from_secs(30));
        assert!(terminal.print("now".into()));
        let mut now = [0; 3];
        reader.read_exact(&mut now).expect("it is written");
        assert_eq!(&now, b"now");
    }
}
