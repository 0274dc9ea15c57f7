//! IMAP sessions (RFC 9051): a login, refused or accepted, in the clear or by a literal, and a message that is read.
use super::{Side, Turn};

/// A session in the clear.
#[derive(Clone, Copy, Debug)]
pub struct Session<'a> {
    pub user: &'a str,
    /// Wrong passwords before the right one.
    pub refused: usize,
    pub accepted: bool,
    /// Bytes of the message, at least one line.
    pub message: usize,
}

const GREETING: &str = "* OK imap.example.org ready\r\n";

impl Session<'_> {
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns = vec![Turn::server(GREETING)];
        let attempts = self.refused + usize::from(self.accepted);
        for attempt in 0..attempts {
            turns.push(Turn::client(format!("a{attempt} LOGIN {} secret{attempt}\r\n", self.user)));
            turns.push(Turn::server(if attempt < self.refused {
                format!("a{attempt} NO [AUTHENTICATIONFAILED] no\r\n")
            } else {
                format!("a{attempt} OK Logged in\r\n")
            }));
        }
        if self.accepted {
            let line = "a9 NO is no answer where a letter says so.\r\n";
            let text = line.repeat(self.message / line.len() + 1);
            turns.extend([
                Turn::client("b1 SELECT INBOX\r\n"),
                Turn::server("* 1 EXISTS\r\nb1 OK [READ-WRITE] done\r\n"),
                Turn::client("b2 UID FETCH 1 BODY[]\r\n"),
                Turn::server(format!("* 1 FETCH (UID 1 BODY[] {{{}}}\r\n{text})\r\nb2 OK done\r\n", text.len())),
            ]);
        }
        turns.extend([Turn::client("b3 LOGOUT\r\n"), Turn::server("* BYE\r\nb3 OK\r\n")]);
        turns
    }
}

/// A connection that is encrypted from its first command on, with so many bytes of the client and of the server.
pub fn encrypted(session: [u64; 2]) -> Vec<Turn> {
    vec![
        Turn::server(GREETING),
        Turn::client("a1 STARTTLS\r\n"),
        Turn::server("a1 OK Begin TLS negotiation now\r\n"),
        Turn::filler(Side::Client, session[0]),
        Turn::filler(Side::Server, session[1]),
    ]
}
