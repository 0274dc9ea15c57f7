use super::*;
use proptest::prelude::*;

const SERVER: Service = (IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)), 8443, TCP);

fn detector(line: &str) -> Detector {
    Detector::new(Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap())
}

fn contact(detector: &mut Detector, host: u8, secs: u64, bytes: u64) -> Option<Alert> {
    let first = Time((1_700_000_000 + secs) * 1_000_000_000);
    let (last, source_port) = (Time(first.0 + 2_000_000_000), 30_000 + (secs % 20_000) as u16);
    let arrival = Arrival { first, last, bytes, source_port, is_tcp: true, is_begin: true };
    detector.contact(&Contact { host: IpAddr::from([10, 0, 0, host]), service: SERVER, arrival })
}

#[test]
fn a_beacon_with_jitter_is_told_once_a_day() {
    let mut regular = detector("");
    // Up to 6 s late.
    let told: Vec<_> = (0..2_000_u64)
        .filter_map(|n| contact(&mut regular, 1, 60 * n + n * 5 % 7, 400 + n % 20).map(|alert| (n, alert)))
        .collect();
    assert_eq!(told.iter().map(|(n, _)| *n).collect::<Vec<_>>(), [15, 1_456], "at the 16th contact and a day later");
    let alert = &told[0].1;
    assert_eq!((alert.contacts, alert.port, alert.protocol), (16, 8443, TCP));
    assert!((55.0..65.0).contains(&alert.interval) && alert.jitter < 0.2 && (400..420).contains(&alert.bytes));
}

#[test]
fn what_is_no_beacon() {
    let found = |line: &str, at: &dyn Fn(u64) -> u64, bytes: &dyn Fn(u64) -> u64| {
        let mut detector = detector(line);
        (0..100).filter(|n| contact(&mut detector, 1, at(*n), bytes(*n)).is_some()).count()
    };
    assert_eq!(found("", &|n| 60 * n, &|_| 500), 1);
    // Any of 5, 10 ... 640 seconds.
    let mut chance = 7_u64;
    let times: Vec<u64> = std::iter::successors(Some(0), |last| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some(last + (5 << ((chance >> 60) % 8)))
    })
    .take(100)
    .collect();
    assert_eq!(found("", &|n| times[n as usize], &|_| 500), 0, "irregular");
    assert_eq!(found("", &|n| 60 * n, &|n| 500 << (n * 5 % 7)), 0, "bytes differ");
    assert_eq!(found("", &|n| 5 * n, &|_| 500), 0, "too fast");
    assert_eq!(found("-t 7200", &|n| 60 * n, &|_| 500), 0, "32 contacts in half an hour");
    assert_eq!(found("-x 10.0.0.0/24", &|n| 60 * n, &|_| 500), 0);
}

#[test]
fn what_many_hosts_contact_is_no_beacon() {
    let found = |hosts: u8| {
        let mut detector = detector("");
        let contacts = (0..30).flat_map(|n| (0..hosts).map(move |host| (host, n)));
        contacts.filter(|(host, n)| contact(&mut detector, *host, 60 * n, 500).is_some()).count()
    };
    assert_eq!((found(10), found(11)), (10, 0));
}

proptest! {
    /// Any contacts: state is bounded, an alert is about contacts that were made and has the settings' regularity.
    #[test]
    fn any_contacts(contacts in prop::collection::vec((0_u8..5, 0_u64..4_000, 0_u64..2_000), 0..400)) {
        let settings = Settings { contacts: 4, span: 10, interval: 1, repeat: 1, ..Settings::default() };
        let mut detector = Detector::with_room(settings, 3, 2);
        for (host, at, bytes) in contacts {
            if let Some(alert) = contact(&mut detector, host, at, bytes) {
                prop_assert_eq!(alert.host, IpAddr::from([10, 0, 0, host]));
                prop_assert!(alert.jitter <= 0.201 && alert.bytes_jitter <= 0.251 && alert.contacts >= 4);
                prop_assert!(alert.first < alert.last);
            }
            prop_assert!(detector.pairs.len() <= 3 && detector.services.len() <= 2);
        }
    }
}
