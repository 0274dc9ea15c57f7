//! The thread that tells the counters to an output, also while no record comes.
use super::Totals;
use record::Value;
use record::unirec::{Builder, Template};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use trap::{Format, Output, Sent, Timeout};

/// A running reporter.
pub(super) struct Reporter {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<bool>,
}

impl Reporter {
    /// Starts to send a record every `each`. Who does not take it in time misses it.
    pub(super) fn start(
        mut output: Output,
        each: Duration,
        relative: bool,
        totals: &Arc<Totals>,
    ) -> io::Result<Reporter> {
        let template = Template::parse("uint64 FLOWS,uint32 PACKETS,uint64 BYTES")
            .map_err(|why| io::Error::other(why.to_string()))?;
        output.set_timeout(Timeout::NoWait);
        output.set_format(Format::UniRec(template.spec())).map_err(|why| io::Error::other(why.to_string()))?;
        let (stop, stopped) = mpsc::channel();
        let totals = Arc::clone(totals);
        let work = move || {
            let mut counters = Counters { template: &template, relative, told: [0; 3], record: Vec::new() };
            let mut next = Instant::now() + each;
            while let Err(RecvTimeoutError::Timeout) =
                stopped.recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                counters.send(totals.read(), &mut output);
                next += each;
            }
            output.finish().inspect_err(|why| eprintln!("Error: {why}")).is_ok()
        };
        Ok(Reporter { stop, thread: thread::Builder::new().name("reporter".into()).spawn(work)? })
    }

    /// Ends the thread; false if what it had to write could not be written.
    pub(super) fn finish(self) -> bool {
        drop(self.stop);
        self.thread.join().unwrap_or(false)
    }
}

struct Counters<'t> {
    template: &'t Template,
    relative: bool,
    /// What was told last.
    told: [u64; 3],
    record: Vec<u8>,
}

impl Counters<'_> {
    fn send(&mut self, now: [u64; 3], output: &mut Output) {
        let mut builder = Builder::new(self.template);
        for (n, name) in ["FLOWS", "PACKETS", "BYTES"].into_iter().enumerate() {
            let mut value = now[n].wrapping_sub(self.told[n]);
            if name == "PACKETS" {
                // The field has 32 bits; a difference survives the wrap.
                value &= u64::from(u32::MAX);
            }
            let set = self.template.index_of(name).map(|index| builder.set(index, Value::Uint(value)));
            debug_assert!(matches!(set, Some(Ok(()))), "{name} has room for {value}");
        }
        if self.relative {
            self.told = now;
        }
        if builder.finish(&mut self.record).is_ok() {
            // Without a receiver the record is missed, as the option says.
            let _: Sent = output.send(&self.record);
            let _ = output.flush();
        }
    }
}
