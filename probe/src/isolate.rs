//! `sonda probe --isolate`: two processes. The first one keeps its privileges, opens interfaces, and never sees a packet; the second one,
//! started by it, has no privilege from its first instruction, and is all the rest: lanes, outputs, page.
//!
//! They live and die together. SIGINT and SIGTERM are passed on, and the exit status is the reader's. When the reader ends, in whatever way, the
//! interfaces are closed. When the opener is killed, the reader ends as after a signal and exports its live flows.
use dataplane::capture::{CaptureError, XdpConfig, XdpOpener};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use sys::handover::{Channel, signal, start_without_privileges};
use sys::privileges::user;
use trap::Stop;

/// The variable by which the reader knows that it is one, with the numbers of its channels in the order of the interfaces.
const CHANNELS: &str = "SONDA_CHANNELS";
/// Whose identity the reader has if no other is asked for.
const NOBODY: &str = "nobody";

/// Whether this process is the one that reads.
pub(crate) fn is_reader() -> bool {
    std::env::var_os(CHANNELS).is_some()
}

/// The reader's ends, one for each interface. When the opener has gone, the reader is told to stop.
pub(crate) fn channels(stop: &Stop) -> Result<Vec<Channel>, String> {
    let numbers = std::env::var(CHANNELS).unwrap_or_default();
    let channel =
        |number: &str| number.parse().map_err(|_| io::ErrorKind::InvalidInput.into()).and_then(Channel::inherited);
    let channels: io::Result<Vec<_>> = numbers.split(',').map(channel).collect();
    let channels = channels.map_err(|e| format!("{CHANNELS} is set, but not by sonda ({e}): unset it"))?;
    for channel in &channels {
        let (channel, stop) = (channel.try_clone().map_err(|e| e.to_string())?, stop.clone());
        std::thread::spawn(move || {
            channel.wait_for_end();
            stop.request();
        });
    }
    Ok(channels)
}

/// Starts the reader with `words` as the arguments of `sonda probe` and opens the interfaces for it; answers its exit status.
pub(crate) fn open_for_reader(
    interfaces: &[String],
    config: &XdpConfig,
    name: Option<&str>,
    words: &[OsString],
) -> Result<u8, String> {
    let name = name.unwrap_or(NOBODY);
    let identity = user(name).map_err(|e| format!("user {name}: {e}"))?;
    let identity =
        identity.ok_or_else(|| format!("there is no user {name} on this machine: give another one by --user"))?;
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|e| e.to_string())?;
    // The rings' memory is charged to the reader, who may not lock any without limit.
    sys::raise_memlock();
    let pairs: io::Result<Vec<_>> = interfaces.iter().map(|_| Channel::pair()).collect();
    let (own, theirs): (Vec<_>, Vec<_>) = pairs.map_err(|e| e.to_string())?.into_iter().unzip();
    let mut command = Command::new("/proc/self/exe");
    // Not this process's own: the reader may not be allowed to read a file of options.
    command.arg0("sonda").arg("probe").args(words);
    let started = start_without_privileges(&mut command, &theirs, CHANNELS, Some(identity));
    let mut reader = started.map_err(|e| {
        format!("the process that reads cannot be started as user {name}: {e}. That needs root, or cap_setuid,cap_setgid,cap_setpcap")
    })?;
    drop(theirs);
    let (id, ended) = (reader.id(), Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&ended);
    std::thread::spawn(move || {
        for number in signals.forever().take_while(|_| !over.load(Ordering::SeqCst)) {
            let _gone_already = signal(id, number);
        }
    });
    let opened = open(interfaces, config, own);
    let status = wait(&mut reader, &ended);
    match opened {
        Ok(openers) => {
            // Each ends when the reader has: the programs are off when this process ends.
            openers.into_iter().for_each(|opener| drop(opener.join()));
            status
        }
        Err(e) => Err(e.to_string()),
    }
}

/// Opens one after the other, as the reader takes them over, and serves each. On an error all ends close, by which the reader knows.
fn open(interfaces: &[String], config: &XdpConfig, own: Vec<Channel>) -> Result<Vec<JoinHandle<()>>, CaptureError> {
    let openers = interfaces.iter().zip(own).map(|(name, channel)| XdpOpener::open(name, config, channel));
    // All are open before any is served: those that are left on an error are closed here.
    let openers: Vec<XdpOpener> = openers.collect::<Result<_, _>>()?;
    Ok(openers.into_iter().map(|opener| std::thread::spawn(|| opener.serve())).collect())
}

fn wait(reader: &mut Child, ended: &AtomicBool) -> Result<u8, String> {
    let status = reader.wait().map_err(|e| format!("waiting for the process that reads: {e}"))?;
    ended.store(true, Ordering::SeqCst);
    let code = status.code().or(status.signal().map(|number| 128 + number)).unwrap_or(1);
    if let Some(number) = status.signal() {
        eprintln!("sonda probe: the process that reads was ended by signal {number}; its live flows are lost");
    }
    Ok(code as u8)
}
