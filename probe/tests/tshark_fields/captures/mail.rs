//! SMTP (RFC 5321): pipelining, lines over segments, mail text that looks like commands, STARTTLS.
use super::Made;
use super::tls::client_hello;
use crate::wire::{Talk, pcap, route};
use benches::dialog::Side::{Client, Server};

pub(crate) const CASES: &[Made] = &[
    ("smtp_plain", || session(&["MAIL FROM:<a@example.org>\r\n", "RCPT TO:<b@example.org>\r\n"])),
    ("smtp_odd_case", || session(&["mail From:<a@example.org>\r\n", "rcpt tO:<b@example.org>\r\n"])),
    ("smtp_parameters", || {
        session(&["MAIL FROM:<a@example.org> SIZE=1000 BODY=8BITMIME\r\n", "RCPT TO:<b@example.org> NOTIFY=NEVER\r\n"])
    }),
    ("smtp_null_sender", || session(&["MAIL FROM:<>\r\n", "RCPT TO:<postmaster>\r\n"])),
    ("smtp_blank_behind_colon", || session(&["MAIL FROM: <a@example.org>\r\n", "RCPT TO: <b@example.org>\r\n"])),
    ("smtp_many_recipients", || {
        let mut talk = greeted();
        talk.client("MAIL FROM:<list@example.org>\r\n").server("250 fine\r\n");
        for n in 0..50 {
            talk.client(format!("RCPT TO:<member{n}@example.org>\r\n")).server("250 fine\r\n");
        }
        letter(&mut talk)
    }),
    ("smtp_pipelined", || {
        let mut talk = greeted();
        let rcpt: String = (0..10).map(|n| format!("RCPT TO:<member{n}@example.org>\r\n")).collect();
        talk.client(format!("MAIL FROM:<pipe@example.org>\r\n{rcpt}DATA\r\n"));
        talk.server(format!("{}354 go on\r\n", "250 fine\r\n".repeat(11)));
        pcap(talk.client("Subject: a\r\n\r\nb\r\n.\r\n").server("250 queued\r\n").end())
    }),
    ("smtp_pipelined_cut", || {
        let mut talk = greeted();
        let rcpt: String = (0..10).map(|n| format!("RCPT TO:<member{n}@example.org>\r\n")).collect();
        talk.every(Client, 40, format!("MAIL FROM:<pipe@example.org>\r\n{rcpt}"));
        talk.every(Server, 7, "250 fine\r\n".repeat(11));
        letter(&mut talk)
    }),
    ("smtp_cut", || pieces(&[8, 20], &[0, 1, 2])),
    ("smtp_cut_line_end", || pieces(&[25, 26], &[0, 1, 2])),
    ("smtp_keystrokes", || {
        let mut talk = greeted();
        talk.every(Client, 1, "MAIL FROM:<a@example.org>\r\n").server("250 fine\r\n");
        talk.every(Client, 1, "RCPT TO:<b@example.org>\r\n").server("250 fine\r\n");
        letter(&mut talk)
    }),
    ("smtp_swapped", || pieces(&[8, 16, 20], &[0, 2, 1, 3])),
    ("smtp_first_late", || pieces(&[8], &[1, 0])),
    ("smtp_sent_twice", || pieces(&[], &[0, 0])),
    ("smtp_two_mails", || {
        let mut talk = greeted();
        for n in 0..2 {
            talk.client(format!("MAIL FROM:<sender{n}@example.org>\r\n")).server("250 fine\r\n");
            talk.client("RCPT TO:<b@example.org>\r\n")
                .server("250 fine\r\n")
                .client("DATA\r\n")
                .server("354 go on\r\n");
            talk.client("RCPT TO:<text@example.org>\r\n.\r\n")
                .server("250 queued\r\n")
                .client("RSET\r\n")
                .server("250 fine\r\n");
        }
        pcap(talk.end())
    }),
    ("smtp_text_like_commands", || {
        let mut talk = greeted();
        talk.client("MAIL FROM:<a@example.org>\r\n").server("250 fine\r\n");
        talk.client("RCPT TO:<b@example.org>\r\n").server("250 fine\r\n").client("DATA\r\n").server("354 go on\r\n");
        talk.every(Client, 11, "MAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.org>\r\n..\r\n.\r\n");
        pcap(talk.server("250 queued\r\n").client("QUIT\r\n").server("221 bye\r\n").end())
    }),
    ("smtp_bdat", || {
        let mut talk = greeted();
        talk.client("MAIL FROM:<a@example.org>\r\n").server("250 fine\r\n");
        talk.client("RCPT TO:<b@example.org>\r\n").server("250 fine\r\n");
        talk.client("BDAT 27 LAST\r\nMAIL FROM:<c@example.org>\r\n").server("250 queued\r\n");
        pcap(talk.client("QUIT\r\n").server("221 bye\r\n").end())
    }),
    ("smtp_auth", || {
        let mut talk = greeted();
        talk.client("AUTH LOGIN\r\n")
            .server("334 VXNlcm5hbWU6\r\n")
            .client("YWxpY2U=\r\n")
            .server("334 UGFzc3dvcmQ6\r\n");
        talk.client("c2VjcmV0\r\n").server("235 fine\r\n");
        talk.client("MAIL FROM:<a@example.org>\r\n").server("250 fine\r\n");
        talk.client("RCPT TO:<b@example.org>\r\n").server("250 fine\r\n");
        letter(&mut talk)
    }),
    ("smtp_starttls", || {
        let mut talk = greeted();
        talk.client("STARTTLS\r\n").server("220 go ahead\r\n");
        pcap(talk.client(client_hello("mx.example.org")).end())
    }),
    ("smtp_starttls_refused", || {
        let mut talk = greeted();
        talk.client("STARTTLS\r\n").server("454 not now\r\n");
        talk.client("MAIL FROM:<a@example.org>\r\n").server("250 fine\r\n");
        talk.client("RCPT TO:<b@example.org>\r\n").server("250 fine\r\n");
        letter(&mut talk)
    }),
    ("smtp_submission", || {
        let mut talk = Talk::tcp(route(40_005, 587));
        talk.server("220 mx\r\n").client("EHLO c\r\n").server("250 mx\r\n");
        talk.client("MAIL FROM:<a@example.org>\r\n").server("250 fine\r\n");
        talk.client("RCPT TO:<b@example.org>\r\n").server("250 fine\r\n");
        letter(&mut talk)
    }),
];

/// A connection that said hello.
fn greeted() -> Talk {
    let mut talk = Talk::tcp(route(40_005, 25));
    talk.server("220 mx.example.org ready\r\n").client("EHLO client.example.org\r\n");
    talk.server("250-mx.example.org\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 CHUNKING\r\n");
    talk
}

/// Text and goodbye.
fn letter(talk: &mut Talk) -> Vec<u8> {
    talk.client("DATA\r\n").server("354 go on\r\n").client("Subject: a\r\n\r\nb\r\n.\r\n").server("250 queued\r\n");
    pcap(talk.client("QUIT\r\n").server("221 bye\r\n").end())
}

fn session(commands: &[&str]) -> Vec<u8> {
    let mut talk = greeted();
    for command in commands {
        talk.client(command).server("250 fine\r\n");
    }
    letter(&mut talk)
}

/// A session whose MAIL command is cut, in this order.
fn pieces(cuts: &[usize], order: &[usize]) -> Vec<u8> {
    let mut talk = greeted();
    talk.pieces(Client, "MAIL FROM:<a@example.org>\r\n", cuts, order).server("250 fine\r\n");
    talk.client("RCPT TO:<b@example.org>\r\n").server("250 fine\r\n");
    letter(&mut talk)
}
