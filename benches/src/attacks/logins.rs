//! Who tries passwords at machines, as the protocols tell it; the last one is right where a protocol says so.
use super::{Scene, attacker, connection, datagrams, victim};
use crate::dialog::kerberos::{self, Exchange};
use crate::dialog::rdp::{self, Answer, Connection};
use crate::dialog::{Turn, smb, ssh};
use crate::{Nanos, Rng, SECOND};

/// Twelve connections of three wrong passwords, then one that works at once.
pub(super) fn ssh(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let guesses =
        ssh::Login { client: "SSH-2.0-libssh_0.9.6", server: ssh::SERVER, refused: 3, accepted: false, session: 2_000 };
    let login = ssh::Login { refused: 0, accepted: true, ..guesses };
    let talks = (0..12).map(|_| guesses.turns()).chain([login.turns()]);
    streams(begins, rng, 40, 22, talks)
}

/// Thirty connections as short as a login that CredSSP refuses.
pub(super) fn desktop(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let guess = Connection {
        user: Some("administr"),
        requested: rdp::TLS | rdp::CREDSSP,
        answer: Answer::Selected(rdp::CREDSSP),
        session: [1_600, 2_400],
    };
    streams(begins, rng, 41, 3389, (0..30).map(|_| guess.turns()))
}

pub(super) fn smb(begins: Nanos, rng: &mut Rng) -> Vec<Scene> {
    let guesses = smb::Logon {
        user: "administrator",
        domain: "EXAMPLE",
        workstation: "kali",
        dialect: 0x0302,
        refused: 3,
        granted: false,
        work: 2_000,
    };
    let logon = smb::Logon { refused: 0, granted: true, ..guesses };
    streams(begins, rng, 42, 445, (0..10).map(|_| guesses.turns()).chain([logon.turns()]))
}

/// One password for thirty users.
pub(super) fn kerberos(begins: Nanos, _rng: &mut Rng) -> Vec<Scene> {
    let guess = |number: u16| {
        let user = format!("user{number}");
        let login = Exchange { realm: "EXAMPLE.ORG", client: &user, server: &["krbtgt", "EXAMPLE.ORG"], ticket: 0 };
        let turns = kerberos::datagrams(login.refused(kerberos::WRONG_PASSWORD));
        let talk = datagrams((attacker(43), 40_000 + number), (victim(88), 88), turns);
        (begins + u64::from(number) * SECOND, Box::new(talk) as _)
    };
    (0..30).map(guess).collect()
}

/// Connections of one attacker to a port, two seconds apart.
fn streams(begins: Nanos, rng: &mut Rng, who: u8, port: u16, talks: impl Iterator<Item = Vec<Turn>>) -> Vec<Scene> {
    let stream = |(number, turns): (u16, Vec<Turn>)| {
        let mut session = connection((attacker(who), 40_000 + number), (victim(who), port), turns);
        session.isn = [rng.draw() as u32, rng.draw() as u32];
        (begins + u64::from(number) * 2 * SECOND, Box::new(session) as _)
    };
    (0..).zip(talks).map(stream).collect()
}
