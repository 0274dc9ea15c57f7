//! What a sensor does, in minutes: files and interfaces of all kinds through the sets of plugins that people use, to all kinds of outputs, and the
//! modules over what comes out.
use crate::compare::{ORIGINAL, Sink};
use crate::{Outcome, modules, shell, synth};
use benches::Profile;
use rig::FIVE;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Captures, and the packets of each: enough for tables to fill and timeouts to pass.
const CAPTURES: [(&str, Profile, u64); 3] = [
    ("realistic", Profile::Realistic, 600_000),
    ("small64", Profile::Small64, 1_000_000),
    ("syn", Profile::Syn, 200_000),
];
/// Records that each module reads.
const RECORDS: u64 = 100_000;
/// The namespace of live runs, with both ends of a veth pair.
const SPACE: &str = "sonda-training";
const LIVE_SECONDS: &str = "4";

/// Says what is missing before anything long begins.
pub(super) fn ready() -> Outcome {
    [("ip", "iproute2"), ("tcpreplay", "tcpreplay"), ("taskset", "util-linux")]
        .iter()
        .try_for_each(|(program, package)| shell::need(program, package))
}

pub(super) fn run(program: &Path, folder: &Path, seed: u64) -> Outcome {
    let mut captures = Vec::new();
    for (name, profile, packets) in CAPTURES {
        let capture = folder.join(format!("{name}.pcap"));
        synth::write(profile, packets, 0, seed, &capture)?;
        captures.push(capture);
    }
    let training = Training { program, folder };
    training.files(&captures)?;
    training.live(&captures[0])?;
    modules::train(program, RECORDS)
}

struct Training<'p> {
    program: &'p Path,
    folder: &'p Path,
}

impl Training<'_> {
    /// Files, as the drop-in and as the probe, with few, usual and all plugins; each kind of output.
    fn files(&self, captures: &[PathBuf]) -> Outcome {
        let sink = Sink::start().map_err(|e| format!("no socket for the flows: {e}"))?;
        let udp = format!("ipfix;host=127.0.0.1;port={};udp", sink.port);
        let collector = format!("udp://127.0.0.1:{}", sink.port);
        for capture in captures {
            let shown = capture.display().to_string();
            for plugins in [&[][..], &FIVE, &ORIGINAL] {
                let input = format!("pcap;file={shown}");
                let plugins = plugins.iter().flat_map(|plugin| ["-p", plugin]);
                self.sonda(["ipfixprobe", "-i", &input, "-o", &udp].into_iter().chain(plugins))?;
            }
            for (l7, stats) in [("none", "none"), (&*FIVE.join(","), "none"), ("all", "all")] {
                self.sonda(["probe", &shown, "--l7", l7, "--stats", stats, "--ipfix", &collector])?;
            }
        }
        let realistic = captures[0].display().to_string();
        let out = |name: &str| self.folder.join(name).display().to_string();
        let (unirec, json, ipfix) = (format!("f:{}:w", out("flows.trap")), out("flows.json"), out("flows.ipfix"));
        let netflow = format!("v9://127.0.0.1:{}", sink.port);
        let outputs = [["--unirec", &unirec], ["--json", &json], ["--ipfix-file", &ipfix], ["--netflow", &netflow]];
        for output in outputs {
            for lanes in ["1", "2"] {
                self.sonda(["probe", &realistic, "--lanes", lanes].into_iter().chain(output))?;
            }
        }
        // They are as long as the capture.
        ["flows.trap", "flows.json", "flows.ipfix"]
            .iter()
            .for_each(|name| drop(fs::remove_file(self.folder.join(name))));
        Ok(())
    }

    /// A veth pair, by either way past or through the kernel.
    fn live(&self, capture: &Path) -> Outcome {
        let _ = shell::read(Command::new("ip").args(["netns", "delete", SPACE]));
        ip(&["netns", "add", SPACE])?;
        let outcome = self.live_in_space(capture);
        ip(&["netns", "delete", SPACE])?;
        outcome
    }

    fn live_in_space(&self, capture: &Path) -> Outcome {
        ip(&["-n", SPACE, "link", "add", "v0", "type", "veth", "peer", "name", "v1"])?;
        for end in ["v0", "v1"] {
            ip(&["-n", SPACE, "link", "set", end, "mtu", "3000", "up"])?;
        }
        for (backend, l7) in [("af_xdp", "none"), ("af_packet", "none"), ("af_xdp", "all"), ("af_packet", "all")] {
            let inside = |program: &Path| {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", SPACE]).arg(program);
                command
            };
            let mut probe = inside(self.program);
            probe.args(["probe", "-i", "v0", "--backend", backend, "--l7", l7, "--keep-privileges"]);
            probe.args(["--duration", LIVE_SECONDS, "--json", "/dev/null"]);
            std::thread::scope(|scope| {
                let probe = scope.spawn(move || shell::read(&mut probe));
                let mut replay = inside(Path::new("tcpreplay"));
                replay.args(["-q", "-i", "v1", "--pps", "100000", "--duration", LIVE_SECONDS]).arg(capture);
                shell::read(&mut replay)?;
                probe.join().map_err(|_| "the probe's thread panicked".to_owned())?.map(drop)
            })?;
        }
        Ok(())
    }

    /// A run of the program; what was lost on the way is not what it is about.
    fn sonda<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Outcome {
        let mut command = Command::new(self.program);
        command.args(args);
        let shown = format!("{command:?}");
        let output = command.output().map_err(|e| format!("{shown}: {e}"))?;
        match output.status.code() {
            Some(OK | LOST) => Ok(()),
            _ => Err(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }
}

/// Exit codes of the program: all went well, and records were lost (a sink on one core cannot keep up).
const OK: i32 = 0;
const LOST: i32 = 4;

fn ip(args: &[&str]) -> Outcome {
    shell::read(Command::new("ip").args(args)).map(drop)
}
