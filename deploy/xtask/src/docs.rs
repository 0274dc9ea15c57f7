//! `cargo xtask docs`: the pages that are made from declarations, written or checked for drift.
use crate::{Outcome, shell};
use control::api::openapi;
use control::config::reference;
use control::metrics::rules;
use dataplane::capture::CaptureDrop;
use dataplane::export::RecordDrop;
use dataplane::flow::Basic;
use dataplane::packet::PacketDrop;
use dataplane::registry::PluginId;
use record::{Record, Schema, docs};
use std::fs;

/// Write what is made from declarations: docs/fields.md, drops.md, metrics.md, the supervisor's reference and schema, the alert rules and the dashboard
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
        ("docs/metrics.md", metrics()),
        ("docs/openapi.json", openapi::text()),
        ("deploy/prometheus/sonda.rules.yml", format!("{MADE_YAML}{}", rules::rules())),
        ("deploy/grafana/sonda.json", rules::dashboard()),
        ("docs/supervisor.toml", reference::commented()),
        ("docs/supervisor.schema.json", reference::schema()),
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

const MADE: &str =
    "<!-- Made by `cargo xtask docs` from the declarations in the code. Change those, not this page. -->\n\n";

const MADE_YAML: &str = "# Made by `cargo xtask docs` from control/src/metrics/rules.rs. Change that, not this file.\n";

fn fields() -> String {
    let mut schemas: Vec<&Schema> = vec![Basic::SCHEMA];
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
