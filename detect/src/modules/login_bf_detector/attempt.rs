//! Logins as flow records tell of them: one reading for each protocol.
use crate::sdk::{IpAddr, Str, Time, View, fields};

fields! {
    /// What comes in. The fields of a protocol that the probe does not read are not there.
    pub(super) struct In {
        target: IpAddr = "DST_IP",
        source: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        first: Time = "TIME_FIRST",
        last: Time = "TIME_LAST",
        port: u16 = "DST_PORT",
        bytes_back: Option<u64> = "BYTES_REV",
        ssh: Option<u8> = "SSH_AUTH",
        ssh_answers: Option<u16> = "SSH_AUTH_ANSWERS",
        rdp: Option<u8> = "RDP_ANSWER",
        rdp_user: Option<Str> = "RDP_COOKIE",
        smb_refusals: Option<u16> = "SMB_LOGON_FAILURES",
        smb_logons: Option<u16> = "SMB_LOGONS",
        smb_user: Option<Str> = "SMB_USER",
        kerberos_refusals: Option<u16> = "KRB_FAILURES",
        kerberos_reply: Option<u8> = "KRB_REPLY",
        kerberos_user: Option<Str> = "KRB_CNAME",
    }
}

/// Where somebody logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Service {
    Ssh,
    Rdp,
    Smb,
    Kerberos,
}

impl Service {
    pub(super) fn name(self) -> &'static str {
        match self {
            Service::Ssh => "ssh",
            Service::Rdp => "rdp",
            Service::Smb => "smb",
            Service::Kerberos => "kerberos",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Refused,
    Admitted,
}

/// A flow's logins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt<'r> {
    pub(super) service: Service,
    pub(super) source: IpAddr,
    pub(super) target: IpAddr,
    pub(super) port: u16,
    pub(super) first: Time,
    pub(super) last: Time,
    pub(super) outcome: Outcome,
    /// Refusals, 1 or more; 0 for an admission.
    pub(super) refusals: u64,
    pub(super) user: &'r [u8],
}

/// Values of SSH_AUTH: see the plugin `ssh`.
const SSH_REFUSED: u8 = 1;
const SSH_ACCEPTED: u8 = 2;
/// Values of RDP_ANSWER: connected without and with a choice of security.
const RDP_CONNECTED: [u8; 2] = [1, 2];
/// A Remote Desktop session that is so many times as long as a refused login was somebody's work.
const SESSION_FACTOR: u64 = 10;
/// Kerberos: AS-REP.
const GRANTED: u8 = 11;

impl<'r> Attempt<'r> {
    /// What a record says: refusals first, then the admission, of at most one protocol.
    pub(super) fn of(fields: &In, record: &View<'r>, desktop: u64) -> impl Iterator<Item = Attempt<'r>> {
        let (service, refusals, is_admitted, user) = read(fields, record, desktop);
        let attempt = Attempt {
            service,
            source: fields.source(record),
            target: fields.target(record),
            port: fields.port(record),
            first: fields.first(record),
            last: fields.last(record),
            outcome: Outcome::Refused,
            refusals,
            user,
        };
        let admission = Attempt { outcome: Outcome::Admitted, refusals: 0, ..attempt };
        [(refusals > 0).then_some(attempt), is_admitted.then_some(admission)].into_iter().flatten()
    }
}

/// Service, refusals, admission, user. A record without a login has neither refusals nor admission.
fn read<'r>(fields: &In, record: &View<'r>, desktop: u64) -> (Service, u64, bool, &'r [u8]) {
    if let Some(auth @ 1..) = fields.ssh(record) {
        // The first answer is to the question which methods there are. Keys that an agent offers before an accepted one are no guesses.
        let answers = u64::from(fields.ssh_answers(record).unwrap_or(0));
        let refusals = if auth == SSH_REFUSED { answers.min(1).max(answers.saturating_sub(1)) } else { 0 };
        return (Service::Ssh, refusals, auth == SSH_ACCEPTED, b"");
    }
    if let (refusals, Some(logons)) = (fields.smb_refusals(record).unwrap_or(0), fields.smb_logons(record))
        && (refusals, logons) != (0, 0)
    {
        return (Service::Smb, refusals.into(), logons > 0, fields.smb_user(record).unwrap_or_default());
    }
    if let (refusals, Some(reply @ 1..)) =
        (fields.kerberos_refusals(record).unwrap_or(0), fields.kerberos_reply(record))
    {
        let user = fields.kerberos_user(record).unwrap_or_default();
        return (Service::Kerberos, refusals.into(), reply == GRANTED, user);
    }
    let is_connected = fields.rdp(record).is_some_and(|answer| RDP_CONNECTED.contains(&answer));
    let bytes = fields.bytes(record).saturating_add(fields.bytes_back(record).unwrap_or(0));
    let is_session = is_connected && bytes >= desktop.saturating_mul(SESSION_FACTOR);
    let user = fields.rdp_user(record).unwrap_or_default();
    (Service::Rdp, (is_connected && bytes < desktop).into(), is_session, user)
}
