//! Flows of one service: whether they match, and the hosts they are of.
use super::config::{Config, Limits, Service, Sizes};
use super::host::{Host, Report};
use super::telnet::Servers;
use super::whitelist::Whitelist;
use crate::bounded::Bounded;
use crate::sdk::{IpAddr, Time};

/// Hosts of a service at a time, at the most; about 250 bytes each without records.
const HOSTS_MAX: usize = 1 << 17;
/// Records of all hosts of a service, at the most; 32 bytes each.
const RECORDS_MAX: usize = 1 << 21;

const SYN: u8 = 0b10;
const SYN_RST: u8 = 0b110;
const ACK: u8 = 0b1_0000;
const SYN_ACK: u8 = 0b1_0010;
const RST_ACK: u8 = 0b1_0100;
/// What flows of a connection with data have: SYN, PSH and ACK; further RST or FIN.
const DATA: u8 = 0x1a;
const DATA_RST: u8 = 0x1e;
const DATA_FIN: u8 = 0x1b;

/// A flow between an attacker, or someone who may be one, and a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub attacker: (IpAddr, u16),
    pub victim: (IpAddr, u16),
    /// From the victim to the attacker.
    pub is_answer: bool,
    pub last: Time,
    pub packets: u32,
    pub bytes: u64,
    pub flags: u8,
}

/// A service that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    pub service: Service,
    hosts: Bounded<IpAddr, Host>,
    records: usize,
    /// Hosts that were forgotten for lack of room for records.
    crowded_out: u64,
    servers: Servers,
    pub counts: Counts,
}

/// Flows; pairs are towards the victim and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub flows: [u64; 2],
    pub matched: [u64; 2],
}

impl Watch {
    pub(super) fn new(service: Service) -> Watch {
        Watch {
            service,
            hosts: Bounded::new(HOSTS_MAX),
            records: 0,
            crowded_out: 0,
            servers: Servers::new(),
            counts: Counts::default(),
        }
    }

    /// Takes a flow of the service; answers a report if there is one to send.
    pub(super) fn add(&mut self, flow: &Flow, config: &Config, whitelist: &Whitelist) -> Option<Report> {
        let limits = &config.services[self.service as usize];
        let is_matched = self.is_matched(flow, limits, whitelist);
        let direction = usize::from(flow.is_answer);
        self.counts.flows[direction] += 1;
        self.counts.matched[direction] += u64::from(is_matched);
        let (host, evicted) = self.hosts.entry(flow.attacker.0, Host::new);
        self.records -= evicted.map_or(0, |(_, host)| host.len());
        if self.service.is_no_connection(flow.flags, flow.packets) {
            return None;
        }
        let before = host.len();
        host.add(flow.is_answer, flow.victim.0, flow.last, is_matched, limits);
        let report = host.judge(flow.last, config, limits);
        self.records = self.records - before + host.len();
        self.make_room();
        report
    }

    /// Reports about attacks that ended in silence, in the order of the addresses.
    pub(super) fn end_silent(&mut self, now: Time, config: &Config) -> Vec<(IpAddr, Report)> {
        let limits = &config.services[self.service as usize];
        let (mut reports, records) = (Vec::new(), &mut self.records);
        self.hosts.retain(|ip, host| {
            let before = host.len();
            reports.extend(host.end_if_silent(now, config, limits).map(|report| (*ip, report)));
            *records -= before - host.len();
            true
        });
        // As the original's map: IPv4 first.
        reports.sort_by_key(|(ip, _)| *ip);
        reports
    }

    /// Forgets old records and hosts.
    pub(super) fn forget_old(&mut self, now: Time, config: &Config) {
        let limits = &config.services[self.service as usize];
        let records = &mut self.records;
        self.hosts.retain(|_, host| {
            let before = host.len();
            let is_kept = host.forget_old(now, limits);
            *records -= before - if is_kept { host.len() } else { 0 };
            is_kept
        });
    }

    pub(super) fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Says what made room.
    pub(super) fn tell(&self) {
        let name = self.service.name();
        self.hosts.tell(&format!("{name} hosts"));
        if self.crowded_out > 0 {
            let hosts = self.crowded_out;
            eprintln!("Warning: {hosts} {name} hosts made room for records: {RECORDS_MAX} are kept at a time.");
        }
        self.servers.tell();
    }

    fn make_room(&mut self) {
        while self.records > RECORDS_MAX {
            let Some((_, host)) = self.hosts.pop_oldest() else { return };
            self.records -= host.len();
            self.crowded_out += 1;
        }
    }

    fn is_matched(&mut self, flow: &Flow, limits: &Limits, whitelist: &Whitelist) -> bool {
        let has = |mask| flow.flags & mask == mask;
        let fits = |mask, sizes: &Sizes| has(mask) && sizes.contain(flow.packets, flow.bytes);
        let is_signature = match (self.service, flow.is_answer) {
            (Service::Ssh | Service::Telnet, false) => fits(DATA, &limits.incoming),
            (Service::Ssh, true) => fits(DATA, &limits.outgoing),
            (Service::Rdp, false) => {
                fits(DATA_RST, &Sizes::new([7, 11], [1_500, 2_000]))
                    || fits(DATA, &Sizes::new([3, 3], [100, 200]))
                    || fits(DATA, &limits.incoming)
            }
            (Service::Rdp, true) => {
                fits(DATA, &Sizes::new([7, 7], [1_700, 2_200]))
                    || fits(DATA, &Sizes::new([2, 2], [81, 119]))
                    || fits(DATA, &limits.outgoing)
            }
            // The whitelist is not asked.
            (Service::Telnet, true) => {
                return has(DATA_FIN) && self.servers.is_failed_login(flow.victim.0, flow.packets, flow.bytes);
            }
        };
        is_signature && !whitelist.contains(flow.attacker, flow.victim)
    }
}

impl Service {
    /// Flows of scans and of connections that were refused; they are no records.
    fn is_no_connection(self, flags: u8, packets: u32) -> bool {
        match (flags, packets) {
            (SYN, 1..=3) | (SYN_RST, 2) | (SYN_ACK | RST_ACK, 1) => true,
            (ACK, 1) | (SYN, 4) => self == Service::Ssh,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(is_answer: bool, flags: u8, packets: u32, bytes: u64) -> Flow {
        let (attacker, victim) = (([203, 0, 113, 5].into(), 40_000), ([192, 0, 2, 22].into(), 22));
        Flow { attacker, victim, is_answer, last: Time(1), packets, bytes, flags }
    }

    #[test]
    fn signatures() {
        let (config, whitelist) = (Config::default(), Whitelist::default());
        for (service, is_answer, flags, packets, bytes, is_matched) in [
            (Service::Ssh, false, 0x1b, 11, 1_000, true),
            (Service::Ssh, false, 0x1b, 30, 5_001, false),
            (Service::Ssh, false, 0x12, 11, 1_000, false),
            (Service::Ssh, true, 0x1a, 50, 11_000, true),
            (Service::Rdp, false, 0x1e, 7, 1_500, true),
            (Service::Rdp, false, 0x1a, 7, 1_500, false),
            (Service::Rdp, false, 0x1a, 3, 200, true),
            (Service::Rdp, false, 0x1a, 20, 8_001, true),
            (Service::Rdp, true, 0x1a, 7, 1_700, true),
            (Service::Rdp, true, 0x1a, 2, 80, false),
            (Service::Rdp, true, 0x1a, 2, 81, true),
            (Service::Rdp, true, 0x1a, 190, 180_000, true),
            (Service::Telnet, false, 0x1a, 9, 450, true),
            (Service::Telnet, true, 0x1b, 9, 450, false),
        ] {
            let mut watch = Watch::new(service);
            let flow = flow(is_answer, flags, packets, bytes);
            assert_eq!(watch.is_matched(&flow, &config.services[service as usize], &whitelist), is_matched, "{flow:?}");
        }
    }

    #[test]
    fn scans_are_hosts_without_records() {
        let (config, whitelist) = (Config::default(), Whitelist::default());
        let mut watch = Watch::new(Service::Ssh);
        for (flags, packets, records) in
            [(2, 1, 0), (2, 4, 0), (16, 1, 0), (6, 2, 0), (18, 1, 0), (20, 1, 0), (2, 5, 1)]
        {
            assert_eq!(watch.add(&flow(false, flags, packets, 60), &config, &whitelist), None);
            assert_eq!((watch.hosts(), watch.records), (1, records));
        }
        watch.forget_old(Time(1_000_000_000 * 10_000), &config);
        assert_eq!((watch.hosts(), watch.records), (0, 0));
    }
}
