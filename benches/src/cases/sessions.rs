//! One capture for each protocol of text lines in which people fetch files and letters: granted, refused, and turned to TLS.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::{TcpSession, Turn, ftp, imap, pop3};

pub(super) const CASES: &[Case] = &[
    clean(
        "ftp",
        "a file after one wrong password, three wrong passwords, and a connection that turns to TLS",
        (60, 6454),
        Flows::new(3, 6),
        || {
            let fetch = ftp::Login { user: "alice", refused: 1, accepted: true, file: Some("/pub/report 2020.pdf") };
            let guesses = ftp::Login { user: "admin", refused: 3, accepted: false, file: None };
            three(21, [fetch.turns(), guesses.turns(), ftp::encrypted([300, 900])])
        },
    ),
    clean(
        "pop3",
        "a letter after one wrong password, two wrong passwords, and a connection that turns to TLS",
        (59, 9070),
        Flows::new(3, 6),
        || {
            let fetch = pop3::Session { user: "alice@example.org", refused: 1, accepted: true, message: 3000 };
            let guesses = pop3::Session { user: "admin", refused: 2, accepted: false, message: 0 };
            three(110, [fetch.turns(), guesses.turns(), pop3::encrypted([300, 900])])
        },
    ),
    clean(
        "imap",
        "a letter after one wrong password, two wrong passwords, and a connection that turns to TLS",
        (47, 8209),
        Flows::new(3, 6),
        || {
            let fetch = imap::Session { user: "alice@example.org", refused: 1, accepted: true, message: 3000 };
            let guesses = imap::Session { user: "admin", refused: 2, accepted: false, message: 0 };
            three(143, [fetch.turns(), guesses.turns(), imap::encrypted([300, 900])])
        },
    ),
];

/// Three sessions with a server's port, the second over IPv6.
fn three(port: u16, [first, second, third]: [Vec<Turn>; 3]) -> Vec<u8> {
    let mut tape = Tape::new();
    tape.play(0, TcpSession::new(route(40001, port), first));
    tape.play(SECOND, TcpSession::new(route6(40002, port), second));
    tape.play(2 * SECOND, TcpSession::new(route(40003, port), third));
    tape.plain()
}
