//! `cargo xtask compare`: one capture through softflowd and through sonda, pinned to one core, in turns.
//!
//! Times mean nothing where sums differ, so those come first: packets and IP octets as the generator wrote them, as softflowd's own
//! statistics say, and as the flow records say that sonda exports. Numbers of flows differ by intention and are shown, not compared:
//! softflowd holds 8192 flows and forces older ones out, waits an hour for a quiet TCP flow where sonda waits 30 seconds, and counts
//! biflows as one where the export has two records. Octets mean the same in both: the length fields of IP headers.
mod collector;

use crate::{Outcome, shell, synth};
use benches::{Profile, Totals};
use collector::{Collector, Sink, Sums};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compare throughput with softflowd on a generated capture
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Packets in the capture
    #[arg(long, default_value_t = 1_000_000)]
    packets: u64,
    /// Runs of each program; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fail if sonda is less than so many times as fast as softflowd, by CPU time
    #[arg(long, default_value_t = 3.0)]
    least: f64,
}

/// The exporters are pinned here; the sink has the other cores.
const CORE: &str = "0";
const PLUGINS: [&str; 5] = ["http", "dns", "smtp", "sip", "tls"];

pub(crate) fn run(args: &Args) -> Outcome {
    shell::need("softflowd", "softflowd")?;
    shell::need("taskset", "util-linux")?;
    shell::call(Command::new("cargo").args(["build", "--quiet", "--release", "-p", "sonda"]))?;
    let sonda = shell::target_dir().join("release/sonda");
    let (capture, totals) = capture(args)?;
    check_sums(&sonda, &capture, &totals)?;
    let sink = Sink::start().map_err(|e| format!("no socket for the flows: {e}"))?;
    let rows = [
        ("softflowd (NetFlow 5, IPv4 only)", softflowd(&capture, sink.port, &[])),
        ("softflowd -6 -v 10 (IPFIX, all)", softflowd(&capture, sink.port, &["-6", "-v", "10"])),
        ("sonda, basic", sonda_args(&sonda, &capture, &format!("port={};udp", sink.port), &[])),
        ("sonda, http dns smtp sip tls", sonda_args(&sonda, &capture, &format!("port={};udp", sink.port), &PLUGINS)),
    ];
    let mut times: Vec<Vec<Time>> = vec![Vec::new(); rows.len()];
    for round in 0..=args.runs.max(1) {
        for ((_, argv), times) in rows.iter().zip(&mut times) {
            let time = timed(argv)?;
            // The first round fills the page cache.
            if round > 0 {
                times.push(time);
            }
        }
    }
    let medians: Vec<Time> = times.iter().map(|times| median(times)).collect();
    println!("\nmedian of {} runs in turns, core {CORE}, flows over UDP to a sink that counts", args.runs.max(1));
    println!(
        "{:34} {:>8} {:>8} {:>9} {:>8} {:>8} {:>8}",
        "", "wall s", "CPU s", "Mpkt/CPU s", "CPU 5", "CPU 10", "wall 5"
    );
    for ((name, _), time) in rows.iter().zip(&medians) {
        println!(
            "{name:34} {:8.3} {:8.3} {:10.2} {:8.2} {:8.2} {:8.2}",
            time.wall,
            time.cpu,
            totals.packets as f64 / 1e6 / time.cpu,
            medians[0].cpu / time.cpu,
            medians[1].cpu / time.cpu,
            medians[0].wall / time.wall,
        );
    }
    println!(
        "last columns: how many times as fast as softflowd with NetFlow 5, and as it is with IPFIX, where it does the same work as sonda"
    );
    println!("the sink saw {} datagrams", sink.datagrams());
    let ratio = medians[0].cpu / medians[2].cpu;
    if ratio < args.least {
        return Err(format!("sonda, basic, is {ratio:.2} times as fast as softflowd; {} is wanted", args.least));
    }
    Ok(())
}

/// The capture of these arguments, made once, and what the generator wrote into it.
fn capture(args: &Args) -> Result<(PathBuf, Totals), String> {
    let folder = shell::target_dir().join("compare");
    let path = folder.join(format!("realistic-{}-{}.pcap", args.packets, args.seed));
    let noted = path.with_extension("totals");
    if let Some(totals) = fs::read_to_string(&noted).ok().and_then(|text| parse(&text))
        && path.is_file()
    {
        return Ok((path, totals));
    }
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let t = synth::write(Profile::Realistic, args.packets, 0, args.seed, &path)?;
    let text = format!("{} {} {} {}\n", t.packets, t.bytes, t.ip_bytes, t.flows);
    // Written last: a note without its whole capture cannot be.
    fs::write(&noted, text).map_err(|e| format!("{}: {e}", noted.display()))?;
    Ok((path, t))
}

fn parse(text: &str) -> Option<Totals> {
    let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[packets, bytes, ip_bytes, flows] = numbers.as_slice() else { return None };
    Some(Totals { packets, bytes, ip_bytes, flows })
}

fn check_sums(sonda: &Path, capture: &Path, totals: &Totals) -> Outcome {
    let collector = Collector::start().map_err(|e| format!("no socket for the flows: {e}"))?;
    let argv = sonda_args(sonda, capture, &format!("port={}", collector.port), &[]);
    shell::read(Command::new(&argv[0]).args(&argv[1..]))?;
    let ours = collector.sums()?;
    let sink = Sink::start().map_err(|e| format!("no socket for the flows: {e}"))?;
    let argv = softflowd(capture, sink.port, &["-6", "-v", "10"]);
    let (said, more) = shell::read(Command::new(&argv[0]).args(&argv[1..]))?;
    let theirs = statistics(&(said + &more))?;
    println!("{}: {} bytes on the wire", capture.display(), totals.bytes);
    println!("{:34} {:>10} {:>12} {:>14}", "", "flows", "packets", "IP octets");
    let wrote = Sums { flows: totals.flows, packets: totals.packets, octets: totals.ip_bytes };
    for (name, sums) in
        [("generator", wrote), ("softflowd -6, its statistics", theirs), ("sonda, its IPFIX records", ours)]
    {
        println!("{name:34} {:>10} {:>12} {:>14}", sums.flows, sums.packets, sums.octets);
    }
    let same = |a: Sums, b: Sums| (a.packets, a.octets) == (b.packets, b.octets);
    if same(wrote, theirs) && same(wrote, ours) {
        return Ok(());
    }
    Err("packets or octets differ: a comparison of times would mean nothing".into())
}

fn softflowd(capture: &Path, port: u16, more: &[&str]) -> Vec<String> {
    let pid = shell::target_dir().join("compare/softflowd.pid").display().to_string();
    let (capture, sink) = (capture.display().to_string(), format!("127.0.0.1:{port}"));
    let fixed = ["softflowd", "-r", &capture, "-n", &sink, "-c", "none", "-p", &pid];
    fixed.iter().chain(more).map(ToString::to_string).collect()
}

fn sonda_args(sonda: &Path, capture: &Path, output: &str, plugins: &[&str]) -> Vec<String> {
    let (input, output) = (format!("pcap;file={}", capture.display()), format!("ipfix;host=127.0.0.1;{output}"));
    let fixed = [&sonda.display().to_string(), "ipfixprobe", "-i", &input, "-o", &output].map(String::from);
    let plugins = plugins.iter().flat_map(|plugin| ["-p".to_owned(), (*plugin).to_owned()]);
    fixed.into_iter().chain(plugins).collect()
}

/// What softflowd prints at its end.
fn statistics(text: &str) -> Result<Sums, String> {
    let after = |label: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(label));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        number.ok_or_else(|| format!("softflowd did not say `{label}`:\n{text}"))
    };
    let flows = after("Flows expired:")?;
    let mut sums = Sums { flows, ..Sums::default() };
    // `  tcp (6):   OCTETS  PACKETS   1.58s  16.72s`
    for line in text.lines().skip_while(|line| !line.starts_with("Per-protocol")).skip(1) {
        let Some((_, numbers)) = line.split_once("):") else { continue };
        let mut numbers = numbers.split_whitespace().map_while(|word| word.parse::<u64>().ok());
        sums.octets += numbers.next().unwrap_or(0);
        sums.packets += numbers.next().unwrap_or(0);
    }
    Ok(sums)
}

/// Seconds of one run.
#[derive(Clone, Copy)]
struct Time {
    wall: f64,
    /// User and system.
    cpu: f64,
}

fn timed(argv: &[String]) -> Result<Time, String> {
    // bash counts the time of its children in milliseconds, without a system call of ours that would need `unsafe`.
    let script = r#"TIMEFORMAT='%R %U %S'; time "$@" >/dev/null 2>&1"#;
    let mut command = Command::new("bash");
    command.env("LC_ALL", "C").args(["-c", script, "time", "taskset", "-c", CORE]).args(argv);
    let (_, times) = shell::read(&mut command)?;
    let numbers: Vec<f64> = times.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let &[wall, user, sys] = numbers.as_slice() else { return Err(format!("no times in {times:?}")) };
    Ok(Time { wall, cpu: (user + sys).max(0.001) })
}

fn median(times: &[Time]) -> Time {
    let middle = |of: fn(&Time) -> f64| {
        let mut all: Vec<f64> = times.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Time { wall: middle(|t| t.wall), cpu: middle(|t| t.cpu) }
}
