//! How fast flows are sent.
use crate::nfdump::Flow;
use crate::stream::Sender;
use std::thread::sleep;
use std::time::{Duration, Instant};
use trap::Stop;

/// A pause looks at the stop flag this often.
const STOP_POLL: Duration = Duration::from_millis(50);

/// How fast flows are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    #[default]
    Fast,
    /// So many a second, all of them at the start of the second.
    Rate { each_second: u64, sent: u64, began: Option<Instant> },
    /// As they ended.
    Resend {
        /// When the first one was sent, and when it had ended (milliseconds).
        base: Option<(Instant, u64)>,
    },
}

impl Pace {
    pub fn rate(each_second: u64) -> Pace {
        Pace::Rate { each_second, sent: 0, began: None }
    }

    /// Waits until this flow may be sent, or until the stop flag is set.
    pub fn wait(&mut self, flow: &Flow, sender: &mut Sender<'_>, stop: &Stop) {
        let due = match self {
            Pace::Fast => return,
            Pace::Rate { each_second, sent, began } => {
                let started = *began.get_or_insert_with(Instant::now);
                *sent += 1;
                if *sent <= *each_second {
                    return;
                }
                let due = started + Duration::from_secs(1);
                (*sent, *began) = (1, Some(due.max(Instant::now())));
                due
            }
            Pace::Resend { base } => {
                let (start, first) = *base.get_or_insert_with(|| (Instant::now(), flow.last));
                let Some(due) = start.checked_add(Duration::from_millis(flow.last.saturating_sub(first))) else {
                    return;
                };
                due
            }
        };
        if due > Instant::now() {
            // Flows of before must not wait in a buffer.
            sender.flush();
        }
        while !stop.is_set() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left.min(STOP_POLL));
        }
    }
}
