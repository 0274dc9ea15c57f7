//! Suspicions that are looked into: what was reported of each, and whose traffic is recorded therefore (spec/detectors.md section 8.7).
use crate::pyjson::{Json, Text};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

/// Reports of one piece of evidence, at the most.
const REPORTS_OF_PART: usize = 100;

/// What is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scenario {
    /// Hosts that talked to a botnet's server.
    Botnet,
    /// A listed name was asked for.
    Dns,
}

/// All suspicions, in the order in which they began.
#[derive(Debug)]
pub(super) struct Cases {
    by_key: HashMap<(Scenario, String), u64>,
    cases: BTreeMap<u64, Case>,
    next: u64,
    /// Seconds.
    timeout: f64,
    /// Bytes of all reports.
    weight: usize,
    weight_max: usize,
    /// Suspicions that ended early because there was no more room.
    pub(super) early: u64,
}

/// One suspicion.
#[derive(Clone, Debug)]
pub(super) struct Case {
    scenario: Scenario,
    key: String,
    /// Of the machine's clock, seconds.
    times: [f64; 2],
    id: String,
    reports: Vec<Json>,
    weight: usize,
    entities: BTreeSet<Ipv4Addr>,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Scenario::Botnet => "BotnetDetection",
            Scenario::Dns => "DNSDetection",
        }
    }
}

impl Cases {
    /// Suspicions that end after so many seconds. Reports have `weight_max` bytes together at the most; the oldest suspicion ends early
    /// for more.
    pub(super) fn new(timeout: f64, weight_max: usize) -> Cases {
        let (by_key, cases) = (HashMap::new(), BTreeMap::new());
        Cases { by_key, cases, next: 0, timeout, weight: 0, weight_max, early: 0 }
    }

    /// Adds a report of `size` bytes, and whose traffic it asks for; `id` makes the name of a new suspicion.
    pub(super) fn add(
        &mut self,
        (scenario, key): (Scenario, String),
        (report, size): (Json, usize),
        entities: impl IntoIterator<Item = Ipv4Addr>,
        now: f64,
        id: impl FnOnce() -> String,
    ) {
        let next = self.next;
        let at = *self.by_key.entry((scenario, key.clone())).or_insert(next);
        let case = self.cases.entry(at).or_insert_with(|| {
            let (reports, entities) = (Vec::new(), BTreeSet::new());
            Case { scenario, key, times: [now; 2], id: id(), reports, weight: 0, entities }
        });
        self.next += u64::from(at == next);
        case.times[1] = now;
        case.reports.push(report);
        case.weight += size;
        case.entities.extend(entities);
        self.weight += size;
    }

    /// The next suspicion that is over, or must go for others.
    pub(super) fn next_over(&mut self, now: f64) -> Option<Case> {
        let oldest = self.cases.first_key_value()?.1;
        let is_over = oldest.times[0] + self.timeout < now;
        if !is_over && self.weight <= self.weight_max {
            return None;
        }
        self.early += u64::from(!is_over);
        self.next_of_all()
    }

    /// The next suspicion, whether it is over or not.
    pub(super) fn next_of_all(&mut self) -> Option<Case> {
        let (_, case) = self.cases.pop_first()?;
        self.by_key.remove(&(case.scenario, case.key.clone()));
        self.weight -= case.weight;
        Some(case)
    }

    /// Names that were asked for, in the order in which they were reported first.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.cases.values().filter(|case| case.scenario == Scenario::Dns);
        names.map(|case| case.key.clone()).collect()
    }

    /// Sets whose traffic the suspicion of a name asks for.
    pub(super) fn set_addresses(&mut self, name: &str, addresses: impl IntoIterator<Item = Ipv4Addr>) {
        let at = self.by_key.get(&(Scenario::Dns, name.to_owned()));
        if let Some(case) = at.and_then(|at| self.cases.get_mut(at)) {
            case.entities = addresses.into_iter().collect();
        }
    }

    /// The list of ipblacklistfilter whose entries name the suspicions: `IP,999,ID[,ID...]`, sorted by address.
    pub(super) fn list(&self) -> String {
        let mut lines = BTreeMap::<Ipv4Addr, Vec<&str>>::new();
        for case in self.cases.values() {
            for entity in &case.entities {
                lines.entry(*entity).or_default().push(&case.id);
            }
        }
        lines.into_iter().map(|(ip, ids)| format!("{ip},999,{}\n", ids.join(","))).collect()
    }
}

impl Case {
    /// The evidence, in parts of at most a hundred reports.
    pub(super) fn evidence(&self) -> impl Iterator<Item = Json> {
        let is_scattered = self.reports.len() > REPORTS_OF_PART;
        self.reports.chunks(REPORTS_OF_PART).zip(1_u32..).map(move |(reports, part)| {
            let mut members = vec![
                ("event_type", Json::text(self.scenario.name())),
                ("grouped_events", Json::Array(reports.to_vec())),
                ("grouped_events_cnt", Json::int(self.reports.len() as u64)),
                ("id", Json::text(&self.id)),
                ("first_detection_ts", Json::Float(self.times[0])),
                ("last_detection_ts", Json::Float(self.times[1])),
                ("key", Json::text(&self.key)),
                ("event_scattered", Json::Bool(is_scattered)),
            ];
            if is_scattered {
                members.push(("scatter_part", Json::int(part)));
            }
            Json::Object(members.into_iter().map(|(name, value)| (Text::new(name), value)).collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(cases: &mut Cases, scenario: Scenario, key: &str, entity: u8, now: f64) {
        let report = (Json::int(entity), 10);
        cases.add((scenario, key.into()), report, [Ipv4Addr::new(10, 0, 0, entity)], now, || format!("id-{key}"));
    }

    fn texts(case: &Case) -> Vec<String> {
        let parts = case.evidence().map(|part| {
            let mut text = String::new();
            part.dump(&mut text);
            text
        });
        parts.collect()
    }

    #[test]
    fn reports_of_one_server_are_one_suspicion() {
        let mut cases = Cases::new(10.0, 1_000);
        for (scenario, key, entity, now) in [
            (Scenario::Botnet, "s", 2, 1.0),
            (Scenario::Botnet, "s", 1, 2.5),
            (Scenario::Dns, "s", 2, 3.0),
            (Scenario::Botnet, "t", 9, 4.0),
        ] {
            add(&mut cases, scenario, key, entity, now);
        }
        assert_eq!(cases.names(), ["s"]);
        cases.set_addresses("s", [Ipv4Addr::new(9, 0, 0, 1)]);
        cases.set_addresses("gone", [Ipv4Addr::LOCALHOST]);
        assert_eq!(cases.list(), "9.0.0.1,999,id-s\n10.0.0.1,999,id-s\n10.0.0.2,999,id-s\n10.0.0.9,999,id-t\n");
        assert!(cases.next_over(11.0).is_none());
        let over = cases.next_over(11.5).unwrap();
        let expected = r#"{"event_type": "BotnetDetection", "grouped_events": [2, 1], "grouped_events_cnt": 2, "id": "id-s", "first_detection_ts": 1.0, "last_detection_ts": 2.5, "key": "s", "event_scattered": false}"#;
        assert_eq!(texts(&over), [expected]);
        assert!(cases.next_over(11.5).is_none());
        assert_eq!(cases.list(), "9.0.0.1,999,id-s\n10.0.0.9,999,id-t\n");
        assert!(cases.next_of_all().is_some() && cases.next_of_all().is_some() && cases.next_of_all().is_none());
        assert_eq!((cases.weight, cases.early), (0, 0));
    }

    #[test]
    fn many_reports_are_scattered_and_too_many_end_early() {
        let mut cases = Cases::new(10.0, 2_000);
        (0..101).for_each(|n| add(&mut cases, Scenario::Dns, "a", n, 1.0));
        add(&mut cases, Scenario::Dns, "b", 1, 1.0);
        assert!(cases.next_over(1.0).is_none());
        (0..99).for_each(|n| add(&mut cases, Scenario::Dns, "c", n, 1.0));
        let over = cases.next_over(1.0).unwrap();
        let texts = texts(&over);
        assert!(texts[0].ends_with(r#""event_scattered": true, "scatter_part": 1}"#));
        assert!(texts[1].contains(r#""grouped_events": [100], "grouped_events_cnt": 101"#));
        assert_eq!((texts.len(), cases.early, cases.next_over(1.0).is_none()), (2, 1, true));
    }
}
