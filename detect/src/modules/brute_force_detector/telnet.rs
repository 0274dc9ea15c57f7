//! What answers of a TELNET server are like when a login fails: nearly always, hence the median of the last ones.
use crate::bounded::Bounded;
use crate::sdk::IpAddr;

/// Answers that make a profile.
const ANSWERS: usize = 15;
/// Limits are set anew when the shared counter says this.
const EVERY: u16 = 10;
/// Fewer packets are no login.
const PACKETS_MIN: u32 = 6;
/// A login fails within the median and this.
const MORE_PACKETS: u32 = 5;
const MORE_BYTES: u64 = 500;
/// Servers at a time, at the most; about 280 bytes each.
const SERVERS_MAX: usize = 1 << 16;

/// Profiles of all servers.
#[derive(Debug)]
pub(super) struct Servers {
    profiles: Bounded<IpAddr, Profile>,
    /// Of all servers together, as in the original; it is set back only when a server that has limits meets 10, so that limits hardly
    /// ever change.
    counter: u16,
}

#[derive(Debug, Default)]
struct Profile {
    packets: [u32; ANSWERS],
    bytes: [u64; ANSWERS],
    /// Answers so far; the next one goes to this place of the ring.
    count: usize,
    limits: Option<(u32, u64)>,
}

impl Servers {
    pub(super) fn new() -> Servers {
        Servers { profiles: Bounded::new(SERVERS_MAX), counter: 0 }
    }

    /// Learns from an answer and says whether it is one to a failed login.
    pub(super) fn is_failed_login(&mut self, server: IpAddr, packets: u32, bytes: u64) -> bool {
        let (profile, _) = self.profiles.entry(server, Profile::default);
        if packets < PACKETS_MIN {
            return false;
        }
        self.counter = self.counter.wrapping_add(1);
        let place = profile.count % ANSWERS;
        (profile.packets[place], profile.bytes[place]) = (packets, bytes);
        // Beyond the first round only the place in the ring matters.
        profile.count = if profile.count + 1 < 2 * ANSWERS { profile.count + 1 } else { ANSWERS };
        if profile.limits.is_none() && profile.count == ANSWERS {
            profile.set_limits();
        } else if profile.limits.is_some() && self.counter == EVERY {
            profile.set_limits();
            self.counter = 0;
        }
        profile.limits.is_some_and(|(packets_max, bytes_max)| packets <= packets_max && bytes <= bytes_max)
    }

    /// Says what made room.
    pub(super) fn tell(&self) {
        self.profiles.tell("profiles of TELNET servers");
    }
}

impl Profile {
    fn set_limits(&mut self) {
        let (mut packets, mut bytes) = (self.packets, self.bytes);
        packets.sort_unstable();
        bytes.sort_unstable();
        let (packets, bytes) = (packets[ANSWERS / 2], bytes[ANSWERS / 2]);
        self.limits = Some((packets.wrapping_add(MORE_PACKETS), bytes.wrapping_add(MORE_BYTES)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_matches_before_there_is_a_profile() {
        let (mut servers, server) = (Servers::new(), IpAddr::from([10, 0, 0, 1]));
        assert!((0..14).all(|n| !servers.is_failed_login(server, 6 + n, 300 + u64::from(n))));
        assert!(!servers.is_failed_login(server, 5, 300), "too short to count");
        assert!(servers.is_failed_login(server, 8, 302));
        // Medians: 12 packets, 306 bytes.
        assert_eq!(servers.profiles.get(&server).unwrap().limits, Some((17, 806)));
        assert!(servers.is_failed_login(server, 17, 806));
        assert!(!servers.is_failed_login(server, 18, 300) && !servers.is_failed_login(server, 10, 807));
    }

    #[test]
    fn limits_change_when_the_shared_counter_meets_ten() {
        let (mut servers, server) = (Servers::new(), IpAddr::from([10, 0, 0, 1]));
        let mut answers =
            |count: u32, packets, bytes| (0..count).filter(|_| servers.is_failed_login(server, packets, bytes)).count();
        assert_eq!(answers(15, 10, 500), 1);
        assert_eq!(answers(100, 100, 9_000), 0);
        assert_eq!(servers.profiles.get(&server).unwrap().limits, Some((15, 1_000)), "the counter is beyond 10");
        servers.counter = 9;
        servers.is_failed_login(server, 100, 9_000);
        assert_eq!(servers.profiles.get(&server).unwrap().limits, Some((105, 9_500)));
    }
}
