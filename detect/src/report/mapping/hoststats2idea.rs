//! hoststats2idea: alerts of hoststatsnemea, of four kinds.
use crate::report::{Converted, Reporter, idea, main as report, records, time, with};
use crate::sdk::{IpAddr, Str, Time, View, fields};
use serde_json::{Value, json};

/// One line for lists of modules.
pub const ABOUT: &str = "Reports alerts of hoststatsnemea as IDEA.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "hoststats2idea", module: "hoststats", about: ABOUT, params: &PARAMS };

fields! {
    struct In {
        event: u8 = "EVENT_TYPE", first: Time = "TIME_FIRST", last: Time = "TIME_LAST", src: IpAddr = "SRC_IP", dst: IpAddr = "DST_IP",
        protocol: u8 = "PROTOCOL", scale: u32 = "EVENT_SCALE", note: Str = "NOTE",
    }
}

/// What the kinds have in common of a record.
struct Alert {
    source: Option<IpAddr>,
    target: Option<IpAddr>,
    protocol: u8,
    scale: u32,
    note: String,
}

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| Ok(records(convert)))
}

fn convert(fields: &In, record: &View<'_>) -> Converted {
    let known = |address: IpAddr| Some(address).filter(|address| !address.is_unspecified());
    let alert = Alert {
        source: known(fields.src(record)),
        target: known(fields.dst(record)),
        protocol: fields.protocol(record),
        scale: fields.scale(record),
        note: idea::text(fields.note(record)),
    };
    let (category, more) = match fields.event(record) {
        2 => ("Recon.Scanning", scan(&alert, fields.src(record))),
        10 => ("Availability.DoS", flood(&alert)),
        15 => ("Availability.DoS", amplification(&alert)),
        30 => ("Attempt.Login", brute_force(&alert)),
        _ => return Ok(None),
    };
    let mut message = idea::begin(&[category], "HostStatsNemea", &["Flow", "Statistical"]);
    let now = message["CreateTime"].clone();
    idea::extend(
        &mut message,
        json!({
            "DetectTime": now, "EventTime": time::of_record(fields.first(record)), "CeaseTime": time::of_record(fields.last(record)),
        }),
    );
    idea::extend(&mut message, more);
    Ok(Some(message))
}

/// Members `Proto`, if the protocol has a name.
fn proto(alert: &Alert) -> Value {
    idea::protocol(alert.protocol.into()).map_or_else(|| json!({}), |name| json!({"Proto": [name]}))
}

fn scan(alert: &Alert, source: IpAddr) -> Value {
    json!({
        "Description": "Horizontal port scan", "Source": [idea::side(source, proto(alert))],
        "FlowCount": alert.scale, "ConnCount": alert.scale,
    })
}

fn amplification(alert: &Alert) -> Value {
    let mut more = json!({"FlowCount": alert.scale});
    if let Some(victim) = alert.target {
        idea::extend(
            &mut more,
            json!({
                "Target": [idea::side(victim, json!({"Proto": ["udp", "domain"]}))],
                "Description": "Abnormally high number of large DNS replies",
                "Note": format!("{victim} received abnormally high number of large DNS replies - probably a victim of DNS amplification DoS attack"),
            }),
        );
    }
    if let Some(server) = alert.source {
        idea::extend(
            &mut more,
            json!({
                "Source": [idea::side(server, json!({"Type": ["Backscatter"], "Port": [53], "Proto": ["udp", "domain"]}))],
                "Description": "Abnormally high number of large DNS replies",
                "Note": format!("{server} sent abnormally high number of large DNS replies - it was probably misused for DNS amplification DoS attack"),
            }),
        );
    }
    more
}

fn flood(alert: &Alert) -> Value {
    let (description, attack) = match alert.protocol {
        6 => ("Abnormally high number of TCP SYN packets", "SYN flood attack"),
        _ => ("Abnormally high number of packets", "flooding DoS attack"),
    };
    let mut more = json!({"FlowCount": alert.scale, "Description": description});
    if let Some(victim) = alert.target {
        more["Target"] = json!([idea::side(victim, proto(alert))]);
        more["Note"] = format!("{description} received by {victim} (probably {attack})").into();
    }
    if let Some(attacker) = alert.source {
        more["Source"] = json!([idea::side(attacker, proto(alert))]);
        // The original's spelling.
        more["Note"] = format!("{description} emmited by {attacker} (probably {attack})").into();
    }
    if let Some(counts) = Counts::parse(&alert.note) {
        let (side, peers, what) =
            if counts.is_victim { ("Target", "Source", "sources") } else { ("Source", "Target", "destinations") };
        if let Some(side) = more.get_mut(side).and_then(|sides| sides.get_mut(0)) {
            idea::extend(
                side,
                json!({
                    "InFlowCount": counts.received[0], "InPacketCount": counts.received[1],
                    "OutFlowCount": counts.sent[0], "OutPacketCount": counts.sent[1],
                }),
            );
        }
        let number = json!({"Count": counts.peers, "Note": format!("Number of {what} is approximate")});
        match more.get_mut(peers).and_then(|sides| sides.get_mut(0)) {
            Some(side) => idea::extend(side, number),
            None => more[peers] = json!([number]),
        }
    }
    more
}

fn brute_force(alert: &Alert) -> Value {
    let mut target = json!({"Port": [22], "Proto": ["tcp", "ssh"]});
    if let Some(victim) = alert.target {
        idea::add_address(&mut target, victim);
    }
    let mut more = json!({
        "Description": "SSH dictionary/bruteforce attack", "Target": [target],
        "FlowCount": 2 * u64::from(alert.scale), "ConnCount": alert.scale,
    });
    if let Some(attacker) = alert.source {
        more["Source"] = json!([idea::side(attacker, json!({}))]);
    }
    more
}

/// What a note about a flood says: `in: A flows, B packets; out: C flows, D packets; approx. E source addresses`, or with `out` first and
/// `destination`.
#[derive(Debug, PartialEq)]
struct Counts {
    is_victim: bool,
    received: [u64; 2],
    sent: [u64; 2],
    peers: u64,
}

impl Counts {
    fn parse(note: &str) -> Option<Counts> {
        let at = note.find("in: ").into_iter().chain(note.find("out: ")).min()?;
        let mut parts = note[at..].split("; ");
        let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
        let (is_victim, first, second) = match (first.strip_prefix("in: "), first.strip_prefix("out: ")) {
            (Some(first), _) => (true, first, second.strip_prefix("out: ")?),
            (None, Some(first)) => (false, first, second.strip_prefix("in: ")?),
            (None, None) => return None,
        };
        let pair = |text: &str| {
            let (flows, packets) = text.split_once(" flows, ")?;
            Some([flows.parse().ok()?, packets.strip_suffix(" packets")?.parse().ok()?])
        };
        let (peers, rest) = third.strip_prefix("approx. ")?.split_once(' ')?;
        let expected = if is_victim { "source addresses" } else { "destination addresses" };
        let (first, second, peers) = (pair(first)?, pair(second)?, peers.parse().ok()?);
        let (received, sent) = if is_victim { (first, second) } else { (second, first) };
        rest.starts_with(expected).then_some(Counts { is_victim, received, sent, peers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_about_floods() {
        let victim =
            Counts::parse("in: 900 flows, 901 packets; out: 2 flows, 3 packets; approx. 850 source addresses; SYN");
        assert_eq!(victim, Some(Counts { is_victim: true, received: [900, 901], sent: [2, 3], peers: 850 }));
        let attacker =
            Counts::parse("out: 4 flows, 5 packets; in: 6 flows, 7 packets; approx. 1 destination addresses");
        assert_eq!(attacker, Some(Counts { is_victim: false, received: [6, 7], sent: [4, 5], peers: 1 }));
        for bad in [
            "",
            "in: 1 flows",
            "in: x flows, 1 packets; out: 1 flows, 1 packets; approx. 1 source addresses",
            "in: 1 flows, 1 packets; out: 1 flows, 1 packets; approx. 1 destination addresses",
        ] {
            assert_eq!(Counts::parse(bad), None, "{bad}");
        }
    }
}
