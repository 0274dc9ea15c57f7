//! `cargo xtask trap-speed`: messages per second between processes, and rows per second of logger (PERFORMANCE.md, P6 and P7).
//!
//! The processes are roles of detect/examples/trap_speed.rs, built with the `budget` profile (release without link-time optimization). Time
//! runs in the last one, from the first message to the end of the stream. "one core" pins all processes to processor 0, "two" spreads
//! them over 0 and 1. Ratios to NEMEA's own figures on the machine of PERFORMANCE.md say little about another one: they are shown beside.
use crate::{Outcome, shell};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Measure TRAP messages and logger rows per second
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Messages of each run
    #[arg(long, default_value_t = 4_000_000)]
    messages: u64,
    /// Runs of each measurement; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

/// How long a socket may take to appear.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// Which processors the processes of a run have, in order.
const PINS: [(&str, &[&str]); 2] = [("two cores", &["0", "1"]), ("one core", &["0"])];

pub(crate) fn run(args: &Args) -> Outcome {
    shell::need("taskset", "util-linux")?;
    let build = ["build", "--quiet", "--locked", "--profile", "budget", "-p", "detect", "--example", "trap_speed"];
    shell::call(Command::new("cargo").args(build))?;
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    let bench = Bench { program: shell::target_dir().join("budget/examples/trap_speed"), folder: folder.path() };
    println!(
        "millions a second, median of {} runs; in brackets NEMEA on the machine of PERFORMANCE.md",
        args.runs.max(1)
    );
    for (name, pins) in PINS {
        println!("\n{name}");
        let is_two = pins.len() == 2;
        for (bytes, two, one) in [(66, 9.1, 6.3), (300, 5.5, 3.1), (1023, 2.1, 1.4)] {
            let sender = [String::from("send"), "u:a".into(), args.messages.to_string(), bytes.to_string()];
            let chain = [sender.to_vec(), words(&["recv", "u:a"])];
            row(args, &format!("unix socket, {bytes} bytes"), if is_two { two } else { one }, || {
                bench.timed(&chain, pins)
            })?;
        }
        let file = bench.file(args.messages, 66)?;
        let repeater =
            if bench.has("traffic_repeater")? { vec!["module", "traffic_repeater", "-i"] } else { vec!["repeat"] };
        let repeat = |specs: &str| words(&[&repeater[..], &[specs]].concat());
        let chain = [repeat(&format!("f:{file},u:a")), repeat("u:a,u:b"), words(&["recv", "u:b"])];
        let label = format!(
            "file > {} > {} > counter",
            repeater[repeater.len().min(2) - 1],
            repeater[repeater.len().min(2) - 1]
        );
        row(args, &label, if is_two { 3.8 } else { 2.9 }, || bench.timed(&chain, pins))?;
        let (rows, from) = (args.messages, format!("f:{file}"));
        let logger = [words(&["module", "logger", "-i", &from, "-w", "/dev/null"])];
        row(args, "logger rows, from a file", 0.51, || bench.wall(&logger, pins, rows))?;
        let logger = [repeat(&format!("{from},u:a")), words(&["module", "logger", "-i", "u:a", "-w", "/dev/null"])];
        row(args, "logger rows, over a socket", 0.41, || bench.wall(&logger, pins, rows))?;
    }
    Ok(())
}

/// Prints one line.
fn row(args: &Args, label: &str, original: f64, mut measure: impl FnMut() -> Result<f64, String>) -> Outcome {
    let mut all = (0..args.runs.max(1)).map(|_| measure()).collect::<Result<Vec<f64>, String>>()?;
    all.sort_by(f64::total_cmp);
    let middle = all[all.len() / 2] / 1e6;
    println!("  {label:44} {middle:8.2}   ({original:.2}: {:.1} x)", middle / original);
    Ok(())
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Processes and the folder of their sockets and files.
struct Bench<'f> {
    program: PathBuf,
    folder: &'f Path,
}

impl Bench<'_> {
    /// Messages per second as the last process of the chain counted them.
    fn timed(&self, chain: &[Vec<String>], pins: &[&str]) -> Result<f64, String> {
        let said = self.chain(chain, pins)?;
        let mut numbers = said.split_whitespace().map_while(|word| word.parse::<f64>().ok());
        match (numbers.next(), numbers.next()) {
            (Some(messages), Some(seconds)) => Ok(messages / seconds),
            _ => Err(format!("no figures in {said:?}")),
        }
    }

    /// Rows per second of programs that do not count themselves: from the start of the first to the end of the last.
    fn wall(&self, chain: &[Vec<String>], pins: &[&str], rows: u64) -> Result<f64, String> {
        let since = Instant::now();
        self.chain(chain, pins)?;
        Ok(rows as f64 / since.elapsed().as_secs_f64())
    }

    /// Starts each process when the socket that it reads is there; answers what the last one said on standard error.
    fn chain(&self, chain: &[Vec<String>], pins: &[&str]) -> Result<String, String> {
        let mut running: Vec<Child> = Vec::new();
        for (at, args) in chain.iter().enumerate() {
            let waits = args.iter().flat_map(|arg| arg.split(',').next()).find_map(|spec| spec.strip_prefix("u:"));
            if let Some(socket) = waits.filter(|_| at > 0) {
                self.wait_for(socket)?;
            }
            let mut command = Command::new("taskset");
            command.args(["-c", pins[at % pins.len()]]).arg(&self.program).args(args);
            command.env("TRAP_SOCKET_DIR", self.folder).stdin(Stdio::null()).stdout(Stdio::null());
            if at + 1 == chain.len() {
                command.stderr(Stdio::piped());
            } else {
                command.stderr(Stdio::null());
            }
            running.push(command.spawn().map_err(|e| format!("{}: {e}", self.program.display()))?);
        }
        let mut said = String::new();
        for child in running.into_iter().rev() {
            let output = child.wait_with_output().map_err(|e| format!("a process: {e}"))?;
            said += &String::from_utf8_lossy(&output.stderr);
            if !output.status.success() {
                return Err(format!("a process ended with {}: {said}", output.status));
            }
        }
        Ok(said)
    }

    fn wait_for(&self, socket: &str) -> Outcome {
        let path = self.folder.join(format!("trap-{socket}.sock"));
        let until = Instant::now() + LISTEN_WAIT;
        while !path.exists() {
            if Instant::now() > until {
                return Err(format!("{} does not appear", path.display()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// A file of messages, made once for all runs.
    fn file(&self, messages: u64, bytes: usize) -> Result<String, String> {
        let path = self.folder.join(format!("{messages}-{bytes}.trap")).to_string_lossy().into_owned();
        if !Path::new(&path).exists() {
            self.chain(&[words(&["send", &format!("f:{path}"), &messages.to_string(), &bytes.to_string()])], &["0"])?;
        }
        Ok(path)
    }

    fn has(&self, module: &str) -> Result<bool, String> {
        let mut command = Command::new(&self.program);
        let status = command.args(["module", module, "-h"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(status.map_err(|e| format!("{}: {e}", self.program.display()))?.success())
    }
}
