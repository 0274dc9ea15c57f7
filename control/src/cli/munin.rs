//! `nemea_supervisor`: the Munin plugin with graphs of modules, their interfaces and alerts (section 11.1).
//!
//! Differences from the original: nothing is kept in `/tmp`, the supervisor is asked each time; `autoconf` says why not when nobody answers,
//! as Munin wants it; characters that Munin does not take in a field's name are `_`.
use super::{FAILED, ask, print};
use crate::client::{SOCKET, code};
use serde_json::{Map, Value};
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

/// One line for lists of tools.
pub const ABOUT: &str = "Munin plugin: CPU, memory, messages and alerts of the supervisor's modules";

/// Munin gives all plugins ten seconds.
const WAIT: Duration = Duration::from_secs(2);
const CATEGORY: &str = "nemea_supervisor";

const HELP: &str = "Usage: nemea_supervisor [config|autoconf|suggest]\n\
A Munin plugin: link it into /etc/munin/plugins. The socket of the supervisor is the variable `socket`, in Munin's configuration:\n\n  \
[nemea_supervisor]\n  env.socket /run/sonda-supervisor/supervisor.sock\n  user sonda\n";

/// One graph of the plugin.
struct Graph {
    name: String,
    title: String,
    vlabel: &'static str,
    fields: Vec<Field>,
}

/// One line of a graph.
struct Field {
    name: String,
    label: String,
    /// Further attributes, as Munin wants them.
    attributes: &'static [(&'static str, &'static str)],
    value: i128,
}

const GAUGE: &[(&str, &str)] = &[("type", "GAUGE"), ("min", "0")];
const PERCENT: &[(&str, &str)] = &[("type", "GAUGE"), ("min", "0"), ("max", "100")];
const STACKED: &[(&str, &str)] = &[("type", "GAUGE"), ("min", "0"), ("draw", "AREASTACK")];
const DERIVE: &[(&str, &str)] = &[("type", "DERIVE"), ("min", "0")];
const NEGATIVE: &[(&str, &str)] = &[("type", "DERIVE"), ("max", "0")];
const ALERTS: &[(&str, &str)] = &[("type", "DERIVE"), ("min", "0"), ("draw", "AREASTACK")];

/// Runs the plugin; answers the exit status.
#[must_use]
pub fn main(args: &[String]) -> u8 {
    let socket = std::env::var_os("socket").unwrap_or_else(|| SOCKET.into());
    let socket = Path::new(&socket);
    let told = || {
        let text = ask(socket, code::STATISTICS, WAIT).map_err(|why| format!("{}: {why}", socket.display()))?;
        // The original says nothing when no module runs.
        let text = if text.trim().is_empty() { "{}" } else { &text };
        serde_json::from_str::<Map<String, Value>>(text).map_err(|why| format!("{}: {why}", socket.display()))
    };
    let shown = match args.first().map(String::as_str) {
        Some("autoconf") => Ok(told().map_or_else(|why| format!("no ({why})\n"), |_| "yes\n".into())),
        Some("suggest") => Ok("\n".into()),
        Some("config") => told().map(|modules| graphs(&modules).iter().map(Graph::config).collect()),
        None => told().map(|modules| graphs(&modules).iter().map(Graph::values).collect::<String>()),
        Some(_) => {
            eprint!("{HELP}");
            return super::USAGE;
        }
    };
    match shown {
        Ok(text) => {
            print(&text);
            0
        }
        Err(why) => {
            eprintln!("nemea_supervisor: {why}");
            FAILED
        }
    }
}

/// All graphs of what `-x` tells.
fn graphs(modules: &Map<String, Value>) -> Vec<Graph> {
    let stacked = |name: &str, title: &str, vlabel, key: &str| Graph {
        name: name.into(),
        title: title.into(),
        vlabel,
        fields: modules.iter().map(|(module, told)| of_module(module, STACKED, number(told, key))).collect(),
    };
    let mut all = vec![
        stacked("nemea_modules_cpu", "CPU usage of Nemea modules", "%", "CPU-u"),
        stacked("nemea_modules_mem_vms", "Virtual memory usage of Nemea modules", "B", "MEM-vms"),
        stacked("nemea_modules_mem_rss", "Resident set size of Nemea modules", "B", "MEM-rss"),
    ];
    let (mut sent, mut received, mut dropped, mut alerts) = (0, 0, 0, Vec::new());
    for (module, told) in modules {
        let usage = [("kernel mode", number(told, "CPU-s")), ("user mode", number(told, "CPU-u"))];
        all.push(numbered(format!("{module}_CPU"), format!("{module} CPU usage"), "%", PERCENT, &usage));
        let memory = [("virtual memory size", number(told, "MEM-vms")), ("resident set size", number(told, "MEM-rss"))];
        all.push(numbered(format!("{module}_MEM"), format!("{module} Memory usage"), "B", GAUGE, &memory));
        for (at, ifc) in interfaces(told, "inputs") {
            let counts = [("received messages", number(ifc, "messages")), ("received buffers", number(ifc, "buffers"))];
            received += counts[0].1;
            if at == 0 && module.ends_with("2idea") {
                alerts.push(of_module(module, ALERTS, counts[0].1));
            }
            let (name, title) = (format!("{module}_INIFC{at}"), format!("{module} input IFC {}", id(ifc)));
            all.push(numbered(name, title, "count", DERIVE, &counts));
        }
        for (at, ifc) in interfaces(told, "outputs") {
            let counts = [
                ("sent messages", number(ifc, "sent-msg")),
                ("dropped messages", number(ifc, "drop-msg")),
                ("sent buffers", number(ifc, "buffers")),
                ("autoflush", number(ifc, "autoflush")),
            ];
            (sent, dropped) = (sent + counts[0].1, dropped + counts[1].1);
            let (name, title) = (format!("{module}_OUTIFC{at}"), format!("{module} output IFC {}", id(ifc)));
            all.push(numbered(name, title, "count", DERIVE, &counts));
        }
    }
    let total = |name: &str, attributes, value| Field { name: name.into(), label: name.into(), attributes, value };
    all.push(Graph {
        name: "nemea_ifcs_total".into(),
        title: "Total numbers of messages through all modules".into(),
        vlabel: "count",
        fields: vec![total("sent", DERIVE, sent), total("recv", NEGATIVE, -received), total("drop", DERIVE, dropped)],
    });
    let title = "Input messages on report modules".into();
    all.push(Graph { name: "nemea_alerts".into(), title, vlabel: "count", fields: alerts });
    all
}

fn of_module(module: &str, attributes: &'static [(&'static str, &'static str)], value: i128) -> Field {
    let name = module.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    // Munin takes no digit at the beginning.
    let name = if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name };
    Field { name, label: module.replace('_', " "), attributes, value }
}

fn numbered(
    name: String,
    title: String,
    vlabel: &'static str,
    attributes: &'static [(&'static str, &'static str)],
    values: &[(&str, i128)],
) -> Graph {
    let field = |(at, (label, value)): (usize, &(&str, i128))| Field {
        name: format!("stat{at}"),
        label: (*label).into(),
        attributes,
        value: *value,
    };
    Graph { name, title, vlabel, fields: values.iter().enumerate().map(field).collect() }
}

fn number(told: &Value, key: &str) -> i128 {
    told[key].as_u64().map_or(0, i128::from)
}

fn interfaces<'a>(told: &'a Value, key: &str) -> impl Iterator<Item = (usize, &'a Value)> {
    told[key].as_array().into_iter().flatten().enumerate()
}

/// What is said in a title: one line.
fn id(ifc: &Value) -> String {
    ifc["ID"].as_str().unwrap_or_default().replace(char::is_control, "?")
}

impl Graph {
    fn config(&self) -> String {
        let Self { name, title, vlabel, fields } = self;
        let mut text =
            format!("multigraph {name}\ngraph_title {title}\ngraph_vlabel {vlabel}\ngraph_category {CATEGORY}\n");
        for field in fields {
            let _never = writeln!(text, "{}.label {}", field.name, field.label);
            for (key, value) in field.attributes {
                let _never = writeln!(text, "{}.{key} {value}", field.name);
            }
        }
        text + "\n"
    }

    fn values(&self) -> String {
        let lines: String = self.fields.iter().map(|field| format!("{}.value {}\n", field.name, field.value)).collect();
        format!("multigraph {}\n{lines}\n", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Map<String, Value> {
        serde_json::from_str(
            r#"{"rep_1": {"CPU-u": 3, "CPU-s": 1, "MEM-vms": 100, "MEM-rss": 50,
            "inputs": [{"type": "u", "ID": "a", "is-conn": 1, "messages": 7, "buffers": 2}],
            "outputs": [{"type": "t", "ID": "b", "cli-num": 1, "sent-msg": 5, "drop-msg": 2, "buffers": 3, "autoflush": 1}]},
            "vport.2idea": {"CPU-u": 0, "inputs": [{"ID": "x", "messages": 9}], "outputs": []}}"#,
        )
        .expect("JSON")
    }

    #[test]
    fn graphs_have_the_names_and_values_of_the_original() {
        let values: String = graphs(&told()).iter().map(Graph::values).collect();
        for expected in [
            "multigraph nemea_modules_cpu\nrep_1.value 3\nvport_2idea.value 0\n\n",
            "multigraph rep_1_CPU\nstat0.value 1\nstat1.value 3\n\n",
            "multigraph rep_1_MEM\nstat0.value 100\nstat1.value 50\n\n",
            "multigraph rep_1_INIFC0\nstat0.value 7\nstat1.value 2\n\n",
            "multigraph rep_1_OUTIFC0\nstat0.value 5\nstat1.value 2\nstat2.value 3\nstat3.value 1\n\n",
            "multigraph nemea_ifcs_total\nsent.value 5\nrecv.value -16\ndrop.value 2\n\n",
            "multigraph nemea_alerts\nvport_2idea.value 9\n\n",
        ] {
            assert!(values.contains(expected), "{expected}\n{values}");
        }
        let config: String = graphs(&told()).iter().map(Graph::config).collect();
        for expected in [
            "multigraph nemea_modules_mem_rss\ngraph_title Resident set size of Nemea modules\ngraph_vlabel B\ngraph_category nemea_supervisor\nrep_1.label rep 1\nrep_1.type GAUGE\nrep_1.min 0\nrep_1.draw AREASTACK\n",
            "graph_title rep_1 output IFC b\n",
            "recv.label recv\nrecv.type DERIVE\nrecv.max 0\n",
        ] {
            assert!(config.contains(expected), "{expected}\n{config}");
        }
        assert_eq!(config.matches("multigraph ").count(), values.matches("multigraph ").count());
    }

    #[test]
    fn fields_have_names_that_munin_takes() {
        assert_eq!(of_module("2flow-x", GAUGE, 0).name, "_2flow_x");
    }
}
