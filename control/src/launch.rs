//! The first thing that runs in a module's process: a session of its own, logs in place of standard output, then the module's program.
//!
//! It is a program of its own run because what stands between fork and exec cannot be written safely. Its process is the module's: exec
//! keeps number and start time. Section 3.3 and 4.
use crate::model::{Limits, Module, command};
use crate::time::ctime;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variable by which a module of ours knows that it is to enter its sandbox, and where it writes what is in force: lines `PART yes` or
/// `PART no`.
pub const SANDBOX: &str = "SONDA_SANDBOX";

pub(crate) mod bounds;

/// Name of the tool, which people do not call.
pub const APPLET: &str = "supervisor-launch";

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// `argv[0]`, so that `ps` shows the configured name.
    pub name: String,
    pub path: String,
    pub args: Vec<String>,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    pub limits: Limits,
    /// Files by which it enters its groups.
    pub doors: Vec<PathBuf>,
    /// Where it tells of its sandbox; `None`: it has none.
    pub sandbox: Option<PathBuf>,
}

impl Launch {
    /// How `module` is started with its logs in `folder`, in the groups behind these doors.
    ///
    /// # Errors
    /// Its command line cannot be made.
    pub fn of(module: &Module, folder: &Path, doors: Vec<PathBuf>) -> Result<Self, command::CommandError> {
        let log = |stream: &str| folder.join(format!("{}_{stream}", module.name));
        let (name, path, args) = (module.name.clone(), module.path.clone(), command::arguments(module)?);
        let (stdout, stderr, limits) = (log("stdout"), log("stderr"), module.limits.clone());
        let sandbox = limits.sandbox.then(|| report_of(&module.name, folder));
        Ok(Self { name, path, args, stdout, stderr, limits, doors, sandbox })
    }

    /// The command that runs this tool.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("sonda").arg(APPLET).arg(serde_json::to_string(self).unwrap_or_default());
        // What a module says to systemd would be taken for the supervisor's.
        command.stdin(Stdio::null()).env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        match &self.sandbox {
            Some(report) => command.env(SANDBOX, report),
            None => command.env_remove(SANDBOX),
        };
        command
    }

    /// `argv` of the program. Where it is this binary, which goes by its first word, a module that is called after no tool needs the
    /// tool's name behind its own.
    fn argv(&self, is_own: bool, is_tool: &dyn Fn(&str) -> bool) -> (String, Vec<String>) {
        let link = Path::new(&self.path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_own || self.name == link {
            return (self.name.clone(), self.args.clone());
        }
        if is_tool(&self.name) {
            return (link.to_owned(), self.args.clone());
        }
        let tool = is_tool(link).then(|| link.to_owned());
        (self.name.clone(), tool.into_iter().chain(self.args.iter().cloned()).collect())
    }
}

/// The file in which a module tells of its sandbox, beside its logs.
#[must_use]
pub fn report_of(module: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{module}_sandbox"))
}

/// Becomes the module. Answers the exit status 1 if that fails, which looks like a module that ends at once.
pub fn main(args: &[String], is_tool: &dyn Fn(&str) -> bool) -> u8 {
    let Some(launch) = args.first().and_then(|text| serde_json::from_str::<Launch>(text).ok()) else {
        eprintln!("{APPLET}: this starts modules of the supervisor; see `sonda supervisor -h`");
        return 1;
    };
    // Fails only for the leader of a group, which then has its own one already.
    let _has_one = nix::unistd::setsid();
    let (mut stdout, mut stderr) = match (log(&launch.stdout), log(&launch.stderr)) {
        (Ok(stdout), Ok(stderr)) => (stdout, stderr),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("{}: its logs cannot be opened: {why}", launch.name);
            return 1;
        }
    };
    let is_own = || {
        let own = fs::read_link("/proc/self/exe").ok()?;
        // A binary that was replaced while the supervisor runs has the new one in its place.
        let own = own.to_str()?;
        Some(fs::canonicalize(&launch.path).ok()? == Path::new(own.strip_suffix(" (deleted)").unwrap_or(own)))
    };
    let (argv0, argv) = launch.argv(is_own().unwrap_or(false), is_tool);
    let line = format!(
        "---> {now}\n{now} [INFO] Supervisor - executed command: {}   {}\n",
        launch.path,
        argv.join("   "),
        now = ctime()
    );
    for log in [&mut stdout, &mut stderr] {
        // A full disk must not keep a module from running.
        let _lost = log.write_all(line.as_bytes());
    }
    let mut tell = |line: String| {
        // As above.
        let _lost = writeln!(stderr, "{} {line}", ctime());
    };
    if let Err(why) = bounds::set(&launch, &mut tell) {
        tell(format!("[ERROR] {}: {why}", launch.name));
        return 1;
    }
    let told = stderr.try_clone();
    let why =
        Command::new(&launch.path).arg0(argv0).args(argv).stdin(Stdio::null()).stdout(stdout).stderr(stderr).exec();
    if let Ok(mut told) = told {
        let _lost = writeln!(told, "{} [ERROR] {}: {why}", ctime(), launch.path);
    }
    1
}

fn log(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o644).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_binary_finds_its_tool_whatever_the_module_is_called() {
        let launch = |name: &str, path: &str| Launch {
            name: name.into(),
            path: path.into(),
            args: vec!["-t".into()],
            stdout: "o".into(),
            stderr: "e".into(),
            limits: Limits::default(),
            doors: vec![],
            sandbox: None,
        };
        let is_tool = |name: &str| ["logger", "merger"].contains(&name);
        let argv = |name: &str, path: &str, is_own| {
            let (argv0, args) = launch(name, path).argv(is_own, &is_tool);
            std::iter::once(argv0).chain(args).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(argv("lg1", "/bin/logger", false), "lg1 -t");
        assert_eq!(argv("lg1", "/bin/logger", true), "lg1 logger -t");
        assert_eq!(argv("logger", "/bin/logger", true), "logger -t");
        assert_eq!(argv("merger", "/bin/logger", true), "logger -t");
        // There the parameters begin with the tool.
        assert_eq!(argv("lg1", "/bin/sonda", true), "lg1 -t");
        assert_eq!(argv("logger", "/bin/sonda", true), "sonda -t");
    }
}
