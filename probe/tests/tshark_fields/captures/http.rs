//! HTTP/1 (RFC 9112): heads over segments in every order, several transactions on a connection, bodies before the next head.
use super::Made;
use super::tls::client_hello;
use crate::wire::{Talk, pcap, route};
use benches::dialog::Side::{Client, Server};

pub(crate) const CASES: &[Made] = &[
    ("http_odd_case", || {
        let ask = "GET /case HTTP/1.1\r\nUSER-AGENT: a\r\nhOsT: odd.example.org\r\n\r\n";
        one(ask, "HTTP/1.1 200 OK\r\nCONTENT-length: 0\r\nsErVeR: b\r\n\r\n")
    }),
    ("http_blanks", || {
        let ask = "GET /blanks HTTP/1.1\r\nHost:blank.example.org\t \r\nUser-Agent:\ta  \r\n\r\n";
        one(ask, "HTTP/1.1 204 No Content\r\nServer:b \r\n\r\n")
    }),
    ("http_lf", || one("GET /lf HTTP/1.1\nHost: lf.example.org\n\n", "HTTP/1.1 404 Gone\nContent-Length: 0\n\n")),
    ("http_1_0", || one("GET /old HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nthe rest is the body")),
    ("http_absolute", || one(&ask("http://proxy.example.org/path", "proxy.example.org"), &reply(301, "", 0))),
    ("http_no_reason", || one(&ask("/", "a.example.org"), "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")),
    ("http_methods", || {
        let mut talk = open();
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PROPFIND"] {
            talk.client(format!("{method} /{method} HTTP/1.1\r\nHost: methods.example.org\r\n\r\n"));
            talk.server(reply(204, "", 0));
        }
        pcap(talk.end())
    }),
    ("http_long_values", || one(&ask(&format!("/{}", "p".repeat(300)), &"h".repeat(200)), &reply(200, "", 0))),
    ("http_segments_of_7", || {
        let mut talk = open();
        talk.every(Client, 7, ask("/sevens?a=b", "sevens.example.org")).every(Server, 7, reply(206, "", 3));
        pcap(talk.server("abc").end())
    }),
    ("http_segments_of_1", || {
        let mut talk = open();
        talk.every(Client, 1, ask("/ones", "ones.example.org")).every(Server, 1, reply(200, "", 0));
        pcap(talk.end())
    }),
    // In the target, in a name, in a value, between CR and LF.
    ("http_cut_target", || cut(&[8], &[0, 1])),
    ("http_cut_name", || cut(&[27], &[0, 1])),
    ("http_cut_value", || cut(&[36], &[0, 1])),
    ("http_cut_line_end", || cut(&[23], &[0, 1])),
    ("http_swapped", || cut(&[20, 30, 40], &[0, 2, 1, 3])),
    ("http_reversed_tail", || cut(&[20, 30, 40], &[0, 3, 2, 1])),
    ("http_sent_twice", || cut(&[20, 30, 40], &[0, 0, 1, 2, 1, 3, 0])),
    ("http_first_late", || cut(&[20], &[1, 0])),
    ("http_overlap", || {
        let (text, mut talk) = (ask("/overlap", "overlap.example.org"), open());
        talk.client(&text[..30]).again(Client, 10, &text[20..]).server(reply(200, "", 0));
        pcap(talk.end())
    }),
    ("http_response_swapped", || {
        let mut talk = open();
        talk.client(ask("/", "a.example.org"));
        talk.pieces(Server, reply(500, "Server: a\r\n", 0), &[12, 20, 30], &[0, 2, 1, 3]);
        pcap(talk.end())
    }),
    ("http_keep_alive", || {
        let mut talk = open();
        for n in 0..5 {
            talk.client(ask(&format!("/{n}"), "keep.example.org")).server(reply(200 + n, "", 4)).server("body");
        }
        pcap(talk.end())
    }),
    ("http_head_and_body", || {
        let mut talk = open();
        for n in 0..4 {
            talk.client(ask(&format!("/{n}"), "keep.example.org")).server(reply(200, "", 4) + "body");
        }
        pcap(talk.end())
    }),
    ("http_pipelined", || {
        let mut talk = open();
        talk.client((0..4).map(|n| ask(&format!("/pipe/{n}"), "pipe.example.org")).collect::<String>());
        talk.server((0..4).map(|n| reply(200 + n, "", 0)).collect::<String>());
        pcap(talk.end())
    }),
    ("http_pipelined_bodies", || {
        let mut talk = open();
        let post = "POST /form HTTP/1.1\r\nHost: form.example.org\r\nContent-Length: 7\r\n\r\na=1&b=2";
        talk.client([post, &ask("/next", "next.example.org"), post].concat());
        talk.server((0..3).map(|n| reply(200 + n, "", 9) + "ABCDEFGH\n").collect::<String>());
        pcap(talk.end())
    }),
    // The second head begins in the midst of a segment and ends in the next one.
    ("http_pipelined_cut", || {
        let mut talk = open();
        let both = ask("/first", "first.example.org") + &ask("/second", "second.example.org");
        talk.every(Client, 70, both);
        talk.every(Server, 50, reply(200, "", 20) + &"-".repeat(20) + &reply(404, "", 0));
        pcap(talk.end())
    }),
    ("http_chunked", || {
        let mut talk = open();
        talk.client(ask("/chunked", "chunked.example.org"));
        talk.server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        talk.server("5\r\nhello\r\n").server("6;ext=1\r\n world\r\n").server("0\r\nTrailer: t\r\n\r\n");
        talk.client(ask("/after", "after.example.org")).server(reply(200, "", 0));
        pcap(talk.end())
    }),
    ("http_chunked_whole", || {
        let mut talk = open();
        talk.client(ask("/one", "chunked.example.org") + &ask("/two", "chunked.example.org"));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        talk.server([chunked, &reply(201, "", 0)].concat());
        pcap(talk.end())
    }),
    ("http_post", || {
        let mut talk = open();
        talk.client("POST /upload HTTP/1.1\r\nHost: post.example.org\r\nContent-Length: 3000\r\n\r\n");
        talk.client("x".repeat(3000)).server(reply(201, "", 0));
        pcap(talk.client(ask("/then", "post.example.org")).server(reply(200, "", 0)).end())
    }),
    // The next head shares a segment with the end of a body that began in an earlier one.
    ("http_body_then_head", || {
        let mut talk = open();
        talk.client("POST /upload HTTP/1.1\r\nHost: post.example.org\r\nContent-Length: 3000\r\n\r\n");
        talk.client("x".repeat(3000) + &ask("/behind", "behind.example.org"));
        talk.server(reply(201, "", 2900)).server("y".repeat(2900) + &reply(202, "", 0));
        pcap(talk.end())
    }),
    ("http_continue", || {
        let mut talk = open();
        talk.client(
            "PUT /large HTTP/1.1\r\nHost: put.example.org\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        );
        talk.server("HTTP/1.1 100 Continue\r\n\r\n").client("data").server(reply(201, "", 0));
        pcap(talk.end())
    }),
    ("http_not_modified", || {
        one(&ask("/same", "same.example.org"), "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")
    }),
    ("http_connect", || {
        let mut talk = Talk::tcp(route(40_001, 8080));
        talk.client("CONNECT secret.example.org:443 HTTP/1.1\r\nHost: secret.example.org:443\r\n\r\n");
        talk.server("HTTP/1.1 200 Connection established\r\n\r\n");
        pcap(talk.client(client_hello("secret.example.org")).end())
    }),
    // The hello comes before the proxy has said yes, in the segment of the request's end.
    ("http_connect_at_once", || {
        let mut talk = Talk::tcp(route(40_001, 8080));
        talk.client("CONNECT fast.example.org:443 HTTP/1.1\r\nHost: fast.example.org:443\r\n\r\n");
        talk.client(client_hello("fast.example.org"));
        pcap(talk.server("HTTP/1.1 200 Connection established\r\n\r\n").end())
    }),
    ("http_upgrade", || {
        let mut talk = open();
        talk.client(
            "GET /chat HTTP/1.1\r\nHost: ws.example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
        talk.server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        pcap(talk.server([0x81, 5, b'h', b'e', b'l', b'l', b'o']).end())
    }),
    ("http_large_head", || {
        let cookie = "c".repeat(2500);
        one(&format!("GET /cookie HTTP/1.1\r\nCookie: {cookie}\r\nHost: large.example.org\r\n\r\n"), &reply(200, "", 0))
    }),
    ("http_larger_head", || {
        let cookie = "c".repeat(9000);
        one(
            &format!("GET /cookie HTTP/1.1\r\nCookie: {cookie}\r\nHost: larger.example.org\r\n\r\n"),
            &reply(200, "", 0),
        )
    }),
    ("http_no_handshake", || {
        let mut talk = open();
        talk.packets();
        talk.client(ask("/midst", "midst.example.org")).server(reply(200, "", 0));
        pcap(talk.packets())
    }),
];

fn open() -> Talk {
    Talk::tcp(route(40_001, 80))
}

pub(super) fn ask(target: &str, host: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: a\r\n\r\n")
}

pub(super) fn reply(status: usize, more: &str, content: usize) -> String {
    format!("HTTP/1.1 {status} Reason\r\n{more}Content-Length: {content}\r\n\r\n")
}

/// One transaction.
fn one(ask: &str, reply: &str) -> Vec<u8> {
    let mut talk = open();
    pcap(talk.client(ask).server(reply).end())
}

/// One transaction whose request is cut.
fn cut(cuts: &[usize], order: &[usize]) -> Vec<u8> {
    let mut talk = open();
    talk.pieces(Client, ask("/target", "cut.example.org"), cuts, order).server(reply(200, "", 0));
    pcap(talk.end())
}
