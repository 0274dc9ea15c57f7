//! Flow records as they leave a probe or a module, as server-sent events.
//!
//! `sonda tap` reads them in a process of its own: whatever an interface sends, no record comes into the supervisor.
use super::extract::Asked;
use super::{Plane, refuse};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// Bytes of a record as JSON, and of what is said of a failure.
const LINE_MAX: u64 = 1 << 20;
const SAID_MAX: u64 = 4 << 10;
/// Letters of an interface's name, and bytes of a filter.
const NAME_MAX: usize = 128;
const FILTER_MAX: usize = 4 << 10;

/// Which records.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tap {
    /// An output interface of this machine: u:NAME or t:PORT.
    interface: String,
    /// As `sonda tap --filter` has it: ip 10.0.0.0/8 and not port 443 and bytes > 1M.
    filter: Option<String>,
}

impl Tap {
    /// The interface as `sonda tap` takes it. Others' machines and files are not read for anybody.
    pub(super) fn spec(&self) -> Option<String> {
        let (kind, name) = self.interface.split_once(':')?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match kind {
            "u" if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(is_plain) => Some(format!("u:{name}")),
            "t" => name.parse::<u16>().ok().filter(|port| *port > 0).map(|port| format!("t:127.0.0.1:{port}")),
            _ => None,
        }
    }
}

/// `GET /v1/flows`.
pub(super) async fn flows(State(plane): State<Plane>, Asked(tap): Asked<Tap>) -> Response {
    let Some(spec) = tap.spec() else {
        return refuse(StatusCode::BAD_REQUEST, "an interface is u:NAME or t:PORT, of this machine");
    };
    let filter = tap.filter.unwrap_or_default();
    if filter.len() > FILTER_MAX {
        return refuse(StatusCode::BAD_REQUEST, &format!("a filter has {FILTER_MAX} bytes at the most"));
    }
    let Some((events, send)) = plane.watchers.place() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "all places for watchers are taken; end one");
    };
    let mut command = Command::new("/proc/self/exe");
    command.arg0("sonda").args(["tap", &spec, "--json"]).kill_on_drop(true);
    if !filter.trim().is_empty() {
        command.arg(format!("--filter={filter}"));
    }
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    match spawned {
        Ok(child) => {
            tokio::spawn(follow(child, send));
            events.into_response()
        }
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("no process can be started: {why}")),
    }
}

/// Hands lines on until the process ends or nobody listens. A watcher that is slow makes the tap miss records, which it counts.
async fn follow(mut child: tokio::process::Child, send: mpsc::Sender<Event>) {
    let (Some(out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else { return };
    let mut lines = BufReader::new(out);
    let mut said = Vec::new();
    let hand_on = async {
        while let Some(line) = line(&mut lines).await {
            if send.send(Event::default().event("flow").data(line)).await.is_err() {
                return;
            }
        }
    };
    let listen = async {
        let _cut = (&mut err).take(SAID_MAX).read_to_end(&mut said).await;
        // More of it must not make the process wait.
        let _end = tokio::io::copy(&mut err, &mut tokio::io::sink()).await;
    };
    tokio::select! {
        _ = async { tokio::join!(hand_on, listen) } => {}
        () = send.closed() => return,
    }
    let said = String::from_utf8_lossy(&said).replace(|c: char| c.is_control(), " ");
    if !said.trim().is_empty() {
        // Nobody may be left.
        let _unread = send.send(Event::default().event("error").data(said.trim())).await;
    }
}

/// A line without its end; one that is too long ends the stream, and so does the end.
async fn line(lines: &mut (impl AsyncRead + AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    lines.take(LINE_MAX).read_until(b'\n', &mut bytes).await.ok()?;
    (bytes.pop() == Some(b'\n')).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_interfaces_of_this_machine_are_read() {
        let spec = |interface: &str| Tap { interface: interface.into(), filter: None }.spec();
        assert_eq!(spec("u:flows").as_deref(), Some("u:flows"));
        assert_eq!(spec("t:8000").as_deref(), Some("t:127.0.0.1:8000"));
        for other in
            ["f:/etc/passwd", "t:host:1", "u:", "u:../x", "t:0", "t:70000", "u:a,u:b", "T:1:k:c:a", "-h", "u:a b"]
        {
            assert_eq!(spec(other), None, "{other}");
        }
    }
}
