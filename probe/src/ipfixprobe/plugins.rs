//! Plugin arguments: `NAME[@CPU][;option[=value]]...` (spec/exporter.md sections 3 to 6).
use crate::live::{self, Backend, LiveConfig};
use dataplane::capture::{self, AnySource, OpenOptions, PacketConfig};
use dataplane::cpus;
use dataplane::lane::{FragmentConfig, LaneConfig};
use dataplane::registry::PluginId;

/// One plugin as it stands on the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PluginArgs<'t> {
    pub(super) name: &'t str,
    cpu: Option<u32>,
    pub(super) options: Vec<(&'t str, Option<&'t str>)>,
}

/// An option of a plugin, for its help.
pub(super) struct Known {
    pub(super) short: &'static str,
    pub(super) long: &'static str,
    pub(super) argument: &'static str,
    pub(super) about: &'static str,
}

macro_rules! known {
    ($($name:ident { $($short:literal / $long:literal $argument:literal $about:literal;)+ })+) => {$(
        pub(super) const $name: &[Known] =
            &[$(Known { short: $short, long: $long, argument: $argument, about: $about }),+];
    )+};
}

known! {
    PCAP {
        "f" / "file" "PATH" "capture to read: pcap or pcapng, also gzip or zstd; - is standard input";
        "i" / "ifc" "IFC" "interface to capture from, in promiscuous mode";
        "F" / "filter" "BPF" "only packets that match the expression";
        "s" / "snaplen" "N" "bytes taken of each packet of an interface, default 65535, at least 120";
        "l" / "list" "" "list the interfaces";
    }
    RAW {
        "i" / "ifc" "IFC" "interface to capture from, in promiscuous mode";
        "f" / "fanout" "[ID]" "share the packets with the other inputs of this id, default made of the process id";
        "b" / "blocks" "N" "blocks in the ring, a power of two";
        "p" / "pkts" "N" "pages in a block, a power of two, default 64";
        "l" / "list" "" "list the interfaces";
    }
    DPDK {
        "b" / "bsize" "N" "packets taken at a time, default and at most 64";
        "p" / "port" "LIST" "ports, by number or device name, separated by commas";
        "m" / "mem" "N" "buffers of each queue, default 8192; half of them are its descriptors";
        "q" / "queue" "N" "receive queues of each port, default 1; give -i dpdk once more for each further one";
        "r" / "rss" "BITS" "RTE_ETH_RSS_ bits, default by addresses";
        "e" / "eal" "ARGUMENTS" "for DPDK's EAL, separated by blanks";
        "M" / "mtu" "BYTES" "default 1518";
    }
    DPDK_RING {
        "b" / "bsize" "N" "packets taken at a time, default and at most 64";
        "r" / "ring" "NAME" "the ring to read";
        "e" / "eal" "ARGUMENTS" "for DPDK's EAL, separated by blanks";
    }
    CACHE {
        "s" / "size" "EXP" "2^EXP flows, 4 to 30, default 18";
        "l" / "line" "EXP" "2^EXP flows in a line, default 4";
        "a" / "active" "SECONDS" "active timeout, default 300";
        "i" / "inactive" "SECONDS" "inactive timeout, default 30";
        "S" / "split" "" "one record for each direction";
        "fe" / "frag-enable" "true|false" "fragment cache, default true";
        "fs" / "frag-size" "N" "slots of the fragment cache, default 10007";
        "ft" / "frag-timeout" "SECONDS" "life of a fragment, default 3";
    }
    IPFIX {
        "h" / "host" "NAMES" "collector, default 127.0.0.1; several with commas, each with its port if that differs (Sonda's own)";
        "p" / "port" "PORT" "default 4739";
        "m" / "mtu" "BYTES" "largest message, default 1458";
        "u" / "udp" "" "UDP in place of TCP";
        "n" / "non-blocking-tcp" "" "accepted: Sonda's writes always have a time limit";
        "I" / "id" "ID" "observation domain, default 1";
        "d" / "dir" "N" "value of ingressInterface, default 0";
        "t" / "template" "SECONDS" "template refresh over UDP, default 600, 0 = only once";
        "v" / "verbose" "" "tell what happens to the connection";
        "c" / "lz4-compression" "" "compress what goes over TCP by LZ4, for ipfixcol2";
        "s" / "lz4-buffer-size" "BYTES" "how far back repetitions are looked for, default and least 3 times the mtu, at most 65535";
        "F" / "file" "PATH" "write the messages to a file (Sonda's own)";
        "co" / "collectors" "copy|share|failover" "what several hosts are: each gets all flows, each its share, or the next stands in (Sonda's own)";
        "sp" / "spool" "FOLDER" "keep on disk what a collector over TCP does not take (Sonda's own)";
        "ta" / "tls-ca" "FILE" "TLS, and with udp DTLS: CAs that must vouch for the collector (PEM); default port 4740 then (Sonda's own)";
        "tc" / "tls-cert" "FILE" "certificate for collectors that ask for one (Sonda's own)";
        "tk" / "tls-key" "FILE" "its key (Sonda's own)";
        "tn" / "tls-name" "NAME" "name in the collector's certificate, default its host (Sonda's own)";
        "ss" / "spool-size" "MIB" "disk for each collector's spool, default 1024 (Sonda's own)";
    }
    NETFLOW {
        "h" / "host" "NAME" "collector, default 127.0.0.1";
        "p" / "port" "PORT" "default 2055";
        "v" / "version" "5|9" "default 9; 5 has no IPv6";
        "m" / "mtu" "BYTES" "largest packet, default 1458";
        "I" / "id" "ID" "source id, default 1";
        "d" / "dir" "N" "number of the interface that packets come in by, default 0";
        "t" / "template" "SECONDS" "template refresh, default 600, 0 = only once";
        "s" / "sampling" "N" "one packet in N was seen, default 1; told to the collector";
    }
    UNIREC {
        "i" / "ifc" "SPEC" "TRAP interfaces, separated by commas";
        "p" / "plugins" "MAP" "plugins of each interface, such as (tls,http),dns";
        "o" / "odid" "" "ODID in place of LINK_BIT_FIELD";
        "e" / "eof" "" "send an end-of-stream record at the end";
        "I" / "id" "ID" "value of LINK_BIT_FIELD or ODID, default 1";
        "d" / "dir" "N" "value of DIR_BIT_FIELD, default 0";
        "v" / "verbose" "" "accepted, no effect";
    }
    TEXT {
        "f" / "file" "PATH" "write to a file, default standard output";
        "m" / "mac" "" "no MAC addresses";
    }
}

/// A number as the original reads it: decimal, 0x hexadecimal, leading 0 octal.
pub(super) fn number(text: &str) -> Option<u64> {
    match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => u64::from_str_radix(&text[2..], 16).ok(),
        [b'0', _, ..] => u64::from_str_radix(&text[1..], 8).ok(),
        _ => text.parse().ok(),
    }
}

impl<'t> PluginArgs<'t> {
    pub(super) fn parse(text: &'t str) -> Result<PluginArgs<'t>, String> {
        let mut tokens = text.split(';').map(str::trim).filter(|t| !t.is_empty());
        let head = tokens.next().unwrap_or("");
        let (name, cpu) = match head.split_once('@') {
            None => (head, None),
            Some((name, cpu)) => (name, Some(cpu.parse().map_err(|_| format!("{name}: invalid CPU number '{cpu}'"))?)),
        };
        let options = tokens.map(|t| t.split_once('=').map_or((t, None), |(n, v)| (n, Some(v)))).collect();
        Ok(PluginArgs { name, cpu, options })
    }

    /// The processor after the `@`, if there is one and this process may run on it.
    pub(super) fn checked_cpu(&self) -> Result<Option<usize>, String> {
        let Some(cpu) = self.cpu else { return Ok(None) };
        cpus::check(&[cpu as usize]).map_err(|e| format!("{}: {e}", self.name))?;
        Ok(Some(cpu as usize))
    }

    pub(super) fn no_cpu(&self, kind: &str) -> Result<(), String> {
        match self.cpu {
            Some(_) => Err(format!("cannot set CPU affinity for {kind} plugin {}", self.name)),
            None => Ok(()),
        }
    }

    /// Gives each option under its long name to `set`, which answers `None` if the value is wrong.
    pub(super) fn each(&self, known: &[Known], mut set: impl FnMut(&str, &str) -> Option<()>) -> Result<(), String> {
        for (name, value) in &self.options {
            let declared = known
                .iter()
                .find(|k| k.short == *name || k.long == *name)
                .ok_or_else(|| format!("{}: invalid option {name}", self.name))?;
            // A flag may say true or false; the original refuses that (spec/exporter.md section 3, QUIRK).
            let value = match (declared.argument, value) {
                ("", None | Some("true")) => "",
                ("", Some("false")) => continue,
                (argument, None) if argument.starts_with('[') => "",
                ("", Some(_)) => return Err(format!("{}: option {name} takes no argument", self.name)),
                (_, None) => return Err(format!("{}: missing argument for option {name}", self.name)),
                (_, Some(value)) => value,
            };
            set(declared.long, value).ok_or_else(|| format!("{}: invalid argument for option {name}", self.name))?;
        }
        Ok(())
    }
}

pub(super) fn put<T>(place: &mut T, value: Option<T>) -> Option<()> {
    *place = value?;
    Some(())
}

pub(super) fn within<T: TryFrom<u64>>(text: &str, range: std::ops::RangeInclusive<u64>) -> Option<T> {
    number(text).filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok())
}

/// `None` when the option only asked for information.
pub(super) fn input(args: &PluginArgs<'_>) -> Result<Option<(String, AnySource)>, String> {
    match args.name {
        "pcap" => pcap(args),
        "raw" => raw(args),
        "ndp" => Err(format!(
            "{}: comes with a later release; use raw;ifc=INTERFACE, or read a file with pcap;file=PATH",
            args.name
        )),
        name => Err(format!("invalid input plugin {name}")),
    }
}

fn pcap(args: &PluginArgs<'_>) -> Result<Option<(String, AnySource)>, String> {
    let (mut file, mut interface, mut filter, mut snaplen, mut list) = (None, None, None, None, false);
    args.each(PCAP, |name, value| match name {
        "file" => put(&mut file, Some(Some(value.to_string()))),
        "ifc" => put(&mut interface, Some(Some(value.to_string()))),
        "filter" => put(&mut filter, Some(Some(value.to_string()))),
        "snaplen" => put(&mut snaplen, within(value, 120..=65_535).map(Some)),
        _ => put(&mut list, Some(true)),
    })?;
    if list {
        print!("{}", live::list());
        return Ok(None);
    }
    match (file.filter(|f| !f.is_empty()), interface.filter(|i| !i.is_empty())) {
        (Some(file), None) => {
            let options = OpenOptions { filter, ..OpenOptions::default() };
            let source = capture::open(&file, options).map_err(|e| format!("pcap: {e}"))?;
            Ok(Some((file, source.into())))
        }
        (None, Some(interface)) => {
            interface_input("pcap", interface, PacketConfig { filter, snaplen, ..PacketConfig::default() })
        }
        (Some(_), Some(_)) => Err("pcap: specify only one of file=PATH and ifc=INTERFACE".into()),
        (None, None) => Err("pcap: specify a file with file=PATH or an interface with ifc=INTERFACE".into()),
    }
}

fn raw(args: &PluginArgs<'_>) -> Result<Option<(String, AnySource)>, String> {
    let (mut interface, mut list) = (String::new(), false);
    let mut config = PacketConfig::default();
    args.each(RAW, |name, value| match name {
        "ifc" => put(&mut interface, Some(value.to_string())),
        "fanout" if value.is_empty() => put(&mut config.group, Some(Some(std::process::id() as u16))),
        "fanout" => put(&mut config.group, within(value, 0..=65_535).map(Some)),
        "blocks" => put(&mut config.blocks, within(value, 1..=1 << 20)),
        "pkts" => {
            put(&mut config.block_bytes, within(value, 1..=1 << 18).and_then(|pages: u32| pages.checked_mul(PAGE)))
        }
        _ => put(&mut list, Some(true)),
    })?;
    if list {
        print!("{}", live::list());
        return Ok(None);
    }
    if interface.is_empty() {
        return Err("raw: specify network interface with ifc=INTERFACE".into());
    }
    interface_input("raw", interface, config)
}

/// Bytes of a page, in which the original counts the size of a block.
const PAGE: u32 = 4096;

fn interface_input(
    plugin: &str,
    interface: String,
    packet: PacketConfig,
) -> Result<Option<(String, AnySource)>, String> {
    let config = LiveConfig { backend: Backend::AfPacket, packet, ..LiveConfig::default() };
    let opened = live::open(&interface, &config).map_err(|e| format!("{plugin}: {e}"))?;
    Ok(opened.sources.into_iter().next().map(|source| (interface, source)))
}

pub(super) fn storage(args: &PluginArgs<'_>) -> Result<LaneConfig, String> {
    if args.name != "cache" {
        return Err(format!("invalid storage plugin {}", args.name));
    }
    let mut lane = LaneConfig::default();
    let mut fragments = FragmentConfig::default();
    let mut fragments_on = true;
    args.each(CACHE, |name, value| match name {
        "size" => put(&mut lane.cache.shape.size_exp, within(value, 4..=30)),
        "line" => put(&mut lane.cache.shape.line_exp, within(value, 0..=30)),
        "active" => put(&mut lane.cache.active_secs, number(value)),
        "inactive" => put(&mut lane.cache.inactive_secs, number(value)),
        "split" => put(&mut lane.split, Some(true)),
        "frag-enable" => put(&mut fragments_on, value.parse().ok()),
        "frag-size" => put(&mut fragments.slots, within(value, 1..=1 << 24)),
        _ => put(&mut fragments.timeout_secs, within(value, 0..=u32::MAX as u64)),
    })?;
    if lane.cache.shape.line_exp > lane.cache.shape.size_exp {
        return Err("cache: flow cache line size must be less or equal to cache size".into());
    }
    lane.fragments = fragments_on.then_some(fragments);
    Ok(lane)
}

pub(super) fn process(texts: &[String]) -> Result<Vec<(PluginId, Vec<String>)>, String> {
    let mut chosen: Vec<(PluginId, Vec<String>)> = Vec::new();
    for text in texts {
        let args = PluginArgs::parse(text)?;
        args.no_cpu("process")?;
        if args.name == "basic" {
            continue;
        }
        let id = PluginId::from_name(args.name).ok_or_else(|| format!("invalid process plugin {}", args.name))?;
        if chosen.iter().any(|(c, _)| *c == id) {
            return Err(format!("{} plugin was specified multiple times", args.name));
        }
        let options = args.options.iter().map(|(n, v)| v.map_or((*n).to_string(), |v| format!("{n}={v}"))).collect();
        chosen.push((id, options));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_arguments_are_read_as_the_original_reads_them() {
        let args = PluginArgs::parse("unirec;;ifc=f:out:timeout=WAIT;e;").expect("fine");
        assert_eq!(
            args,
            PluginArgs { name: "unirec", cpu: None, options: vec![("ifc", Some("f:out:timeout=WAIT")), ("e", None)] }
        );
        assert_eq!(PluginArgs::parse("raw@3;l").expect("fine").cpu, Some(3));
        assert!(PluginArgs::parse("raw@x").is_err());
        assert!(PluginArgs::parse("cache@1").expect("fine").no_cpu("storage").is_err());
        assert_eq!(
            [number("010"), number("0x10"), number("10"), number("0"), number("ten")],
            [Some(8), Some(16), Some(10), Some(0), None]
        );
    }

    #[test]
    fn storage_options_have_limits() {
        let lane = storage(&PluginArgs::parse("cache;s=10;line=3;a=60;i=5;S;fe=false").expect("fine")).expect("fine");
        assert_eq!((lane.cache.shape.size_exp, lane.cache.shape.line_exp, lane.cache.active_secs), (10, 3, 60));
        assert!(lane.split && lane.fragments.is_none());
        for bad in [
            "cache;s=3",
            "cache;s=31",
            "cache;s=5;l=6",
            "cache;fs=0",
            "cache;x",
            "cache;s",
            "cache;split=maybe",
            "heap",
        ] {
            assert!(storage(&PluginArgs::parse(bad).expect("fine")).is_err(), "{bad}");
        }
    }
}
