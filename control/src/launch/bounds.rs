//! What a process gets before it becomes the module: its groups, limits, processors, and whom it runs as.
use super::Launch;
use crate::model::Limits;
use nix::unistd::{Gid, Group, Uid, User, getgrouplist, getuid, setgroups, setresgid, setresuid};
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::Path;

/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// Sets all. What cannot be had is told and done without, but for the user: nobody runs as another than was asked for.
pub(super) fn set(launch: &Launch, told: &mut dyn FnMut(String)) -> Result<(), String> {
    let limits = &launch.limits;
    for door in &launch.doors {
        // 0 is whoever writes it.
        if let Err(why) = fs::write(door, "0") {
            told(format!("[WARNING] {}: {why}; it runs without this limit", door.display()));
        }
    }
    let bounds = [
        ("open_files", Resource::Nofile, limits.open_files.map(u64::from)),
        ("core_mib", Resource::Core, limits.core_mib.map(|mib| u64::from(mib) * MIB)),
    ];
    for (key, resource, most) in bounds {
        let Some(most) = most else { continue };
        if let Err(why) = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }) {
            told(format!(
                "[WARNING] {key}: {why}; more than the supervisor has takes CAP_SYS_RESOURCE. It runs without"
            ));
        }
    }
    if let Some(nice) = limits.nice
        && let Err(why) = setpriority_process(None, nice.into())
    {
        told(format!("[WARNING] nice = {nice}: {why}; less than the supervisor's takes CAP_SYS_NICE. It runs without"));
    }
    if !limits.cores.is_empty() {
        let mut cores = CpuSet::new();
        limits.cores.iter().for_each(|core| cores.set(usize::from(*core)));
        if let Err(why) = sched_setaffinity(None, &cores) {
            told(format!("[WARNING] cores = {:?}: {why}; it runs on any", limits.cores));
        }
    }
    become_user(limits, launch.sandbox.as_deref())
}

/// What this machine has not; `None`: all is there.
pub(crate) fn why_not(limits: &Limits) -> Option<String> {
    if let Err(why) = identity(limits) {
        return Some(why);
    }
    let own = sched_getaffinity(None).ok()?;
    let lacking = limits.cores.iter().find(|core| !own.is_set(usize::from(**core)))?;
    let here: Vec<String> =
        (0..CpuSet::MAX_CPU).filter(|core| own.is_set(*core)).map(|core| core.to_string()).collect();
    Some(format!("cores: there is no processor {lacking} for it; there are {}", here.join(", ")))
}

/// User, group and all groups of who is asked for; `None` where nobody is.
fn identity(limits: &Limits) -> Result<Option<(Uid, Gid, Vec<Gid>)>, String> {
    let group = limits.group.as_deref().map(|name| match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(format!("there is no group {name} on this machine: make one (`groupadd --system {name}`)")),
        Err(why) => Err(format!("group {name}: {why}")),
    });
    let group = group.transpose()?;
    let Some(name) = limits.user.as_deref() else {
        return Ok(group.map(|group| (getuid(), group, vec![group])));
    };
    let failed = |why: nix::Error| format!("user {name}: {why}");
    let user = User::from_name(name).map_err(failed)?.ok_or_else(|| {
        format!("there is no user {name} on this machine: make one (`useradd --system --no-create-home {name}`)")
    })?;
    let gid = group.unwrap_or(user.gid);
    let groups = match (group, CString::new(name)) {
        (Some(group), _) => vec![group],
        (None, Ok(name)) => getgrouplist(&name, gid).map_err(failed)?,
        (None, Err(_)) => vec![gid],
    };
    Ok(Some((user.uid, gid, groups)))
}

/// `report` is the file in which the user tells of its sandbox.
fn become_user(limits: &Limits, report: Option<&Path>) -> Result<(), String> {
    let who = identity(limits)?;
    if let Some(report) = report {
        // What the last process of this name wrote is no longer so.
        let made = File::create(report).and_then(|_| match &who {
            Some((uid, gid, _)) => chown(report, Some(uid.as_raw()), Some(gid.as_raw())),
            None => Ok(()),
        });
        made.map_err(|why| format!("{}: {why}", report.display()))?;
    }
    let Some((uid, gid, groups)) = who else { return Ok(()) };
    let changed = setgroups(&groups).and_then(|()| setresgid(gid, gid, gid)).and_then(|()| setresuid(uid, uid, uid));
    let wanted = [limits.user.as_deref(), limits.group.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(":");
    changed.map_err(|why| format!("may not become {wanted}: {why}; only a supervisor that is root may"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_machine_lacks_is_named() {
        assert_eq!(why_not(&Limits::default()), None);
        let of = |limits: Limits| why_not(&limits).unwrap_or_default();
        let none = Some("no-such-name-of-sonda".to_owned());
        assert!(
            of(Limits { user: none.clone(), ..Limits::default() })
                .contains("useradd --system --no-create-home no-such")
        );
        assert!(of(Limits { group: none, ..Limits::default() }).contains("groupadd --system no-such"));
        let far = of(Limits { cores: vec![0, 1_000], ..Limits::default() });
        assert!(far.starts_with("cores: there is no processor 1000 for it; there are 0"), "{far}");
        assert_eq!(why_not(&Limits { user: Some("root".into()), cores: vec![0], ..Limits::default() }), None);
    }
}
