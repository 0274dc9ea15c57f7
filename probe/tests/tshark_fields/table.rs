//! Which of tshark's fields is which of ours: the one place where the two vocabularies meet.
use serde_json::Value;

/// A value that both sides read.
pub(crate) struct Field {
    /// Plugin and field of ours.
    pub(crate) name: &'static str,
    pub(crate) plugin: &'static str,
    /// Our values in one record of the plugin.
    pub(crate) ours: fn(&Value) -> Vec<String>,
    /// tshark's values in one frame.
    pub(crate) theirs: fn(&Frame<'_>) -> Vec<String>,
    pub(crate) keep: Keep,
    /// Our field has so many bytes (docs/fields.md): a longer value counts as its beginning.
    pub(crate) bound: usize,
}

/// Which values of a flow are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    /// Each once: our record is about the whole connection, which may say it again.
    Distinct,
    /// The first alone, which is all that the field promises.
    First,
}

/// What tshark is asked for in each frame.
pub(crate) const ASKED: [&str; 28] = [
    "frame.protocols",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
    "http.host",
    "http.request.method",
    "http.request.uri",
    "http.response.code",
    "dns.qry.name",
    "dns.flags.rcode",
    "tls.handshake.type",
    "tls.handshake.extensions_server_name",
    "tls.handshake.extensions_alpn_str",
    "tls.handshake.ja3",
    "sip.Call-ID",
    "sip.from.addr",
    "sip.to.addr",
    "sip.Request-Line",
    "sip.Status-Code",
    "smtp.req.command",
    "smtp.req.parameter",
    "ssh.protocol",
    "ssh.direction",
];

/// One frame as tshark shows it: the values of [`ASKED`].
pub(crate) struct Frame<'t>(pub(crate) Vec<Vec<&'t str>>);

impl<'t> Frame<'t> {
    pub(crate) fn all(&self, field: &str) -> &[&'t str] {
        let at = ASKED.iter().position(|asked| *asked == field).unwrap_or_else(|| panic!("{field} was not asked for"));
        &self.0[at]
    }

    fn texts(&self, field: &str) -> Vec<String> {
        self.all(field).iter().map(ToString::to_string).collect()
    }

    /// Whether a protocol is among the frame's layers.
    pub(crate) fn has(&self, protocol: &str) -> bool {
        self.all("frame.protocols").iter().any(|list| list.split(':').any(|layer| layer == protocol))
    }
}

pub(crate) const FIELDS: &[Field] = &[
    Field {
        name: "http.host",
        plugin: "http",
        ours: |r| text(r, "host"),
        theirs: |f| f.texts("http.host"),
        keep: Keep::All,
        bound: 63,
    },
    Field {
        name: "http.method",
        plugin: "http",
        ours: |r| text(r, "method"),
        theirs: |f| f.texts("http.request.method"),
        keep: Keep::All,
        bound: 15,
    },
    Field {
        name: "http.url",
        plugin: "http",
        ours: |r| text(r, "url"),
        theirs: |f| f.texts("http.request.uri"),
        keep: Keep::All,
        bound: 127,
    },
    Field {
        name: "http.status",
        plugin: "http",
        ours: |r| number(r, "status"),
        theirs: |f| f.texts("http.response.code"),
        keep: Keep::All,
        bound: usize::MAX,
    },
    Field {
        name: "dns.name",
        plugin: "dns",
        // Ours writes the root as nothing, and escapes nothing.
        ours: |r| vec![r["name"].as_str().unwrap_or_default().to_string()],
        theirs: |f| if f.has("dns") { names(f) } else { Vec::new() },
        keep: Keep::All,
        bound: 127,
    },
    Field {
        name: "dns.rcode",
        plugin: "dns",
        // A query has the number, too, which is 0 and of which tshark shows nothing.
        ours: |r| number(r, "rcode"),
        theirs: |f| if f.has("dns") { nonzero(f.texts("dns.flags.rcode")) } else { Vec::new() },
        keep: Keep::All,
        bound: usize::MAX,
    },
    Field {
        name: "tls.sni",
        plugin: "tls",
        ours: |r| text(r, "sni"),
        theirs: |f| if f.has("quic") { Vec::new() } else { f.texts("tls.handshake.extensions_server_name") },
        keep: Keep::Distinct,
        bound: 253,
    },
    Field {
        name: "tls.alpn",
        plugin: "tls",
        ours: |r| text(r, "alpn"),
        // The server's choice; what clients offer is in JA4 alone.
        theirs: |f| if is_server_hello(f) { f.texts("tls.handshake.extensions_alpn_str") } else { Vec::new() },
        keep: Keep::Distinct,
        bound: 253,
    },
    Field {
        name: "tls.ja3",
        plugin: "tls",
        ours: |r| text(r, "ja3"),
        theirs: |f| if f.has("quic") { Vec::new() } else { f.texts("tls.handshake.ja3") },
        keep: Keep::Distinct,
        bound: usize::MAX,
    },
    Field {
        name: "quic.sni",
        plugin: "quic",
        ours: |r| text(r, "sni"),
        theirs: |f| if f.has("quic") { f.texts("tls.handshake.extensions_server_name") } else { Vec::new() },
        keep: Keep::Distinct,
        bound: 253,
    },
    Field {
        name: "sip.call_id",
        plugin: "sip",
        ours: |r| text(r, "call_id"),
        theirs: |f| f.texts("sip.Call-ID"),
        keep: Keep::All,
        bound: 127,
    },
    Field {
        name: "sip.calling",
        plugin: "sip",
        ours: |r| text(r, "calling"),
        theirs: |f| f.texts("sip.from.addr"),
        keep: Keep::All,
        bound: 127,
    },
    Field {
        name: "sip.called",
        plugin: "sip",
        ours: |r| text(r, "called"),
        theirs: |f| f.texts("sip.to.addr"),
        keep: Keep::All,
        bound: 127,
    },
    Field {
        name: "smtp.sender",
        plugin: "smtp",
        ours: |r| text(r, "sender"),
        theirs: |f| paths(f, "FROM:"),
        keep: Keep::First,
        bound: 254,
    },
    Field {
        name: "smtp.recipient",
        plugin: "smtp",
        ours: |r| text(r, "recipient"),
        theirs: |f| paths(f, "TO:"),
        keep: Keep::First,
        bound: 254,
    },
    Field {
        name: "smtp.mail_count",
        plugin: "smtp",
        ours: |r| times(r, "mail_count", "MAIL"),
        theirs: |f| commands(f, "MAIL"),
        keep: Keep::All,
        bound: usize::MAX,
    },
    Field {
        name: "smtp.rcpt_count",
        plugin: "smtp",
        ours: |r| times(r, "rcpt_count", "RCPT"),
        theirs: |f| commands(f, "RCPT"),
        keep: Keep::All,
        bound: usize::MAX,
    },
    Field {
        name: "ssh.versions",
        plugin: "ssh",
        ours: |r| [text(r, "client"), text(r, "server")].concat(),
        theirs: |f| f.texts("ssh.protocol"),
        keep: Keep::All,
        bound: 253,
    },
];

fn text(record: &Value, key: &str) -> Vec<String> {
    let text = record[key].as_str().unwrap_or_else(|| panic!("no text {key} in {record}"));
    if text.is_empty() { Vec::new() } else { vec![text.to_string()] }
}

/// A number that is not 0, which stands for none.
fn number(record: &Value, key: &str) -> Vec<String> {
    nonzero(vec![record[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {record}")).to_string()])
}

fn nonzero(mut numbers: Vec<String>) -> Vec<String> {
    numbers.retain(|n| n != "0");
    numbers
}

/// A word for each that was counted.
fn times(record: &Value, key: &str, word: &str) -> Vec<String> {
    let count = record[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {record}"));
    (0..count).map(|_| word.to_string()).collect()
}

/// tshark's word for the root of all names.
fn names(frame: &Frame<'_>) -> Vec<String> {
    frame.texts("dns.qry.name").into_iter().map(|name| if name == "<Root>" { String::new() } else { name }).collect()
}

fn is_server_hello(frame: &Frame<'_>) -> bool {
    frame.all("tls.handshake.type").contains(&"2")
}

/// The paths of MAIL or RCPT commands, with brackets and without parameters (RFC 5321 section 4.1.2).
fn paths(frame: &Frame<'_>, word: &str) -> Vec<String> {
    let arguments = frame.all("smtp.req.parameter").iter();
    let paths = arguments.filter(|a| a.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word)));
    paths.map(|a| a[word.len()..].trim_start().split(' ').next().unwrap_or_default().to_string()).collect()
}

fn commands(frame: &Frame<'_>, verb: &str) -> Vec<String> {
    let all = frame.all("smtp.req.command").iter();
    all.filter(|c| c.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case(verb))).map(|_| verb.to_string()).collect()
}
