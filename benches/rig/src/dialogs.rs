//! Dialogs of one protocol, one after the other: what the parser of that protocol has to do, and little else.
use crate::{empty, frames};
use benches::dialog::{
    Datagrams, Dialog, Host, Route, TcpSession, dns, ftp, http, imap, kerberos, pop3, rdp, sip, smb, smtp, ssh, tls,
};
use benches::{Frame, MILLISECOND, Profile, Rng};
use dataplane::capture::memory::MemorySource;
use std::net::Ipv4Addr;

/// Bytes of each answer: a few segments, so that the parser's part is not lost among packets that it does not look at.
const ANSWER_BYTES: u64 = 4_000;

/// `count` dialogs for a parser of this name. One that the generator has no dialogs for gets the realistic mix.
pub fn of(parser: &str, count: u64) -> MemorySource {
    let talk: fn(&mut Rng, Route) -> Box<dyn Dialog> = match parser {
        "http" => |rng, route| Box::new(TcpSession::new(route, http::visit(rng, ANSWER_BYTES))),
        "tls" => |rng, route| Box::new(TcpSession::new(route, tls::connection(rng, ANSWER_BYTES))),
        "smtp" => |rng, route| Box::new(TcpSession::new(route, smtp::delivery(rng, ANSWER_BYTES as usize))),
        "dns" | "passivedns" => |rng, route| Box::new(Datagrams::udp(route, dns::lookup(rng))),
        "sip" => |rng, route| {
            let contact = format!("{}:{}", route.client.ip, route.client.port);
            Box::new(Datagrams::udp(route, sip::talk(rng, &contact)))
        },
        "ssh" => |rng, route| Box::new(TcpSession::new(route, ssh::connection(rng, ANSWER_BYTES))),
        "rdp" => |_, route| Box::new(TcpSession::new(route, rdp::work([ANSWER_BYTES / 2; 2]))),
        "smb" => |_, route| Box::new(TcpSession::new(route, smb::work(ANSWER_BYTES / 2))),
        "kerberos" => |_, route| Box::new(Datagrams::udp(route, kerberos::login())),
        "ftp" => |_, route| {
            let login = ftp::Login { user: "alice", refused: 0, accepted: true, file: Some("/pub/a.pdf") };
            Box::new(TcpSession::new(route, login.turns()))
        },
        "pop3" => |_, route| {
            let session = pop3::Session { user: "alice", refused: 0, accepted: true, message: ANSWER_BYTES as usize };
            Box::new(TcpSession::new(route, session.turns()))
        },
        "imap" => |_, route| {
            let session = imap::Session { user: "alice", refused: 0, accepted: true, message: ANSWER_BYTES as usize };
            Box::new(TcpSession::new(route, session.turns()))
        },
        _ => return frames::profile(Profile::Realistic, count * 12, count),
    };
    let port = match parser {
        "http" => 80,
        "tls" => 443,
        "smtp" => 25,
        "sip" => 5060,
        "ssh" => 22,
        "rdp" => 3389,
        "smb" => 445,
        "kerberos" => 88,
        "ftp" => 21,
        "pop3" => 110,
        "imap" => 143,
        _ => 53,
    };
    let (mut rng, mut source, mut frame) = (Rng::new(1), empty(), Frame::new());
    let mut begun = 0;
    for number in 0..count {
        let client = Host::new(Ipv4Addr::from(0xc612_0000 | number as u32), 40_000);
        let server = Host::new(Ipv4Addr::new(203, 0, 113, number as u8), port);
        let mut dialog = talk(&mut rng, Route::new(client, server));
        let mut at = begun;
        while let Some(gap) = dialog.gap() {
            at += gap;
            dialog.packet(&mut frame);
            frames::push(&mut source, at, frame.bytes());
        }
        begun += MILLISECOND;
    }
    source
}
