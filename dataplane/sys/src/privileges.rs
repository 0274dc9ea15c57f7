//! Giving up privileges, for all threads and for good: capabilities(7), no_new_privs (prctl(2)), and the user's identity.
//!
//! The order matters. The bounding set can be emptied only with CAP_SETPCAP and groups changed only with CAP_SETGID, so capabilities go
//! last. What came of it is to be read in /proc/self/task/*/status: this file does, it does not check.
use crate::threads::{Step, on_every_thread};
use std::ffi::CString;
use std::io;

/// linux/capability.h: version 3 of capset(2), with two words for each set.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// Capabilities that can ever be: the sets are 64 bits wide.
const CAPABILITIES_MAX: libc::c_ulong = 64;
/// Groups of a user at the most (NGROUPS_MAX, linux/limits.h).
const GROUPS_MAX: usize = 65_536;
/// Bytes of an entry of the user database at the most.
const ENTRY_MAX: usize = 1 << 20;

/// A user of this machine with the groups it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// The user of a name in the machine's user database; `None` if there is none.
pub fn user(name: &str) -> io::Result<Option<Identity>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let mut text = vec![0; 4096];
    // SAFETY: integers and pointers; all zero is a value.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    loop {
        // SAFETY: the name ends with a zero; the call writes at most `text.len()` bytes of strings to `text`, the entry that points to
        // them, and to `found` null or the address of the entry. All outlive the call.
        match unsafe { libc::getpwnam_r(name.as_ptr(), &mut entry, text.as_mut_ptr(), text.len(), &mut found) } {
            0 => break,
            libc::ERANGE if text.len() < ENTRY_MAX => text.resize(text.len() * 2, 0),
            libc::EINTR => {}
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
    if found.is_null() {
        return Ok(None);
    }
    let (uid, gid) = (entry.pw_uid, entry.pw_gid);
    let mut groups = vec![0; 64];
    loop {
        let mut count = groups.len() as libc::c_int;
        // SAFETY: the name ends with a zero; the call writes at most `count` numbers to `groups` and how many there are to `count`.
        let written = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        match written {
            0.. => {
                groups.truncate(written as usize);
                return Ok(Some(Identity { uid, gid, groups }));
            }
            _ if groups.len() >= GROUPS_MAX => return Err(io::Error::other("the user is in too many groups")),
            _ => groups.resize(groups.len() * 2, 0),
        }
    }
}

/// The effective user of this process.
pub fn own_uid() -> u32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::geteuid() }
}

/// Capabilities that opening live inputs may need, with their bits (linux/capability.h).
const OPENING: [(&str, u32); 4] = [("cap_net_admin", 12), ("cap_net_raw", 13), ("cap_perfmon", 38), ("cap_bpf", 39)];
/// CAP_SYS_ADMIN stands in for CAP_BPF and CAP_PERFMON.
const SYS_ADMIN: u32 = 21;

/// Those of these capabilities (separated by commas, as setcap(8) has them) that the calling thread lacks.
pub fn missing(capabilities: &str) -> Vec<&str> {
    let has = effective();
    let lacks = |name: &str| match OPENING.iter().find(|(known, _)| *known == name) {
        Some((_, bit)) => has & (1 << bit) == 0 && !(*bit >= 38 && has & (1 << SYS_ADMIN) != 0),
        None => false,
    };
    capabilities.split(',').filter(|name| lacks(name)).collect()
}

/// The effective set of the calling thread; empty where the kernel does not say.
fn effective() -> u64 {
    let header = [CAPABILITY_VERSION, 0];
    let mut sets = [0u32; 6];
    // SAFETY: the kernel reads a header of eight bytes and writes, for this version, 24 bytes of sets.
    match unsafe { libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()) } {
        0 => u64::from(sets[0]) | u64::from(sets[3]) << 32,
        _ => 0,
    }
}

/// No program that this process starts from now on can have more privileges than it (`no_new_privs`), and where CAP_SETPCAP is there the
/// bounding and ambient sets are emptied, for every thread.
pub fn gain_no_more() -> io::Result<()> {
    static FENCE: Step = fence;
    on_every_thread(&FENCE)
}

/// Every thread becomes this user, with its groups and no others. Must be root, or have CAP_SETUID and CAP_SETGID.
pub fn become_user(identity: &Identity) -> io::Result<()> {
    let answered = |answer| if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // glibc makes all threads do each of the three (nptl(7)).
    // SAFETY: reads as many numbers as told, which outlive the call.
    answered(unsafe { libc::setgroups(identity.groups.len(), identity.groups.as_ptr()) })?;
    // SAFETY: plain numbers.
    answered(unsafe { libc::setresgid(identity.gid, identity.gid, identity.gid) })?;
    // SAFETY: plain numbers.
    answered(unsafe { libc::setresuid(identity.uid, identity.uid, identity.uid) })
}

/// Takes all capabilities from every thread.
pub fn drop_capabilities() -> io::Result<()> {
    static EMPTY: Step = empty;
    on_every_thread(&EMPTY)
}

/// For a child between fork and exec, where it is the only thread: all of the above at once, and death with its parent. Allocates
/// nothing. Answers an error number, 0 if all went well.
pub(crate) fn leave_all(identity: Option<&Identity>) -> i32 {
    match fence() {
        0 => {}
        code => return code,
    }
    if let Some(identity) = identity {
        let groups = identity.groups.as_slice();
        // The bare calls: glibc's look after threads, which a child after fork does not have.
        // SAFETY: plain numbers, and as many groups as told.
        let steps = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
                libc::syscall(libc::SYS_setresgid, identity.gid, identity.gid, identity.gid),
                libc::syscall(libc::SYS_setresuid, identity.uid, identity.uid, identity.uid),
            ]
        };
        if steps.iter().any(|answer| *answer != 0) {
            return errno();
        }
    }
    empty()
}

fn fence() -> i32 {
    for capability in 0..CAPABILITIES_MAX {
        // SAFETY: plain numbers.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            match errno() {
                // Behind the last one that this kernel knows; or without CAP_SETPCAP, where no_new_privs alone must do.
                libc::EINVAL | libc::EPERM => break,
                code => return code,
            }
        }
    }
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) } != 0 {
        return errno();
    }
    // SAFETY: plain numbers.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return errno();
    }
    0
}

fn empty() -> i32 {
    // `struct __user_cap_header_struct`, and twice `struct __user_cap_data_struct` (linux/capability.h).
    let header = [CAPABILITY_VERSION, 0];
    let none = [0u32; 6];
    // SAFETY: the kernel reads a header of eight bytes and, for this version, 24 bytes of sets.
    if unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } != 0 {
        return errno();
    }
    0
}

fn errno() -> i32 {
    // SAFETY: the thread's own errno.
    unsafe { *libc::__errno_location() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_lacks_is_named() {
        assert_eq!(missing("cap_net_raw,cap_bpf"), [""; 0], "tests run as root");
        // Of this thread alone: the harness goes on with the others.
        std::thread::spawn(|| {
            assert_eq!(empty(), 0);
            assert_eq!(missing("cap_net_raw,cap_bpf"), ["cap_net_raw", "cap_bpf"]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn users_are_found_by_name() {
        let root = user("root").unwrap().expect("every machine has one");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(user("no-such-user-of-sonda").unwrap(), None);
        assert_eq!(user("a\0b").unwrap(), None);
    }
}
