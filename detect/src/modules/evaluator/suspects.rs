//! Recorded flows by suspicion, and what they say of each client.
use std::collections::HashMap;
use std::net::IpAddr;

/// Ports of IRC, over which servers of botnets give orders.
const IRC: std::ops::RangeInclusive<u16> = 6660..=6670;
/// Bytes of what is recorded, at the most.
const WEIGHT_MAX: usize = 256 << 20;
/// Bytes that a suspicion costs beside its id.
const ID_WEIGHT: usize = 100;

/// A recorded flow: address and port of its source and of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) ends: [(IpAddr, u16); 2],
    /// Its source was recorded; else its destination.
    pub(super) is_source_suspect: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    by_id: HashMap<Vec<u8>, Vec<Flow>>,
    weight: usize,
    left_out: u64,
}

/// A client that is suspicious, and how many flows make it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suspect {
    pub(super) client: IpAddr,
    pub(super) to_server: u64,
    pub(super) to_irc: u64,
    pub(super) to_others: u64,
}

impl Recorded {
    /// Adds a flow to each of the suspicions, whose ids are separated by commas.
    pub(super) fn add(&mut self, ids: &[u8], flow: Flow) {
        for id in ids.split(|byte| *byte == b',').filter(|id| !id.is_empty()) {
            let of_id = if self.by_id.contains_key(id) { 0 } else { ID_WEIGHT + id.len() };
            let weight = of_id + size_of::<Flow>();
            if self.weight + weight > WEIGHT_MAX {
                self.left_out += 1;
                continue;
            }
            self.weight += weight;
            match self.by_id.get_mut(id) {
                Some(flows) => flows.push(flow),
                None => drop(self.by_id.insert(id.to_vec(), vec![flow])),
            }
        }
    }

    /// The flows of a suspicion, which are then gone.
    pub(super) fn take(&mut self, id: &str) -> Vec<Flow> {
        self.by_id.remove(id.as_bytes()).unwrap_or_default()
    }

    /// Says what found no room.
    pub(super) fn tell(&self) {
        if self.left_out > 0 {
            eprintln!("Warning: {} recorded flows were left out: {WEIGHT_MAX} bytes of them are kept.", self.left_out);
        }
    }
}

/// Clients of these flows that have one with the server of the suspicion, with a port of IRC, or with another listed server, in the order in which they
/// come first. The server is `None` if the suspicion is about a name.
pub(super) fn suspects(
    flows: &[Flow],
    server: Option<IpAddr>,
    is_listed: impl Fn(IpAddr, u16) -> bool,
) -> Vec<Suspect> {
    let (mut places, mut found) = (HashMap::new(), Vec::new());
    for flow in flows {
        let client = flow.ends[usize::from(!flow.is_source_suspect)].0;
        places.entry(client).or_insert_with(|| {
            found.push(Suspect { client, to_server: 0, to_irc: 0, to_others: 0 });
            found.len() - 1
        });
    }
    for flow in flows {
        let [source, destination] = flow.ends;
        // Whoever is recorded, either end may be a client: two clients of one suspicion talk to each other.
        let first = if flow.is_source_suspect {
            [(source, destination), (destination, source)]
        } else {
            [(destination, source), (source, destination)]
        };
        let of = |client: IpAddr| places.get(&client).copied();
        let is_server = |ip: IpAddr| server == Some(ip);
        if let Some(at) = first.iter().find(|(_, other)| is_server(other.0)).and_then(|(client, _)| of(client.0)) {
            found[at].to_server += 1;
        }
        if flow.ends.iter().any(|(_, port)| IRC.contains(port))
            && let Some(at) = of(first[0].0.0)
        {
            found[at].to_irc += 1;
        }
        let other = first.iter().find(|(_, other)| !is_server(other.0) && is_listed(other.0, other.1));
        if let Some(at) = other.and_then(|(client, _)| of(client.0)) {
            found[at].to_others += 1;
        }
    }
    found.retain(|suspect| suspect.to_server + suspect.to_irc + suspect.to_others > 0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn flow(source: (u8, u16), destination: (u8, u16), is_source_suspect: bool) -> Flow {
        Flow { ends: [(ip(source.0), source.1), (ip(destination.0), destination.1)], is_source_suspect }
    }

    #[test]
    fn flows_of_each_client() {
        let flows = [
            flow((1, 4_000), (9, 443), true),
            flow((9, 443), (1, 4_000), false),
            flow((2, 4_000), (7, 6_667), true),
            flow((3, 4_000), (8, 80), true),
            flow((3, 4_000), (9, 80), true),
            flow((4, 4_000), (7, 80), true),
        ];
        let found = suspects(&flows, Some(ip(9)), |other, _| [ip(8), ip(9)].contains(&other));
        let suspect = |last, to_server, to_irc, to_others| Suspect { client: ip(last), to_server, to_irc, to_others };
        assert_eq!(found, [suspect(1, 2, 0, 0), suspect(2, 0, 1, 0), suspect(3, 1, 0, 1)]);
        assert_eq!(suspects(&flows, None, |_, _| false), [suspect(2, 0, 1, 0)], "a suspicion about a name");
    }

    #[test]
    fn flows_are_kept_by_suspicion() {
        let mut recorded = Recorded::default();
        let one = flow((1, 1), (2, 2), true);
        recorded.add(b"a,b,,a", one);
        assert_eq!((recorded.take("b"), recorded.take("a"), recorded.take("a")), (vec![one], vec![one, one], vec![]));
        recorded.weight = WEIGHT_MAX - 10;
        recorded.add(b"c,d", one);
        assert_eq!((recorded.left_out, recorded.take("c")), (2, vec![]));
    }

    proptest! {
        /// Whatever was recorded, no flow counts twice for one thing.
        #[test]
        fn any_flows(flows in prop::collection::vec(((0_u8..5, 6_655_u16..6_675), (0_u8..5, 6_655_u16..6_675), any::<bool>()), 0..50)) {
            let flows: Vec<_> = flows.into_iter().map(|(source, destination, is)| flow(source, destination, is)).collect();
            let found = suspects(&flows, Some(ip(0)), |other, _| other == ip(1));
            for count in [|s: &Suspect| s.to_server, |s: &Suspect| s.to_irc, |s: &Suspect| s.to_others] {
                prop_assert!(found.iter().map(count).sum::<u64>() <= flows.len() as u64);
            }
        }
    }
}
