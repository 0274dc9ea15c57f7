//! bloom_history sends what libbloom would, at intervals and at the end, over HTTP with redirects.
use detect::bloom::Bloom;
use detect::modules::{self, bloom_history};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use trap::{Format, Input, InputDefaults, Output, OutputDefaults, Place, Sent, Spec};

/// A server of the service: answers what `answer` says, passes path and body on.
fn service(answer: impl Fn(&str) -> String + Send + 'static) -> (u16, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = BufReader::new(client.unwrap());
            let (mut line, mut length, mut request) = (String::new(), 0, String::new());
            while client.read_line(&mut line).unwrap() > 2 {
                if request.is_empty() {
                    request.clone_from(&line);
                }
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            client.read_exact(&mut body).unwrap();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            // Told before it is answered: who asked may be gone with the answer, and what it asked must have been heard then.
            let answer = answer(&path);
            if said.send((path, body)).is_err() {
                break;
            }
            client.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (port, heard)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn filters_are_sent_at_intervals_and_at_the_end() {
    let (port, heard) = service(|path| match path.strip_prefix("/moved") {
        Some(rest) => format!("HTTP/1.1 307 Over there\r\nLocation: /1{rest}\r\n\r\n"),
        None => OK.into(),
    });
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let prefix = |id, path: &str| bloom_history::Prefix {
        id,
        entries: 1_000,
        error: 0.01,
        api_url: format!("http://127.0.0.1:{port}{path}"),
    };
    let settings = bloom_history::Settings {
        prefixes: vec![prefix(1, "/moved"), prefix(9, "/9")],
        interval: Duration::from_secs(2),
    };
    let open =
        |place: &Place| Input::open_at(&Spec::parse("u:x").unwrap()[0], &InputDefaults::default(), place).unwrap();
    let mut source = open(&place);
    let running = thread::spawn(move || bloom_history::run(&mut source, &settings).unwrap());
    let mut sender = Output::open_at(&Spec::parse("u:x").unwrap()[0], OutputDefaults::default(), &place).unwrap();
    sender.set_format(Format::UniRec("ipaddr DST_IP,uint32 PREFIX_TAG".into())).unwrap();
    let v4 = [0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1, 255, 255, 255, 255];
    let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    for (ip, tag) in [(v4, 1_u32), (v6.octets(), 9), (v4, 5)] {
        assert_eq!(sender.send(&[&ip[..], &tag.to_le_bytes()].concat()), Sent::Sent);
    }
    sender.flush().unwrap();
    let filled = |key: &[u8]| {
        let mut filter = Bloom::new(1_000, 0.01).unwrap();
        filter.insert(key);
        filter.serialize()
    };
    // Intervals in which the records had not come yet were empty.
    let empty = Bloom::new(1_000, 0.01).unwrap().serialize();
    let mut full = Vec::new();
    while full.len() < 3 {
        let (path, body) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
        if body != empty {
            full.push((path, body));
        }
    }
    full.sort();
    let at = |n: usize, head: &str| full[n].0.strip_prefix(head).unwrap();
    assert_eq!(at(0, "/1/"), at(2, "/moved/"), "sent again to where it was told");
    let times: Vec<u64> = at(0, "/1/").trim_end_matches('/').split('/').map(|t| t.parse().unwrap()).collect();
    assert!(times[1] - times[0] >= 3, "{times:?}");
    assert!(full[0].1 == filled(&[192, 0, 2, 1]) && full[2].1 == full[0].1);
    assert!(at(1, "/9/").len() > 2 && full[1].1 == filled(&v6.octets()));
    assert_eq!(sender.send_eof(), Sent::Sent);
    let totals = running.join().unwrap();
    assert_eq!((totals.inserted, totals.unknown, totals.failed), (2, 1, 0));
    // The last filters are empty: each interval begins with fresh ones.
    let last: Vec<_> = heard.try_iter().collect();
    assert!(last.len() >= 3 && last.iter().all(|(_, body)| *body == empty));
}

#[test]
fn exit_codes_and_a_service_that_refuses() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let module = |name: &str, args: &[&str]| {
        let args: Vec<_> = args.iter().map(|a| (*a).to_owned()).collect();
        (modules::find(name).unwrap().run)(&args)
    };
    let trap = format!("f:{}", path("trap"));
    fs::write(path("csv"), "ipaddr DST_IP,uint32 PREFIX_TAG,uint8 X\n::1,1,0\n").unwrap();
    assert_eq!(module("logreplay", &["-i", &trap, "-f", &path("csv")]), 0);
    let (port, heard) = service(|_| "HTTP/1.1 404 No\r\n\r\n".into());
    let item = format!(
        r#"[{{"id":1,"bloom_fp_error_rate":0.01,"bloom_entries":1000,"api_url":"http://127.0.0.1:{port}/x"}}]"#
    );
    fs::write(path("config"), item).unwrap();
    assert_eq!(module("bloom_history", &["-i", &trap, "-c", &path("config"), "-t", "100"]), 0);
    assert!(heard.recv_timeout(Duration::from_secs(60)).unwrap().0.starts_with("/x/"));
    assert_eq!(module("bloom_history", &["-i", &trap]), 0);
    fs::write(path("bad"), "[]").unwrap();
    for args in [&["-c", "/nonexist/x"][..], &["-c", &path("bad")], &["-t", "0"], &["-x"]] {
        assert_eq!(module("bloom_history", &[&["-i", &trap], args].concat()), 255, "{args:?}");
    }
    fs::write(path("csv"), "ipaddr DST_IP\n::1\n").unwrap();
    assert_eq!(module("logreplay", &["-i", &trap, "-f", &path("csv")]), 0);
    assert_eq!(module("bloom_history", &["-i", &trap]), 254);
}
