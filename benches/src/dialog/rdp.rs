//! Remote Desktop connections ([MS-RDPBCGR] 2.2.1): the negotiation of security, then noise as after a TLS handshake.
use super::{Side, Turn};

/// A connection attempt.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The user that the cookie names; none without one.
    pub user: Option<&'a str>,
    /// Security that the client offers.
    pub requested: u32,
    pub answer: Answer,
    /// Bytes that follow, from the client and from the server.
    pub session: [u64; 2],
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Selected(u32),
    Refused(u32),
    /// A server from before security was negotiated.
    Plain,
}

/// Security protocols.
pub const TLS: u32 = 1;
pub const CREDSSP: u32 = 2;

impl Connection<'_> {
    pub fn turns(&self) -> Vec<Turn> {
        let (confirm, goes_on) = match self.answer {
            Answer::Selected(protocol) => (x224(0xd0, &negotiation(2, protocol)), true),
            Answer::Refused(code) => (x224(0xd0, &negotiation(3, code)), false),
            Answer::Plain => (x224(0xd0, &[]), true),
        };
        let mut turns = vec![Turn::client(self.request()), Turn::server(confirm)];
        if goes_on {
            turns.extend([Turn::filler(Side::Client, self.session[0]), Turn::filler(Side::Server, self.session[1])]);
        }
        turns
    }

    fn request(&self) -> Vec<u8> {
        let mut variable =
            self.user.map(|user| format!("Cookie: mstshash={user}\r\n").into_bytes()).unwrap_or_default();
        if self.requested != 0 {
            variable.extend(negotiation(1, self.requested));
        }
        x224(0xe0, &variable)
    }
}

/// A session as traffic mixes need it, with so many bytes of the client and of the server.
pub fn work(session: [u64; 2]) -> Vec<Turn> {
    let user = Some("alice");
    Connection { user, requested: TLS | CREDSSP, answer: Answer::Selected(CREDSSP), session }.turns()
}

/// A negotiation message.
fn negotiation(kind: u8, value: u32) -> Vec<u8> {
    [&[kind, 0, 8, 0][..], &value.to_le_bytes()].concat()
}

/// A connection request or confirm of X.224 in a TPKT (RFC 1006).
fn x224(code: u8, variable: &[u8]) -> Vec<u8> {
    let len = (11 + variable.len()) as u16;
    [&[3, 0][..], &len.to_be_bytes(), &[6 + variable.len() as u8, code, 0, 0, 0, 0, 0], variable].concat()
}
