//! What the processes say they sent and received, and whether it fits together.
use super::Beside;
use super::ends::{Ends, Hop};
use super::member::Said;

/// The books of all processes.
#[derive(Debug)]
pub struct Books {
    beside: Beside,
    pub probe: Probe,
    /// What the filter, the merger (two inputs) and the logger received.
    pub filter: Received,
    pub merger: [Received; 2],
    pub logger: Received,
    /// What the filter (two outputs) and the merger sent.
    pub low: Served,
    pub high: Served,
    pub all: Served,
    /// What those beside the chain received.
    pub others: Vec<(Hop, Received)>,
}

/// The probe's summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    pub offered: u64,
    pub sent: u64,
    /// Published while no client was there.
    pub unheard: u64,
    /// Missed by clients, all together.
    pub missed: u64,
}

/// An input; messages count the one that ends the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub messages: u64,
    /// As the sequence numbers of containers show.
    pub missed: u64,
}

/// An output, likewise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    pub name: String,
    pub messages: u64,
    pub clients: Vec<Client>,
}

/// A client that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Messages while it was there, and before.
    pub published: u64,
    pub before: u64,
    pub sent: u64,
    pub skipped: u64,
    pub undelivered: u64,
}

impl Received {
    /// Reads the line `input NAME: 7 messages received in 1 connections, 0 missed`.
    pub(super) fn of(said: &Said, name: &str) -> Result<Received, String> {
        let label = format!("input {name}: ");
        match numbers(after(said, &label)?)[..] {
            [messages, _, missed] => Ok(Received { messages, missed }),
            _ => Err(no(said, &label)),
        }
    }

    /// Messages without the one that ends the stream.
    pub fn records(&self) -> u64 {
        self.messages.saturating_sub(1)
    }
}

impl Served {
    /// Reads the line `output NAME: 7 messages sent, ...` and those of its clients.
    fn of(said: &Said, name: &str) -> Result<Served, String> {
        let label = format!("output {name}: ");
        let (of_clients, own): (Vec<&str>, Vec<&str>) =
            lines(said, &label).partition(|line| line.starts_with("client "));
        let messages = own.first().and_then(|line| numbers(line).first().copied());
        let clients = of_clients.into_iter().map(|line| match numbers(line)[..] {
            [_, published, before, sent, skipped, undelivered] => {
                Ok(Client { published, before, sent, skipped, undelivered })
            }
            _ => Err(no(said, line)),
        });
        let clients = clients.collect::<Result<_, _>>()?;
        Ok(Served { name: name.to_owned(), messages: messages.ok_or_else(|| no(said, &label))?, clients })
    }

    /// Clients that were there to the end.
    fn stayed(&self) -> impl Iterator<Item = &Client> {
        self.clients.iter().filter(|client| client.before + client.published == self.messages)
    }
}

impl Books {
    pub(super) fn read(
        said: &[Said],
        others: Vec<(Hop, Received)>,
        ends: &Ends,
        beside: Beside,
    ) -> Result<Books, String> {
        let [probe, filter, merger, logger] = said else { return Err("not four processes".into()) };
        let name = |hop| ends.name(hop);
        Ok(Books {
            beside,
            probe: Probe::of(probe)?,
            filter: Received::of(filter, name(Hop::Flows))?,
            merger: [Received::of(merger, name(Hop::Low))?, Received::of(merger, name(Hop::High))?],
            logger: Received::of(logger, name(Hop::All))?,
            low: Served::of(filter, name(Hop::Low))?,
            high: Served::of(filter, name(Hop::High))?,
            all: Served::of(merger, name(Hop::All))?,
            others,
        })
    }

    /// What does not hold for so many packets.
    pub(super) fn faults(&self, fed: u64) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: &str, is: String| {
            if !holds {
                faults.push(format!("{what}: {is}"));
            }
        };
        let Books { probe, filter, merger, logger, .. } = self;
        must(
            probe.offered == fed && probe.sent == fed,
            "the probe sends a record for each packet",
            format!("{fed}, {probe:?}"),
        );
        let parts = self.low.messages + self.high.messages;
        must(
            parts == filter.records() + 2,
            "what the filter received it sent",
            format!("{filter:?}, {parts} messages"),
        );
        let joined: u64 = merger.iter().map(Received::records).sum();
        must(
            self.all.messages == joined + 1,
            "what the merger received it sent",
            format!("{merger:?}, {:?}", self.all),
        );
        if self.beside == Beside::Stopped {
            let all = filter.messages + probe.unheard + probe.missed;
            must(all == fed + 1, "sent = received + skipped + unheard", format!("{filter:?}, {probe:?}"));
        } else {
            must(
                filter.messages == fed + 1 && filter.missed == 0,
                "the filter receives all",
                format!("{fed}, {filter:?}"),
            );
        }
        let hops =
            [(Hop::Low, &self.low, merger[0]), (Hop::High, &self.high, merger[1]), (Hop::All, &self.all, *logger)];
        for (hop, served, next) in hops {
            for client in &served.clients {
                let booked = client.sent + client.skipped + client.undelivered;
                must(client.published == booked, "published = sent + skipped + not delivered", format!("{client:?}"));
            }
            if self.beside == Beside::Stopped {
                self.exact(hop, served, next, &mut must);
                continue;
            }
            let whole =
                Client { published: served.messages, before: 0, sent: served.messages, skipped: 0, undelivered: 0 };
            let is_whole = served.clients.contains(&whole) && next == Received { messages: served.messages, missed: 0 };
            must(is_whole, "the next one receives all", format!("{next:?} of {served:?}"));
        }
        faults
    }

    /// Where outputs do not wait: each client that stayed is one who received just what it was sent, and missed what was skipped.
    fn exact(&self, hop: Hop, served: &Served, next: Received, must: &mut impl FnMut(bool, &str, String)) {
        let others = self.others.iter().filter(|(at, _)| *at == hop).map(|(_, received)| *received);
        let mut received: Vec<Received> = others.chain([next]).collect();
        let mut sent: Vec<&Client> = served.stayed().collect();
        received.sort_by_key(|received| received.messages);
        sent.sort_by_key(|client| client.sent);
        must(
            sent.len() == received.len() && sent.len() == served.clients.len(),
            "all clients stay",
            format!("{served:?}"),
        );
        for (client, received) in sent.into_iter().zip(received) {
            let told = || format!("{received:?}, {client:?}");
            must(client.sent == received.messages, "what was sent to a client it received", told());
            // What was skipped before its first container, or not delivered behind its last, no sequence number shows.
            must(received.missed <= client.skipped, "what a client missed was skipped", told());
            let all = client.before + received.messages + client.skipped + client.undelivered;
            must(all == served.messages, "sent = received + skipped", told());
        }
    }

    /// Messages that were skipped, for all clients of all outputs.
    pub fn skipped(&self) -> u64 {
        let clients = [&self.low, &self.high, &self.all].into_iter().flat_map(|served| &served.clients);
        self.probe.missed + clients.map(|client| client.skipped + client.undelivered).sum::<u64>()
    }
}

impl Probe {
    fn of(said: &Said) -> Result<Probe, String> {
        let label = ": records ";
        let line = said.text.lines().find_map(|line| line.split_once(label)).ok_or_else(|| no(said, label))?.1;
        let [offered, sent, ..] = numbers(line)[..] else { return Err(no(said, label)) };
        let note = |what: &str| said.text.lines().find(|line| line.ends_with(what)).map_or(0, |line| numbers(line)[0]);
        let unheard = note(" records were published while no client was connected");
        Ok(Probe { offered, sent, unheard, missed: note(" records were missed by slow or leaving clients") })
    }
}

fn after<'s>(said: &'s Said, label: &str) -> Result<&'s str, String> {
    lines(said, label).next().ok_or_else(|| no(said, label))
}

/// What stands behind a label, for each line that has it.
fn lines<'s>(said: &'s Said, label: &str) -> impl Iterator<Item = &'s str> {
    said.text.lines().filter_map(move |line| Some(line.split_once(label)?.1))
}

/// The numbers of a line, in order.
fn numbers(line: &str) -> Vec<u64> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

fn no(said: &Said, what: &str) -> String {
    format!("{} does not say {what:?}:\n{}", said.name, said.text)
}
