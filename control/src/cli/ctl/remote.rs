//! What `sonda ctl` asks the control API: how modules stand, that they start and stop, what they printed, what changes.
use super::super::{FAILED, print};
use crate::api::client::{self, Server};
use axum::http::{Method, StatusCode};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write as _};

#[derive(Subcommand, Debug)]
pub(super) enum Remote {
    /// How the supervisor and its modules stand
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Let a module or a profile run until the configuration is applied anew
    Enable(Which),
    /// Stop a module or a profile until the configuration is applied anew
    Disable(Which),
    /// Stop and start a module
    Restart {
        #[arg(value_name = "MODULE")]
        name: String,
    },
    /// The end of what a module printed, or of a log of the supervisor
    Log {
        /// A module; or supervisor_log, modules_events, modules_statistics
        name: String,
        /// What the module printed to its standard output, not to its standard error
        #[arg(long)]
        stdout: bool,
        /// Bytes from the end, at the most 1048576
        #[arg(long, default_value_t = 16_384)]
        bytes: u64,
    },
    /// Say what changes, as it changes, a JSON object on each line; until Ctrl-C
    Events,
    /// Counters, books and top talkers of all probes, as JSON
    Probes,
    /// Any path of the API as it answers: `sonda ctl get /v1/openapi.json` describes all
    Get { path: String },
    /// Any change by the API: `sonda ctl post /v1/alerts/17/notes --body '{"text": "our own scanner"}'`
    Post {
        path: String,
        /// What goes with it, JSON
        #[arg(long, default_value = "", hide_default_value = true)]
        body: String,
    },
    /// End the supervisor; modules go on
    Leave,
    /// End all modules, then the supervisor
    Stop,
}

#[derive(clap::Args, Debug)]
pub(super) struct Which {
    name: String,
    /// It is a profile's name, not a module's
    #[arg(long)]
    profile: bool,
}

impl Remote {
    /// Does it; answers the exit status.
    pub(super) fn run(&self, server: &Server) -> u8 {
        or_silent(server, self.asked(server))
    }

    fn asked(&self, server: &Server) -> io::Result<u8> {
        let get = |path: &str| client::ask(server, Method::GET, path, String::new());
        let post = |path: &str| post(server, path).map(|answer| answered(answer, done));
        match self {
            Self::Status { json } => {
                let (status, modules) = get("/v1/modules")?;
                if status != StatusCode::OK {
                    return Ok(answered((status, modules), pretty));
                }
                let (_, about) = get("/v1/status")?;
                if *json {
                    return Ok(answered((status, format!("{{\"status\":{about},\"modules\":{modules}}}")), pretty));
                }
                Ok(answered((status, modules), |modules| table(modules, &about)))
            }
            Self::Enable(which) => post(&which.path("enable")),
            Self::Disable(which) => post(&which.path("disable")),
            Self::Restart { name } => post(&format!("/v1/modules/{}/restart", client::encoded(name))),
            Self::Log { name, stdout, bytes } => {
                let encoded = client::encoded(name);
                let (mut status, mut text) = get(&format!("/v1/logs/{encoded}?bytes={bytes}"))?;
                if status == StatusCode::NOT_FOUND {
                    let stream = if *stdout { "stdout" } else { "stderr" };
                    (status, text) = get(&format!("/v1/modules/{encoded}/log?stream={stream}&bytes={bytes}"))?;
                }
                Ok(answered((status, text), |log| text_of(log, "text")))
            }
            Self::Events => events(server),
            Self::Probes => get("/v1/probes").map(|answer| answered(answer, pretty)),
            Self::Get { path } => get(path).map(|answer| answered(answer, |text| text.to_owned())),
            Self::Post { path, body } => {
                client::ask(server, Method::POST, path, body.clone()).map(|answer| answered(answer, pretty))
            }
            Self::Leave => post("/v1/supervisor/leave"),
            Self::Stop => post("/v1/supervisor/stop"),
        }
    }
}

impl Which {
    fn path(&self, what: &str) -> String {
        let kind = if self.profile { "profiles" } else { "modules" };
        format!("/v1/{kind}/{}/{what}", client::encoded(&self.name))
    }
}

fn post(server: &Server, path: &str) -> io::Result<(StatusCode, String)> {
    client::ask(server, Method::POST, path, String::new())
}

/// The exit status; or what is said of a supervisor that does not answer.
fn or_silent(server: &Server, asked: io::Result<u8>) -> u8 {
    asked.unwrap_or_else(|why| {
        eprintln!("sonda ctl: no supervisor answers at {server}: {why}; {}", server.advice());
        FAILED
    })
}

/// What applying the configuration would do, as the API tells it.
pub(super) fn planned(server: &Server, shown: impl Fn(&str) -> u8) -> u8 {
    let plan = client::ask(server, Method::GET, "/v1/configuration/plan", String::new());
    or_silent(
        server,
        plan.map(|(status, text)| match status.is_success() {
            true => shown(&text),
            false => answered((status, text), pretty),
        }),
    )
}

/// Applies the configuration by the API.
pub(super) fn applied(server: &Server) -> u8 {
    or_silent(server, post(server, "/v1/configuration/apply").map(|answer| answered(answer, done)))
}

/// Prints an answer, or why there is none.
fn answered((status, text): (StatusCode, String), shown: impl Fn(&str) -> String) -> u8 {
    if status.is_success() {
        print(&shown(&text));
        return 0;
    }
    let error = text_of(&text, "error");
    let said = if error.is_empty() { text_of(&text, "text") } else { error };
    let said = if said.is_empty() { text } else { said };
    eprintln!("sonda ctl: {}", said.trim_end());
    FAILED
}

fn done(text: &str) -> String {
    text_of(text, "text")
}

fn pretty(text: &str) -> String {
    serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| format!("{value:#}\n"))
}

/// A text of a JSON object, fit for a terminal.
fn text_of(json: &str, key: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap_or_default();
    let text = value[key].as_str().unwrap_or_default();
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "?")
}

/// Modules as a table, under a line about the supervisor.
fn table(modules: &str, about: &str) -> String {
    let (modules, about): (Value, Value) =
        (serde_json::from_str(modules).unwrap_or_default(), serde_json::from_str(about).unwrap_or_default());
    let plain = |value: &Value| match value {
        Value::String(text) => text.replace(char::is_control, "?"),
        Value::Null => "-".into(),
        other => other.to_string(),
    };
    let mut rows = vec![
        ["MODULE", "PROFILE", "STATE", "PID", "CPU%", "MEMORY", "RESTARTS", "IN", "OUT", "DROPPED"].map(String::from),
    ];
    for module in modules.as_array().into_iter().flatten() {
        let sum = |interfaces: &str, key: &str| {
            let all = module[interfaces].as_array().into_iter().flatten();
            all.map(|interface| interface[key].as_u64().unwrap_or(0)).sum::<u64>().to_string()
        };
        let number = |key: &str| module[key].as_u64().unwrap_or(0);
        rows.push([
            plain(&module["name"]),
            plain(&module["profile"]),
            state(module).into(),
            plain(&module["pid"]),
            (number("cpu_user") + number("cpu_system")).to_string(),
            format!("{} MiB", number("resident_bytes") >> 20),
            plain(&module["restarts"]),
            sum("inputs", "messages"),
            sum("outputs", "messages"),
            sum("outputs", "dropped"),
        ]);
    }
    let mut out = format!(
        "supervisor since {}, {} of {} modules run, configuration {}\n",
        plain(&about["started"]),
        plain(&about["running"]),
        plain(&about["modules"]),
        plain(&about["configuration"])
    );
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 10] = std::array::from_fn(width);
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Texts stand at the left, numbers at the right.
            let _ = if column < 3 { write!(line, "{cell:width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        out += line.trim_end();
        out.push('\n');
    }
    for module in modules.as_array().into_iter().flatten().filter(|module| module["parked"].is_string()) {
        let _ = writeln!(out, "{}: {}", plain(&module["name"]), plain(&module["parked"]));
    }
    out
}

fn state(module: &Value) -> &'static str {
    let is = |key: &str| module[key].as_bool().unwrap_or(false);
    match (module["parked"].is_string(), is("running"), is("enabled")) {
        (true, ..) => "parked",
        (false, true, true) => "running",
        (false, true, false) => "ending",
        (false, false, true) => "down",
        (false, false, false) => "disabled",
    }
}

/// Prints the data of server-sent events, a line each, with the kind of the event in front.
fn events(server: &Server) -> io::Result<u8> {
    let (mut rest, mut kind) = (Vec::new(), String::new());
    let mut refused = Vec::new();
    let status = client::stream(server, Method::GET, "/v1/events", String::new(), |status, bytes| {
        if !status.is_success() {
            refused.extend_from_slice(bytes);
            return true;
        }
        rest.extend_from_slice(bytes);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            if let Some(name) = line.strip_prefix("event: ") {
                kind = name.trim_end().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                let shown = format!("{{\"event\":\"{kind}\",\"data\":{}}}\n", data.trim_end());
                if io::stdout().write_all(shown.as_bytes()).and_then(|()| io::stdout().flush()).is_err() {
                    return false;
                }
            }
        }
        true
    })?;
    if status.is_success() {
        return Ok(0);
    }
    Ok(answered((status, String::from_utf8_lossy(&refused).into_owned()), pretty))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_as_a_table() {
        let modules = r#"[{"name":"lg1","profile":"P","enabled":true,"running":true,"pid":7,"restarts":0,"parked":null,"cpu_user":3,
            "cpu_system":1,"resident_bytes":2097152,"inputs":[{"messages":5}],"outputs":[]},
            {"name":"a","profile":"P","enabled":false,"running":false,"pid":null,"restarts":3,"parked":"too\u001b many","inputs":[],
            "outputs":[{"messages":1,"dropped":2},{"messages":1,"dropped":0}]}]"#;
        let about = r#"{"started":"now","running":1,"modules":2,"configuration":"/c"}"#;
        assert_eq!(
            table(modules, about),
            "supervisor since now, 1 of 2 modules run, configuration /c\n\
             MODULE  PROFILE  STATE    PID  CPU%  MEMORY  RESTARTS  IN  OUT  DROPPED\n\
             lg1     P        running    7     4   2 MiB         0   5    0        0\n\
             a       P        parked     -     0   0 MiB         3   0    2        2\n\
             a: too? many\n"
        );
    }
}
