//! The YAML form (spec/exporter.md 7.1): the structures declare its keys, `add` of each says what becomes of them.
use super::{Converted, Plugin, QUEUES_MAX};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

/// Processors that a list may name.
const CPUS_MAX: usize = 4_096;

#[derive(Deserialize)]
struct File {
    input_plugin: Input,
    storage: Option<Storage>,
    process_plugins: Option<Vec<Process>>,
    output_plugin: Output,
    telemetry: Option<Telemetry>,
    general: Option<General>,
    /// The original's schema lets them pass.
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Input {
    Raw(Raw),
    PcapFile(PcapFile),
    PcapLive(PcapLive),
    Ndp(Ndp),
    DpdkRing(DpdkRing),
    Dpdk(Dpdk),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    /// One, or several with commas between them.
    interface: String,
    blocks_count: Option<NonZeroU32>,
    packets_in_block: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PcapFile {
    file: String,
    bpf_filter: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PcapLive {
    interface: String,
    bpf_filter: Option<String>,
    snap_length: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ndp {
    device: Several,
    queues: Several,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DpdkRing {
    ring_name: String,
    eal_opts: Option<String>,
    burst_size: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dpdk {
    allowed_nics: Several,
    burst_size: Option<NonZeroU32>,
    mempool_size: Option<NonZeroU32>,
    rx_queues: Option<NonZeroU32>,
    workers_cpu_list: Option<Several>,
    eal_opts: Option<String>,
    mtu: Option<Scalar>,
    rss_offload: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Storage {
    cache: Option<Cache>,
    timeouts: Option<Timeouts>,
    split_biflow: Option<bool>,
    fragmentation_cache: Option<FragmentationCache>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cache {
    size_exponent: Option<NonZeroU32>,
    line_size_exponent: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timeouts {
    active: Option<NonZeroU32>,
    inactive: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FragmentationCache {
    enabled: bool,
    size: Option<NonZeroU32>,
    timeout: Option<NonZeroU32>,
}

/// A plugin's name, or its name with parameters.
#[derive(Deserialize)]
#[serde(untagged)]
enum Process {
    Name(String),
    With(BTreeMap<String, Option<BTreeMap<String, Option<Scalar>>>>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Output {
    Ipfix(Ipfix),
    Text(Option<Text>),
    Unirec(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ipfix {
    collector: Collector,
    mtu: Option<NonZeroU32>,
    exporter: Option<Exporter>,
    protocol: Protocol,
    compression: Option<Compression>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collector {
    host: String,
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exporter {
    id: Option<u32>,
    dir: Option<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Protocol {
    Udp(Option<Udp>),
    Tcp(Option<Tcp>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Udp {
    template_refresh: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tcp {
    non_blocking: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compression {
    lz4: Option<Lz4>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lz4 {
    enabled: bool,
    buffer_size: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Telemetry {
    appfs: Option<AppFs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AppFs {
    enabled: bool,
    mount_point: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct General {
    queues_size: Option<QueuesSize>,
    cpu_list: Option<Vec<u32>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueuesSize {
    input: Option<NonZeroU32>,
    output: Option<NonZeroU32>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Number(i64),
    Real(f64),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Scalar::Bool(value) => value.to_string(),
            Scalar::Number(value) => value.to_string(),
            Scalar::Real(value) => value.to_string(),
            Scalar::Text(value) => value.clone(),
        }
    }
}

/// A list, or a text with commas: the original's schema, its example and its converter do not agree which.
#[derive(Deserialize)]
#[serde(untagged)]
enum Several {
    List(Vec<Scalar>),
    One(Scalar),
}

impl Several {
    fn texts(&self) -> Vec<String> {
        match self {
            Several::List(values) => values.iter().map(Scalar::text).collect(),
            Several::One(value) => value.text().split(',').map(|part| part.trim().to_owned()).collect(),
        }
    }
}

pub(super) fn convert(text: &str, cpus_near: &dyn Fn(&str) -> Option<Vec<u32>>) -> Result<Converted, String> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
    };
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|why| why.to_string())?;
    let mut out = Converted::default();
    for name in file.others.keys() {
        out.warn(format!("{name} means nothing"));
    }
    input(&file.input_plugin, cpus_near, &mut out)?;
    let storage = storage(file.storage.as_ref(), &mut out)?;
    out.option("-s", storage.0);
    for plugin in file.process_plugins.iter().flatten() {
        process(plugin, &mut out)?;
    }
    let output = output(&file.output_plugin, &mut out)?;
    out.option("-o", output.0);
    if let Some(appfs) = file.telemetry.and_then(|telemetry| telemetry.appfs).filter(|appfs| appfs.enabled) {
        out.arguments.push(format!("--telemetry={}", appfs.mount_point));
    }
    if let Some(general) = file.general {
        let sizes = general.queues_size.map_or((None, None), |sizes| (sizes.input, sizes.output));
        out.arguments.extend(sizes.0.map(|size| format!("--iqueue={size}")));
        out.arguments.extend(sizes.1.map(|size| format!("--oqueue={size}")));
        if let Some(cpus) = general.cpu_list.filter(|cpus| !cpus.is_empty()) {
            let cpus: Vec<String> = cpus.iter().map(u32::to_string).collect();
            out.arguments.push(format!("--cpus={}", cpus.join(",")));
        }
    }
    Ok(out)
}

fn input(input: &Input, cpus_near: &dyn Fn(&str) -> Option<Vec<u32>>, out: &mut Converted) -> Result<(), String> {
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match input {
        Input::Raw(raw) => {
            for interface in raw.interface.split(',') {
                let plugin = Plugin::new("raw", None)?
                    .with("ifc", interface.trim())?
                    .with_some("blocks", raw.blocks_count)?
                    .with_some("pkts", raw.packets_in_block)?;
                out.option("-i", plugin.0);
            }
        }
        Input::PcapFile(pcap) => {
            let plugin =
                Plugin::new("pcap", None)?.with("file", &pcap.file)?.with_some("filter", filled(&pcap.bpf_filter))?;
            out.option("-i", plugin.0);
        }
        Input::PcapLive(pcap) => {
            let plugin = Plugin::new("pcap", None)?
                .with("ifc", &pcap.interface)?
                .with_some("filter", filled(&pcap.bpf_filter))?
                .with_some("snaplen", pcap.snap_length)?;
            out.option("-i", plugin.0);
        }
        Input::Ndp(ndp) => {
            let devices = ndp.device.texts().join(",");
            for queue in numbers(&ndp.queues.texts().join(","))? {
                out.option("-i", Plugin::new("ndp", None)?.with("dev", format!("{devices}:{queue}"))?.0);
            }
        }
        Input::DpdkRing(ring) => {
            let plugin = Plugin::new("dpdk-ring", None)?
                .with("ring", &ring.ring_name)?
                .with_some("b", ring.burst_size)?
                .with_some("eal", filled(&ring.eal_opts))?;
            out.option("-i", plugin.0);
        }
        Input::Dpdk(dpdk) => ports(dpdk, cpus_near, out)?,
    }
    Ok(())
}

/// One input for each queue; the first has the parameters of all.
fn ports(dpdk: &Dpdk, cpus_near: &dyn Fn(&str) -> Option<Vec<u32>>, out: &mut Converted) -> Result<(), String> {
    let cards = dpdk.allowed_nics.texts();
    let first = cards.first().filter(|card| !card.is_empty()).ok_or("allowed_nics: no card is named")?;
    let queues = dpdk.rx_queues.map_or(1, NonZeroU32::get);
    if queues > QUEUES_MAX {
        return Err(format!("rx_queues: {QUEUES_MAX} at the most"));
    }
    let cpus: Vec<String> = match dpdk.workers_cpu_list.as_ref().map(Several::texts) {
        Some(cpus) if !cpus.is_empty() => {
            if cpus.len() != queues as usize {
                return Err(format!("workers_cpu_list: {} processors for {queues} rx_queues", cpus.len()));
            }
            cpus
        }
        _ => {
            let near = cpus_near(first).unwrap_or_default();
            if near.len() < queues as usize {
                return Err(format!(
                    "rx_queues: {queues}, but {} processors are near {first}; say workers_cpu_list",
                    near.len()
                ));
            }
            near.iter().take(queues as usize).map(u32::to_string).collect()
        }
    };
    let allowed = cards.iter().map(|card| format!("-a {card}"));
    let eal = allowed.chain(dpdk.eal_opts.clone().filter(|opts| !opts.is_empty())).collect::<Vec<_>>().join(" ");
    let places: Vec<String> = (0..cards.len()).map(|place| place.to_string()).collect();
    for (queue, cpu) in cpus.iter().enumerate() {
        let mut plugin = Plugin::new("dpdk", Some(cpu))?;
        if queue == 0 {
            plugin = plugin
                .with("p", places.join(","))?
                .with_some("b", dpdk.burst_size)?
                .with("q", queues)?
                .with_some("m", dpdk.mempool_size)?
                .with_some("mtu", dpdk.mtu.as_ref().map(Scalar::text))?
                .with_some("rss", dpdk.rss_offload.as_ref().map(Scalar::text))?
                .with("eal", &eal)?;
        }
        out.option("-i", plugin.0);
    }
    Ok(())
}

fn storage(storage: Option<&Storage>, out: &mut Converted) -> Result<Plugin, String> {
    let mut plugin = Plugin::new("cache", None)?;
    let Some(storage) = storage else { return Ok(plugin) };
    if let Some(cache) = &storage.cache {
        plugin = plugin.with_some("s", cache.size_exponent)?.with_some("l", cache.line_size_exponent)?;
    }
    if let Some(timeouts) = &storage.timeouts {
        plugin = plugin.with_some("a", timeouts.active)?.with_some("i", timeouts.inactive)?;
    }
    if storage.split_biflow == Some(true) {
        plugin = plugin.flag("S")?;
    }
    match &storage.fragmentation_cache {
        Some(cache) if cache.enabled => {
            plugin.with("fe", true)?.with_some("fs", cache.size)?.with_some("ft", cache.timeout)
        }
        Some(_) => {
            out.warn("fragmentation_cache is switched off; the original's converter leaves it on all the same");
            plugin.with("fe", false)
        }
        None => Ok(plugin),
    }
}

fn process(process: &Process, out: &mut Converted) -> Result<(), String> {
    let plugins = match process {
        Process::Name(name) => {
            out.option("-p", Plugin::new(name, None)?.0);
            return Ok(());
        }
        Process::With(plugins) => plugins,
    };
    for (name, parameters) in plugins {
        let mut plugin = Plugin::new(name, None)?;
        for (key, value) in parameters.iter().flatten() {
            plugin = match value {
                // What the original's converter cannot say: its plugins have flags.
                Some(Scalar::Bool(true)) => plugin.flag(key)?,
                Some(Scalar::Bool(false)) | None => plugin,
                Some(value) => plugin.with(key, value.text())?,
            };
        }
        out.option("-p", plugin.0);
    }
    Ok(())
}

fn output(output: &Output, out: &mut Converted) -> Result<Plugin, String> {
    let ipfix = match output {
        Output::Unirec(_) => {
            return Err("output_plugin: unirec has no keys, neither in the original; \
                        run `sonda ipfixprobe ... -o 'unirec;i=IFC'`"
                .into());
        }
        Output::Text(text) => {
            let file = text.as_ref().and_then(|text| text.file.clone());
            return Plugin::new("text", None)?.with_some("file", file);
        }
        Output::Ipfix(ipfix) => ipfix,
    };
    let exporter = ipfix.exporter.as_ref();
    let mut plugin = Plugin::new("ipfix", None)?
        .with("host", &ipfix.collector.host)?
        .with("port", ipfix.collector.port)?
        .with_some("mtu", ipfix.mtu)?
        .with("id", exporter.and_then(|exporter| exporter.id).unwrap_or(1))?
        .with("dir", exporter.and_then(|exporter| exporter.dir).unwrap_or(0))?;
    let is_tcp = match &ipfix.protocol {
        Protocol::Udp(udp) => {
            let refresh = udp.as_ref().and_then(|udp| udp.template_refresh);
            plugin = plugin.flag("udp")?.with("template", refresh.unwrap_or(600))?;
            false
        }
        Protocol::Tcp(tcp) => {
            match tcp.as_ref().and_then(|tcp| tcp.non_blocking) {
                Some(true) => plugin = plugin.flag("non-blocking-tcp")?,
                Some(false) => {
                    out.warn("non_blocking is false; the original's converter takes any tcp key for true");
                }
                None => {}
            }
            true
        }
    };
    match ipfix.compression.as_ref().and_then(|compression| compression.lz4.as_ref()) {
        Some(lz4) if lz4.enabled && !is_tcp => Err("compression: lz4 needs the protocol tcp".into()),
        Some(lz4) if lz4.enabled => plugin.flag("lz4-compression")?.with_some("lz4-buffer-size", lz4.buffer_size),
        _ => Ok(plugin),
    }
}

/// Numbers as people list them: `0,1,3-15`, sorted.
pub(super) fn numbers(list: &str) -> Result<Vec<u32>, String> {
    let wrong = |part: &str| format!("{part:?}: numbers and ranges such as 0,1,3-15 are meant, {CPUS_MAX} at the most");
    let mut numbers = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (Ok(from), Ok(to)) = (from.trim().parse::<u32>(), to.trim().parse::<u32>()) else {
            return Err(wrong(part));
        };
        if from > to || (to - from) as usize >= CPUS_MAX - numbers.len() {
            return Err(wrong(part));
        }
        numbers.extend(from..=to);
    }
    numbers.sort_unstable();
    Ok(numbers)
}
