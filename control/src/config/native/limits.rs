//! The keys of a module that bound it, as [`Limits`].
use super::ModuleTable;
use crate::model::Limits;
use crate::model::limits::{CORES_MAX, MIB_MAX, OPEN_FILES_MAX, PERCENT_MAX, PROCESSES_MAX};
use std::fmt::Display;
use toml::Spanned;

/// A module needs as many for its interfaces, logs and clients.
const OPEN_FILES_MIN: u32 = 16;

/// Reads them; what is out of its range is told with its place.
pub(super) fn read(module: &ModuleTable, fault: &mut dyn FnMut(usize, &str)) -> Limits {
    for core in module.cores.iter().filter(|core| *core.as_ref() > CORES_MAX) {
        fault(core.span().start, &format!("processors 0 to {CORES_MAX} are possible"));
    }
    for name in [&module.user, &module.group].into_iter().flatten().filter(|name| name.as_ref().is_empty()) {
        fault(name.span().start, "a name is not empty; leave the key out");
    }
    Limits {
        cores: module.cores.iter().map(|core| *core.as_ref()).collect(),
        user: module.user.as_ref().map(|name| name.as_ref().clone()),
        group: module.group.as_ref().map(|name| name.as_ref().clone()),
        nice: within(&module.nice, -20, 19, fault),
        memory_mib: within(&module.memory_mib, 1, MIB_MAX, fault),
        cpu_percent: within(&module.cpu_percent, 1, PERCENT_MAX, fault),
        processes: within(&module.processes, 1, PROCESSES_MAX, fault),
        open_files: within(&module.open_files, OPEN_FILES_MIN, OPEN_FILES_MAX, fault),
        core_mib: within(&module.core_mib, 0, MIB_MAX, fault),
        sandbox: module.sandbox,
    }
}

fn within<T: PartialOrd + Copy + Display>(
    value: &Option<Spanned<T>>,
    least: T,
    most: T,
    fault: &mut dyn FnMut(usize, &str),
) -> Option<T> {
    let value = value.as_ref()?;
    if !(least..=most).contains(value.as_ref()) {
        fault(value.span().start, &format!("{least} to {most} are possible"));
    }
    Some(*value.as_ref())
}
