//! Rounds of the downloader against servers and files of this machine.
use super::*;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use tempfile::TempDir;

#[allow(dead_code, reason = "a part of it is enough")]
#[path = "../../../tests/mail_server/mod.rs"]
mod mail_server;
#[allow(dead_code, reason = "a part of it is enough")]
#[path = "../../../tests/web_server/mod.rs"]
mod web_server;

use mail_server::{openssl, tls_config};
use web_server::WebServer;

/// A server here that gives these answers, one on each connection; ends with the headers that it was asked with.
fn server(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/list", listener.local_addr().unwrap());
    let serve = move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut client, _) = listener.accept().unwrap();
            let lines = BufReader::new(client.try_clone().unwrap()).lines();
            let head: Vec<_> = lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            asked.push(head.join("\n"));
            client.write_all(answer.as_bytes()).unwrap();
        }
        asked
    };
    (url, thread::spawn(serve))
}

/// The shipped catalog with these sources only, and files in a folder.
fn downloader(folder: &TempDir, sources: &[(&str, &str)]) -> Downloader {
    let mut settings = Settings::of(&Catalog::parse(SHIPPED).unwrap()).unwrap();
    settings.patience = Duration::from_secs(60);
    settings.files = ["4", "6", "url", "dns"].map(|name| folder.path().join("lists").join(name));
    settings.sources.retain(|source| sources.iter().any(|(name, _)| source.name == *name));
    for source in &mut settings.sources {
        source.place = sources.iter().find(|(name, _)| source.name == *name).unwrap().1.to_owned();
    }
    let lists = settings.sources.iter().map(|_| Known::default()).collect();
    Downloader { settings, repository: None, level: 40, trust: Trust::System, lists }
}

#[test]
fn what_changed_is_fetched_when_it_is_due() {
    let answers = vec![
        "HTTP/1.1 200 OK\r\nETag: \"one\"\r\nLast-Modified: Mon, 02 Jan 2023 10:15:00 GMT\r\n\r\n10.0.0.1\n".to_owned(),
        "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned(),
        "HTTP/1.1 500 No\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nLocation: /other\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n10.0.0.2\n\r\n0\r\n\r\n".to_owned(),
    ];
    let (url, served) = server(answers);
    let folder = TempDir::new().unwrap();
    let mut downloader = downloader(&folder, &[("Feodo Tracker", &url)]);
    let (start, stop, minute) = (Instant::now(), Stop::default(), Duration::from_secs(60));
    let list = || fs::read_to_string(folder.path().join("lists/4")).unwrap_or_default();
    downloader.round(start, &stop);
    assert_eq!(list(), "10.0.0.1,1\n");
    fs::remove_file(folder.path().join("lists/4")).unwrap();
    // Not due, not changed, not there: nothing is written.
    for after in [9, 10, 20] {
        downloader.round(start + after * minute, &stop);
        assert_eq!(list(), "");
    }
    // After a failure it is due at once.
    downloader.round(start + 20 * minute, &stop);
    assert_eq!(list(), "10.0.0.2,1\n");
    let asked = served.join().unwrap();
    assert!(asked[0].starts_with("GET /list HTTP/1.1\n") && !asked[0].contains("If-"));
    for head in &asked[1..] {
        assert!(head.contains("If-None-Match: \"one\"\nIf-Modified-Since: Mon, 02 Jan 2023 10:15:00 GMT"), "{head}");
    }
    assert!(asked[4].starts_with("GET /other "));
}

/// A list over TLS, asked for by its tag; every version of it is in the history.
#[test]
fn lists_over_https_and_their_history() {
    let folder = TempDir::new().unwrap();
    openssl(folder.path(), "req -x509 -newkey rsa:2048 -nodes -subj /CN=ca -days 2 -keyout ca.key -out ca.crt");
    fs::write(folder.path().join("v3"), "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n").unwrap();
    openssl(folder.path(), "req -new -newkey rsa:2048 -nodes -subj /CN=x -keyout server.key -out server.csr");
    let signed =
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile v3 -out server.crt";
    openssl(folder.path(), signed);
    let tls = tls_config(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The list is another one from the third question on.
    let mut questions = 0;
    let server = WebServer::on(listener, Some(tls), move |asked| {
        questions += 1;
        let (tag, list) = if questions < 3 { ("\"a\"", "10.0.0.1\n") } else { ("\"b\"", "10.0.0.1\n10.0.0.2\n") };
        if asked.header("if-none-match") == Some(tag) {
            return (304, Vec::new(), String::new());
        }
        (200, vec![format!("ETag: {tag}")], list.into())
    });
    let url = format!("https://localhost:{}/list", server.port);
    let mut downloader = downloader(&folder, &[("Feodo Tracker", &url)]);
    let repository = folder.path().join("history");
    downloader.repository = Some(repository.clone());
    let (start, stop, minute) = (Instant::now(), Stop::default(), Duration::from_secs(60));
    let list = || fs::read_to_string(folder.path().join("lists/4")).unwrap_or_default();
    // Nobody vouches for the server; it is not asked.
    downloader.round(start, &stop);
    assert_eq!((list(), server.asked().len()), (String::new(), 0));
    downloader.trust = Trust::File(folder.path().join("ca.crt"));
    for (after, asked, expected) in
        [(0, 1, "10.0.0.1,1\n"), (9, 1, "10.0.0.1,1\n"), (10, 2, "10.0.0.1,1\n"), (20, 3, "10.0.0.1,1\n10.0.0.2,1\n")]
    {
        downloader.round(start + after * minute, &stop);
        assert_eq!((list().as_str(), server.asked().len()), (expected, asked), "after {after} minutes");
    }
    let tags: Vec<_> = server.asked().iter().map(|asked| asked.header("if-none-match").map(str::to_owned)).collect();
    assert_eq!(tags, [None, Some("\"a\"".into()), Some("\"a\"".into())]);
    let git = |args: &[&str]| {
        let ran = Command::new("git").arg("-C").arg(&repository).args(args).output().unwrap();
        assert!(ran.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    };
    assert_eq!(git(&["log", "--format=%s"]), "IPv4Blacklists updated\nIPv4Blacklists updated\n");
    assert_eq!(git(&["show", "HEAD~1:ip4/Feodo Tracker.blist"]), "10.0.0.1:\n");
    assert_eq!(git(&["show", "HEAD:ip4/Feodo Tracker.blist"]), "10.0.0.1:\n10.0.0.2:\n");
    assert_eq!(git(&["status", "--porcelain"]), "");
}

#[test]
fn lists_of_files_go_where_they_belong() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let booters = write("booters", "1,www.booter.example\n2,http://stress.example/\n");
    let black = write("black", "booter.example/login\nmalware.example\n");
    let six = format!("file://{}", write("six", "2001:db8::/32\n"));
    let mut downloader =
        downloader(&folder, &[("Booters", &booters), ("Blackbook", &black), ("Spamhaus Drop v6", &six)]);
    let start = Instant::now();
    downloader.round(start, &Stop::default());
    let list = |name: &str| fs::read_to_string(folder.path().join("lists").join(name)).unwrap_or_default();
    assert_eq!(list("url"), "booter.example\\8\nbooter.example/login\\256\nmalware.example\\256\nstress.example\\8\n");
    assert_eq!(list("dns"), "booter.example\\264\nmalware.example\\256\nstress.example\\8\n");
    assert_eq!((list("6"), list("4")), ("2001:0db8:0000:0000:0000:0000:0000:0000/32,16\n".into(), String::new()));
    // Empty now, which is a change.
    write("six", "# nothing\n");
    downloader.round(start + Duration::from_secs(86_400), &Stop::default());
    assert_eq!(list("6"), "");
}

#[test]
fn command_lines() {
    let run = |line: &str| main(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    assert_eq!([run("-h"), run("--print-config"), run("-x"), run("-c /nonexist/c")], [0, 0, 2, 1]);
    let line = Line::parse(&["-r", "/r", "--log-level=30"].map(str::to_owned)).unwrap();
    assert_eq!((line.repository, line.level, line.config), (Some("/r".into()), 30, catalog::DEFAULT_PATH.into()));
}
