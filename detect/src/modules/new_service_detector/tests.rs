use super::*;
use proptest::prelude::*;

const BEGAN: u64 = 1_700_000_000;
const DAY: u64 = 86_400;

fn detector(line: &str) -> Detector {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    Detector::open(Settings::parse(&words).unwrap()).unwrap()
}

/// An answer of a server to a client, so long after the begin.
fn answer(detector: &mut Detector, server: u8, port: u16, client: u8, at: u64) -> Option<Alert> {
    let now = BEGAN + at;
    detector.state.begin(now);
    detector.save_if_due(now);
    let service = (IpAddr::from([10, 0, 0, server]), port, TCP);
    let client = (IpAddr::from([192, 0, 2, client]), 40_000);
    detector.answer(&Answer { service, client, times: [Time(now * 1_000_000_000); 2] }, now)
}

fn answers(detector: &mut Detector, server: u8, port: u16, at: u64) -> Vec<(u8, u32)> {
    (0..10).filter_map(|n| answer(detector, server, port, n, at + u64::from(n))).map(|a| (a.kind, a.known)).collect()
}

#[test]
fn a_new_server_and_a_new_port() {
    let mut detector = detector("");
    assert_eq!(answers(&mut detector, 1, 443, 0), [], "learned");
    assert_eq!(answers(&mut detector, 1, 443, 2 * DAY), [], "known");
    assert_eq!(answers(&mut detector, 1, 8080, 2 * DAY), [(2, 1)], "a port");
    assert_eq!(answers(&mut detector, 2, 22, 2 * DAY), [(1, 0)], "a server");
    assert_eq!(answers(&mut detector, 2, 22, 3 * DAY), [], "told once");
    // Clients of their own, whose ports are used once, are no services.
    assert!((0..100).all(|n| answer(&mut detector, 3, 1_024 + n, 1, 3 * DAY).is_none()));
    assert!((0..100).all(|_| answer(&mut detector, 3, 25, 1, 3 * DAY).is_none()), "one connection");
    let alert = (0..3).find_map(|n| answer(&mut detector, 4, 53, n, 4 * DAY)).unwrap();
    assert_eq!(
        (alert.server, alert.port, alert.client),
        (IpAddr::from([10, 0, 0, 4]), 53, IpAddr::from([192, 0, 2, 2]))
    );
}

#[test]
fn a_new_start_goes_on() {
    let folder = tempfile::TempDir::new().unwrap();
    let line = format!("-s {} -S 10", folder.path().join("state").display());
    let mut first = detector(&line);
    answers(&mut first, 1, 443, 0);
    assert_eq!(answers(&mut first, 1, 22, 2 * DAY), [(2, 1)]);
    // As if it were killed: what was known at the last time of writing counts.
    answer(&mut first, 1, 443, 0, 2 * DAY + 60);
    drop(first);
    let mut second = detector(&line);
    for port in [443, 22] {
        assert_eq!(answers(&mut second, 1, port, 2 * DAY + 100), []);
    }
    assert_eq!(answers(&mut second, 1, 23, 2 * DAY + 100), [(2, 2)], "it does not learn again");
    second.close().unwrap();
    std::fs::write(folder.path().join("state"), "nonsense").unwrap();
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    assert!(Detector::open(Settings::parse(&words).unwrap()).unwrap_err().contains("line 1 is damaged"));
}

proptest! {
    /// Any answers: no service is told of twice, none while learning.
    #[test]
    fn any_answers(answers in prop::collection::vec((0_u8..4, 1_u16..4, 0_u8..6, 0_u64..3 * DAY), 0..300)) {
        let mut detector = detector("-c 2");
        let mut told = Vec::new();
        let mut begin = None;
        for (server, port, client, at) in answers {
            let began = *begin.get_or_insert(at);
            if let Some(alert) = answer(&mut detector, server, port, client, at) {
                prop_assert!(at >= began + DAY);
                told.push((alert.server, alert.port));
            }
        }
        let count = told.len();
        told.sort_unstable();
        told.dedup();
        prop_assert_eq!(told.len(), count);
    }
}
