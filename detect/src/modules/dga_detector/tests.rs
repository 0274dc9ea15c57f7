use super::*;
use proptest::prelude::*;

fn ask(detector: &mut Detector, host: u8, at: u64, name: &str, is_refused: bool) -> Option<Alert> {
    let time = Time((1_700_000_000 + at) * 1_000_000_000);
    let [host, server] = [IpAddr::from([10, 0, 0, host]), IpAddr::from([192, 0, 2, 53])];
    detector.ask(&Question { host, server, times: [time; 2], name: name.as_bytes(), is_refused })
}

fn detector(line: &str) -> Detector {
    Detector::new(Settings::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap())
}

#[test]
fn a_burst_of_names_that_do_not_exist() {
    let mut detector = detector("-n 5 -w 60");
    // Names below one domain, the reverse tree and names without a domain count once or not at all.
    for n in 0..50 {
        assert_eq!(ask(&mut detector, 1, 0, &format!("h{n}.corp.example.com"), true), None);
        assert_eq!(ask(&mut detector, 1, 0, &format!("{n}.2.0.192.in-addr.arpa"), true), None);
        assert_eq!(ask(&mut detector, 1, 0, &format!("host{n}"), true), None);
    }
    for n in 0..4 {
        assert_eq!(ask(&mut detector, 1, 1, &format!("river{n}.example"), false), None, "the question");
        let alert = ask(&mut detector, 1, 1, &format!("River{n}.example."), true);
        assert_eq!(alert.is_some(), n == 3);
        if let Some(alert) = alert {
            assert_eq!((alert.kind, alert.domains, alert.nonexistent, alert.generated), (1, 5, 5, 0));
            assert_eq!(alert.name.as_bytes(), b"river3.example");
        }
    }
    let burst = |detector: &mut Detector, at| {
        (0..20).filter(|n| ask(detector, 1, at, &format!("lake{n}.example"), true).is_some()).count()
    };
    assert_eq!(burst(&mut detector, 2), 0, "told once in a window");
    assert_eq!(burst(&mut detector, 60), 1, "and again in the next");
    assert_eq!(burst(&mut detector, 30), 0, "flows may come late");
}

#[test]
fn names_that_look_generated_and_the_share_of_them() {
    let label = |n: u8| format!("x{}qzkv{0}wj.example", char::from(b'a' + n));
    let mut few = detector("-g 6");
    assert_eq!((0..10).filter_map(|n| ask(&mut few, 1, 0, &label(n), false)).map(|a| a.kind).collect::<Vec<_>>(), [2]);
    let mut busy = detector("-g 6 -s 0.5");
    for n in 0..12 {
        ask(&mut busy, 1, 0, &format!("mountain{n}.example"), false);
    }
    assert!((0..10).all(|n| ask(&mut busy, 1, 0, &label(n), false).is_none()), "10 of 22");
    let mut excluded = detector("-g 2 -x 10.0.0.0/8");
    assert!((0..10).all(|n| ask(&mut excluded, 1, 0, &label(n), true).is_none()));
}

#[test]
fn hosts_and_domains_are_bounded() {
    let mut detector = Detector::with_room(Settings::default(), 4, 100);
    for n in 0..2_000_u32 {
        ask(&mut detector, (n % 7) as u8, 0, &format!("forest{n}.example"), false);
        let sum: usize = detector.hosts.iter().map(|(_, host)| host.domains.len()).sum();
        assert!(sum == detector.domains && sum <= 100 && detector.hosts.len() <= 4);
    }
    assert!(detector.hosts.evicted() > 0);
    for n in 0..3_000 {
        ask(&mut detector, 1, 0, &format!("meadow{n}.example"), false);
    }
    let mut one = Detector::with_room(Settings::default(), 4, 5_000);
    for n in 0..3_000 {
        let _counted = ask(&mut one, 1, 0, &format!("meadow{n}.example"), false);
    }
    assert_eq!(one.domains, DOMAINS_MAX);
}

proptest! {
    /// Any questions: an alert is about a host that asked, no more often than a window allows, and what is counted adds up.
    #[test]
    fn any_questions(questions in prop::collection::vec((0_u8..4, 0_u64..5_000, "[a-z0-9-]{0,12}\\.?[a-z.]{0,6}", any::<bool>()), 0..300)) {
        let mut detector = Detector::with_room(Settings { nonexistent: 3, generated: 3, ..Settings::default() }, 3, 50);
        for (host, at, name, is_refused) in questions {
            if let Some(alert) = ask(&mut detector, host, at, &name, is_refused) {
                prop_assert_eq!(alert.host, IpAddr::from([10, 0, 0, host]));
                prop_assert!(alert.nonexistent <= alert.domains && alert.generated <= alert.domains && (1..=3).contains(&alert.kind));
            }
            let sum: usize = detector.hosts.iter().map(|(_, host)| host.domains.len()).sum();
            prop_assert_eq!(sum, detector.domains);
        }
    }
}
