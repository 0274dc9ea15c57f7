//! What a live run may still do once everything is open and before it reads the first packet: nothing that needs a privilege.
//!
//! Sockets, rings, the XDP program, promiscuous mode, outputs and process file are opened with the privileges that the program was started
//! with. Then every thread, those of libraries too, loses them: `no_new_privs`, empty bounding and ambient sets, the identity of another
//! user if one was named, no capability, and calls that a run has no use for are refused (seccomp). What is needed later goes by what is open: maps, sockets and links are file descriptors.
//! Nothing is believed: /proc says of each thread what it has, and a run that kept something it should not have does not begin.
//!
//! The bounding set can be emptied only by who has CAP_SETPCAP. Without (a unit with AmbientCapabilities=, a file with capabilities) it
//! stays, and means nothing: it bounds what execve(2) may add, and with `no_new_privs` that adds nothing.
use crate::run::Source;
use dataplane::capture::AnySource;
use std::io;
use sys::privileges::{Identity, become_user, drop_capabilities, gain_no_more, own_uid, user};
use sys::seccomp::{Sockets, refuse_calls};

/// Bit of CAP_SETPCAP (linux/capability.h).
const SETPCAP: u64 = 1 << 8;

/// How an operator says that nothing is to be given up.
const KEEP: &str = "--keep-privileges (ipfixprobe: SONDA_KEEP_PRIVILEGES=1)";

/// What a live run does with its privileges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    /// Become this user.
    pub(crate) user: Option<String>,
    /// Give up nothing.
    pub(crate) keep: bool,
}

/// Why a run does not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Kept {
    #[error(
        "there is no user {0} on this machine: make one (`useradd --system --no-create-home {0}`), or leave --user out"
    )]
    NoUser(String),
    #[error(
        "may not become user {user}: {cause}. That needs root or cap_setuid,cap_setgid; or start it as that user and leave --user out"
    )]
    User { user: String, cause: io::Error },
    #[error("privileges cannot be given up ({what}: {cause}); to run with them: {KEEP}")]
    Call { what: &'static str, cause: io::Error },
    #[error(
        "whether privileges are gone cannot be read in /proc ({0}): mount it (proc(5)), or to run with them: {KEEP}"
    )]
    Proc(io::Error),
    #[error("thread {thread} kept privileges: {what}; please report this. To run with them: {KEEP}")]
    Thread { thread: String, what: String },
    #[error(
        "{name}: without capabilities the maps of the XDP program cannot be read ({why}): Linux before 5.19 forbids that where \
         kernel.unprivileged_bpf_disabled is not 0. Use --backend af_packet, or {KEEP}"
    )]
    Maps { name: String, why: String },
}

impl Privileges {
    /// The wish of a face without options for it: SONDA_USER and SONDA_KEEP_PRIVILEGES.
    pub(crate) fn of_environment() -> Privileges {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Privileges { user: set("SONDA_USER"), keep: set("SONDA_KEEP_PRIVILEGES").is_some_and(|value| value != "0") }
    }

    /// Gives privileges up for these inputs if one of them is live; answers what an operator should know of it. Before it returns no
    /// packet may be read, and after an error none.
    pub(crate) fn give_up(&self, inputs: &[Source]) -> Result<Option<String>, Kept> {
        let mut sources =
            inputs.iter().flat_map(|input| input.readers.iter().map(|reader| (&input.name, &reader.source)));
        if !sources.clone().any(|(_, source)| source.is_live()) {
            return Ok(None);
        }
        if self.keep {
            return Ok(Some("runs with all the privileges that it was started with, as was asked".into()));
        }
        let before = Status::of("self").map_err(Kept::Proc)?;
        let identity = self.user.as_deref().map(wanted).transpose()?.filter(|identity| !before.is(identity));
        gain_no_more().map_err(|cause| Kept::Call { what: "no_new_privs", cause })?;
        if let Some(identity) = &identity {
            let name = || self.user.clone().unwrap_or_default();
            become_user(identity).map_err(|cause| Kept::User { user: name(), cause })?;
        }
        drop_capabilities().map_err(|cause| Kept::Call { what: "capset", cause })?;
        // Where the kernel has no seccomp, the run is as it would be without, and says so.
        let fence = refuse_calls(Sockets::Usual);
        check(&Wanted {
            identity: identity.as_ref(),
            bounding: before.effective & SETPCAP != 0,
            fence: fence.is_ok(),
        })?;
        sources.try_for_each(|(name, source)| still_works(name, source))?;
        let open = fence.err().map_or_else(String::new, |why| format!("; system calls are not fenced ({why})"));
        let notice = match (own_uid(), &self.user) {
            (_, Some(name)) => format!("runs as user {name}, without capabilities"),
            (0, None) => {
                "runs without capabilities, but as root, whose files it may open: --user NAME makes it another".into()
            }
            (uid, None) => format!("runs as user {uid}, without capabilities"),
        };
        Ok(Some(notice + &open))
    }
}

/// What a program gives up that captures nothing, when it begins: all capabilities, and calls and sockets that it has no use for. Answers
/// why calls are not fenced, where the kernel cannot.
pub(crate) fn confine(sockets: Sockets<'_>) -> Result<io::Result<()>, Kept> {
    let before = Status::of("self").map_err(Kept::Proc)?;
    gain_no_more().map_err(|cause| Kept::Call { what: "no_new_privs", cause })?;
    drop_capabilities().map_err(|cause| Kept::Call { what: "capset", cause })?;
    let fence = refuse_calls(sockets);
    check(&Wanted { identity: None, bounding: before.effective & SETPCAP != 0, fence: fence.is_ok() })?;
    Ok(fence)
}

fn wanted(name: &str) -> Result<Identity, Kept> {
    let found = user(name).map_err(|cause| Kept::User { user: name.into(), cause })?;
    found.ok_or_else(|| Kept::NoUser(name.into()))
}

/// How a thread should be.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted<'i> {
    identity: Option<&'i Identity>,
    /// Without a bounding set, which can be emptied.
    bounding: bool,
    /// With a filter of system calls.
    fence: bool,
}

/// Every thread has lost everything.
fn check(wanted: &Wanted<'_>) -> Result<(), Kept> {
    for entry in std::fs::read_dir("/proc/self/task").map_err(Kept::Proc)? {
        let thread = entry.map_err(Kept::Proc)?.file_name().to_string_lossy().into_owned();
        let status = match Status::of(&format!("self/task/{thread}")) {
            Ok(status) => status,
            // It has ended since.
            Err(e) if matches!(e.raw_os_error(), Some(libc_errors::ENOENT | libc_errors::ESRCH)) => continue,
            Err(e) => return Err(Kept::Proc(e)),
        };
        if let Some(what) = status.kept(wanted) {
            return Err(Kept::Thread { thread, what });
        }
    }
    Ok(())
}

/// errno(3) of a thread that has ended, on the way to its file and in it.
mod libc_errors {
    pub(super) const ENOENT: i32 = 2;
    pub(super) const ESRCH: i32 = 3;
}

/// What /proc/PID/status says of privileges (proc_pid_status(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Status {
    /// Real, effective, saved and of the file system.
    uids: Vec<u32>,
    gids: Vec<u32>,
    groups: Vec<u32>,
    inheritable: u64,
    permitted: u64,
    effective: u64,
    bounding: u64,
    ambient: u64,
    no_new_privs: bool,
    /// A filter of system calls is in force.
    fenced: bool,
}

impl Status {
    fn of(task: &str) -> io::Result<Status> {
        let text = std::fs::read_to_string(format!("/proc/{task}/status"))?;
        Status::parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its status has a line too few"))
    }

    /// `None` where a line is missing that this kernel should have.
    fn parse(text: &str) -> Option<Status> {
        let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let numbers = |name| line(name)?.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<u32>>>();
        let set = |name| u64::from_str_radix(line(name)?.trim(), 16).ok();
        Some(Status {
            uids: numbers("Uid")?,
            gids: numbers("Gid")?,
            groups: numbers("Groups")?,
            inheritable: set("CapInh")?,
            permitted: set("CapPrm")?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            ambient: set("CapAmb")?,
            no_new_privs: line("NoNewPrivs")?.trim() == "1",
            // A kernel without seccomp has no such line.
            fenced: line("Seccomp").is_some_and(|mode| mode.trim() == "2"),
        })
    }

    /// Whether this is the user already, with no more groups than its own.
    fn is(&self, identity: &Identity) -> bool {
        let same = self.uids.iter().all(|uid| *uid == identity.uid) && self.gids.iter().all(|gid| *gid == identity.gid);
        same && self.groups.iter().all(|group| identity.groups.contains(group))
    }

    /// What it has and should not have.
    fn kept(&self, wanted: &Wanted<'_>) -> Option<String> {
        let sets = [("permitted", self.permitted), ("effective", self.effective), ("inheritable", self.inheritable)];
        let mut sets = sets
            .into_iter()
            .chain([("ambient", self.ambient)])
            .chain(wanted.bounding.then_some(("bounding", self.bounding)));
        if let Some((name, set)) = sets.find(|(_, set)| *set != 0) {
            return Some(format!("capabilities {set:#x} ({name})"));
        }
        if !self.no_new_privs {
            return Some("no_new_privs is not set".into());
        }
        if wanted.fence && !self.fenced {
            return Some("the filter of system calls is not in force".into());
        }
        let identity = wanted.identity.filter(|identity| !self.is(identity))?;
        Some(format!("users {:?}, groups {:?} and {:?} in place of {identity:?}", self.uids, self.gids, self.groups))
    }
}

/// Whether what a lane does while it runs can still be done.
fn still_works(name: &str, source: &AnySource) -> Result<(), Kept> {
    match source {
        AnySource::Xdp(source) => match source.control().counters().total() {
            Ok(_) => Ok(()),
            Err(why) => Err(Kept::Maps { name: name.into(), why: why.to_string() }),
        },
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Name:\tsonda\nUid:\t7\t7\t7\t7\nGid:\t8\t8\t8\t8\nGroups:\t8 9 \nNoNewPrivs:\t1\nSeccomp:\t2\nCapInh:\t0000000000000000\n\
                        CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000100\nCapAmb:\t0000000000000000\n";

    #[test]
    fn what_a_thread_kept_is_said() {
        let status = Status::parse(TEXT).expect("all lines");
        let user = Identity { uid: 7, gid: 8, groups: vec![8, 9] };
        let wanted = Wanted { identity: Some(&user), bounding: false, fence: true };
        assert_eq!(status.kept(&wanted), None);
        assert_eq!(status.kept(&Wanted { bounding: true, ..wanted }), Some("capabilities 0x100 (bounding)".into()));
        let other = Identity { uid: 7, gid: 8, groups: vec![8] };
        let said = status.kept(&Wanted { identity: Some(&other), ..wanted });
        assert!(said.is_some_and(|what| what.contains("[8, 9]")), "a group too many");
        for (line, worse, what) in [
            ("CapEff:\t0000000000000000", "CapEff:\t0000000000002000", "capabilities 0x2000 (effective)"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privs is not set"),
            ("Seccomp:\t2", "Seccomp:\t0", "the filter of system calls is not in force"),
        ] {
            let status = Status::parse(&TEXT.replace(line, worse)).expect("all lines");
            assert_eq!(status.kept(&wanted).as_deref(), Some(what));
        }
        assert_eq!(Status::parse(&TEXT.replace("CapAmb", "Cap")), None);
    }
}
