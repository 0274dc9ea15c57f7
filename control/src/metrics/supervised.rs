//! The modules of a supervisor as metrics.
use super::{Declared, Families};
use crate::snapshot::Snapshot;
use record::page::columns::Kind;

const LABELS: &[&str] = &["module", "profile"];

const fn of_module(name: &'static str, help: &'static str) -> Declared {
    Declared { name, kind: Kind::Gauge, labels: LABELS, help }
}

const ENABLED: Declared = of_module("sonda_supervised_enabled", "1 if the module is to run, as far as it is concerned");
const RUNNING: Declared = of_module("sonda_supervised_running", "1 while the module has a process");
const PARKED: Declared = of_module("sonda_supervised_parked", "1 if the module was given up after too many restarts");
const RESTARTS: Declared = of_module("sonda_supervised_restarts", "Restarts of the module within the last minute");
const CPU: Declared =
    of_module("sonda_supervised_cpu_ratio", "Share of all processors that the module used in the last 2 s, 0 to 1");
const RESIDENT: Declared = of_module("sonda_supervised_resident_bytes", "Memory of the module that is in use");
const VIRTUAL: Declared = of_module("sonda_supervised_virtual_bytes", "Address space of the module");
const PROCESSES: Declared = Declared {
    name: "sonda_supervisor_processes_total",
    kind: Kind::Counter,
    labels: &["event"],
    help: "Processes of modules that were started, adopted, exited, killed, lost (adopted ones whose end nobody told) or parked",
};

pub(super) const ALL: [Declared; 8] = [ENABLED, RUNNING, PARKED, RESTARTS, CPU, RESIDENT, VIRTUAL, PROCESSES];

/// Adds what the supervisor knows.
pub(super) fn collect(snapshot: &Snapshot, families: &mut Families) {
    let one = |is: bool| f64::from(u8::from(is));
    for module in &snapshot.modules {
        let usage = &module.usage;
        let values = [
            (ENABLED, one(module.enabled)),
            (RUNNING, one(module.pid.is_some())),
            (PARKED, one(module.parked.is_some())),
            (RESTARTS, module.restarts as f64),
            (CPU, (usage.cpu_user + usage.cpu_system) as f64 / 100.0),
            (RESIDENT, usage.resident_bytes as f64),
            (VIRTUAL, usage.virtual_bytes as f64),
        ];
        let labels = [("module", module.spec.name.as_str()), ("profile", module.profile.as_str())];
        for (metric, value) in values {
            families.add(metric, &labels, &[], value);
        }
    }
    let books = &snapshot.books;
    let events = [
        ("started", books.spawned),
        ("adopted", books.adopted),
        ("exited", books.exited),
        ("killed", books.killed),
        ("lost", books.lost),
        ("parked", books.parked),
    ];
    for (event, count) in events {
        families.add(PROCESSES, &[], &[event], count as f64);
    }
}
