//! One capture for each protocol in which people log in to machines: granted and refused.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::kerberos::{self, Exchange};
use crate::dialog::rdp::{self, Answer, Connection};
use crate::dialog::{Datagrams, TcpSession, smb, ssh};

pub(super) const CASES: &[Case] = &[
    clean(
        "ssh",
        "a session after one wrong password, algorithms in pieces of 250 bytes; and four wrong passwords on a port of its own",
        (88, 16576),
        Flows::new(2, 4),
        || {
            let login =
                ssh::Login { client: ssh::CLIENT, server: ssh::SERVER, refused: 1, accepted: true, session: 3000 };
            let mut session = TcpSession::new(route(40001, 22), login.turns());
            session.segment = 250;
            let guesses = ssh::Login { client: "SSH-2.0-libssh_0.9.6", refused: 4, accepted: false, ..login };
            let mut tape = Tape::new();
            tape.play(0, session);
            tape.play(SECOND, TcpSession::new(route6(40002, 2222), guesses.turns()));
            tape.plain()
        },
    ),
    clean(
        "rdp",
        "CredSSP with a cookie, a refusal, a server without negotiation",
        (33, 8020),
        Flows::new(3, 6),
        || {
            let chosen = Connection {
                user: Some("administr"),
                requested: rdp::TLS | rdp::CREDSSP,
                answer: Answer::Selected(rdp::CREDSSP),
                session: [900, 1800],
            };
            let refused = Connection { requested: rdp::TLS, answer: Answer::Refused(5), ..chosen };
            let plain = Connection { user: None, requested: 0, answer: Answer::Plain, ..chosen };
            let mut tape = Tape::new();
            for (number, connection) in [chosen, refused].into_iter().enumerate() {
                tape.play(
                    number as u64 * SECOND,
                    TcpSession::new(route(40001 + number as u16, 3389), connection.turns()),
                );
            }
            tape.play(2 * SECOND, TcpSession::new(route6(40003, 3389), plain.turns()));
            tape.plain()
        },
    ),
    clean(
        "smb",
        "a logon that is granted after one that is not; three that are refused",
        (42, 10578),
        Flows::new(2, 4),
        || {
            let logon = smb::Logon {
                user: "alice",
                domain: "EXAMPLE",
                workstation: "WS-7",
                dialect: 0x0302,
                refused: 1,
                granted: true,
                work: 2000,
            };
            let guesses = smb::Logon { user: "Jürgen", workstation: "kali", refused: 3, granted: false, ..logon };
            let mut tape = Tape::new();
            tape.play(0, TcpSession::new(route(40001, 445), logon.turns()));
            tape.play(SECOND, TcpSession::new(route6(40002, 445), guesses.turns()));
            tape.plain()
        },
    ),
    clean(
        "kerberos",
        "a login over UDP: password needed, wrong, right; over TCP a ticket whose request spans segments, and an unknown client",
        (25, 5651),
        Flows::new(5, 10),
        || {
            let login =
                Exchange { realm: "EXAMPLE.ORG", client: "alice", server: &["krbtgt", "EXAMPLE.ORG"], ticket: 0 };
            let ticket = Exchange { server: &["cifs", "files.example.org"], ticket: 2000, ..login };
            let unknown = Exchange { client: "mallory", ..login };
            let exchanges =
                [login.refused(kerberos::PASSWORD_NEEDED), login.refused(kerberos::WRONG_PASSWORD), login.granted()];
            let mut tape = Tape::new();
            for (number, exchange) in exchanges.into_iter().enumerate() {
                let talk = Datagrams::udp(route(41001 + number as u16, 88), kerberos::datagrams(exchange));
                tape.play(number as u64 * SECOND, talk);
            }
            let exchanges = [ticket.ticket(), unknown.refused(kerberos::CLIENT_UNKNOWN)];
            for (number, exchange) in exchanges.into_iter().enumerate() {
                let talk = TcpSession::new(route6(41004 + number as u16, 88), kerberos::stream(exchange));
                tape.play((3 + number as u64) * SECOND, talk);
            }
            tape.plain()
        },
    ),
];
