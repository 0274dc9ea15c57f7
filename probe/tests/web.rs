//! The web pages in a real browser (Debian's chromium), served by a real supervisor over TLS.
#[path = "web/browser.rs"]
mod browser;
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
mod support;
#[path = "control_tcp/tls.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod tls;

use browser::{Browser, Page};
use detect::nfdump::{Compression, Flow, Writer};
use detect::store::{Added, Retention, State, Store};
use serde_json::json;
use site::{Site, kill, said};
use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use support::certificates;
use support::tools::Nfcapd;

const TOML: &str = r#"
[api]
listen = "127.0.0.1:0"
certificate = "@/server.crt"
key = "@/server.key"
tokens = "@/tokens.json"
alerts = "@/alerts.db"
flows = "@/flows"
[[profile]]
name = "Data sources"
[[profile]]
name = "Archive"
[[module]]
name = "repeater"
profile = "Data sources"
path = "@/bin/traffic_repeater"
inputs = ["u:web_a"]
outputs = ["u:web_b"]
[[module]]
name = "printer"
profile = "Archive"
path = "@/bin/logger"
params = "-t -w '@/out.csv'"
inputs = ["u:web_b"]
after = ["repeater"]
"#;

/// A supervisor whose pages are served, and where.
struct Box {
    site: Site,
    url: String,
}

impl Box {
    fn start() -> Box {
        let mut site = Site::native(TOML);
        tls::authority(&site.path(""));
        let pages = site.text("pages");
        std::fs::create_dir(&pages).expect("made");
        Store::create(&site.path("alerts.db"), Retention::default()).expect("a store");
        site.start_with(&[("SONDA_RUN_DIR", &pages)]);
        site.runs("printer", None);
        const SERVED: &str = "The control API is served at ";
        site.until("it is served", || site.read("logs/supervisor_log").contains(SERVED));
        let log = site.read("logs/supervisor_log");
        let url = log.rsplit(SERVED).next().and_then(|rest| rest.split_whitespace().next()).expect("an address");
        let url = url.trim_end_matches(['.', '/']).to_owned();
        Box { site, url }
    }

    fn token(&self, role: &str) -> String {
        let file = self.site.text("tokens.json");
        let run =
            self.site.tool(&["ctl", "token", "add", role, "--role", role, "--file", &file]).output().expect("it runs");
        assert!(run.status.success(), "{}", said(&run));
        String::from_utf8(run.stdout).expect("text").trim().to_owned()
    }

    /// Somebody with this role looks at a page of the box.
    fn visit(&self, browser: &mut Browser, role: &str, path: &str) -> Page {
        let page = browser.page();
        browser.open(&page, &format!("{}{path}", self.url), "light");
        log_in(browser, &page, &self.token(role));
        browser.until(&page, "document.querySelector('#who b') !== null");
        // Before he logged in he was told to, with status 401.
        browser.complaints();
        page
    }
}

fn log_in(browser: &mut Browser, page: &Page, token: &str) {
    browser.until(page, "location.pathname === '/login' && document.activeElement?.id === 'token'");
    browser.value(page, &format!("document.getElementById('token').value = '{token}'"));
    browser.value(page, "document.querySelector('#login button').click()");
}

/// An expression about the box of a module: its element is `box`.
fn of(module: &str, expression: &str) -> String {
    format!(
        "(() => {{ const box = document.querySelector('[data-module={module}]'); return box !== null && {expression}; }})()"
    )
}

fn state(module: &str, word: &str) -> String {
    of(module, &format!("box.querySelector('.badge').textContent === '{word}'"))
}

fn click(browser: &mut Browser, page: &Page, module: &str, verb: &str) {
    browser.until(page, &of(module, &format!("box.querySelector('[data-verb={verb}]') !== null")));
    browser.value(page, &of(module, &format!("box.querySelector('[data-verb={verb}]').click()")));
}

#[test]
fn who_has_not_logged_in_sees_nothing_and_is_sent_where_he_wanted() {
    let home = Box::start();
    let mut browser = Browser::start();
    let page = browser.page();
    browser.open(&page, &format!("{}/traffic", home.url), "light");
    log_in(&mut browser, &page, "sonda_0000");
    browser.until(&page, "document.getElementById('login-said').textContent.includes('not known')");
    log_in(&mut browser, &page, &home.token("viewer"));
    browser
        .until(&page, "location.pathname === '/traffic' && document.querySelector('#who b')?.textContent === 'viewer'");
    // The cookie is none of the page's scripts' business.
    assert_eq!(browser.value(&page, "document.cookie"), "");
    browser.value(&page, "document.querySelector('#who button').click()");
    browser.until(&page, "location.pathname === '/login'");
    browser.open(&page, &home.url, "light");
    browser.until(&page, "location.pathname === '/login' && location.search === '?to=%2F'");
    // Nothing beside the pages is a file.
    for path in
        ["/web/", "/web/../status", "/web/%2e%2e/status.js", "/web/head.html", "/web//sonda.css", "/status.html"]
    {
        let asked = format!("fetch('{path}').then((answer) => answer.status)");
        assert_eq!(browser.value(&page, &asked), 404, "{path}");
    }
}

#[test]
fn an_operator_sees_modules_live_and_restarts_them() {
    let home = Box::start();
    let mut browser = Browser::start();
    let page = home.visit(&mut browser, "operator", "/");
    browser.until(&page, &state("repeater", "running"));
    browser.until(&page, &state("printer", "running"));
    browser.until(&page, "document.querySelectorAll('#arrows path.arrow').length === 1");
    browser.until(&page, &of("printer", "box.querySelector('.neighbours').textContent === 'reads from repeater'"));

    // What happens to a module is seen without anybody's doing.
    let pid = home.site.pid("repeater").expect("it runs");
    let shown = |pid: u32| of("repeater", &format!("box.querySelector('.facts dd').textContent === '{pid}'"));
    browser.until(&page, &shown(pid));
    kill(pid, "KILL");
    let pid = home.site.runs("repeater", Some(pid));
    browser.until(&page, &shown(pid));
    browser.until(&page, &of("repeater", "box.querySelectorAll('.facts dd')[1].textContent === '1 of 3'"));

    click(&mut browser, &page, "repeater", "disable");
    browser.until(&page, &state("repeater", "stopped"));
    browser.until(&page, "document.querySelector('#arrows path.arrow.down') !== null");
    click(&mut browser, &page, "repeater", "enable");
    browser.until(&page, &state("repeater", "running"));
    let pid = home.site.runs("repeater", Some(pid));
    click(&mut browser, &page, "repeater", "restart");
    let pid = home.site.runs("repeater", Some(pid));
    browser.until(&page, &shown(pid));
    assert_eq!(browser.complaints(), [""; 0]);

    // A supervisor that is gone is said to be.
    home.site.client(&["ctl", "stop"]);
    browser.until(&page, "document.getElementById('notice').innerText.includes('does not answer')");
}

#[test]
fn a_viewer_is_offered_what_he_may() {
    let home = Box::start();
    let mut browser = Browser::start();
    let page = home.visit(&mut browser, "viewer", "/");
    browser.until(&page, &state("printer", "running"));
    assert_eq!(browser.value(&page, "document.querySelectorAll('main button').length"), 0);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn every_page_is_whole_by_day_and_by_night() {
    let home = Box::start();
    let mut browser = Browser::start();
    let page = home.visit(&mut browser, "operator", "/");
    for path in ["/", "/traffic", "/alerts", "/login"] {
        let mut grounds = Vec::new();
        for colours in ["light", "dark"] {
            browser.open(&page, &format!("{}{path}", home.url), colours);
            let is_ready = "document.readyState === 'complete' && (location.pathname === '/login' || document.querySelector('#who b') !== null)";
            browser.until(&page, &format!("location.pathname === '{path}' && {is_ready}"));
            grounds.push(browser.value(&page, "getComputedStyle(document.body).backgroundColor"));
            let unnamed = "[...document.querySelectorAll('input, select, button, a')].filter((one) => !one.labels?.length && !one.textContent.trim() && !one.ariaLabel).length";
            assert_eq!(browser.value(&page, unnamed), 0, "{path}: each control has a name");
            let landmarks = "['header', 'nav', 'main', 'h1'].every((name) => document.querySelectorAll(name === 'header' ? 'body > header' : name).length === 1)";
            assert_eq!(browser.value(&page, landmarks), true, "{path}");
            // A phone shows all of it without moving sideways.
            let phone = json!({"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true});
            browser.ask(Some(&page), "Emulation.setDeviceMetricsOverride", &phone);
            browser.until(&page, "document.documentElement.scrollWidth <= 390");
            browser.ask(Some(&page), "Emulation.clearDeviceMetricsOverride", &json!({}));
        }
        assert_ne!(grounds[0], grounds[1], "{path}");
        let painted = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
        println!("{path}: first contentful paint after {} ms", browser.value(&page, painted));
    }
    assert_eq!(browser.complaints(), [""; 0]);
}

/// A message as reporters write it.
fn message(at: &str, category: &str, source: &str) -> String {
    json!({
        "Format": "IDEA0", "ID": format!("{category}-{source}"), "DetectTime": at, "Category": [category],
        "Description": "for the test <b>alone</b>", "FlowCount": 1234,
        "Source": [{"IP4": [source], "Proto": ["tcp"]}], "Target": [{"IP4": ["198.51.100.7"], "Port": [22]}],
        "Node": [{"Name": "org.example.web", "SW": ["Nemea", "tester"]}],
    })
    .to_string()
}

/// Logins at what [`message`] tells of, with their answers, in the minute before 2026-11-20T11:00:00Z, as a collector stores them.
fn store_flows(folder: &Path, count: u16) {
    let end: u64 = 1_795_172_400_000;
    std::fs::create_dir(folder).expect("made");
    let mut file = Writer::create(&folder.join("nfcapd.202611201055"), Compression::Lz4).expect("a file");
    let [attacker, server] = ["192.0.2.2", "198.51.100.7"].map(|ip| ip.parse().expect("an address"));
    for n in 0..count {
        let first = end - 60_000 + u64::from(n) * 1_000;
        let there = Flow {
            first,
            last: first + 250,
            packets: 9,
            bytes: 1_700,
            source: attacker,
            destination: server,
            ports: [50_000 + n, 22],
            protocol: 6,
            tcp_flags: 0x1b,
            ..Flow::default()
        };
        let [source_port, port] = there.ports;
        let back = Flow { source: server, destination: attacker, ports: [port, source_port], ..there };
        [there, back].iter().for_each(|flow| file.add(flow).expect("written"));
    }
    file.finish().expect("written");
}

#[test]
fn alerts_are_filtered_shown_in_full_and_acknowledged() {
    let home = Box::start();
    let mut store = Store::create(&home.site.path("alerts.db"), Retention::default()).expect("a store");
    let scan = |at, source| message(at, "Recon.Scanning", source);
    let login = message("2026-11-20T10:00:00Z", "Attempt.Login", "192.0.2.9");
    for text in [scan("2026-11-20T09:00:00Z", "192.0.2.1"), scan("2026-11-20T11:00:00Z", "192.0.2.2"), login] {
        assert!(matches!(store.add(&text), Ok(Added::New(_))));
    }
    let mut browser = Browser::start();
    let page = home.visit(&mut browser, "operator", "/alerts?span=");
    let rows = |count: usize| format!("document.querySelectorAll('#list tbody tr').length === {count}");
    browser.until(&page, &rows(3));
    browser.until(&page, "document.querySelectorAll('#chart rect.bar').length === 3");
    // The filter is in the address.
    browser.value(&page, "document.getElementById('category').value = 'Recon'");
    browser.value(&page, "document.querySelector('#filter .primary').click()");
    browser.until(&page, &rows(2));
    browser.until(&page, "location.search.includes('category=Recon')");
    browser.value(&page, "document.querySelector('#list tbody a').click()");
    let shows = |text: &str| format!("document.getElementById('detail').innerText.includes('{text}')");
    browser.until(&page, &shows("No flows are stored on this box"));
    browser.until(&page, &shows("src ip 192.0.2.2 and dst ip 198.51.100.7 and dst port 22 and (proto tcp)"));
    browser.until(&page, "document.activeElement.id === 'detail-title'");
    // What an alert says is text, whatever it says.
    assert_eq!(browser.value(&page, "document.querySelectorAll('#detail p b').length"), 0);
    browser.value(&page, "document.getElementById('change').click()");
    browser.until(&page, "document.querySelector('#list tr.acknowledged') !== null");
    browser.until(&page, "document.getElementById('change').textContent === 'Make it new again'");
    browser.value(&page, "document.getElementById('note').value = 'our own scanner'");
    browser.value(&page, "document.querySelector('#detail form button').click()");
    browser.until(&page, "document.getElementById('detail').innerText.includes('our own scanner')");
    let alert = store.find("2").expect("readable").expect("it is there");
    assert_eq!(
        (alert.state, alert.changed.map(|(_, by)| by), alert.notes),
        (State::Acknowledged, Some("operator".into()), 1)
    );
    assert_eq!(browser.complaints(), [""; 0]);

    // The flows themselves, once a collector stores some.
    store_flows(&home.site.path("flows"), 40);
    let page = home.visit(&mut browser, "viewer", "/alerts?span=#2");
    browser.until(&page, &shows("40 stored, the first 25 of them"));
    let flows = |count: usize| format!("document.querySelectorAll('#flows tbody tr').length === {count}");
    browser.until(&page, &flows(25));
    browser.value(&page, "document.querySelector('#flows button').click()");
    browser.until(&page, &flows(40));
    browser.value(&page, "document.getElementById('answers').click()");
    browser.until(&page, &flows(80));
    browser.until(&page, "[...document.querySelectorAll('#flows tbody tr')].some(({ cells }) => cells[2].textContent === 'TCP 198.51.100.7:22 → 192.0.2.2:50000')");
    assert_eq!(browser.complaints(), [""; 0]);
    browser.until(&page, "document.getElementById('detail').innerText.includes('acknowledged, by operator')");
    assert_eq!(browser.value(&page, "document.querySelectorAll('#change, #note').length"), 0);
}

/// A probe that reads what the test writes, and ends with it.
struct Probe(Child, ChildStdin);

impl Probe {
    fn start(home: &Box) -> Probe {
        let site = &home.site;
        let mut probe = site.tool(&["probe", "-", "--quiet", "--name", "edge", "--json", &site.text("flows.json")]);
        probe.env("SONDA_RUN_DIR", site.path("pages"));
        probe.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut probe = probe.spawn().expect("it starts");
        let input = probe.stdin.take().expect("piped");
        Probe(probe, input)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn traffic_is_drawn_over_time() {
    let home = Box::start();
    let mut probe = Probe::start(&home);
    let capture = support::mixture(20_000, 1_500);
    let mut pieces = capture.chunks(capture.len() / 200 + 1);
    let mut write = || pieces.next().is_some_and(|piece| probe.1.write_all(piece).is_ok());
    write();

    let mut browser = Browser::start();
    let page = home.visit(&mut browser, "viewer", "/traffic");
    // Some more packets at each look, until there are two points of a line.
    let line = "[...document.querySelectorAll('.chart')].some((chart) => chart.querySelector('b').textContent === 'Packets' && /L/.test(chart.querySelector('path.line')?.getAttribute('d')))";
    home.site.until("packets are drawn", || {
        write();
        browser.value(&page, line) == true
    });
    let port = "[...document.querySelectorAll('.chart')].some((chart) => chart.querySelector('b').textContent.startsWith('Service ports') && chart.textContent.includes('53/udp'))";
    home.site.until("bits of a service port are drawn", || {
        write();
        browser.value(&page, port) == true
    });
    browser.until(&page, "[...document.getElementById('link').options].length === 2");
    // The same as a table, and for an hour.
    browser.value(&page, "document.querySelector('.chart summary').click()");
    browser.until(&page, "document.querySelector('.chart table tbody tr') !== null");
    browser.value(&page, "document.querySelector('input[value=\"3600\"]').click()");
    browser.until(&page, "document.getElementById('summary').textContent.includes('a point each 20 s')");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Makes docs/web-alerts.png and docs/web-traffic.png anew, out of what the demo leaves: some minutes of traffic.
#[test]
#[ignore = "it changes the documentation: cargo nextest run -p sonda --test web --run-ignored only"]
fn pictures_of_the_documentation() {
    let home = Box::start();
    let demo = home.site.text("demo");
    let ran = home.site.tool(&["demo", "--keep", &demo]).output().expect("it runs");
    assert!(ran.status.success(), "{}", said(&ran));
    for file in ["alerts.db", "alerts.db-wal"] {
        std::fs::copy(format!("{demo}/{file}"), home.site.path(file)).expect("the demo's alerts");
    }
    let flows = home.site.path("flows");
    std::fs::create_dir(&flows).expect("made");
    let nfcapd = Nfcapd::start(&flows);
    let target = format!("v9://127.0.0.1:{}", nfcapd.port());
    let capture = format!("{demo}/attacks.pcap");
    support::run(["probe", &capture, "--quiet", "--netflow", &target, "--fps", "5000"]).must(0);
    nfcapd.ended();

    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut browser = Browser::start();
    let page = home.visit(&mut browser, "operator", "/alerts?span=own&from=2020-09-13T12:20&until=2020-09-13T12:50");
    browser.until(&page, "document.querySelectorAll('#list tbody tr').length > 20");
    let login = "[...document.querySelectorAll('#list tbody tr')].find((row) => row.textContent.includes('Intrusion.UserCompromise'))";
    browser.value(&page, &format!("{login}.querySelector('a').click()"));
    browser.until(&page, "document.querySelectorAll('#flows tbody tr').length > 9");
    browser.picture(&page, &docs.join("web-alerts.png"));

    let mut probe = Probe::start(&home);
    let capture = support::mixture(400_000, 30_000);
    browser.open(&page, &format!("{}/traffic", home.url), "dark");
    for piece in capture.chunks(capture.len() / 150 + 1) {
        probe.1.write_all(piece).expect("taken");
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    browser.picture(&page, &docs.join("web-traffic.png"));
}
