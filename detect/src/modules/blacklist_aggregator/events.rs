//! What was heard of each listed address and URL since the last messages (spec/detectors.md section 8.6).
use crate::pyjson::{Json, Text};
use crate::pytrap;
use crate::sdk::{self, IpAddr, Step, Time};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::ops::ControlFlow;

/// Targets of one message, at the most.
const TARGETS_OF_MESSAGE: usize = 1_000;
/// Ports above are those of clients.
const SERVER_PORT_MAX: u16 = 49_152;
/// Bytes of a text that weigh as much as a target.
const TEXT_UNIT: usize = 64;

/// A record of ipblacklistfilter behind agg.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpAlert {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) source_lists: u64,
    pub(super) destination_lists: u64,
    pub(super) destination_port: u16,
    pub(super) protocol: u8,
    pub(super) sent: Sums,
    pub(super) times: [Time; 2],
}

/// A record of urlblacklistfilter.
#[derive(Clone, Copy, Debug)]
pub(super) struct UrlAlert<'a> {
    pub(super) client: IpAddr,
    pub(super) server: IpAddr,
    pub(super) lists: u64,
    pub(super) server_port: u16,
    pub(super) protocol: u8,
    pub(super) sent: Sums,
    pub(super) times: [Time; 2],
    pub(super) host: &'a [u8],
    pub(super) url: &'a [u8],
    pub(super) referer: &'a [u8],
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) bytes: u64,
    pub(super) flows: u64,
    pub(super) packets: u64,
}

/// All events, in the order of their first alert.
#[derive(Debug)]
pub(super) struct Events {
    places: HashMap<Key, usize>,
    events: Vec<Event>,
    /// As given with `-t`.
    minutes: f64,
    /// Targets, ports, events and their texts.
    weight: usize,
    weight_max: usize,
    /// How often everything was sent because there was no more room.
    pub(super) early: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    protocol: u8,
    /// One bit.
    list: u64,
    /// None for an event of an address.
    name: Option<Name>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    host: Box<[u8]>,
    url: Box<[u8]>,
}

#[derive(Debug)]
struct Event {
    key: Key,
    referer: String,
    times: [f64; 2],
    targets: Ordered<IpAddr>,
    ports: Ordered<u16>,
    by_source: Sums,
    by_targets: Sums,
}

/// Each once, in the order of their first appearance.
#[derive(Debug)]
struct Ordered<T> {
    known: HashSet<T>,
    order: Vec<T>,
}

impl Events {
    pub(super) fn new(minutes: f64, weight_max: usize) -> Events {
        Events { places: HashMap::new(), events: Vec::new(), minutes, weight: 0, weight_max, early: 0 }
    }

    /// Adds an alert; answers whether there is no room for another one.
    pub(super) fn add_ip(&mut self, alert: &IpAlert) -> bool {
        let is_source = alert.source_lists != 0;
        let (source, target, lists) = if is_source {
            (alert.source, alert.destination, alert.source_lists)
        } else {
            (alert.destination, alert.source, alert.destination_lists)
        };
        for list in bits(lists) {
            let key = Key { source, protocol: alert.protocol, list, name: None };
            self.change(key, alert.times, String::new, |event| {
                let new = event.targets.add(target);
                if is_source {
                    event.by_source.add(alert.sent);
                    return new;
                }
                event.by_targets.add(alert.sent);
                let is_server = alert.destination_port <= SERVER_PORT_MAX;
                new + if is_server { event.ports.add(alert.destination_port) } else { 0 }
            });
        }
        self.is_full()
    }

    /// As [`Events::add_ip`].
    pub(super) fn add_url(&mut self, alert: &UrlAlert<'_>) -> bool {
        // The original strips all of these letters, so that `wired.com` is `ired.com` here, too.
        let begin = alert.host.iter().position(|byte| !matches!(byte, b'w' | b'.')).unwrap_or(alert.host.len());
        let host = &alert.host[begin..];
        for list in bits(alert.lists) {
            let name = Some(Name { host: host.into(), url: alert.url.into() });
            let key = Key { source: alert.server, protocol: alert.protocol, list, name };
            let referer = || String::from_utf8_lossy(alert.referer).into_owned();
            self.change(key, alert.times, referer, |event| {
                event.by_targets.add(alert.sent);
                event.targets.add(alert.client) + event.ports.add(alert.server_port)
            });
        }
        self.is_full()
    }

    /// Hands over the messages of all events, which are forgotten, until one breaks.
    pub(super) fn take(&mut self, mut each: impl FnMut(&Json) -> Step) -> Step {
        self.places.clear();
        self.weight = 0;
        for event in std::mem::take(&mut self.events) {
            for targets in event.targets.order.chunks(TARGETS_OF_MESSAGE) {
                if each(&event.message(targets, self.minutes))?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        sdk::GO_ON
    }

    /// Changes the event of a key, which is made if there is none; `change` answers what it added.
    fn change(
        &mut self,
        key: Key,
        times: [Time; 2],
        referer: impl FnOnce() -> String,
        change: impl FnOnce(&mut Event) -> usize,
    ) {
        let times = times.map(pytrap::seconds);
        let at = match self.places.get(&key) {
            Some(at) => *at,
            None => {
                let event = Event::new(key.clone(), referer(), times);
                self.weight += event.weight();
                self.places.insert(key, self.events.len());
                self.events.push(event);
                self.events.len() - 1
            }
        };
        let Some(event) = self.events.get_mut(at) else { return };
        event.times = [event.times[0].min(times[0]), event.times[1].max(times[1])];
        self.weight += change(event);
    }

    fn is_full(&mut self) -> bool {
        let is_full = self.weight >= self.weight_max;
        self.early += u64::from(is_full);
        is_full
    }
}

impl Event {
    fn new(key: Key, referer: String, times: [f64; 2]) -> Event {
        let (targets, ports) = (Ordered::new(), Ordered::new());
        Event { key, referer, times, targets, ports, by_source: Sums::default(), by_targets: Sums::default() }
    }

    fn weight(&self) -> usize {
        let name = self.key.name.as_ref().map_or(0, |name| name.host.len() + name.url.len());
        1 + (2 * name + self.referer.len()) / TEXT_UNIT
    }

    fn message(&self, targets: &[IpAddr], minutes: f64) -> Json {
        let source = Json::text(&self.key.source.to_string());
        let targets = Json::Array(targets.iter().map(|ip| Json::text(&ip.to_string())).collect());
        let ports = Json::Array(self.ports.order.iter().map(|port| Json::int(*port)).collect());
        let times = [("ts_first", Json::Float(self.times[0])), ("ts_last", Json::Float(self.times[1]))];
        let protocol = ("protocol", Json::int(self.key.protocol));
        let end = [("blacklist_id", Json::int(self.key.list)), ("agg_win_minutes", Json::Float(minutes))];
        let mut members = Vec::new();
        match &self.key.name {
            None => {
                members.push(("type", Json::text("ip")));
                members.extend(times);
                members.extend([protocol, ("source_ports", ports), ("source", source), ("targets", targets)]);
                let names = ["src_sent_bytes", "src_sent_flows", "src_sent_packets"];
                members.extend(self.by_source.members(names));
            }
            Some(Name { host, url }) => {
                let is_host = url.len() <= 1;
                let name = if is_host { host.to_vec() } else { [&host[..], &url[..]].concat() };
                members.extend([
                    ("type", Json::text("url")),
                    ("source_ip", source),
                    ("source_url", Json::text(&String::from_utf8_lossy(&name))),
                    ("referer", Json::text(&self.referer)),
                    ("targets", targets),
                    ("source_ports", ports),
                ]);
                members.extend(times);
                members.push(protocol);
            }
        }
        members.extend(self.by_targets.members(["tgt_sent_bytes", "tgt_sent_flows", "tgt_sent_packets"]));
        members.extend(end);
        if let Some(Name { url, .. }) = &self.key.name {
            members.push(("is_only_fqdn", Json::Bool(url.len() <= 1)));
        }
        Json::Object(members.into_iter().map(|(name, value)| (Text::new(name), value)).collect())
    }
}

impl Sums {
    fn add(&mut self, other: Sums) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.flows = self.flows.saturating_add(other.flows);
        self.packets = self.packets.saturating_add(other.packets);
    }

    fn members<'n>(&self, names: [&'n str; 3]) -> [(&'n str, Json); 3] {
        let [bytes, flows, packets] = names;
        [(bytes, Json::int(self.bytes)), (flows, Json::int(self.flows)), (packets, Json::int(self.packets))]
    }
}

impl<T: Copy + Eq + Hash> Ordered<T> {
    fn new() -> Ordered<T> {
        Ordered { known: HashSet::new(), order: Vec::new() }
    }

    /// Answers how many it added, 0 or 1.
    fn add(&mut self, value: T) -> usize {
        let is_new = self.known.insert(value);
        if is_new {
            self.order.push(value);
        }
        usize::from(is_new)
    }
}

/// Each bit of a field, as a field.
fn bits(mut field: u64) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let bit = field & field.wrapping_neg();
        field ^= bit;
        (bit != 0).then_some(bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(events: &mut Events) -> Vec<String> {
        let mut texts = Vec::new();
        let taken = events.take(|message| {
            let mut text = String::new();
            message.dump(&mut text);
            texts.push(text);
            sdk::GO_ON
        });
        assert!(taken.unwrap().is_continue() && events.events.is_empty() && events.weight == 0);
        texts
    }

    fn ip(last: u16) -> IpAddr {
        [198, 51, (last >> 8) as u8, last as u8].into()
    }

    fn alert(source: u16, destination: u16, lists: [u64; 2]) -> IpAlert {
        IpAlert {
            source: ip(source),
            destination: ip(destination),
            source_lists: lists[0],
            destination_lists: lists[1],
            destination_port: 49_152,
            protocol: 6,
            sent: Sums { bytes: 100, flows: 2, packets: 4 },
            times: [Time(10_500_000_000), Time(11_000_000_000)],
        }
    }

    #[test]
    fn both_directions_are_one_event_of_each_list() {
        let mut events = Events::new(0.5, 100);
        events.add_ip(&alert(1, 2, [9, 0]));
        events.add_ip(&alert(3, 1, [0, 8]));
        events.add_ip(&IpAlert { destination_port: 49_153, ..alert(3, 1, [0, 8]) });
        events.add_ip(&alert(3, 1, [0, 0]));
        let event = |ports: &str, targets: &str, by_targets: [u32; 3], list: u8| {
            format!(
                r#"{{"type": "ip", "ts_first": 10.5, "ts_last": 11.0, "protocol": 6, "source_ports": [{ports}], "source": "198.51.0.1", "targets": [{targets}], "src_sent_bytes": 100, "src_sent_flows": 2, "src_sent_packets": 4, "tgt_sent_bytes": {}, "tgt_sent_flows": {}, "tgt_sent_packets": {}, "blacklist_id": {list}, "agg_win_minutes": 0.5}}"#,
                by_targets[0], by_targets[1], by_targets[2]
            )
        };
        let expected = [
            event("", "\"198.51.0.2\"", [0, 0, 0], 1),
            event("49152", "\"198.51.0.2\", \"198.51.0.3\"", [200, 4, 8], 8),
        ];
        assert_eq!(texts(&mut events), expected);
    }

    #[test]
    fn urls_with_and_without_www_are_one() {
        let mut events = Events::new(5.0, 100);
        let alert = |host: &'static str, url: &'static str| UrlAlert {
            client: ip(7),
            server: ip(9),
            lists: 32,
            server_port: 80,
            protocol: 6,
            sent: Sums { bytes: 10, flows: 1, packets: 3 },
            times: [Time(1_000_000_000), Time(2_000_000_000)],
            host: host.as_bytes(),
            url: url.as_bytes(),
            referer: b"r",
        };
        for (host, url) in [("bad.example.com", "/"), ("www.bad.example.com", "/"), ("bad.example.com", "/x")] {
            events.add_url(&alert(host, url));
        }
        let texts = texts(&mut events);
        let first = r#"{"type": "url", "source_ip": "198.51.0.9", "source_url": "bad.example.com", "referer": "r", "targets": ["198.51.0.7"], "source_ports": [80], "ts_first": 1.0, "ts_last": 2.0, "protocol": 6, "tgt_sent_bytes": 20, "tgt_sent_flows": 2, "tgt_sent_packets": 6, "blacklist_id": 32, "agg_win_minutes": 5.0, "is_only_fqdn": true}"#;
        assert_eq!((texts.len(), &texts[0][..]), (2, first));
        assert!(
            texts[1].contains(r#""source_url": "bad.example.com/x""#) && texts[1].contains(r#""is_only_fqdn": false"#)
        );
    }

    #[test]
    fn many_targets_are_split_and_no_room_is_told() {
        let mut events = Events::new(5.0, 10_000);
        assert!((0..2_500).all(|n| !events.add_ip(&alert(1, n, [1, 0]))));
        let sizes: Vec<_> = texts(&mut events).iter().map(|text| text.matches("\"198.51.").count() - 1).collect();
        assert_eq!(sizes, [1_000, 1_000, 500]);
        let mut events = Events::new(5.0, 3);
        assert_eq!([events.add_ip(&alert(1, 2, [1, 0])), events.add_ip(&alert(1, 3, [1, 0]))], [false, true]);
        assert_eq!(events.early, 1);
    }
}
