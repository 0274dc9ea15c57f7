//! Alerts for other programs.
use super::{AlertsError, row, written};
use clap::ValueEnum;
use detect::stix;
use detect::store::{Alert, Order, Query, Side, Store};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Json,
    Csv,
    Stix,
}

const CSV: &str = "number,id,detected,category,source,source_port,target,target_port,protocol,description,node,flows,packets,bytes,state,notes";

pub(super) fn run(store: &Store, query: &Query, form: Form, to: Option<&Path>) -> Result<(), AlertsError> {
    let Some(path) = to else {
        return write(store, query, form, &mut BufWriter::new(io::stdout().lock()), written);
    };
    let failed = |why| AlertsError::Write(format!(" {}", path.display()), why);
    let file = File::create(path).map_err(failed)?;
    write(store, query, form, &mut BufWriter::new(file), failed)
}

fn write(
    store: &Store,
    query: &Query,
    form: Form,
    out: &mut impl Write,
    failed: impl Fn(io::Error) -> AlertsError,
) -> Result<(), AlertsError> {
    let mut stix = Stix::default();
    let mut ended = match form {
        Form::Json => Ok(()),
        Form::Csv => write!(out, "{CSV}\r\n"),
        Form::Stix => stix.begin(out),
    };
    store.alerts(query, Order::Oldest, u64::MAX, |alert| {
        if ended.is_ok() {
            ended = match form {
                // Each message as it came; a line feed in it would be one of its own blanks.
                Form::Json => writeln!(out, "{}", alert.document.replace(['\r', '\n'], " ")),
                Form::Csv => csv(out, &alert),
                Form::Stix => stix.add(out, &alert),
            };
        }
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if form == Form::Stix && ended.is_ok() {
        ended = stix.end(out);
    }
    ended.and_then(|()| out.flush()).map_err(failed)
}

/// A row as RFC 4180 has it; lists are joined by blanks.
fn csv(out: &mut impl Write, alert: &Alert) -> io::Result<()> {
    let document = row::document(alert);
    let (source, target) = (Side::of(&document, "Source"), Side::of(&document, "Target"));
    let numbers = |all: &[u64]| all.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| document.get(key).and_then(Value::as_u64).map(|n| n.to_string()).unwrap_or_default();
    let mut protocols = target.protocols.clone();
    protocols.extend(source.protocols.iter().filter(|name| !target.protocols.contains(name)).cloned());
    let nodes = document.get("Node").and_then(Value::as_array).into_iter().flatten();
    let nodes: Vec<_> = nodes.filter_map(|node| node.get("Name")?.as_str()).collect();
    let cells = [
        alert.number.to_string(),
        alert.id.clone(),
        row::utc(alert.detected),
        row::categories(&document),
        source.names.join(" "),
        numbers(&source.ports),
        target.names.join(" "),
        numbers(&target.ports),
        protocols.join(" "),
        text("Description"),
        nodes.join(" "),
        number("FlowCount"),
        number("PacketCount"),
        number("ByteCount"),
        row::state(alert.state).to_owned(),
        alert.notes.to_string(),
    ];
    let quoted = cells.map(|cell| {
        if cell.contains([',', '"', '\r', '\n']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    });
    write!(out, "{}\r\n", quoted.join(","))
}

/// A bundle that is written as it is made. Objects that alerts share, such as addresses, stand in it once.
#[derive(Default)]
struct Stix {
    seen: HashSet<String>,
}

impl Stix {
    fn begin(&mut self, out: &mut impl Write) -> io::Result<()> {
        // The identity of a bundle has no meaning (section 8), and what is in it is not known yet.
        let empty = stix::bundle(Vec::new());
        write!(out, "{{\"type\":\"bundle\",\"id\":{},\"objects\":[", empty["id"])
    }

    fn add(&mut self, out: &mut impl Write, alert: &Alert) -> io::Result<()> {
        for object in stix::objects(&row::document(alert)) {
            let id = object["id"].as_str().unwrap_or_default().to_owned();
            if self.seen.contains(&id) {
                continue;
            }
            let comma = if self.seen.is_empty() { "" } else { "," };
            write!(out, "{comma}\n{object}")?;
            self.seen.insert(id);
        }
        Ok(())
    }

    fn end(&mut self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"\n]}\n")
    }
}
