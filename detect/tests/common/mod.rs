//! What tests of modules share.
#[path = "../../../trap/tests/common/panics.rs"]
mod panics;

use detect::modules;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trap::{Input, InputDefaults, Output, OutputDefaults, Place, Spec};

/// How long a test waits for what must come, however busy the machine is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks again and again until it is so.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited for {what} in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A configuration with one rule that appends to a file.
pub(crate) const PLAIN: &str = "namespace: cz.cesnet.nemea\ncustom_actions: [{id: out, file: {path: OUT}}]\nrules: [{id: 1, condition: Null, actions: [out]}]\n";

/// Runs a module with these arguments; answers its exit code.
pub(crate) fn module(name: &str, args: &[&str]) -> u8 {
    let args: Vec<_> = args.iter().map(|a| (*a).to_owned()).collect();
    (modules::find(name).unwrap().run)(&args)
}

/// An input that a test reads itself.
pub(crate) fn input(spec: &str, place: &Place) -> Input {
    panics::end_the_process();
    Input::open_at(&Spec::parse(spec).unwrap()[0], &InputDefaults::default(), place).unwrap()
}

/// An output that a test writes itself.
pub(crate) fn output(spec: &str, place: &Place) -> Output {
    panics::end_the_process();
    Output::open_at(&Spec::parse(spec).unwrap()[0], OutputDefaults::default(), place).unwrap()
}

pub(crate) fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// The recorded data: `$SONDA_SHARED`, which must exist if it is set, or `/work/shared` if that exists.
pub(crate) fn fixtures(folder: &str) -> Option<PathBuf> {
    let named = std::env::var_os("SONDA_SHARED");
    let path = PathBuf::from(named.clone().unwrap_or("/work/shared".into())).join("fixtures").join(folder);
    if !path.exists() {
        assert!(named.is_none(), "SONDA_SHARED is set but {} is missing", path.display());
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

/// A folder with files between modules.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn ifc(&self, name: &str) -> String {
        format!("f:{}", self.path(name))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Makes a TRAP file of CSV.
    pub(crate) fn replay(&self, name: &str, csv: &str) {
        let from = self.write(&format!("{name}.csv"), csv);
        assert_eq!(module("logreplay", &["-i", &self.ifc(name), "-f", &from]), 0);
    }

    /// CSV of a TRAP file.
    pub(crate) fn log(&self, name: &str) -> String {
        let to = self.path(&format!("{name}.out"));
        assert_eq!(module("logger", &["-t", "-i", &self.ifc(name), "-w", &to]), 0);
        fs::read_to_string(to).unwrap()
    }

    /// Runs a module from `from` to `to`.
    pub(crate) fn pass(&self, name: &str, from: &str, to: &str, args: &[&str]) -> u8 {
        let ifcs = format!("{},{}", self.ifc(from), self.ifc(to));
        module(name, &[&["-i", &ifcs], args].concat())
    }

    /// Writes a configuration, in which OUT is a file of the folder.
    pub(crate) fn config(&self, text: &str) -> String {
        self.write("config.yaml", &text.replace("OUT", &self.path("out")))
    }

    /// Makes a TRAP file of JSON messages.
    pub(crate) fn replay_json(&self, name: &str, format: &str, lines: &str) {
        let from = self.write(&format!("{name}.json"), lines);
        assert_eq!(module("json_replay", &["-i", &self.ifc(name), "-f", format, &from]), 0);
    }

    /// Runs idea2idea on messages with a configuration's action `a`; answers the exit code.
    pub(crate) fn act(&self, messages: impl IntoIterator<Item = Value>, config: &str, args: &[&str]) -> u8 {
        let lines: String = messages.into_iter().map(|message| format!("{message}\n")).collect();
        self.replay_json("in", "IDEA", &lines);
        let rule = "rules: [{id: 1, condition: null, actions: [a]}]";
        let config = self.write("config.yaml", &format!("namespace: n\n{config}\n{rule}\n"));
        module("idea2idea", &[&["-D", "-i", &self.ifc("in"), "-c", &config], args].concat())
    }

    /// Runs a reporter on the TRAP file `in` and answers what it wrote.
    pub(crate) fn report(&self, name: &str, config: &str, args: &[&str]) -> Vec<Value> {
        let _ = fs::remove_file(self.path("out"));
        let config = self.config(config);
        assert_eq!(module(name, &[&["-i", &self.ifc("in"), "-c", &config, "-D"], args].concat()), 0, "{name}");
        read_lines(Path::new(&self.path("out")))
    }
}

/// The messages of a file that a reporter wrote.
pub(crate) fn read_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}
