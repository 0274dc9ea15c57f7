//! IPFIX over TCP or DTLS to a collector that may go away, or to the next one: a message is kept until the collector's kernel has acknowledged
//! it (SIOCOUTQ), and sent again in the next session if it has not.
//!
//! Sessions begin with all templates and count sequence numbers from 0 (RFC 7011 section 3.1); both are written here, when a message leaves.
//! What cannot leave waits in order: in a [`Spool`], or without one in 4 MiB of memory. Messages of an earlier run have templates of
//! their own and go first, in sessions of their own.
//!
//! An acknowledged message is in the collector's socket. A collector that ends with bytes unread resets the connection, and how many those
//! were nobody says: at most its receive buffer, which is told as `unconfirmed`. One that has read all ends without a reset.
//!
//! Over DTLS nobody acknowledges: a message is kept until no refusal of it is to be expected (`dtls.rs`), and a session ends after its lifetime, so that
//! a collector that is away without a word is noticed. What went to it in that session is `unconfirmed` then.
use super::dialing::{Dialing, Far, Progress};
use crate::export::spool::{Block, Spool};
use crate::export::{Books, Loss, OpenError, Peer, RecordDrop};
use record::ipfix::{Holds, Message};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

mod session;
mod waiting;
use session::{Origin, Session};
use waiting::Waiting;

/// Waits between attempts to reach a collector: doubled each time, and up to a quarter longer by chance.
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// At the end a collector that acknowledges nothing for so long is not waited for any more.
const DRAIN: Duration = Duration::from_secs(5);
/// Messages that wait in memory where there is no spool, bytes.
const MEMORY_MAX: usize = 4 << 20;
/// Waiting messages that go out for a new one, and for a tick, at the most.
const CATCH_UP: usize = 64;
const TICK_BUDGET: Duration = Duration::from_millis(200);

pub(super) struct Delivery {
    peers: Vec<Far>,
    /// The peer of the session, or of the next one.
    at: usize,
    /// Records acknowledged by each peer.
    arrived: Vec<u64>,
    /// Messages with templates and lasting options of this run, in order.
    templates: Vec<Vec<u8>>,
    waiting: Waiting,
    /// The number of this run.
    run: u64,
    state: State,
    sessions: u64,
    unconfirmed: u64,
    /// Over datagrams: after how long templates are sent again.
    repeat: Option<Duration>,
    /// Records of a session that was ended for its age, until the next one shows that the collector was there.
    unproved: Option<u64>,
    losses: Vec<Loss>,
    /// Why the latest attempt to connect failed.
    refusal: Option<io::Error>,
    verbose: bool,
}

enum State {
    Down { retry: Instant, wait: Duration },
    Dialing(Dialing, Duration),
    Up(Session),
}

impl Delivery {
    pub(super) fn new(
        peers: Vec<Far>,
        spool: Option<Spool>,
        run: u64,
        repeat: Option<Duration>,
        verbose: bool,
    ) -> Delivery {
        let waiting = match spool {
            Some(spool) => Waiting::Disk(Box::new(spool)),
            None => Waiting::Memory { messages: VecDeque::new(), bytes: 0 },
        };
        let mut delivery = Delivery {
            at: 0,
            arrived: vec![0; peers.len()],
            peers,
            templates: Vec::new(),
            waiting,
            run,
            state: State::Down { retry: Instant::now(), wait: RETRY_MIN },
            sessions: 0,
            unconfirmed: 0,
            repeat,
            unproved: None,
            losses: Vec::new(),
            refusal: None,
            verbose,
        };
        delivery.pump(CATCH_UP);
        delivery
    }

    /// Waits until the first of the collectors can be reached, or it is known that none can.
    pub(super) fn reach(&mut self) -> Result<(), OpenError> {
        while !matches!(self.state, State::Up(_)) {
            let first = matches!(self.state, State::Down { .. }) && self.at == 0;
            if let Some(cause) = self.refusal.take_if(|_| first) {
                let Peer { host, port } = self.peers[0].peer.clone();
                return Err(OpenError::Connect { host, port, transport: self.peers[0].transport.name(), cause });
            }
            std::thread::sleep(Duration::from_millis(1));
            self.pump(0);
        }
        Ok(())
    }

    /// Takes a message: it goes out at once if nothing waits in front of it. What is lost is told by [`Delivery::loss`].
    pub(super) fn send(&mut self, message: &Message<'_>) {
        let Message { bytes: message, records, holds, .. } = *message;
        if holds == Holds::Templates {
            self.templates.push(message.to_vec());
        }
        if self.ready().is_none() {
            self.pump(CATCH_UP);
        }
        if self.ready().is_some()
            && let State::Up(session) = &mut self.state
        {
            session.tell(&self.templates);
            match holds {
                Holds::Templates => {}
                Holds::Flows => session.push(message, records, Origin::Memory(message.to_vec())),
                Holds::Statistics => session.push(message, 0, Origin::Preface),
            }
            self.pump(0);
        } else if holds != Holds::Statistics {
            self.wait(message, records);
        }
    }

    /// Goes on with what waits.
    pub(super) fn tick(&mut self) {
        let end = Instant::now() + TICK_BUDGET;
        while Instant::now() < end {
            let more = self.pump(CATCH_UP);
            let paced = match &mut self.state {
                // Its answers are a look away: the next tick may be seconds away.
                State::Dialing(..) if self.peers[self.at].is_unreliable() => true,
                State::Up(session) if !self.waiting.is_empty() => session.link.is_unreliable(),
                _ => break,
            };
            if paced || !more {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        if let (Some(every), State::Up(session)) = (self.repeat, &mut self.state)
            && session.run == self.run
            && self.waiting.is_empty()
        {
            session.repeat(&self.templates, every);
        }
    }

    /// Sends what waits for as long as the collector takes it, and ends the session; what is on disk then stays there.
    pub(super) fn close(&mut self) {
        let mut since = Instant::now();
        while !self.is_done() && since.elapsed() < DRAIN {
            let before = self.arrived.iter().sum::<u64>();
            self.pump(CATCH_UP);
            if matches!(self.state, State::Down { .. }) {
                break;
            }
            if self.arrived.iter().sum::<u64>() > before {
                since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match std::mem::replace(&mut self.state, State::Down { retry: Instant::now(), wait: RETRY_MAX }) {
            State::Up(session) if session.window.is_empty() => session.link.close(),
            State::Up(session) => self.take_back(session),
            // Nobody knows.
            _ => self.unconfirmed += self.unproved.take().unwrap_or(0),
        }
        match &mut self.waiting {
            Waiting::Disk(spool) => {
                spool.close();
                let records = spool.books().waiting;
                self.lose(RecordDrop::Spooled, records, None);
            }
            Waiting::Memory { messages, .. } => {
                let records = messages.drain(..).map(|(_, records)| u64::from(records)).sum();
                self.lose(RecordDrop::Down, records, None);
            }
        }
    }

    /// Records that turned out to be lost.
    pub(super) fn loss(&mut self) -> Option<Loss> {
        self.losses.pop()
    }

    /// Writes what only it knows into the books.
    pub(super) fn tell(&self, books: &mut Books) {
        books.reconnects = self.sessions.saturating_sub(1);
        books.unconfirmed = self.unconfirmed;
        if let Waiting::Disk(spool) = &self.waiting {
            books.spool = Some(spool.books());
        }
        if self.peers.len() > 1 {
            books.collectors =
                self.peers.iter().map(|far| far.peer.to_string()).zip(self.arrived.iter().copied()).collect();
        }
    }

    /// The session, if a message may go at once.
    fn ready(&self) -> Option<&Session> {
        match &self.state {
            State::Up(session) if self.waiting.is_empty() && session.run == self.run => Some(session),
            _ => None,
        }
        .filter(|session| session.link.is_clear())
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && matches!(&self.state, State::Up(session) if session.window.is_empty())
    }

    /// Does what can be done without waiting, and sends so many of the messages that wait; whether there is more to do at once.
    fn pump(&mut self, mut catch_up: usize) -> bool {
        self.dial();
        loop {
            let State::Up(session) = &mut self.state else { return false };
            if let Err(why) = session.link.flush().and_then(|()| session.link.look()) {
                self.broken(&why);
                return false;
            }
            self.confirm();
            let State::Up(session) = &mut self.state else { return false };
            if session.is_stalled() {
                self.broken(&io::Error::new(io::ErrorKind::TimedOut, "nothing was acknowledged for 30 s"));
                return false;
            }
            if session.link.retire() {
                self.renew();
                continue;
            }
            let wanted = self.waiting.next_run().unwrap_or(self.run);
            catch_up = catch_up.min(session.link.in_a_row());
            if session.run != wanted && session.window.is_empty() {
                let State::Up(session) = self.redial(Duration::ZERO) else { return false };
                session.link.close();
                self.dial();
                continue;
            }
            if !session.link.is_clear() || session.run != wanted || catch_up == 0 {
                return false;
            }
            let Some((message, records, origin)) = self.waiting.next(wanted) else {
                // Either acknowledgements are missing, or another run's messages are next.
                if self.waiting.next_run().unwrap_or(self.run) == wanted {
                    return false;
                }
                continue;
            };
            catch_up -= 1;
            session.again(&self.templates, self.run, &message, records, origin);
            self.settle();
            if catch_up == 0 {
                return true;
            }
        }
    }

    /// Begins to connect when it is time, and looks how far that is.
    fn dial(&mut self) {
        if let State::Down { retry, wait } = &self.state
            && Instant::now() >= *retry
        {
            self.state = State::Dialing(Dialing::new(), *wait);
        }
        let State::Dialing(dialing, wait) = &mut self.state else { return };
        let wait = *wait;
        match dialing.look(&mut self.peers[self.at]) {
            Progress::NotYet => {}
            Progress::Connected(link) => {
                // One that only shows that the collector is there is no other connection.
                self.sessions += u64::from(self.unproved.take().is_none());
                let run = self.waiting.next_run().unwrap_or(self.run);
                say(self.verbose, &self.peers[self.at].peer, "connected, templates go first");
                self.state = State::Up(Session::new(link, run));
            }
            Progress::Failed(why) => self.failed(why, wait),
        }
    }

    fn failed(&mut self, why: io::Error, wait: Duration) {
        let peer = &self.peers[self.at].peer;
        say(self.verbose, peer, &format!("cannot connect: {why}"));
        // One that is away comes back; one that nobody vouches for does not.
        if why.kind() == io::ErrorKind::InvalidData {
            let trouble = Some(format!("{} {peer}: {why}", self.peers[self.at].transport));
            self.losses.push(Loss { reason: RecordDrop::Down, records: 0, trouble });
        }
        self.refusal = Some(why);
        if let Some(unproved) = self.unproved.take() {
            self.unconfirmed += unproved;
            let trouble = Some(format!("{peer}: it was away when its session had to be renewed"));
            self.losses.push(Loss { reason: RecordDrop::Down, records: 0, trouble });
        }
        self.at = (self.at + 1) % self.peers.len();
        // Between the collectors of a list there is no wait; after a round of them there is.
        let round = self.at == 0;
        self.redial(if round { wait } else { Duration::ZERO });
        if let State::Down { wait: next, .. } = &mut self.state {
            *next = if round { (wait * 2).min(RETRY_MAX) } else { wait };
        }
    }

    /// Another session after this time.
    fn redial(&mut self, wait: Duration) -> State {
        // By the clock's lowest digits: collectors that return do not get all probes in one moment.
        let chance = wait / 4 * (sys::monotonic_ns() % 256) as u32 / 256;
        std::mem::replace(&mut self.state, State::Down { retry: Instant::now() + wait + chance, wait: RETRY_MIN })
    }

    /// Takes what was acknowledged off the window.
    fn confirm(&mut self) {
        let State::Up(session) = &mut self.state else { return };
        let acknowledged = session.link.acknowledged();
        while let Some(sent) = session.window.pop_front_if(|sent| sent.end <= acknowledged) {
            session.progress = Instant::now();
            session.read_maybe(&sent);
            self.arrived[self.at] += u64::from(sent.records);
            session.arrived += u64::from(sent.records);
            if let (Origin::Spool(mark), Waiting::Disk(spool)) = (&sent.origin, &mut self.waiting) {
                spool.arrived(*mark, sent.records.into());
            }
        }
    }

    /// Ends a session that is old enough, so that the next one shows whether the collector is there.
    fn renew(&mut self) {
        self.confirm();
        let State::Up(session) = self.redial(Duration::ZERO) else { return };
        self.unproved = Some(session.arrived);
        session.link.close();
        self.dial();
    }

    fn broken(&mut self, why: &io::Error) {
        // The socket still knows what had been acknowledged.
        self.confirm();
        let State::Up(session) = self.redial(Duration::ZERO) else { return };
        let peer = &self.peers[self.at].peer;
        say(self.verbose, peer, &format!("connection broke: {why}"));
        if why.kind() == io::ErrorKind::ConnectionReset {
            self.unconfirmed += session.unread.iter().map(|(_, records)| u64::from(*records)).sum::<u64>();
        }
        let far = &self.peers[self.at];
        let trouble = format!("{} {}: {why}", far.transport, far.peer);
        self.lose(RecordDrop::Down, 0, Some(trouble));
        self.at = (self.at + 1) % self.peers.len();
        self.take_back(session);
    }

    /// What a session did not get rid of goes to the front of what waits.
    fn take_back(&mut self, session: Session) {
        let own = session.window.into_iter().filter_map(|sent| match sent.origin {
            Origin::Memory(message) => Some((message, sent.records)),
            Origin::Spool(_) | Origin::Preface => None,
        });
        let own: Vec<_> = own.collect();
        session.link.abandon();
        match &mut self.waiting {
            Waiting::Disk(spool) => {
                spool.rewind();
                let blocks: Vec<_> =
                    own.iter().map(|(message, records)| Block { message, records: *records }).collect();
                // They went past an empty spool, so whatever is in it now came later.
                if !blocks.is_empty()
                    && let Err(why) = spool.prepend(&blocks, &self.templates)
                {
                    let records = own.iter().map(|(_, records)| u64::from(*records)).sum();
                    self.lose(RecordDrop::SpoolFull, records, Some(no_room(&why)));
                }
            }
            Waiting::Memory { messages, bytes } => {
                *bytes += own.iter().map(|(message, _)| message.len()).sum::<usize>();
                own.into_iter().rev().for_each(|message| messages.push_front(message));
            }
        }
    }

    /// Keeps a message for later, or counts it.
    fn wait(&mut self, message: &[u8], records: u32) {
        match &mut self.waiting {
            Waiting::Disk(spool) => {
                let spooled = spool.append(Block { message, records }, &self.templates);
                if let Err(why) = spooled {
                    self.lose(RecordDrop::SpoolFull, records.into(), Some(no_room(&why)));
                }
            }
            // Templates are told by the session itself.
            Waiting::Memory { .. } if records == 0 => {}
            Waiting::Memory { messages, bytes } => {
                messages.push_back((message.to_vec(), records));
                *bytes += message.len();
                let mut lost = 0;
                while *bytes > MEMORY_MAX
                    && let Some((message, records)) = messages.pop_front()
                {
                    *bytes -= message.len();
                    lost += u64::from(records);
                }
                self.lose(RecordDrop::Down, lost, None);
            }
        }
        self.settle();
    }

    /// Tells what the spool had to give up since the last time.
    fn settle(&mut self) {
        if let Waiting::Disk(spool) = &mut self.waiting {
            let (expired, corrupt) = spool.lost();
            self.lose(RecordDrop::SpoolExpired, expired, None);
            self.lose(RecordDrop::SpoolCorrupt, corrupt, None);
        }
    }

    fn lose(&mut self, reason: RecordDrop, records: u64, trouble: Option<String>) {
        if records > 0 || trouble.is_some() {
            self.losses.push(Loss { reason, records, trouble });
        }
    }
}

fn no_room(why: &io::Error) -> String {
    format!("spool: {why}; free space or make the spool smaller")
}

fn say(verbose: bool, peer: &Peer, what: &str) {
    if verbose {
        eprintln!("VERBOSE: ipfix {peer}: {what}");
    }
}
