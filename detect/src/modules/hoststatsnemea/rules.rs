//! When the record of a host is an event. Ratios are single-precision, as in the original, where that decides at the edge.
use super::config::{Config, Dos};
use super::host::{Counts, Host, Side, Ssh, Way};
use std::fmt::Write;
use std::net::IpAddr;

const TCP: u8 = 6;

/// Kinds of events with their numbers in EVENT_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    HorizontalScan = 2,
    Dos = 10,
    DnsAmplification = 15,
    BruteForce = 30,
}

/// An event of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub kind: Kind,
    /// Times of the record, Unix seconds.
    pub times: [u32; 2],
    pub host: IpAddr,
    /// The host is the one who does it.
    pub is_source: bool,
    /// Ports of source and destination, if they matter.
    pub ports: [Option<u16>; 2],
    pub protocol: Option<u8>,
    pub scale: u32,
    pub note: String,
}

/// Looks at a record; events come in the order of the original.
pub(super) fn examine(address: IpAddr, host: &Host, config: &Config, events: &mut Vec<Event>) {
    let event = |kind, is_source, scale, note: &str| Event {
        kind,
        times: [host.first, host.last],
        host: address,
        is_source,
        ports: [None; 2],
        protocol: None,
        scale,
        note: note.to_owned(),
    };
    if config.is_generic {
        if let Some(scale) = scan(host, config) {
            let event = event(Kind::HorizontalScan, true, scale, "horizontal SYN scan");
            events.push(Event { protocol: Some(TCP), ..event });
        }
        for way in [Way::In, Way::Out] {
            if let Some(flood) = flood(host, way, config) {
                let event = event(Kind::Dos, way == Way::Out, host.side(way).all.flows, &note(host, way, flood));
                events.push(Event { protocol: (flood == Flood::Syn).then_some(TCP), ..event });
            }
        }
    }
    // Large responses are counted, and so are guesses of passwords, only if their rules are enabled.
    if let Some([out, into]) = host.dns {
        for (count, is_source, ports, note) in [
            (out, true, [Some(53), None], "DNS amplification - misused server"),
            (into, false, [None, Some(53)], "DNS amplification - victim"),
        ] {
            if count as f32 > config.dns_threshold {
                events.push(Event { ports, ..event(Kind::DnsAmplification, is_source, count, note) });
            }
        }
    }
    if let Some([out, into]) = host.ssh.as_deref() {
        let guesses = [(is_guessed(out, into, config), false, into), (is_guessing(out, into, config), true, out)];
        for (_, is_source, requests) in guesses.into_iter().filter(|(is_so, ..)| *is_so) {
            let note = if is_source { "attacker" } else { "victim" };
            let event = event(Kind::BruteForce, is_source, requests.request_syn.into(), note);
            events.push(Event { ports: [None, Some(22)], protocol: Some(TCP), ..event });
        }
    }
}

/// How much of the flows of unknown direction is added to those of a known one: `known + (all - requests - responses) * ratio`, whole.
fn estimate(side: &Side, known: &Counts, what: impl Fn(&Counts) -> u32, ratio: f32) -> u64 {
    // Sums that are full can be less than their parts.
    let directed = u64::from(what(&side.requests)) + u64::from(what(&side.responses));
    let unknown = u64::from(what(&side.all)).saturating_sub(directed);
    (what(known) as f32 + unknown as f32 * ratio) as u64
}

/// Excess of flows with SYN over those with ACK if the host scans.
fn scan(host: &Host, config: &Config) -> Option<u32> {
    let [out, into] = [host.side(Way::Out), host.side(Way::In)];
    let (rules, estimates) = (&config.scan, &config.dos);
    let syn = estimate(out, &out.requests, |counts| counts.syn, estimates.request_share);
    let are_many = syn as f32 > rules.syn_min;
    // Few hosts come further.
    if !are_many {
        return None;
    }
    let ack = estimate(out, &out.requests, |counts| counts.ack, estimates.request_share);
    let answers = estimate(into, &into.responses, |counts| counts.syn, estimates.response_share);
    let is_scan = syn as f32 > rules.syn_to_ack * ack as f32
        && syn as f32 > rules.request_to_response * answers as f32
        && f32::from(out.request_addresses) >= rules.addresses_min
        && out.requests.syn > out.all.flows / 3;
    // Less SYN than ACK is no excess.
    out.all.syn.checked_sub(out.all.ack).filter(|_| is_scan)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    Syn,
    Other,
}

/// Whether what comes in is a flood, or what goes out; answers to it are on the other side.
fn flood(host: &Host, way: Way, config: &Config) -> Option<Flood> {
    let (asked, answered) = match way {
        Way::In => (host.side(Way::In), host.side(Way::Out)),
        Way::Out => (host.side(Way::Out), host.side(Way::In)),
    };
    let rules: &Dos = &config.dos;
    let requests = |what: fn(&Counts) -> u32| estimate(asked, &asked.requests, what, rules.request_share);
    let flows = requests(|counts| counts.flows);
    let limits = if way == Way::In { &rules.victim } else { &rules.attacker };
    let all = &asked.all;
    let (syn, others) = (u64::from(limits.syn), u64::from(limits.others));
    let are_small = |packets: f32, flows: f32| packets < limits.packets_each * flows;
    let (is_syn, is_other) = match (way, rules.is_by_packets) {
        (Way::In, false) => (u64::from(all.syn) > syn, flows > others),
        (Way::In, true) => (asked.syn_packets > limits.syn, asked.requests.packets > limits.others),
        (Way::Out, is_by_packets) => {
            let targets = u32::from(asked.addresses).max(1);
            if is_by_packets {
                (all.packets / targets >= limits.syn, asked.requests.packets / targets >= limits.others)
            } else {
                (all.flows / targets >= limits.syn, flows / u64::from(targets) >= others)
            }
        }
    };
    // Few hosts come further.
    if !is_syn && !is_other {
        return None;
    }
    let responses = estimate(answered, &answered.responses, |counts| counts.flows, rules.response_share);
    let bytes_each = requests(|counts| counts.bytes).checked_div(requests(|counts| counts.packets));
    let is_unanswered = (responses as f32) < flows as f32 * rules.responsibility;
    if !is_unanswered || bytes_each.is_none_or(|each| each >= limits.bytes_each.into()) {
        return None;
    }
    let is_syn = is_syn && (rules.is_by_packets || are_small(all.packets as f32, all.flows as f32));
    let packets = || requests(|counts| counts.packets);
    let is_other = is_other && (rules.is_by_packets || are_small(packets() as f32, flows as f32));
    if is_syn && u64::from(all.syn) > 2 * u64::from(all.ack) {
        return Some(Flood::Syn);
    }
    is_other.then_some(Flood::Other)
}

fn note(host: &Host, way: Way, flood: Flood) -> String {
    let [out, into] = [host.side(Way::Out), host.side(Way::In)];
    let (names, [first, second], whose) = match way {
        Way::In => (["in", "out"], [into, out], "source"),
        Way::Out => (["out", "in"], [out, into], "destination"),
    };
    let mut note = String::new();
    for (name, side) in names.iter().zip([first, second]) {
        // A String takes every write.
        let _ = write!(note, "{name}: {} flows, {} packets; ", side.all.flows, side.all.packets);
    }
    let _ = write!(note, "approx. {} {whose} addresses", first.addresses);
    if flood == Flood::Syn {
        note += "; SYN flood";
    }
    // Hardly any source sends a second flow.
    if way == Way::In && first.all.flows < 2 * u32::from(first.addresses) {
        note += " (probably spoofed)";
    }
    note
}

/// Whether many small conversations of about the same size are answered, as of a server whose passwords are guessed.
fn is_guessed(out: &Ssh, into: &Ssh, config: &Config) -> bool {
    let rules = &config.brute_force;
    let is_within = |packets: u16, syn: u16, [min, max]: [f32; 2]| {
        let (packets, syn) = (f32::from(packets), f32::from(syn));
        packets >= min * syn && packets <= max * syn
    };
    is_within(out.response_packets, out.response_syn, rules.response_packets)
        && f32::from(out.response_syn) > rules.responses_min
        && is_within(into.request_packets, into.request_syn, rules.request_packets)
        && f32::from(into.request_syn) > rules.requests_min
        && f32::from(into.request_syn) > rules.server_ratio * f32::from(out.request_syn)
        && f32::from(out.response_syn) > rules.each_address_min * f32::from(out.addresses)
}

/// Whether a host asks so.
fn is_guessing(out: &Ssh, into: &Ssh, config: &Config) -> bool {
    let rules = &config.brute_force;
    // Without the ends, other than for a victim.
    let is_inside = |packets: u16, syn: u16, [min, max]: [f32; 2]| {
        let (packets, syn) = (f32::from(packets), f32::from(syn));
        packets > min * syn && packets < max * syn
    };
    let (requests, addresses) = (f32::from(out.request_syn), f32::from(out.addresses));
    let each = if addresses < rules.addresses { rules.each_address_min } else { 0.5 * rules.each_address_min };
    is_inside(out.request_packets, out.request_syn, rules.request_packets)
        && requests > rules.requests_min
        && is_inside(into.response_packets, into.response_syn, rules.response_packets)
        && f32::from(into.response_syn) > rules.responses_min
        && f32::from(into.request_syn) < rules.server_ratio * requests
        && requests > each * addresses
}
