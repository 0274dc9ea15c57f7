//! What the box counts, for Prometheus: the pages of probes and the service interfaces of modules, read at each scrape. Hot counters stay
//! where they are written; nothing here is known to those who count.
use crate::pages;
use crate::snapshot::Snapshot;
use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use record::page::columns::Kind;
use std::collections::BTreeMap;

mod command;
mod modules;
mod probes;
pub mod rules;
mod serve;
mod supervised;

pub use command::main;
pub(crate) use probes::named;

/// One line for lists of tools.
pub const ABOUT: &str = "the counters of probes and modules for Prometheus: print them, or serve them";
/// Content type of the answer to a scrape (Prometheus, text-based format 0.0.4).
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric that does not come from a column of a page.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// A sentence without its full stop.
    pub help: &'static str,
}

/// All metrics that there can be, in the order of the documentation.
pub fn declared() -> Vec<Declared> {
    probes::declared().into_iter().chain(modules::ALL).chain(supervised::ALL).collect()
}

/// The counters of this machine as they are now, in Prometheus' text format, with those of the supervisor that is asked.
pub fn text(supervisor: Option<&Snapshot>) -> String {
    let mut families = Families::default();
    probes::collect(&pages::all(), &mut families);
    modules::collect(&modules::found(), &mut families);
    if let Some(snapshot) = supervisor {
        supervised::collect(snapshot, &mut families);
    }
    families.encode()
}

/// Samples by the name of their metric.
#[derive(Debug, Default)]
struct Families(BTreeMap<&'static str, MetricFamily>);

impl Families {
    /// Adds a sample; `values` are those of the declared labels, behind `outer`, which all samples of a source have.
    fn add(&mut self, metric: Declared, outer: &[(&str, &str)], values: &[&str], value: f64) {
        debug_assert_eq!(metric.labels.len(), outer.len() + values.len(), "{}", metric.name);
        let inner = metric.labels.iter().skip(outer.len()).copied().zip(values.iter().copied());
        let labels = outer.iter().copied().chain(inner).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.into());
            pair.set_value(value.into());
            pair
        });
        let mut sample = Metric::from_label(labels.collect());
        let family = self.0.entry(metric.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.into());
            family.set_help(format!("{}.", metric.help));
            family
        });
        match metric.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
                family.set_field_type(MetricType::COUNTER);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
                family.set_field_type(MetricType::GAUGE);
            }
        }
        family.mut_metric().push(sample);
    }

    fn encode(self) -> String {
        let families: Vec<MetricFamily> = self.0.into_values().collect();
        // It fails for families without samples and for names that are none; there is neither.
        TextEncoder::new().encode_to_string(&families).unwrap_or_default()
    }
}

/// Names that differ: the second `eth0` of several is `eth0#2`. Two samples with the same labels would spoil a scrape.
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let number = names.map(|name| {
        let count = seen.entry(name).or_default();
        *count += 1;
        if *count == 1 { name.to_string() } else { format!("{name}#{count}") }
    });
    number.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_distinct() {
        assert_eq!(distinct(["a", "b", "a", "a"].into_iter()), ["a", "b", "a#2", "a#3"]);
    }

    #[test]
    fn every_metric_is_declared_once_and_well() {
        let all = declared();
        for (at, metric) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| other.name != metric.name), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            assert!(!metric.help.ends_with('.'), "{}", metric.name);
        }
    }
}
