//! Alerts of an address, and what the anomaly log says of new ones.
use super::host::{Answer, Host, Kind, State};
use super::judge::Found;
use super::names::Names;
use crate::sdk::{IpAddr, Text, Time, record};
use std::io::{self, Write};

/// Names that the log shows of each anomaly.
const SHOWN: usize = 5;

record! {
    /// An anomaly.
    pub(super) struct Alert = "dnstunnel" {
        /// Whose messages they were.
        address: IpAddr, unirec "SRC_IP";
        /// Wall time at which the suspicion began.
        first: Time, unirec "TIME_FIRST";
        /// Wall time of the last message of the address.
        last: Time, unirec "TIME_LAST";
        /// The same for alerts of one anomaly.
        event: u32, unirec "EVENT_ID";
        /// Names inserted over the life of the event.
        packets: u32, unirec "TUNNEL_CNT_PACKET";
        /// Share of names that came once.
        rare: f32, unirec "TUNNEL_PER_NEW_DOMAIN";
        /// Share of labels below the domain with most of them, or of different names.
        share: f32, unirec "TUNNEL_PER_SUBDOMAIN";
        /// 1 requests, 2 other requests, 4 to 8 responses, 9 other responses.
        kind: u8, unirec "TUNNEL_TYPE";
        /// One of the names.
        name: Text<1023>, unirec "TUNNEL_DOMAIN";
    }
}

record! {
    /// What a capture of packets is asked for.
    pub(super) struct Capture = "dnstunnel_sdm" {
        /// Whose packets.
        address: IpAddr, unirec "SRC_IP";
        /// How many of them.
        packets: u32, unirec "PACKETS";
        /// For how many seconds.
        secs: u32, unirec "TIMEOUT";
        /// Name of the capture.
        file: Text<100>, unirec "SDM_CAPTURE_FILE_ID";
    }
}

/// Answers what is to be sent of an address. Names are counted anew then.
pub(super) fn alerts(address: IpAddr, host: &mut Host) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let last = time(host.last);
    let mut add = |kind: u8, event: u32, packets: u32, first: u64, shares: (f64, f64), name: Option<Vec<u8>>| {
        let mut alert = Alert { address, first: time(first), last, event, packets, kind, ..Alert::default() };
        (alert.rare, alert.share) = (shares.0 as f32, shares.1 as f32);
        alert.name.set(&name.unwrap_or_default());
        alerts.push(alert);
    };
    if let Some(part) = host.request_tunnel.proved() {
        let names = part.take_names();
        let shares = (names.rare_share(), names.domain_share());
        add(1, part.event, part.inserted, part.first, shares, names.newest_one());
    }
    if let Some(part) = host.request_other.proved() {
        let names = part.take_names();
        let shares = (names.rare_share(), names.different_share());
        add(2, part.event, part.inserted, part.first, shares, names.most_used_one());
        if let Some(requests) = &mut host.requests {
            requests.nameless = 0;
        }
    }
    if host.response_tunnel.state == State::Attack && host.response_tunnel.rounds == 0 {
        for (kind, code) in ANSWERS {
            let Answer { names: Some(names), first, inserted, event, is_attack: true } =
                &mut host.response_tunnel.parts[kind as usize]
            else {
                continue;
            };
            let names = std::mem::replace(&mut **names, Names::new());
            let shares = (names.rare_share(), names.different_share());
            add(code, *event, *inserted, *first, shares, names.newest_one());
        }
    }
    if let Some(part) = host.response_other.proved() {
        let names = part.take_names();
        add(9, part.event, part.inserted, part.first, (0.0, 0.0), names.most_used_one());
    }
    alerts
}

/// Places of answers with their types of alerts, in the order of alerts.
const ANSWERS: [(Kind, u8); 5] = [(Kind::Name, 4), (Kind::Txt, 5), (Kind::Cname, 6), (Kind::Ns, 8), (Kind::Mx, 7)];

fn time(secs: u64) -> Time {
    Time(secs.saturating_mul(1_000_000_000))
}

/// Writes what was found at an address to the anomaly log, in the words of the original. To be called before [`alerts`].
pub(super) fn log(out: &mut impl Write, address: IpAddr, host: &Host, found: Found) -> io::Result<()> {
    writeln!(out, "\n{address}")?;
    if let Some(part) = host.request_tunnel.part.as_deref().filter(|_| found.request_tunnel) {
        let names = &part.names;
        writeln!(
            out,
            "{}\tRequest tunnel found:\tDomains searched just once: {:.6}.\tcount of different domains: {:.6}.\t\
             Percent of subdomain in most used domain {:.6}.\tAll recorded requests: {}",
            part.event,
            names.rare_share(),
            names.different_share(),
            names.domain_share(),
            names.inserting
        )?;
        list(out, names.newest(SHOWN))?;
    }
    if let Some(part) = host.request_other.part.as_deref().filter(|_| found.request_other) {
        let names = &part.names;
        write!(
            out,
            "{}\tRequest traffic anomaly found:\tDomains searched just once: {:.6}.\tCount of different domains: {:.6}.\t\
             All recorded requests: {}.\tCount of malformed requests: {}.\n\t\tFound in sizes: ",
            part.event,
            names.rare_share(),
            names.different_share(),
            names.inserting,
            host.requests.as_ref().map_or(0, |requests| requests.nameless)
        )?;
        for (class, _) in part.classes.iter().enumerate().filter(|(_, is_watched)| **is_watched) {
            write!(out, "{}-{}\t", class * 10, class * 10 + 10)?;
        }
        writeln!(out)?;
        list(out, names.most_used(SHOWN))?;
    }
    for (kind, _) in ANSWERS.iter().filter(|_| found.response_tunnel) {
        let what = match kind {
            Kind::Name => "Reponse tunnel found by request strings :",
            Kind::Txt => "Reponse TXT tunnel found:",
            Kind::Cname => "Reponse CNAME tunnel found:",
            Kind::Ns => "Reponse NS tunnel found:",
            Kind::Mx => "Reponse MX tunnel found:",
        };
        let part = &host.response_tunnel.parts[*kind as usize];
        let Some(names) = part.names.as_deref().filter(|_| part.is_attack) else { continue };
        writeln!(
            out,
            "{}\t{what}\tstrings searched just once: {:.6}.\tcount of different strings: {:.6}.\tall requests: {}.",
            part.event,
            names.rare_share(),
            names.different_share(),
            names.inserting
        )?;
        list(out, names.newest(SHOWN))?;
    }
    if let Some(part) = host.response_other.part.as_deref().filter(|_| found.response_other) {
        let (mean, variance) = host.responses.as_ref().map_or((0.0, 0.0), |sizes| sizes.mean_and_variance());
        writeln!(
            out,
            "{}\tReseponse anomaly found:\tEX: {mean:.6}.\tVAR: {variance:.6}. \tPercent without request string {:.6}. \t\
             Count of responses {}.",
            part.event,
            part.nameless as f64 / part.count as f64,
            host.responses.as_ref().map_or(0, |sizes| sizes.count)
        )?;
        list(out, part.names.most_used(SHOWN))?;
    }
    out.flush()
}

fn list(out: &mut impl Write, names: Vec<(Vec<u8>, u32)>) -> io::Result<()> {
    names.iter().try_for_each(|(name, count)| writeln!(out, "\t\t{}. {count}", String::from_utf8_lossy(name)))
}
