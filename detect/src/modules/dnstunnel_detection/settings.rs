//! Options and limits. Several are pairs in one value, as in the original.
use crate::sdk::{Failure, Options};
use std::path::PathBuf;
use std::str::FromStr;

/// Mean and variance of sizes between which traffic is as usual, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usual {
    pub(super) mean_min: u32,
    pub(super) mean_max: u32,
    pub(super) variance_min: u32,
    pub(super) variance_max: u32,
}

/// What the user asked for. Shares are single-precision, as in the original, where that decides at the edge.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) progress: u64,
    pub(super) domains: Option<PathBuf>,
    pub(super) addresses: Option<PathBuf>,
    pub(super) log: Option<PathBuf>,
    /// Folder for what is written at the end.
    pub(super) results: Option<PathBuf>,
    pub(super) event_file: PathBuf,
    /// Seconds of a session.
    pub(super) session: u64,
    pub(super) limits: Limits,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub(super) requests: Usual,
    pub(super) responses: Usual,
    /// Different characters of a name that are usual.
    pub(super) request_letters: u32,
    pub(super) response_letters: u32,
    pub(super) digits: u32,
    pub(super) digits_share: f32,
    pub(super) malformed_share: f32,
    /// Names inserted, for other anomalies and for tunnels.
    pub(super) request_other: u32,
    pub(super) request_tunnel: u32,
    pub(super) response_other: u32,
    pub(super) response_tunnel: u32,
    /// Shares of names that came once; above is a tunnel, below another anomaly.
    pub(super) once_max: f32,
    pub(super) once_min: f32,
    /// Rounds without evidence that end the watch: the first number of `-t` and the second. Request tunnels have them the other way round.
    pub(super) rounds: (u32, u32),
    pub(super) length_min: u32,
    /// What is asked of the capture of a tunnel.
    pub(super) capture_packets: u32,
    pub(super) capture_secs: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            requests: Usual { mean_min: 70, mean_max: 100, variance_min: 30, variance_max: 150 },
            responses: Usual { mean_min: 70, mean_max: 600, variance_min: 200, variance_max: 50_000 },
            request_letters: 25,
            response_letters: 30,
            digits: 15,
            digits_share: 0.3,
            malformed_share: 0.3,
            request_other: 10_000,
            request_tunnel: 150,
            response_other: 10_000,
            response_tunnel: 50,
            once_max: 0.9,
            once_min: 0.005,
            rounds: (3, 5),
            length_min: 100,
            capture_packets: 1_000,
            capture_secs: 300,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            progress: 0,
            domains: None,
            addresses: None,
            log: None,
            results: None,
            event_file: "/data/dnstunnel_detection/event_id.txt".into(),
            session: 60,
            limits: Limits::default(),
        }
    }
}

impl Settings {
    /// Reads the options.
    pub(super) fn read(options: &Options) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        let file = |letter| options.text(letter).map(PathBuf::from);
        (settings.domains, settings.addresses, settings.log) = (file('a'), file('b'), file('d'));
        settings.results = file('s');
        settings.event_file = file('E').unwrap_or(settings.event_file);
        settings.progress = options.value('p')?.unwrap_or(0);
        settings.session = options.value('z')?.unwrap_or(settings.session);
        let limits = &mut settings.limits;
        for (letter, usual) in [('g', &mut limits.requests), ('r', &mut limits.responses)] {
            if let Some([mean_min, mean_max, variance_min, variance_max]) = list(options, letter)? {
                *usual = Usual { mean_min, mean_max, variance_min, variance_max };
            }
        }
        let pair = |letter| list::<u32, 2>(options, letter).map(|pair| pair.map(|[first, second]| (first, second)));
        if let Some(pair) = pair('j')? {
            (limits.request_letters, limits.response_letters) = pair;
        }
        if let Some(pair) = pair('n')? {
            (limits.request_other, limits.request_tunnel) = pair;
        }
        if let Some(pair) = pair('o')? {
            (limits.response_other, limits.response_tunnel) = pair;
        }
        if let Some(pair) = pair('S')? {
            (limits.capture_packets, limits.capture_secs) = pair;
        }
        limits.rounds = pair('t')?.unwrap_or(limits.rounds);
        // Read for its form alone; nothing asks for it, in the original neither.
        let _: Option<[f32; 2]> = list(options, 'k')?;
        if let Some([max, min]) = list(options, 'q')? {
            (limits.once_max, limits.once_min) = (max, min);
        }
        if let Some(value) = options.text('l') {
            let (digits, share) = value.split_once(',').ok_or_else(|| wrong('l'))?;
            limits.digits = digits.trim().parse().map_err(|_| wrong('l'))?;
            limits.digits_share = share.trim().parse().map_err(|_| wrong('l'))?;
        }
        limits.malformed_share = options.value('m')?.unwrap_or(limits.malformed_share);
        limits.length_min = options.value('w')?.unwrap_or(limits.length_min);
        Ok(settings)
    }
}

/// Numbers separated by commas.
fn list<T: FromStr + Copy + Default, const N: usize>(
    options: &Options,
    letter: char,
) -> Result<Option<[T; N]>, Failure> {
    let Some(text) = options.text(letter) else { return Ok(None) };
    let mut numbers = [T::default(); N];
    let mut parts = text.split(',');
    for number in &mut numbers {
        *number = parts.next().and_then(|part| part.trim().parse().ok()).ok_or_else(|| wrong(letter))?;
    }
    if parts.next().is_some() { Err(wrong(letter)) } else { Ok(Some(numbers)) }
}

fn wrong(letter: char) -> Failure {
    Failure::Usage(format!("Missing '{letter}' argument; the help (-h) says which numbers it takes"))
}
