//! The pages of probes as metrics.
use super::{Declared, Families, distinct};
use crate::pages::Found;
use record::page::columns::{
    self, Column, Family, Identity, Kind, LANE, LANE_FAMILIES, LANE_IDENTITIES, OUTPUT, OUTPUT_FAMILIES,
};
use record::page::{Counts, Snapshot};

const UP: Declared = Declared {
    name: "sonda_probe_up",
    kind: Kind::Gauge,
    labels: &["probe", "tool"],
    help: "1 while the probe runs; 0 when it died and left its last counters behind",
};
const STARTED: Declared = Declared {
    name: "sonda_probe_start_time_seconds",
    kind: Kind::Gauge,
    labels: &["probe"],
    help: "When the probe started, in seconds since 1970",
};
const UPDATED: Declared = Declared {
    name: "sonda_probe_updated_time_seconds",
    kind: Kind::Gauge,
    labels: &["probe"],
    help: "When the probe wrote its counters last, in seconds since 1970",
};
const IMBALANCE: Declared = Declared {
    name: "sonda_ledger_imbalance",
    kind: Kind::Gauge,
    labels: &["probe", "lane", "ledger"],
    help: "What came to a lane less what became of it, in packets or flows; it must be 0 at all times",
};
const IN_HAND: Declared = Declared {
    name: "sonda_output_in_hand_records",
    kind: Kind::Gauge,
    labels: &["probe", "output"],
    help: "Records that came to the output and are neither sent nor dropped yet",
};
/// Counters of a version that is newer than this one.
const UNKNOWN: Declared = Declared {
    name: "sonda_probe_unknown_counters",
    kind: Kind::Gauge,
    labels: &["probe"],
    help: "Counters of the probe that this version does not know and does not show: use one version for both",
};

const LANE_LABELS: &[&str] = &["probe", "lane", "input"];
const OUTPUT_LABELS: &[&str] = &["probe", "output"];

pub(super) fn declared() -> Vec<Declared> {
    let lane = LANE.iter().map(|column| of_column(column, LANE_LABELS));
    let lane = lane.chain(LANE_FAMILIES.iter().map(|family| of_family(family, labels_of(family, true))));
    let output = OUTPUT.iter().map(|column| of_column(column, OUTPUT_LABELS));
    let output = output.chain(OUTPUT_FAMILIES.iter().map(|family| of_family(family, labels_of(family, false))));
    let own = [UP, STARTED, UPDATED, IMBALANCE];
    own.into_iter().chain(lane).chain(output).chain([IN_HAND, UNKNOWN]).collect()
}

fn of_column(column: &Column, labels: &'static [&'static str]) -> Declared {
    Declared { name: column.metric, kind: column.kind, labels, help: column.help }
}

fn of_family(family: &Family, labels: &'static [&'static str]) -> Declared {
    Declared { name: family.metric, kind: Kind::Counter, labels, help: family.help }
}

/// The labels of a family's samples: where they are from, and its own.
fn labels_of(family: &Family, is_lane: bool) -> &'static [&'static str] {
    match (is_lane, family.labels) {
        (true, ["reason"]) => &["probe", "lane", "input", "reason"],
        (true, ["plugin"]) => &["probe", "lane", "input", "plugin"],
        (true, ["plugin", "outcome"]) => &["probe", "lane", "input", "plugin", "outcome"],
        (true, ["protocol", "port"]) => &["probe", "lane", "input", "protocol", "port"],
        (true, ["output", "reason"]) => &["probe", "lane", "input", "output", "reason"],
        (false, ["fate"]) => &["probe", "output", "fate"],
        (false, ["end"]) => &["probe", "output", "end"],
        (false, ["reason"]) => &["probe", "output", "reason"],
        _ => &[],
    }
}

/// Adds what the pages say.
pub(super) fn collect(found: &[Found], families: &mut Families) {
    let names = distinct(found.iter().map(|found| found.name.as_str()));
    for (probe, found) in names.iter().zip(found) {
        let page = &found.page;
        let seconds = |at: record::Time| at.0 as f64 / 1e9;
        let of_probe = [("probe", probe.as_str())];
        families.add(UP, &of_probe, &[&page.layout.title], f64::from(u8::from(found.alive)));
        families.add(STARTED, &of_probe, &[], seconds(page.writer.started));
        families.add(UPDATED, &of_probe, &[], seconds(page.updated()));
        let outputs = distinct(page.layout.outputs.iter().map(String::as_str));
        let unknown = lanes(probe, page, &outputs, families) + sinks(probe, page, &outputs, families);
        families.add(UNKNOWN, &of_probe, &[], unknown as f64);
    }
}

/// Adds the lanes' counters; answers how many columns nobody knows.
fn lanes(probe: &str, page: &Snapshot, outputs: &[String], families: &mut Families) -> usize {
    for (lane, (input, counts)) in page.layout.lanes.iter().zip(&page.lanes).enumerate() {
        let lane = lane.to_string();
        let outer = [("probe", probe), ("lane", lane.as_str()), ("input", input.as_str())];
        let columns = &page.layout.lane_columns;
        for (name, value) in named(columns, &counts.counts) {
            if let Some(column) = LANE.iter().find(|column| column.name == name) {
                families.add(of_column(column, LANE_LABELS), &outer, &[], value as f64);
            } else if let Some((family, mut words)) = family_of(&LANE_FAMILIES, name) {
                if family.prefix == columns::REFUSED.prefix {
                    let output = words[0].parse().ok().and_then(|at: usize| outputs.get(at));
                    words[0] = output.map_or(words[0], String::as_str);
                }
                families.add(of_family(family, labels_of(family, true)), &outer, &words, value as f64);
            }
        }
        for identity in &LANE_IDENTITIES {
            let off = imbalance(identity, columns, &counts.counts);
            families.add(IMBALANCE, &outer[..2], &[identity.ledger], off as f64);
        }
    }
    let is_known = |name: &&String| LANE.iter().any(|c| c.name == *name) || family_of(&LANE_FAMILIES, name).is_some();
    page.layout.lane_columns.iter().filter(|name| !is_known(name)).count()
}

/// Adds the outputs' counters; answers how many columns nobody knows.
fn sinks(probe: &str, page: &Snapshot, outputs: &[String], families: &mut Families) -> usize {
    for (output, counts) in outputs.iter().zip(&page.outputs) {
        let outer = [("probe", probe), ("output", output.as_str())];
        let columns = &page.layout.output_columns;
        for (name, value) in named(columns, counts) {
            if let Some(column) = OUTPUT.iter().find(|column| column.name == name) {
                families.add(of_column(column, OUTPUT_LABELS), &outer, &[], value as f64);
            } else if let Some((family, words)) = family_of(&OUTPUT_FAMILIES, name) {
                // Other outputs have the columns, too.
                let is_of_rule =
                    family.prefix == columns::RULE_FLOWS.prefix || family.prefix == columns::RULE_ENDED.prefix;
                if is_of_rule && !output.starts_with("rule ") {
                    continue;
                }
                families.add(of_family(family, labels_of(family, false)), &outer, &words, value as f64);
            }
        }
        let in_hand = imbalance(&columns::OUTPUT_IDENTITY, columns, counts);
        families.add(IN_HAND, &outer, &[], in_hand as f64);
    }
    let is_known =
        |name: &&String| OUTPUT.iter().any(|c| c.name == *name) || family_of(&OUTPUT_FAMILIES, name).is_some();
    page.layout.output_columns.iter().filter(|name| !is_known(name)).count()
}

/// Columns with their values.
pub(crate) fn named<'p>(columns: &'p [String], counts: &'p Counts) -> impl Iterator<Item = (&'p str, u64)> + Clone {
    columns.iter().map(String::as_str).zip(counts.values.iter().copied())
}

fn family_of<'f, 'n>(families: &'f [Family], name: &'n str) -> Option<(&'f Family, Vec<&'n str>)> {
    families.iter().find_map(|family| Some((family, family.words(name)?)))
}

/// What came less what became of it.
fn imbalance(identity: &Identity, columns: &[String], counts: &Counts) -> i64 {
    let all = named(columns, counts);
    columns::sum(all.clone(), identity.came).wrapping_sub(columns::sum(all, identity.became)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::page::{LaneCounts, Layout, Writer};

    fn page() -> Snapshot {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let lane_columns =
            names(&["packets.taken", "packets.decoded", "packets.dropped.not_ip", "refused.1.queue_full", "x"]);
        let lane = |values: [u64; 5]| LaneCounts {
            counts: Counts { at: record::Time(1), values: values.into() },
            talkers: Vec::new(),
        };
        Snapshot {
            writer: Writer { pid: 1, process_start: 1, started: record::Time(1_500_000_000) },
            layout: Layout {
                title: "sonda probe".into(),
                lane_columns,
                output_columns: names(&["taken", "sent", "dropped.down"]),
                lanes: names(&["eth\"0", "eth\"0"]),
                outputs: names(&["json -", "json -"]),
            },
            lanes: vec![lane([10, 7, 3, 4, 1]), lane([10, 7, 2, 0, 1])],
            outputs: vec![
                Counts { at: record::Time(2), values: vec![9, 5, 3] },
                Counts { at: record::Time(2), values: vec![1, 1, 0] },
            ],
        }
    }

    #[test]
    fn a_page_is_told_whole() {
        let mut families = Families::default();
        let found = Found { name: "edge".into(), path: "/x/edge.page".into(), page: page(), alive: true };
        collect(&[found], &mut families);
        let text = families.encode();
        for line in [
            "# TYPE sonda_taken_packets_total counter",
            r#"sonda_probe_up{probe="edge",tool="sonda probe"} 1"#,
            r#"sonda_probe_start_time_seconds{probe="edge"} 1.5"#,
            r#"sonda_taken_packets_total{probe="edge",lane="1",input="eth\"0"} 10"#,
            r#"sonda_dropped_packets_total{probe="edge",lane="0",input="eth\"0",reason="not_ip"} 3"#,
            r##"sonda_refused_records_total{probe="edge",lane="0",input="eth\"0",output="json -#2",reason="queue_full"} 4"##,
            r#"sonda_ledger_imbalance{probe="edge",lane="0",ledger="packets"} 0"#,
            r#"sonda_ledger_imbalance{probe="edge",lane="1",ledger="packets"} 1"#,
            r#"sonda_output_dropped_records_total{probe="edge",output="json -",reason="down"} 3"#,
            r#"sonda_output_in_hand_records{probe="edge",output="json -"} 1"#,
            r#"sonda_probe_unknown_counters{probe="edge"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn families_have_their_labels() {
        for (family, is_lane) in
            LANE_FAMILIES.iter().map(|f| (f, true)).chain(OUTPUT_FAMILIES.iter().map(|f| (f, false)))
        {
            assert!(labels_of(family, is_lane).ends_with(family.labels), "{}", family.prefix);
        }
    }
}
