//! `sonda ipfixprobe`: the drop-in. Options, plugin syntax, end tables and values are the original's (spec/exporter.md).
mod dpdk;
mod help;
mod options;
mod outputs;
mod plugins;
mod tables;

use crate::osquery;
use crate::privileges::Privileges;
use crate::run::{Job, Reader, Source, run};
use crate::summary::notes;
use control::ipfixprobed::Start;
use dataplane::Face;
use dataplane::cpus;
use dataplane::export::ring::{Output, Overflow};
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

/// `ipfixprobed`: runs with the arguments that a file of settings stands for.
pub(crate) fn by_file(args: &[String]) -> u8 {
    match control::ipfixprobed::start(args) {
        Ok(Start::Run(arguments)) => main(&arguments),
        Ok(Start::Print(text)) => {
            print!("{text}");
            0
        }
        Err(why) => {
            eprintln!("ipfixprobed: {why}");
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
        notes(&input.report).for_each(|line| eprintln!("{line}"));
        for wrong in input.imbalance() {
            eprintln!("Error: ledger does not balance: {wrong}");
        }
        if let Some(error) = &input.error {
            let plugin = if input.live { "raw" } else { "pcap" };
            eprintln!("Error: {plugin}: {error}");
        }
    }
    if outcome.batches_out > 0 {
        eprintln!("Error: ledger does not balance: {} batches were not given back", outcome.batches_out);
    }
    if let Some(live) = outcome.interrupted {
        eprintln!("Interrupted: the {live} flows that were still live have been exported.");
    }
    for output in &outcome.outputs {
        let (lost, books) = (output.books.lost(), &output.books);
        if lost > 0 {
            let why: Vec<String> = books
                .records
                .losses()
                .filter(|(why, _)| !why.is_intended())
                .map(|(why, n)| format!("{n} {}", record::Reason::label(why)))
                .collect();
            let trouble = books.trouble.as_deref().map(|t| format!(" ({t})")).unwrap_or_default();
            eprintln!("Error: {}: {lost} records lost: {}{trouble}", output.name, why.join(", "));
        } else if let (Some(_), Some(trouble)) = (&output.failed, &books.trouble) {
            eprintln!("Error: {}: {trouble}", output.name);
        }
    }
    if outcome.broken_input() {
        return Err("one of the plugins exitted unexpectedly".into());
    }
    Ok(u8::from(outcome.lost() > 0 || outcome.broken_output()))
}

/// Checks the options and opens inputs and outputs; `None` when an option only asked for information.
fn prepare(options: &Options) -> Result<Option<Job>, String> {
    if options.storage.len() > 1 {
        return Err("only one storage plugin can be specified".into());
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
    if let Some(list) = &options.cpus {
        // Before anything starts a thread: all of them stay on these.
        cpus::parse(list).and_then(|cpus| cpus::run_on(&cpus)).map_err(|e| e.to_string())?;
    }
    let stop = Stop::default();
    stop.on_signals().map_err(|e| e.to_string())?;
    let storage = PluginArgs::parse(options.storage.first().map_or("cache", String::as_str))?;
    storage.no_cpu("storage")?;
    let mut lane: LaneConfig = plugins::storage(&storage)?;
    lane.cache.face = Face::Ipfixprobe;
    lane.packets_max = options.count.into();
    lane.plugins = plugins::process(&options.process)?;
    let mut beside = Vec::new();
    osquery::open(&mut lane, &mut beside)?;
    let mut inputs = Vec::new();
    let mut dpdk = dpdk::DpdkInputs::default();
    for text in &options.input {
        let args = PluginArgs::parse(text)?;
        if let Some((name, source)) = dpdk.input(&args)? {
            inputs.push(Source { name, interface: 0, readers: vec![Reader::new(source, args.checked_cpu()?)] });
            continue;
        }
        let Some((name, source)) = plugins::input(&args)? else { return Ok(None) };
        inputs.push(Source { name, interface: 0, readers: vec![Reader::new(source, args.checked_cpu()?)] });
    }
    dpdk.warning().into_iter().for_each(|warning| eprintln!("Warning: {warning}"));
    let mut outputs = Vec::new();
    let asked = if options.output.is_empty() { &["ipfix".to_string()][..] } else { &options.output };
    for text in asked {
        let args = PluginArgs::parse(text)?;
        let Some(exporters) = outputs::output(&args, &lane, &stop)? else { return Ok(None) };
        let cpu = args.checked_cpu()?;
        outputs.extend(exporters.into_iter().map(|exporter| Output { exporter, cpu, watch: None }));
    }
    Ok(Some(Job {
        lane,
        inputs,
        outputs,
        side_by_side: true,
        overflow: Overflow::Wait,
        flows_per_sec: options.fps,
        progress: true,
        duration: None,
        stop,
        name: None,
        tool: "ipfixprobe",
        beside,
        privileges: Privileges::of_environment(),
    }))
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
