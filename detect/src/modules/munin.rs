//! munin: the Munin plugins of link_traffic and proto_traffic (spec/modules.md sections 10 and 11).
//!
//! `sonda munin link_traffic bytes [config|autoconf|suggest]`; the plugins in `deploy/munin` call it. What was asked for is asked
//! of the module's socket at most every three seconds; in between a file in `/tmp` answers, which three plugins share.
use super::{link_traffic, proto_traffic};
use crate::stats_socket;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// See [`Source::fresh`].
const FRESH: Duration = Duration::from_secs(3);

/// What the plugins show.
const KINDS: [&str; 3] = ["packets", "flows", "bytes"];

/// Colours of the links of CESNET's network, as in the original plugin.
const COLOURS: [(&str, &str); 10] = [
    ("aconet", "490099"),
    ("geant", "008000"),
    ("nix2", "99a0A9"),
    ("nix3", "af69bc"),
    ("pioneer", "ff0000"),
    ("sanet", "1e90ff"),
    ("telia", "776655"),
    ("telia2", "bc9269"),
    ("amsix", "af99dc"),
    ("Total", "0ABA00"),
];

/// One line for lists of modules.
pub const ABOUT: &str = "Munin plugin of link_traffic and proto_traffic.";

const USAGE: &str = "Usage: sonda munin link_traffic|proto_traffic packets|flows|bytes [config|autoconf|suggest]";

/// Whose counters are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plugin {
    LinkTraffic,
    ProtoTraffic,
}

/// Where a plugin finds its numbers.
#[derive(Clone, Debug)]
pub struct Source {
    pub socket: PathBuf,
    pub cache: PathBuf,
    /// How long the file answers in place of the socket; 3 s in the original.
    pub fresh: Duration,
}

/// Why there are no numbers.
#[derive(Debug, thiserror::Error)]
pub enum MuninError {
    #[error("{path} {source}")]
    Socket { path: PathBuf, source: io::Error },
    #[error("wrong number of columns!!!")]
    Columns,
}

/// Runs the plugin; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let (plugin, kind, command) = match words[..] {
        ["-h" | "--help", ..] => {
            println!("{ABOUT}\n\n{USAGE}");
            return 0;
        }
        [plugin, kind] => (Plugin::named(plugin), kind, ""),
        [plugin, kind, command] => (Plugin::named(plugin), kind, command),
        _ => (None, "", ""),
    };
    let Some(plugin) = plugin else {
        eprintln!("{USAGE}");
        return 1;
    };
    match plugin.answer(&plugin.source(), kind, command) {
        Ok(text) => {
            print!("{text}");
            0
        }
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Plugin {
    /// By the name of the module.
    pub fn named(name: &str) -> Option<Plugin> {
        match name {
            "link_traffic" => Some(Plugin::LinkTraffic),
            "proto_traffic" => Some(Plugin::ProtoTraffic),
            _ => None,
        }
    }

    /// Where the originals look.
    pub fn source(self) -> Source {
        let (socket, cache) = match self {
            Plugin::LinkTraffic => (link_traffic::SOCKET, "/tmp/munin_link_traffic_data.txt"),
            Plugin::ProtoTraffic => (proto_traffic::SOCKET, "/tmp/munin_proto_traffic_data.txt"),
        };
        Source { socket: socket.into(), cache: cache.into(), fresh: FRESH }
    }

    /// What the plugin prints: values, or what `command` asks for.
    pub fn answer(self, source: &Source, kind: &str, command: &str) -> Result<String, MuninError> {
        match command {
            "autoconf" => Ok("yes\n".into()),
            "suggest" => Ok(KINDS.map(|kind| format!("{kind}\n")).concat()),
            "config" => {
                let columns = columns(&source.text()?)?;
                let names = columns.iter().filter(|(name, _)| name.ends_with(kind)).map(|(name, _)| name.as_str());
                let mut series: Vec<&str> = Vec::new();
                for name in names.map(|name| name.split('-').next().unwrap_or(name)) {
                    if !series.contains(&name) {
                        series.push(name);
                    }
                }
                Ok(if self == Plugin::LinkTraffic { link_config(kind, series) } else { proto_config(kind, &series) })
            }
            _ => {
                let mut columns = columns(&source.text()?)?;
                columns.sort();
                columns.retain(|(name, _)| name.ends_with(kind));
                Ok(if self == Plugin::LinkTraffic { link_values(&columns) } else { proto_values(&columns) })
            }
        }
    }
}

impl Source {
    /// The two lines of the module, from the file while it is fresh.
    fn text(&self) -> Result<String, MuninError> {
        let written = fs::metadata(&self.cache).and_then(|about| about.modified());
        if written.is_err() {
            eprintln!("{} not found or cannot read info.", self.cache.display());
        }
        let is_fresh = written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age <= self.fresh));
        if let (true, Ok(text)) = (is_fresh, fs::read_to_string(&self.cache)) {
            return Ok(text);
        }
        let text = stats_socket::fetch(&self.socket)
            .map_err(|source| MuninError::Socket { path: self.socket.clone(), source })?;
        if let Err(why) = replace(&self.cache, &text) {
            // The numbers are there all the same.
            eprintln!("{}: {why}", self.cache.display());
        }
        Ok(text)
    }
}

/// Writes a file beside and renames it: nobody reads half a text, and a link that somebody laid in `/tmp` is not followed.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
    file.write_all(text.as_bytes())?;
    fs::rename(&beside, path)
}

/// Names with their values, in the order of the text.
pub(super) fn columns(text: &str) -> Result<Vec<(String, String)>, MuninError> {
    let mut lines = text.lines();
    let names: Vec<_> = lines.next().unwrap_or("").split(',').collect();
    let values: Vec<_> = lines.next().ok_or(MuninError::Columns)?.split(',').collect();
    if names.len() != values.len() {
        return Err(MuninError::Columns);
    }
    Ok(names.into_iter().map(String::from).zip(values.into_iter().map(String::from)).collect())
}

fn link_config(kind: &str, mut links: Vec<&str>) -> String {
    let mut out = format!(
        "graph_title Link traffic - {kind}\ngraph_args -l 0\ngraph_category traffic-monitoring\n\
         graph_vlabel {kind} out (-)/in (+) per sec.\n\
         graph_info The number of {kind} per second specified with link number in 5 minute interval.\n"
    );
    links.push("Total");
    let order: Vec<_> = links.iter().map(|link| format!("{link}in {link}out")).collect();
    // A String takes every write.
    let _ = writeln!(out, "graph_order {}", order.join(" "));
    for link in links {
        let _ = write!(out, "{link}in.label {link}\n{link}in.graph no\n{link}in.type DERIVE\n{link}in.min 0\n");
        if let Some((_, colour)) = COLOURS.iter().find(|(name, _)| *name == link) {
            let _ = write!(out, "{link}in.colour {colour}\n{link}out.colour {colour}\n");
        }
        let _ = write!(
            out,
            "{link}out.label {link}\n{link}out.negative {link}in\n{link}out.type DERIVE\n{link}out.min 0\n"
        );
    }
    out.push('\n');
    out
}

fn link_values(columns: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut totals = [0_u64; 2];
    for (name, value) in columns {
        let mut parts = name.split('-');
        let (link, direction) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let _ = writeln!(out, "{link}{direction}.value {value}");
        let number: u64 = value.parse().unwrap_or(0);
        match direction {
            "in" => totals[0] = totals[0].wrapping_add(number),
            "out" => totals[1] = totals[1].wrapping_add(number),
            _ => {}
        }
    }
    let _ = writeln!(out, "Totalin.value {}\nTotalout.value {}", totals[0], totals[1]);
    out
}

fn proto_config(kind: &str, protocols: &[&str]) -> String {
    let mut out = format!(
        "graph_title Traffic L4 protocol - {kind}\ngraph_args -l 0\ngraph_category traffic-monitoring\n\
         graph_vlabel {kind}/second\ngraph_info The number of {kind} per second per L4 protocol.\n"
    );
    for name in protocols {
        let label = name.to_uppercase();
        let _ = write!(out, "{name}.label {label}\n{name}.type DERIVE\n{name}.draw AREASTACK\n{name}.min 0\n");
    }
    out.push('\n');
    out
}

fn proto_values(columns: &[(String, String)]) -> String {
    columns.iter().map(|(name, value)| format!("{}.value {value}\n", name.split('-').next().unwrap_or(name))).collect()
}
