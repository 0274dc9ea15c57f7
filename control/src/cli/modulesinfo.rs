//! `nemea-modulesinfo`: what the supervisor knows of modules (section 10).
//!
//! The shipped script does not run under the Python that it names; its arguments and statuses are kept, its output is JSON.
use super::{FAILED, ask, print};
use crate::client::{SOCKET, code};
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// One line for lists of tools.
pub const ABOUT: &str = "print what the supervisor knows of its modules";

const SILENCE: Duration = Duration::from_secs(2);
/// sysexits(3)
const EX_USAGE: u8 = 64;
const EX_DATAERR: u8 = 65;

const HELP: &str = "Usage: nemea-modulesinfo [-s SOCKET] [MODULE]...\n\
Prints what the supervisor knows of these modules, or of all, as JSON: of one module its object, of several an object with one for each.\n\n\
Example: nemea-modulesinfo flow_meter\n\
Exit status: 0 fine; 1 no supervisor answers; 64 this help; 65 a module is not known.\n";

/// Runs the tool; answers the exit status.
#[must_use]
pub fn main(args: &[String]) -> u8 {
    let (mut socket, mut wanted) = (SOCKET, Vec::new());
    let mut rest = args.iter().map(String::as_str);
    while let Some(arg) = rest.next() {
        match arg {
            "-s" => socket = rest.next().unwrap_or(socket),
            _ if arg.starts_with('-') => {
                eprint!("{HELP}");
                return EX_USAGE;
            }
            module => wanted.push(module),
        }
    }
    let told = ask(Path::new(socket), code::INVENTORY, SILENCE).map_err(|why| why.to_string());
    let all = told.and_then(|text| serde_json::from_str::<Map<String, Value>>(&text).map_err(|why| why.to_string()));
    match all {
        Ok(all) => {
            let (shown, unknown) = chosen(all, &wanted);
            print(&format!("{shown:#}\n"));
            if !unknown.is_empty() {
                eprintln!("Warning: No info on module(s): {}", unknown.join(", "));
                return EX_DATAERR;
            }
            0
        }
        Err(why) => {
            eprintln!("nemea-modulesinfo: no supervisor answers at {socket}: {why}");
            FAILED
        }
    }
}

/// What is printed, and the names that are not known.
fn chosen<'a>(mut all: Map<String, Value>, wanted: &[&'a str]) -> (Value, Vec<&'a str>) {
    let unknown = wanted.iter().copied().filter(|name| !all.contains_key(*name)).collect();
    let shown = match wanted {
        [] => Value::Object(all),
        [one] => all.remove(*one).unwrap_or_else(|| Value::Object(Map::new())),
        several => Value::Object(all.into_iter().filter(|(name, _)| several.contains(&name.as_str())).collect()),
    };
    (shown, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_some_or_all() {
        let all = || serde_json::from_str(r#"{"a": {"idx": 0}, "b": {"idx": 1}, "c": {}}"#).expect("JSON");
        let shown = |wanted: &[&'static str]| {
            let (shown, unknown) = chosen(all(), wanted);
            (shown.to_string(), unknown)
        };
        assert_eq!(shown(&["b"]), (r#"{"idx":1}"#.into(), vec![]));
        assert_eq!(shown(&["c", "a", "z"]), (r#"{"a":{"idx":0},"c":{}}"#.into(), vec!["z"]));
        assert_eq!(shown(&[]).0, r#"{"a":{"idx":0},"b":{"idx":1},"c":{}}"#);
        assert_eq!(shown(&["z"]), ("{}".into(), vec!["z"]));
    }
}
