use super::*;
use crate::packet::Direction::{self, Forward, Reverse};
use crate::packet::protocol::TCP;
use crate::plugin::testing::{Harness, ORDERS, frame};
use proptest::prelude::*;

fn session(face: Face, packets: &[(Direction, &[u8])]) -> Option<SmtpRecord> {
    let mut h = Harness::<Smtp>::new(face);
    let mut next = [1u32; 2];
    for (direction, payload) in packets {
        let sequence = &mut next[*direction as usize];
        h.segment(*direction, (40000, 25), *sequence, payload);
        *sequence += payload.len() as u32;
    }
    h.records().pop()
}

fn text(r: &SmtpRecord) -> String {
    let mut out = String::new();
    Smtp::text(r, &mut out);
    out
}

/// The dialog of RFC 5321 appendix D.1 in outline; one command or reply in a packet.
const DIALOG: &[(Direction, &[u8])] = &[
    (Reverse, b"220 mx.example ESMTP\r\n"),
    (Forward, b"EHLO client.example\r\n"),
    (Reverse, b"250-mx.example\r\n250-PIPELINING\r\n250 HELP\r\n"),
    (Forward, b"MAIL FROM:<smith@client.example>\r\n"),
    (Reverse, b"250 OK\r\n"),
    (Forward, b"RCPT TO:<jones@mx.example>\r\n"),
    (Reverse, b"250 OK\r\n"),
    (Forward, b"RCPT TO:<green@mx.example>\r\n"),
    (Reverse, b"550 No such user\r\n"),
    (Forward, b"DATA\r\n"),
    (Reverse, b"354 End with dot\r\n"),
    (Forward, b"Subject: x\r\n\r\nQUIT is a word here\r\nVRFY too\r\n"),
    (Forward, b".\r\n"),
    (Reverse, b"250 OK\r\n"),
    (Forward, b"QUIT\r\n"),
    (Reverse, b"221 bye\r\n"),
];

#[test]
fn both_faces_follow_a_plain_dialog() {
    for face in [Face::Native, Face::Ipfixprobe] {
        let r = session(face, DIALOG).expect("a record");
        let flags = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 7 | 1 << 18;
        assert_eq!(
            text(&r),
            format!(
                "2xxcnt=6,3xxcnt=1,4xxcnt=0,5xxcnt=1,cmdflgs={},mailcmdcnt=1,rcptcmdcnt=2,codeflags={flags},domain=\"client.example\",\
                 firstsender=\"<smith@client.example>\",firstrecipient=\"<jones@mx.example>\"",
                EHLO | MAIL | RCPT | DATA | 0x400
            )
        );
    }
}

/// (packets, what the original says, what we say); a session is told as commands, mails, recipients, 2xx/3xx/4xx/5xx, codes, texts.
type Case<'a> = (&'a [(Direction, &'a [u8])], &'a str, &'a str);

fn brief(face: Face, packets: &[(Direction, &[u8])]) -> String {
    let Some(r) = session(face, packets) else { return "none".into() };
    let texts =
        [&r.domain, &r.sender, &r.recipient].map(|t| String::from_utf8_lossy(t.as_bytes()).into_owned()).join("|");
    let counts = [r.count_2xx, r.count_3xx, r.count_4xx, r.count_5xx].map(|n| n.to_string()).join("/");
    format!("{:x} {} {} {counts} {:x} {texts}", r.commands, r.mail_count, r.rcpt_count, r.codes)
}

#[test]
fn lines_and_segments_need_not_agree() {
    let envelope = &b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"[..];
    let whole = [envelope, b"QUIT\r\n.\r\nRSET\r\n"].concat();
    let replies = b"220 a\r\n250-b\r\n250 c\r\n250 d\r\n550 e\r\n";
    // A mail's text is not put in order.
    for (order, commands, more) in
        [(ORDERS[0], &whole[..], RSET), (ORDERS[1], &whole[..], RSET), (ORDERS[2], envelope, 0)]
    {
        for len in 1..commands.len() {
            let mut h = Harness::<Smtp>::new(Face::Native);
            h.segments(Forward, (40000, 25), (commands, len), order);
            h.segments(Reverse, (40000, 25), (replies, len), order);
            let [r] = &h.records()[..] else { panic!("one record") };
            assert_eq!((r.commands, r.mail_count, r.rcpt_count), (EHLO | MAIL | RCPT | DATA | more, 1, 2), "{len}");
            assert_eq!((r.count_2xx, r.count_5xx), (3, 1), "{len}");
            assert_eq!((r.sender.as_bytes(), r.recipient.as_bytes()), (&b"<a@b>"[..], &b"<c@d>"[..]), "{len}");
        }
    }
}

#[test]
fn what_the_peer_acknowledged_is_not_waited_for() {
    let mut h = Harness::<Smtp>::new(Face::Native);
    h.segment(Forward, (40000, 25), 1, b"EHLO me\r\n");
    h.segment(Forward, (40000, 25), 100, b"RCPT TO:<c@d>\r\n");
    let (packet, mut bytes) = frame(Reverse, 25, 40000, TCP, &[], b"250 a\r\n");
    bytes[28..32].copy_from_slice(&115u32.to_be_bytes());
    h.frame(Reverse, packet, &bytes);
    h.segment(Forward, (40000, 25), 115, b"QUIT\r\n");
    let [r] = &h.records()[..] else { panic!("one record") };
    assert_eq!((r.commands, r.recipient.as_bytes()), (EHLO | RCPT | 0x400, &b"<c@d>"[..]));
}

#[test]
fn where_the_faces_differ() {
    let cases: &[Case] = &[
        (&[(Forward, b"RSET\r\n")], "0 0 0 0/0/0/0 0 ||", "20 0 0 0/0/0/0 0 ||"),
        (&[(Forward, b"ehlo me\r\n")], "8000 0 0 0/0/0/0 0 ||", "1 0 0 0/0/0/0 0 me||"),
        (&[(Forward, b"XYZZY\r\n")], "0 0 0 0/0/0/0 0 ||", "8000 0 0 0/0/0/0 0 ||"),
        // Pipelined; blanks and parameters; the original takes the first colon and CR of the packet.
        (
            &[
                (Forward, b"MAIL FROM: <a@b> SIZE=10\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n"),
                (Forward, b"NOOP\r\n"),
            ],
            "204 1 0 0/0/0/0 0 | <a@b> SIZE=10|",
            "1c 1 2 0/0/0/0 0 |<a@b>|<c@d>",
        ),
        (&[(Forward, b"MAIL x\r\nRCPT TO:<c@d>\r\n")], "4 1 0 0/0/0/0 0 |<c@d>\r\n|", "c 1 1 0/0/0/0 0 ||<c@d>"),
        (
            &[(Forward, b"MAIL FROM:<>\r\n"), (Forward, b"MAIL FROM:<a>\r\n")],
            "4 2 0 0/0/0/0 0 |<>|",
            "4 2 0 0/0/0/0 0 |<>|",
        ),
        (&[(Forward, b"NOOP\r\nHELP me\r\n")], "8000 0 0 0/0/0/0 0 ||", "300 0 0 0/0/0/0 0 ||"),
        // The dot ends a data segment, or is split over two.
        (
            &[(Forward, b"DATA\r\n"), (Forward, b"text\r\n.\r\n"), (Forward, b"QUIT\r\n")],
            "10 0 0 0/0/0/0 0 ||",
            "410 0 0 0/0/0/0 0 ||",
        ),
        (
            &[(Forward, b"DATA\r\n"), (Forward, b"text\r"), (Forward, b"\n.\r"), (Forward, b"\nQUIT\r\n")],
            "10 0 0 0/0/0/0 0 ||",
            "410 0 0 0/0/0/0 0 ||",
        ),
        (
            &[(Forward, b"DATA\r\n"), (Forward, b"..\r\n.x\r\n\r\r\n.\rQUIT\r\n")],
            "10 0 0 0/0/0/0 0 ||",
            "10 0 0 0/0/0/0 0 ||",
        ),
        // DATA refused.
        (
            &[(Forward, b"DATA\r\n"), (Reverse, b"503 first RCPT\r\n"), (Forward, b"QUIT\r\n")],
            "10 0 0 0/0/0/1 10000 ||",
            "410 0 0 0/0/0/1 10000 ||",
        ),
        // Replies: several in a packet, a multi-line one over two packets.
        (&[(Reverse, b"250 a\r\n550 b\r\n")], "0 0 0 1/0/0/0 10 ||", "0 0 0 1/0/0/1 40010 ||"),
        (&[(Reverse, b"250-a\r\n"), (Reverse, b"250 b\r\n")], "0 0 0 2/0/0/0 10 ||", "0 0 0 1/0/0/0 10 ||"),
        (&[(Reverse, b"150 x\r\n")], "none", "none"),
        (&[(Reverse, b"150 x\r\n"), (Reverse, b"250 x\r\n")], "0 0 0 1/0/0/0 80000010 ||", "0 0 0 1/0/0/0 10 ||"),
        (&[(Reverse, b"299 x\r\n")], "0 0 0 1/0/0/0 80000000 ||", "0 0 0 1/0/0/0 80000000 ||"),
        (&[(Reverse, b"699 x\r\n"), (Reverse, b"2x0 x\r\n"), (Reverse, b"25")], "none", "none"),
        (&[(Reverse, b"250\r\n")], "none", "0 0 0 1/0/0/0 10 ||"),
        (&[(Reverse, b"554 Spam!\r\n")], "0 0 0 0/0/0/1 40400000 ||", "0 0 0 0/0/0/1 40400000 ||"),
        (&[(Reverse, b"554 antisspam\r\n")], "0 0 0 0/0/0/1 400000 ||", "0 0 0 0/0/0/1 40400000 ||"),
        // AUTH answers are no commands; nor are BDAT chunks.
        (
            &[
                (Forward, b"AUTH LOGIN\r\n"),
                (Reverse, b"334 VXNlcg==\r\n"),
                (Forward, b"dXNlcg==\r\n"),
                (Reverse, b"235 ok\r\n"),
            ],
            "8000 0 0 1/1/0/0 80000000 ||",
            "0 0 0 1/1/0/0 80000000 ||",
        ),
        (
            &[(Forward, b"BDAT 8 LAST\r\nab"), (Forward, b"c\r\nd\r\nQUIT\r\n")],
            "8000 0 0 0/0/0/0 0 ||",
            "400 0 0 0/0/0/0 0 ||",
        ),
        // After STARTTLS nothing can be read.
        (
            &[(Forward, b"STARTTLS\r\n"), (Reverse, b"220 go\r\n"), (Forward, b"\x16\x03\x01 \r\n")],
            "8000 0 0 1/0/0/0 4 ||",
            "0 0 0 1/0/0/0 4 ||",
        ),
        (
            &[(Forward, b"no line end"), (Forward, b""), (Forward, b"A123456789012345678901234567890B\r\n")],
            "none",
            "8000 0 0 0/0/0/0 0 ||",
        ),
        (&[(Forward, b"QUIT\0x y\r\n"), (Forward, b"\r\n")], "400 0 0 0/0/0/0 0 ||", "8000 0 0 0/0/0/0 0 ||"),
    ];
    for (packets, original, native) in cases {
        let shown: Vec<_> = packets.iter().map(|(_, p)| p.escape_ascii().to_string()).collect();
        assert_eq!(brief(Face::Ipfixprobe, packets), *original, "original {shown:?}");
        assert_eq!(brief(Face::Native, packets), *native, "native {shown:?}");
    }
}

#[test]
fn ports_tell() {
    for (face, port, wanted) in [(Face::Ipfixprobe, 587, false), (Face::Native, 587, true), (Face::Native, 2525, false)]
    {
        let mut h = Harness::<Smtp>::new(face);
        h.packet(Forward, 1, port, TCP, b"QUIT\r\n");
        assert_eq!(!h.records().is_empty(), wanted);
    }
}

#[test]
fn the_original_compares_the_dot_with_the_padding() {
    for (padding, commands) in [(&[0u8, 0, 0][..], 0x410), (&[7], 0x10), (&[], 0x410)] {
        let mut h = Harness::<Smtp>::new(Face::Ipfixprobe);
        h.packet(Forward, 1, 25, TCP, b"DATA\r\n");
        let (packet, mut bytes) = frame(Forward, 1, 25, TCP, &[], b".\r\n");
        bytes.extend(padding);
        h.frame(Forward, packet, &bytes);
        h.packet(Forward, 1, 25, TCP, b"QUIT\r\n");
        assert_eq!(h.records()[0].commands, commands);
    }
}

#[test]
fn values_are_cut_at_their_bounds() {
    let long = "x".repeat(400);
    for face in [Face::Native, Face::Ipfixprobe] {
        let packets = [format!("HELO {long}\r\n"), format!("MAIL FROM:<{long}>\r\n"), format!("RCPT TO:{long}\r\n")];
        let packets: Vec<_> = packets.iter().map(|p| (Forward, p.as_bytes())).collect();
        let r = session(face, &packets).expect("a record");
        assert_eq!([r.domain.len(), r.sender.len(), r.recipient.len()], [254; 3]);
    }
}

proptest! {
    #[test]
    fn any_bytes_do(packets in prop::collection::vec((any::<bool>(), dialog_like()), 0..8)) {
        let packets: Vec<_> = packets.iter().map(|(f, p)| (if *f { Forward } else { Reverse }, p.as_slice())).collect();
        for face in [Face::Native, Face::Ipfixprobe] {
            if let Some(r) = session(face, &packets) {
                let lines: usize = packets.iter().map(|(_, p)| p.iter().filter(|b| **b == b'\n').count() + 1).sum();
                prop_assert!((r.mail_count + r.rcpt_count + r.count_2xx + r.count_5xx) as usize <= lines);
            }
        }
    }

    /// The end of data is found wherever the text is cut into segments.
    #[test]
    fn cuts_do_not_matter(text in "[\r\n.x]{0,20}", cuts in prop::collection::vec(0usize..25, 0..4)) {
        let whole = format!("{text}\r\n.\r\n");
        let first = format!("\r\n{whole}").find("\r\n.\r\n").map(|at| at + 5 - 2);
        let mut cuts: Vec<_> = cuts.into_iter().filter(|c| *c <= whole.len()).collect();
        cuts.sort();
        cuts.push(whole.len());
        let (mut at, mut matched, mut found) = (0, 2, None);
        for cut in cuts {
            if found.is_none() {
                found = end_of_data(&whole.as_bytes()[at..cut], &mut matched).map(|n| at + n);
                at = cut;
            }
        }
        prop_assert_eq!(found, first);
    }
}

fn dialog_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        &b"EHLO"[..],
        b"MAIL FROM:",
        b"RCPT TO:",
        b"DATA",
        b"BDAT 99999999999999999999",
        b"BDAT 3",
        b"AUTH",
        b"STARTTLS",
        b" ",
        b"\r\n",
        b"\r",
        b"\n",
        b".",
        b"<",
        b">",
        b":",
        b"250",
        b"250-",
        b"354 ",
        b"220 ",
        b"550 ",
        b"spam",
        b"\0",
        b"\xff",
        b"abcdefghijklmnopqrstuvwxyz",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}
