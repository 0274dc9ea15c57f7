//! `sonda`: one binary, many tools. `sonda NAME ...`, or a link called NAME, runs the tool NAME.
#![forbid(unsafe_code)]

mod applets;
mod ipfixprobe;
mod outputs;
mod probe;
mod run;
mod summary;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = Vec::new();
    for arg in std::env::args_os() {
        match arg.into_string() {
            Ok(arg) => args.push(arg),
            Err(arg) => {
                eprintln!("sonda: the argument {} is not valid UTF-8; rename the file or give a link to it", arg.display());
                return ExitCode::from(1);
            }
        }
    }
    let called = args.first().map(|a| Path::new(a).file_name().unwrap_or_default().to_string_lossy().into_owned());
    if let Some(applet) = called.as_deref().and_then(applets::find) {
        return ExitCode::from((applet.run)(&args));
    }
    match args.get(1).map(String::as_str) {
        None | Some("help" | "-h" | "--help") if args.len() <= 2 => {
            print!("{}", applets::help());
            ExitCode::SUCCESS
        }
        Some("help") => ExitCode::from(applets::help_of(&args[2])),
        Some("-V" | "--version") => {
            println!("sonda {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Some("completions") => ExitCode::from(applets::completions(args.get(2).map(String::as_str))),
        Some(name) => match applets::find(name) {
            Some(applet) => ExitCode::from((applet.run)(&args[1..])),
            None => {
                eprintln!("sonda: there is no tool '{name}'; `sonda help` lists them");
                ExitCode::from(2)
            }
        },
        None => ExitCode::from(2),
    }
}
