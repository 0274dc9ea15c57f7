//! A server that speaks MongoDB's protocol: server.py over python3-mongomock. It is not MongoDB: what that does otherwise is not tested.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Serves until it is dropped; what it keeps is gone then.
pub(crate) struct MongoServer {
    process: Child,
    pub(crate) port: u16,
}

impl MongoServer {
    /// At a free port.
    pub(crate) fn start() -> MongoServer {
        MongoServer::at(0)
    }

    pub(crate) fn at(port: u16) -> MongoServer {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mongo_server/server.py");
        // Debian's Python: its packages are not those of another one in the path.
        let mut command = Command::new("/usr/bin/python3");
        command.args([script, &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3, and deploy/setup.sh for its packages");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        MongoServer {
            process,
            port: line.trim().parse().expect("deploy/setup.sh installs python3-mongomock and python3-bson"),
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("mongodb://127.0.0.1:{}", self.port)
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
