//! What options ask for, checked as far as that goes before anything is opened: `sonda check` asks the same as a run.
use super::Args;
use super::interfaces::{live_config, no_offload};
use super::options::{Entered, Values};
use super::outputs;
use super::rules;
use crate::live::Backend;
use dataplane::Face;
use dataplane::capture;
use dataplane::cpus;
use dataplane::export::ipfix::MTU_MIN;
use dataplane::flow::CacheConfig;
use dataplane::flow::table::Shape;
use dataplane::lane::{LaneConfig, Selector};
use dataplane::registry::{Layer, PluginId};
use std::time::Duration;

/// What the lanes are to be.
pub(super) struct Plan {
    pub(super) lane: LaneConfig,
    /// The processors that were named.
    pub(super) cpus: Vec<usize>,
    /// Lanes that run at a time.
    pub(super) lanes: usize,
}

/// Checks what options mean together.
///
/// # Errors
/// What cannot be done, with the option that asks for it: the message names it as on the command line.
pub(super) fn plan(args: &Args) -> Result<Plan, Box<dyn std::error::Error>> {
    let face = if args.output.compat == Values::Ipfixprobe { Face::Ipfixprobe } else { Face::Native };
    let lane = LaneConfig {
        cache: CacheConfig {
            shape: Shape { size_exp: size_exp(args.storage.flows)?, ..Shape::default() },
            active_secs: args.storage.active,
            inactive_secs: args.storage.inactive,
            timeouts: args.storage.timeout.map(|rules| rules.over(args.storage.inactive, args.storage.active)),
            face,
            ..CacheConfig::default()
        },
        split: args.storage.uniflow,
        plugins: plugins(args)?,
        packets_max: args.input.count,
        sampling: args.input.sample,
        duplicates: args.input.dedup.map(|micros| Duration::from_micros(micros.into())),
        tunnels: args.process.tunnels.into(),
        ..LaneConfig::default()
    };
    if face.is_original() && args.process.tunnels != Entered::Ip {
        return Err("--compat ipfixprobe enters the tunnels that ipfixprobe enters: leave out --tunnels".into());
    }
    let cpus = args.input.cpus.as_deref().map(cpus::parse).transpose()?.unwrap_or_default();
    cpus::check(&cpus)?;
    let lanes = args.input.lanes as usize * args.input.interfaces.len().max(1);
    if !cpus.is_empty() && cpus.len() < lanes {
        return Err(format!("--cpus names {} processors for {lanes} lanes, name one for each", cpus.len()).into());
    }
    if args.input.backend != Backend::AfXdp && (args.input.af_xdp.is_some() || args.input.rss.is_some()) {
        return Err("--af-xdp and --rss are for AF_XDP alone: add --backend af_xdp".into());
    }
    if !args.input.interfaces.is_empty() && args.input.lanes > 1 && args.input.count > 0 {
        return Err("--count is for one lane on an interface, because lanes do not know of each other: leave out --lanes, or use --duration".into());
    }
    if args.input.prefilter.is_some() && !matches!(args.input.backend, Backend::Auto | Backend::AfXdp) {
        return Err("--prefilter is for --backend af_xdp: leave it out, or use --filter".into());
    }
    if args.input.dedup.is_some() && args.input.lanes > 1 && args.input.count > 0 {
        return Err(
            "--count is for one lane with --dedup, because lanes do not know of each other's copies: leave out --lanes"
                .into(),
        );
    }
    if let Some(sampling) = args.input.sample {
        let by_flow = sampling.selector == Selector::Flow;
        if by_flow && matches!(args.process.tunnels, Entered::Both) {
            return Err("--sample N:flow goes by one flow of a packet, --tunnels both by two: sample by packets, or enter inner or outer ones".into());
        }
        if by_flow && args.input.lanes > 1 && args.input.count > 0 {
            return Err("--count is for one lane with --sample N:flow, because lanes do not know of each other's flows: leave out --lanes".into());
        }
        if !by_flow && args.input.dedup.is_some() {
            return Err("--dedup has to see all packets, or copies look like first ones: use --sample N:flow, or leave out one of them".into());
        }
    }
    if args.privileges.isolate && lane.plugins.iter().any(|(id, _)| *id == PluginId::osquery) {
        return Err("--isolate: the process that reads packets has no privilege to see others' sockets with: leave out it or the plugin osquery".into());
    }
    if args.privileges.isolate && args.input.backend != Backend::AfXdp {
        return Err("--isolate is for --backend af_xdp: say so, or leave it out".into());
    }
    if args.input.backend == Backend::Dpdk {
        for (given, option) in [(args.input.filter.is_some(), "--filter"), (args.input.snaplen.is_some(), "--snaplen")]
        {
            if given {
                return Err(format!("{option} is not for --backend dpdk: leave it out").into());
            }
        }
    } else if !args.input.interfaces.is_empty() {
        live_config(args)?;
        let offloads = args.input.prefilter.as_ref().is_some_and(|prefilter| prefilter.policy.offload);
        if let (true, Some(why)) = (offloads, no_offload(args)) {
            return Err(format!("--prefilter: {why}").into());
        }
    }
    if let Some(filter) = &args.input.filter {
        capture::check_filter(filter).map_err(|e| format!("--filter: {e}"))?;
    }
    if args.output.mtu < MTU_MIN {
        return Err(format!("--mtu {}: mtu {0} is too small, the least is {MTU_MIN}", args.output.mtu).into());
    }
    outputs::check(args)?;
    let on: Vec<PluginId> = lane.plugins.iter().map(|(plugin, _)| *plugin).collect();
    rules::check(args, &on)?;
    Ok(Plan { lane, cpus, lanes })
}

fn size_exp(flows: u64) -> Result<u32, String> {
    match flows {
        1..=0x4000_0000 => Ok(flows.next_power_of_two().trailing_zeros().max(4)),
        _ => Err(format!("--flows {flows} is out of range, use 1 to {}", 1u64 << 30)),
    }
}

fn plugins(args: &Args) -> Result<Vec<(PluginId, Vec<String>)>, String> {
    let mut chosen: Vec<(PluginId, Vec<String>)> = Vec::new();
    for (layer, option, names) in [(Layer::Stat, "--stats", &args.process.stats), (Layer::L7, "--l7", &args.process.l7)]
    {
        for text in names.iter().filter(|n| *n != "none" && !n.is_empty()) {
            let mut words = text.split(';').map(str::trim);
            let name = words.next().unwrap_or_default();
            let options: Vec<String> = words.filter(|word| !word.is_empty()).map(String::from).collect();
            let known = || PluginId::ALL.iter().copied().filter(|p| p.layer() == layer);
            let all: Vec<PluginId> =
                known().filter(|p| p.name() == name || name == "all" && !p.by_name_only()).collect();
            if all.is_empty() {
                let known: Vec<&str> = known().map(|p| p.name()).collect();
                return Err(format!("{option}: there is no '{name}'; known: {}, all, none", known.join(", ")));
            }
            for id in all {
                if !chosen.iter().any(|(c, _)| *c == id) {
                    chosen.push((id, options.clone()));
                }
            }
        }
    }
    Ok(chosen)
}
