//! `sonda probe`: the pleasant face. A capture goes in; a table, IPFIX, UniRec or JSON come out, with correct values.
mod interfaces;
mod outputs;

use crate::applets;
use crate::isolate;
use crate::live::Backend;
use crate::outputs::{Collectors, collector, netflow};
use crate::prefilter::{Prefilter, Reload};
use crate::privileges::Privileges;
use crate::run::{Job, Reader, Source, run};
use crate::summary::summary;
use crate::xdp_switches::XdpSwitches;
use clap::{Parser, ValueEnum};
use dataplane::Face;
use dataplane::capture::{self, OpenOptions, RssConfig};
use dataplane::cpus;
use dataplane::export::Peer;
use dataplane::export::ipfix::Target;
use dataplane::export::netflow::{V5_SAMPLING_MAX, Version};
use dataplane::export::ring::{Output, Overflow};
use dataplane::flow::CacheConfig;
use dataplane::flow::table::Shape;
use dataplane::lane::LaneConfig;
use dataplane::registry::{Layer, PluginId};
use interfaces::{Beside, dpdk_ports, interface_lanes, live_config};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
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

/// Read a capture or an interface; show its flows, or export them as IPFIX, UniRec and JSON.
#[derive(Parser, Debug)]
#[command(
    name = "sonda probe",
    version,
    after_help = "Examples:\n  sonda probe capture.pcap\n  zcat old.pcap.gz | sonda probe - --json flows.json\n  \
sonda probe capture.pcap --l7 http,tls --ipfix udp://127.0.0.1:4739\n  \
sonda probe capture.pcap --netflow v5://127.0.0.1:9995\n  \
sonda probe capture.pcap --unirec f:flows.trapcap --unirec dns=u:dns\n  \
sonda probe -i eth0 --lanes 2 --ipfix tcp://collector.example --spool /var/spool/sonda\n\n\
Exit status: 0 fine; 1 an input or output cannot be opened; 2 wrong usage; 3 the capture is broken or its interface went away (what could be read was \
processed); 4 an output lost records; 130 interrupted (live flows were exported)."
)]
pub(crate) struct Args {
    /// Capture files (pcap or pcapng, also gzip or zstd); - is standard input
    #[arg(required_unless_present = "interfaces", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Capture from these interfaces until Ctrl-C, all at a time; may be repeated
    #[arg(short = 'i', long = "interface", value_name = "IFC", value_delimiter = ',', conflicts_with = "files")]
    interfaces: Vec<String>,
    /// What takes packets from an interface
    #[arg(long, value_enum, default_value_t = Backend::Auto, requires = "interfaces")]
    backend: Backend,
    /// Arguments for DPDK's EAL, with --backend dpdk
    #[arg(
        long,
        value_name = "ARGUMENTS",
        requires = "interfaces",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    dpdk_eal: String,
    /// End a live capture after this time
    #[arg(long, value_name = "SECONDS", requires = "interfaces", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    duration: Option<u64>,
    /// Take also packets for other addresses than the interface's own (the default)
    #[arg(long, overrides_with = "no_promisc")]
    promisc: bool,
    /// Only packets that the interface would take anyhow
    #[arg(long, requires = "interfaces")]
    no_promisc: bool,
    /// Times of the network card in place of the kernel's, if it can stamp all packets; sets the card up for it
    #[arg(long, requires = "interfaces")]
    hardware_time: bool,
    /// With af_xdp, what is done before packets are taken: rules such as "drop net 10.0.0.0/8; pass port 22; keep proto tcp; drop other;
    /// sample 10 flow; offload", or @FILE with one rule a line, which is read again at SIGHUP; pass leaves packets to this machine's stack,
    /// offload counts those of flows that need no more, after 32 packets of each (offload after N)
    #[arg(long, value_name = "RULES|@FILE", requires = "interfaces")]
    prefilter: Option<Prefilter>,
    /// With --backend af_xdp, what differs from the defaults: zero-copy=auto|always|never; busy-poll=MICROSECONDS, for processors of their
    /// own; huge, for memory on huge pages, which must be reserved, or huge=try; spread=queues, whole ones for each lane, or spread=flows,
    /// a part of every queue, so that both directions of a flow are one lane's whatever the card does
    #[arg(long, value_name = "SWITCHES", requires = "interfaces")]
    af_xdp: Option<XdpSwitches>,
    /// With --backend af_xdp, set up the card until the end: symmetric, a key of its hash by which both directions of a flow come on one
    /// queue; queues=N, so many queues
    #[arg(long, value_name = "SETUP", requires = "interfaces")]
    rss: Option<RssConfig>,
    /// Bytes taken of each packet of an interface
    #[arg(long, value_name = "BYTES", requires = "interfaces", value_parser = clap::value_parser!(u32).range(64..=262_144))]
    snaplen: Option<u32>,
    /// Memory of each lane's ring on an interface; without it 64 with af_packet, and 20 ms of the card's speed for each queue with af_xdp
    #[arg(long, value_name = "MIB", requires = "interfaces", value_parser = clap::value_parser!(u32).range(1..=4095))]
    ring: Option<u32>,
    /// Only packets that match this expression (pcap-filter(7))
    #[arg(short = 'F', long, value_name = "EXPR")]
    filter: Option<String>,
    /// Protocols to read, or none; options of one stand behind semicolons: 'dnssd;txt'
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_values_t = default_l7())]
    l7: Vec<String>,
    /// Statistics and header fields to add, or none; options as with --l7: 'pstats;includezeroes'
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_value = "none")]
    stats: Vec<String>,
    /// Send IPFIX to [udp://|tcp://|tls://]HOST[:PORT]; may be repeated
    #[arg(long, value_name = "COLLECTOR", value_parser = collector)]
    ipfix: Vec<Target>,
    /// What several --ipfix are: each gets all flows; each gets its share, told by the two addresses; or the next stands in when one over
    /// TCP is away
    #[arg(long, value_enum, default_value_t = Collectors::Copy)]
    collectors: Collectors,
    /// Keep on disk what an IPFIX collector over TCP does not take, in this folder, and send it in order when the collector is back, also by a
    /// later run
    #[arg(long, value_name = "FOLDER")]
    spool: Option<PathBuf>,
    /// Disk that the spool of a collector may take; then its oldest records go
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    spool_size: u64,
    /// CAs, one of which must vouch for tls:// collectors (PEM); without it those that the system trusts
    #[arg(long, value_name = "FILE", requires = "ipfix")]
    tls_ca: Option<PathBuf>,
    /// Certificate that tls:// collectors are shown if they ask for one, with those between it and the CA (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["ipfix", "tls_key"])]
    tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Name that the certificates of tls:// collectors must have; without it their host's
    #[arg(long, value_name = "NAME", requires = "ipfix")]
    tls_name: Option<String>,
    /// Compress what goes to IPFIX collectors over TCP by LZ4, in the form of ipfixprobe that ipfixcol2 reads
    #[arg(long, requires = "ipfix")]
    lz4: bool,
    /// Write IPFIX messages to a file
    #[arg(long, value_name = "FILE")]
    ipfix_file: Option<PathBuf>,
    /// Send NetFlow to [v9://|v5://]HOST[:PORT], port 2055 if not said; may be repeated. Each direction of a flow is a record; version 5 has
    /// no IPv6
    #[arg(long, value_name = "COLLECTOR", value_parser = netflow)]
    netflow: Vec<(Version, Peer)>,
    /// One packet in N reaches this probe: told to collectors, some of which multiply
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(V5_SAMPLING_MAX)))]
    sampling: u32,
    /// Send flows alone as IPFIX; without it options records tell the sampling, the interfaces' names, the types of private elements, and
    /// once a minute and at the end how much was exported and lost
    #[arg(long)]
    no_options: bool,
    /// Largest IPFIX message and NetFlow packet, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1458)]
    mtu: u16,
    /// IPFIX observation domain, NetFlow source, and UniRec LINK_BIT_FIELD
    #[arg(long, value_name = "ID", default_value_t = 1)]
    domain: u32,
    /// Write UniRec to a TRAP interface: SPEC carries the basic fields of all flows, PLUGIN[,PLUGIN]=SPEC those of these plugins; may be repeated
    #[arg(long, value_name = "[PLUGINS=]SPEC")]
    unirec: Vec<String>,
    /// Write JSON lines to a file, - is standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the table too when there are other outputs
    #[arg(long)]
    table: bool,
    /// Seconds after which a long flow is cut
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    active: u64,
    /// Seconds of silence after which a flow has ended
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    inactive: u64,
    /// One record for each direction instead of biflows
    #[arg(long)]
    uniflow: bool,
    /// Flows that can be live at a time, in each lane; rounded up to a power of two. Take twice as many as there are: a full line ends its oldest flow
    #[arg(long, value_name = "N", default_value_t = 262_144)]
    flows: u64,
    /// Stop each input after this many decoded packets
    #[arg(short, long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    count: u64,
    /// Lanes that read each capture or interface side by side, each on a processor of its own; not for pipes
    #[arg(long, visible_alias = "queues", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=LANES_MAX))]
    lanes: u32,
    /// Processors, such as 0,2-3: one for each lane, those left over for the outputs
    #[arg(long, value_name = "LIST")]
    cpus: Option<String>,
    /// When an output is slower than the capture
    #[arg(long, value_enum, default_value_t = WhenFull::Wait)]
    overflow: WhenFull,
    /// Export at most this many flows a second
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    fps: u32,
    /// Whose values to write
    #[arg(long, value_enum, default_value_t = Values::Correct)]
    compat: Values,
    /// Name under which `sonda top` finds this run; without it, its process number
    #[arg(long, value_name = "NAME", value_parser = crate::page::checked_name)]
    name: Option<String>,
    /// Become this user once an interface, outputs and all else are open, before the first packet is read
    #[arg(long, value_name = "NAME", requires = "interfaces", conflicts_with = "keep_privileges")]
    user: Option<String>,
    /// With af_xdp, read packets in a second process that never had a privilege; this one opens the interfaces and sees no packet
    #[arg(long, requires = "interfaces", conflicts_with = "keep_privileges")]
    isolate: bool,
    /// Keep the capabilities that the program was started with; without it all are given up before the first packet is read
    #[arg(long, requires = "interfaces")]
    keep_privileges: bool,
    /// No summary and no progress bar
    #[arg(short, long)]
    quiet: bool,
}

/// Lanes at the most: more than any machine has processors for, and a bound for the memory that a typing mistake can ask for.
const LANES_MAX: i64 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum WhenFull {
    /// Read on when it has caught up
    Wait,
    /// Drop records, counted as queue_full
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Values {
    /// Correct ones
    Correct,
    /// Those of ipfixprobe 5.7, its known mistakes included
    Ipfixprobe,
}

/// All protocols save passivedns, whose fields repeat those of dns.
fn default_l7() -> Vec<String> {
    let all = PluginId::ALL.iter().filter(|p| p.layer() == Layer::L7 && p.name() != "passivedns");
    all.map(|p| p.name().to_string()).collect()
}

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("probe", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let quiet = args.quiet;
    if args.isolate && !isolate::is_reader() {
        return isolated(&args).unwrap_or_else(|e| {
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
fn isolated(args: &Args) -> Result<u8, String> {
    if args.backend != Backend::AfXdp {
        return Err("--isolate is for --backend af_xdp: say so, or leave it out".into());
    }
    let config = live_config(args).map_err(|e| e.to_string())?;
    isolate::open_for_reader(&args.interfaces, &config.xdp, args.user.as_deref())
}

/// Opens everything; nothing is read before all of it is open.
fn prepare(args: Args) -> Result<Job, Box<dyn std::error::Error>> {
    let stop = Stop::default();
    stop.on_signals()?;
    let face = if args.compat == Values::Ipfixprobe { Face::Ipfixprobe } else { Face::Native };
    let lane = LaneConfig {
        cache: CacheConfig {
            shape: Shape { size_exp: size_exp(args.flows)?, ..Shape::default() },
            active_secs: args.active,
            inactive_secs: args.inactive,
            face,
        },
        split: args.uniflow,
        plugins: plugins(&args)?,
        packets_max: args.count,
        ..LaneConfig::default()
    };
    let cpus = args.cpus.as_deref().map(cpus::parse).transpose()?.unwrap_or_default();
    cpus::check(&cpus)?;
    let lanes = args.lanes as usize * args.interfaces.len().max(1);
    if !cpus.is_empty() && cpus.len() < lanes {
        return Err(format!("--cpus names {} processors for {lanes} lanes, name one for each", cpus.len()).into());
    }
    if args.backend != Backend::AfXdp && (args.af_xdp.is_some() || args.rss.is_some()) {
        return Err("--af-xdp and --rss are for AF_XDP alone: add --backend af_xdp".into());
    }
    let mut inputs = Vec::new();
    if !args.interfaces.is_empty() && args.lanes > 1 && args.count > 0 {
        return Err("--count is for one lane on an interface, because lanes do not know of each other: leave out --lanes, or use --duration".into());
    }
    if args.prefilter.is_some() && !matches!(args.backend, Backend::Auto | Backend::AfXdp) {
        return Err("--prefilter is for --backend af_xdp: leave it out, or use --filter".into());
    }
    if args.backend == Backend::Dpdk {
        inputs.extend(dpdk_ports(&args, &cpus)?);
    }
    let kernels = if args.backend == Backend::Dpdk { &[][..] } else { &args.interfaces[..] };
    // Before anything says that the run has begun.
    let file = args.prefilter.as_ref().and_then(|prefilter| prefilter.file.clone());
    let reload = file.map(|path| Reload::new(path, args.quiet)).transpose()?;
    let mut beside = Beside::default();
    let mut channels = if args.isolate { isolate::channels(&stop)? } else { Vec::new() }.into_iter();
    for (n, interface) in kernels.iter().enumerate() {
        let own = cpus.get(n * args.lanes as usize..).unwrap_or_default();
        inputs.push(interface_lanes(interface, &args, own, channels.next(), &mut beside)?);
    }
    let Beside { ruled, no_offload, mut threads } = beside;
    if let Some(reload) = reload {
        let reload = reload.of(ruled, no_offload);
        threads.push(("rules", Box::new(|| reload.run())));
    }
    for file in &args.files {
        inputs.push(Source { name: file.display().to_string(), readers: readers(file, &args, &cpus)? });
    }
    let mut left_over = cpus.get(lanes..).unwrap_or_default().iter().cycle();
    let exporters = outputs::open(&args, &stop)?.into_iter();
    let outputs = exporters.map(|exporter| Output { exporter, cpu: left_over.next().copied(), watch: None }).collect();
    Ok(Job {
        lane,
        inputs,
        outputs,
        side_by_side: !args.interfaces.is_empty(),
        overflow: if args.overflow == WhenFull::Drop { Overflow::Drop } else { Overflow::Wait },
        flows_per_sec: args.fps,
        progress: !args.quiet,
        duration: args.duration.map(Duration::from_secs),
        stop,
        name: args.name,
        tool: "probe",
        beside: threads,
        privileges: Privileges { user: args.user, keep: args.keep_privileges },
    })
}

/// Opens a capture once for each lane.
fn readers(file: &Path, args: &Args, cpus: &[usize]) -> Result<Vec<Reader>, Box<dyn std::error::Error>> {
    let open = |lane: usize| {
        let options = OpenOptions { filter: args.filter.clone(), ..OpenOptions::default() };
        capture::open(file, options).map(|source| Reader::new(source.into(), cpus.get(lane).copied()))
    };
    let once_only = file == Path::new("-") || file.exists() && !file.is_file();
    if args.lanes > 1 && once_only {
        let name = file.display();
        return Err(
            format!("{name} can be read only once, so by one lane: leave --lanes out, or save it as a file").into()
        );
    }
    Ok((0..args.lanes as usize).map(open).collect::<Result<_, _>>()?)
}

fn size_exp(flows: u64) -> Result<u32, String> {
    match flows {
        1..=0x4000_0000 => Ok(flows.next_power_of_two().trailing_zeros().max(4)),
        _ => Err(format!("--flows {flows} is out of range, use 1 to {}", 1u64 << 30)),
    }
}

fn plugins(args: &Args) -> Result<Vec<(PluginId, Vec<String>)>, String> {
    let mut chosen: Vec<(PluginId, Vec<String>)> = Vec::new();
    for (layer, option, names) in [(Layer::Stat, "--stats", &args.stats), (Layer::L7, "--l7", &args.l7)] {
        for text in names.iter().filter(|n| *n != "none" && !n.is_empty()) {
            let mut words = text.split(';').map(str::trim);
            let name = words.next().unwrap_or_default();
            let options: Vec<String> = words.filter(|word| !word.is_empty()).map(String::from).collect();
            let known = || PluginId::ALL.iter().copied().filter(|p| p.layer() == layer);
            let all: Vec<PluginId> = known().filter(|p| name == "all" || p.name() == name).collect();
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
