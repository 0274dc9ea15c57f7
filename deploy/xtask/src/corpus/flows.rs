//! Seeds from flows: conversations as scripts for the plugins that have something to say of them, and what the exporters write of
//! them for the decoders.
use super::Seeds;
use super::captures::each_frame;
use crate::Outcome;
use benches::cases;
use dataplane::batch::Batch;
use dataplane::capture::{OpenOptions, Poll, open_reader};
use dataplane::export::Exporter;
use dataplane::export::ipfix::{IpfixConfig, IpfixExporter, Target};
use dataplane::export::unirec::{Group, UnirecConfig, UnirecExporter};
use dataplane::flow::{Basic, FlowKey};
use dataplane::fuzzing::script;
use dataplane::lane::{Lane, LaneConfig};
use dataplane::packet::decode::{DecodeConfig, decode};
use dataplane::packet::{Direction, Packet, PacketView, protocol};
use dataplane::registry::{PluginId, PluginSet};
use record::unirec::{Template, View, csv};
use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::net::IpAddr;
use std::path::Path;
use trap::deframer::{Deframer, Item, Layout};
use trap::{Format, Place, Spec, hello};

pub(crate) fn add(seeds: &mut Seeds) -> Outcome {
    let folder = tempfile::tempdir().map_err(|e| format!("no temporary folder: {e}"))?;
    for case in cases() {
        let capture = (case.build)();
        let said = export(&capture, folder.path())?;
        add_scripts(seeds, &capture, &said);
        add_files(seeds, case.name, folder.path()).map_err(|e| format!("{}: {e}", folder.path().display()))?;
    }
    Ok(())
}

/// A conversation by its ends, the source first, and its protocol.
type Ends = (String, u8);

/// The plugins that had data of each conversation.
type Said = BTreeMap<Ends, PluginSet>;

/// Runs a capture through a lane with every plugin; writes what comes out as IPFIX and, for each plugin, as UniRec.
fn export(capture: &[u8], folder: &Path) -> Result<Said, String> {
    let plugins: Vec<_> = PluginId::ALL.iter().map(|id| (*id, Vec::new())).collect();
    let mut lane = Lane::new(&LaneConfig { plugins, ..LaneConfig::default() }).map_err(|e| e.to_string())?;
    let target = Target::File(folder.join("ipfix"));
    let ipfix = IpfixExporter::open(IpfixConfig { target, ..IpfixConfig::default() }, 1).map_err(|e| e.to_string())?;
    let groups: Vec<Group> =
        std::iter::once(Group::Basic).chain(PluginId::ALL.iter().map(|id| Group::Plugins(vec![*id]))).collect();
    let spec: Vec<String> =
        (0..groups.len()).map(|n| format!("f:{}:w", folder.join(format!("unirec-{n}")).display())).collect();
    let interfaces = Spec::parse(&spec.join(",")).map_err(|e| e.to_string())?.into_iter().zip(groups).collect();
    let config = UnirecConfig { interfaces, id: 0, dir: 0, odid: false, eof: true };
    let unirec = UnirecExporter::open(config, &Place::default()).map_err(|e| e.to_string())?;
    let mut outputs: [Box<dyn Exporter>; 2] = [Box::new(ipfix), Box::new(unirec)];
    let mut said = Said::new();
    let mut take = |batch: &mut Batch| {
        for flow in batch.flows() {
            // A plugin that cuts its flows leaves some that begin with the answer.
            for ends in ends_of_flow(&flow.basic()) {
                *said.entry(ends).or_default() |= flow.extensions;
            }
        }
        outputs.iter_mut().for_each(|output| output.export(batch));
        batch.clear();
    };
    let mut source = open_reader("case", Cursor::new(capture.to_vec()), OpenOptions::default());
    while let Ok(Poll::More | Poll::Idle) = lane.step(&mut source) {
        take(lane.batch());
    }
    lane.finish(&mut take);
    outputs.iter_mut().for_each(|output| output.finish(1));
    Ok(said)
}

/// Ports of tunnels in UDP: L2TP, GTP-U, Teredo, VXLAN and its generic form, GENEVE.
const TUNNELS: [u16; 6] = [1701, 2152, 3544, 4789, 4790, 6081];

#[derive(Default)]
struct Conversation {
    reversed: bool,
    ends: Ends,
    service: (u8, u16),
    steps: Vec<(Direction, Vec<u8>)>,
}

fn add_scripts(seeds: &mut Seeds, capture: &[u8], said: &Said) {
    let mut conversations: Vec<(FlowKey, Conversation)> = Vec::new();
    each_frame(capture, |frame| {
        let mut packet = Packet::default();
        if decode(frame, &DecodeConfig::default(), &mut packet).is_err() {
            return;
        }
        let view = PacketView { packet: &packet, bytes: frame.bytes };
        let at = conversations.iter().position(|(key, _)| *key == packet.key).unwrap_or_else(|| {
            let has_ports = matches!(packet.protocol, protocol::TCP | protocol::UDP);
            let port = if has_ports { packet.dst_port } else { 0 };
            let ends = ends(view.src_ip(), packet.src_port, view.dst_ip(), packet.dst_port);
            conversations.push((
                packet.key,
                Conversation {
                    reversed: packet.reversed,
                    ends: (ends, packet.protocol),
                    service: (packet.protocol, port),
                    steps: Vec::new(),
                },
            ));
            conversations.len() - 1
        });
        let conversation = &mut conversations[at].1;
        let direction = if packet.reversed == conversation.reversed { Direction::Forward } else { Direction::Reverse };
        conversation.steps.push((direction, view.payload().to_vec()));
    });
    for (_, conversation) in conversations {
        let steps: Vec<(Direction, &[u8])> = conversation.steps.iter().map(|(d, p)| (*d, p.as_slice())).collect();
        let Some(mut script) = script::write(conversation.service, &steps) else { continue };
        let set = said.get(&conversation.ends).copied().unwrap_or(0);
        // A label is put before any of them.
        let set = set | PluginId::mpls.bit();
        // The target enters tunnels, which the lane that told the set does not.
        let (number, port) = conversation.service;
        let is_tunnel = number == protocol::UDP && TUNNELS.contains(&port);
        let set = if is_tunnel { set | PluginId::tunnel.bit() } else { set };
        for plugin in PluginId::ALL.iter().filter(|plugin| set & plugin.bit() != 0) {
            // With what stands before IP for the plugins that read it; with neighbours for all.
            script[0] |= script::DECOY;
            script[0] |= match plugin {
                PluginId::vlan => script::TAGGED,
                PluginId::mpls => script::LABELLED,
                _ => 0,
            };
            seeds.add(
                &format!("plugin_{}", plugin.name()),
                conversation.ends.0.len() * 1_000 + script.len() / 64,
                &script,
            );
        }
    }
}

fn add_files(seeds: &mut Seeds, case: &str, folder: &Path) -> std::io::Result<()> {
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let bytes = fs::read(&path)?;
        fs::remove_file(&path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "ipfix" {
            seeds.add("ipfix_decode", case, &bytes);
            continue;
        }
        seeds.add("trap_file_stream", format!("{name} {}", bytes.len() / 256), &bytes);
        add_records(seeds, &name, &bytes);
    }
    Ok(())
}

/// Records of a UniRec file, one by one, and as CSV.
fn add_records(seeds: &mut Seeds, name: &str, bytes: &[u8]) {
    let mut deframer = Deframer::new(Layout::File);
    deframer.feed(bytes);
    let mut template = None;
    while let Ok(item) = deframer.next_item() {
        match item {
            Item::Hello(Format::UniRec(spec)) => {
                seeds.add("unirec_spec", name, spec.as_bytes());
                seeds.add("trap_hello", name, &hello::encode(&Format::UniRec(spec.clone())));
                template = Template::parse(&spec).ok();
            }
            Item::Message(range) => {
                let Some(template) = &template else { return };
                let message = deframer.bytes(range);
                let Ok(view) = View::new(template, message) else { continue };
                let record = [template.spec().as_bytes(), b"\n", message].concat();
                seeds.add("unirec_record", format!("{name} {}", message.len() / 64), &record);
                let mut rows = Vec::new();
                let mut printer = csv::Printer::new(b',');
                printer.header(template, &mut rows);
                printer.row(&view, &mut rows);
                seeds.add("unirec_csv", format!("{name} {}", message.len() / 64), &rows);
            }
            Item::NeedMore => return,
            Item::Hello(_) | Item::Container(_) => {}
        }
    }
}

/// In both directions.
fn ends_of_flow(basic: &Basic) -> [Ends; 2] {
    let (src, dst) = ((basic.src_ip, basic.src_port), (basic.dst_ip, basic.dst_port));
    [(ends(src.0, src.1, dst.0, dst.1), basic.protocol), (ends(dst.0, dst.1, src.0, src.1), basic.protocol)]
}

fn ends(src: IpAddr, src_port: u16, dst: IpAddr, dst_port: u16) -> String {
    format!("{src} {src_port} {dst} {dst_port}")
}
