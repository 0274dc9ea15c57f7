//! login_bf_detector: passwords guessed at SSH, Remote Desktop, SMB and Kerberos, told from what the probe reads of the protocols
//! (docs/detectors.md).
//!
//! A flow brings refusals, or an admission. Refusals are summed over a window by source and service, and by server and service; what is
//! too many is told once and again after a while. An admission to who had too many refusals is told at once, as a breach.
mod attempt;

use crate::bounded::Bounded;
use crate::sdk::{
    self, Count, Failure, GO_ON, Module, ModuleInfo, Options, Param, Reader, Text, Time, Writer, record, value,
};
use crate::slices::{Slices, Window};
use attempt::{Attempt, In, Outcome, Service};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::ControlFlow;

/// Sources and servers that are watched, each with its service; some 1 kB each.
const PARTIES_MAX: usize = 65_536;
/// Others that are told apart for one source or server; more count as so many.
const OTHERS_MAX: usize = 64;

/// What is enough of what. All are 1 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    /// Refusals that make an attack of one source; of many sources, three times as many.
    refusals: u64,
    /// Sources that make it a distributed one.
    sources: usize,
    /// Seconds of the window.
    window: u64,
    /// Seconds until the same is told again.
    silence: u64,
    /// Bytes of both directions below which a Remote Desktop connection was a refused login.
    desktop: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { refusals: 20, sources: 10, window: 300, silence: 1_800, desktop: 30_000 }
    }
}

/// Refusals of a distributed attack, for each that one source needs.
const DISTRIBUTED_FACTOR: u64 = 3;

/// One line for lists of modules.
pub const ABOUT: &str = "Detects passwords guessed at SSH, Remote Desktop, SMB and Kerberos.";

pub(crate) const INFO: ModuleInfo = ModuleInfo {
    name: "login_bf_detector",
    description: "Counts refused logins that the probe's plugins ssh, rdp, smb and kerberos see, by source and by server: \
                  sonda probe -i eth0 --l7 ssh,rdp,smb,kerberos --unirec ssh,rdp,smb,kerberos=u:logins, then login_bf_detector -i u:logins,u:alerts. \
                  Needs biflows; a template may lack any of these fields.\n\
                  At most 65536 sources and 65536 servers are watched at a time; the one without a login for longest makes room, which is \
                  counted and told at the end.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        't',
        "threshold",
        "uint64",
        "Refused logins of a source within the window that are an attack. (20 by default)",
    ),
    value(
        'd',
        "distributed",
        "uint64",
        "Sources at one server that are a distributed attack, with 3 times the refusals. (10 by default)",
    ),
    value('w', "window", "uint64", "Seconds of flow time over which refusals are summed. (300 by default)"),
    value('r', "repeat", "uint64", "Seconds after which an attack that goes on is told again. (1800 by default)"),
    value(
        'b',
        "rdp_bytes",
        "uint64",
        "Bytes below which a Remote Desktop connection was a refused login. (30000 by default)",
    ),
];

record! {
    /// An attack.
    pub struct Alert = "login_bf" {
        /// A server of the attack: the last one.
        target: IpAddr, unirec "DST_IP";
        /// Who guesses; 0.0.0.0 if they are many.
        source: IpAddr, unirec "SRC_IP";
        /// Refusals within the window.
        refusals: u64, unirec "LBF_REFUSALS";
        /// The first refusal since it was quiet.
        first: Time, unirec "TIME_FIRST";
        /// The login that made the alert.
        last: Time, unirec "TIME_LAST";
        /// Servers of the source, or sources of the server.
        parties: u32, unirec "LBF_PARTIES";
        /// Port of the server.
        port: u16, unirec "DST_PORT";
        /// 0 of one source, 1 of many.
        kind: u8, unirec "LBF_TYPE";
        /// 1 attempts, 2 one of them was admitted.
        severity: u8, unirec "LBF_SEVERITY";
        /// ssh, rdp, smb, kerberos.
        service: Text<16>, unirec "LBF_SERVICE";
        /// The last user that was tried, if the protocol says so in the clear.
        user: Text<128>, unirec "LBF_USER";
    }
}

const SINGLE: u8 = 0;
const DISTRIBUTED: u8 = 1;
const ATTEMPTS: u8 = 1;
const BREACH: u8 = 2;

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    sdk::main(&INFO, args, run)
}

fn run(module: &mut Module) -> Result<(), Failure> {
    let mut detector = Detector::new(Settings::read(&module.options)?);
    let mut out = Writer::new(&mut module.outputs[0])?;
    let mut alerts = Vec::new();
    let ended = Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
        for attempt in Attempt::of(fields, record, detector.settings.desktop) {
            detector.take(&attempt, &mut alerts);
        }
        for alert in alerts.drain(..) {
            if out.send(&alert)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        GO_ON
    })?;
    detector.sources.tell("sources");
    detector.servers.tell("servers");
    out.end(ended)
}

impl Settings {
    fn read(options: &Options) -> Result<Settings, Failure> {
        let mut settings = Settings::default();
        let mut sources = settings.sources as u64;
        for (letter, into) in [
            ('t', &mut settings.refusals),
            ('d', &mut sources),
            ('w', &mut settings.window),
            ('r', &mut settings.silence),
            ('b', &mut settings.desktop),
        ] {
            *into = match options.value(letter)? {
                Some(0) => return Err(Failure::Usage(format!("-{letter} must be 1 or more."))),
                given => given.unwrap_or(*into),
            };
        }
        if sources > OTHERS_MAX as u64 {
            return Err(Failure::Usage(format!("-d must be {OTHERS_MAX} or less: no more are told apart.")));
        }
        settings.sources = sources as usize;
        Ok(settings)
    }
}

/// All sources and servers.
struct Detector {
    settings: Settings,
    window: Window,
    sources: Bounded<(IpAddr, Service), Party>,
    servers: Bounded<(IpAddr, Service), Party>,
}

/// A source with the servers that it tries, or a server with who tries it.
#[derive(Default)]
struct Party {
    refusals: Slices,
    /// The other side, each with the second of its last refusal.
    others: Vec<(IpAddr, u64)>,
    /// The first refusal since there were none.
    first: Time,
    /// When it was told, and how bad it was; 0 for never.
    told: u64,
    severity: u8,
}

impl Party {
    /// Counts refusals; answers how many there are within the window, and of how many others.
    fn refuse(&mut self, settings: &Settings, window: Window, attempt: &Attempt<'_>, other: IpAddr) -> (u64, usize) {
        let secs = attempt.last.secs();
        if self.refusals.sum(window, secs) == 0 {
            self.first = attempt.first;
            self.others.clear();
        }
        self.refusals.add(window, secs, attempt.refusals);
        self.others.retain(|(_, at)| at.saturating_add(settings.window) > secs);
        if let Some((_, at)) = self.others.iter_mut().find(|(known, _)| *known == other) {
            *at = secs.max(*at);
        } else if self.others.len() < OTHERS_MAX {
            self.others.push((other, secs));
        }
        (self.refusals.sum(window, secs), self.others.len())
    }

    /// Whether an attack is news: the first, one that became worse, or one that was not told for a while.
    fn is_news(&mut self, settings: &Settings, secs: u64, severity: u8) -> bool {
        let is_quiet = self.told != 0 && secs < self.told.saturating_add(settings.silence);
        if is_quiet && severity <= self.severity {
            return false;
        }
        (self.told, self.severity) = (secs.max(1), severity);
        true
    }
}

impl Detector {
    fn new(settings: Settings) -> Detector {
        Detector {
            settings,
            window: Window::of(settings.window),
            sources: Bounded::new(PARTIES_MAX),
            servers: Bounded::new(PARTIES_MAX),
        }
    }

    fn take(&mut self, attempt: &Attempt<'_>, alerts: &mut Vec<Alert>) {
        match attempt.outcome {
            Outcome::Refused => self.refuse(attempt, alerts),
            Outcome::Admitted => self.admit(attempt, alerts),
        }
    }

    fn refuse(&mut self, attempt: &Attempt<'_>, alerts: &mut Vec<Alert>) {
        let (settings, window, secs) = (&self.settings, self.window, attempt.last.secs());
        let (source, _) = self.sources.entry((attempt.source, attempt.service), Party::default);
        let (refusals, servers) = source.refuse(settings, window, attempt, attempt.target);
        if refusals >= settings.refusals && source.is_news(settings, secs, ATTEMPTS) {
            alerts.push(alert(attempt, source, (refusals, servers), (SINGLE, ATTEMPTS)));
        }
        let (server, _) = self.servers.entry((attempt.target, attempt.service), Party::default);
        let (refusals, sources) = server.refuse(settings, window, attempt, attempt.source);
        let is_attack = refusals >= settings.refusals.saturating_mul(DISTRIBUTED_FACTOR) && sources >= settings.sources;
        if is_attack && server.is_news(settings, secs, ATTEMPTS) {
            alerts.push(alert(attempt, server, (refusals, sources), (DISTRIBUTED, ATTEMPTS)));
        }
    }

    /// Who is admitted after what is an attack has guessed right; other admissions say nothing.
    fn admit(&mut self, attempt: &Attempt<'_>, alerts: &mut Vec<Alert>) {
        let (settings, secs) = (&self.settings, attempt.last.secs());
        let Some(source) = self.sources.get_mut(&(attempt.source, attempt.service)) else { return };
        let refusals = source.refusals.sum(self.window, secs);
        if refusals >= settings.refusals && source.is_news(settings, secs, BREACH) {
            let servers = source.others.len();
            alerts.push(alert(attempt, source, (refusals, servers), (SINGLE, BREACH)));
        }
    }
}

fn alert(attempt: &Attempt<'_>, party: &Party, (refusals, parties): (u64, usize), (kind, severity): (u8, u8)) -> Alert {
    let mut alert = Alert {
        target: attempt.target,
        source: if kind == SINGLE { attempt.source } else { Ipv4Addr::UNSPECIFIED.into() },
        refusals,
        first: party.first,
        last: attempt.last,
        parties: parties as u32,
        port: attempt.port,
        kind,
        severity,
        service: Text::default(),
        user: Text::default(),
    };
    alert.service.set(attempt.service.name().as_bytes());
    alert.user.set(attempt.user);
    alert
}

#[cfg(test)]
mod tests;
