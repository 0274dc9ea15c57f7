//! email_reporter against a mail server on a real socket: plain, STARTTLS and TLS, passwords, refusals, and servers that misbehave.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;
mod mail_server;

use common::{input, module, output, path};
use detect::client::Limits;
use detect::modules::email_reporter::{self, Config, ReportError, Settings, Totals};
use mail_server::{Behaviour, MailServer, openssl, tls_config};
use record::Value;
use record::unirec::{Builder, Template};
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;
use tempfile::TempDir;
use trap::{Format, Place, Sent, Stop};

const SPEC: &str = "ipaddr SRC_IP,string NAME,time SEEN";
const FORM: &str = "From: Probe <probe@example.com>\nTo: One <one@example.com>, two@example.com\nBcc: three@example.com\n\
    Subject: $NAME by $SRC_IP\n\n$NAME at $SEEN.\n.\n100%s\n";

/// A file of records with these names.
fn records(folder: &TempDir, names: &[&str]) -> String {
    let file = format!("f:{}", path(folder, "records"));
    let template = Template::parse(&format!("{SPEC},uint8 MORE")).unwrap();
    let mut output = output(&file, &Place::default());
    output.set_format(Format::UniRec(template.spec())).unwrap();
    let (mut builder, mut bytes) = (Builder::new(&template), Vec::new());
    for name in names {
        let place = |field| template.index_of(field).unwrap();
        builder.set(place("SRC_IP"), Value::Ip(Ipv4Addr::new(192, 0, 2, 1).into())).unwrap();
        builder.set(place("NAME"), Value::Text(name.as_bytes())).unwrap();
        builder.set(place("SEEN"), Value::Time(record::Time(1_530_118_374_123_456_789))).unwrap();
        builder.finish(&mut bytes).unwrap();
        assert_eq!(output.send(&bytes), Sent::Sent);
    }
    assert_eq!(output.send_eof(), Sent::Sent);
    output.finish().unwrap();
    file
}

fn config(folder: &TempDir, port: u16, more: &str) -> String {
    let path = path(folder, "mail.cfg");
    fs::write(&path, format!("unirec={SPEC}\nserver=localhost # here\nport={port}\n{more}\n\n{FORM}")).unwrap();
    path
}

/// What the module does with these names; limits are short if `is_short`.
fn run(folder: &TempDir, port: u16, more: &str, names: &[&str], is_short: bool) -> (Result<(), ReportError>, Totals) {
    let records = records(folder, names);
    let mut settings = Settings::parse(&[config(folder, port, more)]).unwrap();
    if is_short {
        settings.limits = Limits { idle: Duration::from_millis(400), total: Duration::from_millis(800) };
    }
    let config = Config::load(&settings.config).unwrap();
    let mut totals = Totals::default();
    let mut input = input(&records, &Place::default());
    let ended = email_reporter::run(&mut input, &Stop::default(), &config, &settings, &mut totals);
    (ended, totals)
}

#[test]
fn each_record_is_a_mail_and_values_stay_values() {
    let folder = TempDir::new().unwrap();
    let server = MailServer::start(Behaviour::default());
    let records = records(&folder, &["scan", "x\r\nBcc: evil@example.com\r\n\r\n.\r\nMAIL FROM:<evil@example.com>"]);
    assert_eq!(module("email_reporter", &["-i", &records, &config(&folder, server.port, "")]), 0);
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0].from, "<probe@example.com>");
    assert_eq!(mails[0].to, ["<one@example.com>", "<two@example.com>", "<three@example.com>"]);
    let (head, body) = mails[0].text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("To: One <one@example.com>, two@example.com\r\nSubject: scan by 192.0.2.1\r\nDate: "),
        "{head}"
    );
    assert!(!head.contains("three"));
    assert_eq!(body, "scan at 2018-06-27 16:52:54.123000.\r\n.\r\n100%s\r\n");
    let (head, body) = mails[1].text.split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains("Subject: x  Bcc: evil@example.com    .  MAIL FROM:<evil@example.com> by 192.0.2.1\r\n"),
        "{head}"
    );
    assert_eq!(mails[1].to.len(), 3);
    assert!(body.starts_with("x\r\nBcc: evil@example.com\r\n\r\n.\r\nMAIL FROM:"), "{body}");
}

#[test]
fn passwords_by_plain_and_login() {
    let folder = TempDir::new().unwrap();
    for mechanism in ["PLAIN", "LOGIN"] {
        let server = MailServer::start(Behaviour { auth: Some(mechanism), ..Behaviour::default() });
        let (ended, totals) = run(&folder, server.port, "login=me:se:cret", &["a"], false);
        ended.unwrap();
        assert_eq!((totals.sent, server.mails().len()), (1, 1), "{mechanism}");
        // A wrong password is found before the first record.
        let (ended, totals) = run(&folder, server.port, "login=me:wrong", &["a"], false);
        assert!(
            matches!(&ended, Err(why @ ReportError::Server { .. }) if why.to_string().contains("535")),
            "{ended:?}"
        );
        assert_eq!(totals.records, 0);
    }
    let server = MailServer::start(Behaviour { auth: Some("CRAM-MD5"), ..Behaviour::default() });
    assert!(
        run(&folder, server.port, "login=me:x", &["a"], false).0.unwrap_err().to_string().contains("PLAIN or LOGIN")
    );
}

#[test]
fn starttls_and_tls_with_certificates_that_are_checked_or_not() {
    let folder = TempDir::new().unwrap();
    openssl(folder.path(), "req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -days 2 -keyout ca.key -out ca.crt");
    fs::write(folder.path().join("v3.cnf"), "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n").unwrap();
    openssl(folder.path(), "req -new -newkey rsa:2048 -nodes -subj /CN=x -keyout server.key -out server.csr");
    openssl(
        folder.path(),
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile v3.cnf -out server.crt",
    );
    let tls = tls_config(folder.path());
    let server =
        MailServer::start(Behaviour { starttls: Some(tls.clone()), auth: Some("PLAIN"), ..Behaviour::default() });
    let ca = format!("starttls=1\nca={}", path(&folder, "ca.crt"));
    for more in [
        "starttls=true".to_owned(),
        ca.clone(),
        format!("{ca}\nlogin=me:se:cret"),
        "starttls=1\nlogin=me:se:cret\nverify=0".into(),
    ] {
        let (ended, totals) = run(&folder, server.port, &more, &["a", "b"], false);
        ended.unwrap_or_else(|why| panic!("{more}: {why}"));
        assert_eq!(totals, Totals { records: 2, sent: 2, ..Totals::default() });
    }
    assert!(server.mails().iter().all(|mail| mail.is_tls) && server.mails().len() == 8);
    // Nobody vouches for it: no password is sent.
    let (ended, _) = run(&folder, server.port, "starttls=1\nlogin=me:se:cret", &["a"], false);
    let why = ended.unwrap_err().to_string();
    assert!(why.contains("ca=FILE") || why.contains("no certificates to trust"), "{why}");
    let plain = MailServer::start(Behaviour::default());
    assert!(run(&folder, plain.port, "starttls=1", &["a"], false).0.unwrap_err().to_string().contains("no STARTTLS"));
    let early = MailServer::start(Behaviour { starttls: Some(tls.clone()), is_early: true, ..Behaviour::default() });
    assert!(run(&folder, early.port, "starttls=1", &["a"], false).0.unwrap_err().to_string().contains("before TLS"));
    let tls_only = MailServer::start(Behaviour { is_tls: Some(tls), ..Behaviour::default() });
    run(&folder, tls_only.port, &ca.replace("starttls", "tls"), &["a"], false).0.unwrap();
    assert_eq!(tls_only.mails().len(), 1);
}

#[test]
fn refusals_are_counted_and_passing_ones_tried_again() {
    let folder = TempDir::new().unwrap();
    let once = |command: &str, answer: &str| (command.to_owned(), answer.to_owned(), 1);
    let always = |command: &str, answer: &str| (command.to_owned(), answer.to_owned(), usize::MAX);
    // One of three recipients, the others get it.
    let server =
        MailServer::start(Behaviour { answers: vec![always("RCPT TO:<two", "550 no")], ..Behaviour::default() });
    let (ended, totals) = run(&folder, server.port, "", &["a"], false);
    assert_eq!((ended.is_ok(), totals), (true, Totals { records: 1, sent: 1, failed: 0, refused: 1 }));
    assert_eq!(server.mails()[0].to, ["<one@example.com>", "<three@example.com>"]);
    // All of them: this message is lost, the next is not.
    let server =
        MailServer::start(Behaviour { answers: vec![always("RCPT", "550-no\r\n550 never")], ..Behaviour::default() });
    let (ended, totals) = run(&folder, server.port, "", &["a", "b"], false);
    assert_eq!((ended.is_ok(), totals), (true, Totals { records: 2, failed: 2, ..Totals::default() }));
    let records = records(&folder, &["a"]);
    assert_eq!(module("email_reporter", &["-i", &records, &config(&folder, server.port, "")]), 1);
    let server = MailServer::start(Behaviour {
        answers: vec![once("MAIL", "451 later"), once(".", "554 no")],
        ..Behaviour::default()
    });
    let (ended, totals) = run(&folder, server.port, "", &["a", "b"], false);
    assert_eq!((ended.is_ok(), totals), (true, Totals { records: 2, sent: 1, failed: 1, refused: 0 }));
    // A server of the old kind.
    let server = MailServer::start(Behaviour { answers: vec![always("EHLO", "502 what?")], ..Behaviour::default() });
    assert_eq!(run(&folder, server.port, "", &["a"], false).1.sent, 1);
}

#[test]
fn servers_that_misbehave_cost_a_bounded_time() {
    let folder = TempDir::new().unwrap();
    let says =
        |answer: &str| MailServer::start(Behaviour { greeting: Some(answer.to_owned()), ..Behaviour::default() });
    for (greeting, said) in [
        ("", "takes too long"),
        ("220-x\r\n", "takes too long"),
        ("hello\r\n", "no SMTP"),
        (&"2".repeat(9_000), "no SMTP"),
        (&"220-x\r\n".repeat(20_000), "no SMTP"),
        ("554 go away\r\n", "554 go away"),
    ] {
        let (ended, totals) = run(&folder, says(greeting).port, "", &["a"], said == "takes too long");
        assert!(ended.as_ref().unwrap_err().to_string().contains(said), "{greeting:.20}: {ended:?}");
        assert_eq!(totals, Totals::default());
    }
    // One byte at a time is movement, but the whole has a limit too.
    let server = MailServer::start(Behaviour { greeting: Some(String::new()), is_slow: true, ..Behaviour::default() });
    assert!(run(&folder, server.port, "", &["a"], true).0.unwrap_err().to_string().contains("takes too long"));
    // The server was there for the test at the start and is gone now.
    let server = MailServer::start(Behaviour { connections: Some(1), ..Behaviour::default() });
    let (ended, totals) = run(&folder, server.port, "", &["a", "b"], false);
    assert!(matches!(ended, Err(ReportError::Connect { .. })), "{ended:?}");
    assert_eq!(totals, Totals { records: 1, failed: 1, ..Totals::default() });
}

#[test]
fn command_lines_and_dry_runs() {
    let folder = TempDir::new().unwrap();
    let cfg = config(&folder, 1, "");
    let records = || records(&folder, &["a"]);
    assert_eq!(module("email_reporter", &["-i", &records(), "--dry-run", "--limit", "1", &cfg]), 0);
    assert_eq!(module("email_reporter", &["--ifcspec", &records(), "-d", "-v", &cfg]), 0);
    for (code, args) in [
        (0, &["-h"][..]),
        (1, &[&cfg]),
        (1, &["-i", "f:/nonexist", &cfg]),
        (1, &["-i", &records()]),
        (1, &["-i", &records(), "-d", &cfg, &cfg]),
        (1, &["-i", &records(), "-d", "/nonexist"]),
        (2, &["-i", &records(), "--limit", "x", &cfg]),
        (2, &["-i", &records(), "-x", &cfg]),
        // Nobody listens there.
        (1, &["-i", &records(), &cfg]),
        (1, &["-i", &records(), "--skip-smtp-test", &cfg]),
    ] {
        assert_eq!(module("email_reporter", args), code, "{args:?}");
    }
}
