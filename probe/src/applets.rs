//! The tools in the box: one entry adds one.
use crate::sandbox;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::fmt::Write;

/// The exit status of a wrong command line.
const USAGE: u8 = 2;

/// A tool: its name, what it does in a line, and what runs it.
pub(crate) struct Applet {
    name: &'static str,
    about: &'static str,
    main: Main,
}

/// Takes the arguments behind the name, answers the exit status.
#[derive(Clone, Copy)]
enum Main {
    Raw(fn(&[OsString]) -> u8),
    /// Where the syntax needs text.
    Text(fn(&[String]) -> u8),
}

impl Applet {
    pub(crate) fn run(&self, args: &[OsString]) -> u8 {
        match self.main {
            Main::Raw(main) => main(args),
            Main::Text(main) => {
                let text = args.iter().map(|a| a.to_str().map(String::from).ok_or(a));
                match text.collect::<Result<Vec<String>, _>>() {
                    Ok(args) => match sandbox::enter(self.name, &args) {
                        Ok(()) => main(&args),
                        Err(why) => {
                            eprintln!("{}: {why}", self.name);
                            1
                        }
                    },
                    Err(arg) => {
                        eprintln!("{}: {} is not valid UTF-8; give another name", self.name, arg.display());
                        1
                    }
                }
            }
        }
    }
}

const OWN: &[Applet] = &[
    Applet {
        name: "probe",
        about: "read a capture, show its flows or export them as IPFIX, UniRec, JSON",
        main: Main::Raw(crate::probe::main),
    },
    Applet {
        name: "check",
        about: "say what is wrong with a configuration file of a probe or the supervisor, and where",
        main: Main::Raw(crate::check::main),
    },
    Applet {
        name: "ipfixprobe",
        about: "drop-in for ipfixprobe: the same options, plugins and values",
        main: Main::Text(crate::ipfixprobe::main),
    },
    Applet { name: "ipfixprobed", about: control::ipfixprobed::ABOUT, main: Main::Text(crate::ipfixprobe::by_file) },
    Applet {
        name: "top",
        about: "show what a running probe does: packets, flows, losses, talkers, protocols",
        main: Main::Raw(crate::top::main),
    },
    Applet {
        name: "tap",
        about: "follow flow records of a TRAP interface as lines or JSON, with a filter",
        main: Main::Raw(crate::tap::main),
    },
    Applet {
        name: "alerts",
        about: "list, search, follow, acknowledge and export what detectors found",
        main: Main::Raw(crate::alerts::main),
    },
    Applet {
        name: "demo",
        about: "make traffic with attacks in it, find them, show the alerts and why",
        main: Main::Raw(crate::demo::main),
    },
    Applet { name: "metrics", about: control::metrics::ABOUT, main: Main::Raw(control::metrics::main) },
    Applet { name: "supervisor", about: control::supervisor::ABOUT, main: Main::Text(control::supervisor::main) },
    Applet { name: "supervisor_cli", about: control::supcli::ABOUT, main: Main::Text(control::supcli::main) },
    Applet { name: "ctl", about: control::ctl::ABOUT, main: Main::Text(control::ctl::main) },
    Applet {
        name: "nemea-modulesinfo",
        about: control::modulesinfo::ABOUT,
        main: Main::Text(control::modulesinfo::main),
    },
    Applet { name: "nemea_supervisor", about: control::munin::ABOUT, main: Main::Text(control::munin::main) },
    Applet { name: "trap_stats", about: trap::trap_stats::ABOUT, main: Main::Text(trap::trap_stats::main) },
    Applet {
        name: "new-module",
        about: "write the beginnings of a NEMEA module, in Rust or in Python",
        main: Main::Raw(crate::new_module::main),
    },
];

/// Other names under which a tool is known (NEMEA installs flow_meter as a link to ipfixprobe).
const ALIASES: &[(&str, &str)] = &[("flow_meter", "ipfixprobe"), ("supcli", "supervisor_cli")];

/// What the supervisor starts as the process of a module; nothing for people, so no help names it.
const LAUNCH: Applet =
    Applet { name: control::launch::APPLET, about: "", main: Main::Text(|args| control::launch::main(args, &is_tool)) };

/// Keeps osqueryi for a probe; nothing for people either.
const KEEPER: Applet = Applet { name: crate::osquery::KEEPER, about: "", main: Main::Raw(crate::osquery::keep) };

/// What the sandbox of a module leaves to it.
const SANDBOX: Applet = Applet { name: "sandbox-try", about: "", main: Main::Raw(sandbox::attempts) };

fn is_tool(name: &str) -> bool {
    find(name).is_some()
}

pub(crate) fn find(name: &str) -> Option<Applet> {
    if let Some(hidden) = [LAUNCH, KEEPER, SANDBOX].into_iter().find(|hidden| hidden.name == name) {
        return Some(hidden);
    }
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real);
    // Scripts in Python are installed with their ending.
    let name = name.strip_suffix(".py").unwrap_or(name);
    all().find(|a| a.name == name)
}

/// As a Munin plugin of its own it shows the supervisor's modules; with the name of a module behind it, what that one counts.
fn munin(args: &[String]) -> u8 {
    match args.first().map(String::as_str) {
        None | Some("config" | "autoconf" | "suggest") => control::munin::main(args),
        Some(_) => detect::modules::munin::main(args),
    }
}

fn all() -> impl Iterator<Item = Applet> {
    let own = OWN.iter().map(|a| Applet { name: a.name, about: a.about, main: a.main });
    own.chain(detect::modules::ALL.iter().map(|m| Applet {
        name: m.name,
        about: m.about,
        main: Main::Text(if m.name == "munin" { munin } else { m.run }),
    }))
}

pub(crate) fn help() -> String {
    let mut text = String::from(
        "sonda - network probe: packets in, flows out\n\nUsage: sonda NAME [ARGUMENT]...   (or a link called NAME to this binary)\n\nTools:\n",
    );
    let completions = ("completions", "print a completion script for bash, zsh, fish, elvish or powershell");
    list(&mut text, OWN.iter().map(|a| (a.name, a.about)).chain([completions]));
    text.push_str("\nNEMEA modules, with the options of the originals:\n");
    list(&mut text, detect::modules::ALL.iter().map(|m| (m.name, m.about)));
    text.push_str(
        "\n`sonda help NAME` or `sonda NAME -h` explains one of them. `sonda --version` tells the version.\n\n\
         First steps:\n  sonda probe capture.pcap\n  sonda probe capture.pcap --json -\n  sonda probe capture.pcap --ipfix udp://127.0.0.1:4739\n  sonda top\n",
    );
    text
}

/// Names and what they do, in two columns.
fn list<'a>(text: &mut String, rows: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    let width = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in rows {
        let _ = writeln!(text, "  {name:width$}  {about}");
    }
}

pub(crate) fn help_of(name: &str) -> u8 {
    match find(name) {
        Some(applet) => applet.run(&["-h".into()]),
        None => unknown(name),
    }
}

/// Reads the arguments behind a tool's `name`. When there is nothing to run, help or what is wrong was printed, and the exit status is answered.
pub(crate) fn parse<A: Parser>(name: &str, args: &[OsString]) -> Result<A, u8> {
    let name = OsString::from(name);
    A::try_parse_from(std::iter::once(&name).chain(args)).map_err(|why| {
        // Nobody is left to tell if this fails.
        let _unread = why.print();
        if why.use_stderr() { USAGE } else { 0 }
    })
}

pub(crate) fn unknown(name: &str) -> u8 {
    eprintln!("sonda: there is no tool '{name}'; `sonda help` lists them");
    USAGE
}

/// Prints the completion script of the whole binary.
pub(crate) fn completions(shell: Option<&str>) -> u8 {
    let Some(shell) = shell.and_then(|s| s.parse::<clap_complete::Shell>().ok()) else {
        eprintln!("usage: sonda completions bash|zsh|fish|elvish|powershell");
        return 2;
    };
    let mut sonda = clap::Command::new("sonda").subcommand(crate::probe::Args::command().name("probe"));
    sonda = sonda.subcommand(crate::check::Args::command().name("check"));
    sonda = sonda.subcommand(crate::top::Args::command().name("top"));
    sonda = sonda.subcommand(crate::tap::Args::command().name("tap"));
    sonda = sonda.subcommand(crate::alerts::Args::command().name("alerts"));
    sonda = sonda.subcommand(crate::demo::Args::command().name("demo"));
    sonda = sonda.subcommand(crate::new_module::Args::command().name("new-module"));
    for a in all().filter(|a| !["probe", "check", "top", "tap", "alerts", "demo", "new-module"].contains(&a.name)) {
        sonda = sonda.subcommand(clap::Command::new(a.name).about(a.about));
    }
    clap_complete::generate(shell, &mut sonda, "sonda", &mut std::io::stdout());
    0
}
