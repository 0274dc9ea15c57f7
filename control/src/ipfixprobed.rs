//! `ipfixprobed`: starts ipfixprobe by a file of settings, as the wrapper of ipfixprobe 5.7 does (spec/exporter.md section 7).
//!
//! Contract: a file is YAML, or the assignments of a shell where it speaks of `INPUT[` or of `USE_DPDK=`, as older releases had it.
//! Either becomes the command line of ipfixprobe, word for word what its man would type; nothing is run by a shell. What the original's
//! converter gets wrong is done as its documentation says, with a warning where that changes what is exported.
use std::fmt::Write;
use std::path::{Path, PathBuf};

mod legacy;
mod numa;
mod shell;
mod yaml;

/// What the tool does, in a line.
pub const ABOUT: &str = "run ipfixprobe by a file of settings (YAML, or the older shell form)";

/// Where a file stands that is given by its name alone.
const FOLDER: &str = "/etc/ipfixprobe";
/// Longest file that is read, bytes.
const FILE_MAX: u64 = 1 << 20;
/// Queues of a card at the most: each is an input with a thread and a flow cache.
const QUEUES_MAX: u32 = 1_024;

const USAGE: &str = "\
Usage: ipfixprobed [--print] CONFIG [LIBDIR]

Runs ipfixprobe as /etc/ipfixprobe/CONFIG.conf says; a CONFIG with a / in it is the path of a file.
LIBDIR is taken for the sake of unit files: Sonda's plugins are built in.

  --print     print the command line of ipfixprobe and end
  -h, --help  print this text

The file is YAML as ipfixprobe 5.7 ships it (link0.conf.example), for example

  input_plugin:
    raw: { interface: eth0 }
  process_plugins: [http, dns, tls]
  output_plugin:
    ipfix:
      collector: { host: collector.example, port: 4739 }
      protocol: { tcp: { non_blocking: true } }

or the assignments that older releases had (INPUT[0]=\"raw;ifc=eth0\" and so on).
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// Run ipfixprobe with these arguments.
    Run(Vec<String>),
    /// Print this text and end well.
    Print(String),
}

/// The command line that a file stands for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Converted {
    pub arguments: Vec<String>,
    /// What somebody should know who expects what the original does.
    pub warnings: Vec<String>,
}

impl Converted {
    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.arguments.extend([name.into(), value.into()]);
    }
    fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("a name of a configuration is missing\n\n{USAGE}")]
    NoName,
    #[error("{0}: no such option\n\n{USAGE}")]
    Option(String),
    #[error("{path}: {cause}\n\n{USAGE}")]
    Missing { path: String, cause: std::io::Error },
    #[error("{path}: longer than 1 MiB, or not UTF-8: not a file of settings")]
    Text { path: String },
    #[error("{path}: {why}")]
    Wrong { path: String, why: String },
}

/// Reads the arguments behind the name, and the file that they name. Warnings go to standard error.
pub fn start(args: &[String]) -> Result<Start, StartError> {
    let (mut print, mut words) = (false, Vec::new());
    for arg in args {
        match arg.as_str() {
            "-h" | "--help" => return Ok(Start::Print(USAGE.into())),
            "--print" => print = true,
            option if option.starts_with('-') => return Err(StartError::Option(option.into())),
            word => words.push(word),
        }
    }
    let path = path_of(words.first().ok_or(StartError::NoName)?);
    let text = read(&path)?;
    let wrong = |why| StartError::Wrong { path: path.display().to_string(), why };
    let converted = convert(&text, &numa::cpus_near).map_err(wrong)?;
    for warning in &converted.warnings {
        eprintln!("Warning: {}: {warning}", path.display());
    }
    Ok(if print { Start::Print(line(&converted.arguments)) } else { Start::Run(converted.arguments) })
}

/// The arguments of ipfixprobe that a text stands for. `cpus_near` tells the processors near a card on the PCI bus, if that is known.
pub fn convert(text: &str, cpus_near: &dyn Fn(&str) -> Option<Vec<u32>>) -> Result<Converted, String> {
    let converted = if is_legacy(text) {
        let mut converted = legacy::convert(text)?;
        converted.warn("the shell form is obsolete: YAML says the same, see --help");
        converted
    } else {
        yaml::convert(text, cpus_near)?
    };
    match converted.arguments.iter().find(|argument| argument.contains('\0')) {
        Some(argument) => Err(format!("{argument:?}: no argument of a program has a NUL")),
        None => Ok(converted),
    }
}

/// The original knows the older form by `INPUT[`; a file for DPDK has none, and is YAML in no case.
fn is_legacy(text: &str) -> bool {
    text.contains("INPUT[") || text.lines().any(|line| line.trim_start().starts_with("USE_DPDK="))
}

fn path_of(name: &str) -> PathBuf {
    if name.contains('/') { name.into() } else { Path::new(FOLDER).join(format!("{name}.conf")) }
}

fn read(path: &Path) -> Result<String, StartError> {
    use std::io::Read;
    let name = || path.display().to_string();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
        .map_err(|cause| StartError::Missing { path: name(), cause })?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(StartError::Text { path: name() });
    }
    String::from_utf8(bytes).map_err(|_| StartError::Text { path: name() })
}

/// The command line as one would type it.
fn line(arguments: &[String]) -> String {
    let mut out = String::from("ipfixprobe");
    for argument in arguments {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
        // A String takes every write.
        let _ = if !argument.is_empty() && argument.chars().all(is_plain) {
            write!(out, " {argument}")
        } else {
            write!(out, " '{}'", argument.replace('\'', r"'\''"))
        };
    }
    out + "\n"
}

/// A plugin with its parameters: `NAME;key=value;flag`.
#[derive(Debug)]
struct Plugin(String);

impl Plugin {
    fn new(name: &str, cpu: Option<&str>) -> Result<Plugin, String> {
        let mut plugin = Plugin(String::new());
        plugin.push(name)?;
        if let Some(cpu) = cpu {
            plugin.0.push('@');
            plugin.push(cpu)?;
        }
        Ok(plugin)
    }

    fn flag(mut self, name: &str) -> Result<Plugin, String> {
        self.0.push(';');
        self.push(name)?;
        Ok(self)
    }

    fn with(mut self, key: &str, value: impl ToString) -> Result<Plugin, String> {
        self.0.push(';');
        self.push(key)?;
        self.0.push('=');
        self.push(&value.to_string())?;
        Ok(self)
    }

    fn with_some(self, key: &str, value: Option<impl ToString>) -> Result<Plugin, String> {
        match value {
            Some(value) => self.with(key, value),
            None => Ok(self),
        }
    }

    /// A part of a plugin's text: ipfixprobe has no way to write a semicolon that does not part two parameters.
    fn push(&mut self, part: &str) -> Result<(), String> {
        if part.contains([';', '\0', '\n']) {
            return Err(format!("{part:?}: a value must not contain a semicolon, nor more than a line"));
        }
        self.0.push_str(part);
        Ok(())
    }
}

/// Any text: what is taken becomes pairs of options that begin as ipfixprobe's do, and comes back from its printed line in one piece.
pub fn fuzz(data: &[u8]) {
    let Ok(converted) = convert(&String::from_utf8_lossy(data), &|_| Some(vec![0, 1])) else { return };
    assert!(converted.arguments.iter().all(|argument| !argument.contains('\0')));
    let printed = line(&converted.arguments);
    assert!(printed.starts_with("ipfixprobe") && printed.ends_with('\n'));
    if !is_legacy(&String::from_utf8_lossy(data)) {
        let options = converted.arguments.iter().filter(|argument| argument.starts_with('-')).count();
        assert!(options >= 2, "an input and an output: {printed}");
    }
}

#[cfg(test)]
mod tests;
