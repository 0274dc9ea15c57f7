//! What MISP is told of an attack, and how: one event by POST /events/add, published at once (spec/detectors.md section 14; the objects are
//! those of MISP's templates `ddos` and `organization`).
//!
//! Contract: an event waits for a server that does not take it now, at most [`WAITING_MAX`] of them; what finds no room, is refused, or
//! still waits at the end is counted and said.
use super::places::Place;
use crate::client::Trust;
use crate::http::{self, HttpError};
use crate::uuid;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Events that wait, at the most.
const WAITING_MAX: usize = 1_000;
/// Between attempts.
const RETRY: Duration = Duration::from_secs(30);

const TAGS: [&str; 4] = [
    "ecsirt:availability=\"ddos\"",
    "ddos:type=\"flooding-attack\"",
    "misp-galaxy:mitre-attack-pattern=\"Network Denial of Service - T1498\"",
    "misp-galaxy:mitre-attack-pattern=\"Endpoint Denial of Service - T1499\"",
];

/// An attack as its backscatter shows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Attack {
    pub(super) victim: Option<Ipv4Addr>,
    pub(super) name: String,
    pub(super) is_tcp: bool,
    /// The victim's port that answered most; of TCP.
    pub(super) port: u16,
    /// Unix seconds.
    pub(super) begin: u64,
    pub(super) end: u64,
    /// As they were seen.
    pub(super) bytes: u64,
    pub(super) flows: u64,
    pub(super) packets: u64,
    /// One address of so many is watched.
    pub(super) share: f64,
    pub(super) place: Place,
}

/// The event, as it is posted.
pub(super) fn event(attack: &Attack) -> Value {
    let whole = |count: u64| (count as f64 * attack.share).round();
    let secs = attack.end.saturating_sub(attack.begin).max(1) as f64;
    let time =
        |secs: u64| jiff::Timestamp::from_second(secs as i64).map_or_else(|_| String::new(), |at| at.to_string());
    let mut ddos = vec![
        attribute("domain-dst", "domain", "Network activity", json!(attack.name)),
        attribute("ip-dst", "ip-dst", "Network activity", json!(attack.victim.map(|ip| ip.to_string()))),
        attribute("first-seen", "datetime", "Other", json!(time(attack.begin))),
        attribute("last-seen", "datetime", "Other", json!(time(attack.end))),
        attribute("duration-of-service-malfunction", "counter", "Other", number(secs)),
        attribute("number-of-ddos-bytes", "counter", "Other", number(whole(attack.bytes))),
        attribute("number-of-ddos-flows", "counter", "Other", number(whole(attack.flows))),
        attribute("number-of-ddos-packets", "counter", "Other", number(whole(attack.packets))),
        attribute("total-bps", "counter", "Other", number((8.0 * whole(attack.bytes) / secs).round())),
        attribute("total-pps", "counter", "Other", number((whole(attack.packets) / secs).round())),
        attribute("protocol", "text", "Other", json!(if attack.is_tcp { "TCP" } else { "ICMP" })),
    ];
    if attack.is_tcp {
        ddos.push(attribute("dst-port", "port", "Network activity", json!(attack.port.to_string())));
    }
    for (relation, value) in [("latitude", attack.place.latitude), ("longitude", attack.place.longitude)] {
        ddos.extend(value.map(|degrees| attribute(relation, "float", "Other", json!(degrees.to_string()))));
    }
    let mut objects =
        vec![object("ddos", "network", "e2f124d6-f57c-4f93-99e6-8450545fa05d", "A current DDoS activity.", ddos)];
    if let Some(name) = &attack.place.organization {
        let mut about =
            vec![attribute("name", "text", "Other", json!(name)), attribute("role", "text", "Other", json!("Victim"))];
        about
            .extend(attack.place.country.as_ref().map(|country| attribute("country", "text", "Other", json!(country))));
        let template = "f750e12b-127a-432c-b022-b3f9153c4e2a";
        objects.push(object("organization", "misc", template, "The organization of the victim.", about));
    }
    json!({
        "uuid": uuid::random(),
        "info": "Indirect DDoS detection via backscatter traffic analysis",
        "date": time(attack.begin).get(..10),
        "analysis": "2",
        "distribution": "1",
        "threat_level_id": "2",
        "published": true,
        "Tag": TAGS.map(|name| json!({"name": name})),
        "Object": objects,
    })
}

/// Whole numbers without a fraction, as MISP counts.
fn number(value: f64) -> Value {
    json!(format!("{value:.0}"))
}

fn object(name: &str, category: &str, template: &str, description: &str, attributes: Vec<Value>) -> Value {
    json!({
        "name": name, "meta-category": category, "description": description, "uuid": uuid::random(),
        "template_uuid": template, "template_version": "1", "distribution": "5", "Attribute": attributes,
    })
}

fn attribute(relation: &str, kind: &str, category: &str, value: Value) -> Value {
    json!({
        "object_relation": relation, "type": kind, "category": category, "value": value, "uuid": uuid::random(),
        "to_ids": relation == "ip-dst", "distribution": "5",
    })
}

/// The server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Without a slash at its end.
    pub(super) url: String,
    pub(super) key: String,
    pub(super) trust: Trust,
}

impl Server {
    /// Posts an event; the error says why, and whether it may go later.
    fn add(&self, event: &Value) -> Result<(), (String, bool)> {
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            ("Authorization", self.key.as_str()),
        ];
        let url = format!("{}/events/add", self.url);
        match http::post_with(&url, &headers, &self.trust, event.to_string().as_bytes()) {
            Ok(200..=299) => Ok(()),
            Ok(status @ (408 | 425 | 429 | 500..=599)) => Err((format!("{url} answers {status}"), true)),
            Ok(status @ (401 | 403)) => Err((format!("{url} answers {status}: look at --key"), false)),
            Ok(status) => Err((format!("{url} answers {status}"), false)),
            Err(why @ (HttpError::Url(_) | HttpError::Redirects)) => Err((why.to_string(), false)),
            Err(why) => Err((format!("{url}: {why}"), true)),
        }
    }
}

/// Events on their way.
#[derive(Debug)]
pub(super) struct Outbox {
    server: Server,
    waiting: VecDeque<Value>,
    next: Option<Instant>,
    pub(super) sent: u64,
    /// Refused, without room, or still waiting at the end.
    pub(super) lost: u64,
}

impl Outbox {
    pub(super) fn new(server: Server) -> Outbox {
        Outbox { server, waiting: VecDeque::new(), next: None, sent: 0, lost: 0 }
    }

    /// Takes an event, and sends what can be sent; answers what is worth saying.
    pub(super) fn put(&mut self, event: Value) -> Vec<String> {
        if self.waiting.len() >= WAITING_MAX {
            self.lost += 1;
            return vec![format!("{WAITING_MAX} events wait already, this one is lost")];
        }
        self.waiting.push_back(event);
        self.go_on()
    }

    /// Sends what waits, unless it failed a moment ago.
    pub(super) fn go_on(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        if self.next.is_some_and(|next| Instant::now() < next) {
            return said;
        }
        self.next = None;
        while let Some(event) = self.waiting.front() {
            match self.server.add(event) {
                Ok(()) => self.sent += 1,
                Err((why, true)) => {
                    self.next = Some(Instant::now() + RETRY);
                    said.push(format!("{} events wait for {} s: {why}", self.waiting.len(), RETRY.as_secs()));
                    return said;
                }
                Err((why, false)) => {
                    self.lost += 1;
                    said.push(format!("an event is lost: {why}"));
                }
            }
            self.waiting.pop_front();
        }
        said
    }

    /// Tries for the last time.
    pub(super) fn end(&mut self) -> Vec<String> {
        self.next = None;
        let said = self.go_on();
        self.lost += self.waiting.len() as u64;
        self.waiting.clear();
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_says() {
        let place = Place {
            organization: Some("Example".into()),
            country: Some("Czechia".into()),
            latitude: Some(50.1),
            longitude: None,
        };
        let attack = Attack {
            victim: Some(Ipv4Addr::new(192, 0, 2, 1)),
            name: "www.example.org".into(),
            is_tcp: true,
            port: 443,
            begin: 1_600_000_000,
            end: 1_600_000_100,
            bytes: 4_000,
            flows: 50,
            packets: 100,
            share: 256.0,
            place,
        };
        let event = event(&attack);
        assert_eq!((&event["date"], &event["threat_level_id"]), (&json!("2020-09-13"), &json!("2")));
        let value = |object: usize, relation: &str| {
            let attributes = event["Object"][object]["Attribute"].as_array().unwrap();
            attributes.iter().find(|one| one["object_relation"] == relation).map(|one| one["value"].clone())
        };
        for (relation, expected) in [
            ("ip-dst", "192.0.2.1"),
            ("domain-dst", "www.example.org"),
            ("dst-port", "443"),
            ("first-seen", "2020-09-13T12:26:40Z"),
            ("duration-of-service-malfunction", "100"),
            ("number-of-ddos-bytes", "1024000"),
            ("total-bps", "81920"),
            ("total-pps", "256"),
            ("latitude", "50.1"),
        ] {
            assert_eq!(value(0, relation), Some(json!(expected)), "{relation}");
        }
        assert_eq!(
            (value(0, "longitude"), value(1, "role"), value(1, "country")),
            (None, Some(json!("Victim")), Some(json!("Czechia")))
        );
    }
}
