//! link_traffic: flows, packets and bytes of each link and direction, handed to Munin over a unix socket (spec/modules.md section 10).
//!
//! The plugin is [`super::munin`], the CGI script [`super::link_traff2json`].
use super::start;
use crate::argparse::atoi;
use crate::options::{self, flag};
use crate::reading::{self, Next, Reader};
use crate::stats_socket::{CountError, StatsSocket};
use std::collections::HashMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use trap::Input;
use trap::module::{Count, Module, ModuleInfo, Param};

/// Where the links are named; NEMEA is configured with `/etc/nemea`.
pub const CONFIG: &str = "/etc/nemea/link_traffic/link_traff_conf.cfg";
/// Where Munin asks.
pub const SOCKET: &str = "/var/run/libtrap/munin_link_traffic";

const FIELDS: &str = "uint64 BYTES,uint64 LINK_BIT_FIELD,uint32 PACKETS,uint8 DIR_BIT_FIELD";

/// Links of a configuration, at the most.
const LINKS_MAX: usize = 65_536;

/// The links by descending number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(Vec<Link>);

/// A link: a value of LINK_BIT_FIELD with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Compared with the whole field; it is no index of a bit.
    pub number: u64,
    pub name: String,
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("Error while opening config file {path}\n{source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("Error: Parsing link value failed.\nLine {0} does not begin with a number.")]
    Number(usize),
    #[error("Error: No links names loaded.\nLine {0} is not NUMBER,NAME,FIELD,COLOUR.")]
    Name(usize),
    #[error("Error: more than {LINKS_MAX} links.")]
    TooMany,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Counts the traffic of links for Munin.";

const INFO: ModuleInfo = ModuleInfo {
    name: "Link Flows Counter",
    description: "This module counts statistics according to link and direction. Links are named in \
                  /etc/nemea/link_traffic/link_traff_conf.cfg, lines of NUMBER,NAME,FIELD,COLOUR; Munin reads the counters \
                  from the socket /var/run/libtrap/munin_link_traffic.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[flag('d', "no-direction", "Do not print counters of the direction out.")];

/// Runs the module; see [`super::Module::run`]. Every failure behind the interfaces ends it with 0, as in the original.
pub fn main(args: &[String]) -> u8 {
    let is_help = args.iter().any(|a| a == "-h" || a == "--help");
    let mut links = Links::default();
    if !is_help {
        println!("Accessing config file {CONFIG}.");
        links = match Links::load(Path::new(CONFIG)) {
            Ok(links) => links,
            Err(why) => {
                eprintln!("{why}\nError loading configuration.");
                return 0;
            }
        };
        println!(">Configuration success.");
    }
    let Module { args, mut inputs, .. } = match start(&INFO, args, 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let no_direction = match options::parse(&args[1..], PARAMS) {
        Ok(given) => !given.is_empty(),
        Err(why) => {
            eprintln!("Error: Invalid arguments.\n{why}");
            return 0;
        }
    };
    if let Err(why) = run(&mut inputs[0], links, no_direction, Path::new(SOCKET)) {
        eprintln!("{why}");
    }
    0
}

impl Links {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Links, ConfigError> {
        let text = std::fs::read(path).map_err(|source| ConfigError::Open { path: path.to_owned(), source })?;
        Links::parse(&String::from_utf8_lossy(&text))
    }

    /// Reads lines of `number,name,field,colour`; field and colour are not used. Lines that begin with `#` and empty ones are
    /// skipped (the original fails at an empty one). What follows the digits of a number is ignored.
    pub fn parse(text: &str) -> Result<Links, ConfigError> {
        let mut links = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // Several commas are one, as strtok has it.
            let mut items = line.split(',').map(str::trim).filter(|item| !item.is_empty());
            let number = items.next().map(|text| i64::from(atoi(text))).ok_or(ConfigError::Number(at + 1))?;
            let name = items.next().ok_or(ConfigError::Name(at + 1))?.to_owned();
            links.push(Link { number: number as u64, name });
            if links.len() > LINKS_MAX {
                return Err(ConfigError::TooMany);
            }
        }
        links.sort_by_key(|link| std::cmp::Reverse(link.number as i64));
        Ok(Links(links))
    }

    /// The links by descending number.
    pub fn links(&self) -> &[Link] {
        &self.0
    }
}

/// Counters of one link, since the start.
#[derive(Debug, Default)]
struct Counters {
    directions: [Direction; 2],
}

/// Counters of one direction. `packets` wraps at 32 bits, as in the original.
#[derive(Debug, Default)]
struct Direction {
    flows: AtomicU64,
    packets: AtomicU32,
    bytes: AtomicU64,
}

/// Counts until the stream ends or the stop flag is set.
pub fn run(input: &mut Input, links: Links, no_direction: bool, socket: &Path) -> Result<(), CountError> {
    let counters: Arc<[Counters]> = links.0.iter().map(|_| Counters::default()).collect();
    // Of links with the same number the first one counts.
    let places: HashMap<u64, usize> = links.0.iter().enumerate().rev().map(|(at, link)| (link.number, at)).collect();
    let shared = Arc::clone(&counters);
    let _server = StatsSocket::serve(socket, move || text(&links, &shared, no_direction))?;
    let mut reader = Reader::new(input, FIELDS)?;
    let (mut bytes, mut link, mut packets, mut direction) = (0, 0, 0, 0);
    loop {
        let (view, is_new) = match reader.read()? {
            Next::Record { view, is_new } => (view, is_new),
            Next::Nothing | Next::Damaged => continue,
            Next::Eof | Next::Stopped => return Ok(()),
        };
        if is_new {
            let field = |name| reading::field(view.template(), name);
            (bytes, link) = (field("BYTES"), field("LINK_BIT_FIELD"));
            (packets, direction) = (field("PACKETS"), field("DIR_BIT_FIELD"));
        }
        let number = |field| view.uint(field).unwrap_or(0);
        // Unknown links and directions count nowhere.
        let Some(counters) = places.get(&number(link)).map(|at| &counters[*at]) else { continue };
        let Some(direction) = counters.directions.get(number(direction) as usize) else { continue };
        direction.flows.fetch_add(1, Ordering::Relaxed);
        direction.packets.fetch_add(number(packets) as u32, Ordering::Relaxed);
        direction.bytes.fetch_add(number(bytes), Ordering::Relaxed);
    }
}

/// Two lines: names and numbers.
fn text(links: &Links, counters: &[Counters], no_direction: bool) -> String {
    let mut names = String::new();
    let mut numbers = String::new();
    let shown = if no_direction { &["in"][..] } else { &["in", "out"] };
    for (link, counters) in links.0.iter().zip(counters) {
        for (direction, counts) in shown.iter().zip(&counters.directions) {
            let name = &link.name;
            // A String takes every write.
            let _ = write!(names, "{name}-{direction}-bytes,{name}-{direction}-flows,{name}-{direction}-packets,");
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (bytes, flows, packets) =
                (count(&counts.bytes), count(&counts.flows), counts.packets.load(Ordering::Relaxed));
            let _ = write!(numbers, "{bytes},{flows},{packets},");
        }
    }
    names.pop();
    numbers.pop();
    format!("{names}\n{numbers}\n")
}

/// Any bytes as a configuration: numbers descend, names are not empty.
pub fn fuzz_links(input: &[u8]) {
    let Ok(links) = Links::parse(&String::from_utf8_lossy(input)) else { return };
    assert!(links.0.is_sorted_by_key(|link| std::cmp::Reverse(link.number as i64)));
    assert!(links.0.iter().all(|link| !link.name.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_the_configuration() {
        let links = Links::parse("# comment\n 1,nix2,LINK_BIT_FIELD,99a0A9\n\n07x,,telia\n-1,last").unwrap();
        let shown: Vec<_> = links.links().iter().map(|l| (l.number, l.name.as_str())).collect();
        assert_eq!(shown, [(7, "telia"), (1, "nix2"), (u64::MAX, "last")]);
        assert!(matches!(Links::parse("#\n5"), Err(ConfigError::Name(2))));
        assert!(matches!(Links::parse(","), Err(ConfigError::Number(1))));
    }

    #[test]
    fn the_text_for_munin() {
        let links = Links::parse("0,a\n3,b").unwrap();
        let counters = [Counters::default(), Counters::default()];
        counters[0].directions[1].bytes.store(7, Ordering::Relaxed);
        let shown = text(&links, &counters, false);
        let (names, numbers) = shown.trim_end().split_once('\n').unwrap();
        assert!(
            names.starts_with("b-in-bytes,b-in-flows,b-in-packets,b-out-bytes,") && names.ends_with(",a-out-packets")
        );
        assert_eq!(numbers, "0,0,0,7,0,0,0,0,0,0,0,0");
        assert_eq!(
            text(&links, &counters, true),
            "b-in-bytes,b-in-flows,b-in-packets,a-in-bytes,a-in-flows,a-in-packets\n0,0,0,0,0,0\n"
        );
    }

    proptest! {
        #[test]
        fn any_configuration(input in "([#0-9a-z,\\- \n]{0,40}\n){0,5}") {
            fuzz_links(input.as_bytes());
        }
    }
}
