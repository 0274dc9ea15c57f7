//! `sonda probe`: the pleasant face. A capture goes in; a table, IPFIX, UniRec or JSON come out, with correct values.
pub(crate) mod file;
mod interfaces;
mod options;
mod outputs;
mod plan;
mod rules;

use crate::applets;
use crate::isolate;
use crate::live::Backend;
use crate::osquery;
use crate::prefilter::Reload;
use crate::privileges::Privileges;
use crate::run::{Job, Reader, Source, run};
use crate::summary::summary;
use dataplane::capture::{self, OpenOptions};
use dataplane::export::ring::{Output, Overflow};
use interfaces::{Beside, dpdk_ports, interface_lanes, live_config};
pub(crate) use options::Args;
use options::WhenFull;
use plan::{Plan, plan};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use trap::Stop;

/// Exit statuses, stable: scripts may rely on them. A wrong command line is `applets::USAGE`.
mod exit {
    pub(super) const OK: u8 = 0;
    /// An input or output cannot be opened, an option cannot be used.
    pub(super) const CANNOT_START: u8 = 1;
    /// The capture is broken; what could be read was processed.
    pub(super) const BROKEN_INPUT: u8 = 3;
    /// An output lost records.
    pub(super) const RECORDS_LOST: u8 = 4;
    /// Ended by SIGINT or SIGTERM; all live flows were exported.
    pub(super) const INTERRUPTED: u8 = 130;
}

pub(crate) fn main(words: &[OsString]) -> u8 {
    let args: Args = match applets::parse("probe", words) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let (args, words) = match &args.config {
        None => (args, words.to_vec()),
        Some(path) => match file::read(path) {
            Ok(read) => (read.args, read.words),
            Err(refused) => {
                eprint!("{refused}");
                return exit::CANNOT_START;
            }
        },
    };
    let quiet = args.telemetry.quiet;
    if args.privileges.isolate && !isolate::is_reader() {
        return isolated(&args, &words).unwrap_or_else(|e| {
            eprintln!("sonda probe: {e}");
            exit::CANNOT_START
        });
    }
    let job = match prepare(args) {
        Ok(job) => job,
        Err(e) => {
            eprintln!("sonda probe: {e}");
            return exit::CANNOT_START;
        }
    };
    let outcome = match run(job) {
        Ok(outcome) => outcome,
        Err(e) => {
            eprintln!("sonda probe: {e}");
            return exit::CANNOT_START;
        }
    };
    let lost = outcome.lost() > 0 || outcome.broken_output();
    let wrong = outcome.broken_input() || lost;
    if !quiet || wrong {
        eprint!("{}", summary(&outcome));
    }
    match () {
        _ if lost => exit::RECORDS_LOST,
        _ if outcome.broken_input() => exit::BROKEN_INPUT,
        _ if outcome.interrupted.is_some() => exit::INTERRUPTED,
        _ => exit::OK,
    }
}

/// The part of this process when another one reads the packets.
fn isolated(args: &Args, words: &[OsString]) -> Result<u8, String> {
    plan(args).map_err(|e| e.to_string())?;
    let config = live_config(args).map_err(|e| e.to_string())?;
    isolate::open_for_reader(&args.input.interfaces, &config.xdp, args.privileges.user.as_deref(), words)
}

/// Opens everything; nothing is read before all of it is open.
fn prepare(args: Args) -> Result<Job, Box<dyn std::error::Error>> {
    let stop = Stop::default();
    stop.on_signals()?;
    let Plan { mut lane, cpus, lanes } = plan(&args)?;
    let mut aides = Vec::new();
    osquery::open(&mut lane, &mut aides)?;
    let mut inputs = Vec::new();
    if args.input.backend == Backend::Dpdk {
        inputs.extend(dpdk_ports(&args, &cpus)?);
    }
    let kernels = if args.input.backend == Backend::Dpdk { &[][..] } else { &args.input.interfaces[..] };
    // Before anything says that the run has begun.
    let file = args.input.prefilter.as_ref().and_then(|prefilter| prefilter.file.clone());
    let reload = file.map(|path| Reload::new(path, args.telemetry.quiet)).transpose()?;
    let mut beside = Beside::default();
    let mut channels = if args.privileges.isolate { isolate::channels(&stop)? } else { Vec::new() }.into_iter();
    for (n, interface) in kernels.iter().enumerate() {
        let own = cpus.get(n * args.input.lanes as usize..).unwrap_or_default();
        inputs.push(interface_lanes(interface, &args, own, channels.next(), &mut beside)?);
    }
    let Beside { ruled, no_offload, mut threads } = beside;
    if let Some(reload) = reload {
        let reload = reload.of(ruled, no_offload);
        threads.push(("rules", Box::new(|| reload.run())));
    }
    threads.append(&mut aides);
    for file in &args.input.files {
        let interface = args.input.interface_index;
        inputs.push(Source { name: file.display().to_string(), interface, readers: readers(file, &args, &cpus)? });
    }
    let mut left_over = cpus.get(lanes..).unwrap_or_default().iter().cycle();
    let exporters = outputs::open(&args, &inputs, &stop)?.into_iter();
    let outputs = exporters.map(|exporter| Output { exporter, cpu: left_over.next().copied(), watch: None }).collect();
    Ok(Job {
        lane,
        inputs,
        outputs,
        side_by_side: !args.input.interfaces.is_empty(),
        overflow: if args.output.overflow == WhenFull::Drop { Overflow::Drop } else { Overflow::Wait },
        flows_per_sec: args.output.fps,
        progress: !args.telemetry.quiet,
        duration: args.input.duration.map(Duration::from_secs),
        stop,
        name: args.telemetry.name,
        tool: "probe",
        beside: threads,
        privileges: Privileges { user: args.privileges.user, keep: args.privileges.keep_privileges },
    })
}

/// Opens a capture once for each lane.
fn readers(file: &Path, args: &Args, cpus: &[usize]) -> Result<Vec<Reader>, Box<dyn std::error::Error>> {
    let open = |lane: usize| {
        let options = OpenOptions { filter: args.input.filter.clone(), ..OpenOptions::default() };
        capture::open(file, options).map(|source| Reader::new(source.into(), cpus.get(lane).copied()))
    };
    let once_only = file == Path::new("-") || file.exists() && !file.is_file();
    if args.input.lanes > 1 && once_only {
        let name = file.display();
        return Err(
            format!("{name} can be read only once, so by one lane: leave --lanes out, or save it as a file").into()
        );
    }
    Ok((0..args.input.lanes as usize).map(open).collect::<Result<_, _>>()?)
}
