//! POP3 sessions (RFC 1939): a login, refused or accepted, and a message that is fetched and deleted.
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

impl Session<'_> {
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns = vec![
            Turn::server("+OK pop.example.org POP3 ready\r\n"),
            Turn::client("CAPA\r\n"),
            Turn::server("+OK Capability list follows\r\nUSER\r\nUIDL\r\nSTLS\r\n.\r\n"),
        ];
        for attempt in 0..self.refused + usize::from(self.accepted) {
            turns.extend([
                Turn::client(format!("USER {}\r\n", self.user)),
                Turn::server("+OK\r\n"),
                Turn::client(format!("PASS secret{attempt}\r\n")),
                Turn::server(if attempt < self.refused { "-ERR [AUTH] no\r\n" } else { "+OK 1 message\r\n" }),
            ]);
        }
        if self.accepted {
            let line = "-ERR is no answer where a letter says so.\r\n";
            let text = line.repeat(self.message / line.len() + 1);
            turns.extend([
                Turn::client("RETR 1\r\n"),
                Turn::server(format!("+OK\r\nSubject: synthetic mail\r\n\r\n{text}.\r\n")),
                Turn::client("DELE 1\r\n"),
                Turn::server("+OK\r\n"),
            ]);
        }
        turns.extend([Turn::client("QUIT\r\n"), Turn::server("+OK\r\n")]);
        turns
    }
}

/// A connection that is encrypted from its first command on, with so many bytes of the client and of the server.
pub fn encrypted(session: [u64; 2]) -> Vec<Turn> {
    vec![
        Turn::server("+OK pop.example.org POP3 ready\r\n"),
        Turn::client("STLS\r\n"),
        Turn::server("+OK Begin TLS\r\n"),
        Turn::filler(Side::Client, session[0]),
        Turn::filler(Side::Server, session[1]),
    ]
}
