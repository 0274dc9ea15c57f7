//! The rules in front of a probe, its sampling among them, while it runs: the file that `sonda probe --prefilter @FILE` reads at SIGHUP.
//!
//! Contract: rules that nobody could obey change nothing. What the probe itself then says of them is answered; if it refuses them the file
//! is as it was.
use super::blacklists::option;
use super::extract::{Name, Told};
use super::views::Done;
use super::{Plane, refuse};
use crate::config::text_of;
use crate::logs;
use crate::model::command;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ebpf::Policy;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;

/// Bytes of rules, as the probe takes them.
const RULES_MAX: usize = 1 << 20;
/// For the probe to say what it thinks of new rules, and how often its log is looked at.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of its log that are looked at.
const SAID_MAX: u64 = 64 << 10;
/// What it says, in part.
const IN_FORCE: &str = "are in force";
const REFUSED: &str = "the rules stay as they were";

/// The rules in front of a probe.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Prefilter {
    /// One a line, or with `;` between them: drop, pass, keep, sample, offload.
    pub rules: String,
    /// Where they stand; null if they were given in words, which cannot be changed while the probe runs.
    pub file: Option<String>,
}

/// New rules.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rules {
    /// All of them, as `sonda probe --prefilter` takes them; empty: none, and no sampling.
    rules: String,
}

/// One change at a time.
pub(super) type Turn = Mutex<()>;

/// What a probe was given.
enum Given {
    Words(String),
    File(PathBuf),
}

/// A module with rules and its process; else why not.
fn given(plane: &Plane, name: &str) -> Result<(Given, Option<u32>), Box<Response>> {
    let snapshot = plane.handle.snapshot();
    let Some(view) = snapshot.modules.iter().find(|view| view.spec.name == name) else {
        return Err(Box::new(super::routes::no_module(&snapshot, name)));
    };
    let tokens = command::tokens(view.spec.params.as_deref().unwrap_or_default()).unwrap_or_default();
    match option(&tokens, &["--prefilter"]) {
        None => {
            let why = format!("module {name} has no rules: start the probe with --prefilter @FILE in its params");
            Err(Box::new(refuse(StatusCode::NOT_FOUND, &why)))
        }
        Some(text) => Ok(match text.strip_prefix('@') {
            Some(path) => (Given::File(path.into()), view.pid),
            None => (Given::Words(text.into()), view.pid),
        }),
    }
}

/// `GET /v1/modules/{name}/prefilter`.
pub(super) async fn get(State(plane): State<Plane>, Name(name): Name) -> Response {
    match given(&plane, &name) {
        Err(refused) => *refused,
        Ok((Given::Words(rules), _)) => Json(Prefilter { rules, file: None }).into_response(),
        Ok((Given::File(path), _)) => match text_of(&path, RULES_MAX) {
            Ok(rules) => Json(Prefilter { rules, file: Some(path.display().to_string()) }).into_response(),
            Err(why) => refuse(StatusCode::CONFLICT, &format!("{}: {why}", path.display())),
        },
    }
}

/// `POST /v1/modules/{name}/prefilter`.
pub(super) async fn set(State(plane): State<Plane>, Name(name): Name, Told(Rules { rules }): Told<Rules>) -> Response {
    if rules.len() > RULES_MAX {
        return refuse(StatusCode::BAD_REQUEST, &format!("rules have {RULES_MAX} bytes at the most"));
    }
    if let Err(why) = rules.parse::<Policy>() {
        return refuse(StatusCode::BAD_REQUEST, &why.to_string());
    }
    let _mine = plane.rules.lock().await;
    let (path, pid) = match given(&plane, &name) {
        Err(refused) => return *refused,
        Ok((Given::Words(_), _)) => {
            let why =
                format!("module {name} has its rules in words; give them in a file, --prefilter @FILE, to change them");
            return refuse(StatusCode::CONFLICT, &why);
        }
        Ok((Given::File(path), pid)) => (path, pid),
    };
    match change(&plane, &name, &path, pid, &rules).await {
        Ok(Ok(text)) => Json(Done { done: true, text }).into_response(),
        Ok(Err(refused)) => refuse(StatusCode::CONFLICT, &refused),
        Err(why) => refuse(StatusCode::CONFLICT, &format!("{}: {why}", path.display())),
    }
}

/// Writes the file, tells the probe, and hears what it says.
async fn change(
    plane: &Plane,
    name: &str,
    path: &Path,
    pid: Option<u32>,
    rules: &str,
) -> io::Result<Result<String, String>> {
    let old = text_of(path, RULES_MAX)?;
    let log = plane.handle.logs().path(logs::MODULES).join(format!("{name}_stderr"));
    let from = fs::metadata(&log).map_or(0, |meta| meta.len());
    // In place: a probe that gave its privileges up may read this file, and no other that gets its name.
    fs::write(path, rules)?;
    let Some(pid) = pid else { return Ok(Ok("the probe does not run; it will begin with these rules".into())) };
    // 0 and 1 would mean others than the probe.
    if let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1) {
        // It may have ended; its silence is told then.
        let _gone = kill(Pid::from_raw(pid), Signal::SIGHUP);
    }
    let until = Instant::now() + ANSWER_WAIT;
    while Instant::now() < until {
        let said = since(&log, from).unwrap_or_default();
        if let Some(line) = said.lines().find(|line| line.contains(REFUSED)) {
            fs::write(path, old)?;
            return Ok(Err(line.replace(char::is_control, "?")));
        }
        if let Some(line) = said.lines().find(|line| line.contains(IN_FORCE)) {
            return Ok(Ok(line.replace(char::is_control, "?")));
        }
        sleep(LOOK).await;
    }
    Ok(Ok(format!("the probe was told and says nothing; `sonda ctl log {name}` shows what it printed")))
}

/// What a log got behind its byte `from`.
fn since(log: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(SAID_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
