//! SIP over UDP (RFC 3261): a call from INVITE to BYE, a registration.
use super::{Side, Turn};
use crate::{MILLISECOND, Rng, SECOND};

const AGENT: &str = "sonda-phone/1.0";

/// The parties of a dialog.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub caller: &'a str,
    pub callee: &'a str,
    pub call_id: &'a str,
    /// Where the caller waits for answers, `host:port`.
    pub contact: &'a str,
}

impl Call<'_> {
    /// INVITE, 100, 180, 200, ACK, later BYE and its 200.
    pub fn turns(&self) -> Vec<Turn> {
        let host = self.contact.split(':').next().unwrap_or("192.0.2.1");
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=call\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8\r\n"
        );
        vec![
            Turn::client(self.request("INVITE", 1, &offer)),
            Turn::server(self.reply(100, "Trying", "INVITE", 1, "")),
            Turn::server(self.reply(180, "Ringing", "INVITE", 1, "")).after(300 * MILLISECOND),
            Turn::server(self.reply(200, "OK", "INVITE", 1, &offer)).after(2 * SECOND),
            Turn::client(self.request("ACK", 1, "")),
            Turn::client(self.request("BYE", 2, "")).after(4 * SECOND),
            Turn::server(self.reply(200, "OK", "BYE", 2, "")),
        ]
    }

    /// REGISTER and its 200; the callee is the caller itself.
    pub fn registration(&self) -> Vec<Turn> {
        vec![Turn::client(self.request("REGISTER", 1, "")), Turn::server(self.reply(200, "OK", "REGISTER", 1, ""))]
    }

    pub fn request(&self, method: &str, number: u32, body: &str) -> String {
        let target = if method == "REGISTER" { "sip:example.org" } else { self.callee };
        let to_tag = if matches!(method, "BYE" | "ACK") { ";tag=to-2" } else { "" };
        format!("{method} {target} SIP/2.0\r\n{}", self.rest(method, number, to_tag, Side::Client, body))
    }

    pub fn reply(&self, status: u16, reason: &str, method: &str, number: u32, body: &str) -> String {
        let to_tag = if status == 100 { "" } else { ";tag=to-2" };
        format!("SIP/2.0 {status} {reason}\r\n{}", self.rest(method, number, to_tag, Side::Server, body))
    }

    fn rest(&self, method: &str, number: u32, to_tag: &str, side: Side, body: &str) -> String {
        let Self { caller, callee, call_id, contact } = self;
        let agent = if side == Side::Client { format!("User-Agent: {AGENT}\r\n") } else { String::new() };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "Via: SIP/2.0/UDP {contact};branch=z9hG4bK-{number}{method}\r\nMax-Forwards: 70\r\n\
             From: <{caller}>;tag=from-1\r\nTo: <{callee}>{to_tag}\r\nCall-ID: {call_id}\r\nCSeq: {number} {method}\r\n\
             Contact: <sip:{contact}>\r\n{agent}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// A call or a registration as traffic mixes need it.
pub fn talk(rng: &mut Rng, contact: &str) -> Vec<Turn> {
    let caller = format!("sip:alice{}@example.org", rng.below(900));
    let callee = format!("sip:bob{}@example.org", rng.below(900));
    let call_id = format!("{:016x}@example.org", rng.draw());
    let registering = rng.chance(50);
    let callee = if registering { &caller } else { &callee };
    let call = Call { caller: &caller, callee, call_id: &call_id, contact };
    if registering { call.registration() } else { call.turns() }
}
