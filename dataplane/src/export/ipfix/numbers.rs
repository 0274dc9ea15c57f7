//! What an exporter knows about its own work, for options records (RFC 7011 sections 4.1 and 4.3).
use super::{Interface, Options};
use crate::export::Books;
use record::ipfix::{Message, Statement};

/// Between two reports, and another at the end; seconds.
const REPORT_SECS: u64 = 60;

/// Totals of what was handed to the transport, and when records were lost.
pub(super) struct Numbers {
    messages: u64,
    flow_records: u64,
    octets: u64,
    /// Records lost so far, and when the first and the last of them were, Unix seconds.
    lost: u64,
    first_secs: u32,
    last_secs: u32,
    next_secs: u64,
}

impl Numbers {
    pub(super) fn new(now_secs: u64) -> Numbers {
        let next_secs = now_secs + REPORT_SECS;
        Numbers { messages: 0, flow_records: 0, octets: 0, lost: 0, first_secs: 0, last_secs: 0, next_secs }
    }

    pub(super) fn sent(&mut self, message: &Message<'_>) {
        self.messages += 1;
        self.flow_records += u64::from(message.records);
        self.octets += message.bytes.len() as u64;
    }

    /// Looks whether records were lost since the last time.
    pub(super) fn look(&mut self, books: &Books, now_secs: u64) {
        let lost = books.lost();
        if lost > self.lost {
            self.last_secs = now_secs as u32;
            if self.lost == 0 {
                self.first_secs = self.last_secs;
            }
        }
        self.lost = lost;
    }

    /// Whether a report is due. A clock that was set back makes the next one late by as much, not more.
    pub(super) fn is_time(&self, now_secs: u64) -> bool {
        now_secs >= self.next_secs || self.next_secs - now_secs > 2 * REPORT_SECS
    }

    pub(super) fn say(&mut self, books: &Books, domain: u32, now_secs: u64) -> [Statement; 2] {
        self.next_secs = now_secs + REPORT_SECS;
        self.look(books, now_secs);
        let Numbers { messages, flow_records, octets, lost, first_secs, last_secs, .. } = *self;
        [
            Statement::Exported { domain, messages, flow_records, octets },
            Statement::Reliability { process: std::process::id(), not_sent_flows: lost, first_secs, last_secs },
        ]
    }
}

/// What is said in each session.
pub(super) fn lasting(options: &Options, domain: u32) -> impl Iterator<Item = Statement> + '_ {
    let (interval, selection) = (options.sampling, options.selection);
    let sampling = (interval > 1).then_some(Statement::Sampling { domain, interval, selection });
    let interfaces = options.interfaces.iter().map(|Interface { index, name, description }| Statement::Interface {
        index: *index,
        name: name.clone(),
        description: description.clone(),
    });
    sampling.into_iter().chain(interfaces)
}
