//! What the API tells, as JSON.
use super::identify::CSRF;
use super::role::{Peer, Role, Who};
use crate::core::Books;
use crate::history::{self, Part, Range};
use crate::pages::Found;
use crate::snapshot::{ModuleView, Snapshot};
use record::page::columns::{self, Kind, LANE_IDENTITIES};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Whether the box does its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// True while no module is given up and no enabled one is down.
    pub healthy: bool,
    /// Modules that should run and do not.
    pub down: usize,
    /// Modules that were given up.
    pub parked: usize,
}

/// The supervisor.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    pub version: &'static str,
    /// As `ctime` says it.
    pub started: String,
    /// The file or folder that operators edit.
    pub configuration: String,
    pub logs: String,
    pub modules: usize,
    pub running: usize,
    pub health: Health,
    pub processes: Processes,
}

/// What became of all processes: started and taken over = running + ended + killed + gone (RELIABILITY I16).
#[derive(Debug, Serialize, ToSchema)]
pub struct Processes {
    pub started: u64,
    /// Those that an earlier supervisor had left.
    pub adopted: u64,
    pub ended: u64,
    pub killed: u64,
    /// Taken over ones whose end nobody told.
    pub gone: u64,
}

/// Modules that are enabled together.
#[derive(Debug, Serialize, ToSchema)]
pub struct Profile {
    pub name: String,
    pub enabled: bool,
    /// Names, in the order of the configuration.
    pub modules: Vec<String>,
}

/// A module.
#[derive(Debug, Serialize, ToSchema)]
pub struct Module {
    pub name: String,
    pub profile: String,
    pub enabled: bool,
    pub running: bool,
    pub pid: Option<u32>,
    /// Restarts of the last minute, and how many of them are allowed.
    pub restarts: usize,
    pub restarts_max: u8,
    /// Why it was given up.
    pub parked: Option<String>,
    pub path: String,
    pub params: Option<String>,
    /// Percent of all processors together.
    pub cpu_user: u64,
    pub cpu_system: u64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    /// Whether its service interface answers.
    pub answers: bool,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
}

/// An input interface of a module.
#[derive(Debug, Serialize, ToSchema)]
pub struct Input {
    /// The letter of its type.
    pub kind: char,
    pub id: String,
    pub connected: bool,
    pub messages: u64,
    pub buffers: u64,
}

/// An output interface of a module.
#[derive(Debug, Serialize, ToSchema)]
pub struct Output {
    /// The letter of its type.
    pub kind: char,
    pub id: String,
    pub clients: u64,
    pub messages: u64,
    pub dropped: u64,
    pub buffers: u64,
    pub autoflushes: u64,
}

/// A probe, from its page.
#[derive(Debug, Serialize, ToSchema)]
pub struct Probe {
    pub name: String,
    pub tool: String,
    pub pid: u32,
    pub alive: bool,
    /// Seconds since 1970.
    pub started: f64,
    pub updated: f64,
    /// Sums over all lanes, by the names of docs/metrics.md's columns.
    pub counters: BTreeMap<String, u64>,
    pub outputs: Vec<ProbeOutput>,
    /// Of flows that ended in the last one to two minutes, the greatest first.
    pub talkers: Vec<Talker>,
    /// What came less what became of it, for each ledger, over all lanes; 0 or something is wrong.
    pub imbalance: BTreeMap<&'static str, i64>,
}

/// An output of a probe.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProbeOutput {
    pub name: String,
    pub counters: BTreeMap<String, u64>,
}

/// Who talks to whom.
#[derive(Debug, Serialize, ToSchema)]
pub struct Talker {
    pub src: String,
    pub dst: String,
    pub protocol: u8,
    pub dst_port: u16,
    pub bytes: u64,
    pub packets: u64,
}

/// What probes counted over time; slots that are over.
#[derive(Debug, Serialize, ToSchema)]
pub struct History {
    /// Seconds of a slot.
    pub step: u64,
    /// When the first slot begins, seconds since 1970.
    pub from: u64,
    pub slots: usize,
    pub series: Vec<HistorySeries>,
    /// Counters that made room for others since the supervisor began, and those that find none now.
    pub forgotten: u64,
    pub refused: usize,
}

/// A counter over time.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistorySeries {
    pub probe: String,
    /// `link`: an input with all lanes that read it; `output`.
    pub part: &'static str,
    /// The input's or the output's.
    pub name: String,
    /// By the names of docs/metrics.md's columns.
    pub counter: String,
    /// Whether values are what it is (true), or how much it grew (false).
    pub level: bool,
    /// One for each slot; null where nothing is known.
    pub values: Vec<Option<u64>>,
}

/// What became of a command.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    pub done: bool,
    /// For people.
    pub text: String,
}

/// Who asks, and what he may.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// Of the token, or part of the certificate's SHA-256; null on the unix socket.
    pub name: Option<String>,
    /// viewer, operator or admin.
    #[schema(value_type = String)]
    pub role: Role,
    /// A header that each change by a session or certificate must have, whatever its value.
    pub csrf_header: &'static str,
}

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusal {
    pub error: String,
}

/// The end of a log.
#[derive(Debug, Serialize, ToSchema)]
pub struct Log {
    pub path: String,
    /// Whether there is more before it.
    pub cut: bool,
    pub text: String,
}

impl Login {
    pub(super) fn of(peer: &Peer) -> Self {
        let name = match &peer.who {
            Who::Nobody | Who::Process { .. } => None,
            Who::Token { name, .. } | Who::Session { name } | Who::Certificate { name } => Some(name.clone()),
        };
        Self { name, role: peer.role, csrf_header: CSRF }
    }
}

impl Health {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let is_wanted = |module: &&ModuleView| {
            let profile = snapshot.profiles.iter().find(|profile| profile.name == module.profile);
            module.enabled && profile.is_some_and(|profile| profile.enabled)
        };
        let down = snapshot.modules.iter().filter(is_wanted).filter(|module| module.pid.is_none()).count();
        let parked = snapshot.modules.iter().filter(|module| module.parked.is_some()).count();
        Self { healthy: down == 0 && parked == 0, down, parked }
    }
}

impl Status {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let about = &snapshot.about;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started: about.started.clone(),
            configuration: about.template.display().to_string(),
            logs: about.logs.display().to_string(),
            modules: snapshot.modules.len(),
            running: snapshot.running(),
            health: Health::of(snapshot),
            processes: Processes::of(&snapshot.books),
        }
    }
}

impl Processes {
    fn of(books: &Books) -> Self {
        Self {
            started: books.spawned,
            adopted: books.adopted,
            ended: books.exited,
            killed: books.killed,
            gone: books.lost,
        }
    }
}

impl Profile {
    pub(super) fn all(snapshot: &Snapshot) -> Vec<Self> {
        let of = |name: &str| snapshot.of_profile(name).map(|(_, module)| module.spec.name.clone()).collect();
        let all = snapshot.profiles.iter();
        all.map(|p| Self { name: p.name.clone(), enabled: p.enabled, modules: of(&p.name) }).collect()
    }
}

impl Module {
    pub(super) fn of(view: &ModuleView) -> Self {
        let inputs = view.counters.iter().flat_map(|counters| &counters.inputs).map(|ifc| Input {
            kind: ifc.kind.letter(),
            id: ifc.id.clone(),
            connected: ifc.is_connected.0 != 0,
            messages: ifc.messages.0,
            buffers: ifc.buffers.0,
        });
        let outputs = view.counters.iter().flat_map(|counters| &counters.outputs).map(|ifc| Output {
            kind: ifc.kind.letter(),
            id: ifc.id.clone(),
            clients: ifc.clients.0,
            messages: ifc.sent.0,
            dropped: ifc.dropped.0,
            buffers: ifc.buffers.0,
            autoflushes: ifc.autoflush.0,
        });
        Self {
            name: view.spec.name.clone(),
            profile: view.profile.clone(),
            enabled: view.enabled,
            running: view.pid.is_some(),
            pid: view.pid,
            restarts: view.restarts,
            restarts_max: view.spec.restarts,
            parked: view.parked.clone(),
            path: view.spec.path.clone(),
            params: view.spec.params.clone(),
            cpu_user: view.usage.cpu_user,
            cpu_system: view.usage.cpu_system,
            virtual_bytes: view.usage.virtual_bytes,
            resident_bytes: view.usage.resident_bytes,
            answers: view.counters.is_some(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
        }
    }
}

impl History {
    pub(super) fn of(history: &history::History, range: Range) -> Self {
        let series = history.slots(range).map(|(origin, counter, kind, values)| HistorySeries {
            probe: origin.probe.clone(),
            part: match origin.part {
                Part::Link => "link",
                Part::Output => "output",
            },
            name: origin.name.clone(),
            counter: counter.into(),
            level: kind == Kind::Gauge,
            values,
        });
        Self {
            step: range.step(),
            from: history.begin_of(range),
            slots: range.slots,
            series: series.collect(),
            forgotten: history.forgotten,
            refused: history.refused,
        }
    }
}

impl Probe {
    pub(super) fn of(found: &Found) -> Self {
        let page = &found.page;
        let counters: BTreeMap<String, u64> =
            page.layout.lane_columns.iter().map(|name| (name.clone(), page.sum(name))).collect();
        let outputs = page.layout.outputs.iter().zip(&page.outputs).map(|(name, counts)| ProbeOutput {
            name: name.clone(),
            counters: page.layout.output_columns.iter().cloned().zip(counts.values.iter().copied()).collect(),
        });
        let talkers = page.talkers().into_iter().map(|talker| Talker {
            src: talker.src.to_string(),
            dst: talker.dst.to_string(),
            protocol: talker.protocol,
            dst_port: talker.dst_port,
            bytes: talker.bytes,
            packets: talker.packets,
        });
        let sum = |names: &[&str]| columns::sum(counters.iter().map(|(name, n)| (name.as_str(), *n)), names);
        let imbalance = LANE_IDENTITIES
            .iter()
            .map(|identity| (identity.ledger, sum(identity.came).wrapping_sub(sum(identity.became)) as i64));
        Self {
            name: found.name.clone(),
            tool: page.layout.title.clone(),
            pid: page.writer.pid,
            alive: found.alive,
            started: page.writer.started.0 as f64 / 1e9,
            updated: page.updated().0 as f64 / 1e9,
            imbalance: imbalance.collect(),
            outputs: outputs.collect(),
            talkers: talkers.collect(),
            counters,
        }
    }
}
