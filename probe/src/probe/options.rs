//! The options of `sonda probe`, declared once: the command line, its help, and the keys and tables of its file come from here.
use crate::live::Backend;
use crate::outputs::{Collectors, collector, kafka, netflow};
use crate::prefilter::Prefilter;
use crate::xdp_switches::XdpSwitches;
use clap::{Parser, ValueEnum};
use dataplane::capture::RssConfig;
use dataplane::export::Peer;
use dataplane::export::ipfix::{DTLS_LIFETIME_SECS, Target};
use dataplane::export::kafka::KafkaConfig;
use dataplane::export::netflow::{V5_SAMPLING_MAX, Version};
use dataplane::flow::TimeoutRules;
use dataplane::lane::Sampling;
use dataplane::packet::Tunnels;
use dataplane::registry::{Layer, PluginId};
use std::path::PathBuf;

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
    /// Read all options from this TOML file; none may stand beside it. `sonda check FILE` says what is wrong with one
    #[arg(short, long, value_name = "FILE", exclusive = true)]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) input: Input,
    #[command(flatten)]
    pub(super) storage: Storage,
    #[command(flatten)]
    pub(super) process: Process,
    #[command(flatten)]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) telemetry: Telemetry,
    #[command(flatten)]
    pub(super) privileges: Privileges,
}

// Where packets come from. No doc comment: clap would take it for that of the program.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Input")]
pub(super) struct Input {
    /// Capture files (pcap or pcapng, also gzip or zstd); - is standard input
    #[arg(required_unless_present = "interfaces", value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Capture from these interfaces until Ctrl-C, all at a time; may be repeated
    #[arg(short = 'i', long = "interface", value_name = "IFC", value_delimiter = ',', conflicts_with = "files")]
    pub(super) interfaces: Vec<String>,
    /// What takes packets from an interface
    #[arg(long, value_enum, default_value_t = Backend::Auto, requires = "interfaces", conflicts_with = "files")]
    pub(super) backend: Backend,
    /// Arguments for DPDK's EAL, with --backend dpdk
    #[arg(
        long,
        value_name = "ARGUMENTS",
        requires = "interfaces",
        conflicts_with = "files",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub(super) dpdk_eal: String,
    /// End a live capture after this time
    #[arg(long, value_name = "SECONDS", requires = "interfaces", conflicts_with = "files", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub(super) duration: Option<u64>,
    /// Take also packets for other addresses than the interface's own (the default)
    #[arg(long, overrides_with = "no_promisc")]
    pub(super) promisc: bool,
    /// Only packets that the interface would take anyhow
    #[arg(long, requires = "interfaces", conflicts_with = "files")]
    pub(super) no_promisc: bool,
    /// Times of the network card in place of the kernel's, if it can stamp all packets; sets the card up for it
    #[arg(long, requires = "interfaces", conflicts_with = "files")]
    pub(super) hardware_time: bool,
    /// With af_xdp, what is done before packets are taken: rules such as "drop net 10.0.0.0/8; pass port 22; keep proto tcp; drop other;
    /// sample 10 flow; offload", or @FILE with one rule a line, which is read again at SIGHUP; pass leaves packets to this machine's stack,
    /// offload counts those of flows that need no more, after 32 packets of each (offload after N)
    #[arg(long, value_name = "RULES|@FILE", requires = "interfaces", conflicts_with = "files")]
    pub(super) prefilter: Option<Prefilter>,
    /// With --backend af_xdp, what differs from the defaults: zero-copy=auto|always|never; busy-poll=MICROSECONDS, for processors of their
    /// own; huge, for memory on huge pages, which must be reserved, or huge=try; spread=queues, whole ones for each lane, or spread=flows,
    /// a part of every queue, so that both directions of a flow are one lane's whatever the card does
    #[arg(long, value_name = "SWITCHES", requires = "interfaces", conflicts_with = "files")]
    pub(super) af_xdp: Option<XdpSwitches>,
    /// With --backend af_xdp, set up the card until the end: symmetric, a key of its hash by which both directions of a flow come on one
    /// queue; queues=N, so many queues
    #[arg(long, value_name = "SETUP", requires = "interfaces", conflicts_with = "files")]
    pub(super) rss: Option<RssConfig>,
    /// Bytes taken of each packet of an interface
    #[arg(long, value_name = "BYTES", requires = "interfaces", conflicts_with = "files", value_parser = clap::value_parser!(u32).range(64..=262_144))]
    pub(super) snaplen: Option<u32>,
    /// Memory of each lane's ring on an interface; without it 64 with af_packet, and 20 ms of the card's speed for each queue with af_xdp
    #[arg(long, value_name = "MIB", requires = "interfaces", conflicts_with = "files", value_parser = clap::value_parser!(u32).range(1..=4095))]
    pub(super) ring: Option<u32>,
    /// Number of the interface in flow records of capture files, from which the interfaces of a pcapng file count on; a live one has the kernel's
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, conflicts_with = "interfaces")]
    pub(super) interface_index: u32,
    /// Only packets that match this expression (pcap-filter(7))
    #[arg(short = 'F', long, value_name = "EXPR")]
    pub(super) filter: Option<String>,
    /// Drop a packet of which a copy was seen within this time, as mirrored ports show them; TTL, DSCP, MAC addresses and tags may differ
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u32).range(1..=DEDUP_MAX))]
    pub(super) dedup: Option<u32>,
    /// Keep one packet in N, told to collectors as it is: systematic, each Nth; random, with a probability of 1/N; flow, one flow in N with
    /// all its packets. What is left out is counted as sampled
    #[arg(long, value_name = "N[:HOW]")]
    pub(super) sample: Option<Sampling>,
    /// Stop each input after this many decoded packets
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) count: u64,
    /// Lanes that read each capture or interface side by side, each on a processor of its own; not for pipes
    #[arg(long, visible_alias = "queues", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=LANES_MAX))]
    pub(super) lanes: u32,
    /// Processors, such as 0,2-3: one for each lane, those left over for the outputs
    #[arg(long, value_name = "LIST")]
    pub(super) cpus: Option<String>,
}

// The flow cache. No doc comment: clap would take it for that of the program.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Storage")]
pub(super) struct Storage {
    /// Seconds after which a long flow is cut
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(super) active: u64,
    /// Seconds of silence after which a flow has ended
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(super) inactive: u64,
    /// Timeouts of some flows in place of both: CLASS=INACTIVE[/ACTIVE],... in seconds. Classes are tcp, udp, icmp, other; dns (udp at port 53);
    /// tcp-syn, while the source has sent a SYN alone; tcp-closed, by FIN of both sides or RST. What is not named has those of udp, of tcp, or of all
    #[arg(long, value_name = "RULES")]
    pub(super) timeout: Option<TimeoutRules>,
    /// One record for each direction instead of biflows
    #[arg(long)]
    pub(super) uniflow: bool,
    /// Flows that can be live at a time, in each lane; rounded up to a power of two. Take twice as many as there are: a full line ends its oldest flow
    #[arg(long, value_name = "N", default_value_t = 262_144)]
    pub(super) flows: u64,
}

// What is read of packets. No doc comment: clap would take it for that of the program.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Process")]
pub(super) struct Process {
    /// Protocols to read, or none; options of one stand behind semicolons: 'dnssd;txt'
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_values_t = default_l7())]
    pub(super) l7: Vec<String>,
    /// Statistics and header fields to add, or none; options as with --l7: 'pstats;includezeroes'
    #[arg(long, value_delimiter = ',', value_name = "LIST", default_value = "none")]
    pub(super) stats: Vec<String>,
    /// Whose addresses a packet in a tunnel has; what is around it is exported by --stats tunnel
    #[arg(long, value_enum, default_value_t = Entered::Ip)]
    pub(super) tunnels: Entered,
}

// Where flows go. No doc comment: clap would take it for that of the program.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Output")]
pub(super) struct Output {
    /// Send IPFIX to [udp://|tcp://|tls://|dtls://]HOST[:PORT]; may be repeated. DTLS is for builds with the feature dtls
    #[arg(long, value_name = "COLLECTOR", value_parser = collector)]
    pub(super) ipfix: Vec<Target>,
    /// What several --ipfix are: each gets all flows; each gets its share, told by the two addresses; or the next stands in when one over
    /// TCP or DTLS is away
    #[arg(long, value_enum, default_value_t = Collectors::Copy)]
    pub(super) collectors: Collectors,
    /// Keep on disk what an IPFIX collector over TCP or DTLS does not take, in this folder, and send it in order when the collector is back, also by a
    /// later run
    #[arg(long, value_name = "FOLDER")]
    pub(super) spool: Option<PathBuf>,
    /// Disk that the spool of a collector may take; then its oldest records go
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    pub(super) spool_size: u64,
    /// CAs, one of which must vouch for tls:// and dtls:// collectors (PEM); without it those that the system trusts
    #[arg(long, value_name = "FILE", requires = "ipfix")]
    pub(super) tls_ca: Option<PathBuf>,
    /// Certificate that tls:// and dtls:// collectors are shown if they ask for one, with those between it and the CA (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["ipfix", "tls_key"])]
    pub(super) tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Name that the certificates of tls:// and dtls:// collectors must have; without it their host's
    #[arg(long, value_name = "NAME", requires = "ipfix")]
    pub(super) tls_name: Option<String>,
    /// End the association with a dtls:// collector after so long and begin another, which shows whether it is still there; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = DTLS_LIFETIME_SECS, requires = "ipfix")]
    pub(super) dtls_lifetime: u32,
    /// Compress what goes to IPFIX collectors over TCP by LZ4, in the form of ipfixprobe that ipfixcol2 reads
    #[arg(long, requires = "ipfix")]
    pub(super) lz4: bool,
    /// Write IPFIX messages to a file
    #[arg(long, value_name = "FILE")]
    pub(super) ipfix_file: Option<PathBuf>,
    /// Send NetFlow to [v9://|v5://]HOST[:PORT], port 2055 if not said; may be repeated. Each direction of a flow is a record; version 5 has
    /// no IPv6
    #[arg(long, value_name = "COLLECTOR", value_parser = netflow)]
    pub(super) netflow: Vec<(Version, Peer)>,
    /// One packet in N reaches this probe: told to collectors, some of which multiply; with --sample they are told both together
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(V5_SAMPLING_MAX)))]
    pub(super) sampling: u32,
    /// Send flows alone as IPFIX; without it options records tell the sampling, the interfaces' names, the types of private elements, and
    /// once a minute and at the end how much was exported and lost
    #[arg(long)]
    pub(super) no_options: bool,
    /// Largest IPFIX message and NetFlow packet, bytes; a record longer than that goes in an IPFIX message of its own
    #[arg(long, value_name = "BYTES", default_value_t = 1458)]
    pub(super) mtu: u16,
    /// IPFIX observation domain, NetFlow source, and UniRec LINK_BIT_FIELD
    #[arg(long, value_name = "ID", default_value_t = 1)]
    pub(super) domain: u32,
    /// Write UniRec to a TRAP interface: SPEC carries the basic fields of all flows, PLUGIN[,PLUGIN]=SPEC those of these plugins; may be repeated
    #[arg(long, value_name = "[PLUGINS=]SPEC")]
    pub(super) unirec: Vec<String>,
    /// Write JSON lines to a file, - is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Send the same objects to a topic of Kafka, one in each message: BROKERS/TOPIC?OPTION=VALUE&..., brokers as HOST[:PORT] with commas
    /// between, options of librdkafka, whose values may stand in a file (sasl.password=@FILE); may be repeated. For builds with the
    /// feature kafka
    #[arg(long, value_name = "BROKERS/TOPIC", value_parser = kafka)]
    pub(super) kafka: Vec<KafkaConfig>,
    /// A rule: flows joined by fields of your choice, or sent with chosen ones, to outputs of its own (docs/aggregation.md); its keys as in a
    /// file's [[rule]]: 'name = "nets", key = ["SRC_IP/24/64"], json = "-"'; may be repeated
    #[arg(long = "rule", id = "rule", value_name = "KEYS", value_parser = super::rules::parse)]
    pub(super) rules: Vec<super::rules::Written>,
    /// Print the table too when there are other outputs
    #[arg(long)]
    pub(super) table: bool,
    /// When an output is slower than the capture
    #[arg(long, value_enum, default_value_t = WhenFull::Wait)]
    pub(super) overflow: WhenFull,
    /// Export at most this many flows a second
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) fps: u32,
    /// Whose values to write
    #[arg(long, value_enum, default_value_t = Values::Correct)]
    pub(super) compat: Values,
}

// What the run tells about itself. No doc comment: clap would take it for that of the program.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Telemetry")]
pub(super) struct Telemetry {
    /// Name under which `sonda top` finds this run; without it, its process number
    #[arg(long, value_name = "NAME", value_parser = crate::page::checked_name)]
    pub(super) name: Option<String>,
    /// No summary and no progress bar
    #[arg(short, long)]
    pub(super) quiet: bool,
}

// What a live run keeps of its rights. No doc comment: clap would take it for that of the program.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Privileges")]
pub(super) struct Privileges {
    /// Become this user once an interface, outputs and all else are open, before the first packet is read
    #[arg(
        long,
        value_name = "NAME",
        requires = "interfaces",
        conflicts_with = "files",
        conflicts_with = "keep_privileges"
    )]
    pub(super) user: Option<String>,
    /// With af_xdp, read packets in a second process that never had a privilege; this one opens the interfaces and sees no packet
    #[arg(long, requires = "interfaces", conflicts_with = "files", conflicts_with = "keep_privileges")]
    pub(super) isolate: bool,
    /// Keep the capabilities that the program was started with; without it all are given up before the first packet is read
    #[arg(long, requires = "interfaces", conflicts_with = "files")]
    pub(super) keep_privileges: bool,
}

/// Ten seconds: what comes again later is no copy of a mirror's.
const DEDUP_MAX: i64 = 10_000_000;

/// Lanes at the most: more than any machine has processors for, and a bound for the memory that a typing mistake can ask for.
const LANES_MAX: i64 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum WhenFull {
    /// Read on when it has caught up
    Wait,
    /// Drop records, counted as queue_full
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Entered {
    /// The inner ones in GRE, ERSPAN and IP in IP; other tunnels are not looked for
    Ip,
    /// The inner ones, in VXLAN, GENEVE, GTP-U, L2TP and Teredo too
    Inner,
    /// The outer ones
    Outer,
    /// It counts in a flow of the outer ones and in one of the inner ones
    Both,
}

impl From<Entered> for Tunnels {
    fn from(entered: Entered) -> Tunnels {
        match entered {
            Entered::Ip => Tunnels::Ip,
            Entered::Inner => Tunnels::Inner,
            Entered::Outer => Tunnels::Outer,
            Entered::Both => Tunnels::Both,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Values {
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
