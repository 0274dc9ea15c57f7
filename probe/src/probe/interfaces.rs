//! Live inputs of the probe: what the options ask of interfaces and ports, and the readers that come of it.
use super::Args;
use super::options::Entered;
use crate::dpdk::{self, PortsConfig};
use crate::live::{self, LiveConfig};
use crate::prefilter::{Ruled, threshold};
use crate::run::{Reader, Source, Work};
use dataplane::capture::AnySource;
use dataplane::capture::offload::Counter;
use dataplane::flow::offload::{Threshold, offload};
use std::time::Duration;
use sys::handover::Channel;

/// What runs beside the lanes, and what it needs.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) ruled: Vec<Ruled>,
    pub(super) no_offload: Option<String>,
    pub(super) threads: Vec<(&'static str, Work)>,
}

/// Why flows cannot be offloaded, if they cannot.
pub(super) fn no_offload(args: &Args) -> Option<String> {
    let behind = |option: &str| {
        Some(format!("{option} cannot see packets that the XDP program counts: leave out `offload` or {option}"))
    };
    match () {
        _ if args.storage.uniflow => {
            Some("--uniflow has flows of one direction, `offload` counts both: leave one of them out".into())
        }
        _ if args.privileges.isolate => {
            Some("with --isolate the process that has the counts is not the one that has the flows: leave `offload` or --isolate out".into())
        }
        _ if args.input.filter.is_some() => behind("--filter"),
        _ if args.input.count > 0 => behind("--count"),
        _ if args.input.dedup.is_some() => behind("--dedup"),
        _ if args.input.sample.is_some() => behind("--sample"),
        // The program goes by the outside of a packet: it would count what is inside into the outer flow alone.
        _ if matches!(args.process.tunnels, Entered::Inner | Entered::Both) => behind("--tunnels"),
        _ => None,
    }
}

/// Opens an interface with a part of its packets for each lane, and says how on standard error.
pub(super) fn interface_lanes(
    interface: &str,
    args: &Args,
    cpus: &[usize],
    channel: Option<Channel>,
    beside: &mut Beside,
) -> Result<Source, Box<dyn std::error::Error>> {
    let prefilter = args.input.prefilter.clone().unwrap_or_default();
    beside.no_offload = beside.no_offload.take().or_else(|| no_offload(args));
    let config = live_config(args)?;
    let opened = match channel {
        Some(channel) => live::adopt(interface, &config, channel)?,
        None => live::open(interface, &config)?,
    };
    if !args.telemetry.quiet {
        eprintln!("{}", opened.how);
    }
    let index = opened.sources.first().map_or(0, AnySource::interface_index);
    let lanes = opened.sources.into_iter().enumerate();
    let mut readers: Vec<Reader> = lanes.map(|(lane, source)| Reader::new(source, cpus.get(lane).copied())).collect();
    if let (Some(control), Some(_)) = (opened.control, &args.input.prefilter) {
        let threshold = Threshold::new(threshold(&prefilter.policy));
        // A file may say so later.
        if beside.no_offload.is_none() && (prefilter.policy.offload || prefilter.file.is_some()) {
            let (lendings, end) = offload(args.input.lanes, &threshold);
            let table = control.offload().ok_or("the table of offloaded flows is in use already")?;
            // As soon as the first of them may have ended.
            let inactive = args.storage.inactive;
            let inactive =
                args.storage.timeout.map_or(inactive, |rules| rules.over(inactive, args.storage.active).shortest().0);
            match Counter::new(table, end, Duration::from_secs(inactive)) {
                Ok(counter) => {
                    readers.iter_mut().zip(lendings).for_each(|(reader, lending)| reader.lending = Some(lending));
                    let name = interface.to_string();
                    let work = move || {
                        counter.run().unwrap_or_else(|e| eprintln!("{name}: flows are not offloaded any more: {e}"))
                    };
                    beside.threads.push(("offload", Box::new(work)));
                }
                Err(why) if prefilter.policy.offload => return Err(format!("{interface}: {why}").into()),
                Err(why) => beside.no_offload = Some(why.to_string()),
            }
        }
        beside.ruled.push(Ruled { interface: interface.to_string(), control, threshold });
    }
    Ok(Source { name: interface.to_string(), interface: index, readers })
}

/// What the options ask of each interface.
pub(super) fn live_config(args: &Args) -> Result<LiveConfig, Box<dyn std::error::Error>> {
    let prefilter = args.input.prefilter.clone().unwrap_or_default();
    if args.privileges.isolate && prefilter.file.is_some() {
        return Err("--prefilter: rules that can change need the program in the process that reads them, which --isolate keeps apart: \
                    give the rules themselves, or leave --isolate out"
            .into());
    }
    if args.input.rss.is_some() && !args.privileges.isolate && !args.privileges.keep_privileges {
        return Err("--rss: the card is put back at the end, which needs CAP_NET_ADMIN then: add --isolate, which keeps it in a process of \
                    its own, or --keep-privileges"
            .into());
    }
    let mut config =
        LiveConfig { backend: args.input.backend, only_xdp: args.input.prefilter.is_some(), ..LiveConfig::default() };
    config.packet.filter = args.input.filter.clone();
    config.packet.members = args.input.lanes;
    config.packet.promiscuous = !args.input.no_promisc;
    config.packet.snaplen = args.input.snaplen;
    config.packet.hardware_time = args.input.hardware_time;
    live::ring(args.input.ring.unwrap_or(64), &mut config.packet);
    config.xdp.ring_bytes = args.input.ring.map(|mib| u64::from(mib) << 20);
    config.xdp.filter = args.input.filter.clone();
    config.xdp.lanes = args.input.lanes;
    config.xdp.promiscuous = !args.input.no_promisc;
    config.xdp.snaplen = args.input.snaplen;
    config.xdp.hardware_time = args.input.hardware_time;
    config.xdp.rss = args.input.rss.unwrap_or_default();
    args.input.af_xdp.unwrap_or_default().put_into(&mut config.xdp);
    config.xdp.policy = prefilter.policy;
    Ok(config)
}

/// Opens DPDK's ports with a queue for each lane.
pub(super) fn dpdk_ports(args: &Args, cpus: &[usize]) -> Result<Vec<Source>, String> {
    let config = PortsConfig {
        eal: args.input.dpdk_eal.clone(),
        alone: true,
        ports: args.input.interfaces.clone(),
        queues: args.input.lanes as u16,
        mbufs: 8192,
        mtu: 0,
        rss: 0,
        promiscuous: !args.input.no_promisc,
    };
    let ports = dpdk::Inputs::default().ports(&config)?;
    // As many processors for each port as it has lanes.
    let mut own = cpus.iter().copied();
    let mut reader = |source| Reader::new(source, own.next());
    // The kernel has no numbers for them: they count from 1 as they are named.
    let mut source = |((name, interface), queues): ((String, u32), Vec<AnySource>)| Source {
        name,
        interface,
        readers: queues.into_iter().map(&mut reader).collect(),
    };
    Ok(args.input.interfaces.iter().cloned().zip(1..).zip(ports).map(&mut source).collect())
}
