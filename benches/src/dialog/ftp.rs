//! FTP control connections (RFC 959): a login, refused or accepted, and what is fetched; or TLS (RFC 4217), then noise.
use super::{Side, Turn};

/// A connection in the clear.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub user: &'a str,
    /// Wrong passwords before the right one.
    pub refused: usize,
    pub accepted: bool,
    /// What is fetched afterwards.
    pub file: Option<&'a str>,
}

const GREETING: &str = "220 ftp.example.org FTP server ready\r\n";

impl Login<'_> {
    pub fn turns(&self) -> Vec<Turn> {
        let mut turns = vec![Turn::server(GREETING)];
        for attempt in 0..self.refused + usize::from(self.accepted) {
            turns.extend([
                Turn::client(format!("USER {}\r\n", self.user)),
                Turn::server("331 Please specify the password.\r\n"),
                Turn::client(format!("PASS secret{attempt}\r\n")),
                Turn::server(if attempt < self.refused {
                    "530 Login incorrect.\r\n"
                } else {
                    "230-Welcome.\r\n230 Login successful.\r\n"
                }),
            ]);
        }
        if let Some(file) = self.file {
            turns.extend([
                Turn::client("TYPE I\r\n"),
                Turn::server("200 Switching to Binary mode.\r\n"),
                Turn::client("EPSV\r\n"),
                Turn::server("229 Entering Extended Passive Mode (|||40123|)\r\n"),
                Turn::client(format!("RETR {file}\r\n")),
                Turn::server("150 Opening BINARY mode data connection.\r\n"),
                Turn::server("226 Transfer complete.\r\n"),
            ]);
        }
        turns.extend([Turn::client("QUIT\r\n"), Turn::server("221 Goodbye.\r\n")]);
        turns
    }
}

/// A connection that is encrypted from the second command on, with so many bytes of the client and of the server.
pub fn encrypted(session: [u64; 2]) -> Vec<Turn> {
    vec![
        Turn::server(GREETING),
        Turn::client("AUTH TLS\r\n"),
        Turn::server("234 Proceed with negotiation.\r\n"),
        Turn::filler(Side::Client, session[0]),
        Turn::filler(Side::Server, session[1]),
    ]
}
