//! The thread that asks. It looks at all sockets of the machine at once, and only while flows wait: osqueryi goes through all processes for any
//! question about sockets, so one look that answers every flow costs as much as one that answers one, and what is asked depends on no
//! packet. Between looks there is a pause, so that the child works half of the time at the most.
use super::child::{Child, Trouble};
use super::desk::{Answer, Connection, Desk, Owner, Question, Verdict};
use super::{Settings, undefined};
use crossbeam_channel::Receiver;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// The first child, and two that take its place: as many as the original starts.
const CHILDREN: usize = 3;
/// Looks in which a flow's socket is searched: a server's has no process before the connection is accepted.
const LOOKS_MAX: u32 = 3;
/// Questions that are worked on at a time, the queue's not among them.
const WAITING_MAX: usize = 8_192;

/// Why flows cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub enum NoClerk {
    #[error(
        "plugin osquery: there is no program osqueryi in PATH: install osquery (https://osquery.io/downloads), or leave the plugin out"
    )]
    Missing,
    #[error("plugin osquery: the process that keeps osqueryi cannot be started: {0}")]
    Keeper(#[from] io::Error),
}

/// Where osqueryi is.
///
/// # Errors
/// There is none in a folder of PATH.
pub fn program() -> Result<PathBuf, NoClerk> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs = |file: &Path| file.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    std::env::split_paths(&path).map(|folder| folder.join("osqueryi")).find(|file| runs(file)).ok_or(NoClerk::Missing)
}

/// Who asks.
pub struct Clerk {
    questions: Receiver<Question>,
    /// The last one answers; the others wait to take its place.
    children: Vec<Child>,
    waiting: Vec<Waiting>,
    settings: Settings,
    off: Arc<AtomicBool>,
    say: fn(&str),
}

struct Waiting {
    question: Question,
    looks: u32,
}

impl Clerk {
    /// Starts the children and asks what machine this is; `keeper` is a command that runs [`super::keeper::keep`], and `say` tells an
    /// operator what is wrong. Must come before privileges are given up: afterwards no program can be started.
    ///
    /// # Errors
    /// No process can be started. A child that does not answer is no error: it is said, and its place taken.
    pub fn start(settings: Settings, keeper: impl Fn() -> Command, say: fn(&str)) -> Result<(Clerk, Desk), NoClerk> {
        let children = (0..CHILDREN).map(|_| Child::start(keeper())).collect::<io::Result<Vec<_>>>()?;
        let off = Arc::new(AtomicBool::new(false));
        let mut children = Children { list: children, off: &off, say };
        let facts = children.until_answered(|child| child.machine(settings.wait)).unwrap_or_else(undefined);
        let children = children.list;
        let (desk, questions) = Desk::new(facts, Arc::clone(&off));
        Ok((Clerk { questions, children, waiting: Vec::new(), settings, off, say }, desk))
    }

    /// Answers until no lane can ask any more.
    pub fn run(mut self) {
        while let Ok(question) = self.questions.recv() {
            self.waiting.push(Waiting { question, looks: 0 });
            while !self.waiting.is_empty() {
                let room = WAITING_MAX - self.waiting.len();
                self.waiting
                    .extend(self.questions.try_iter().take(room).map(|question| Waiting { question, looks: 0 }));
                let began = Instant::now();
                self.look();
                if !self.children.is_empty() {
                    thread::sleep(self.settings.interval.max(began.elapsed()));
                }
            }
        }
    }

    /// Looks at the machine's sockets once and answers who can be answered.
    fn look(&mut self) {
        let mut wanted: HashMap<Connection, Option<Arc<Owner>>> = HashMap::new();
        for Waiting { question, .. } in &self.waiting {
            wanted.insert(question.connection, None);
            wanted.insert(question.connection.other_way(), None);
        }
        let settings = self.settings;
        let mut children = Children { list: std::mem::take(&mut self.children), off: &self.off, say: self.say };
        let looked = children.until_answered(|child| {
            child.sockets(settings.wait, |connection, owner| {
                if let Some(place @ None) = wanted.get_mut(&connection) {
                    *place = Some(Arc::new(owner()));
                }
            })
        });
        self.children = children.list;
        self.waiting.retain_mut(|waiting| {
            let connection = waiting.question.connection;
            // Of two ends on this machine the one that began.
            let owner = [connection, connection.other_way()].iter().find_map(|way| wanted.get(way)?.clone());
            waiting.looks += 1;
            let verdict = match owner {
                _ if looked.is_none() => Verdict::Off,
                Some(owner) => Verdict::Named(owner),
                None if waiting.looks < LOOKS_MAX => return true,
                None => Verdict::Nobody,
            };
            // A lane that has gone, or does not come to read: it counts the flow as unanswered.
            let _unread = waiting.question.answers.try_send(Answer { ticket: waiting.question.ticket, verdict });
            false
        });
    }
}

/// The children that are left, and what is said and done when one fails.
struct Children<'c> {
    list: Vec<Child>,
    off: &'c AtomicBool,
    say: fn(&str),
}

impl Children<'_> {
    /// Asks a child; the next one if that fails. `None` when there is none left.
    fn until_answered<R>(&mut self, mut ask: impl FnMut(&mut Child) -> Result<R, Trouble>) -> Option<R> {
        while let Some(child) = self.list.last_mut() {
            match ask(child) {
                Ok(answer) => return Some(answer),
                Err(trouble) => self.replace(&trouble),
            }
        }
        None
    }

    fn replace(&mut self, trouble: &Trouble) {
        // Ends it.
        self.list.pop();
        let started = CHILDREN - self.list.len();
        if self.list.is_empty() {
            self.off.store(true, Ordering::Relaxed);
            let text = "it was started again often enough. From now on processes and users are UNDEFINED";
            (self.say)(&format!("plugin osquery: osqueryi {trouble}; {text}"));
        } else {
            let again = CHILDREN - 1;
            (self.say)(&format!("plugin osquery: osqueryi {trouble}; it is started again ({started} of {again})"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::UNDEFINED;
    use super::*;
    use crate::flow::key::Endpoint;
    use crossbeam_channel::bounded;
    use std::sync::Mutex;
    use std::time::Duration;

    const PATIENT: Settings = Settings { interval: Duration::from_millis(1), wait: Duration::from_secs(60) };
    const MACHINE: &str = r#"[{"name":"Debian","hostname":"box"}]"#;

    /// A keeper that answers by itself: a byte comes in, `m` or `s`, and what the script says of it goes out.
    fn keeper(machine: &str, sockets: &str) -> impl Fn() -> Command {
        let script =
            format!("while a=$(head -c 1); do case $a in m) {machine};; s) {sockets};; *) exit 0;; esac; done");
        move || {
            let mut command = Command::new("sh");
            command.args(["-c", &script]);
            command
        }
    }

    fn end(host: u8, port: u16) -> Endpoint {
        Endpoint { ip: [10, 0, 0, host].into(), port }
    }

    fn row(local: Endpoint, remote: Endpoint, program: &str) -> String {
        format!(
            r#"{{"protocol":"6","local_address":"{}","local_port":"{}","remote_address":"{}","remote_port":"{}","program":"{program}","user":"root"}}"#,
            local.ip, local.port, remote.ip, remote.port
        )
    }

    #[test]
    fn the_sources_process_is_told_before_the_destinations() {
        let (a, b, c) = (end(1, 40_000), end(2, 443), end(3, 80));
        let rows = [row(b, a, "server"), row(a, b, "client"), row(a, b, "a fork"), row(c, b, "other")].join(",");
        let (machine, sockets) = (format!("echo '{MACHINE}'"), format!("echo '[{rows}]'"));
        let (clerk, desk) = Clerk::start(PATIENT, keeper(&machine, &sockets), |text| panic!("{text}")).expect("sh");
        assert_eq!(desk.facts().system_hostname.as_bytes(), b"box");
        assert_eq!(desk.facts().kernel_version.as_bytes(), UNDEFINED);
        let (answers, heard) = bounded(8);
        let wanted = [(a, b), (b, a), (b, c), (a, c)];
        for (ticket, (local, remote)) in (1..).zip(wanted) {
            let connection = Connection { protocol: 6, local, remote };
            desk.question(Question { ticket, connection, answers: answers.clone() });
        }
        drop(desk);
        clerk.run();
        let mut told: Vec<(u64, String)> = heard.try_iter().map(|a| (a.ticket, program_of(&a.verdict))).collect();
        told.sort();
        let told: Vec<&str> = told.iter().map(|(_, program)| program.as_str()).collect();
        assert_eq!(told, ["client", "server", "other", "Nobody"]);
    }

    fn program_of(verdict: &Verdict) -> String {
        match verdict {
            Verdict::Named(owner) => String::from_utf8_lossy(owner.program.as_bytes()).into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_nobody_asked_for_is_no_answer() {
        static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let say = |text: &str| SAID.lock().expect("nobody panicked").push(text.into());
        // Both lines are there before the next question: they are one write.
        let machine = format!("printf '{MACHINE}\\n[]\\n'");
        let (clerk, desk) = Clerk::start(PATIENT, keeper(&machine, "echo '[]'"), say).expect("sh");
        let (answers, heard) = bounded(8);
        let connection = Connection { protocol: 17, local: end(1, 5), remote: end(2, 53) };
        desk.question(Question { ticket: 1, connection, answers });
        drop(desk);
        clerk.run();
        assert_eq!(heard.try_iter().map(|answer| program_of(&answer.verdict)).collect::<Vec<_>>(), ["Nobody"]);
        let text = "plugin osquery: osqueryi says what nobody asked for; it is started again (1 of 2)";
        assert_eq!(*SAID.lock().expect("nobody panicked"), [text]);
    }

    #[test]
    fn there_may_be_no_keeper() {
        let refused = Clerk::start(PATIENT, || Command::new("/nonexistent"), |text| panic!("{text}")).err();
        assert!(refused.expect("no such program").to_string().contains("cannot be started"));
    }
}
