//! Timeouts by protocol and by the state of a TCP connection.
//!
//! A flow's class follows from what is counted of it anyway (protocol, ports, flags), so nothing is kept for it, and packets that come sooner than
//! the shortest of all timeouts are counted without a look at it. Like the two timeouts for all flows they compare whole seconds.
use crate::flow::Flow;
use crate::packet::{protocol, tcp};
use std::str::FromStr;

/// What has timeouts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    Tcp,
    /// The source of the flow has sent a SYN and nothing with ACK yet.
    TcpSyn,
    /// A RST, or a FIN of both directions; of one, if the other was never seen.
    TcpClosed,
    Udp,
    /// UDP from or to port 53.
    Dns,
    /// ICMP and ICMPv6.
    Icmp,
    Other,
}

const CLASSES: usize = 7;

/// Each with its name, and whose timeouts it has if it is given none.
const NAMES: [(&str, Option<Class>); CLASSES] = [
    ("tcp", None),
    ("tcp-syn", Some(Class::Tcp)),
    ("tcp-closed", Some(Class::Tcp)),
    ("udp", None),
    ("dns", Some(Class::Udp)),
    ("icmp", None),
    ("other", None),
];

const DNS_PORT: u16 = 53;
/// The longest timeout, seconds: ten years.
const SECS_MAX: u64 = 10 * 365 * 86_400;

impl Class {
    /// Of a flow as it stands.
    pub fn of(flow: &Flow) -> Class {
        let key = flow.key();
        match key.protocol() {
            protocol::TCP => Class::of_tcp(flow.tcp_flags, flow.packets[1] > 0),
            protocol::UDP if key.port_of(true) == DNS_PORT || key.port_of(false) == DNS_PORT => Class::Dns,
            protocol::UDP => Class::Udp,
            protocol::ICMP | protocol::ICMPV6 => Class::Icmp,
            _ => Class::Other,
        }
    }

    /// By the flags of both directions, and whether anything came back.
    fn of_tcp([there, back]: [u8; 2], answered: bool) -> Class {
        let finished = |flags: u8| flags & tcp::FIN != 0;
        if (there | back) & tcp::RST != 0 || finished(there) && (finished(back) || !answered) {
            Class::TcpClosed
        } else if there & (tcp::SYN | tcp::ACK) == tcp::SYN {
            Class::TcpSyn
        } else {
            Class::Tcp
        }
    }
}

/// Timeouts of all classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    inactive_secs: [u64; CLASSES],
    active_secs: [u64; CLASSES],
}

impl Timeouts {
    /// Quiet time after which a flow has ended, seconds.
    pub fn inactive_secs(&self, flow: &Flow) -> u64 {
        self.inactive_secs[Class::of(flow) as usize]
    }

    /// Longest life of a record before it is cut, seconds.
    pub fn active_secs(&self, flow: &Flow) -> u64 {
        self.active_secs[Class::of(flow) as usize]
    }

    /// The shortest of all: (inactive, active).
    pub fn shortest(&self) -> (u64, u64) {
        let least = |all: &[u64]| all.iter().copied().min().unwrap_or_default();
        (least(&self.inactive_secs), least(&self.active_secs))
    }
}

/// What is asked for: `CLASS=INACTIVE[/ACTIVE],...`. The state of a connection passes, so it has no active timeout of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutRules([(Option<u64>, Option<u64>); CLASSES]);

impl TimeoutRules {
    /// With the timeouts of what has no rule.
    pub fn over(&self, inactive_secs: u64, active_secs: u64) -> Timeouts {
        let mut all = Timeouts { inactive_secs: [inactive_secs; CLASSES], active_secs: [active_secs; CLASSES] };
        for (at, (inactive, active)) in self.0.iter().enumerate() {
            // Those that others follow stand before them.
            let (_, follows) = NAMES[at];
            let before = follows.map_or((inactive_secs, active_secs), |class| {
                (all.inactive_secs[class as usize], all.active_secs[class as usize])
            });
            all.inactive_secs[at] = inactive.unwrap_or(before.0);
            all.active_secs[at] = active.unwrap_or(before.1);
        }
        all
    }
}

impl FromStr for TimeoutRules {
    type Err = String;

    fn from_str(text: &str) -> Result<TimeoutRules, String> {
        let mut rules = TimeoutRules::default();
        for rule in text.split(',').map(str::trim) {
            let wrong = || format!("'{rule}' is no CLASS=INACTIVE[/ACTIVE] in seconds");
            let (name, times) = rule.split_once('=').ok_or_else(wrong)?;
            let at = NAMES.iter().position(|(known, _)| *known == name.trim()).ok_or_else(|| {
                let known: Vec<&str> = NAMES.iter().map(|(known, _)| *known).collect();
                format!("there is no class '{name}'; known: {}", known.join(", "))
            })?;
            let (inactive, active) = match times.split_once('/') {
                Some((inactive, active)) => (inactive, Some(active)),
                None => (times, None),
            };
            let secs = |text: &str| match text.trim().parse() {
                Ok(secs @ 1..=SECS_MAX) => Ok(secs),
                _ => Err(format!("'{rule}': use 1 to {SECS_MAX} seconds")),
            };
            if rules.0[at] != (None, None) {
                return Err(format!("{name} is given twice"));
            }
            if active.is_some() && NAMES[at].1 == Some(Class::Tcp) {
                return Err(format!("'{rule}': a state passes, so the active timeout is that of tcp: say tcp=N/N"));
            }
            rules.0[at] = (Some(secs(inactive)?), active.map(secs).transpose()?);
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowKey;

    fn flow(proto: u8, ports: (u16, u16)) -> Flow {
        let (key, reversed) = FlowKey::v4([10, 0, 0, 1], [10, 0, 0, 2], ports.0, ports.1, proto, 0, false);
        Flow { reversed, packets: [1, 0], ..Flow::of(key) }
    }

    #[test]
    fn classes_follow_protocol_ports_and_flags() {
        for (proto, ports, class) in [
            (protocol::UDP, (1000, 1000), Class::Udp),
            (protocol::UDP, (53, 1000), Class::Dns),
            (protocol::UDP, (1000, 53), Class::Dns),
            (protocol::TCP, (1000, 53), Class::Tcp),
            (protocol::ICMP, (0, 0), Class::Icmp),
            (protocol::ICMPV6, (0, 0), Class::Icmp),
            (protocol::GRE, (0, 0), Class::Other),
        ] {
            assert_eq!(Class::of(&flow(proto, ports)), class);
        }
        use tcp::{ACK, FIN, RST, SYN};
        for (flags, answered, class) in [
            ([SYN, 0], false, Class::TcpSyn),
            ([SYN, SYN | ACK], true, Class::TcpSyn),
            ([SYN | ACK, SYN | ACK], true, Class::Tcp),
            ([SYN | ACK, ACK], true, Class::Tcp),
            ([ACK, 0], false, Class::Tcp),
            ([SYN | ACK | FIN, SYN | ACK], true, Class::Tcp),
            ([SYN | ACK | FIN, SYN | ACK | FIN], true, Class::TcpClosed),
            ([SYN | ACK | FIN, 0], false, Class::TcpClosed),
            ([SYN, RST | ACK], true, Class::TcpClosed),
        ] {
            assert_eq!(Class::of_tcp(flags, answered), class, "{flags:02x?}");
        }
    }

    #[test]
    fn rules_are_read_and_followed() {
        let rules: TimeoutRules = "tcp=60/120, tcp-closed=2, udp=10, icmp=5/7".parse().expect("fine");
        let all = rules.over(30, 300);
        assert_eq!(all.inactive_secs, [60, 60, 2, 10, 10, 5, 30]);
        assert_eq!(all.active_secs, [120, 120, 120, 300, 300, 7, 300]);
        assert_eq!(all.shortest(), (2, 7));
        assert_eq!(TimeoutRules::default().over(30, 300).shortest(), (30, 300));
        for (bad, why) in [
            ("", "no CLASS"),
            ("tcp", "no CLASS"),
            ("sctp=3", "known: tcp, tcp-syn, tcp-closed, udp, dns, icmp, other"),
            ("tcp=0", "use 1 to"),
            ("tcp=x", "use 1 to"),
            ("tcp=1,tcp=2", "twice"),
            ("tcp-syn=1/2", "say tcp=N/N"),
            ("udp=1/", "use 1 to"),
        ] {
            let said = bad.parse::<TimeoutRules>().expect_err(bad);
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
