//! A reporter reads its configuration again: told by SIGUSR1, and by itself with `-a`; one that is refused changes nothing.
mod support;

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};
use support::tools::signal;
use support::{Folder, json_so_far, sonda, wait_for};
use trap::{Format, Output, OutputDefaults, Place, Sent, Spec};

/// A running idea2idea, what it said, and its input.
struct Reporter {
    child: Child,
    said: Arc<Mutex<String>>,
    alerts: Output,
    site: Site,
}

/// The reporter's folder.
struct Site {
    folder: Folder,
    /// Configurations so far; each is younger than the one before, whatever the file system's clock says.
    written: u64,
}

impl Site {
    /// Writes a configuration that puts alerts into this file.
    fn configure(&mut self, file: &str) {
        let action = json!({"id": "out", "file": {"path": self.folder.text(file)}});
        let rules = json!([{"id": file, "condition": true, "actions": ["out"]}]);
        self.write(&json!({"namespace": file, "custom_actions": [action], "rules": rules}).to_string());
    }

    /// The file is whole or not there: the reporter may look at any time.
    fn write(&mut self, config: &str) {
        self.written += 1;
        let path = self.folder.write("new", config);
        let younger = SystemTime::now() + Duration::from_secs(10 * self.written);
        File::options().write(true).open(&path).and_then(|file| file.set_modified(younger)).expect("a time");
        fs::rename(path, self.folder.path("config.yaml")).expect("the same folder");
    }
}

impl Reporter {
    fn start(more: &[&str]) -> Reporter {
        let mut site = Site { folder: Folder::new(), written: 0 };
        site.configure("first");
        let (sockets, config) = (site.folder.text(""), site.folder.text("config.yaml"));
        let spec = &Spec::parse("u:idea:timeout=WAIT:buffer=off").expect("a specifier")[0];
        let place = Place::with_socket_dir(&sockets);
        let mut alerts = Output::open_at(spec, OutputDefaults::default(), &place).expect("a socket");
        alerts.set_format(Format::Json("IDEA".into())).expect("a format");
        let mut command = sonda(["idea2idea", "-D", "-i", "u:idea", "-c", &config]);
        command.args(more).env("TRAP_SOCKET_DIR", &sockets).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let said = Arc::<Mutex<String>>::default();
        let ears: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for from in ears {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in BufReader::new(from).lines().map_while(Result::ok) {
                    said.lock().expect("no panic").push_str(&(line + "\n"));
                }
            });
        }
        Reporter { child, said, alerts, site }
    }

    /// Waits until it shows that it uses the configuration for this file.
    #[track_caller]
    fn uses(&self, file: &str) {
        wait_for(file, || {
            signal(self.child.id(), "USR2");
            self.said.lock().expect("no panic").contains(&format!("Namespace: {file}\n"))
        });
    }

    /// Sends an alert, and waits for it in this file.
    #[track_caller]
    fn reports_to(&mut self, id: &str, file: &str) {
        let alert = json!({"Format": "IDEA0", "ID": id, "DetectTime": "2023-01-02T10:15:00Z", "Category": ["Test"]});
        assert_eq!(self.alerts.send(alert.to_string().as_bytes()), Sent::Sent);
        let path = self.site.folder.path(file);
        wait_for(id, || json_so_far(&path).iter().any(|message: &Value| message["ID"] == id));
    }

    #[track_caller]
    fn says(&self, part: &str) {
        wait_for(part, || self.said.lock().expect("no panic").contains(part));
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        // One that has ended needs neither.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn signals_read_and_show_the_configuration() {
    let mut reporter = Reporter::start(&[]);
    reporter.reports_to("one", "first");
    let pid = reporter.child.id();
    // Not told, it keeps what it has.
    reporter.site.configure("second");
    reporter.reports_to("two", "first");
    signal(pid, "USR1");
    reporter.uses("second");
    reporter.reports_to("three", "second");
    reporter.site.write("rules: []");
    signal(pid, "USR1");
    reporter.says("the configuration stays as it was");
    reporter.reports_to("four", "second");
    reporter.site.configure("third");
    signal(pid, "USR1");
    reporter.uses("third");
    reporter.reports_to("five", "third");
    let count = |file: &str| json_so_far(reporter.site.folder.path(file)).len();
    assert_eq!([count("first"), count("second"), count("third")], [2, 2, 1]);
}

#[test]
fn a_configuration_that_changes_is_seen() {
    let mut reporter = Reporter::start(&["-a", "1"]);
    reporter.reports_to("one", "first");
    reporter.site.configure("second");
    reporter.uses("second");
    reporter.reports_to("two", "second");
}
