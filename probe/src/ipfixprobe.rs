//! `sonda ipfixprobe`: the drop-in. Options, plugin syntax, end tables and values are the original's (spec/exporter.md).
mod help;
mod options;
mod plugins;
mod tables;

use crate::run::{Job, run};
use dataplane::Face;
use dataplane::lane::LaneConfig;
use options::Options;
use plugins::PluginArgs;
use std::path::PathBuf;
use trap::Stop;

/// Runs with the arguments behind the name; answers the exit status.
pub(crate) fn main(args: &[String]) -> u8 {
    match try_main(args) {
        Ok(status) => status,
        Err(message) => {
            eprintln!("Error: {message}");
            1
        }
    }
}

fn try_main(args: &[String]) -> Result<u8, String> {
    let options = Options::parse(args)?;
    if let Some(what) = &options.help {
        print!("{}", help::text(what.as_deref())?);
        return Ok(0);
    }
    if options.version {
        println!("{}", env!("CARGO_PKG_VERSION"));
        return Ok(0);
    }
    for warning in &options.warnings {
        eprintln!("Warning: {warning}");
    }
    let Some(job) = prepare(&options)? else { return Ok(0) };
    let _pid = options.pid.clone().map(PidFile::write).transpose()?;
    let outcome = run(job).map_err(|e| e.to_string())?;
    print!("{}", tables::tables(&outcome));
    for input in &outcome.inputs {
        for wrong in input.report.imbalance() {
            eprintln!("Error: ledger does not balance: {wrong}");
        }
        if let Some(error) = &input.error {
            eprintln!("Error: pcap: {error}");
        }
    }
    if let Some(live) = outcome.interrupted {
        eprintln!("Interrupted: the {live} flows that were still live have been exported.");
    }
    for output in &outcome.outputs {
        let (lost, books) = (output.books().lost(), output.books());
        if lost > 0 {
            let why: Vec<String> = books
                .records
                .losses()
                .filter(|(why, _)| !why.is_intended())
                .map(|(why, n)| format!("{n} {}", record::Reason::label(why)))
                .collect();
            let trouble = books.trouble.as_deref().map(|t| format!(" ({t})")).unwrap_or_default();
            eprintln!("Error: {}: {lost} records lost: {}{trouble}", output.name(), why.join(", "));
        }
    }
    if outcome.broken_input() {
        return Err("one of the plugins exitted unexpectedly".into());
    }
    Ok(u8::from(outcome.lost() > 0))
}

/// Checks the options and opens inputs and outputs; `None` when an option only asked for information.
fn prepare(options: &Options) -> Result<Option<Job>, String> {
    if options.storage.len() > 1 || options.output.len() > 1 {
        return Err("only one storage and output plugin can be specified".into());
    }
    if options.input.is_empty() {
        return Err("specify at least one input plugin".into());
    }
    if options.input_queue < 1 {
        return Err("input queue size must be at least 1 record".into());
    }
    if options.output_queue < 1 {
        return Err("output queue size must be at least 1 record".into());
    }
    let stop = Stop::default();
    stop.on_signals().map_err(|e| e.to_string())?;
    let storage = PluginArgs::parse(options.storage.first().map_or("cache", String::as_str))?;
    storage.no_cpu("storage")?;
    let mut lane: LaneConfig = plugins::storage(&storage)?;
    lane.cache.face = Face::Ipfixprobe;
    lane.packets_max = options.count.into();
    lane.plugins = plugins::process(&options.process)?;
    let mut inputs = Vec::new();
    for text in &options.input {
        match plugins::input(&PluginArgs::parse(text)?)? {
            Some(input) => inputs.push(input),
            None => return Ok(None),
        }
    }
    let output = PluginArgs::parse(options.output.first().map_or("ipfix", String::as_str))?;
    let Some(output) = plugins::output(&output, &lane, &stop)? else { return Ok(None) };
    Ok(Some(Job { lane, inputs, outputs: vec![output], flows_per_sec: options.fps, progress: true, stop }))
}

/// A file with our process id, removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: String) -> Result<PidFile, String> {
        std::fs::write(&path, std::process::id().to_string())
            .map_err(|e| format!("failed to write pid file: {path}: {e}"))?;
        Ok(PidFile(path.into()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
