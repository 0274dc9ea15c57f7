//! The outputs of the drop-in, opened (spec/exporter.md section 6).
use super::plugins::{IPFIX, NETFLOW, PluginArgs, TEXT, UNIREC, number, put, within};
use crate::outputs::{Collectors, IPFIX_PORT, IPFIX_TLS_PORT, LZ4_MTUS, NETFLOW_PORT, collectors, peer, spool};
use crate::run::unix_secs;
use clap::ValueEnum;
use dataplane::export::ipfix::{IpfixConfig, IpfixExporter, Target};
use dataplane::export::netflow::{NetflowConfig, NetflowExporter, V5_SAMPLING_MAX, Version};
use dataplane::export::text::TextExporter;
use dataplane::export::unirec::{Group, UnirecConfig, UnirecExporter};
use dataplane::export::{Exporter, OpenError, Peer};
use dataplane::lane::LaneConfig;
use dataplane::registry::PluginId;
use std::path::PathBuf;
use trap::{Place, Stop};

/// `None` when the option only asked for information.
pub(super) fn output(
    args: &PluginArgs<'_>,
    lane: &LaneConfig,
    stop: &Stop,
) -> Result<Option<Vec<Box<dyn Exporter>>>, String> {
    let say = |e: OpenError| format!("{}: {e}", args.name);
    match args.name {
        "ipfix" => {
            let open = |config| Ok(Box::new(IpfixExporter::open(config, unix_secs())?) as Box<dyn Exporter>);
            ipfix(args)?.into_iter().map(open).collect::<Result<_, _>>().map(Some).map_err(say)
        }
        "netflow" => Ok(Some(vec![Box::new(NetflowExporter::open(netflow(args)?, unix_secs()).map_err(say)?)])),
        "text" => {
            let (mut file, mut hide_mac) = (None, false);
            args.each(TEXT, |name, value| match name {
                "file" => put(&mut file, Some(Some(value.into()))),
                _ => put(&mut hide_mac, Some(true)),
            })?;
            Ok(Some(vec![Box::new(TextExporter::open(file, hide_mac).map_err(say)?)]))
        }
        "unirec" => {
            if args.options.iter().any(|(name, _)| matches!(*name, "h" | "help")) {
                print!("{}", trap::help::interfaces_text(85));
                return Ok(None);
            }
            let config = unirec(args, lane)?;
            let place = Place { stop: stop.clone(), ..Place::default() };
            Ok(Some(vec![Box::new(UnirecExporter::open(config, &place).map_err(say)?)]))
        }
        name => Err(format!("invalid output plugin {name}")),
    }
}

/// One output for each host, unless they stand in for each other.
fn ipfix(args: &PluginArgs<'_>) -> Result<Vec<IpfixConfig>, String> {
    let mut config = IpfixConfig { dir: Some(0), sends_alone: false, ..IpfixConfig::default() };
    let (mut hosts, mut port, mut udp, mut file) = ("127.0.0.1".to_string(), None, false, None);
    let (mut certificate, mut key) = (None, None);
    let (mut mode, mut folder, mut spool_mib) = (Collectors::default(), None, 1024u64);
    let (mut compresses, mut buffer) = (false, 0u32);
    args.each(IPFIX, |name, value| match name {
        "host" => put(&mut hosts, Some(value.into())),
        "port" => put(&mut port, within(value, 1..=65535).map(Some)),
        "mtu" => put(&mut config.mtu, within(value, 17..=65535)),
        "udp" => put(&mut udp, Some(true)),
        "id" => put(&mut config.domain, within(value, 0..=u32::MAX as u64)),
        "dir" => put(&mut config.dir, within(value, 0..=u32::MAX as u64).map(Some)),
        "template" => put(&mut config.template_refresh_secs, within(value, 0..=u32::MAX as u64)),
        "verbose" => put(&mut config.verbose, Some(true)),
        "tls-ca" => put(&mut config.tls.authority, Some(Some(PathBuf::from(value)))),
        "tls-cert" => put(&mut certificate, Some(Some(PathBuf::from(value)))),
        "tls-key" => put(&mut key, Some(Some(PathBuf::from(value)))),
        "tls-name" => put(&mut config.tls.name, Some(Some(value.to_string()))),
        "lz4-compression" => put(&mut compresses, Some(true)),
        "lz4-buffer-size" => put(&mut buffer, within(value, 0..=i32::MAX as u64)),
        "file" => put(&mut file, Some(Some(value.into()))),
        "collectors" => put(&mut mode, Collectors::from_str(value, false).ok()),
        "spool" => put(&mut folder, Some(Some(PathBuf::from(value)))),
        "spool-size" => put(&mut spool_mib, within(value, 1..=1 << 24)),
        _ => Some(()),
    })?;
    if compresses && udp {
        return Err("ipfix: Compression (c) is not supported with udp (u)".into());
    }
    let tls = config.tls.authority.is_some();
    if certificate.is_some() != key.is_some() || !tls && (key.is_some() || config.tls.name.is_some()) {
        return Err("ipfix: TLS wants tls-ca; tls-cert and tls-key go together".into());
    }
    config.tls.identity = certificate.zip(key);
    let port = port.unwrap_or(if tls { IPFIX_TLS_PORT } else { IPFIX_PORT });
    config.lz4 = compresses.then(|| buffer.max(LZ4_MTUS * u32::from(config.mtu)));
    let targets: Vec<Target> = match file {
        Some(path) => vec![Target::File(path)],
        None => {
            let target = match (udp, tls) {
                (true, true) => Target::Dtls,
                (true, false) => Target::Udp,
                (false, true) => Target::Tls,
                (false, false) => Target::Tcp,
            };
            let targets = hosts.split(',').map(|host| host_of(host.trim(), port).map(target));
            targets.collect::<Result<_, _>>().map_err(|e| format!("ipfix: {e}"))?
        }
    };
    let mut configs = collectors(mode, &targets, |target| IpfixConfig { target, ..config.clone() })?;
    if let Some(folder) = folder {
        spool(&mut configs, &folder, spool_mib << 20);
    }
    Ok(configs)
}

/// A host, in brackets with a port of its own. What has several colons is an IPv6 address, as the original takes it.
fn host_of(text: &str, port: u16) -> Result<Peer, String> {
    if !text.starts_with('[') && text.matches(':').count() > 1 {
        return Ok(Peer { host: text.into(), port });
    }
    peer(text, port)
}

fn netflow(args: &PluginArgs<'_>) -> Result<NetflowConfig, String> {
    let peer = Peer { host: "127.0.0.1".into(), port: NETFLOW_PORT };
    let mut config = NetflowConfig { dir: Some(0), ..NetflowConfig::to(peer) };
    args.each(NETFLOW, |name, value| match name {
        "host" => put(&mut config.peer.host, Some(value.into())),
        "port" => put(&mut config.peer.port, within(value, 1..=65535)),
        "version" => {
            let version = if value == "5" { Some(Version::V5) } else { (value == "9").then_some(Version::V9) };
            put(&mut config.version, version)
        }
        "mtu" => put(&mut config.mtu, within(value, 1..=65535)),
        "id" => put(&mut config.domain, within(value, 0..=u32::MAX as u64)),
        "dir" => put(&mut config.dir, within(value, 0..=u32::MAX as u64).map(Some)),
        "template" => put(&mut config.template_refresh_secs, within(value, 0..=u32::MAX as u64)),
        _ => put(&mut config.sampling, within(value, 1..=u64::from(V5_SAMPLING_MAX))),
    })?;
    Ok(config)
}

fn unirec(args: &PluginArgs<'_>, lane: &LaneConfig) -> Result<UnirecConfig, String> {
    let mut config = UnirecConfig { interfaces: Vec::new(), id: 1, dir: 0, odid: false, eof: false };
    let (mut spec, mut map) = (String::new(), None);
    args.each(UNIREC, |name, value| match name {
        "ifc" => put(&mut spec, Some(value.into())),
        "plugins" => put(&mut map, Some(Some(value.to_string()))),
        "odid" => put(&mut config.odid, Some(true)),
        "eof" => put(&mut config.eof, Some(true)),
        "id" => put(&mut config.id, number(value)),
        "dir" => put(&mut config.dir, within(value, 0..=255)),
        _ => Some(()),
    })?;
    if spec.is_empty() {
        return Err("unirec: specify libtrap interface specifier".into());
    }
    let specs = trap::Spec::parse(&spec).map_err(|e| format!("unirec: {e}"))?;
    let enabled: Vec<PluginId> = lane.plugins.iter().map(|(id, _)| *id).collect();
    let groups = match map {
        Some(map) => groups(&map, &enabled)?,
        None => match (specs.len(), enabled.as_slice()) {
            (1, []) => vec![Group::Basic],
            (1, [only]) => vec![Group::Plugins(vec![*only])],
            _ => return Err("unirec: specify plugin-interface mapping".into()),
        },
    };
    if groups.len() != specs.len() {
        return Err("unirec: number of interfaces and plugin groups differ".into());
    }
    config.interfaces = specs.into_iter().zip(groups).collect();
    Ok(config)
}

/// `(tls,http),dns`: one group for each interface.
fn groups(map: &str, enabled: &[PluginId]) -> Result<Vec<Group>, String> {
    let mut groups = Vec::new();
    let mut used = Vec::new();
    let mut rest = map;
    while !rest.is_empty() {
        let (group, tail) = match rest.strip_prefix('(') {
            Some(inner) => inner.split_once(')').ok_or("unirec: missing ')' in the plugin-interface mapping")?,
            None => rest.find(',').map_or((rest, ""), |at| rest.split_at(at)),
        };
        rest = tail.strip_prefix(',').unwrap_or(tail);
        let names: Vec<&str> = group.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
        if names == ["basic"] {
            groups.push(Group::Basic);
            continue;
        }
        let mut plugins = Vec::new();
        for name in names.into_iter().filter(|n| *n != "basic") {
            let id = PluginId::from_name(name).filter(|id| enabled.contains(id));
            let id = id.ok_or_else(|| format!("unirec: {name} plugin is not activated"))?;
            if used.contains(&id) {
                return Err("unirec: plugin output can be exported only to one interface at the moment".into());
            }
            used.push(id);
            plugins.push(id);
        }
        groups.push(Group::Plugins(plugins));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_map_plugins_to_interfaces() {
        let ids: Vec<PluginId> = ["vlan", "icmp"].iter().filter_map(|n| PluginId::from_name(n)).collect();
        assert_eq!(groups("(vlan,icmp)", &ids), Ok(vec![Group::Plugins(ids.clone())]));
        assert_eq!(groups("basic,icmp", &ids), Ok(vec![Group::Basic, Group::Plugins(vec![ids[1]])]));
        assert!(groups("vlan,vlan", &ids).unwrap_err().contains("only to one interface"));
        assert!(groups("vlan", &ids[1..]).unwrap_err().contains("not activated"));
        assert!(groups("(vlan", &ids).is_err());
    }
}
