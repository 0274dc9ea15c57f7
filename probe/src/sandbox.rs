//! Modules of ours that a supervisor runs give up what they have no use for, before they open the first interface: capabilities, files (Landlock),
//! TCP ports (Landlock), other kinds of sockets and calls (seccomp). What a module may do is told by its kind and its arguments
//! (`sandbox/kinds.rs`).
//!
//! The supervisor asks for it by [`REPORT`], the name of a file in which it reads what is in force. What the kernel cannot do is said on standard
//! error and in that file; what it says to have done and has not ends the module.
use crate::privileges;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use sys::seccomp::Sockets;
use trap::Place;

mod kinds;
use kinds::Rights;

/// The variable with the name of the file for [`Parts`]; `-` is standard error. Unset: no sandbox.
pub(crate) const REPORT: &str = control::launch::SANDBOX;

/// Landlock as of Linux 6.12: files, TCP ports, signals and abstract sockets of others. Older kernels do a part of it, which is told.
const LANDLOCK: ABI = ABI::V6;

/// What is in force, or why not.
type Parts = [(&'static str, Result<(), String>); 3];

/// Enters the sandbox of a tool if one is asked for. An error must end the module.
pub(crate) fn enter(tool: &str, args: &[String]) -> Result<(), String> {
    let Some(report) = std::env::var_os(REPORT).filter(|report| !report.is_empty()) else { return Ok(()) };
    let Some(rights) = kinds::rights(tool, args, &Place::default().socket_dir) else { return Ok(()) };
    let mut file = (report != "-")
        .then(|| File::create(&report))
        .transpose()
        .map_err(|why| format!("{}: {why}", report.display()))?;
    let failed =
        |why: String| format!("the sandbox failed: {why}; or set `sandbox = false` in the supervisor's configuration");
    // Before capabilities go, for it needs none, and before calls are fenced, for it is some.
    let files = fence_files(&rights);
    let calls = privileges::confine(Sockets::Only(&rights.sockets)).map_err(|why| failed(why.to_string()))?;
    let parts: Parts = [("capabilities", Ok(())), ("files", files), ("calls", calls.map_err(|why| why.to_string()))];
    for (part, state) in &parts {
        if let Err(why) = state {
            eprintln!("[WARNING] sandbox: {part} are not fenced: {why}");
        }
        let line = format!("{part} {}\n", if state.is_ok() { "yes" } else { "no" });
        let written = match &mut file {
            Some(file) => file.write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
        written.map_err(|why| failed(why.to_string()))?;
    }
    Ok(())
}

/// Leaves this thread, and all that it starts, these rights; answers why that is not in force as a whole.
fn fence_files(rights: &Rights) -> Result<(), String> {
    let status = restrict(rights).map_err(|why| why.to_string())?;
    match status {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("this kernel's Landlock is older and does a part of it".into()),
        RulesetStatus::NotEnforced => {
            Err("this kernel has no Landlock, or it is not among the boot parameter lsm=".into())
        }
    }
}

fn restrict(rights: &Rights) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(LANDLOCK))?;
    ruleset = ruleset.handle_access(AccessNet::BindTcp)?.scope(Scope::from_all(LANDLOCK))?;
    if rights.connect.is_some() {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
    }
    let mut created = ruleset.create()?;
    let read = AccessFs::from_read(LANDLOCK) & !AccessFs::Execute;
    let write = read | (AccessFs::from_write(LANDLOCK) & !(AccessFs::MakeChar | AccessFs::MakeBlock));
    let of_sockets = AccessFs::MakeSock | AccessFs::RemoveFile | AccessFs::ReadDir;
    let all = rights.read.iter().map(|path| (path, read)).chain(rights.write.iter().map(|path| (path, write)));
    for (path, access) in all.chain([(&rights.socket_dir, of_sockets)]) {
        // What is not there needs no right.
        let Ok(opened) = PathFd::new(path) else { continue };
        created = created.add_rule(PathBeneath::new(opened, of_kind(path, access)))?;
    }
    for port in &rights.listen {
        created = created.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in rights.connect.iter().flatten() {
        created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(created.restrict_self()?.ruleset)
}

/// Rights over folders mean nothing for a file.
fn of_kind(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) }
}

/// `sonda sandbox-try TOOL [ARGUMENT]...`: enters the sandbox of a tool and says what can still be done there, for tests and for who wonders.
pub(crate) fn attempts(args: &[OsString]) -> u8 {
    let args: Vec<String> = args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let Some((tool, args)) = args.split_first() else {
        eprintln!("Usage: {REPORT}=- sonda sandbox-try TOOL [ARGUMENT]...");
        return 2;
    };
    if let Err(why) = enter(tool, args) {
        eprintln!("{tool}: {why}");
        return 1;
    }
    let bound = |address: &str| std::net::TcpListener::bind(address).map(drop);
    let written = |path: &str| File::options().write(true).open(path).map(drop);
    let tries: [(&str, io::Result<()>); 7] = [
        ("start a program", Command::new("/bin/true").status().map(drop)),
        ("read /etc/shadow", File::open("/etc/shadow").map(drop)),
        ("write to /etc/hosts", written("/etc/hosts")),
        ("a socket of IPv4", std::net::UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("listen at a TCP port", bound("127.0.0.1:0")),
        ("a socket of this machine", std::os::unix::net::UnixDatagram::unbound().map(drop)),
        ("read /proc/self/status", std::fs::read("/proc/self/status").map(drop)),
    ];
    for (what, tried) in tries {
        println!("{what}: {}", tried.map_or_else(|why| format!("refused ({why})"), |()| "possible".into()));
    }
    0
}
