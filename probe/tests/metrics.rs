//! `sonda metrics` beside a running probe and a module, judged by promtool and scraped by a real Prometheus (Debian's).

mod support;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Folder, mixture, outcome, sonda};

/// Nothing here takes long; a machine that stalls may.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A probe in the middle of a capture, a module that waits for its sender, and the folders that they use.
struct Box {
    pages: Folder,
    sockets: Folder,
    probe: Started,
    _module: Started,
    _stdin: ChildStdin,
}

impl Box {
    fn start(packets: u64) -> Box {
        let (pages, sockets) = (Folder::new(), Folder::new());
        let flows = pages.text("flows.json");
        let with = |mut command: Command| {
            command.env("SONDA_RUN_DIR", pages.path("")).env("TRAP_SOCKET_DIR", sockets.path(""));
            command.stderr(Stdio::null());
            command
        };
        let module = with(sonda(["traffic_repeater", "-i", "u:absent,u:repeated"])).spawn().expect("it starts");
        let probe = ["probe", "-", "--name", "pipe", "--json", &flows];
        let mut probe = with(sonda(probe)).stdin(Stdio::piped()).spawn().expect("it starts");
        let mut stdin = probe.stdin.take().expect("piped");
        let capture = mixture(packets, packets / 15);
        // What is held back keeps the probe waiting.
        stdin.write_all(&capture[..capture.len() - 1000]).expect("it reads");
        Box { pages, sockets, probe: Started(probe), _module: Started(module), _stdin: stdin }
    }

    fn metrics(&self, args: &[&str]) -> Command {
        let mut command = sonda(["metrics"].iter().chain(args));
        command.env("SONDA_RUN_DIR", self.pages.path("")).env("TRAP_SOCKET_DIR", self.sockets.path(""));
        command
    }

    /// The metrics once they say so.
    fn wait_for(&self, so: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = outcome(&mut self.metrics(&[])).must(0).stdout;
            if so(&text) {
                return text;
            }
            assert!(Instant::now() < end, "it did not come to be:\n{text}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The sum of the samples of a metric.
fn sum(text: &str, metric: &str) -> f64 {
    let of = |line: &str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values =
        text.lines().filter(|line| of(line)).map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<f64>());
    values.map(|value| value.expect("a number")).sum()
}

#[test]
fn what_is_printed_is_true_and_well_formed() {
    let running = Box::start(30_000);
    let text = running.wait_for(|text| {
        sum(text, "sonda_taken_packets_total") > 20_000.0
            && text.contains("sonda_module_up{module=\"traffic_repeater\"")
    });
    assert_eq!(sum(&text, "sonda_probe_up"), 1.0);
    assert_eq!(sum(&text, "sonda_probe_unknown_counters"), 0.0, "every counter of the page is declared");
    assert_eq!(sum(&text, "sonda_ledger_imbalance"), 0.0, "{text}");
    let decoded = sum(&text, "sonda_decoded_packets_total") + sum(&text, "sonda_dropped_packets_total");
    assert_eq!(sum(&text, "sonda_taken_packets_total"), decoded);
    let (opened, ended) = (sum(&text, "sonda_flows_opened_total"), sum(&text, "sonda_flows_ended_total"));
    assert_eq!(opened + sum(&text, "sonda_flows_continued_total"), sum(&text, "sonda_live_flows") + ended);
    assert!(sum(&text, "sonda_plugin_records_total") > 0.0, "the mixture has protocols");
    for interface in ["input_connected", "output_clients"] {
        let line = format!("sonda_module_{interface}{{module=\"traffic_repeater\",interface=\"0\",type=\"u\",id=\"");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is installed (deploy/setup.sh)");
    promtool.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let judged = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success() && said.is_empty(), "{said}\n{text}");
}

#[test]
fn the_rules_are_accepted_by_promtool() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/sonda.rules.yml");
    let run = outcome(Command::new("promtool").args(["check", "rules"]).arg(rules)).must(0);
    assert!(run.stdout.contains("SUCCESS: 10 rules found"), "{}", run.stdout);
}

/// Row 37 of the fault matrix. To promtool the world begins at 0 and the certificate ends after 31 days.
#[test]
fn a_certificate_that_expires_is_told_thirty_days_ahead() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/sonda.rules.yml");
    let rules = rules.canonicalize().expect("there");
    let folder = Folder::new();
    let at = |time: &str, alerts: &str| {
        format!("      - eval_time: {time}\n        alertname: SondaCertificateExpires\n        exp_alerts: {alerts}\n")
    };
    let told = "[{exp_labels: {severity: warning}, exp_annotations: {summary: 'The certificate of the control API expires in 29d 20h 0m 0s', \
                description: 'Put a new certificate and key in place of the files that the table api names; they are read again without a restart.'}}]";
    let text = format!(
        "rule_files: ['{}']\nevaluation_interval: 1h\ntests:\n  - interval: 1h\n    input_series:\n      \
         - series: sonda_api_certificate_expiry_time_seconds\n        values: '{}x48'\n    alert_rule_test:\n{}{}{}",
        rules.display(),
        31 * 86_400,
        at("23h", "[]"),
        at("24h", "[]"),
        at("28h", told),
    );
    std::fs::write(folder.path("test.yml"), text).expect("room");
    let run = outcome(Command::new("promtool").args(["test", "rules"]).arg(folder.path("test.yml"))).must(0);
    assert!(run.stdout.contains("SUCCESS"), "{}{}", run.stdout, run.stderr);
}

/// An endpoint that listens on a free port.
fn endpoint(running: &Box) -> (Started, SocketAddr) {
    let mut child = running.metrics(&["--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stderr.take().expect("piped")).read_line(&mut line).expect("it says where it listens");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    (Started(child), address.parse().expect("an address"))
}

/// The answer to a request, whole.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
    // It may have answered and closed before all was written.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
}

#[test]
fn the_endpoint_answers_its_own_and_refuses_the_rest() {
    let running = Box::start(1000);
    running.wait_for(|text| text.contains("sonda_probe_up"));
    let (_endpoint, address) = endpoint(&running);
    let answer = get(address, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("sonda_probe_up{probe=\"pipe\",tool=\"probe\"} 1"), "{answer}");
    assert!(get(address, "/").contains("/metrics"));
    assert!(get(address, "/../../etc/passwd").starts_with("HTTP/1.1 404"));
    let stranger = b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    let answer = ask(address, stranger);
    assert!(answer.starts_with("HTTP/1.1 421") && !answer.contains("sonda_probe_up"), "{answer}");
    assert!(
        ask(address, b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .starts_with("HTTP/1.1 405")
    );
    let long = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    assert!(!ask(address, long.as_bytes()).contains("sonda_probe_up"));
    // More connections than there are places: those that say nothing do not keep the others out for ever.
    let silent: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(address).expect("the kernel takes it")).collect();
    assert!(get(address, "/metrics").starts_with("HTTP/1.1 200 OK"));
    drop(silent);
}

#[test]
fn who_could_be_reached_by_others_is_told_so() {
    let run = outcome(&mut sonda(["metrics", "--listen", "0.0.0.0:9909"])).must(2);
    run.says(&["0.0.0.0", "127.0.0.1", "proxy"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    outcome(&mut sonda(["metrics", "--listen", &address])).must(1).says(&["cannot listen on", &address]);
}

/// What Prometheus answers to a query: the values of its samples.
fn query(prometheus: SocketAddr, query: &str) -> Option<Vec<f64>> {
    let mut stream = TcpStream::connect(prometheus).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let encoded: String = query.bytes().map(|b| format!("%{b:02X}")).collect();
    // HTTP/1.0: the body ends with the connection and comes in one piece.
    write!(stream, "GET /api/v1/query?query={encoded} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    let samples = body["data"]["result"].as_array()?;
    samples.iter().map(|sample| sample["value"][1].as_str()?.parse().ok()).collect()
}

#[test]
fn a_real_prometheus_scrapes_and_its_queries_answer() {
    let mut running = Box::start(30_000);
    running.wait_for(|text| sum(text, "sonda_taken_packets_total") > 20_000.0);
    let (_endpoint, address) = endpoint(&running);
    let folder = Folder::new();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus/sonda.rules.yml");
    let rules = rules.canonicalize().expect("it is in the repository");
    let config = folder.write(
        "prometheus.yml",
        format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: sonda, static_configs: [{{targets: ['{address}']}}]}}]\n",
            rules.display()
        ),
    );
    // Its port is free now; Prometheus cannot be asked to take any and say which.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", config.display())).arg(format!("--web.listen-address={port}"));
    command.arg(format!("--storage.tsdb.path={}", folder.text("tsdb"))).stdout(Stdio::null()).stderr(Stdio::null());
    let _prometheus = Started(command.spawn().expect("prometheus is installed (deploy/setup.sh)"));

    let end = Instant::now() + 2 * PATIENCE;
    let wait_for = |what: &str, so: &dyn Fn(&[f64]) -> bool| loop {
        let values = query(port, what);
        if values.as_deref().is_some_and(so) {
            return;
        }
        assert!(Instant::now() < end, "{what} is {values:?}");
        std::thread::sleep(Duration::from_millis(200));
    };
    wait_for("sum(sonda_taken_packets_total{probe=\"pipe\"})", &|values| values.iter().any(|n| *n > 20_000.0));
    wait_for("sonda_probe_up", &|values| values == [1.0]);
    wait_for("sum(abs(sonda_ledger_imbalance))", &|values| values == [0.0]);
    wait_for("count(sonda_module_up{module=\"traffic_repeater\"})", &|values| values == [1.0]);
    // A probe that dies is seen, and the rule that tells of it becomes pending.
    running.probe.0.kill().expect("it runs");
    running.probe.0.wait().expect("it is ours");
    wait_for("sonda_probe_up", &|values| values == [0.0]);
    wait_for("count(ALERTS{alertname=\"SondaProbeDied\"})", &|values| values == [1.0]);
}
