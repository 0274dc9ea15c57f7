//! `cargo xtask docs`: the pages that are made from declarations, written or checked for drift.
use crate::{Outcome, shell};
use control::api::openapi;
use control::config::reference;
use control::metrics::rules;
use dataplane::capture::CaptureDrop;
use dataplane::export::RecordDrop;
use dataplane::flow::{Basic, Heading};
use dataplane::packet::PacketDrop;
use dataplane::registry::PluginId;
use detect::modules::reflection_detector;
use detect::pages::{PAGES, Page};
use record::{Record, Schema, docs};
use std::fs;
use std::process::Command;

/// Write what is made from declarations: docs/fields.md, drops.md, detectors.md, metrics.md, openapi.json, the supervisor's reference and schema, those of a probe's file, the alert
/// rules and the dashboard
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing; fail where a page is not what the declarations say
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut drifted = Vec::new();
    let pages = [
        ("docs/fields.md", fields()),
        ("docs/drops.md", drops()),
        ("docs/detectors.md", detectors()),
        ("docs/metrics.md", metrics()),
        ("docs/openapi.json", openapi::text()),
        ("deploy/prometheus/sonda.rules.yml", format!("{MADE_YAML}{}", rules::rules())),
        ("deploy/grafana/sonda.json", rules::dashboard()),
        ("docs/supervisor.toml", reference::commented()),
        ("docs/supervisor.schema.json", reference::schema()),
        ("docs/probe.toml", probe("--reference")?),
        ("docs/probe.schema.json", probe("--schema")?),
    ];
    for (name, text) in pages {
        let path = shell::top().join(name);
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        if args.check {
            drifted.push(name);
            continue;
        }
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map_err(|e| format!("{name}: {e}"))?;
        println!("wrote {name}");
    }
    if drifted.is_empty() {
        Ok(())
    } else {
        Err(format!("{}: not up to date, run `cargo xtask docs`", drifted.join(", ")))
    }
}

/// What the program says of a probe's file: its options are declared there.
fn probe(what: &str) -> Result<String, String> {
    let mut sonda = Command::new("cargo");
    sonda.args(["run", "--quiet", "--locked", "-p", "sonda", "--", "check", what]);
    shell::read(&mut sonda).map(|(said, _)| said)
}

const MADE: &str =
    "<!-- Made by `cargo xtask docs` from the declarations in the code. Change those, not this page. -->\n\n";

const MADE_YAML: &str = "# Made by `cargo xtask docs` from control/src/metrics/rules.rs. Change that, not this file.\n";

fn fields() -> String {
    let mut schemas: Vec<&Schema> = vec![Basic::SCHEMA, Heading::SCHEMA];
    schemas.extend(PluginId::ALL.iter().map(|plugin| plugin.schema()));
    let head = "# Fields\n\n\
        What a flow record says: the basic record, which every flow has, then one section for each process plugin. Names are those of\n\
        JSON; the other columns say what a field is called in IPFIX (enterprise number and element id in brackets) and in UniRec.\n\n";
    page(head, &docs::fields(&schemas))
}

fn drops() -> String {
    let head = "# Drop reasons\n\n\
        Nothing is lost without a reason that is counted: for each stage, taken = kept + sum of dropped(reason).\n\n";
    let capture = docs::reasons::<CaptureDrop>("Why a packet that a live interface received did not reach a lane.");
    let packets = docs::reasons::<PacketDrop>("Why a packet did not reach the flow cache.");
    let records = docs::reasons::<RecordDrop>("Why a record did not leave through an output.");
    page(head, &(capture + &packets + &records))
}

fn detectors() -> String {
    let head = "# Detectors of our own\n\n\
        Detectors that NEMEA lacks. Each reads flow records, judges by their times alone, keeps a bounded state whose evictions are counted and\n\
        told at the end, and has a reporter. The first five pass over flows that lie more than an hour ahead of all others until 100 in a row do. The\n\
        scenarios are attacks that the generator tells (`cargo xtask synth attacks`, `sonda demo`); how the originals of NEMEA differ is in\n\
        [compatibility.md](compatibility.md#detectors).\n\n";
    let sections: Vec<String> = PAGES.iter().map(detector).collect();
    let mut protocols = "## Protocols of reflection_detector\n\n\
        | port | protocol | amplification of bytes (TA14-017A) |\n|---|---|---|\n"
        .to_owned();
    for (port, name, [least, greatest]) in reflection_detector::protocols() {
        let factor = if least < greatest { format!("{least} to {greatest}") } else { least.to_string() };
        protocols.push_str(&format!("| {port} | {name} | {factor} |\n"));
    }
    page(head, &(sections.concat() + &protocols))
}

/// Method, options and alert of one.
fn detector(page: &Page) -> String {
    let mut text = format!("## {}\n\n{}\n| option | | meaning |\n|---|---|---|\n", page.info.name, page.method);
    for param in page.info.params {
        let letter = param.short.map_or_else(String::new, |letter| format!("`-{letter}` "));
        text.push_str(&format!(
            "| {letter}`--{}` | {} | {} |\n",
            param.long,
            param.argument_type,
            param.description.trim()
        ));
    }
    text.push_str("\n| alert | | meaning |\n|---|---|---|\n");
    for field in page.alert.fields {
        let Some(name) = field.unirec else { continue };
        text.push_str(&format!("| `{name}` | {} | {} |\n", field.kind.unirec_name(), field.doc.trim()));
    }
    text + "\n"
}

fn metrics() -> String {
    let head = "# Metrics\n\n\
        What `sonda metrics` prints and `sonda metrics --listen 127.0.0.1:9909` serves to Prometheus: the pages of all probes of this machine\n\
        and the service interfaces of all NEMEA modules, ours and the originals. A metric is there when somebody counts it.\n\
        Reasons are explained in [drops.md](drops.md). Alert rules: `deploy/prometheus/sonda.rules.yml`, dashboard: `deploy/grafana/sonda.json`.\n\n";
    page(head, &rules::docs())
}

/// One line end at the end of the file.
fn page(head: &str, body: &str) -> String {
    format!("{MADE}{head}{}\n", body.trim_end())
}
