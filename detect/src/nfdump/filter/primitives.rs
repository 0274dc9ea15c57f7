//! The primitives: from words to what they ask of a flow.
use super::lexer::Token;
use super::parser::{FilterError, Parser, unexpected};
use super::{Ends, Filter, Measure, Order, Place};

/// Events of a firewall by the starts of their names.
const FIREWALL_EVENTS: [(&str, u64); 7] =
    [("ignore", 0), ("create", 1), ("term", 2), ("delete", 2), ("deny", 3), ("alert", 4), ("update", 5)];
const NAT_EVENTS: [(&str, u64); 4] = [("invalid", 0), ("add", 1), ("create", 1), ("delete", 2)];
/// Extended events that say why a firewall denied.
const DENIALS: [(&str, u64); 4] = [("ingress", 1001), ("egress", 1002), ("interface", 1003), ("nosyn", 1004)];
const FIREWALL_DENIED: u64 = 3;

/// What a router did with the packets (RFC 7270 section 4.12), by the short names of nfdump.
const FORWARDING: [(&str, u64); 23] = [
    ("ukwn", 0),
    ("forw", 1),
    ("frag", 2),
    ("drop", 16),
    ("dacld", 17),
    ("daclp", 18),
    ("noroute", 19),
    ("dadj", 20),
    ("dfrag", 21),
    ("dbadh", 22),
    ("dbadtlen", 23),
    ("dbadhlen", 24),
    ("dbadttl", 25),
    ("dpolicy", 26),
    ("dwred", 27),
    ("drpf", 28),
    ("dforus", 29),
    ("dbadof", 30),
    ("dhw", 31),
    ("term", 128),
    ("tadj", 129),
    ("tincadj", 130),
    ("tforus", 131),
];

impl Parser<'_, '_> {
    pub(super) fn primitive(&mut self) -> Result<Filter, FilterError> {
        if let Some(ends) = self.ends() {
            let word = self.keyword()?;
            return match self.of_pair(&word, Some(ends))? {
                Some(filter) => Ok(filter),
                None if word == "mac" => self.mac(None, Some(ends)),
                None => Err(unexpected("ip, net, port or another that has two ends", Some(&word))),
            };
        }
        let word = self.keyword()?;
        if let Some(filter) = self.of_pair(&word, None)? {
            return Ok(filter);
        }
        if let Some(measure) = number(&word) {
            return self.number(measure);
        }
        match word.as_str() {
            "any" => Ok(Filter::Any),
            "inet" | "ipv4" => Ok(Filter::Family { v6: false }),
            "inet6" | "ipv6" => Ok(Filter::Family { v6: true }),
            "proto" => self.protocol().map(Filter::Protocol),
            "tun" => {
                self.need_word("proto")?;
                let number = self.protocol()?;
                Ok(Filter::Number(Measure::TunnelProtocol, Order::Equal, vec![number.into()]))
            }
            "flags" => self.tcp_flags(),
            "icmp-type" => self.icmp(Measure::IcmpType),
            "icmp-code" => self.icmp(Measure::IcmpCode),
            "if" => {
                let (order, numbers) = self.comparison(Measure::Input)?;
                Ok(Filter::of_ends(Ends::Either, [Measure::Input, Measure::Output], order, numbers))
            }
            "in" | "out" => self.of_way(word == "in"),
            "prev" | "previous" => self.named(&[("as", Measure::PreviousSystem)]),
            "next" if self.take_word("ip") => self.addresses(Place::NextHop, Ends::Source),
            "next" => self.named(&[("as", Measure::NextSystem)]),
            "bgpnext" => self.need_word("ip").and_then(|()| self.addresses(Place::BgpNext, Ends::Source)),
            "router" => self.need_word("ip").and_then(|()| self.addresses(Place::Router, Ends::Source)),
            "mac" => self.mac(None, None),
            "mpls" => self.mpls(),
            "dir" | "flowdir" => self.named_number(&[("ingress", 0), ("egress", 1)], Measure::Direction),
            "fwdstat" => self.named_number(&FORWARDING, Measure::Forwarding),
            "client" => self.named(&[("latency", Measure::ClientLatency)]),
            "server" => self.named(&[("latency", Measure::ServerLatency)]),
            "app" => self.named(&[("latency", Measure::ApplicationLatency)]),
            "observation" => {
                let is_domain = self.take_word("domain");
                if !is_domain {
                    self.need_word("point")?;
                }
                self.need_word("id")?;
                self.number(if is_domain { Measure::ObservationDomain } else { Measure::ObservationPoint })
            }
            "asa" => self.firewall(),
            "nat" => self.need_word("event").and_then(|()| self.named_number(&NAT_EVENTS, Measure::Event)),
            "ingress" => self.named(&[
                ("acl", Measure::IngressList),
                ("ace", Measure::IngressEntry),
                ("xace", Measure::IngressExtendedEntry),
                ("vrf", Measure::IngressVrf),
            ]),
            "egress" => self.named(&[("acl", Measure::EgressList), ("vrf", Measure::EgressVrf)]),
            "pblock" => self.named(&[
                ("start", Measure::BlockStart),
                ("end", Measure::BlockEnd),
                ("step", Measure::BlockStep),
                ("size", Measure::BlockSize),
            ]),
            _ => Err(unexpected("a primitive (see the manual)", Some(&word))),
        }
    }

    /// A primitive that has a source and a destination.
    fn of_pair(&mut self, word: &str, ends: Option<Ends>) -> Result<Option<Filter>, FilterError> {
        let either = ends.unwrap_or(Ends::Either);
        let network = |this: &mut Self, place| Ok(Some(Filter::Address(place, either, vec![this.network(true)?])));
        match word {
            "ip" | "host" => return self.addresses(Place::Ends, either).map(Some),
            "tunip" => return self.addresses(Place::Tunnel, either).map(Some),
            "xip" | "nip" => return self.addresses(Place::Translated, either).map(Some),
            "net" => return network(self, Place::Ends),
            "xnet" => return network(self, Place::Translated),
            _ => {}
        }
        let pair = match word {
            "port" => [Measure::SourcePort, Measure::DestinationPort],
            "xport" | "nport" => [Measure::TranslatedSourcePort, Measure::TranslatedDestinationPort],
            "as" => [Measure::SourceSystem, Measure::DestinationSystem],
            "vlan" => [Measure::SourceVlan, Measure::DestinationVlan],
            "mask" => [Measure::SourceMask, Measure::DestinationMask],
            "tos" => [Measure::Tos, Measure::TosBack],
            _ => return Ok(None),
        };
        if word == "port" && self.take_words("in", "pblock") {
            let in_block = [Measure::SourceInBlock, Measure::DestinationInBlock];
            return Ok(Some(Filter::of_ends(either, in_block, Order::Equal, vec![1])));
        }
        let (order, numbers) = self.comparison(pair[0])?;
        let ends = if word == "tos" { ends.unwrap_or(Ends::Source) } else { either };
        Ok(Some(Filter::of_ends(ends, pair, order, numbers)))
    }

    /// What follows `in` or `out`.
    fn of_way(&mut self, is_in: bool) -> Result<Filter, FilterError> {
        let ends = self.ends();
        if ends.is_some() || self.take_word("mac") {
            if ends.is_some() {
                self.need_word("mac")?;
            }
            return self.mac(Some(is_in), ends);
        }
        let measures = if is_in {
            [Measure::Input, Measure::Packets, Measure::Bytes]
        } else {
            [Measure::Output, Measure::PacketsBack, Measure::BytesBack]
        };
        self.named(&[("if", measures[0]), ("packets", measures[1]), ("bytes", measures[2])])
    }

    /// A MAC address at those of the four places that are meant.
    fn mac(&mut self, is_in: Option<bool>, ends: Option<Ends>) -> Result<Filter, FilterError> {
        let word = self.word("a MAC address")?;
        let Some(mac) = mac(word) else { return Err(unexpected("a MAC address", Some(word))) };
        let places = [
            (true, Ends::Source, Measure::InSourceMac),
            (true, Ends::Destination, Measure::InDestinationMac),
            (false, Ends::Source, Measure::OutSourceMac),
            (false, Ends::Destination, Measure::OutDestinationMac),
        ];
        if let Some(Ends::Either | Ends::Both) = ends {
            return Err(unexpected("src mac or dst mac, one of them", Some(word)));
        }
        let meant =
            places.iter().filter(|(way, end, _)| is_in.is_none_or(|is| is == *way) && ends.is_none_or(|is| is == *end));
        Ok(Filter::Or(meant.map(|(.., measure)| Filter::Number(*measure, Order::Equal, vec![mac])).collect()))
    }

    fn mpls(&mut self) -> Result<Filter, FilterError> {
        let word = self.keyword()?;
        let place = |digits: &str| digits.parse::<u8>().ok().filter(|n| (1..=10).contains(n)).map(|n| n - 1);
        let measure = match word.as_str() {
            // nfdump, too, looks at the bottom of the stack only.
            "eos" | "any" => Some(Measure::MplsBottom),
            word => match (word.strip_prefix("label"), word.strip_prefix("exp")) {
                (Some(digits), _) => place(digits).map(Measure::MplsLabel),
                (_, Some(digits)) => place(digits).map(Measure::MplsExperimental),
                _ => None,
            },
        };
        self.number(measure.ok_or_else(|| unexpected("label1 to label10, exp1 to exp10, eos or any", Some(&word)))?)
    }

    fn firewall(&mut self) -> Result<Filter, FilterError> {
        if self.take_word("xevent") {
            return self.number(Measure::EventExtended);
        }
        self.need_word("event")?;
        if !self.take_word("denied") {
            return self.named_number(&FIREWALL_EVENTS, Measure::Event);
        }
        let why = self.named_number(&DENIALS, Measure::EventExtended)?;
        Ok(Filter::And(vec![Filter::Number(Measure::Event, Order::Equal, vec![FIREWALL_DENIED]), why]))
    }

    /// A number that only ICMP has.
    fn icmp(&mut self, measure: Measure) -> Result<Filter, FilterError> {
        let is_icmp = Filter::Or(vec![Filter::Protocol(1), Filter::Protocol(58)]);
        Ok(Filter::And(vec![is_icmp, self.number(measure)?]))
    }

    /// One of these words, and a comparison with what it names.
    fn named(&mut self, words: &[(&str, Measure)]) -> Result<Filter, FilterError> {
        let word = self.keyword()?;
        match words.iter().find(|(name, _)| *name == word) {
            Some((_, measure)) => self.number(*measure),
            None => Err(unexpected("another word behind the one before", Some(&word))),
        }
    }

    /// One of these names for a number, or a comparison.
    fn named_number(&mut self, names: &[(&str, u64)], measure: Measure) -> Result<Filter, FilterError> {
        if let Some((_, number)) = names.iter().find(|(name, _)| self.take_word(name)) {
            return Ok(Filter::Number(measure, Order::Equal, vec![*number]));
        }
        self.number(measure)
    }

    fn keyword(&mut self) -> Result<String, FilterError> {
        Ok(self.word("a primitive such as \"proto tcp\" or \"dst port 53\"")?.to_ascii_lowercase())
    }

    fn need_word(&mut self, wanted: &'static str) -> Result<(), FilterError> {
        if self.take_word(wanted) { Ok(()) } else { Err(self.expected(wanted)) }
    }

    fn take_words(&mut self, one: &str, two: &str) -> bool {
        let are = matches!(self.tokens, [Token::Word(a), Token::Word(b), ..]
            if a.eq_ignore_ascii_case(one) && b.eq_ignore_ascii_case(two));
        if are {
            self.tokens = &self.tokens[2..];
        }
        are
    }
}

/// Primitives that are one word and a comparison.
fn number(word: &str) -> Option<Measure> {
    Some(match word {
        "count" => Measure::Count,
        "packets" => Measure::Packets,
        "bytes" => Measure::Bytes,
        // The manual has the one, the program the other.
        "flow" | "flows" => Measure::Flows,
        "duration" => Measure::Duration,
        "pps" => Measure::PacketsPerSecond,
        "bps" => Measure::BitsPerSecond,
        "bpp" => Measure::BytesPerPacket,
        "engine-id" => Measure::Engine,
        "engine-type" => Measure::EngineType,
        "sysid" => Measure::Exporter,
        _ => return None,
    })
}

/// Six octets of one or two hexadecimal digits.
fn mac(word: &str) -> Option<u64> {
    let mut octets = word.split(':');
    let mac = octets.by_ref().take(6).try_fold((0, 0), |(mac, count), octet| {
        let is_one = (1..=2).contains(&octet.len());
        let octet = u8::from_str_radix(octet, 16).ok().filter(|_| is_one)?;
        Some((mac << 8 | u64::from(octet), count + 1))
    });
    mac.filter(|(_, count)| *count == 6 && octets.next().is_none()).map(|(mac, _)| mac)
}
