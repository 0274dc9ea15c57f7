//! The service interface: the recorded sessions of the real one, counters of our own modules, clients that misbehave.

mod common;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use serde_json::Value;
use trap::deframer::Layout;
use trap::module::{self, Count, Module, ModuleInfo, Options};
use trap::trap_stats::report;
use trap::{Event, Format, Place, ServiceName};

const GET: [u8; 8] = [10, 0, 0, 0, 0, 0, 0, 0];

/// A module of this process with these interfaces, whose service is called as itself.
fn start(dir: &Path, name: &'static str, inputs: u16, outputs: u16, specifier: &str) -> Module {
    let info = ModuleInfo {
        name,
        description: "",
        inputs: Count::Exactly(inputs),
        outputs: Count::Exactly(outputs),
        params: &[],
    };
    let options =
        Options { place: Place::with_socket_dir(dir), service: ServiceName::Named(name.into()), ..Options::default() };
    module::start_with(&info, [name, "-i", specifier].map(String::from), &options).expect("starts")
}

/// Asks and answers the bytes of the whole reply.
fn ask(client: &mut UnixStream, request: &[u8]) -> Vec<u8> {
    client.write_all(request).expect("request");
    let mut reply = vec![0; 8];
    client.read_exact(&mut reply).expect("header");
    let len = u32::from_le_bytes(reply[4..8].try_into().expect("4 bytes")) as usize;
    reply.resize(8 + len, 0);
    client.read_exact(&mut reply[8..]).expect("json");
    reply
}

/// The JSON of a reply; its framing is checked.
fn json_of(reply: &[u8]) -> String {
    assert_eq!(reply[..4], [12, 0, 0, 0]);
    assert_eq!(reply[4..8], (reply.len() as u32 - 8).to_le_bytes());
    assert_eq!(reply.last(), Some(&0), "the final NUL counts");
    String::from_utf8(reply[8..reply.len() - 1].to_vec()).expect("text")
}

/// As the original's library writes JSON: a blank behind commas and colons, keys as they stand.
fn written(value: &Value) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", joined(items.iter().map(written).collect())),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("\"{key}\": {}", written(value)));
            format!("{{{}}}", joined(entries.collect()))
        }
        other => other.to_string(),
    }
}

/// Zeroes what differs from run to run (times, process ids) and the one counter that the original keeps at 0 (an output's buffers).
fn masked(json: &str) -> Value {
    let mut value: Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(written(&value), json, "blanks and numbers are written as the original writes them");
    for input in value["in"].as_array_mut().expect("inputs") {
        input["delay_last"] = 0.into();
        input["delay_total"] = 0.into();
    }
    for output in value["out"].as_array_mut().expect("outputs") {
        output["buffers"] = 0.into();
        for client in output["client_stats_arr"].as_array_mut().expect("clients") {
            if client["id"].is_u64() {
                client["id"] = 1.into();
            }
        }
    }
    value
}

/// Keys in alphabetical order: the original's order is random.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// Replies in recorded bytes.
fn replies(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let len = 8 + u32::from_le_bytes(bytes[4..8].try_into().expect("4 bytes")) as usize;
        let (reply, rest) = bytes.split_at(len);
        found.push(reply);
        bytes = rest;
    }
    found
}

/// The chain of the recording, with the same records: a sender that leaves, a repeater, a logger. Each recorded request gets the
/// recorded reply, counters included; the repeater's even with the recorded order of keys.
#[test]
fn recorded_sessions_are_answered() {
    let Some(fixtures) = fixtures() else { return };
    let recorded = |name: &str| fs::read(fixtures.join("service").join(name)).expect("recorded");
    let big = fs::read(fixtures.join("trapwire/unix_big_multicontainer.s2c.bin")).expect("recorded");
    let big = parse(Layout::Wire, &big);
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let mut repeater = start(dir.path(), "repeater", 1, 1, "u:x,u:y:autoflush=off");
    let mut logger = start(dir.path(), "logger", 1, 0, "u:y");
    repeater.outputs[0].set_format(big.format.clone()).expect("format");
    repeater.inputs[0].require(big.format.clone());
    logger.inputs[0].require(big.format.clone());
    let stop = logger.stop.clone();
    let logging = thread::spawn(move || while !matches!(logger.inputs[0].recv(), Ok(Event::Terminated)) {});

    let format = big.format.clone();
    let sender = thread::spawn(move || {
        let mut out = output("u:x", &place);
        out.set_format(format).expect("format");
        big.messages.iter().filter(|message| message.len() > 1).for_each(|message| must_send(&mut out, message));
        out.finish().expect("finish");
    });
    for _ in 0..4032 {
        let Event::Message(message) = repeater.inputs[0].recv().expect("recv") else { panic!("no message") };
        must_send(&mut repeater.outputs[0], message);
    }
    sender.join().expect("sender");
    repeater.inputs[0].set_timeout(trap::Timeout::NoWait);
    wait_until("the sender is seen to be gone", || {
        assert_eq!(repeater.inputs[0].recv().expect("recv"), Event::Timeout);
        !repeater.inputs[0].is_connected()
    });
    let sent = |repeater: &Module, count| {
        wait_until("containers sent", || repeater.outputs[0].clients()[0].sent_messages == count);
    };
    sent(&repeater, 3920);
    let mut asked = raw_client(&place_in(dir.path()), "repeater");
    let compare = |client: &mut UnixStream, name: &str, is_ordered: bool| {
        let requests = recorded(&format!("{name}.c2s.bin"));
        let expected = recorded(&format!("{name}.s2c.bin"));
        let expected = replies(&expected);
        assert_eq!(requests.chunks(8).len(), expected.len());
        for (request, expected) in requests.chunks(8).zip(expected) {
            let (ours, theirs) = (masked(&json_of(&ask(client, request))), masked(&json_of(expected)));
            assert_eq!(written(&sorted(&ours)), written(&sorted(&theirs)), "{name}");
            if is_ordered {
                assert_eq!(written(&ours), written(&theirs), "{name}");
            }
        }
    };
    compare(&mut asked, "svc_traffic_repeater", true);
    // What the autoflush brought by its clock.
    repeater.outputs[0].flush().expect("flush");
    sent(&repeater, 4032);
    compare(&mut asked, "svc_traffic_repeater_poll", true);
    let mut asked = raw_client(&place_in(dir.path()), "logger");
    wait_until("the logger got all", || json_of(&ask(&mut asked, &GET)).contains("\"messages\": 4032"));
    compare(&mut asked, "svc_logger", false);
    compare(&mut asked, "svc_logger_poll", false);
    stop.request();
    logging.join().expect("logger");
}

#[test]
fn recorded_replies_are_shown_as_the_original_shows_them() {
    let Some(fixtures) = fixtures() else { return };
    for name in ["svc_logger", "svc_traffic_repeater"] {
        let recorded = |ending: &str| fs::read(fixtures.join(format!("service/{name}.{ending}"))).expect("recorded");
        let mut shown = String::new();
        report::write(json_of(&recorded("s2c.bin")).as_bytes(), &mut shown).expect("a whole reply");
        assert_eq!(shown.as_bytes(), recorded("trap_stats-1.out"), "{name}");
    }
}

#[test]
fn counters_of_every_type() {
    let dir = tempfile::tempdir().expect("tempdir");
    let file = dir.path().join("x.trapcap");
    let specifier = format!("u:nobody:timeout=NO_WAIT,f:{}:buffer=off,b,u:out:buffer=off", file.display());
    let mut module = start(dir.path(), "all", 1, 3, &specifier);
    for out in &mut module.outputs {
        out.set_format(Format::Raw).expect("format");
    }
    let mut first = raw_client(&place_in(dir.path()), "out");
    read_hello(&mut first);
    wait_for_clients(&module.outputs[2], 1);
    for out in &mut module.outputs {
        must_send(out, b"one");
        must_send(out, b"two");
        let _too_large = out.send(&vec![0; 70_000]);
    }
    assert_eq!(module.inputs[0].recv().expect("recv"), Event::Timeout);
    wait_until("sent", || module.outputs[2].clients()[0].sent_messages == 2);
    let mut client = raw_client(&place_in(dir.path()), "all");
    let json: Value = serde_json::from_str(&json_of(&ask(&mut client, &GET))).expect("JSON");
    assert_eq!((&json["in_cnt"], &json["out_cnt"]), (&1.into(), &3.into()));
    assert_eq!((&json["in"][0]["ifc_state"], &json["in"][0]["ifc_id"]), (&0.into(), &"nobody".into()));
    let number = |out: usize, key: &str| json["out"][out][key].as_u64().expect("number");
    let path = file.display().to_string();
    for (out, kind, id, buffers, dropped) in
        [(0, 'f', path.as_str(), 2, 1), (1, 'b', "none", 0, 0), (2, 'u', "out", 2, 1)]
    {
        assert_eq!(number(out, "ifc_type"), u64::from(u32::from(kind)));
        assert_eq!(json["out"][out]["ifc_id"], id);
        assert_eq!(number(out, "num_clients"), 1, "{kind}");
        assert_eq!((number(out, "buffers"), number(out, "dropped-messages")), (buffers, dropped), "{kind}");
        assert_eq!(number(out, "sent-messages"), if kind == 'b' { 3 } else { 2 }, "{kind}");
    }
    assert_eq!(json["out"][0]["client_stats_arr"], Value::Array(vec![]));
    let clients = json["out"][2]["client_stats_arr"].as_array().expect("clients");
    assert_eq!(clients.len(), 2);
    assert_eq!(clients[0]["id"], "extended_input_interface_info");
    assert_eq!((&clients[1]["id"], &clients[1]["sent_messages"]), (&std::process::id().into(), &"2".into()));
    let mut shown = String::new();
    report::write(json.to_string().as_bytes(), &mut shown).expect("a whole reply");
    assert!(shown.contains("\tID: out, TYPE: u, NUM_CLI: 1, SM: 2, DM: 1, SB: 2, AF: 0\n"), "{shown}");
}

/// True when the service closed the connection within the time that a read may take.
fn is_closed(client: &mut UnixStream) -> bool {
    match client.read(&mut [0; 1]) {
        Ok(0) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => true,
        _ => false,
    }
}

#[test]
fn bad_clients_are_closed_and_disturb_nobody() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let module = start(dir.path(), "bad", 0, 1, "b");
    let mut good = raw_client(&place, "bad");
    // Answered while bad ones are there.
    let mut check = || _ = ask(&mut good, &GET);
    check();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[11, 0, 0, 0, 0, 0, 0, 0], &[0xff; 5000], &[12; 8]] {
        let mut client = raw_client(&place, "bad");
        client.write_all(garbage).expect("write");
        assert!(is_closed(&mut client), "{garbage:?}");
        check();
    }
    // A huge length is nobody's business: a request has nothing behind it.
    let mut client = raw_client(&place, "bad");
    ask(&mut client, &[10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    // Padding is repeated.
    assert_eq!(ask(&mut client, &[10, 1, 2, 3, 0, 0, 0, 0])[..4], [12, 1, 2, 3]);

    // Half a request.
    let begin = Instant::now();
    let mut half = raw_client(&place, "bad");
    half.write_all(&GET[..3]).expect("write");
    check();
    assert!(is_closed(&mut half));
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    check();

    // Somebody who asks and asks and never reads.
    let mut deaf = raw_client(&place, "bad");
    deaf.set_write_timeout(Some(Duration::from_millis(100))).expect("timeout");
    let requests = GET.repeat(100);
    wait_until("the deaf one is closed", || match deaf.write(&requests) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => true,
        Err(_no_room) => {
            check();
            false
        }
        Ok(_) => false,
    });
    check();
    drop(module);
}

#[test]
fn more_clients_than_there_is_room_for() {
    let dir = tempfile::tempdir().expect("tempdir");
    let place = place_in(dir.path());
    let _module = start(dir.path(), "full", 0, 1, "b");
    let mut clients: Vec<_> = (0..64).map(|_| raw_client(&place, "full")).collect();
    for client in &mut clients {
        ask(client, &GET);
    }
    assert!(is_closed(&mut raw_client(&place, "full")));
    drop(clients.pop());
    wait_until("a place is free", || {
        let mut next = raw_client(&place, "full");
        next.write_all(&GET).is_ok() && matches!(next.read(&mut [0; 8]), Ok(8))
    });
    ask(&mut clients[0], &GET);
}

#[test]
fn service_lives_as_long_as_an_interface() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("tempdir");
    let path = place_in(dir.path()).socket_path("life");
    // Taken apart as modules do it.
    let Module { inputs, outputs, .. } = start(dir.path(), "life", 1, 2, "u:a,b,b");
    assert_eq!(fs::metadata(&path).expect("socket").permissions().mode() & 0o777, 0o666);
    drop(inputs);
    ask(&mut raw_client(&place_in(dir.path()), "life"), &GET);
    drop(outputs);
    assert!(!path.exists());

    // By default the name has the process id; a folder that is not there is no failure.
    let info =
        ModuleInfo { name: "m", description: "", inputs: Count::Exactly(0), outputs: Count::Exactly(1), params: &[] };
    for (folder, is_there) in [(dir.path().to_owned(), true), (dir.path().join("none"), false)] {
        let options = Options { place: Place::with_socket_dir(&folder), ..Options::default() };
        let module = module::start_with(&info, ["m", "-i", "b"].map(String::from), &options).expect("starts");
        assert_eq!(folder.join(format!("trap-service_{}.sock", std::process::id())).exists(), is_there);
        drop(module);
    }
    let off = Options { place: Place::with_socket_dir(dir.path()), service: ServiceName::Off, ..Options::default() };
    let _module = module::start_with(&info, ["m", "-i", "b"].map(String::from), &off).expect("starts");
    assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 0);
}
