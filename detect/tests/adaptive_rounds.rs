//! The rounds of adaptive_filter, while its inputs stay open: the list of the second filter follows, and evidence goes when it is old.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, PATIENCE, input, output, wait_for};
use std::fs;
use std::process;
use std::thread;
use std::time::Instant;
use trap::{Event, Format, Place, Timeout};

#[test]
fn a_suspicion_is_listed_and_ends_while_nothing_comes() {
    let folder = Folder::new();
    let catalog = folder.write(
        "catalog",
        "<c><struct name=\"blacklist_array\"><array type=\"IP\"><struct><element name=\"id\">4</element>\
         <element name=\"category\">Intrusion.Botnet</element></struct></array></struct></c>",
    );
    let list = folder.path("adaptive");
    // The module looks for its sockets where all do.
    let place = Place::default();
    let names =
        ["messages", "alerts", "reports", "evidence"].map(|name| format!("u:sonda-rounds-{name}-{}", process::id()));
    let mut messages = output(&format!("{}:buffer=off", names[0]), &place);
    messages.set_format(Format::Json("aggregated_blacklist".into())).unwrap();
    let mut alerts = output(&format!("{}:buffer=off", names[1]), &place);
    alerts.set_format(Format::UniRec("string DNS_NAME".into())).unwrap();
    let interfaces = names.join(",");
    let args = ["-i", &interfaces, "-c", &catalog, "-a", &list, "-l", "40", "-p", "1", "-e", "3"].map(str::to_owned);
    let runs = thread::spawn(move || (detect::modules::find("adaptive_filter").unwrap().run)(&args));
    let mut evidence = input(&names[3], &place);
    evidence.require(Format::Json("blacklist_evidence".into()));
    evidence.set_timeout(Timeout::Micros(20_000));
    // Whoever connects later misses what was sent: each message is a report about the same server.
    let event = r#"{"type": "ip", "source": "192.0.2.7", "targets": ["10.0.0.1"], "blacklist_id": 8}"#;
    wait_for("the list", || {
        let _ = messages.send(event.as_bytes());
        fs::read_to_string(&list).is_ok_and(|text| text.starts_with("10.0.0.1,999,"))
    });
    let id = fs::read_to_string(&list).unwrap().trim().rsplit(',').next().unwrap().to_owned();
    // Nothing comes any more, and nobody has ended: time alone ends the suspicion.
    let end = Instant::now() + PATIENCE;
    let told = loop {
        assert!(Instant::now() < end, "waited for the evidence in vain");
        if let Event::Message(text) | Event::FormatChanged { first: text, .. } = evidence.recv().unwrap() {
            break String::from_utf8(text.to_vec()).unwrap();
        }
    };
    assert!(told.contains(&id) && told.contains("BotnetDetection") && told.contains(event), "{told}");
    wait_for("the list without it", || fs::read_to_string(&list).is_ok_and(|text| text.is_empty()));
    for mut output in [messages, alerts] {
        let _ = output.send_eof();
        output.finish().unwrap();
    }
    assert_eq!(runs.join().unwrap(), 0);
}
