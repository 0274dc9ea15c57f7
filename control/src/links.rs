//! Who sends to whom: outputs and inputs of modules that meet, by the configuration and by what modules tell of themselves.
use crate::model::{Direction, Interface, Kind, command};
use crate::snapshot::ModuleView;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use trap::Spec;
use trap::spec::{InputEnd, OutputEnd};
use utoipa::ToSchema;

/// An output of a module and an input of another one that meet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub struct Link {
    pub from: String,
    pub to: String,
    /// Where they meet: the letter of the interfaces' type and a socket's name, a port or a file.
    pub over: String,
}

/// Where interfaces meet on one machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    letter: char,
    name: String,
}

/// All links between modules, by their names.
#[must_use]
pub fn all(modules: &[ModuleView]) -> BTreeSet<Link> {
    let mut writers: BTreeMap<Place, BTreeSet<&str>> = BTreeMap::new();
    let mut readers = Vec::new();
    for module in modules {
        let name = module.spec.name.as_str();
        for (direction, place) in places(module) {
            match direction {
                Direction::Out => {
                    writers.entry(place).or_default().insert(name);
                }
                Direction::In => readers.push((place, name)),
            }
        }
    }
    let met = readers.into_iter().flat_map(|(place, to)| {
        let from = writers.get(&place).into_iter().flatten();
        let over = format!("{}:{}", place.letter, place.name);
        from.map(move |from| Link { from: (*from).into(), to: to.into(), over: over.clone() }).collect::<Vec<_>>()
    });
    met.collect()
}

/// The places of a module's interfaces. One without interfaces in the configuration has them in its parameters, as probes do: what it tells
/// is taken then.
fn places(module: &ModuleView) -> Vec<(Direction, Place)> {
    if !module.spec.interfaces.is_empty() {
        return module.spec.interfaces.iter().filter_map(configured).collect();
    }
    let told = |direction, kind: char, id: &str| {
        let is_met = matches!(Kind::of_letter(kind), Some(Kind::Unix | Kind::Tcp | Kind::Tls));
        is_met.then(|| (direction, Place { letter: kind, name: id.into() }))
    };
    let counters = module.counters.iter();
    let inputs = counters.clone().flat_map(|counters| &counters.inputs);
    let outputs = counters.flat_map(|counters| &counters.outputs);
    let inputs = inputs.filter_map(|ifc| told(Direction::In, ifc.kind.letter(), &ifc.id));
    inputs.chain(outputs.filter_map(|ifc| told(Direction::Out, ifc.kind.letter(), &ifc.id))).collect()
}

fn configured(interface: &Interface) -> Option<(Direction, Place)> {
    let spec = Spec::parse(&command::spec_of(interface)?).ok()?.pop()?;
    let direction = interface.direction?;
    let name = match direction {
        Direction::In => match spec.as_input().ok()?.end {
            InputEnd::Unix(name) | InputEnd::File(name) => name,
            InputEnd::Tcp { host, port } | InputEnd::Tls { host, port, .. } if is_here(&host) => port,
            _ => return None,
        },
        Direction::Out => match spec.as_output().ok()?.end {
            OutputEnd::Unix(name, _) | OutputEnd::Tcp(name, _) | OutputEnd::Tls(name, ..) => name,
            OutputEnd::File { path, .. } => path,
            OutputEnd::Blackhole => return None,
        },
    };
    Some((direction, Place { letter: spec.kind.letter(), name }))
}

/// Whether a host is this machine, by its usual names; others are not asked for.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Limits, Module};
    use crate::process::Usage;
    use crate::snapshot::Counters;

    fn module(name: &str, interfaces: &[(Direction, Kind, &str)], told: Option<&str>) -> ModuleView {
        let interfaces = interfaces.iter().map(|(direction, kind, params)| Interface {
            note: None,
            kind: Some(*kind),
            direction: Some(*direction),
            params: Some((*params).into()),
        });
        let spec = Module {
            name: name.into(),
            enabled: true,
            path: "/bin/m".into(),
            params: None,
            restarts: 3,
            interfaces: interfaces.collect(),
            after: vec![],
            limits: Limits::default(),
        };
        ModuleView {
            spec,
            profile: "P".into(),
            enabled: true,
            pid: None,
            restarts: 0,
            parked: None,
            usage: Usage::default(),
            counters: told.map(|json| Counters::parse(json.as_bytes()).expect("JSON")),
        }
    }

    #[test]
    fn outputs_meet_inputs() {
        use Direction::{In, Out};
        let told = r#"{"in_cnt": 0, "out_cnt": 2, "in": [], "out": [
            {"ifc_type": 117, "ifc_id": "flows", "num_clients": 1, "sent-messages": 1, "dropped-messages": 0, "buffers": 0, "autoflushes": 0},
            {"ifc_type": 98, "ifc_id": "none", "num_clients": 0, "sent-messages": 1, "dropped-messages": 0, "buffers": 0, "autoflushes": 0}]}"#;
        let modules = [
            module("probe", &[], Some(told)),
            module("detector", &[(In, Kind::Unix, "flows"), (Out, Kind::Tcp, "7600:max_clients=9")], None),
            module("reporter", &[(In, Kind::Tcp, "127.0.0.1,7600"), (Out, Kind::Blackhole, "")], None),
            module("far", &[(In, Kind::Tcp, "192.0.2.1:7600"), (In, Kind::Tcp, "localhost:7601")], None),
            module("files", &[(Out, Kind::File, "/tmp/a:w"), (In, Kind::Unix, "localhost:flows")], None),
            module("reader", &[(In, Kind::File, "/tmp/a")], None),
        ];
        let links = all(&modules);
        let links: Vec<_> =
            links.iter().map(|link| (link.from.as_str(), link.to.as_str(), link.over.as_str())).collect();
        assert_eq!(
            links,
            [
                ("detector", "reporter", "t:7600"),
                ("files", "reader", "f:/tmp/a"),
                ("probe", "detector", "u:flows"),
                ("probe", "files", "u:flows"),
            ]
        );
    }
}
