//! Alert rules for Prometheus and the dashboard for Grafana, made from the declared metrics: a rule about a metric that there is
//! not is a panic of the test below.
use super::declared;
use serde_json::{Value, json};
use std::fmt::Write;

/// What somebody should be told of.
struct Rule {
    name: &'static str,
    /// PromQL.
    expression: &'static str,
    /// How long it must hold.
    lasts: &'static str,
    severity: &'static str,
    summary: &'static str,
    action: &'static str,
}

const RULES: [Rule; 10] = [
    Rule {
        name: "SondaProbeDied",
        expression: "sonda_probe_up == 0",
        lasts: "1m",
        severity: "critical",
        summary: "Probe {{ $labels.probe }} is no longer running",
        action: "It did not end in order: look at its log, then start it; `sonda top {{ $labels.probe }}` shows its last counters.",
    },
    Rule {
        name: "SondaProbeStuck",
        expression: "time() - sonda_probe_updated_time_seconds > 30 and on (probe) sonda_probe_up == 1",
        lasts: "1m",
        severity: "critical",
        summary: "Probe {{ $labels.probe }} runs but has not counted for {{ $value | humanizeDuration }}",
        action: "Its lanes are stuck: take a stack dump (gdb -p), then restart it.",
    },
    Rule {
        name: "SondaLedgerImbalance",
        expression: "sonda_ledger_imbalance != 0",
        lasts: "1m",
        severity: "critical",
        summary: "The {{ $labels.ledger }} of probe {{ $labels.probe }}, lane {{ $labels.lane }} do not add up",
        action: "Packets or flows leave without being counted, which is a defect of the probe: report it with `sonda top --once --json`.",
    },
    Rule {
        name: "SondaCaptureLoss",
        expression: "sum by (probe, reason) (rate(sonda_capture_dropped_packets_total[5m])) / on (probe) group_left sum by (probe) (rate(sonda_offered_packets_total[5m])) > 0.001",
        lasts: "5m",
        severity: "warning",
        summary: "Probe {{ $labels.probe }} loses {{ $value | humanizePercentage }} of its packets before the lanes: {{ $labels.reason }}",
        action: "docs/drops.md says what each reason means; more lanes, larger rings or a prefilter help.",
    },
    Rule {
        name: "SondaOutputLoss",
        expression: "sum by (probe, output, reason) (rate(sonda_output_dropped_records_total[5m])) > 0",
        lasts: "5m",
        severity: "warning",
        summary: "Output {{ $labels.output }} of probe {{ $labels.probe }} loses {{ $value }} records a second: {{ $labels.reason }}",
        action: "docs/drops.md says what each reason means; look at the collector and the network to it.",
    },
    Rule {
        name: "SondaOutputQueueFull",
        expression: "sum by (probe, output, reason) (rate(sonda_refused_records_total[5m])) > 0",
        lasts: "5m",
        severity: "warning",
        summary: "Output {{ $labels.output }} of probe {{ $labels.probe }} is too slow: {{ $value }} records a second are refused",
        action: "Whoever reads this output is slower than the traffic: give it a core of its own or fewer fields.",
    },
    Rule {
        name: "SondaFlowsEvicted",
        expression: r#"sum by (probe) (rate(sonda_flows_ended_total{reason="lack_of_resources"}[5m])) / sum by (probe) (rate(sonda_flows_ended_total[5m])) > 0.01"#,
        lasts: "10m",
        severity: "warning",
        summary: "{{ $value | humanizePercentage }} of the flows of probe {{ $labels.probe }} are cut because its flow cache is full",
        action: "Use a larger flow cache (`sonda probe --help`), or look for a flood: `sonda top`.",
    },
    Rule {
        name: "SondaModuleSilent",
        expression: "sonda_module_up == 0",
        lasts: "2m",
        severity: "warning",
        summary: "Module {{ $labels.module }} (process {{ $labels.pid }}) does not answer on its service interface",
        action: "It hangs or works on one record for long: look at its log and its CPU use.",
    },
    Rule {
        name: "SondaModuleDrops",
        expression: "sum by (module, id) (rate(sonda_module_output_dropped_messages_total[5m])) > 0",
        lasts: "5m",
        severity: "warning",
        summary: "Module {{ $labels.module }} drops {{ $value }} messages a second at {{ $labels.id }}",
        action: "A reader of this interface is slower than its sender: `trap_stats` shows which, give it a core of its own.",
    },
    Rule {
        name: "SondaCertificateExpires",
        expression: "sonda_api_certificate_expiry_time_seconds - time() < 30 * 86400",
        lasts: "1h",
        severity: "warning",
        summary: "The certificate of the control API expires in {{ $value | humanizeDuration }}",
        action: "Put a new certificate and key in place of the files that the table api names; they are read again without a restart.",
    },
];

/// `deploy/prometheus/sonda.rules.yml`.
pub fn rules() -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut out = String::from("groups:\n- name: sonda\n  rules:\n");
    for rule in &RULES {
        let _ = write!(
            out,
            "  - alert: {}\n    expr: {}\n    for: {}\n    labels:\n      severity: {}\n    annotations:\n      summary: {}\n      description: {}\n",
            rule.name,
            quoted(rule.expression),
            rule.lasts,
            rule.severity,
            quoted(rule.summary),
            quoted(rule.action),
        );
    }
    out
}

/// A graph: its title, the unit of Grafana, and what is drawn with which legend.
struct Panel {
    title: &'static str,
    unit: &'static str,
    draws: &'static [(&'static str, &'static str)],
}

const PANELS: [Panel; 13] = [
    Panel {
        title: "Packets by lane",
        unit: "pps",
        draws: &[("rate(sonda_taken_packets_total{probe=~\"$probe\"}[$__rate_interval])", "{{probe}} lane {{lane}}")],
    },
    Panel {
        title: "Traffic by probe",
        unit: "bps",
        draws: &[(
            "8 * sum by (probe) (rate(sonda_decoded_bytes_total{probe=~\"$probe\"}[$__rate_interval]))",
            "{{probe}}",
        )],
    },
    Panel {
        title: "Packets lost, by reason",
        unit: "pps",
        draws: &[
            (
                "sum by (probe, reason) (rate(sonda_capture_dropped_packets_total{probe=~\"$probe\"}[$__rate_interval])) > 0",
                "{{probe}} before lanes: {{reason}}",
            ),
            (
                "sum by (probe, reason) (rate(sonda_dropped_packets_total{probe=~\"$probe\"}[$__rate_interval])) > 0",
                "{{probe}} {{reason}}",
            ),
        ],
    },
    Panel {
        title: "Live flows",
        unit: "short",
        draws: &[("sum by (probe) (sonda_live_flows{probe=~\"$probe\"})", "{{probe}}")],
    },
    Panel {
        title: "Flows ended, by reason",
        unit: "short",
        draws: &[(
            "sum by (reason) (rate(sonda_flows_ended_total{probe=~\"$probe\"}[$__rate_interval]))",
            "{{reason}}",
        )],
    },
    Panel {
        title: "Records of protocols",
        unit: "short",
        draws: &[(
            "sum by (plugin) (rate(sonda_plugin_records_total{probe=~\"$probe\"}[$__rate_interval])) > 0",
            "{{plugin}}",
        )],
    },
    Panel {
        title: "Service ports, of flows that ended",
        unit: "bps",
        draws: &[(
            "topk(10, sum by (protocol, port) (rate(sonda_ended_flow_service_bytes_total{probe=~\"$probe\"}[$__rate_interval]))) * 8 > 0",
            "{{port}}/{{protocol}}",
        )],
    },
    Panel {
        title: "Records sent by outputs",
        unit: "short",
        draws: &[(
            "sum by (probe, output) (rate(sonda_output_sent_records_total{probe=~\"$probe\"}[$__rate_interval]))",
            "{{probe}} {{output}}",
        )],
    },
    Panel {
        title: "Records lost by outputs, by reason",
        unit: "short",
        draws: &[
            (
                "sum by (output, reason) (rate(sonda_output_dropped_records_total{probe=~\"$probe\"}[$__rate_interval])) > 0",
                "{{output}} {{reason}}",
            ),
            (
                "sum by (output, reason) (rate(sonda_refused_records_total{probe=~\"$probe\"}[$__rate_interval])) > 0",
                "{{output}} refused: {{reason}}",
            ),
        ],
    },
    Panel {
        title: "Messages that modules received",
        unit: "short",
        draws: &[("sum by (module) (rate(sonda_module_input_messages_total[$__rate_interval]))", "{{module}}")],
    },
    Panel {
        title: "Messages that modules sent",
        unit: "short",
        draws: &[(
            "sum by (module, id) (rate(sonda_module_output_messages_total[$__rate_interval]))",
            "{{module}} {{id}}",
        )],
    },
    Panel {
        title: "Messages that modules dropped",
        unit: "short",
        draws: &[(
            "sum by (module, id) (rate(sonda_module_output_dropped_messages_total[$__rate_interval])) > 0",
            "{{module}} {{id}}",
        )],
    },
    Panel {
        title: "Books that do not balance (must be empty)",
        unit: "short",
        draws: &[("sonda_ledger_imbalance{probe=~\"$probe\"} != 0", "{{probe}} lane {{lane}} {{ledger}}")],
    },
];

/// Graphs beside each other, of Grafana's 24 columns; rows of a graph.
const PANEL_WIDTH: usize = 12;
const PANEL_HEIGHT: usize = 8;

/// `deploy/grafana/sonda.json`: to be imported into Grafana (10 and later).
pub fn dashboard() -> String {
    let source = json!({ "type": "prometheus", "uid": "${source}" });
    let panels = PANELS.iter().enumerate().map(|(at, panel)| {
        let targets = panel.draws.iter().zip('A'..).map(|((expression, legend), letter)| {
            json!({ "refId": letter.to_string(), "datasource": source, "expr": expression, "legendFormat": legend })
        });
        json!({
            "id": at + 1,
            "type": "timeseries",
            "title": panel.title,
            "datasource": source,
            "gridPos": {
                "x": at % 2 * PANEL_WIDTH, "y": at / 2 * PANEL_HEIGHT, "w": PANEL_WIDTH, "h": PANEL_HEIGHT
            },
            "fieldConfig": { "defaults": { "unit": panel.unit, "min": 0 }, "overrides": [] },
            "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi" } },
            "targets": targets.collect::<Vec<_>>(),
        })
    });
    let dashboard = json!({
        "title": "Sonda",
        "uid": "sonda",
        "schemaVersion": 39,
        "tags": ["sonda"],
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [
            { "name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus" },
            {
                "name": "probe", "label": "Probe", "type": "query", "datasource": source, "multi": true, "includeAll": true,
                "query": "label_values(sonda_probe_up, probe)", "refresh": 2
            },
        ] },
        "panels": panels.collect::<Vec<_>>(),
    });
    format!("{dashboard:#}\n")
}

/// `docs/metrics.md`, without its head: a row for each metric.
pub fn docs() -> String {
    let mut out = String::from("| metric | kind | labels | what it says |\n|---|---|---|---|\n");
    for metric in declared() {
        let (kind, labels) = (format!("{:?}", metric.kind).to_lowercase(), metric.labels.join(", "));
        let _ = writeln!(out, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help);
    }
    out.push_str("\n## Alert rules\n\n| alert | when | for | severity | what to do |\n|---|---|---|---|---|\n");
    for rule in &RULES {
        let expression = rule.expression.replace('|', "\\|");
        let _ =
            writeln!(out, "| {} | `{expression}` | {} | {} | {} |", rule.name, rule.lasts, rule.severity, rule.action);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of metrics in a PromQL expression.
    fn metrics(expression: &str) -> impl Iterator<Item = &str> {
        expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("sonda_"))
    }

    #[test]
    fn rules_and_graphs_speak_of_metrics_that_there_are() {
        let known: Vec<&str> = declared().iter().map(|metric| metric.name).collect();
        let drawn = PANELS.iter().flat_map(|panel| panel.draws.iter().map(|(expression, _)| *expression));
        for expression in RULES.iter().map(|rule| rule.expression).chain(drawn) {
            assert!(metrics(expression).count() > 0, "{expression}");
            metrics(expression).for_each(|metric| assert!(known.contains(&metric), "{metric}"));
        }
    }
}
