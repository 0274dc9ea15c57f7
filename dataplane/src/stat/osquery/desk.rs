//! Between lanes, which never wait, and the clerk, who does nothing else: a bounded queue of questions for all, and one of answers for each lane.
use super::{OsqueryRecord, TEXT_MAX};
use crate::flow::Flow;
use crate::flow::key::Endpoint;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use record::Text;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Questions in the queue, and answers in that of a lane, at the most.
pub(super) const QUEUE_MAX: usize = 8_192;
/// Of so many of its newest questions a lane knows the answers. A flow whose answer lies there when so many others have begun loses it.
const PLACES: usize = 1 << 16;

/// Two ends, as the process at the first one sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    pub(super) protocol: u8,
    pub(super) local: Endpoint,
    pub(super) remote: Endpoint,
}

impl Connection {
    /// The same as the process at the other end sees it.
    pub(super) fn other_way(self) -> Connection {
        Connection { local: self.remote, remote: self.local, ..self }
    }
}

/// Who has a socket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Owner {
    pub(super) program: Text<TEXT_MAX>,
    pub(super) user: Text<TEXT_MAX>,
}

/// A lane asks who has this connection.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ticket: u64,
    /// From the flow's source.
    pub(super) connection: Connection,
    pub(super) answers: Sender<Answer>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) ticket: u64,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Named(Arc<Owner>),
    /// No process of this machine, as far as osqueryi sees.
    Nobody,
    /// Osqueryi has been given up.
    Off,
}

/// Why a question was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Off,
}

/// Where lanes ask. When the last of them has gone, the clerk ends.
#[derive(Clone, Debug)]
pub struct Desk {
    questions: Sender<Question>,
    facts: Arc<OsqueryRecord>,
    off: Arc<AtomicBool>,
}

impl Desk {
    /// A desk and the clerk's end of it; `off` is set by who gives up.
    pub(super) fn new(facts: OsqueryRecord, off: Arc<AtomicBool>) -> (Desk, Receiver<Question>) {
        let (questions, asked) = bounded(QUEUE_MAX);
        (Desk { questions, facts: Arc::new(facts), off }, asked)
    }

    /// What is known of this machine.
    pub(super) fn facts(&self) -> &OsqueryRecord {
        &self.facts
    }

    /// Puts a question into the queue, as a lane does.
    #[cfg(test)]
    pub(super) fn question(&self, question: Question) {
        self.questions.try_send(question).expect("room in the queue");
    }

    /// A lane's own line.
    pub(super) fn line(&self) -> Line {
        let (answers, heard) = bounded(QUEUE_MAX);
        let places = (0..PLACES).map(|_| Place::default()).collect();
        Line { desk: self.clone(), answers, heard, places, last: 0 }
    }
}

/// One lane's way to the clerk and back. Nothing here waits.
pub(super) struct Line {
    desk: Desk,
    /// Given away with each question.
    answers: Sender<Answer>,
    heard: Receiver<Answer>,
    /// A ring: that of a question goes by its number.
    places: Box<[Place]>,
    last: u64,
}

#[derive(Default)]
struct Place {
    ticket: u64,
    verdict: Option<Verdict>,
}

impl Line {
    /// Asks who has the flow; answers the number of the question.
    pub(super) fn ask(&mut self, flow: &Flow) -> Result<u64, Refused> {
        if self.desk.off.load(Ordering::Relaxed) {
            return Err(Refused::Off);
        }
        let ((local, remote), protocol) = (flow.endpoints(), flow.key().protocol());
        let ticket = self.last + 1;
        let connection = Connection { protocol, local, remote };
        let question = Question { ticket, connection, answers: self.answers.clone() };
        self.desk.questions.try_send(question).map_err(|why| match why {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Disconnected(_) => Refused::Off,
        })?;
        self.last = ticket;
        *self.place(ticket) = Place { ticket, verdict: None };
        Ok(ticket)
    }

    /// The answer to a question, once, if it has come.
    pub(super) fn answer(&mut self, ticket: u64) -> Option<Verdict> {
        // As many as the queue has at the most: it may be filled as fast as it is read.
        for _ in 0..QUEUE_MAX {
            let Ok(answer) = self.heard.try_recv() else { break };
            let place = self.place(answer.ticket);
            if place.ticket == answer.ticket {
                place.verdict = Some(answer.verdict);
            }
        }
        let place = self.place(ticket);
        if place.ticket == ticket { place.verdict.take() } else { None }
    }

    fn place(&mut self, ticket: u64) -> &mut Place {
        &mut self.places[ticket as usize % PLACES]
    }
}
