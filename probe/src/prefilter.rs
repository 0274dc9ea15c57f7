//! The rules of `--prefilter`: given in words, or in a file that is read again at SIGHUP. Rules are changed while the XDP program runs, each
//! packet meets all of the old ones or all of the new ones, and a file that is wrong changes nothing.
use dataplane::capture::XdpControl;
use dataplane::flow::offload::Threshold;
use ebpf::{Fault, Policy};
use signal_hook::consts::SIGHUP;
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Bytes of a file of rules: some hundred for each prefix that there can be.
const FILE_MAX: u64 = 1 << 20;

/// What `--prefilter` was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prefilter {
    pub(crate) policy: Policy,
    /// Where the rules stand, if in a file.
    pub(crate) file: Option<PathBuf>,
}

/// Why rules are not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrefilterError {
    #[error("{fault}")]
    Words { fault: Fault },
    #[error("{}:{line}: {fault}", path.display())]
    Rule { path: PathBuf, line: usize, fault: Fault },
    #[error("{}: {cause}; name a file of rules that this user may read", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{} is longer than {FILE_MAX} bytes: is it a file of rules?", path.display())]
    Long { path: PathBuf },
}

impl FromStr for Prefilter {
    type Err = PrefilterError;

    fn from_str(text: &str) -> Result<Prefilter, PrefilterError> {
        match text.strip_prefix('@') {
            Some(path) => {
                let path = PathBuf::from(path);
                Ok(Prefilter { policy: read(&path)?, file: Some(path) })
            }
            None => {
                let policy = text.parse().map_err(|e: ebpf::PolicyError| PrefilterError::Words { fault: e.fault })?;
                Ok(Prefilter { policy, file: None })
            }
        }
    }
}

fn read(path: &Path) -> Result<Policy, PrefilterError> {
    let failed = |cause| PrefilterError::Read { path: path.into(), cause };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_MAX {
        return Err(PrefilterError::Long { path: path.into() });
    }
    text.parse().map_err(|e: ebpf::PolicyError| PrefilterError::Rule {
        path: path.into(),
        line: e.line,
        fault: e.fault,
    })
}

/// Packets after which a lane offers a flow.
pub(crate) fn threshold(policy: &Policy) -> u32 {
    if policy.offload { policy.offload_after } else { 0 }
}

/// The program of an interface, as rules reach it.
pub(crate) struct Ruled {
    pub(crate) interface: String,
    pub(crate) control: XdpControl,
    pub(crate) threshold: Threshold,
}

/// Puts rules from a file in force whenever SIGHUP says so.
pub(crate) struct Reload {
    path: PathBuf,
    signals: Signals,
    ruled: Vec<Ruled>,
    /// Why rules must not offload flows, if they must not.
    no_offload: Option<String>,
    quiet: bool,
}

impl Reload {
    /// From now on SIGHUP does not end the process; what it asks for is done by [`Reload::run`].
    pub(crate) fn new(path: PathBuf, quiet: bool) -> io::Result<Reload> {
        Ok(Reload { path, signals: Signals::new([SIGHUP])?, ruled: Vec::new(), no_offload: None, quiet })
    }

    /// The programs that the rules are for, and why they must not offload flows, if so.
    pub(crate) fn of(self, ruled: Vec<Ruled>, no_offload: Option<String>) -> Reload {
        Reload { ruled, no_offload, ..self }
    }

    /// Waits for signals as long as the process runs.
    pub(crate) fn run(self) {
        let Reload { path, mut signals, ruled, no_offload, quiet } = self;
        for _ in signals.forever() {
            match reload(&path, &ruled, no_offload.as_deref()) {
                Ok(()) if quiet => {}
                Ok(()) => eprintln!("rules of {} are in force", path.display()),
                Err(why) => eprintln!("{why}; the rules stay as they were"),
            }
        }
    }
}

fn reload(path: &Path, ruled: &[Ruled], no_offload: Option<&str>) -> Result<(), String> {
    let policy = read(path).map_err(|e| e.to_string())?;
    if let (true, Some(why)) = (policy.offload, no_offload) {
        return Err(format!("{}: {why}", path.display()));
    }
    for Ruled { interface, control, threshold } in ruled {
        control.set(&policy).map_err(|e| format!("{interface}: {e}"))?;
        threshold.set(self::threshold(&policy));
    }
    Ok(())
}
