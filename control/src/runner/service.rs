//! Questions to the service interfaces of modules (section 5), each on a thread of its own for a second at the most.
use crate::snapshot::Counters;
use std::collections::{HashMap, HashSet};
use std::os::unix::net::UnixStream;
use tokio::sync::mpsc;
use trap::{Place, trap_stats};

/// An answer, or that there is none.
#[derive(Debug)]
pub struct Answer {
    pub name: String,
    pub pid: u32,
    /// The connection, while it is of use, and what was said.
    told: Result<(UnixStream, Counters), Failed>,
}

#[derive(Debug)]
enum Failed {
    /// Nobody listens: a module without TRAP interfaces, or one that begins.
    Nobody,
    Broken(String),
}

/// Connections to modules.
#[derive(Debug)]
pub struct Services {
    place: Place,
    idle: HashMap<u32, UnixStream>,
    asked: HashSet<u32>,
    answers: mpsc::UnboundedSender<Answer>,
    known: HashMap<String, (u32, usize, usize)>,
}

impl Services {
    /// None yet; answers come to `answers`, one for each question.
    #[must_use]
    pub fn new(answers: mpsc::UnboundedSender<Answer>) -> Self {
        Self { place: Place::default(), idle: HashMap::new(), asked: HashSet::new(), answers, known: HashMap::new() }
    }

    /// Asks a module, unless its last answer is still under way.
    pub fn ask(&mut self, name: &str, pid: u32) {
        if !self.asked.insert(pid) {
            return;
        }
        let path = self.place.socket_path(&format!("service_{pid}"));
        let (name, idle, answers) = (name.to_owned(), self.idle.remove(&pid), self.answers.clone());
        tokio::task::spawn_blocking(move || {
            let told =
                idle.map_or_else(|| UnixStream::connect(path).map_err(|_| Failed::Nobody), Ok).and_then(|mut link| {
                    let json = trap_stats::ask(&mut link).map_err(Failed::Broken)?;
                    let counters = Counters::parse(&json).map_err(|why| Failed::Broken(why.to_string()))?;
                    Ok((link, counters))
                });
            // The supervisor may have ended.
            let _unread = answers.send(Answer { name, pid, told });
        });
    }

    /// Takes an answer: its counters, and what is to be told of it.
    pub fn take(&mut self, answer: Answer) -> (Option<Counters>, Vec<String>) {
        let Answer { name, pid, told } = answer;
        self.asked.remove(&pid);
        match told {
            Ok((link, counters)) => {
                self.idle.insert(pid, link);
                let now = (pid, counters.inputs.len(), counters.outputs.len());
                let events = match self.known.insert(name.clone(), now) {
                    Some((last, inputs, outputs)) if last == pid => {
                        let changed = [("input", inputs, now.1), ("output", outputs, now.2)];
                        changed
                            .into_iter()
                            .filter(|(_, was, is)| was != is)
                            .map(|(way, was, is)| {
                                format!("[SERVICE] Number of \"{name}\" {way} interfaces has changed ({was} -> {is}).")
                            })
                            .collect()
                    }
                    _ => vec![format!("[SERVICE] Connected to module {name} (PID: {pid}).")],
                };
                (Some(counters), events)
            }
            Err(Failed::Nobody) => (None, vec![]),
            Err(Failed::Broken(why)) => {
                // Told once, not each time that it is tried again.
                let was_known = self.known.remove(&name).is_some();
                (
                    None,
                    was_known
                        .then(|| format!("[SERVICE] Disconnected from module {name} (PID: {pid}): {why}"))
                        .into_iter()
                        .collect(),
                )
            }
        }
    }

    /// Forgets a process that ended.
    pub fn forget(&mut self, pid: u32) {
        self.idle.remove(&pid);
        self.known.retain(|_, (known, ..)| *known != pid);
    }

    /// The socket of a module's service.
    #[must_use]
    pub fn socket(&self, pid: u32) -> std::path::PathBuf {
        self.place.socket_path(&format!("service_{pid}"))
    }

    /// The socket of a unix interface.
    #[must_use]
    pub fn unix_socket(&self, params: &str) -> std::path::PathBuf {
        self.place.socket_path(params.split(':').next().unwrap_or_default())
    }
}
