//! A place for a supervisor and its modules: folders of its own, and nobody left behind.
use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for what must come, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

macro_rules! repeater {
    () => {
        r#"
[[profile]]
name = "P"
[[module]]
name = "rep"
profile = "P"
path = "@/bin/traffic_repeater"
inputs = ["u:supx_a"]
outputs = ["u:supx_b"]
"#
    };
}

/// A repeater. Sites have folders of their own for sockets, so their names are the same in all.
pub(crate) const REPEATER: &str = repeater!();
/// The same, and a logger behind it.
pub(crate) const CHAIN: &str = concat!(
    repeater!(),
    r#"[[module]]
name = "lg1"
profile = "P"
path = "@/bin/logger"
params = "-t -w '@/out file.csv'"
inputs = ["u:supx_b"]
after = ["rep"]
"#
);

/// What the menu ends with.
const PROMPT: &str = "Your choice: \x1b[0m";

pub(crate) struct Site {
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    /// Arguments that say which configuration.
    config: Vec<String>,
}

impl Site {
    /// With this text as the template; `@` stands for the folder, in which `bin` has links to our modules.
    pub(crate) fn template(text: &str) -> Site {
        Site::new("t.xml", "-T", text)
    }

    /// With this text as TOML.
    pub(crate) fn native(text: &str) -> Site {
        Site::new("s.toml", "-c", text)
    }

    fn new(name: &str, option: &str, text: &str) -> Site {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut site = Site { dir, daemon: None, config: vec![] };
        for folder in ["bin", "logs", "run", "traps"] {
            fs::create_dir(site.path(folder)).expect("made");
        }
        for module in ["traffic_repeater", "logger"] {
            let link = site.path(&format!("bin/{module}"));
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sonda"), link).expect("linked");
        }
        site.write(name, text);
        site.config = vec![option.into(), site.text(name)];
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes a file; `@` becomes the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text.replace('@', &self.text(""))).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A tool of ours, in the surroundings of the site.
    pub(crate) fn tool(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sonda"));
        command.args(words).stdin(Stdio::null()).env("TZ", "UTC").env("TRAP_SOCKET_DIR", self.path("traps"));
        command
    }

    /// A tool that talks to the daemon.
    pub(crate) fn client(&self, words: &[&str]) -> Output {
        self.tool(words).args(["-s", &self.text("run/s.sock")]).output().expect("it runs")
    }

    /// More words for the supervisor, before it is started.
    pub(crate) fn options(&mut self, words: &[&str]) {
        self.config.extend(words.iter().map(ToString::to_string));
    }

    /// The command of a supervisor here.
    pub(crate) fn supervisor(&self, more: &[&str]) -> Command {
        let mut command = self.tool(&["supervisor", "-L", &self.text("logs"), "-s", &self.text("run/s.sock")]);
        command.args(&self.config).args(more);
        if self.config[0] == "-T" {
            command.args(["-C", &self.text("run")]);
        }
        command
    }

    /// Starts a daemon and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// As [`Site::start`], in these surroundings.
    pub(crate) fn start_with(&mut self, surroundings: &[(&str, &str)]) {
        let said = fs::File::options().create(true).append(true).open(self.path("stderr")).expect("opened");
        self.daemon =
            Some(self.supervisor(&["-F"]).envs(surroundings.iter().copied()).stderr(said).spawn().expect("it starts"));
        self.until("the daemon answers", || self.connect().is_some());
    }

    pub(crate) fn connect(&self) -> Option<UnixStream> {
        UnixStream::connect(self.path("run/s.sock")).ok()
    }

    /// Waits for a condition.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(
                began.elapsed() < PATIENCE,
                "never: {what}\n{}\n{}\n{}",
                self.read("logs/supervisor_log"),
                self.read("logs/modules_events"),
                self.read("stderr")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a signal to the daemon and waits for its end; answers whether its status was 0.
    pub(crate) fn signal(&mut self, signal: &str) -> bool {
        let mut daemon = self.daemon.take().expect("it was started");
        kill(daemon.id(), signal);
        daemon.wait().expect("a child").success()
    }

    /// Waits for the end of a daemon that was told to stop; answers whether its status was 0.
    pub(crate) fn ended(&mut self) -> bool {
        self.daemon.take().expect("it was started").wait().expect("a child").success()
    }

    /// The daemon's process.
    pub(crate) fn daemon(&self) -> u32 {
        self.daemon.as_ref().expect("it was started").id()
    }

    /// The port of the control API, once it is served.
    #[track_caller]
    pub(crate) fn api_port(&self) -> u16 {
        const SERVED: &str = "The control API is served at https://127.0.0.1:";
        self.until("the API is served", || self.read("logs/supervisor_log").contains(SERVED));
        let log = self.read("logs/supervisor_log");
        let digits = log.rsplit(SERVED).next().unwrap_or_default().chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().expect("a port")
    }

    /// Sends a code, as any client; answers all that comes.
    pub(crate) fn asked(&self, code: &str) -> String {
        let mut daemon = self.connect().expect("it answers");
        daemon.set_read_timeout(Some(PATIENCE)).expect("set");
        daemon.write_all(format!("{code}\n").as_bytes()).expect("sent");
        let mut text = String::new();
        daemon.read_to_string(&mut text).expect("an answer");
        text
    }

    /// All modules, as JSON.
    pub(crate) fn inventory(&self) -> Value {
        serde_json::from_str(&self.asked("113366")).expect("JSON")
    }

    /// What the menu shows after each of these lines, without escape sequences and without the menu.
    pub(crate) fn menu(&self, lines: &[&str]) -> Vec<String> {
        let mut client = self.connect().expect("it answers");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client.write_all(b"789123\n").expect("sent");
        until_prompt(&mut client);
        lines
            .iter()
            .map(|line| {
                client.write_all(format!("{line}\n").as_bytes()).expect("sent");
                let text = plain(&until_prompt(&mut client));
                text.split("--------OPTIONS").next().unwrap_or_default().to_owned()
            })
            .collect()
    }

    /// The process of a running module, by the menu.
    pub(crate) fn pid(&self, module: &str) -> Option<u32> {
        let table = self.menu(&["4"]).remove(0);
        let row = table.lines().find(|row| row.split('|').nth(1).is_some_and(|name| name.trim() == module))?;
        row.split('|').nth(4)?.trim().parse().ok().filter(|pid| *pid != 0)
    }

    /// Waits until a module runs, as another process than `before`.
    #[track_caller]
    pub(crate) fn runs(&self, module: &str, before: Option<u32>) -> u32 {
        self.until(&format!("{module} runs"), || self.pid(module).is_some_and(|pid| Some(pid) != before));
        self.pid(module).expect("it runs")
    }

    /// How often a text is in a log.
    pub(crate) fn count(&self, log: &str, text: &str) -> usize {
        self.read(&format!("logs/{log}")).matches(text).count()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // It may have ended.
            let _gone = daemon.kill().and_then(|()| daemon.wait());
        }
        // One in the background is no child.
        if let Some(mut daemon) = self.connect() {
            let _gone = daemon.write_all(b"789123\n0\n0\n0\n").and_then(|()| daemon.read_to_end(&mut Vec::new()));
        }
        let state: Value = serde_json::from_str(&self.read("run/s.sock.state")).unwrap_or_default();
        for module in state["running"].as_array().into_iter().flatten() {
            if let Some(pid) = module[1]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
                && is_ours(pid, &self.text(""))
            {
                kill(pid, "KILL");
            }
        }
    }
}

/// The number may be another process's by now; ours know the folder of the site.
fn is_ours(pid: u32, folder: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    String::from_utf8_lossy(&environment).contains(folder.trim_end_matches('/'))
}

fn until_prompt(client: &mut UnixStream) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    loop {
        let is_prompt = text.ends_with(PROMPT.as_bytes()) || text.ends_with(b"(e.g. \"2,4-6,13\"): \x1b[0m");
        if is_prompt || client.read(&mut byte).expect("in time") == 0 {
            return String::from_utf8(text).expect("text");
        }
        text.push(byte[0]);
    }
}

fn plain(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('m').map_or("", |(_, rest)| rest))
}

pub(crate) fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "kill -{signal} {pid}");
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
