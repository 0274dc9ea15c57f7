//! How long a module is busy with what it received: `delay_last` and `delay_total` of the service (trap.md section 8).
//!
//! The original asks for the time twice for each message. Here it is asked when the system is asked for more bytes, so the last
//! delay is the mean of the messages served since the time before.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::service::board::InputMeter;

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the last bytes came; none before the first.
    since: Option<Instant>,
    /// Messages served before those bytes.
    messages: u64,
    total: Duration,
}

impl Pace {
    /// The module wants more than was buffered, having got `messages` so far.
    pub(super) fn asks(&mut self, messages: u64, meter: &InputMeter) {
        meter.messages.store(messages, Relaxed);
        let Some(since) = self.since else { return };
        let busy = since.elapsed();
        self.total += busy;
        meter.delay_total_us.store(micros(self.total), Relaxed);
        if messages > self.messages {
            meter.delay_last_us.store(micros(busy) / (messages - self.messages), Relaxed);
            self.messages = messages;
        }
    }

    /// The wait for bytes is over.
    pub(super) fn answered(&mut self) {
        self.since = Some(Instant::now());
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
