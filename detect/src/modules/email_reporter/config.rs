//! The configuration file: settings, headers and body of the messages, separated by blank lines (spec/modules.md section 21).
//!
//! ```text
//! unirec=ipaddr SRC_IP,time TIMESTAMP   # fields that the records must have
//! server=smtp.example.com
//! starttls=1
//!
//! From: Probe <probe@example.com>
//! To: admin@example.com
//! Subject: $SRC_IP scans
//!
//! It was seen at $TIMESTAMP.
//! ```
use super::message::{Message, Template};
use crate::client::Trust;
use jiff::Timestamp;
use lettre::Address;
use lettre::message::header::HeaderName;
use record::unirec::{self, SpecError};
use std::io::{self, Read};
use std::path::Path;

/// Bytes of the file, at the most.
const CONFIG_MAX: u64 = 1024 * 1024;
/// Recipients of a message, at the most.
const RECIPIENTS_MAX: usize = 1_000;

/// What the file says.
#[derive(Clone, Debug)]
pub struct Config {
    /// Fields that the records must have.
    pub unirec: String,
    pub server: Server,
    /// The header `From` as it is written, and the address in it.
    pub sender: Mailbox,
    /// Of To, Cc and Bcc; at least one.
    pub recipients: Vec<Mailbox>,
    /// What becomes the messages.
    pub message: Template,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    /// Whom TLS trusts.
    pub trust: Trust,
    /// User and password.
    pub login: Option<(String, String)>,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    #[default]
    None,
    /// After the command STARTTLS (RFC 3207).
    StartTls,
    /// At once (RFC 8314).
    Tls,
}

/// Somebody's address, alone and as the header shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub shown: String,
    pub address: Address,
}

/// Why a file is refused; exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("Error: cannot read the configuration {path}: {source}")]
    Open { path: String, source: io::Error },
    #[error("Error in config file: it is longer than {CONFIG_MAX} bytes, or not UTF-8.")]
    Text,
    #[error(
        "Error in config file: it needs three parts with a blank line between: settings, headers of the message, its body."
    )]
    Parts,
    #[error("Error in config file (line {0}): Each line in first section must have format \"variable=value\".")]
    NoValue(usize),
    #[error("Error in config file (line {0}): Unknown variable \"{1}\".")]
    Unknown(usize, String),
    #[error("Error in config file (line {0}): {1}")]
    Value(usize, &'static str),
    #[error("Config file error: UniRec template is missing (\"unirec=...\" not found).")]
    NoUnirec,
    #[error("Config file error: \"unirec=TYPE NAME,...\" cannot be read: {0}")]
    Unirec(#[from] SpecError),
    #[error("Config file error: SMTP server is missing (\"server=...\" not found).")]
    NoServer,
    #[error("Error in message template: \"{0}\" is no header such as \"Subject: text\".")]
    Header(String),
    #[error("Error in message template: \"From:\" header not found.")]
    NoSender,
    #[error("Error in message template: No recipient (headers \"To:\", \"Cc:\" or \"Bcc:\") found.")]
    NoRecipient,
    #[error("Error in message template: more than {RECIPIENTS_MAX} recipients.")]
    Recipients,
    #[error("Error in message template: \"{0}\" is no address; it must be ASCII, and cannot come from a field.")]
    Address(String),
}

impl Config {
    /// Reads a file.
    pub fn load(path: &str) -> Result<Config, ConfigError> {
        let failed = |source| ConfigError::Open { path: path.to_owned(), source };
        let mut text = Vec::new();
        let file = std::fs::File::open(Path::new(path)).map_err(failed)?;
        file.take(CONFIG_MAX + 1).read_to_end(&mut text).map_err(failed)?;
        Config::parse(&text)
    }

    /// Reads the text of a file.
    pub fn parse(text: &[u8]) -> Result<Config, ConfigError> {
        let text = str::from_utf8(text).ok().filter(|text| text.len() as u64 <= CONFIG_MAX).ok_or(ConfigError::Text)?;
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        // Further blank lines before the headers, an error in the original, are left out.
        let (settings, message) = text.trim_start_matches('\n').split_once("\n\n").ok_or(ConfigError::Parts)?;
        let (headers, body) = message.trim_start_matches('\n').split_once("\n\n").ok_or(ConfigError::Parts)?;
        let (unirec, server) = parse_settings(settings)?;
        let fields = unirec::Template::parse(&unirec)?;
        let headers = parse_headers(headers)?;
        let named = |name: &str| {
            let name = name.to_owned();
            headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(&name)).map(|(_, value)| value.as_str())
        };
        let sender = named("from").next().ok_or(ConfigError::NoSender)?;
        let sender = Mailbox::parse(&split_addresses(sender).next().unwrap_or_default(), &fields)?;
        let mut recipients = Vec::new();
        for shown in ["to", "cc", "bcc"].into_iter().flat_map(&named).flat_map(split_addresses) {
            if recipients.len() == RECIPIENTS_MAX {
                return Err(ConfigError::Recipients);
            }
            recipients.push(Mailbox::parse(&shown, &fields)?);
        }
        if recipients.is_empty() {
            return Err(ConfigError::NoRecipient);
        }
        let has_date = named("date").next().is_some();
        let mut sent: Vec<_> = headers.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("bcc")).collect();
        if !has_date {
            sent.push(("Date".into(), "$_DATETIME_".into()));
        }
        let message = Template::new(sent, body, &fields);
        Ok(Config { unirec, server, sender, recipients, message })
    }
}

fn parse_settings(text: &str) -> Result<(String, Server), ConfigError> {
    let (mut unirec, mut host, mut login, mut port) = (None, None, None, None);
    let (mut encryption, mut ca, mut verify) = (Encryption::None, None, None);
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let (name, value) = (name.trim(), value.trim());
        if value.is_empty() {
            return Err(ConfigError::NoValue(at + 1));
        }
        let is_on = value == "1" || value.eq_ignore_ascii_case("true");
        match name {
            "unirec" => unirec = Some(value.to_owned()),
            "server" => host = Some(value.to_owned()),
            "port" => {
                port = Some(value.parse().map_err(|_| ConfigError::Value(at + 1, "port is a number up to 65535."))?);
            }
            "starttls" if is_on => encryption = Encryption::StartTls,
            "tls" if is_on => encryption = Encryption::Tls,
            "starttls" | "tls" => encryption = Encryption::None,
            "login" => {
                let (user, password) = value.split_once(':').unwrap_or((value, ""));
                login = Some((user.to_owned(), password.to_owned()));
            }
            "verify" => verify = Some(is_on),
            "ca" => ca = Some(value.into()),
            _ => return Err(ConfigError::Unknown(at + 1, name.to_owned())),
        }
    }
    let unirec = unirec.ok_or(ConfigError::NoUnirec)?;
    let host = host.ok_or(ConfigError::NoServer)?;
    let port = port.unwrap_or(if encryption == Encryption::Tls { 465 } else { 25 });
    // The original never looks at a certificate. A password is not given to whoever answers unless that is said.
    let trust = match (ca, verify.unwrap_or(login.is_some())) {
        (Some(path), _) if verify != Some(false) => Trust::File(path),
        (_, true) => Trust::System,
        (_, false) => Trust::Anyone,
    };
    Ok((unirec, Server { host, port, encryption, trust, login }))
}

/// Name and value of each header; the value keeps its line breaks, each with the blank that continues it.
fn parse_headers(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut headers = Vec::<(String, String)>::new();
    for line in text.lines() {
        match headers.last_mut() {
            // A line of blanks alone would end the headers for some readers.
            Some((_, value)) if line.starts_with([' ', '\t']) && !line.trim().is_empty() => {
                value.push('\n');
                value.push_str(line);
            }
            _ => {
                // Printable ASCII (RFC 5322 section 3.6.8); lettre takes control characters too.
                let is_name = |name: &str| {
                    name.bytes().all(|b| b.is_ascii_graphic()) && HeaderName::new_from_ascii(name.into()).is_ok()
                };
                let parts = line.split_once(':').filter(|(name, _)| is_name(name));
                let (name, value) = parts.ok_or_else(|| ConfigError::Header(line.to_owned()))?;
                headers.push((name.to_owned(), value.trim_start_matches([' ', '\t']).to_owned()));
            }
        }
    }
    Ok(headers)
}

/// Parts of a list of addresses: commas count outside of quotes, comments and angle brackets. Empty parts are left out.
fn split_addresses(list: &str) -> impl Iterator<Item = String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_escaped, mut comments, mut is_angle) = (false, false, 0_u32, false);
    for c in list.chars() {
        let is_plain = !is_quoted && comments == 0;
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if !is_plain => is_escaped = true,
            '"' if comments == 0 => is_quoted = !is_quoted,
            '(' if !is_quoted => comments += 1,
            ')' if !is_quoted => comments = comments.saturating_sub(1),
            '<' if is_plain => is_angle = true,
            '>' if is_plain => is_angle = false,
            ',' if is_plain && !is_angle => {
                parts.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part);
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
}

impl Mailbox {
    /// Reads `address`, `Name <address>` or `address (name)`.
    fn parse(shown: &str, fields: &unirec::Template) -> Result<Mailbox, ConfigError> {
        let wrong = || ConfigError::Address(shown.to_owned());
        let bare = match shown.rsplit_once('<') {
            Some((_, rest)) => rest.split_once('>').map(|(address, _)| address).ok_or_else(wrong)?,
            None => shown.split('(').next().unwrap_or(shown),
        };
        let bare = bare.trim();
        let is_field = fields.fields().iter().any(|field| bare.contains(&format!("${}", field.name)));
        let address: Address = bare.parse().map_err(|_| wrong())?;
        let is_plain = bare.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
        if is_plain && !is_field { Ok(Mailbox { shown: shown.to_owned(), address }) } else { Err(wrong()) }
    }
}

/// Any bytes as a file, and messages of a record full of traps: their headers stay those of the file.
pub fn fuzz_config(input: &[u8]) {
    let Ok(config) = Config::parse(input) else { return };
    assert!(!config.recipients.is_empty());
    let value = "\r\nBcc: x@y.z\r\n\r\n.\r\n\u{e9}\0$A%s";
    let values = vec![value.to_owned(); config.message.fields().len()];
    let Ok(Message { headers, body }) = config.message.fill(&values, Timestamp::UNIX_EPOCH) else { return };
    let message = Message { headers: headers.clone(), body };
    let wire = String::from_utf8(message.to_wire().bytes).expect("a message is UTF-8");
    let (head, _) = wire.split_once("\r\n\r\n").expect("headers end with a blank line");
    let added = ["MIME-Version", "Content-Type", "Content-Transfer-Encoding"];
    for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
        let name = line.split(':').next().unwrap_or("");
        assert!(headers.iter().any(|(n, _)| n == name) || added.contains(&name), "{line:?} came from nowhere");
    }
    assert!(!head.contains(['\0']) && !head.replace("\r\n", "").contains(['\r', '\n']));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SETTINGS: &str = "# comment\nunirec=ipaddr SRC_IP,time T\n server = mail.example # host\nport=2525\n";
    const HEADERS: &str =
        "From: Probe <probe@example.com>\nTo: a@example.com, \"B, b\" <b@example.com>,\nSubject: $SRC_IP\n at $T";

    fn parsed(settings: &str, headers: &str) -> Result<Config, String> {
        let settings = settings.trim_end();
        Config::parse(format!("\n{settings}\n\n\n{headers}\n\nBody $T\n\nend\n").as_bytes())
            .map_err(|why| why.to_string())
    }

    #[test]
    fn the_three_parts() {
        let config = parsed(SETTINGS, &format!("{HEADERS}\nbcc: c@example.com (hidden)\nCc: <d@example.com>")).unwrap();
        assert_eq!((config.server.host.as_str(), config.server.port), ("mail.example", 2525));
        assert_eq!(config.sender.address.to_string(), "probe@example.com");
        let shown: Vec<_> = config.recipients.iter().map(|r| format!("{} {}", r.address, r.shown)).collect();
        assert_eq!(
            shown,
            [
                "a@example.com a@example.com",
                "b@example.com \"B, b\" <b@example.com>",
                "d@example.com <d@example.com>",
                "c@example.com c@example.com (hidden)",
            ]
        );
        assert_eq!(config.message.fields(), ["SRC_IP", "T"]);
        let message = config.message.fill(&["1.2.3.4".into(), "now".into()], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            message.to_text(),
            "From: Probe <probe@example.com>\nTo: a@example.com, \"B, b\" <b@example.com>,\n\
            Subject: 1.2.3.4\n at now\nCc: <d@example.com>\nDate: Thu, 01 Jan 1970 00:00:00 +0000\n\nBody now\n\nend\n"
        );
    }

    #[test]
    fn how_the_server_is_reached() {
        let server = |more: &str| parsed(&format!("{SETTINGS}{more}"), HEADERS).unwrap().server;
        assert_eq!(server("").trust, Trust::Anyone);
        let login = server("starttls=True\nlogin = me:pass:word");
        assert_eq!((login.encryption, login.trust), (Encryption::StartTls, Trust::System));
        assert_eq!(login.login, Some(("me".into(), "pass:word".into())));
        assert_eq!(server("starttls=yes").encryption, Encryption::None);
        assert_eq!(server("starttls=1\nca=/x").trust, Trust::File("/x".into()));
        assert_eq!(server("login=a:b\nverify=0").trust, Trust::Anyone);
        let config = parsed("unirec=ipaddr SRC_IP,time T\nserver=m\ntls=1", HEADERS).unwrap();
        assert_eq!((config.server.port, config.server.encryption), (465, Encryption::Tls));
    }

    #[test]
    fn what_is_refused() {
        for (settings, headers, said) in [
            ("server=x", HEADERS, "UniRec template is missing"),
            ("unirec=uint8 A", HEADERS, "SMTP server is missing"),
            ("unirec=A,B\nserver=x", HEADERS, "cannot be read"),
            ("unirec=uint8 A\nserver", HEADERS, "(line 2): Each line"),
            ("unirec=uint8 A\nserver=#x", HEADERS, "(line 2): Each line"),
            ("unirec=uint8 A\n\tsmtp=x", HEADERS, "(line 2): Unknown variable \"smtp\""),
            ("port=70000", HEADERS, "port is a number"),
            ("unirec=uint8 A\nserver=x", "To: a@b.c", "\"From:\" header not found"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c", "No recipient"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c\nTo:  , ", "No recipient"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c\nTo: $A@b.c", "\"$A@b.c\" is no address"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c\nTo: x", "\"x\" is no address"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c\nTo: <a@b.c", "is no address"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c\nTo: \u{e9}@b.c", "is no address"),
            ("unirec=uint8 A\nserver=x", "From: a@b.c\nTo x", "\"To x\" is no header"),
        ] {
            let why = parsed(settings, headers).map(|_| ()).unwrap_err();
            assert!(why.contains(said), "{settings:?} {headers:?}: {why}");
        }
        assert!(matches!(Config::parse(b"a=b\n\nFrom: x"), Err(ConfigError::Parts)));
        assert!(matches!(Config::parse(b"\xff"), Err(ConfigError::Text)));
    }

    proptest! {
        #[test]
        fn any_file(
            settings in "(unirec=string A,uint8 B\n)?(server=x\n)?((port|login|ca|tls)=[a-z0-9:]{0,4}\n)?",
            headers in "(From|To|bcc|Subject|[a-zA-Z-]{1,5}): ?[ -~\\t$A\u{e9}]{0,40}(\n[ \\t][ -~$B]{0,20})?",
            body in "[ -~\n$AB\u{e9}]{0,90}",
        ) {
            let to = "From: a@b.c\nTo: \"$A\" <a@b.c>";
            fuzz_config(format!("{}\n\n{to}\n{headers}\n\n{body}", settings.trim_end()).as_bytes());
        }
    }
}
