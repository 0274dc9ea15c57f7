//! What is known of one address: its mail in both directions, and how likely it is one that sends spam.
use crate::sdk::{IpAddr, Time};
use std::collections::HashSet;

/// Different destinations of an address that are as usual.
const DESTINATIONS_USUAL: usize = 10;
/// Received flows for each one sent that are as usual.
const RATIO_USUAL: f64 = 1.2;
/// Names and senders of an address that a report shows, and bytes of each that are kept: as many as the exporter has.
const SHOWN: usize = 5;
const SHOWN_BYTES: usize = 255;
/// Bits of SMTP_STAT_CODE_FLAGS: said to be spam, and those that are status codes.
const SPAM: u32 = 0x4000_0000;
const CODES: u32 = 0x80ff_ffff;
/// TCP flags of a flow of a SYN alone are no more than this.
const SYN: u8 = 2;

/// A flow of mail.
#[derive(Clone, Debug)]
pub(super) struct Flow<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub port: u16,
    pub flags: u8,
    pub packets: u32,
    pub bytes: u64,
    pub first: Time,
    pub last: Time,
    /// Of flows of SMTP.
    pub smtp: Option<Smtp<'a>>,
}

/// What was said in a flow of SMTP.
#[derive(Clone, Debug, Default)]
pub(super) struct Smtp<'a> {
    pub codes: u32,
    pub domain: &'a str,
    pub recipient: &'a str,
    pub sender: &'a str,
}

impl Flow<'_> {
    /// Points for what servers of spam do.
    fn score(&self) -> Option<i32> {
        let smtp = self.smtp.as_ref()?;
        let spam = if smtp.codes & SPAM != 0 { 5 } else { 0 };
        let missing = i32::from(smtp.sender.is_empty()) + i32::from(smtp.recipient.is_empty());
        Some(spam + missing + (smtp.codes & CODES).count_ones() as i32 - i32::from(self.flags > SYN))
    }

    /// Name of the protocol.
    fn protocol(&self) -> &'static str {
        match self.port {
            _ if self.smtp.is_some() => "SMTP",
            25 => "SMTP",
            465 => "SMTP_SECURE",
            143 => "POP3",
            993 => "IMAP_SECURE",
            _ => "POP3_SECURE",
        }
    }
}

/// Ports of the flows that are looked at.
pub(super) const PORTS: [u16; 5] = [25, 465, 143, 993, 995];

/// What a look at an address found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub score: f64,
    pub confidence: f64,
    /// The confidence before this look.
    pub before: f64,
    pub tags: Vec<&'static str>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entity {
    pub incoming: u64,
    pub outgoing: u64,
    pub bytes: u64,
    pub packets: u64,
    /// A running sum, not an average, as in the original.
    pub average_score: f64,
    pub confidence: f64,
    pub destinations: HashSet<IpAddr>,
    pub protocols: Vec<&'static str>,
    pub domains: Vec<String>,
    pub senders: Vec<String>,
    pub first: Time,
    pub last: Time,
}

impl Entity {
    /// One that sent its first flow. Its packets, protocol and score do not count, as in the original.
    pub(super) fn sender(flow: &Flow<'_>) -> Entity {
        let mut entity =
            Entity { outgoing: 1, bytes: flow.bytes, first: flow.first, last: flow.last, ..Entity::default() };
        entity.show(flow);
        entity
    }

    /// One that was sent a flow.
    pub(super) fn receiver(at: Time) -> Entity {
        Entity { incoming: 1, first: at, last: at, ..Entity::default() }
    }

    /// Counts a further flow that it sent.
    pub(super) fn add(&mut self, flow: &Flow<'_>) {
        self.packets = self.packets.saturating_add(flow.packets.into());
        self.bytes = self.bytes.saturating_add(flow.bytes);
        self.outgoing += 1;
        if let Some(score) = flow.score() {
            self.average_score += f64::from(score) / self.outgoing as f64;
        }
        let protocol = flow.protocol();
        if !self.protocols.contains(&protocol) {
            self.protocols.push(protocol);
        }
        self.show(flow);
        self.last = self.last.max(flow.last);
    }

    /// Remembers what a report shows.
    fn show(&mut self, flow: &Flow<'_>) {
        let Some(smtp) = &flow.smtp else { return };
        for (list, text) in [(&mut self.domains, smtp.domain), (&mut self.senders, smtp.sender)] {
            let text = &text[..text.floor_char_boundary(SHOWN_BYTES)];
            if list.len() < SHOWN && !list.iter().any(|known| known == text) {
                list.push(text.to_owned());
            }
        }
    }

    /// Says how likely it sends spam.
    pub(super) fn judge(&mut self) -> Verdict {
        let mut score = self.average_score;
        if self.incoming == 0 {
            // Without a flow in any direction there is no entity.
            score += (self.outgoing as f64).ln();
        }
        let ratio = if self.outgoing == 0 { 0.0 } else { self.incoming as f64 / self.outgoing as f64 };
        let signs = [("CONN_CNT", self.destinations.len() > DESTINATIONS_USUAL), ("TR_RAT", ratio > RATIO_USUAL)];
        for (_, is_so) in signs {
            score += if is_so { 1.0 } else { -1.0 };
        }
        let confidence = 1.0 / ((-score / 2.0).exp() + 1.0);
        let before = std::mem::replace(&mut self.confidence, confidence);
        let tags = signs.iter().filter(|(_, is_so)| *is_so).map(|(tag, _)| *tag).collect();
        Verdict { score, confidence, before, tags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A flow between hosts with these last bytes, a second each.
    fn flow(from: u8, to: u8, secs: u64) -> Flow<'static> {
        let [first, last] = [secs * 1_000_000_000, secs * 1_000_000_000 + 500_000_000].map(Time);
        let [source, destination] = [from, to].map(|host| IpAddr::from([10, 0, 0, host]));
        Flow { source, destination, port: 25, flags: 27, packets: 12, bytes: 2_400, first, last, smtp: None }
    }

    #[test]
    fn points_of_a_flow_of_smtp() {
        let score = |codes, sender, recipient, flags| {
            let smtp = Some(Smtp { codes, domain: "d", recipient, sender });
            Flow { smtp, flags, ..flow(1, 2, 0) }.score().unwrap()
        };
        assert_eq!(score(0, "a", "b", 2), 0);
        assert_eq!((score(0, "", "", 2), score(0, "", "", 3), score(0, "a", "b", 27)), (2, 1, -1));
        assert_eq!((score(SPAM, "a", "b", 2), score(0xffff_ffff, "a", "b", 2)), (5, 30));
        assert_eq!(flow(1, 2, 0).score(), None);
    }

    #[test]
    fn the_first_flow_counts_less_than_the_others() {
        let mail = |n: u8| {
            let smtp = Some(Smtp { codes: 0x48, domain: ["x", "y"][usize::from(n % 2)], recipient: "r", sender: "" });
            Flow { smtp, ..flow(1, n, n.into()) }
        };
        let mut entity = Entity::sender(&mail(2));
        assert_eq!((entity.packets, entity.bytes, entity.protocols.len(), entity.average_score), (0, 2_400, 0, 0.0));
        (3..5).for_each(|n| entity.add(&mail(n)));
        // Two codes, no sender, more than SYN: 2, halved and then divided by three.
        assert_eq!((entity.average_score, entity.packets, entity.outgoing), (1.0 + 2.0 / 3.0, 24, 3));
        assert_eq!(
            (entity.domains.join(","), entity.senders.len(), entity.protocols),
            ("x,y".to_owned(), 1, vec!["SMTP"])
        );
        assert_eq!((entity.first.secs(), entity.last.secs()), (2, 4));
    }

    #[test]
    fn many_receivers_or_much_that_comes_back_are_signs() {
        let mut entity = Entity { outgoing: 82, ..Entity::default() };
        assert_eq!(entity.judge().tags, [] as [&str; 0]);
        entity.destinations = (0..11).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let verdict = entity.judge();
        assert_eq!((verdict.tags, verdict.score), (vec!["CONN_CNT"], 82_f64.ln()));
        assert!((0.9005..0.9006).contains(&verdict.confidence) && verdict.before > 0.5);
        entity.incoming = 99;
        let verdict = entity.judge();
        assert_eq!((verdict.tags, verdict.score), (vec!["CONN_CNT", "TR_RAT"], 2.0));
        assert_eq!(Entity::receiver(Time(5)).judge().score, -2.0);
    }
}
