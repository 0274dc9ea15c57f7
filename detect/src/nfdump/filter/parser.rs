//! From text to an expression, by recursive descent.
use super::lexer::{Token, tokens};
use super::{DEPTH_MAX, Ends, Filter, Measure, NODES_MAX, Network, Order, Place};
use std::net::{IpAddr, Ipv4Addr};

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("filter: expected {expected}, found {found}")]
    Unexpected { expected: &'static str, found: String },
    #[error("filter: it has more than {NODES_MAX} parts, or more than {DEPTH_MAX} inside of each other")]
    TooLarge,
}

/// Protocols by name.
const PROTOCOLS: [(&str, u8); 12] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipip", 4),
    ("tcp", 6),
    ("udp", 17),
    ("rsvp", 46),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmp6", 58),
    ("ospf", 89),
    ("sctp", 132),
];

/// Reads a filter; an empty one takes every flow.
///
/// # Errors
/// See [`FilterError`].
pub fn parse(text: &str) -> Result<Filter, FilterError> {
    let tokens = tokens(text).map_err(|rest| unexpected("a word or a sign", Some(rest)))?;
    if tokens.is_empty() {
        return Ok(Filter::Any);
    }
    if tokens.len() > NODES_MAX {
        return Err(FilterError::TooLarge);
    }
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let filter = parser.alternatives()?;
    match parser.tokens {
        [] => Ok(filter),
        [..] => Err(parser.expected("and, or, or the end")),
    }
}

pub(super) struct Parser<'p, 't> {
    pub(super) tokens: &'p [Token<'t>],
    depth: usize,
}

impl<'t> Parser<'_, 't> {
    fn alternatives(&mut self) -> Result<Filter, FilterError> {
        let mut any = vec![self.conjunction()?];
        while self.take_word("or") || self.take_sign("||") {
            any.push(self.conjunction()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Filter::Or(any) })
    }

    fn conjunction(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.term()?];
        while self.take_word("and") || self.take_sign("&&") {
            all.push(self.term()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Filter::And(all) })
    }

    fn term(&mut self) -> Result<Filter, FilterError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(FilterError::TooLarge);
        }
        let filter = if self.take_word("not") || self.take_sign("!") {
            Filter::Not(Box::new(self.term()?))
        } else if self.take_sign("(") {
            let inner = self.alternatives()?;
            self.need_sign(")", "a closing parenthesis")?;
            inner
        } else {
            self.primitive()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    /// `src`, `dst`, `src or dst`, `src and dst`, in either order.
    pub(super) fn ends(&mut self) -> Option<Ends> {
        let first = self.end()?;
        let joined = match self.tokens {
            [Token::Word(joint), Token::Word(end), ..] if is_end(end) => match joint.to_ascii_lowercase().as_str() {
                "or" => Ends::Either,
                "and" => Ends::Both,
                _ => return Some(first),
            },
            _ => return Some(first),
        };
        self.tokens = &self.tokens[2..];
        Some(joined)
    }

    fn end(&mut self) -> Option<Ends> {
        if self.take_word("src") { Some(Ends::Source) } else { self.take_word("dst").then_some(Ends::Destination) }
    }

    pub(super) fn addresses(&mut self, place: Place, ends: Ends) -> Result<Filter, FilterError> {
        let networks =
            if self.take_word("in") { self.list(|one| one.network(false))? } else { vec![self.network(false)?] };
        Ok(Filter::Address(place, ends, networks))
    }

    /// `[X Y]` or `[X, Y]`.
    fn list<T>(&mut self, element: impl Fn(&mut Self) -> Result<T, FilterError>) -> Result<Vec<T>, FilterError> {
        self.need_sign("[", "a list in brackets")?;
        let mut elements = Vec::new();
        while !self.take_sign("]") {
            elements.push(element(self)?);
            self.take_sign(",");
        }
        Ok(elements)
    }

    /// `A` or `A/LENGTH`; with `masked` also `A MASK`, and not `A` alone.
    pub(super) fn network(&mut self, masked: bool) -> Result<Network, FilterError> {
        let word = self.word("an address")?;
        let Ok(ip) = word.parse::<IpAddr>() else { return Err(unexpected("an address", Some(word))) };
        let length = if self.take_sign("/") {
            let word = self.word("the length of a prefix")?;
            Some(word.parse().map_err(|_| unexpected("the length of a prefix", Some(word)))?)
        } else if masked {
            let word = self.word("a mask, or the length of a prefix behind a slash")?;
            let mask = word
                .parse::<Ipv4Addr>()
                .ok()
                .map(Ipv4Addr::to_bits)
                .filter(|mask| mask.leading_ones() == mask.count_ones());
            Some(mask.ok_or_else(|| unexpected("a mask such as 255.255.0.0", Some(word)))?.leading_ones() as u8)
        } else {
            None
        };
        Network::new(ip, length).ok_or_else(|| unexpected("a length that the family has", Some(word)))
    }

    /// By its name or number.
    pub(super) fn protocol(&mut self) -> Result<u8, FilterError> {
        let word = self.word("a protocol")?;
        let named = PROTOCOLS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number);
        named.or_else(|| word.parse().ok()).ok_or_else(|| unexpected("a protocol's name or number", Some(word)))
    }

    /// Only TCP has flags.
    pub(super) fn tcp_flags(&mut self) -> Result<Filter, FilterError> {
        Ok(Filter::And(vec![Filter::Protocol(6), self.flags()?]))
    }

    /// Letters want these flags set, a number compares with all of them.
    fn flags(&mut self) -> Result<Filter, FilterError> {
        let order = self.order();
        let word = self.word("TCP flags")?;
        if let Ok(number) = word.parse() {
            return Ok(Filter::Number(Measure::TcpFlags, order, vec![number]));
        }
        let letters = word.chars().try_fold(0, |flags, letter| {
            Some(
                flags
                    | match letter.to_ascii_uppercase() {
                        'F' => 1,
                        'S' => 2,
                        'R' => 4,
                        'P' => 8,
                        'A' => 16,
                        'U' => 32,
                        'X' => 63,
                        _ => return None,
                    },
            )
        });
        letters.map(Filter::Flags).ok_or_else(|| unexpected("letters of UAPRSFX, or a number", Some(word)))
    }

    pub(super) fn number(&mut self, measure: Measure) -> Result<Filter, FilterError> {
        let (order, numbers) = self.comparison(measure)?;
        Ok(Filter::Number(measure, order, numbers))
    }

    /// `OP N`, or `in [N ...]`; no number may be larger than any that is measured.
    pub(super) fn comparison(&mut self, measure: Measure) -> Result<(Order, Vec<u64>), FilterError> {
        if self.take_word("in") {
            let mut numbers = self.list(|one| one.count(measure.most()))?;
            numbers.sort_unstable();
            return Ok((Order::Equal, numbers));
        }
        let order = self.order();
        Ok((order, vec![self.count(measure.most())?]))
    }

    pub(super) fn order(&mut self) -> Order {
        let known = [
            (["=", "==", "eq"], Order::Equal),
            (["<", "<", "lt"], Order::Less),
            ([">", ">", "gt"], Order::Greater),
            (["<=", "<=", "le"], Order::AtMost),
            ([">=", ">=", "ge"], Order::AtLeast),
        ];
        for ([sign, other, word], order) in known {
            if self.take_sign(sign) || self.take_sign(other) || self.take_word(word) {
                return order;
            }
        }
        Order::Equal
    }

    /// Digits and a factor, or hexadecimal.
    fn count(&mut self, most: u64) -> Result<u64, FilterError> {
        let word = self.word("a number")?;
        let wrong = || unexpected("a number", Some(word));
        let number = if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            u64::from_str_radix(digits, 16).ok()
        } else {
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let factor = match &word[digits.len()..] {
                "" => 1,
                "k" | "K" => 1_000,
                "m" | "M" => 1_000_000,
                "g" | "G" => 1_000_000_000,
                "t" | "T" => 1_000_000_000_000,
                _ => return Err(wrong()),
            };
            digits.parse::<u64>().ok().and_then(|n| n.checked_mul(factor))
        };
        let number = number.ok_or_else(wrong)?;
        if number <= most { Ok(number) } else { Err(unexpected("a number that fits", Some(word))) }
    }

    pub(super) fn word(&mut self, expected: &'static str) -> Result<&'t str, FilterError> {
        match self.tokens {
            [Token::Word(word), rest @ ..] => {
                self.tokens = rest;
                Ok(word)
            }
            _ => Err(self.expected(expected)),
        }
    }

    pub(super) fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens, [Token::Word(word), ..] if word.eq_ignore_ascii_case(wanted));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    pub(super) fn take_sign(&mut self, wanted: &str) -> bool {
        let found = matches!(self.tokens, [Token::Sign(sign), ..] if *sign == wanted);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    pub(super) fn need_sign(&mut self, wanted: &str, expected: &'static str) -> Result<(), FilterError> {
        if self.take_sign(wanted) { Ok(()) } else { Err(self.expected(expected)) }
    }

    pub(super) fn expected(&self, expected: &'static str) -> FilterError {
        let found = self.tokens.first().map(|token| match token {
            Token::Word(text) | Token::Sign(text) => *text,
        });
        unexpected(expected, found)
    }
}

fn is_end(word: &str) -> bool {
    ["src", "dst"].iter().any(|end| end.eq_ignore_ascii_case(word))
}

/// Long texts are cut in the message.
pub(super) fn unexpected(expected: &'static str, found: Option<&str>) -> FilterError {
    let found = found.map_or("the end".to_owned(), |text| format!("\"{}\"", text.chars().take(40).collect::<String>()));
    FilterError::Unexpected { expected, found }
}

#[cfg(test)]
mod tests {
    use super::super::super::Flow;
    use super::*;
    use proptest::prelude::*;

    fn flow() -> Flow {
        Flow {
            first: 1_000,
            last: 3_000,
            packets: 10,
            bytes: 5_000,
            source: "192.0.2.1".parse().unwrap(),
            destination: "10.0.0.1".parse().unwrap(),
            ports: [50_000, 443],
            protocol: 6,
            tcp_flags: 0x1b,
            tos: 8,
            input: 3,
            engine: 1,
            ..Flow::default()
        }
    }

    #[test]
    fn what_matches() {
        for text in [
            "",
            "any # all of them",
            "inet and not ipv6",
            "proto TCP and proto 6",
            "src ip 192.0.2.1",
            "host 10.0.0.1 && ! host 10.0.0.2",
            "src net 192.0.2.0/24 and dst net 10.0.0.0 255.0.0.0",
            "ip in [10.0.0.0/8, 2001:db8::/32]",
            "dst port 443 and src port > 1024",
            "port in [80 443]",
            "src or dst port 443 and not (src and dst port 443)",
            "flags SA and flags 27 and not flags UR and not flags 2 and flags > 26",
            "in if 3 and engine-id 1 and tos 8",
            "packets = 10 and bytes >= 5k and bytes le 5000 and bytes < 1m",
            "duration 2000 and pps 5 and bps eq 20K and bpp 500",
            "proto udp and proto tcp or inet",
            "not proto udp\nand inet",
            "not icmp-type 1 and not icmp-code 187",
        ] {
            assert!(parse(text).unwrap().matches(&flow(), 1), "{text}");
            assert!(
                !parse(&format!("not ({text} {})", if text.is_empty() { "any" } else { "\n" }))
                    .unwrap()
                    .matches(&flow(), 1),
                "{text}"
            );
        }
    }

    #[test]
    fn types_and_codes_of_icmp() {
        let flow = Flow { protocol: 58, ports: [0, 0x8004], ..flow() };
        assert!(parse("icmp-type 128 and icmp-code = 4 and not icmp-type > 128").unwrap().matches(&flow, 1));
    }

    #[test]
    fn what_is_no_filter() {
        for (text, said) in [
            ("proto", "filter: expected a protocol, found the end"),
            ("proto xyz", "filter: expected a protocol's name or number, found \"xyz\""),
            ("src proto tcp", "filter: expected ip, net, port or another that has two ends, found \"proto\""),
            ("any any", "filter: expected and, or, or the end, found \"any\""),
            ("(any", "filter: expected a closing parenthesis, found the end"),
            ("port 5x", "filter: expected a number, found \"5x\""),
            ("net 10.0.0.0 255.0.255.0", "filter: expected a mask such as 255.255.0.0, found \"255.0.255.0\""),
            ("net 10.0.0.0/33", "filter: expected a length that the family has, found \"10.0.0.0\""),
            ("$", "filter: expected a word or a sign, found \"$\""),
            ("in of 3", "filter: expected another word behind the one before, found \"of\""),
            ("port 65536", "filter: expected a number that fits, found \"65536\""),
            ("src or dst mac 1:2:3:4:5:6", "filter: expected src mac or dst mac, one of them, found \"1:2:3:4:5:6\""),
            ("mac 1:2:3:4:5", "filter: expected a MAC address, found \"1:2:3:4:5\""),
            ("mpls label11 5", "filter: expected label1 to label10, exp1 to exp10, eos or any, found \"label11\""),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), said, "{text}");
        }
        assert_eq!(parse(&"not ".repeat(200)), Err(FilterError::TooLarge));
        assert_eq!(parse(&"( ".repeat(20_000)), Err(FilterError::TooLarge));
    }

    proptest! {
        #[test]
        fn nearly_valid_texts(text in r"((src|dst|ip|net|port|in|if|proto|tcp|flags|S|and|or|not|bytes|>|<=|10k|10\.0\.0\.0|/|8|\(|\)|\[|\]|,|!|#) ?){0,20}") {
            if let Ok(filter) = parse(&text) {
                filter.matches(&flow(), 1);
            }
        }
    }
}
