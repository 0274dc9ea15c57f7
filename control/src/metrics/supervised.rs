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

const LIMITED: Declared = Declared {
    name: "sonda_supervised_limited_total",
    kind: Kind::Counter,
    labels: &["module", "profile", "limit"],
    help: "What the limits of the module stopped: processes killed (memory_mib) or refused (processes), periods of 100 ms it waited in (cpu_percent)",
};
const LOST: Declared = Declared {
    name: "sonda_supervised_lost_total",
    kind: Kind::Counter,
    labels: &["module", "profile", "what"],
    help: "What a probe that died had in hand by its page: live flows, their packets, records that were not sent",
};
const LOST_LOGS: Declared = Declared {
    name: "sonda_supervisor_lost_logs_total",
    kind: Kind::Counter,
    labels: &[],
    help: "Texts for logs or the terminal that the disk or the terminal did not take",
};
const SANDBOX: Declared = Declared {
    name: "sonda_supervised_sandbox",
    kind: Kind::Gauge,
    labels: &["module", "profile", "part"],
    help: "1 if this part of the sandbox of the module is in force, 0 if the kernel cannot: capabilities, files, calls",
};
const MISSING: Declared = Declared {
    name: "sonda_supervisor_limits_missing",
    kind: Kind::Gauge,
    labels: &[],
    help: "Kinds of limits that the configuration asks for and this machine cannot keep",
};
const CERTIFICATE_EXPIRY: Declared = Declared {
    name: "sonda_api_certificate_expiry_time_seconds",
    kind: Kind::Gauge,
    labels: &[],
    help: "When the first certificate that the control API shows expires, since 1970",
};

pub(super) const ALL: [Declared; 14] = [
    ENABLED,
    RUNNING,
    PARKED,
    RESTARTS,
    CPU,
    RESIDENT,
    VIRTUAL,
    PROCESSES,
    LIMITED,
    LOST,
    LOST_LOGS,
    SANDBOX,
    MISSING,
    CERTIFICATE_EXPIRY,
];

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
        let limited = snapshot.limited.get(&module.spec.name).copied().unwrap_or_default();
        let limits =
            [("memory_mib", limited.killed), ("cpu_percent", limited.throttled), ("processes", limited.refused)];
        for (limit, count) in limits {
            families.add(LIMITED, &labels, &[limit], count as f64);
        }
        if let Some(lost) = snapshot.lost.get(&module.spec.name) {
            for (what, count) in [("flows", lost.flows), ("packets", lost.packets), ("records", lost.records)] {
                families.add(LOST, &labels, &[what], count as f64);
            }
        }
        for (part, is_in_force) in snapshot.sandboxes.get(&module.spec.name).into_iter().flatten() {
            families.add(SANDBOX, &labels, &[part], one(*is_in_force));
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
    families.add(LOST_LOGS, &[], &[], snapshot.lost_logs as f64);
    families.add(MISSING, &[], &[], snapshot.limits_missing as f64);
    if let Some(at) = snapshot.certificate_expiry {
        families.add(CERTIFICATE_EXPIRY, &[], &[], at as f64);
    }
}
