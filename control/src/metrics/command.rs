//! `sonda metrics`.
use super::{serve, text};
use clap::Parser;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Print the counters of all probes and modules of this machine as Prometheus' text format, or serve them to Prometheus.
#[derive(Parser, Debug)]
#[command(
    name = "sonda metrics",
    version,
    after_help = "Examples:\n  sonda metrics\n  sonda metrics --listen 127.0.0.1:9909      (then scrape http://127.0.0.1:9909/metrics)\n  \
sonda metrics > /var/lib/prometheus/node-exporter/sonda.prom    (for the textfile collector)\n\n\
What each metric says: docs/metrics.md. Alert rules and a Grafana dashboard: deploy/prometheus, deploy/grafana.\n\
Exit status: 0 fine; 1 the address cannot be listened on; 2 wrong usage."
)]
struct Args {
    /// Serve on this address instead, until SIGINT or SIGTERM; loopback only, because nobody is asked who he is
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = loopback)]
    listen: Option<SocketAddr>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "use ADDRESS:PORT, for example 127.0.0.1:9909".to_string())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err(format!(
        "{} can be reached by others, who would not be asked who they are: listen on 127.0.0.1 or [::1], and put a proxy in front \
that asks and encrypts",
        address.ip()
    ))
}

/// Runs the tool with the arguments behind its name and answers the exit status.
pub fn main(args: &[OsString]) -> u8 {
    let argv = std::iter::once(OsString::from("sonda metrics")).chain(args.iter().cloned());
    let args = match Args::try_parse_from(argv) {
        Ok(args) => args,
        Err(why) => {
            // Nobody is left to tell if this fails.
            let _unread = why.print();
            return if why.use_stderr() { 2 } else { 0 };
        }
    };
    match args.listen {
        None => {
            // A reader that has gone wants no more.
            let _unread = io::stdout().write_all(text(None).as_bytes());
            0
        }
        Some(address) => match listen(address) {
            Ok(()) => 0,
            Err(why) => {
                eprintln!("sonda metrics: cannot listen on {address}: {why}");
                1
            }
        },
    }
}

fn listen(address: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // Port 0 becomes a number here; who started us may wait for this line.
        eprintln!("sonda metrics: http://{}/metrics", listener.local_addr()?);
        let stop = async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        serve::serve(listener, stop).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn only_loopback_is_listened_on() {
        Args::command().debug_assert();
        assert!(loopback("127.0.0.1:0").is_ok() && loopback("[::1]:9909").is_ok());
        for refused in ["0.0.0.0:9909", "192.0.2.1:1", "[::]:1", "localhost", "9909"] {
            assert!(loopback(refused).is_err(), "{refused}");
        }
    }
}
