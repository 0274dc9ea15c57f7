//! `-h [PLUGIN]`: generated from the declared options and the registry of process plugins.
use super::options::{DECLARED, Takes};
use super::plugins::{CACHE, DPDK, DPDK_RING, IPFIX, Known, NETFLOW, PCAP, RAW, TEXT, UNIREC};
use dataplane::registry::PluginId;
use std::fmt::Write;

/// A plugin that is no process plugin: name, what it does, options.
type BuiltIn = (&'static str, &'static str, &'static [Known]);

const KINDS: &[(&str, &[BuiltIn])] = &[
    (
        "input",
        &[
            ("pcap", "read packets from a capture file or an interface", PCAP),
            ("raw", "read packets from an interface (AF_PACKET)", RAW),
            ("dpdk", "read packets from DPDK's ports (builds with the feature dpdk)", DPDK),
            ("dpdk-ring", "read packets that another DPDK program puts into a ring (likewise)", DPDK_RING),
        ],
    ),
    ("storage", &[("cache", "keep flows in a hash table", CACHE)]),
    (
        "output",
        &[
            ("ipfix", "send IPFIX to a collector", IPFIX),
            ("netflow", "send NetFlow 9 or 5 to a collector (Sonda's own)", NETFLOW),
            ("unirec", "send UniRec over TRAP interfaces", UNIREC),
            ("text", "print one line for each flow", TEXT),
        ],
    ),
];

/// Own usage, the usage of all plugins of a kind, or that of one plugin.
pub(super) fn text(what: Option<&str>) -> Result<String, String> {
    let mut out = String::new();
    match what {
        None => usage(&mut out),
        Some("process") => PluginId::ALL.iter().for_each(|p| process(&mut out, *p)),
        Some(name) => {
            if let Some((_, plugins)) = KINDS.iter().find(|(kind, _)| *kind == name) {
                plugins.iter().for_each(|(name, about, known)| plugin(&mut out, name, about, known));
            } else if let Some((name, about, known)) = KINDS.iter().flat_map(|(_, p)| *p).find(|(n, ..)| *n == name) {
                plugin(&mut out, name, about, known);
            } else if let Some(id) = PluginId::from_name(name) {
                process(&mut out, id);
            } else {
                return Err(format!("No help available for {name}"));
            }
        }
    }
    Ok(out)
}

fn usage(out: &mut String) {
    out.push_str(
        "ipfixprobe: flow exporter, drop-in for ipfixprobe 5.7\n\nUsage: ipfixprobe [OPTION]...\n\nOptions:\n",
    );
    for d in DECLARED {
        let argument = match d.takes {
            Takes::Nothing => String::new(),
            Takes::Value => format!(" {}", d.argument),
            Takes::MaybeValue => format!(" [{}]", d.argument),
        };
        let _ = writeln!(out, "  {:<28} {}", format!("-{}, --{}{argument}", d.short, d.long), d.about);
    }
    out.push_str(
        "\nPlugins take their options after semicolons: NAME[;option[=value]]...\n\nExamples:\n  \
ipfixprobe -i \"pcap;file=capture.pcap\" -p http -p dns -o \"ipfix;host=127.0.0.1;port=4739;udp\"\n  \
ipfixprobe -i \"pcap;file=capture.pcap\" -p tls -o \"unirec;ifc=f:tls.trapcap\"\n  \
ipfixprobe -i \"pcap;file=capture.pcap\" -o text\n",
    );
}

fn plugin(out: &mut String, name: &str, about: &str, known: &[Known]) {
    let _ = writeln!(out, "{name}\n  {about}\n");
    for k in known {
        option(out, k.short, k.long, k.argument, k.about);
    }
    out.push('\n');
}

fn process(out: &mut String, id: PluginId) {
    let schema = id.schema();
    let _ = writeln!(out, "{}\n  {}\n", schema.name, schema.doc.trim());
    for f in schema.fields {
        let name =
            f.unirec.map(String::from).or(f.ipfix.map(|e| format!("{}:{}", e.scope(), e.name))).unwrap_or_default();
        let _ = writeln!(out, "  {name:<32} {}", f.doc.trim().replace('\n', " "));
    }
    for o in id.options() {
        option(out, o.short, o.long, &o.argument(), &o.help());
    }
    out.push('\n');
}

fn option(out: &mut String, short: &str, long: &str, argument: &str, about: &str) {
    let argument = if argument.is_empty() { String::new() } else { format!("={argument}") };
    let _ = writeln!(out, "  {:<28} {about}", format!("{short}, {long}{argument}"));
}
