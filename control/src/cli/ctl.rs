//! `sonda ctl`: a configuration is checked, its effect is shown, and it is applied.
use super::{FAILED, USAGE, ask, print};
use crate::api::client::{Credentials, Server};
use crate::api::socket_of;
use crate::cgroup::Cgroups;
use crate::client::{SOCKET, code};
use crate::config::{Source, why_not};
use clap::Subcommand;
use remote::Remote;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod remote;
mod token;

/// For the daemon to read its files.
const WAIT: Duration = Duration::from_secs(30);

/// One line for lists of tools.
pub const ABOUT: &str = "the supervisor from the shell: status, start and stop, logs, events, configuration";

/// The supervisor from the shell: how modules stand, start and stop them, read logs, check and apply configurations.
#[derive(clap::Parser, Debug)]
#[command(
    name = "sonda ctl",
    after_help = "Examples:\n  sonda ctl status\n  sonda ctl restart vportscan_detector\n  sonda ctl disable --profile Reporters\n  sonda ctl log vportscan_detector\n  \
sonda ctl check /etc/sonda/supervisor.toml\n  sonda ctl check /etc/nemea/supervisor_config_template.xml\n  \
sonda ctl plan\n  sonda ctl apply\n  sonda ctl reference > supervisor.toml\n  \
sonda ctl token add grafana --role viewer --days 365\n  \
sonda ctl status --url https://probe1:8443 --token-file ~/.sonda-token --ca /etc/sonda/ca.crt\n\n\
plan and apply are about the files that the running supervisor was started with: edit them, look at the plan, apply. All of it is\n\
applied or nothing. What a plan says of a module: keep (nothing changes), live (changes without a restart), restart, start, stop,\n\
refuse (it cannot run so; with TOML nothing is applied then).\n\
Exit status: 0 fine; 1 the configuration is refused, or no supervisor answers; 2 wrong usage."
)]
struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Say what is wrong with a file: an XML template if its name ends in .xml, else TOML; or a folder of TOML files
    Check {
        #[arg(value_name = "FILE")]
        path: PathBuf,
    },
    /// What applying would do, module by module
    Plan {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make the supervisor read its files again
    Apply,
    /// A TOML file with every key and what it means
    Reference,
    /// The JSON Schema of the TOML file, for editors
    Schema,
    /// Tokens of those who come in over TCP
    Token(token::Args),
    #[command(flatten)]
    Remote(Remote),
}

#[derive(clap::Args, Debug)]
struct Daemon {
    /// Path of the daemon's socket
    #[arg(short = 's', long = "daemon-socket", value_name = "PATH", default_value = SOCKET, global = true)]
    socket: PathBuf,
    /// The supervisor of another machine, https://HOST:PORT, in place of the socket
    #[arg(long, global = true)]
    url: Option<String>,
    /// With --url: a file whose first line is a token
    #[arg(long, value_name = "FILE", requires = "url", global = true)]
    token_file: Option<PathBuf>,
    /// With --url: certificates that vouch for the server's, in place of those that the system trusts
    #[arg(long, value_name = "FILE", requires = "url", global = true)]
    ca: Option<PathBuf>,
    /// With --url: our certificate, in place of a token
    #[arg(long, value_name = "FILE", requires_all = ["url", "key"], global = true)]
    cert: Option<PathBuf>,
    /// The key of --cert
    #[arg(long, value_name = "FILE", requires = "cert", global = true)]
    key: Option<PathBuf>,
}

impl Daemon {
    /// Where the API is.
    fn server(&self) -> Result<Server, String> {
        let Some(url) = &self.url else { return Ok(Server::Unix(socket_of(&self.socket))) };
        let identity = self.cert.as_deref().zip(self.key.as_deref());
        Server::of_url(url, &Credentials { token_file: self.token_file.as_deref(), ca: self.ca.as_deref(), identity })
    }
}

/// Runs the tool; answers the exit status.
#[must_use]
pub fn main(args: &[String]) -> u8 {
    let args: Args = match super::parse("sonda ctl", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    let server = match args.daemon.server() {
        Ok(server) => server,
        Err(why) => {
            eprintln!("sonda ctl: {why}");
            return USAGE;
        }
    };
    match args.what {
        What::Check { path } => check(&path),
        What::Plan { json } if args.daemon.url.is_some() => remote::planned(&server, |text| plan(text, json)),
        What::Apply if args.daemon.url.is_some() => remote::applied(&server),
        What::Plan { json } => asked(&args.daemon.socket, code::PLAN, |text| plan(text, json)),
        What::Apply => asked(&args.daemon.socket, code::RELOAD, |text| {
            print(text);
            u8::from(text.contains("[ERROR]")) * FAILED
        }),
        What::Reference => printed(&crate::config::reference::commented()),
        What::Remote(remote) => remote.run(&server),
        What::Schema => printed(&crate::config::reference::schema()),
        What::Token(token) => token.run(),
    }
}

fn printed(text: &str) -> u8 {
    print(text);
    0
}

fn asked(socket: &Path, code: &str, shown: impl Fn(&str) -> u8) -> u8 {
    match ask(socket, code, WAIT) {
        Ok(text) => shown(&text),
        Err(why) => {
            eprintln!("sonda ctl: no supervisor answers at {}: {why}; give its socket with -s", socket.display());
            FAILED
        }
    }
}

/// Says on standard error what is wrong with a configuration; answers the exit status.
#[must_use]
pub fn check(path: &Path) -> u8 {
    let source = Source::of_path(path);
    let config = match source.read() {
        Ok(config) => config,
        Err(refused) => {
            eprint!("{refused}");
            return FAILED;
        }
    };
    // A machine of another kind may keep them, so this is no fault of the file.
    Cgroups::find(Path::new(SOCKET)).missing(&config).iter().for_each(|line| eprintln!("{line}"));
    let wanted = config.modules().filter(|(profile, module)| profile.enabled && module.enabled);
    let broken: Vec<(String, String)> =
        wanted.filter_map(|(_, module)| Some((module.name.clone(), why_not(module)?))).collect();
    for (module, why) in &broken {
        eprintln!("[ERROR] module \"{module}\": {why}");
    }
    let modules = config.modules().count();
    println!(
        "{}: {} profiles, {modules} modules, {} that cannot run",
        path.display(),
        config.profiles.len(),
        broken.len()
    );
    u8::from(!broken.is_empty()) * FAILED
}

/// Shows the daemon's answer.
fn plan(text: &str, as_json: bool) -> u8 {
    let Ok(plan) = serde_json::from_str::<Value>(text) else {
        eprintln!("sonda ctl: the supervisor does not know plans; it is one of the original");
        return FAILED;
    };
    let does_apply = plan["applies"].as_bool().unwrap_or(false);
    if as_json {
        print(&format!("{text}\n"));
    } else {
        print(&as_table(&plan));
    }
    u8::from(!does_apply) * FAILED
}

fn as_table(plan: &Value) -> String {
    let steps = plan["steps"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().replace(char::is_control, "?");
    let width = steps.iter().map(|step| text(&step["module"]).chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for step in steps {
        let why: Vec<String> = step["why"].as_array().into_iter().flatten().map(text).collect();
        let row = format!("{:7}  {:width$}  {}", text(&step["action"]), text(&step["module"]), why.join("; "));
        out += row.trim_end();
        out.push('\n');
    }
    for line in plan["errors"].as_array().into_iter().flatten() {
        out += &text(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_as_a_table() {
        let plan = serde_json::json!({"applies": false, "errors": ["[ERROR] module \"b\": no"], "steps": [
            {"module": "a", "action": "keep", "why": []}, {"module": "bcd", "action": "refuse", "why": ["x", "y"]}]});
        assert_eq!(as_table(&plan), "keep     a\nrefuse   bcd  x; y\n[ERROR] module \"b\": no\n");
    }
}
