//! The control API over TLS with the real supervisor: tokens, certificates, browsers, and what becomes of a wrong configuration.
#[path = "support/certificates.rs"]
mod certificates;
#[path = "supervisor/site.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod site;
#[path = "control_tcp/tls.rs"]
mod tls;

use serde_json::Value;
use site::{REPEATER, Site, said};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use tls::{Answer, Client};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn toml() -> String {
    tls::API.to_owned() + REPEATER
}

/// A supervisor that is served over TLS, and its port.
fn started() -> (Site, u16) {
    let mut site = Site::native(&toml());
    tls::authority(&site.path(""));
    site.start();
    site.runs("rep", None);
    let port = port(&site);
    (site, port)
}

fn port(site: &Site) -> u16 {
    const SERVED: &str = "The control API is served at https://127.0.0.1:";
    site.until("it is served", || site.read("logs/supervisor_log").contains(SERVED));
    let log = site.read("logs/supervisor_log");
    let digits = log.rsplit(SERVED).next().unwrap_or_default().chars().take_while(char::is_ascii_digit);
    digits.collect::<String>().parse().expect("a port")
}

/// A new token; its file is named so.
fn token(site: &Site, name: &str, role: &str) -> String {
    let file = site.text("tokens.json");
    let run = site.tool(&["ctl", "token", "add", name, "--role", role, "--file", &file]).output().expect("it runs");
    assert!(run.status.success(), "{}", said(&run));
    let token = String::from_utf8(run.stdout).expect("text");
    fs::write(site.path(name), &token).expect("ours");
    token.trim().to_owned()
}

fn asked(site: &Site, port: u16, credentials: &[&str], words: &[&str]) -> Output {
    let (url, ca) = (format!("https://localhost:{port}"), site.text("ca.crt"));
    let server = ["--url", &url, "--ca", &ca];
    site.tool(&[&["ctl"], words, &server, credentials].concat()).output().expect("it runs")
}

/// `sonda ctl WORDS` with the token of this file.
fn ctl(site: &Site, port: u16, token: &str, words: &[&str]) -> Output {
    asked(site, port, &["--token-file", &site.text(token)], words)
}

#[track_caller]
fn fine(run: &Output) -> String {
    assert!(run.status.success(), "{}", said(run));
    String::from_utf8_lossy(&run.stdout).into_owned()
}

#[track_caller]
fn fails(run: &Output, why: &str) {
    assert!(run.status.code() == Some(1) && said(run).contains(why), "{}", said(run));
}

#[test]
fn an_operator_does_it_all_over_tls() {
    let (mut site, port) = started();
    for role in ["viewer", "operator", "admin"] {
        token(&site, role, role);
    }
    // Without a token health alone is told.
    assert!(fine(&asked(&site, port, &[], &["get", "/v1/health"])).contains("healthy"));
    for path in ["/v1/status", "/v1/modules", "/metrics", "/v1/openapi.json", "/v1/self", "/v1/events"] {
        fails(&asked(&site, port, &[], &["get", path]), "say who you are");
    }
    assert!(fine(&ctl(&site, port, "viewer", &["status"])).contains("1 of 1 modules run"));
    assert!(fine(&ctl(&site, port, "viewer", &["get", "/metrics"])).contains("sonda_supervised_running"));
    fails(&ctl(&site, port, "viewer", &["restart", "rep"]), "needs the role operator, and you are viewer");
    let rep = site.pid("rep");
    fine(&ctl(&site, port, "operator", &["restart", "rep"]));
    site.runs("rep", rep);
    assert!(fine(&ctl(&site, port, "operator", &["log", "rep", "--stdout"])).contains("executed command"));
    assert!(fine(&ctl(&site, port, "operator", &["plan"])).contains("keep"));
    assert!(fine(&ctl(&site, port, "operator", &["apply"])).contains("successfully finished"));
    fails(&ctl(&site, port, "operator", &["stop"]), "needs the role admin");
    let mut watcher = site.tool(&["ctl", "events", "--url", &format!("https://localhost:{port}")]);
    let watcher = watcher.args(["--ca", &site.text("ca.crt"), "--token-file", &site.text("viewer")]);
    let mut watcher = watcher.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut event = [0; 17];
    watcher.stdout.take().expect("piped").read_exact(&mut event).expect("an event");
    assert_eq!(&event, b"{\"event\":\"module\"");
    // It may have ended.
    let _gone = watcher.kill().and_then(|()| watcher.wait());

    // The file has no secret, and says when a token was used.
    let text = site.read("tokens.json");
    assert!(!text.contains(site.read("viewer").trim()) && text.contains("sha256"), "{text}");
    assert_eq!(fs::metadata(site.path("tokens.json")).expect("there").permissions().mode() & 0o777, 0o600);
    let list =
        fine(&site.tool(&["ctl", "token", "list", "--file", &site.text("tokens.json")]).output().expect("it runs"));
    let row = list.lines().find(|line| line.starts_with("viewer ")).expect("a row");
    assert!(row.contains("viewer") && !row.contains("never"), "{list}");
    fine(
        &site
            .tool(&["ctl", "token", "revoke", "viewer", "--file", &site.text("tokens.json")])
            .output()
            .expect("it runs"),
    );
    fails(&ctl(&site, port, "viewer", &["status"]), "is not known, has expired or was revoked");

    fine(&ctl(&site, port, "admin", &["stop"]));
    site.until("the supervisor ends", || tls::plain(port, HERE).is_err());
    let audit = site.read("logs/control_audit");
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let done = lines.iter().any(|line| {
        line["what"] == "POST /v1/modules/rep/restart"
            && line["status"] == 200
            && (line["by"] == "token" && line["name"] == "operator" && line["source"] == "127.0.0.1")
    });
    assert!(done && !audit.contains("sonda_"), "{audit}");
    assert!(site.ended());
}

/// Each route with each role, as the description tells of them.
#[test]
fn each_role_may_what_the_description_says() {
    const ROLES: [&str; 4] = ["anyone", "viewer", "operator", "admin"];
    let (site, port) = started();
    let tokens: Vec<String> = ROLES[1..].iter().map(|role| token(&site, role, role)).collect();
    let api: Value =
        serde_json::from_str(&fine(&ctl(&site, port, "viewer", &["get", "/v1/openapi.json"]))).expect("JSON");
    let mut walked = 0;
    for (path, operations) in api["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let needed = ROLES.iter().position(|role| operation["x-role"] == **role).expect("a role");
            // What ends the supervisor is tried by those who may not.
            let may_try = if path.starts_with("/v1/supervisor/") { needed } else { ROLES.len() };
            for (at, role) in ROLES.iter().enumerate().take(may_try) {
                let lines: Vec<String> =
                    at.checked_sub(1).map(|at| format!("Authorization: Bearer {}", tokens[at])).into_iter().collect();
                let path = path.replace("{name}", "no%20such").replace("{id}", "1");
                let mut client = Client::connect(&site, port, HERE).expect("TLS");
                let answer = client.ask(&method.to_uppercase(), &path, &lines);
                let refusal = if at == 0 { 401 } else { 403 };
                assert_eq!(answer.status() == refusal, at < needed, "{role}: {method} {path}: {answer:?}");
                assert!(answer.status() < 500, "{role}: {method} {path}: {answer:?}");
                walked += 1;
            }
        }
    }
    assert!(walked > 80, "{walked}");
    // What nobody tried to change is in no log.
    let audit = site.read("logs/control_audit");
    assert!(!audit.contains("\"role\":\"anyone\"") && audit.contains("\"name\":\"viewer\""), "{audit}");
}

#[test]
fn a_certificate_says_its_role() {
    let (site, port) = started();
    for role in ["viewer", "operator", "king"] {
        tls::certificate(&site.path(""), role, &format!("URI:urn:sonda:role:{role}"));
    }
    let with = |name: &str, words: &[&str]| {
        let (certificate, key) = (site.text(&format!("{name}.crt")), site.text(&format!("{name}.key")));
        asked(&site, port, &["--cert", &certificate, "--key", &key], words)
    };
    assert!(fine(&with("viewer", &["status"])).contains("rep"));
    fails(&with("viewer", &["restart", "rep"]), "you are viewer");
    fine(&with("operator", &["restart", "rep"]));
    // Neither a role that there is not nor none lets anybody in; nor does a certificate that nobody vouches for.
    fails(&with("king", &["status"]), "say who you are");
    fails(&with("server", &["status"]), "say who you are");
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -days 2";
    let names = "-addext subjectAltName=URI:urn:sonda:role:admin";
    tls::openssl(&site.path(""), &format!("{new} {names} -keyout forged.key -out forged.crt"));
    fails(&with("forged", &["status"]), "no supervisor answers");
    assert!(site.read("logs/control_audit").contains("\"by\":\"certificate\""));
}

#[test]
fn a_browser_logs_in_and_out() {
    let (site, port) = started();
    let token = token(&site, "operator", "operator");
    let mut browser = Client::connect(&site, port, HERE).expect("TLS");
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(browser.ask("POST", "/v1/login", &[]).status(), 401);
    let answer = browser.ask("POST", "/v1/login", std::slice::from_ref(&bearer));
    assert!(answer.status() == 200 && answer.body.contains("\"role\":\"operator\""), "{answer:?}");
    let set = answer.header("set-cookie").expect("a cookie");
    for word in ["__Host-sonda=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=43200"] {
        assert!(set.contains(word), "{set}");
    }
    assert!(!set.contains(&token));
    let cookie = format!("Cookie: {}", set.split(';').next().expect("a pair"));
    let csrf = "X-Sonda-CSRF: 1".to_owned();
    let me = browser.ask("GET", "/v1/self", std::slice::from_ref(&cookie));
    assert!(me.body.contains("\"name\":\"operator\"") && me.body.contains("x-sonda-csrf"), "{me:?}");
    let restart = |browser: &mut Client, lines: &[String]| browser.ask("POST", "/v1/modules/rep/restart", lines);
    let refused = restart(&mut browser, std::slice::from_ref(&cookie));
    assert!(refused.status() == 403 && refused.body.contains("x-sonda-csrf"), "{refused:?}");
    assert_eq!(restart(&mut browser, &[cookie.clone(), csrf.clone()]).status(), 200);
    // A session cannot make another one, and a replayed cookie is worth nothing after the end.
    assert_eq!(browser.ask("POST", "/v1/login", &[cookie.clone(), csrf.clone()]).status(), 409);
    let bye = browser.ask("POST", "/v1/logout", &[cookie.clone(), csrf.clone()]);
    assert!(bye.status() == 200 && bye.header("set-cookie").is_some_and(|set| set.contains("Max-Age=0")), "{bye:?}");
    assert_eq!(browser.ask("GET", "/v1/modules", std::slice::from_ref(&cookie)).status(), 401);
    // A session ends with its token.
    let answer = browser.ask("POST", "/v1/login", &[bearer]);
    let cookie =
        format!("Cookie: {}", answer.header("set-cookie").and_then(|set| set.split(';').next()).expect("a pair"));
    assert_eq!(browser.ask("GET", "/v1/modules", std::slice::from_ref(&cookie)).status(), 200);
    let file = site.text("tokens.json");
    fine(&site.tool(&["ctl", "token", "revoke", "operator", "--file", &file]).output().expect("it runs"));
    assert_eq!(browser.ask("GET", "/v1/modules", &[cookie]).status(), 401);
}

#[test]
fn who_guesses_is_refused_and_nobody_else() {
    let (site, port) = started();
    let token = format!("Authorization: Bearer {}", token(&site, "viewer", "viewer"));
    let mut guesser = Client::connect(&site, port, HERE).expect("TLS");
    let wrong = |n: u32| [format!("Authorization: Bearer sonda_{n:064x}")];
    for n in 0..10 {
        assert_eq!(guesser.ask("GET", "/v1/status", &wrong(n)).status(), 401);
    }
    let refused = guesser.ask("GET", "/v1/status", std::slice::from_ref(&token));
    assert!(refused.status() == 429 && refused.header("retry-after").is_some(), "{refused:?}");
    let mut other = Client::connect(&site, port, Ipv4Addr::new(127, 0, 0, 2)).expect("TLS");
    assert_eq!(other.ask("GET", "/v1/status", &[token]).status(), 200);
    assert_eq!(site.count("supervisor_log", "has shown too many wrong tokens"), 1);
}

#[test]
fn nothing_but_tls_1_3_is_spoken() {
    let (site, port) = started();
    assert!(Client::old(&site, port).is_err());
    let mut plain = tls::plain(port, HERE).expect("it listens");
    plain.write_all(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    // It may be reset.
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"));
    assert!(Client::connect(&site, port, HERE).is_ok());
}

/// What the metric says of when the certificate expires, in seconds since 1970.
fn expiry(site: &Site) -> Option<i64> {
    let text = said(&site.client(&["ctl", "get", "/metrics"]));
    let value = text.lines().find_map(|line| line.strip_prefix("sonda_api_certificate_expiry_time_seconds "));
    value.and_then(|value| value.parse::<f64>().ok()).map(|seconds| seconds as i64)
}

/// What openssl says of that.
fn expiry_by_openssl(site: &Site) -> i64 {
    let words = ["x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", "server.crt"];
    let told = Command::new("openssl").args(words).current_dir(site.path("")).output().expect("openssl is installed");
    let text = said(&told);
    let time = text.trim().strip_prefix("notAfter=").expect("a time").replace(' ', "T").replace("TZ", "Z");
    time.parse::<jiff::Timestamp>().unwrap_or_else(|why| panic!("{why}: {text}")).as_second()
}

/// Fault row 37.
#[test]
fn a_new_certificate_is_shown_and_no_session_is_lost() {
    let (site, port) = started();
    site.until("the metric says when it expires", || expiry(&site) == Some(expiry_by_openssl(&site)));
    let token = format!("Authorization: Bearer {}", token(&site, "viewer", "viewer"));
    let fine = |answer: &Answer| answer.status() == 200;
    let mut old = Client::connect(&site, port, HERE).expect("TLS");
    assert!(fine(&old.ask("GET", "/v1/status", std::slice::from_ref(&token))));
    let before = old.certificate();
    // One that is of no use changes nothing.
    let good = fs::read(site.path("server.key")).expect("there");
    fs::write(site.path("server.key"), "no key\n").expect("ours");
    assert_eq!(Client::connect(&site, port, HERE).expect("the old one").certificate(), before);
    site.until("it is said", || site.count("supervisor_log", "goes on with its old certificate") == 1);
    let refused = site.client(&["ctl", "apply"]);
    fails(&refused, "server.key");
    fs::write(site.path("server.key"), good).expect("ours");
    tls::certificate(&site.path(""), "server", "DNS:localhost");
    site.until("the new one is shown", || {
        Client::connect(&site, port, HERE).is_ok_and(|client| client.certificate() != before)
    });
    assert!(fine(&old.ask("GET", "/v1/status", std::slice::from_ref(&token))), "the old connection goes on");
    // One that nobody connects for is noticed as well.
    tls::openssl(
        &site.path(""),
        "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 40 -copy_extensions copy -out server.crt",
    );
    site.until("the metric goes with it", || expiry(&site) == Some(expiry_by_openssl(&site)));
    site.client(&["ctl", "apply"]);
    assert!(fine(&old.ask("GET", "/v1/status", &[token])), "also over a reload");
}

#[test]
fn a_port_in_use_changes_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let (site, port) = started();
    let rep = site.pid("rep");
    let taken_port = toml().replace("127.0.0.1:0", &address).replace("name = \"rep\"", "name = \"rep2\"");
    site.write("s.toml", &taken_port);
    let plan = site.client(&["ctl", "plan"]);
    fails(&plan, &format!("somebody listens at {address} already"));
    fails(&site.client(&["ctl", "apply"]), &format!("somebody listens at {address} already"));
    assert_eq!(site.pid("rep"), rep, "it goes on, and rep2 was not started");
    assert!(site.pid("rep2").is_none() && Client::connect(&site, port, HERE).is_ok());
    // What is free is taken, and the old port is left.
    drop(taken);
    site.write("s.toml", &toml().replace("127.0.0.1:0", &address));
    fine(&site.client(&["ctl", "apply"]));
    site.until("the old port is left", || tls::plain(port, HERE).is_err());
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    site.until("the new one answers", || Client::connect(&site, port, HERE).is_ok());
    // Without the table nothing listens.
    site.write("s.toml", REPEATER);
    fine(&site.client(&["ctl", "apply"]));
    site.until("nothing listens", || tls::plain(port, HERE).is_err());
}

#[test]
fn a_template_of_the_original_has_its_api_in_a_file_beside_it() {
    const TEMPLATE: &str = "<nemea-supervisor><modules><name>P</name><enabled>true</enabled><module><name>sleep</name>\
        <enabled>true</enabled><path>/bin/sleep</path><params>3600</params></module></modules></nemea-supervisor>";
    let api = tls::API;
    let mut site = Site::template(TEMPLATE);
    tls::authority(&site.path(""));
    site.write("settings.toml", api);
    site.options(&["--settings", &site.text("settings.toml")]);
    site.start();
    let sleep = site.runs("sleep", None);
    let port = site.api_port();
    token(&site, "viewer", "viewer");
    assert!(fine(&ctl(&site, port, "viewer", &["status"])).contains("1 of 1 modules run"));
    // It is read again at each reload, and a wrong one changes nothing.
    site.write("settings.toml", &format!("{api}[[profile]]\nname = \"Q\"\n"));
    fails(&site.client(&["ctl", "apply"]), "\"Q\" belongs into the template");
    assert!(fine(&ctl(&site, port, "viewer", &["status"])).contains("1 of 1 modules run"));
    site.write("settings.toml", "");
    fine(&site.client(&["ctl", "apply"]));
    site.until("nothing listens", || tls::plain(port, HERE).is_err());
    assert_eq!(site.pid("sleep"), Some(sleep));
    let run = site.tool(&["supervisor", "-c", "x", "--settings", "y", "-L", "."]).output().expect("it runs");
    assert_eq!(run.status.code(), Some(2), "{}", said(&run));
}

#[test]
fn what_the_table_says_is_checked() {
    let site = Site::native(&toml());
    let check = |text: &str, why: &str| {
        site.write("c.toml", text);
        fails(&site.tool(&["ctl", "check", &site.text("c.toml")]).output().expect("it runs"), why);
    };
    check("[api]\nlisten = \"here\"\n", "c.toml:2:10: listen = \"here\": an address and a port");
    check("[api]\nlisten = \"[::1]:1\"\ncertificate = \"x\"\n", "no TLS without both certificate and key");
    check("[api]\nlitsen = \"[::1]:1\"\n", "Did you mean \"listen\"?");
}
