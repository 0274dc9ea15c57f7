//! Interface specifiers of the chain's hops.
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// What carries the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Unix,
    Tcp,
    Tls,
}

/// From one process to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Probe to filter.
    Flows,
    /// Filter to merger, one part of the records.
    Low,
    /// The other part.
    High,
    /// Merger to logger.
    All,
}

impl Hop {
    pub const ALL: [Hop; 4] = [Hop::Flows, Hop::Low, Hop::High, Hop::All];
}

/// The names of all hops.
#[derive(Debug)]
pub(super) struct Ends {
    transport: Transport,
    /// Of sockets, or ports.
    names: [String; 4],
    /// `:KEY:CERTIFICATE:CA`, or nothing.
    files: String,
    timeout: &'static str,
}

impl Ends {
    /// Chooses names or free ports, and for TLS makes a certificate that serves both sides.
    pub(super) fn new(transport: Transport, folder: &Path, waits: bool) -> Result<Ends, String> {
        let mut names = ["flows", "low", "high", "all"].map(String::from);
        if transport != Transport::Unix {
            // All open at a time, so that they differ.
            let ports = names.each_ref().map(|_| TcpListener::bind("127.0.0.1:0"));
            for (name, port) in names.iter_mut().zip(ports) {
                let address =
                    port.and_then(|listener| listener.local_addr()).map_err(|e| format!("no free port: {e}"))?;
                *name = address.port().to_string();
            }
        }
        let files = if transport == Transport::Tls { certificate(folder)? } else { String::new() };
        Ok(Ends { transport, names, files, timeout: if waits { "WAIT" } else { "NO_WAIT:buffer_count=8" } })
    }

    /// Name of the interface as processes say it.
    pub(super) fn name(&self, hop: Hop) -> &str {
        &self.names[hop as usize]
    }

    pub(super) fn output(&self, hop: Hop) -> String {
        let Ends { files, timeout, .. } = self;
        let name = self.name(hop);
        match self.transport {
            Transport::Unix => format!("u:{name}:timeout={timeout}"),
            Transport::Tcp => format!("t:{name}:timeout={timeout}"),
            Transport::Tls => format!("T:{name}{files}:timeout={timeout}"),
        }
    }

    pub(super) fn input(&self, hop: Hop) -> String {
        let name = self.name(hop);
        match self.transport {
            Transport::Unix => format!("u:{name}"),
            Transport::Tcp => format!("t:127.0.0.1:{name}"),
            Transport::Tls => format!("T:127.0.0.1:{name}{}", self.files),
        }
    }
}

/// A certificate that vouches for itself.
fn certificate(folder: &Path) -> Result<String, String> {
    let words = "req -x509 -newkey rsa:2048 -nodes -subj /CN=chain -days 2 -keyout chain.key -out chain.crt";
    let made = Command::new("openssl").args(words.split(' ')).current_dir(folder).output();
    let made = made.map_err(|e| format!("openssl does not run ({e}): install the Debian package `openssl`"))?;
    if !made.status.success() {
        return Err(format!("openssl {words}: {}", String::from_utf8_lossy(&made.stderr)));
    }
    let [key, certificate] = ["chain.key", "chain.crt"].map(|name| folder.join(name).display().to_string());
    Ok(format!(":{key}:{certificate}:{certificate}"))
}
