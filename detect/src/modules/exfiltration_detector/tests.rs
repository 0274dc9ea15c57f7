use super::*;
use proptest::prelude::*;

const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 5));
const HOUR: u64 = 3_600;
const MB: u64 = 1_000_000;

fn detector(line: &str) -> Detector {
    Detector::new(Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap())
}

fn transfer(detector: &mut Detector, other: u8, sent: u64, received: u64, at: u64) -> Option<Alert> {
    let now = 1_699_920_000 + at;
    let other = (IpAddr::from([192, 0, 2, other]), 443);
    let last = Time(now * 1_000_000_000);
    detector.transfer(&Transfer { host: HOST, other, protocol: 6, sent, received, last }, now)
}

/// Two days of a workstation: 5 MB an hour by day, 100 MB back.
fn learned(line: &str) -> Detector {
    let mut detector = detector(line);
    for hour in (0..48).filter(|hour| (8..18).contains(&(hour % 24))) {
        for part in 0..5 {
            assert_eq!(transfer(&mut detector, part, MB, 20 * MB, hour * HOUR + u64::from(part) * 600), None);
        }
    }
    detector
}

#[test]
fn an_upload_that_never_was_is_told_once_in_its_window() {
    let mut detector = learned("");
    let alerts: Vec<_> = (0..60)
        .filter_map(|n| transfer(&mut detector, 99 - (n % 7 / 6) as u8, 10 * MB, 1_000, 51 * HOUR + 30 * n))
        .collect();
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!((alert.host, alert.receiver, alert.port), (HOST, IpAddr::from([192, 0, 2, 99]), 443));
    assert!(alert.sent == 100 * MB && alert.limit == 100 * MB && alert.usual < 5 * MB && alert.windows > 40);
    assert_eq!(alert.first.secs(), 1_699_920_000 + 51 * HOUR);
    assert!(transfer(&mut detector, 99, 300 * MB, 0, 52 * HOUR).is_some(), "what was told is not usual at once");
}

#[test]
fn what_is_no_exfiltration() {
    assert_eq!(transfer(&mut learned(""), 9, 99 * MB, 0, 50 * HOUR), None, "little");
    assert_eq!(transfer(&mut learned("-f 1000"), 9, 900 * MB, 0, 50 * HOUR), None, "not many times the usual");
    assert_eq!(transfer(&mut learned(""), 9, 900 * MB, 500 * MB, 50 * HOUR), None, "as much comes back");
    assert_eq!(transfer(&mut detector(""), 9, 900 * MB, 0, 0), None, "nothing is known of the host");
    assert_eq!(transfer(&mut learned("-l 100"), 9, 900 * MB, 0, 50 * HOUR), None, "it is still learned");
}

#[test]
fn a_backup_is_usual_from_its_second_night_on() {
    let mut detector = learned("-l 12");
    let mut nights = Vec::new();
    for day in 2..9 {
        if transfer(&mut detector, 77, 400 * MB, MB, (24 * day + 2) * HOUR).is_some() {
            nights.push(day);
        }
        transfer(&mut detector, 1, 5 * MB, 100 * MB, (24 * day + 9) * HOUR);
    }
    assert!(nights.len() <= 2 && nights[0] == 2, "{nights:?}");
}

proptest! {
    /// Any transfers: hosts are bounded, nobody is told of while learning, and never twice in a window.
    #[test]
    fn any_transfers(transfers in prop::collection::vec((0_u8..3, 0_u64..400 * MB, 0_u64..50 * MB, 0_u64..200 * HOUR), 0..300)) {
        let mut detector = Detector::with_room(Settings { learn: 3, ..Settings::default() }, 2);
        let (mut told, mut times) = (Vec::new(), transfers);
        times.sort_by_key(|(.., at)| *at);
        for (other, sent, received, at) in times {
            if let Some(alert) = transfer(&mut detector, other, sent, received, at) {
                prop_assert!(alert.sent >= alert.limit && alert.sent > 2 * alert.received && alert.windows >= 3);
                told.push(alert.first);
            }
        }
        prop_assert!(told.is_sorted_by(|a, b| a < b));
    }
}
