//! What `sonda new-module` writes builds and runs.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use support::{Folder, Run, outcome, run, sonda};

const ROWS: &str = "uint32 FOO,uint32 BAR,string MORE\n1,2,\"x\"\n4294967295,2,\"\"\n";
const SUMS: &str = "uint32 BAR,uint32 BAZ,uint32 FOO\n2,3,1\n2,1,4294967295\n";

#[test]
fn what_is_wrong_is_said() {
    let folder = Folder::new();
    let at = folder.text("");
    run(["new-module", "Bad-Name", "--in", &at]).must(1).says(&["is no name for a module"]);
    run(["new-module"]).must(2);
    run(["new-module", "mine", "--sonda", "/nonexist", "--in", &at]).must(1).says(&["--sonda"]);
    assert!(!folder.path("mine").exists(), "nothing is left of what failed");
    run(["new-module", "mine", "--python", "--in", &at]).must(0);
    run(["new-module", "mine", "--in", &at]).must(1).says(&["is there already"]);
}

#[test]
fn the_python_module_talks_to_ours_over_files() {
    let folder = Folder::new();
    run(["new-module", "sums", "--python", "--in", &folder.text("")]).must(0);
    folder.write("in.csv", ROWS);
    let (from, to) = (format!("f:{}", folder.text("in.trap")), format!("f:{}", folder.text("out.trap")));
    run(["logreplay", "-i", &from, "-f", &folder.text("in.csv")]).must(0);
    python(&folder, &["-i", &format!("{from},{to}")]).must(0);
    let logged = run(["logger", "-i", &to, "-t"]).must(0);
    assert_eq!(logged.stdout, SUMS);
    python(&folder, &["-i", &from]).must(1).says(&["2 are needed"]);
}

#[test]
fn the_python_module_talks_to_ours_over_sockets() {
    let folder = Folder::new();
    run(["new-module", "sums", "--python", "--in", &folder.text("")]).must(0);
    let mut rows = String::from("uint32 FOO,uint32 BAR\n");
    (0..20_000).for_each(|n| rows.push_str(&format!("{n},1\n")));
    folder.write("in.csv", rows);
    let mut replay = sonda(["logreplay", "-i", "u:numbers", "-f", &folder.text("in.csv")]);
    let mut replay = replay.env("TRAP_SOCKET_DIR", folder.path("")).spawn().expect("logreplay starts");
    let mut module = command(&folder, &["-i", "u:numbers,u:sums"]).spawn().expect("python starts");
    let logged = outcome(sonda(["logger", "-i", "u:sums", "-t"]).env("TRAP_SOCKET_DIR", folder.path(""))).must(0);
    assert!(replay.wait().expect("ends").success() && module.wait().expect("ends").success());
    let lines: Vec<_> = logged.stdout.lines().collect();
    assert_eq!((lines.len(), lines[1], lines[20_000]), (20_001, "1,1,0", "1,20000,19999"));
}

/// Every kind of field through the Python template and back.
#[test]
fn python_reads_and_writes_every_kind() {
    let folder = Folder::new();
    run(["new-module", "sums", "--python", "--in", &folder.text("")]).must(0);
    let csv = "ipaddr A,ipaddr B,double D,int64 I,time T,float F,macaddr M,uint16 P,char C,int8 E,bytes R,string S,uint16* L\n\
        10.0.0.1,2001:db8::1,-1.500000,-7,2018-06-27T16:52:54.123457,0.250000,00:01:02:0a:0b:0c,443,x,-1,00ff,\"a,\"\"b\",[1|2]\n";
    folder.write("in.csv", csv);
    let (from, to) = (folder.text("in.trap"), folder.text("out.trap"));
    run(["logreplay", "-i", &format!("f:{from}"), "-f", &folder.text("in.csv")]).must(0);
    let copy = "import sys, trap\ns = trap.Input('f:' + sys.argv[1])\nout = None\nfor r in s:\n  out = out or trap.Output('f:' + sys.argv[2], s.template.spec)\n  out.send(r)\nout.close()\n";
    let script = folder.write("copy.py", copy);
    let mut copying = Command::new("python3");
    outcome(copying.arg(script).args([&from, &to]).env("PYTHONPATH", folder.path("sums"))).must(0);
    let read = |file: &str| run(["logger", "-i", &format!("f:{file}"), "-t"]).must(0).stdout;
    assert_eq!(read(&to), read(&from));
    assert_eq!(read(&to).lines().count(), 2);
}

/// Compiles for most of a minute; `.ci/run` has it.
#[test]
#[ignore = "compiles a crate: cargo test -p sonda --test new_module -- --ignored"]
fn the_rust_module_builds_and_runs() {
    let folder = Folder::new();
    run(["new-module", "sums", "--in", &folder.text("")]).must(0);
    // A folder of its own that stays, so that the next run builds little.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-module");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(args).current_dir(folder.path("sums")).env("CARGO_TARGET_DIR", &target).stdin(Stdio::null());
        outcome(&mut cargo).must(0)
    };
    // The lock came from the workspace: what is built is at hand.
    cargo(&["build", "--quiet", "--offline"]);
    let tests = cargo(&["test", "--quiet", "--offline"]);
    assert!(tests.stdout.contains("test result: ok. 3 passed"), "{}", tests.stdout);
    folder.write("in.csv", ROWS);
    let (from, to) = (format!("f:{}", folder.text("in.trap")), format!("f:{}", folder.text("out.trap")));
    run(["logreplay", "-i", &from, "-f", &folder.text("in.csv")]).must(0);
    let program = target.join("debug/sums");
    outcome(Command::new(&program).args(["-i", &format!("{from},{to}")])).must(0);
    assert_eq!(run(["logger", "-i", &to, "-t"]).must(0).stdout, SUMS);
    let help = outcome(Command::new(&program).arg("-h")).must(0);
    assert!(help.stdout.contains("Name: sums") && help.stdout.contains("--mult"), "{}", help.stdout);
}

fn command(folder: &Folder, args: &[&str]) -> Command {
    let mut command = Command::new(folder.path("sums/sums.py"));
    command.args(args).stdin(Stdio::null()).env("TRAP_SOCKET_DIR", folder.path(""));
    command
}

fn python(folder: &Folder, args: &[&str]) -> Run {
    outcome(&mut command(folder, args))
}
