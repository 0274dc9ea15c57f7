//! Which services the traffic is of: bytes of flows that end, by the port that was asked for.
//!
//! A list of ports rather than the busiest ones: a counter that is there all the time can be drawn over time and compared between days and
//! boxes, and a scan over all ports makes none. Who talks at other ports is told by [`crate::talkers`].
use crate::batch::{Batch, FlowRecord};

/// Ports with a counter of their own (IANA service names), in order.
const TCP: [u16; 27] = [
    21, 22, 23, 25, 53, 80, 88, 110, 143, 389, 443, 445, 465, 587, 636, 853, 993, 995, 1433, 1883, 3306, 3389, 5060,
    5432, 8080, 8443, 9200,
];
const UDP: [u16; 18] =
    [53, 67, 123, 161, 389, 443, 500, 514, 853, 1194, 1900, 3478, 4500, 4789, 5060, 5353, 6881, 51820];

/// Ports below are looked up in a table, those behind in the lists: most flows ask for one of these.
const LOW: usize = 1024;
/// By port, where a counter is, for TCP and UDP.
static PLACES: [[u8; LOW]; 2] = [places(&TCP, 0, OTHER_TCP), places(&UDP, TCP.len(), OTHER_UDP)];

/// Counters of other ports, and of what has none.
const OTHER_TCP: usize = TCP.len() + UDP.len();
const OTHER_UDP: usize = OTHER_TCP + 1;
const NO_PORT: usize = OTHER_TCP + 2;
/// Counters.
pub const COUNT: usize = OTHER_TCP + 3;

/// The counters of one lane.
#[derive(Debug)]
pub struct Services {
    bytes: [u64; COUNT],
}

impl Default for Services {
    fn default() -> Services {
        Services { bytes: [0; COUNT] }
    }
}

impl Services {
    /// Counts all flows of a batch.
    pub fn watch(&mut self, batch: &Batch) {
        batch.flows().iter().for_each(|flow| self.count(flow));
    }

    /// IP bytes of both directions, in the order of [`names`]. Together those of all flows that were counted.
    pub fn bytes(&self) -> [u64; COUNT] {
        self.bytes
    }

    #[inline]
    fn count(&mut self, flow: &FlowRecord) {
        let (protocol, port) = flow.service();
        self.bytes[place(protocol, port)] += flow.bytes_total();
    }
}

/// Protocol and port of each counter, as words.
pub fn names() -> impl Iterator<Item = (&'static str, String)> {
    let of = |protocol: &'static str, ports: &'static [u16]| ports.iter().map(move |port| (protocol, port.to_string()));
    let others = [("tcp", "other".to_owned()), ("udp", "other".to_owned()), ("other", "none".to_owned())];
    of("tcp", &TCP).chain(of("udp", &UDP)).chain(others)
}

#[inline]
fn place(protocol: u8, port: u16) -> usize {
    let (which, ports, first, other) = match protocol {
        6 => (0, &TCP[..], 0, OTHER_TCP),
        17 => (1, &UDP[..], TCP.len(), OTHER_UDP),
        _ => return NO_PORT,
    };
    match PLACES[which].get(usize::from(port)) {
        Some(place) => usize::from(*place),
        None => ports.binary_search(&port).map_or(other, |at| first + at),
    }
}

const fn places(ports: &[u16], first: usize, other: usize) -> [u8; LOW] {
    let mut places = [other as u8; LOW];
    let mut at = 0;
    while at < ports.len() && (ports[at] as usize) < LOW {
        places[ports[at] as usize] = (first + at) as u8;
        at += 1;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_port_has_its_counter_and_no_other_has() {
        let names: Vec<(&str, String)> = names().collect();
        assert_eq!(names.len(), COUNT);
        assert!(TCP.is_sorted_by(|a, b| a < b) && UDP.is_sorted_by(|a, b| a < b));
        for (number, protocol, ports) in [(6, "tcp", &TCP[..]), (17, "udp", &UDP[..])] {
            for port in 0..=u16::MAX {
                let (word, named) = &names[place(number, port)];
                let expected = if ports.contains(&port) { port.to_string() } else { "other".into() };
                assert_eq!((*word, named), (protocol, &expected), "{protocol} {port}");
            }
        }
        assert_eq!(names[place(1, 443)], ("other", "none".into()));
    }
}
