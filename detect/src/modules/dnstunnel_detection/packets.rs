//! Packets as lines of text, which tshark can write: `TIME;SRC,DST;SRC6,DST6;RESPONSE;SIZE;NAME;IP;TXT;CNAME;MX;NS`. One of the pairs of
//! addresses is empty; what follows the name is there for responses only.
use super::NAME_MAX;
use super::host::{Message, TEXT_MAX};
use crate::argparse::{atoi, strtod};
use crate::lines::Lines;
use crate::sdk::Failure;
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;
use std::path::Path;

/// Reads a file.
pub(super) struct Packets {
    lines: Lines<BufReader<File>>,
    /// Lines that are no packet.
    skipped: u64,
}

/// A packet.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    /// Unix seconds.
    pub(super) time: f64,
    /// Who asked.
    pub(super) address: IpAddr,
    pub(super) message: Message<'a>,
}

impl Packets {
    pub(super) fn open(path: &Path) -> Result<Packets, Failure> {
        let failed = |why| Failure::Other(format!("Input file couldn't be opened. {}: {why}", path.display()));
        let file = File::open(path).map_err(failed)?;
        Ok(Packets { lines: Lines::new(BufReader::new(file)), skipped: 0 })
    }

    /// The next packet; an error is why the file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Packet<'_>>, String> {
        // A line is lent, so it is parsed again when it is known to be a packet: most of them are.
        loop {
            let Some((line, _)) = self.lines.next().map_err(|why| why.to_string())? else { return Ok(None) };
            if parse(line).is_some() {
                break;
            }
            self.skipped += 1;
        }
        Ok(parse(self.lines.line()))
    }

    /// Says what was skipped.
    pub(super) fn tell(&self) {
        if self.skipped > 0 {
            eprintln!("Warning: {} lines that are no packets were skipped.", self.skipped);
        }
    }
}

fn parse(line: &[u8]) -> Option<Packet<'_>> {
    let mut columns = line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b';');
    let mut next = || columns.next();
    let number = |text: &[u8]| atoi(&String::from_utf8_lossy(text));
    let time = strtod(str::from_utf8(next()?).ok()?);
    let pairs = [next()?, next()?];
    let is_response = number(next()?) != 0;
    // Sizes have 32 bits, as in the original.
    let size = number(next()?) as u32;
    let name = cut(next().unwrap_or_default(), NAME_MAX);
    // The address that is the answer.
    let _ = next();
    let mut answer = || cut(next().unwrap_or_default(), TEXT_MAX);
    let answers = [answer(), answer(), answer(), answer()].map(|text| if is_response { text } else { &[] });
    let pair = pairs.into_iter().find(|pair| !pair.is_empty())?;
    let (source, destination) = str::from_utf8(pair).ok()?.split_once(',')?;
    let address = if is_response { destination } else { source }.parse().ok()?;
    Some(Packet { time, address, message: Message { name, size, answers, is_response } })
}

fn cut(text: &[u8], max: usize) -> &[u8] {
    &text[..text.len().min(max)]
}

/// Any bytes as a line: what a packet has is within its bounds.
pub fn fuzz_packet(input: &[u8]) {
    if let Some(packet) = parse(input) {
        assert!(!packet.time.is_nan() && packet.message.name.len() <= NAME_MAX);
        assert!(packet.message.answers.iter().all(|text| text.len() <= TEXT_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_and_responses() {
        let packet = parse(b"1672654500.25;10.0.0.1,192.0.2.53;;0;80;www.example.com\r").unwrap();
        assert_eq!((packet.time, packet.address), (1_672_654_500.25, IpAddr::from([10, 0, 0, 1])));
        assert_eq!((packet.message.name, packet.message.size), (&b"www.example.com"[..], 80));
        let packet = parse(b"5;;2001:db8::1,2001:db8::2;1;512;n;192.0.2.1;txt;;mx;ns;more").unwrap();
        assert_eq!(packet.address, "2001:db8::2".parse::<IpAddr>().unwrap());
        assert_eq!(packet.message.answers, [&b"txt"[..], b"", b"mx", b"ns"]);
        for line in ["", "1;2", "1;;;0;80;n", "1;10.0.0.1;;0;80;n", "1;x,y;;0;80;n"] {
            assert!(parse(line.as_bytes()).is_none(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line(line in "[0-9.]{0,9};(10.0.0.[0-9],::1)?;(::1,::2)?;[01x]?;[-0-9]{0,11};[a-z.;\u{80}]{0,300}") {
            fuzz_packet(line.as_bytes());
        }
    }
}
