//! SIP (RFC 3261): compact and folded headers, names in quotes, streams over TCP.
use super::Made;
use crate::wire::{Talk, pcap, route};
use benches::dialog::Side::{Client, Server};
use benches::dialog::sip::Call;

pub(crate) const CASES: &[Made] = &[
    ("sip_udp", || {
        let mut talk = udp();
        talk.datagram(Client, CALL.request("INVITE", 1, "")).datagram(Server, CALL.reply(486, "Busy", "INVITE", 1, ""));
        pcap(talk.packets())
    }),
    ("sip_compact", || {
        datagram(
            "INVITE sip:bob@example.org SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             f: <sip:alice@example.org>;tag=1\r\nt: <sip:bob@example.org>\r\ni: compact-1@example.org\r\n\
             CSeq: 1 INVITE\r\nm: <sip:192.0.2.10>\r\nl: 0\r\n\r\n",
        )
    }),
    ("sip_folded", || {
        datagram(
            "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10\r\n ;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: \"A\"\r\n <sip:alice@example.org>;tag=1\r\nTo:\r\n\t<sip:bob@example.org>\r\n\
             Call-ID: folded-1@example.org\r\nCSeq: 1\r\n INVITE\r\nContent-Length: 0\r\n\r\n",
        )
    }),
    ("sip_odd_case", || {
        datagram(
            "OPTIONS sip:bob@example.org SIP/2.0\r\nvIA: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\nMAX-FORWARDS: 70\r\n\
             FROM:<sip:alice@example.org>;tag=1\r\ntO :\t<sip:bob@example.org>\r\nCALL-id : odd-1@example.org\r\n\
             cseq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        )
    }),
    ("sip_names", || {
        datagram(
            "MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n\
             From: \"Alice <a>, \\\"the\\\" one\" <sip:alice@example.org;transport=udp>;tag=1\r\n\
             To: Bob <sips:bob@example.org:5061?subject=a>\r\nCall-ID: names-1@example.org\r\nCSeq: 1 MESSAGE\r\n\
             Content-Length: 0\r\n\r\n",
        )
    }),
    ("sip_without_brackets", || {
        datagram(
            "BYE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\n\
             From: sip:alice@example.org;tag=1\r\nTo: tel:+15550100;tag=2\r\nCall-ID: plain-1@example.org\r\n\
             CSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
        )
    }),
    ("sip_methods", || {
        let mut talk = udp();
        for (number, method) in (1..).zip([
            "INVITE",
            "ACK",
            "CANCEL",
            "BYE",
            "REGISTER",
            "OPTIONS",
            "PUBLISH",
            "NOTIFY",
            "INFO",
            "SUBSCRIBE",
            "PRACK",
            "UPDATE",
            "MESSAGE",
            "REFER",
        ]) {
            talk.datagram(Client, CALL.request(method, number, ""));
        }
        pcap(talk.packets())
    }),
    ("sip_tcp", || {
        let mut talk = tcp();
        talk.client(CALL.request("INVITE", 1, "v=0\r\n")).server(CALL.reply(200, "OK", "INVITE", 1, "v=0\r\n"));
        pcap(talk.end())
    }),
    ("sip_tcp_segments", || {
        let mut talk = tcp();
        talk.every(Client, 60, CALL.request("INVITE", 1, "v=0\r\n"));
        pcap(talk.every(Server, 90, CALL.reply(200, "OK", "INVITE", 1, "v=0\r\n")).end())
    }),
    ("sip_tcp_swapped", || {
        let mut talk = tcp();
        talk.pieces(Client, CALL.request("INVITE", 1, "v=0\r\n"), &[60, 120, 180], &[0, 2, 1, 3]);
        pcap(talk.end())
    }),
    ("sip_tcp_several", || {
        let mut talk = tcp();
        talk.client(["INVITE", "ACK", "BYE"].map(|method| CALL.request(method, 1, "v=0\r\n")).concat());
        talk.server([180, 200].map(|status| CALL.reply(status, "Fine", "INVITE", 1, "v=0\r\n")).concat());
        pcap(talk.end())
    }),
    ("sip_tcp_several_cut", || {
        let mut talk = tcp();
        talk.every(Client, 150, ["INVITE", "ACK", "BYE"].map(|method| CALL.request(method, 1, "v=0\r\n")).concat());
        pcap(talk.end())
    }),
    ("sip_tcp_keep_alive", || {
        let mut talk = tcp();
        talk.client("\r\n\r\n").server("\r\n").client(CALL.request("REGISTER", 1, ""));
        pcap(talk.server(CALL.reply(200, "OK", "REGISTER", 1, "")).end())
    }),
];

const CALL: Call<'static> = Call {
    caller: "sip:alice@example.org",
    callee: "sip:bob@example.org",
    call_id: "call-1@192.0.2.10",
    contact: "192.0.2.10:5060",
};

fn udp() -> Talk {
    Talk::udp(route(5060, 5060))
}

fn tcp() -> Talk {
    Talk::tcp(route(40_004, 5060))
}

fn datagram(message: &str) -> Vec<u8> {
    pcap(udp().datagram(Client, message).packets())
}
