use super::*;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::{TCP, UDP};
use crate::plugin::testing::{Harness, ORDERS};
use proptest::prelude::*;

fn play(face: Face, payloads: &[&[u8]]) -> Vec<String> {
    let mut h = Harness::<Sip>::new(face);
    for (i, payload) in payloads.iter().enumerate() {
        let direction = if i % 2 == 0 { Forward } else { Reverse };
        h.packet(direction, 5060, 5060, UDP, payload);
    }
    let text = |r: &SipRecord| {
        let mut out = String::new();
        Sip::text(r, &mut out);
        out
    };
    h.records().iter().map(text).collect()
}

/// The text form from type, status, cseq, calling, called, call id, agent, request URI, via.
fn form(v: [&str; 9]) -> String {
    let [msg_type, status, cseq, calling, called, call_id, agent, uri, via] = v;
    format!(
        "sipmsgtype={msg_type},statuscode={status},cseq=\"{cseq}\",callingparty=\"{calling}\",calledparty=\"{called}\",\
         callid=\"{call_id}\",useragent=\"{agent}\",requri=\"{uri}\",via=\"{via}\""
    )
}

const INVITE: &str = "INVITE sip:bob@b.example SIP/2.0\r\n\
    Via: SIP/2.0/UDP p1.a.example:5060;branch=z9hG4bK1;received=192.0.2.1\r\n\
    v: SIP/2.0/UDP pc.a.example\r\n\
    Max-Forwards: 70\r\n\
    From: \"Alice\" <sip:alice@a.example>;tag=88sja8x\r\n\
    To: Bob <sips:bob@b.example>\r\n\
    Call-ID: 987asjd97y7atg\r\n\
    CSeq: 986759 INVITE\r\n\
    User-Agent: softphone/1.0\r\n\
    Content-Length: 0\r\n\r\n";
const RINGING: &str = "SIP/2.0 180 Ringing\r\nf: sip:alice@a.example;tag=1\r\nT: <sip:bob@b.example>\r\ni: 98@a\r\ncseq: 1 INVITE\r\n\r\n";

#[test]
fn each_message_is_a_record() {
    let invite = form([
        "1",
        "0",
        "986759 INVITE",
        "sip:alice@a.example",
        "sips:bob@b.example",
        "987asjd97y7atg",
        "softphone/1.0",
        "sip:bob@b.example",
        "SIP/2.0/UDP p1.a.example:5060;SIP/2.0/UDP pc.a.example",
    ]);
    let ringing = form(["99", "180", "1 INVITE", "sip:alice@a.example", "sip:bob@b.example", "98@a", "", "", ""]);
    for face in [Face::Native, Face::Ipfixprobe] {
        assert_eq!(play(face, &[INVITE.as_bytes(), RINGING.as_bytes()]), [&*invite, &*ringing]);
        // Keep-alives and media neither make a record nor end one.
        assert_eq!(play(face, &[INVITE.as_bytes(), b"\r\n\r\n", b"\x80\x08rtp"]), [&*invite]);
        assert_eq!(play(face, &[b"\r\n\r\n", RINGING.as_bytes()]), [&*ringing]);
        let mut tcp = Harness::<Sip>::new(face);
        assert_eq!(tcp.packet(Forward, 1, 2, TCP, INVITE.as_bytes()), Step::More);
        assert_eq!(tcp.packet(Forward, 1, 2, TCP, INVITE.as_bytes()), Step::Reinsert);
        assert_eq!(tcp.records().len(), 2);
    }
}

#[test]
fn the_first_bytes_decide() {
    let tail = " sip:x@y SIP/2.0\r\nSubject: forty bytes of nothing, forty bytes of it\r\n\r\n";
    let methods = [
        ("INVITE", 1),
        ("ACK", 2),
        ("CANCEL", 3),
        ("BYE", 4),
        ("REGISTER", 5),
        ("OPTIONS", 6),
        ("PUBLISH", 7),
        ("NOTIFY", 8),
        ("INFO", 9),
        ("SUBSCRIBE", 10),
        ("Invite", 0),
    ];
    for face in [Face::Native, Face::Ipfixprobe] {
        let sip = Sip::new(&[], face).expect("no options");
        for (method, want) in methods {
            let want = (want > 0).then_some(want);
            assert_eq!(sip.recognise(format!("{method}{tail}").as_bytes()), want, "{method}");
        }
        let ssdp = format!("NOTIFY * HTTP/1.1\r\nHost: {:>60}\r\n\r\n", "x");
        let http = format!("OPTIONS * HTTP/1.1\r\nHost: {:>60}\r\n\r\n", "x");
        assert_eq!(
            (sip.recognise(ssdp.as_bytes()), sip.recognise(http.as_bytes()), sip.recognise(b"ACK")),
            (None, None, None)
        );
    }
    // (payload, original, native)
    let differ = [
        ("BYE sip:x@y SIP/2.0\r\n\r\n".to_string(), None, Some(4)),
        (format!("INVITATION to the ball{:>60}\r\n\r\n", "x"), Some(1), None),
        (format!("OPTIONS sips:x@y SIP/2.0\r\nSubject: {:>40}\r\n\r\n", "x"), None, Some(6)),
        (format!("INFO {:>80}", "no line"), Some(9), None),
        ("MESSAGE sip:x@y SIP/2.0\r\n\r\n".to_string(), None, Some(13)),
    ];
    for (payload, original, native) in differ {
        for (face, want) in [(Face::Ipfixprobe, original), (Face::Native, native)] {
            let sip = Sip::new(&[], face).expect("no options");
            assert_eq!(sip.recognise(payload.as_bytes()), want, "{payload}");
        }
    }
}

/// One header line each: (line, original, native), values as cseq|calling|called|call id|agent|via.
#[test]
fn where_the_faces_differ() {
    let cases = [
        // Trimmed to letters and digits, cut at ";".
        ("User-Agent: (x; y) 1.0!", "||||x|", "||||(x; y) 1.0!|"),
        ("Call-ID: {a}-", "|||a||", "|||{a}-||"),
        // Names by their first letters.
        ("Call-Info: <http://x/>", "|||o: <http://x||", "|||||"),
        ("Fromage: <sip:a@b>", "|sip:a@b||||", "|||||"),
        ("FROM : <sip:a@b>", "|||||", "|sip:a@b||||"),
        // Without brackets the original goes back to the last letter.
        ("From: sip:100@10.0.0.1", "|sip||||", "|sip:100@10.0.0.1||||"),
        ("To: sip:a@b.c", "||sip:a@b.c|||", "||sip:a@b.c|||"),
        // Other schemes.
        ("From: <tel:+420123>;tag=1", "|||||", "|tel:+420123||||"),
        ("From: \"a: b\" <sip:a@b>", "|sip:a@b||||", "|sip:a@b||||"),
        ("From: \"<sip:evil@x>\" <sip:a@b>", "|sip:evil@x||||", "|sip:a@b||||"),
        ("From: :sip:a@b", "|sip:a@b\r\nX||||", "|:sip:a@b||||"),
        // Behind a second colon the original runs on into the next line.
        ("To: x: sip:a@b\r\nSubject: a>b", "||sip:a@b\r\nSu|||", "||x: sip:a@b|||"),
        ("Via: SIP/2.0/UDP a;x=1, SIP/2.0/TCP b;y", "|||||SIP/2.0/UDP a", "|||||SIP/2.0/UDP a;SIP/2.0/TCP b"),
        // Nothing to read.
        ("Call-ID: ;;;", "|||||", "|||;;;||"),
        ("User", "|||||", "|||||"),
        ("From:", "|||||", "|||||"),
        ("From", "|||||", "|||||"),
        ("f:", "|||||", "|||||"),
        ("CSeq: 1\0 INVITE", "1|||||", "1\0 INVITE|||||"),
    ];
    for (line, original, native) in cases {
        for (face, want) in [(Face::Ipfixprobe, original), (Face::Native, native)] {
            let message = format!("BYE sip:x@y SIP/2.0\r\n{line}\r\nX-Pad: {:>60}\r\n\r\n", ".");
            let mut h = Harness::<Sip>::new(face);
            h.packet(Forward, 5060, 5060, UDP, message.as_bytes());
            let r = h.records().remove(0);
            let got = [&r.cseq, &r.calling, &r.called, &r.call_id, &r.agent, &r.via]
                .map(|t| String::from_utf8_lossy(t.as_bytes()).into_owned());
            assert_eq!(got.join("|"), want, "{face:?} {line:?}");
        }
    }
}

/// Messages of a stream, as call id, calling and type.
#[test]
fn messages_and_segments_need_not_agree() {
    let message = |method: &str, id: u8| {
        format!("{method} sip:b@b SIP/2.0\r\nf: \"A\"\r\n <sip:a@a>;tag=1\r\ni: id-{id}\r\nl: 4\r\n\r\nBYE ")
    };
    let told = |text: &str, len: usize, order: fn(usize) -> Vec<usize>| -> Vec<String> {
        let mut h = Harness::<Sip>::new(Face::Native);
        h.segments(Forward, (40000, 5060), (text.as_bytes(), len), order);
        let text = |t: &Text<127>| String::from_utf8_lossy(t.as_bytes()).into_owned();
        h.records().iter().map(|r| [text(&r.call_id), text(&r.calling), r.msg_type.to_string()].join(" ")).collect()
    };
    let three = [message("INVITE", 1), "\r\n\r\n".into(), message("ACK", 2), message("BYE", 3)].concat();
    // Empty lines at the beginning of a segment hide what follows them: what there is of the two behind the first message.
    let first = message("INVITE", 1).len();
    for len in (4..=three.len()).filter(|len| !(first..first + 4).contains(len)) {
        assert_eq!(told(&three, len, ORDERS[0]), ["id-1 sip:a@a 1", "id-2 sip:a@a 2", "id-3 sip:a@a 4"], "{len}");
    }
    let one = message("REFER", 7);
    for (len, order) in (4..one.len()).flat_map(|len| ORDERS.map(|order| (len, order))) {
        assert_eq!(told(&one, len, order), ["id-7 sip:a@a 14"], "{len}");
    }
}

#[test]
fn start_lines() {
    // (start line, original, native) as type,status,uri
    let cases = [
        ("SIP/2.0 404 Not Found", "99,404,", "99,404,"),
        ("SIP/2.0 200", "99,200,", "99,200,"),
        ("SIP/2.0", "99,999,", "none"),
        ("SIP/2.0 abc def", "99,0,", "99,999,"),
        ("SIP/2.0  183 x", "99,183,", "99,999,"),
        ("SIP/2.0 65736 x", "99,200,", "99,999,"),
        ("INVITE sip:a@b;transport=tcp SIP/2.0", "1,0,sip:a@b", "1,0,sip:a@b;transport=tcp"),
        ("REGISTER tel:+420 SIP/2.0", "5,0,tel:+420", "5,0,tel:+420"),
        ("INVITE <sip:a@b> SIP/2.0", "1,0,sip:a@b", "1,0,<sip:a@b>"),
        ("CANCEL", "3,0,", "none"),
    ];
    for (start, original, native) in cases {
        for (face, want) in [(Face::Ipfixprobe, original), (Face::Native, native)] {
            let mut h = Harness::<Sip>::new(face);
            h.packet(Forward, 5060, 5060, UDP, format!("{start}\r\nSubject: {:>60}\r\n\r\n", ".").as_bytes());
            let got = h.records().first().map_or("none".to_string(), |r| {
                format!("{},{},{}", r.msg_type, r.status, String::from_utf8_lossy(r.request_uri.as_bytes()))
            });
            assert_eq!(got, want, "{face:?} {start}");
        }
    }
}

#[test]
fn values_are_cut_at_their_bounds() {
    let long = "x".repeat(300);
    let via = "Via: SIP/2.0/UDP a23456789.example:5060;branch=1\r\n".repeat(9);
    let message =
        format!("BYE sip:{long} SIP/2.0\r\n{via}From: <sip:{long}>\r\nCall-ID: {long}\r\nUser-Agent: ua\r\n\r\n");
    for face in [Face::Native, Face::Ipfixprobe] {
        let mut h = Harness::<Sip>::new(face);
        h.packet(Forward, 5060, 5060, UDP, message.as_bytes());
        let r = h.records().remove(0);
        let lens = [&r.request_uri, &r.calling, &r.call_id, &r.via, &r.agent].map(|t| t.len());
        assert_eq!(lens, [127, 127, 127, 127, 2]);
    }
}

proptest! {
    #[test]
    fn any_bytes_do(payloads in prop::collection::vec(message_like(), 0..4)) {
        for face in [Face::Native, Face::Ipfixprobe] {
            let payloads: Vec<&[u8]> = payloads.iter().map(|p| p.as_slice()).collect();
            prop_assert!(play(face, &payloads).len() <= payloads.len());
        }
    }
}

fn message_like() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        &b"INVITE "[..],
        b"SIP/2.0 ",
        b" SIP/2.0",
        b"200",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b"sip:",
        b"sips:",
        b"<",
        b">",
        b";",
        b"\"",
        b"\\",
        b"From:",
        b"f:",
        b"To:",
        b"t:",
        b"Via:",
        b"v:",
        b"Call-ID:",
        b"Call",
        b"i:",
        b"User",
        b"CSeq:",
        b" ",
        b"\0",
        b"\xff",
        b",",
        b"a",
        b"7",
        b"abcdefghijklmnopqrstuvwxyz0123456789",
    ]);
    let start =
        prop::sample::select(vec![&b"INVITE "[..], b"SIP/2.0 200 OK\r\n", b"BYE sip:a SIP/2.0\r\n", b"REGISTER"]);
    (start, prop::collection::vec(word, 0..60)).prop_map(|(start, words)| [start, &words.concat()].concat())
}
