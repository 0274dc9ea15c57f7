//! `sonda supervisor`: the daemon, or the menu at a terminal (section 2).
//!
//! Differences from the original: what cannot be used is an exit status, not 0; a second supervisor at one socket is refused.
use super::{FAILED, USAGE};
use crate::api;
use crate::client::{self, SOCKET};
use crate::config::Source;
use crate::logs;
use crate::runner::{Command, Handle, Options, Runner};
use crate::time::ctime;
use sd_notify::NotifyState;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// One line for lists of tools.
pub const ABOUT: &str = "run and watch all modules of a configuration, as a daemon or with a menu";

/// Where the generated configuration goes, as the original was packaged.
const CONFIGS: &str = "/etc/nemea";
/// For a daemon to answer at its socket.
const READY_WAIT: Duration = Duration::from_secs(10);
const READY_LOOK: Duration = Duration::from_millis(20);
/// For the answers that are under way at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(100);

/// Runs the modules of a configuration and keeps them running.
#[derive(clap::Parser, Debug)]
#[command(
    name = "supervisor",
    after_help = "Examples:\n  supervisor -T /etc/nemea/supervisor_config_template.xml -L /var/log/nemea-supervisor -d\n  \
sonda supervisor -c /etc/sonda/supervisor.toml -L /var/log/sonda -F -s /run/sonda/supervisor.sock\n  \
sonda ctl reference > /etc/sonda/supervisor.toml\n\n\
Signals: SIGTERM stops all modules, then the supervisor. SIGINT and SIGQUIT end the supervisor, modules go on; the next one with the\n\
same socket takes them over. SIGHUP loads the configuration again.\n\
Exit status: 0 fine; 1 a folder, the configuration's file or the socket cannot be used; 2 wrong usage."
)]
struct Args {
    /// XML template of the configuration; its name contains .xml
    #[arg(short = 'T', long = "config-template", value_name = "FILE", required_unless_present = "config")]
    template: Option<PathBuf>,
    /// TOML configuration, a file or a folder of *.toml, in place of -T
    #[arg(short = 'c', long, value_name = "PATH", conflicts_with = "template")]
    config: Option<PathBuf>,
    /// With -T, TOML for what a template has no words for: the tables supervisor (heartbeats, sizes of logs) and api (listen, certificate, key)
    #[arg(long, value_name = "FILE", requires = "template")]
    settings: Option<PathBuf>,
    /// Folder of logs
    #[arg(short = 'L', long = "logs-path", value_name = "DIR")]
    logs: PathBuf,
    /// Go to the background
    #[arg(short = 'd', long)]
    daemon: bool,
    /// Be a daemon in the foreground, as systemd likes it
    #[arg(short = 'F', long, conflicts_with = "daemon")]
    foreground: bool,
    /// Path of the daemon's socket
    #[arg(short = 's', long = "daemon-socket", value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Folder for the configuration that the template and its includes become [default: /etc/nemea, if it can be written]
    #[arg(short = 'C', long = "configs-path", value_name = "DIR")]
    configs: Option<PathBuf>,
    /// In a session of its own: the second half of -d
    #[arg(long, hide = true)]
    session: bool,
}

/// Runs the tool; answers the exit status.
#[must_use]
pub fn main(words: &[String]) -> u8 {
    let args: Args = match super::parse("supervisor", words) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let options = match args.options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("[ERROR] {why}\n\nUse \"supervisor -h\" for help.");
            return USAGE;
        }
    };
    let done = if args.daemon && !args.session { to_background(words, &options) } else { here(options, args.session) };
    match done {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("[ERROR] {why}");
            FAILED
        }
    }
}

impl Args {
    fn options(&self) -> Result<Options, String> {
        let source = match (&self.template, &self.config) {
            (Some(path), _) => {
                if !path.file_name().is_some_and(|name| name.to_string_lossy().contains(".xml")) {
                    return Err(format!(
                        "{}: the name of a template contains .xml; TOML is given with -c",
                        path.display()
                    ));
                }
                readable(path)?;
                let generated = match &self.configs {
                    Some(folder) => Some(writable(folder)?.to_owned()),
                    None => writable(Path::new(CONFIGS)).ok().map(Path::to_owned),
                };
                let settings = self.settings.as_deref().map(|path| readable(path).map(|()| absolute(path)));
                Source::Template { path: absolute(path), generated, settings: settings.transpose()? }
            }
            (None, Some(path)) => {
                fs::metadata(path).map_err(|why| format!("{}: {why}", path.display()))?;
                Source::Native(absolute(path))
            }
            (None, None) => return Err("neither -T nor -c says what to run".into()),
        };
        let logs = absolute(writable(&self.logs)?);
        let is_daemon = self.daemon || self.foreground;
        Ok(Options { source, logs, socket: absolute(&self.socket), is_daemon })
    }
}

/// The daemon changes to no other folder, but operators read these paths elsewhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn readable(path: &Path) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|why| format!("{}: {why}", path.display()))?;
    if !meta.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    fs::File::open(path).map(drop).map_err(|why| format!("{}: {why}", path.display()))
}

fn writable(folder: &Path) -> Result<&Path, String> {
    use nix::unistd::{AccessFlags, access};
    let wanted = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    if !folder.is_dir() {
        return Err(format!("{} is no folder; make it first", folder.display()));
    }
    access(folder, wanted)
        .map(|()| folder)
        .map_err(|why| format!("{} cannot be read and written: {why}", folder.display()))
}

/// Starts a daemon in the background and waits until it answers.
fn to_background(words: &[String], options: &Options) -> io::Result<()> {
    if UnixStream::connect(&options.socket).is_ok() {
        return client::listen(&options.socket).map(drop);
    }
    let log = OpenOptions::new().create(true).append(true).open(options.logs.join(logs::SUPERVISOR))?;
    let mut command = std::process::Command::new("/proc/self/exe");
    command.arg0("supervisor").args(words).arg("--session");
    let mut daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    println!("{} [INFO] PID of daemon process: {}.", ctime(), daemon.id());
    let until = Instant::now() + READY_WAIT;
    while Instant::now() < until {
        if let Some(status) = daemon.try_wait()? {
            let log = options.logs.join(logs::SUPERVISOR);
            return Err(io::Error::other(format!("the daemon ended ({status}); see {}", log.display())));
        }
        if UnixStream::connect(&options.socket).is_ok() {
            return Ok(());
        }
        std::thread::sleep(READY_LOOK);
    }
    Err(io::Error::other(format!("the daemon does not answer at {}", options.socket.display())))
}

fn here(options: Options, has_own_session: bool) -> io::Result<()> {
    if has_own_session {
        // Fails only for the leader of a group, which then has its own one already.
        let _has_one = nix::unistd::setsid();
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(work(options));
    // A question to a module may be under way, and standard input may never end.
    runtime.shutdown_background();
    done
}

async fn work(options: Options) -> io::Result<()> {
    let socket = options.socket.clone();
    let named = |why: io::Error| io::Error::new(why.kind(), format!("{}: {why}", socket.display()));
    let listener = if options.is_daemon {
        Some(client::listen(&socket).map_err(named)?)
    } else if UnixStream::connect(&socket).is_ok() {
        return client::listen(&socket).map(drop).map_err(named);
    } else {
        socket.parent().map_or(Ok(()), fs::create_dir_all).map_err(named)?;
        None
    };
    let api = api::socket_of(&socket);
    let api_listener =
        client::listen(&api).map_err(|why| io::Error::new(why.kind(), format!("{}: {why}", api.display())))?;
    let (runner, handle, refused) = Runner::new(options)?;
    if let Some(refused) = refused {
        eprint!("{refused}");
    }
    on_signals(&handle)?;
    attend(listener.is_some(), &handle);
    if let Some(listener) = listener {
        tokio::spawn(client::serve(listener, handle.clone()));
    }
    let (path, asked) = (api.clone(), handle.clone());
    tokio::spawn(async move {
        if let Err(why) = api::serve(api_listener, &path, asked.clone()).await {
            asked.logs().say(&format!("[ERROR] The control API is not served: {why}"));
        }
    });
    // Without systemd nobody listens.
    let _unheard = sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("modules are watched")]);
    runner.run().await;
    // Who asked for the end is still to hear of it.
    tokio::time::sleep(LAST_ANSWERS).await;
    let _unheard = sd_notify::notify(&[NotifyState::Stopping]);
    let _gone = fs::remove_file(&socket);
    let _gone = fs::remove_file(&api);
    Ok(())
}

/// The menu at the terminal, unless this is a daemon.
fn attend(is_daemon: bool, handle: &Handle) {
    if is_daemon {
        return;
    }
    let (lines, read) = mpsc::channel(1);
    tokio::spawn(client::at_terminal(handle.clone(), read));
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
}

/// Makes commands of signals.
fn on_signals(handle: &Handle) -> io::Result<()> {
    let all = [
        (SignalKind::terminate(), Command::Stop),
        (SignalKind::interrupt(), Command::Leave),
        (SignalKind::quit(), Command::Leave),
        (SignalKind::hangup(), Command::Reload),
    ];
    for (kind, command) in all {
        let (mut signal, handle) = (signal(kind)?, handle.clone());
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                handle.ask(command.clone()).await;
            }
        });
    }
    Ok(())
}
