//! The older form: variables of a shell (spec/exporter.md 7.2).
use super::shell::Variables;
use super::{Converted, Plugin, QUEUES_MAX};

/// All variables that mean something.
const KNOWN: &[&str] = &[
    "INPUT",
    "PROCESS",
    "CACHE_SIZE",
    "ACTIVE_TIMEOUT",
    "INACTIVE_TIMEOUT",
    "FRAG_CACHE_ENABLE",
    "FRAG_CACHE_SIZE",
    "FRAG_CACHE_TIMEOUT",
    "UDP",
    "NON_BLOCKING_TCP",
    "LZ4_COMPRESSION",
    "HOST",
    "PORT",
    "LINK",
    "DIR",
    "TEMPLATE_REFRESH_RATE",
    "OUTPUT_WORKER_CPU",
    "USE_FUSE",
    "FUSE_MOUNT_POINT",
    "EXTRA_ARGS",
    "USE_DPDK",
    "DPDK_QUEUES_COUNT",
    "DPDK_LCORES",
    "DPDK_OPTS",
    "DPDK_PORTOPTS",
    "DPDK_INPUT_WORKER_CPUS",
    "DPDK_RING",
    "DPDK_RING_PATTERN",
    "DPDK_RING_STARTIDX",
    "DPDK_PORT",
    "DPDK_DEVICE",
    "DPDK_EXTRA_EAL",
];

/// Parameters of the cache and the variables they come from.
const CACHE: &[(&str, &str)] = &[
    ("size", "CACHE_SIZE"),
    ("active", "ACTIVE_TIMEOUT"),
    ("inactive", "INACTIVE_TIMEOUT"),
    ("frag-enable", "FRAG_CACHE_ENABLE"),
    ("frag-size", "FRAG_CACHE_SIZE"),
    ("frag-timeout", "FRAG_CACHE_TIMEOUT"),
];

pub(super) fn convert(text: &str) -> Result<Converted, String> {
    let variables = Variables::read(text)?;
    let mut out = Converted::default();
    for name in variables.names().filter(|name| !KNOWN.contains(name)) {
        out.warnings.push(format!("{name} means nothing"));
    }
    if variables.get("USE_DPDK") == Some("1") {
        dpdk(&variables, &mut out)?;
    }
    words(&mut out, "-i", variables.all("INPUT"));
    let mut cache = Plugin::new("cache", None)?;
    for (key, name) in CACHE {
        cache = cache.with_some(key, variables.filled(name))?;
    }
    out.option("-s", cache.0);
    words(&mut out, "-p", variables.all("PROCESS"));
    out.option("-o", output(&variables)?.0);
    if variables.get("USE_FUSE") == Some("1") {
        out.option("-t", variables.get("FUSE_MOUNT_POINT").unwrap_or_default());
    }
    // The shell parts them at spaces.
    let extra = variables.get("EXTRA_ARGS").unwrap_or_default();
    out.arguments.extend(extra.split_whitespace().map(String::from));
    Ok(out)
}

/// An option for each element; what an element has behind a space are words of their own, as the shell makes them.
fn words<'a>(out: &mut Converted, option: &str, values: impl Iterator<Item = &'a str>) {
    for value in values.filter(|value| !value.trim().is_empty()) {
        out.arguments.push(option.into());
        out.arguments.extend(value.split_whitespace().map(String::from));
    }
}

fn output(variables: &Variables) -> Result<Plugin, String> {
    let or = |name, default| variables.filled(name).unwrap_or(default);
    let is = |name| variables.get(name) == Some("yes");
    let mut output = Plugin::new("ipfix", variables.filled("OUTPUT_WORKER_CPU"))?
        .with("host", or("HOST", "127.0.0.1"))?
        .with("port", or("PORT", "4739"))?
        .with("id", or("LINK", "0"))?
        .with("dir", or("DIR", "0"))?;
    for (name, flag) in
        [("UDP", "udp"), ("NON_BLOCKING_TCP", "non-blocking-tcp"), ("LZ4_COMPRESSION", "lz4-compression")]
    {
        if is(name) {
            output = output.flag(flag)?;
        }
    }
    output.with("template", or("TEMPLATE_REFRESH_RATE", "300"))
}

/// An input for each queue of a port, or for each ring.
fn dpdk(variables: &Variables, out: &mut Converted) -> Result<(), String> {
    let needed = |name: &str| variables.filled(name).ok_or(format!("{name} is missing: USE_DPDK=1 needs it"));
    let number =
        |name: &str, text: &str| text.trim().parse::<u32>().map_err(|_| format!("{name}={text}: not a number"));
    let queues = number("DPDK_QUEUES_COUNT", needed("DPDK_QUEUES_COUNT")?)?;
    if queues == 0 || queues > QUEUES_MAX {
        return Err(format!("DPDK_QUEUES_COUNT={queues}: 1 to {QUEUES_MAX} are possible"));
    }
    let cpus: Vec<&str> = variables.all("DPDK_INPUT_WORKER_CPUS").collect();
    let cpu = |queue: u32| cpus.get(queue as usize).copied().filter(|cpu| !cpu.is_empty());
    let lcores = variables.filled("DPDK_LCORES").map(|cores| format!("--lcores {cores}"));
    let extra = variables.filled("DPDK_EXTRA_EAL").map(String::from);
    let is_ring = variables.get("DPDK_RING") == Some("1");
    let device = variables.filled("DPDK_DEVICE").filter(|_| !is_ring).map(|device| format!("-a {device}"));
    let eal = [lcores, extra, device].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let first = variables.filled("DPDK_RING_STARTIDX").map_or(Ok(0), |text| number("DPDK_RING_STARTIDX", text))?;
    for queue in 0..queues {
        let mut input = Plugin::new(if is_ring { "dpdk-ring" } else { "dpdk" }, cpu(queue))?;
        if is_ring {
            input = input.with("r", ring(needed("DPDK_RING_PATTERN")?, first.saturating_add(queue))?)?;
        } else if queue == 0 {
            input = input.with_some("p", variables.filled("DPDK_PORT"))?;
            let options = variables.filled("DPDK_OPTS").or(variables.filled("DPDK_PORTOPTS")).unwrap_or_default();
            for option in options.split(';').filter(|option| !option.is_empty()) {
                input = input.flag(option)?;
            }
            input = input.with("q", queues)?;
        }
        if queue == 0 && !eal.is_empty() {
            input = input.with("e", &eal)?;
        }
        out.option("-i", input.0);
    }
    Ok(())
}

/// The name of a ring by the pattern of printf(1): one `%d`, `%u` or `%i`, maybe with a width.
fn ring(pattern: &str, number: u32) -> Result<String, String> {
    const WIDTH_MAX: usize = 32;
    let wrong = || format!("DPDK_RING_PATTERN={pattern}: one %d, %u or %i is understood, maybe as %02d");
    let (before, rest) = pattern.split_once('%').ok_or_else(wrong)?;
    let at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (width, after) = rest.split_at(at);
    let after = after.strip_prefix(['d', 'u', 'i']).filter(|after| !after.contains('%')).ok_or_else(wrong)?;
    let length = if width.is_empty() { 0 } else { width.parse().ok().filter(|n| *n <= WIDTH_MAX).ok_or_else(wrong)? };
    let digits = if width.starts_with('0') { format!("{number:0length$}") } else { format!("{number:length$}") };
    Ok(format!("{before}{digits}{after}"))
}
