//! Mail delivery (RFC 5321), one command or reply line per turn.
use super::Turn;
use crate::Rng;

/// What a session delivers.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    pub helo: &'a str,
    pub sender: &'a str,
    pub recipients: &'a [&'a str],
    /// Recipients from this one on are refused with 550.
    pub accepted: usize,
    /// Bytes of text.
    pub text: usize,
}

/// Greeting, EHLO, one mail, QUIT.
pub fn session(mail: &Mail<'_>) -> Vec<Turn> {
    let mut turns = vec![
        Turn::server("220 mx.example.org ready\r\n"),
        Turn::client(format!("EHLO {}\r\n", mail.helo)),
        Turn::server("250-mx.example.org\r\n250-SIZE 1000000\r\n250 8BITMIME\r\n"),
        Turn::client(format!("MAIL FROM:<{}>\r\n", mail.sender)),
        Turn::server("250 sender accepted\r\n"),
    ];
    for (number, recipient) in mail.recipients.iter().enumerate() {
        turns.push(Turn::client(format!("RCPT TO:<{recipient}>\r\n")));
        let reply = if number < mail.accepted { "250 recipient accepted\r\n" } else { "550 no such mailbox\r\n" };
        turns.push(Turn::server(reply));
    }
    let line = "A line of a letter that nobody will ever read, written to fill a packet.\r\n";
    let text: String = line.repeat(mail.text / line.len() + 1);
    let letter = format!("From: <{}>\r\nSubject: synthetic mail\r\n\r\n{text}", mail.sender);
    turns.extend([
        Turn::client("DATA\r\n"),
        Turn::server("354 go on, end with a dot\r\n"),
        Turn::client(letter),
        // A packet of its own, so that exporters which look for exactly these three bytes see the end.
        Turn::client(".\r\n"),
        Turn::server("250 queued\r\n"),
        Turn::client("QUIT\r\n"),
        Turn::server("221 goodbye\r\n"),
    ]);
    turns
}

/// A delivery as traffic mixes need it.
pub fn delivery(rng: &mut Rng, text: usize) -> Vec<Turn> {
    let sender = format!("user{}@mail.example.org", rng.below(3000));
    let recipient = format!("person{}@example.org", rng.below(3000));
    let recipients = [recipient.as_str(), "list@example.org"];
    let count = 1 + usize::from(rng.chance(30));
    session(&Mail {
        helo: "relay.mail.example.org",
        sender: &sender,
        recipients: &recipients[..count],
        accepted: 1,
        text,
    })
}
