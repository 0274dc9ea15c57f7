use super::*;
use proptest::prelude::*;

const VICTIM_IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 9));

fn detector(line: &str) -> Detector {
    Detector::new(Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap())
}

/// What goes from (or to) the server with this number.
fn half(server: u8, port: u16, is_answer: bool, (bytes, packets): (u64, u32), at: u64) -> Half {
    let time = Time((1_700_000_000 + at) * 1_000_000_000);
    let protocol = protocols::of(port).unwrap();
    Half {
        server: IpAddr::from([203, 0, 113, server]),
        client: VICTIM_IP,
        protocol,
        is_answer,
        bytes,
        packets,
        times: [time; 2],
    }
}

fn add(detector: &mut Detector, half: &Half) -> Vec<Alert> {
    let mut alerts = Vec::new();
    detector.add(half, half.times[1].secs(), &mut alerts);
    alerts
}

#[test]
fn a_victim_of_any_protocol() {
    for protocol in PROTOCOLS {
        let mut detector = detector("-n 198.51.100.0/24");
        let mut alerts = Vec::new();
        // Five minutes of 4 MB each.
        for n in 0..1_500_u64 {
            alerts.extend(add(&mut detector, &half((n % 40) as u8, protocol.port, true, (14_000, 10), n / 5)));
        }
        assert_eq!(alerts.len(), 1, "{}", protocol.name);
        let alert = &alerts[0];
        assert_eq!((alert.kind, alert.victim, alert.port, alert.servers), (VICTIM, VICTIM_IP, protocol.port, 40));
        assert!(alert.answer_bytes >= 1_000_000 && alert.request_bytes == 0);
        assert_eq!(alert.name.as_bytes(), protocol.name.as_bytes());
    }
}

#[test]
fn an_abused_server_and_one_that_is_only_asked() {
    let found = |line: &str, request: u64, server_count: u8| {
        let mut detector = detector(line);
        let mut alerts = Vec::new();
        for n in 0..400_u64 {
            let server = (n % u64::from(server_count)) as u8;
            alerts.extend(add(&mut detector, &half(server, 53, false, (request, 1), n / 10)));
            alerts.extend(add(&mut detector, &half(server, 53, true, (4_000, 3), n / 10)));
        }
        alerts.into_iter().map(|alert| alert.kind).collect::<Vec<u8>>()
    };
    assert_eq!(found("-n 203.0.113.0/24", 60, 1), [ABUSED]);
    assert_eq!(found("-n 203.0.113.0/24", 500, 1), [0_u8; 0], "the answers are 8 times as long");
    assert_eq!(found("-n 203.0.113.0/24 -x 203.0.113.0", 60, 1), [0_u8; 0]);
    assert_eq!(found("-n 198.51.100.0/24", 60, 20), [0_u8; 0], "who asks is no victim");
    assert_eq!(found("-n 192.0.2.0/24", 60, 1), [0_u8; 0], "others");
}

#[test]
fn a_transfer_is_no_amplification() {
    let found = |requests: u64, (bytes, packets): (u64, u32)| {
        let mut detector = detector("-n 203.0.113.0/24");
        let asked = add(&mut detector, &half(1, 69, false, (60 * requests, requests as u32), 0));
        asked.len() + add(&mut detector, &half(1, 69, true, (bytes, packets), 1)).len()
    };
    assert_eq!(found(4_000, (2_000_000, 4_000)), 0, "each block is acknowledged");
    assert_eq!(found(1, (2_000_000, 4_000)), 0, "one request");
    assert_eq!(found(600, (2_000_000, 3_600)), 1, "blocks are repeated to who does not answer");
}

#[test]
fn alerts_repeat_while_an_attack_goes_on() {
    let mut detector = detector("-r 120");
    let times: Vec<u64> = (0..600)
        .filter(|at| (0..20).any(|server| !add(&mut detector, &half(server, 123, true, (14_000, 30), *at)).is_empty()))
        .collect();
    // In every second window, as soon as there is a megabyte in it.
    assert_eq!(times.len(), 5, "{times:?}");
    assert!(times.windows(2).all(|pair| (120..=130).contains(&(pair[1] - pair[0]))), "{times:?}");
}

proptest! {
    /// Any flows: state is bounded, and an alert has the bytes that settings ask for.
    #[test]
    fn any_flows(halves in prop::collection::vec((0_u8..20, 0_usize..3, any::<bool>(), 0_u64..3_000_000, 1_u32..2_000, 0_u64..500), 0..300)) {
        let mut detector = Detector::with_room(Settings { servers: 2, ..Settings::default() }, 5);
        for (server, protocol, is_answer, bytes, packets, at) in halves {
            let half = half(server, PROTOCOLS[protocol].port, is_answer, (bytes, packets), at);
            for alert in add(&mut detector, &half) {
                prop_assert!(is_answer && alert.answer_bytes >= 1_000_000 && alert.victim == VICTIM_IP);
                prop_assert!(alert.kind == VICTIM || alert.request_bytes < alert.answer_bytes);
            }
            prop_assert!(detector.pairs.len() <= 5 && detector.victims.len() <= 5);
        }
    }
}
