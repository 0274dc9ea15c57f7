//! A Chromium without a window, driven by its DevTools protocol over a pipe: JSON texts that end with NUL.
use super::site::PATIENCE;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Descriptors 3 and 4 are the pipe's, and no others than 0 and 1 can be given to a child without more ado.
const START: &str = "exec chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --ignore-certificate-errors \
     --remote-debugging-pipe --user-data-dir=\"$0\" about:blank 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null";

pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    told: Receiver<Value>,
    /// Number of the last command.
    last: u64,
    /// What pages complained of since it was asked.
    complaints: Vec<String>,
    _profile: TempDir,
}

/// A page, by the number of its session.
#[derive(Clone)]
pub(crate) struct Page(String);

impl Browser {
    pub(crate) fn start() -> Browser {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("sh");
        command.arg("-c").arg(START).arg(profile.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().expect("a shell");
        let (commands, told) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (send, receive) = channel();
        std::thread::spawn(move || {
            for text in BufReader::new(told).split(0).map_while(Result::ok) {
                let told = serde_json::from_slice(&text).expect("JSON");
                if send.send(told).is_err() {
                    return;
                }
            }
        });
        Browser { child, commands, told: receive, last: 0, complaints: vec![], _profile: profile }
    }

    /// A page of its own, with cookies of its own.
    pub(crate) fn page(&mut self) -> Page {
        let text = |value: Value, key: &str| value[key].as_str().expect(key).to_owned();
        let context = text(self.ask(None, "Target.createBrowserContext", &json!({})), "browserContextId");
        let target = json!({"url": "about:blank", "browserContextId": context, "width": 1280, "height": 900});
        let target = text(self.ask(None, "Target.createTarget", &target), "targetId");
        let attached = self.ask(None, "Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        let page = Page(text(attached, "sessionId"));
        for domain in ["Page", "Runtime", "Log"] {
            self.ask(Some(&page), &format!("{domain}.enable"), &json!({}));
        }
        page
    }

    /// A command and its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, page: Option<&Page>, method: &str, params: &Value) -> Value {
        let told = self.answer(page, method, params);
        assert!(told["error"].is_null(), "{method}: {}", told["error"]);
        told["result"].clone()
    }

    #[track_caller]
    fn answer(&mut self, page: Option<&Page>, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": params});
        if let Some(Page(session)) = page {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).expect("chromium is installed and runs");
        loop {
            let told = self.told.recv_timeout(PATIENCE).expect("chromium is installed and answers");
            if told["id"] == self.last {
                return told;
            }
            self.complaints.extend(complaint(&told));
        }
    }

    /// Goes to an address, in light or dark colours.
    pub(crate) fn open(&mut self, page: &Page, url: &str, colours: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": colours}]});
        self.ask(Some(page), "Emulation.setEmulatedMedia", &media);
        let gone = self.ask(Some(page), "Page.navigate", &json!({"url": url}));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
    }

    /// The value of an expression; null while the page is on its way to another.
    pub(crate) fn value(&mut self, page: &Page, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let told = self.answer(Some(page), "Runtime.evaluate", &params);
        let error = told["error"]["message"].as_str();
        assert!(error.is_none_or(|why| why.contains("navigated")), "{expression}: {error:?}");
        told["result"]["result"]["value"].clone()
    }

    /// Waits until an expression is true of the page.
    #[track_caller]
    pub(crate) fn until(&mut self, page: &Page, expression: &str) {
        let began = Instant::now();
        while self.value(page, expression) != true {
            let (text, complaints) = (self.value(page, "document.body.innerText"), &self.complaints);
            assert!(
                began.elapsed() < PATIENCE,
                "never: {expression}\n{complaints:?}\n{}",
                text.as_str().unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The whole page as a PNG.
    pub(crate) fn picture(&mut self, page: &Page, file: &Path) {
        let height = self.value(page, "document.documentElement.scrollHeight");
        let window = json!({"width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask(Some(page), "Emulation.setDeviceMetricsOverride", &window);
        let told = self.ask(Some(page), "Page.captureScreenshot", &json!({}));
        let mut decode = Command::new("base64");
        let mut decode = decode
            .arg("-d")
            .stdin(Stdio::piped())
            .stdout(File::create(file).expect("a file"))
            .spawn()
            .expect("coreutils");
        decode
            .stdin
            .take()
            .expect("piped")
            .write_all(told["data"].as_str().expect("a picture").as_bytes())
            .expect("taken");
        assert!(decode.wait().expect("our child").success(), "{}", file.display());
    }

    /// What the pages complained of since this was asked: exceptions, the console, what the policy forbade, answers that are errors.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The shell has become the browser, whose group has its helpers.
        let _gone = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.child.id())]).status();
        let _gone = self.child.wait();
    }
}

/// What is wrong with a page, by an event.
fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" => {
            matches!(params["type"].as_str()?, "error" | "warning" | "assert").then(|| params["args"].to_string())
        }
        "Log.entryAdded" => {
            let entry = &params["entry"];
            matches!(entry["level"].as_str()?, "error" | "warning")
                .then(|| format!("{} {}", entry["text"], entry["url"]))
        }
        _ => None,
    }
}
