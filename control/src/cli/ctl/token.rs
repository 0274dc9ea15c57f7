//! `sonda ctl token`: who may come in over TCP. It works on the file, on the supervisor's machine.
use super::super::{FAILED, print};
use crate::api::role::Role;
use crate::api::tokens;
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
    /// The file that `tokens` of the table [api] names
    #[arg(long, value_name = "PATH", default_value = tokens::FILE, global = true)]
    file: PathBuf,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Make a token and print it: it is shown this once
    Add {
        /// What it is called in lists and in the audit log
        name: String,
        /// What its owner may
        #[arg(long, value_enum)]
        role: Granted,
        /// Days that it is good for
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=i64::from(tokens::DAYS_MAX)))]
        days: u32,
    },
    /// All tokens: name, role, when they end, when they were used
    List,
    /// Make a token worthless, and end the sessions that began with it
    Revoke { name: String },
}

/// The roles that can be given.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Granted {
    Viewer,
    Operator,
    Admin,
}

impl From<Granted> for Role {
    fn from(granted: Granted) -> Self {
        match granted {
            Granted::Viewer => Role::Viewer,
            Granted::Operator => Role::Operator,
            Granted::Admin => Role::Admin,
        }
    }
}

impl Args {
    /// Does it; answers the exit status.
    pub(super) fn run(&self) -> u8 {
        let done = match &self.what {
            What::Add { name, role, days } => tokens::add(&self.file, name, (*role).into(), *days).map(|secret| {
                eprintln!("This is the token; it is shown this once:");
                format!("{}\n", secret.shown())
            }),
            What::List => tokens::read(&self.file).map(|all| table(&all, &tokens::used(&self.file))),
            What::Revoke { name } => tokens::revoke(&self.file, name).map(|()| String::new()),
        };
        match done {
            Ok(text) => {
                print(&text);
                0
            }
            Err(why) => {
                eprintln!("sonda ctl: {why}");
                FAILED
            }
        }
    }
}

fn table(all: &[tokens::Token], used: &std::collections::BTreeMap<String, i64>) -> String {
    let time = |seconds: i64| Timestamp::from_second(seconds).map_or_else(|_| "?".into(), |time| time.to_string());
    let width = all.iter().map(|token| token.name.len()).chain(["NAME".len()]).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:8}  {:20}  {:20}  LAST USED\n", "NAME", "ROLE", "CREATED", "EXPIRES");
    for token in all {
        let last = used.get(token.id()).map_or_else(|| "never".into(), |seconds| time(*seconds));
        let (name, role) = (token.name.replace(char::is_control, "?"), token.role.to_string());
        text += &format!("{name:width$}  {role:8}  {:20}  {:20}  {last}\n", time(token.created), time(token.expires));
    }
    text
}
