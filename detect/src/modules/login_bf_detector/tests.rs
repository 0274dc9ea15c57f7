use super::*;

fn attempt(secs: u64, source: u8, target: u8, outcome: Outcome) -> Attempt<'static> {
    Attempt {
        service: Service::Ssh,
        source: [192, 0, 2, source].into(),
        target: [198, 51, 100, target].into(),
        port: 22,
        first: Time(secs * 1_000_000_000),
        last: Time(secs * 1_000_000_000),
        outcome,
        refusals: u64::from(outcome == Outcome::Refused),
        user: b"root",
    }
}

/// Kind, severity, refusals, parties and second of each alert.
fn run(settings: Settings, attempts: impl IntoIterator<Item = Attempt<'static>>) -> Vec<(u8, u8, u64, u32, u64)> {
    let (mut detector, mut alerts) = (Detector::new(settings), Vec::new());
    attempts.into_iter().for_each(|attempt| detector.take(&attempt, &mut alerts));
    alerts.iter().map(|a| (a.kind, a.severity, a.refusals, a.parties, a.last.secs())).collect()
}

use Outcome::{Admitted, Refused};

#[test]
fn one_source() {
    let guesses = |every: u64, n: u64| (0..n).map(move |k| attempt(1_000 + every * k, 1, (k % 2) as u8, Refused));
    assert_eq!(run(Settings::default(), guesses(1, 20)), [(SINGLE, ATTEMPTS, 20, 2, 1_019)]);
    assert_eq!(run(Settings::default(), guesses(1, 19)), []);
    // One in 20 seconds is below the threshold for ever.
    assert_eq!(run(Settings::default(), guesses(20, 1_000)), []);
    // Told again after half an hour.
    let long = run(Settings::default(), guesses(10, 400));
    assert_eq!(long.iter().map(|alert| alert.4).collect::<Vec<_>>(), [1_190, 2_990, 4_790]);
}

#[test]
fn an_admission_after_guesses_is_a_breach() {
    let guesses = || (0..20).map(|k| attempt(1_000 + k, 1, 1, Refused));
    let told =
        run(Settings::default(), guesses().chain([attempt(1_030, 1, 1, Admitted), attempt(1_031, 1, 1, Admitted)]));
    assert_eq!(told, [(SINGLE, ATTEMPTS, 20, 1, 1_019), (SINGLE, BREACH, 20, 1, 1_030)]);
    // Somebody else, or the same one much later.
    assert_eq!(run(Settings::default(), guesses().chain([attempt(1_030, 2, 1, Admitted)])).len(), 1);
    assert_eq!(run(Settings::default(), guesses().chain([attempt(1_400, 1, 1, Admitted)])).len(), 1);
    assert_eq!(
        run(Settings::default(), (0..9).map(|k| attempt(k, 1, 1, Refused)).chain([attempt(9, 1, 1, Admitted)])),
        []
    );
}

#[test]
fn many_sources() {
    let guesses = |sources: u64, n: u64| (0..n).map(move |k| attempt(1_000 + k, (k % sources) as u8, 1, Refused));
    assert_eq!(run(Settings::default(), guesses(10, 60)), [(DISTRIBUTED, ATTEMPTS, 60, 10, 1_059)]);
    assert_eq!(run(Settings::default(), guesses(10, 59)), []);
    assert_eq!(run(Settings { sources: 11, ..Settings::default() }, guesses(10, 60)), []);
}

#[test]
fn parties_are_bounded() {
    let (mut detector, mut alerts) = (Detector::new(Settings::default()), Vec::new());
    for n in 0..PARTIES_MAX as u32 + 5 {
        let source = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        detector.take(&Attempt { source, ..attempt(1_000, 0, 1, Refused) }, &mut alerts);
    }
    assert_eq!((detector.sources.len(), detector.sources.evicted(), detector.servers.len()), (PARTIES_MAX, 5, 1));
    let (_, server) = detector.servers.oldest().expect("the one");
    assert_eq!(server.others.len(), OTHERS_MAX);
}
