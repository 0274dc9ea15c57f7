//! link_traff2json: the CGI script of link_traffic, which prints what each link carried as JSON (spec/modules.md section 10).
//!
//! Numbers are the growth since the text in a file in `/tmp` was written, which happens at most every five minutes.
use super::link_traffic::{CONFIG, ConfigError, Links};
use super::munin::{self, MuninError, Plugin, Source};
use crate::pyjson::{Json, Text};
use crate::stats_socket;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Age at which the old numbers are replaced.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// One line for lists of modules.
pub const ABOUT: &str = "CGI script: counters of link_traffic as JSON.";

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum CgiError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Munin(#[from] MuninError),
    #[error("configuration error {0}: the link is not in the configuration file")]
    Unknown(String),
}

/// Runs the script; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    if args.iter().any(|a| a == "-h" || a == "--help") {
        println!("{ABOUT}\n\nUsage: sonda link_traff2json   (no options; reads {CONFIG})");
        return 0;
    }
    println!("Content-type:application/json\r\n\r\n");
    let read = Links::load(Path::new(CONFIG)).map_err(CgiError::from);
    match read.and_then(|links| json(&links, &Plugin::LinkTraffic.source(), SystemTime::now())) {
        Ok(json) => {
            let mut text = String::new();
            json.dump(&mut text);
            println!("{text}");
            0
        }
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

/// The object that is printed.
pub fn json(links: &Links, source: &Source, now: SystemTime) -> Result<Json, CgiError> {
    let text = stats_socket::fetch(&source.socket)
        .map_err(|why| MuninError::Socket { path: source.socket.clone(), source: why })?;
    let written = fs::metadata(&source.cache).and_then(|about| about.modified());
    if written.is_err() {
        eprintln!("{} not found or cannot read info.", source.cache.display());
    }
    let written = written.ok().filter(|at| now.duration_since(*at).is_ok_and(|age| age <= INTERVAL));
    let (old, since) = match written.and_then(|at| Some((fs::read_to_string(&source.cache).ok()?, at))) {
        Some(kept) => kept,
        None => {
            if let Err(why) = munin::replace(&source.cache, &text) {
                eprintln!("{}: {why}", source.cache.display());
            }
            (text.clone(), now)
        }
    };
    let old = munin::columns(&old)?;
    let mut columns = munin::columns(&text)?;
    columns.sort();
    let mut data: Vec<(Text, Json)> = Vec::new();
    for (name, value) in &columns {
        let mut parts = name.split('-');
        let (link, direction, kind) =
            (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let known = links.links().iter().find(|known| known.name == link);
        let number = known.ok_or_else(|| CgiError::Unknown(name.clone()))?.number.to_string();
        let count = |text: &str| text.parse::<i128>().unwrap_or(0);
        // A link that is new since then began at zero.
        let before = old.iter().find(|(known, _)| known == name).map_or(0, |(_, value)| count(value));
        let member = (Text::new(&format!("{kind} {direction}")), Json::int(count(value) - before));
        let key = Text::new(&number);
        match data.iter_mut().find(|(known, _)| *known == key) {
            Some((_, Json::Object(members))) => members.push(member),
            _ => {
                let about =
                    vec![(Text::new("link"), Json::text(&number)), (Text::new("link name"), Json::text(link)), member];
                data.push((key, Json::Object(about)));
            }
        }
    }
    let object = |members: Vec<(&str, Json)>| {
        Json::Object(members.into_iter().map(|(name, value)| (Text::new(name), value)).collect())
    };
    let current = object(vec![("localtime", local(now)), ("timestamp", stamp(now))]);
    let monitoring = object(vec![
        ("interval_sec", Json::int(INTERVAL.as_secs())),
        ("localtime", local(since)),
        ("timestamp", stamp(since)),
    ]);
    let time = object(vec![("current", current), ("monitoring", monitoring)]);
    Ok(object(vec![("data", Json::Object(data)), ("time", time)]))
}

fn local(at: SystemTime) -> Json {
    let at = Timestamp::try_from(at).map(|at| at.to_zoned(TimeZone::system())).unwrap_or_else(|_| Zoned::now());
    Json::text(&at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn stamp(at: SystemTime) -> Json {
    Json::Float(at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
}
