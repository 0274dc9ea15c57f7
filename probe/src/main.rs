//! `sonda`: one binary, many tools. `sonda NAME ...`, or a link called NAME, runs the tool NAME.
#![forbid(unsafe_code)]

mod alerts;
mod applets;
mod check;
mod demo;
mod dpdk;
mod ipfixprobe;
mod isolate;
mod live;
mod new_module;
mod osquery;
mod outputs;
mod page;
mod prefilter;
mod privileges;
mod probe;
mod run;
mod sandbox;
mod summary;
mod tap;
mod top;
mod xdp_switches;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let link = args.first().and_then(|a| Path::new(a).file_name()).and_then(|n| n.to_str());
    let status = match link.and_then(applets::find) {
        Some(applet) => applet.run(&args[1..]),
        None => by_name(args.get(1..).unwrap_or(&[])),
    };
    ExitCode::from(status)
}

fn by_name(args: &[OsString]) -> u8 {
    let name = args.first().map_or("help", |a| a.to_str().unwrap_or_default());
    match (name, args.get(1).and_then(|a| a.to_str())) {
        ("help", Some(name)) => applets::help_of(name),
        ("help" | "-h" | "--help", _) => {
            print!("{}", applets::help());
            0
        }
        ("-V" | "--version", _) => {
            println!("sonda {}", env!("CARGO_PKG_VERSION"));
            0
        }
        ("completions", shell) => applets::completions(shell),
        _ => match applets::find(name) {
            Some(applet) => applet.run(&args[1..]),
            None => applets::unknown(name),
        },
    }
}
