//! The tables and lists of the menu, letter by letter those of the original (section 8.2).
use crate::model::Interface;
use crate::snapshot::{ModuleView, Snapshot};
use std::fmt::Write;

pub const MENU: &str = "\x1b[36m";
pub const BOLD: &str = "\x1b[1m";
pub const RESET: &str = "\x1b[0m";
pub const WARN: &str = "\x1b[38;5;196m";
pub const PROMPT: &str = "\x1b[38;5;214;1m";
pub const GREEN: &str = "\x1b[38;5;40;1m";
pub const RED: &str = "\x1b[38;5;196;1m";

const CHOICES: [&str; 9] = [
    "1. ENABLE MODULE OR PROFILE",
    "2. DISABLE MODULE OR PROFILE",
    "3. RESTART RUNNING MODULE",
    "4. PRINT BRIEF STATUS",
    "5. PRINT DETAILED STATUS",
    "6. PRINT LOADED CONFIGURATION",
    "7. RELOAD CONFIGURATION",
    "8. PRINT SUPERVISOR INFO",
    "9. BROWSE LOG FILES",
];

/// The menu and its prompt.
#[must_use]
pub fn menu(is_daemon: bool) -> String {
    let mut text = format!("{MENU}--------OPTIONS--------{RESET}\n");
    let last: &[&str] = if is_daemon {
        &["-- Type \"Cquit\" to exit client --", "-- Type \"Dstop\" to stop daemon --"]
    } else {
        &["0. STOP SUPERVISOR"]
    };
    for line in CHOICES.iter().chain(last) {
        say(&mut text, format_args!("{MENU}{line}{RESET}"));
    }
    text + &prompt("Your choice: ")
}

/// A question.
#[must_use]
pub fn prompt(question: &str) -> String {
    format!("{PROMPT}[INTERACTIVE] {question}{RESET}")
}

/// A line that something is wrong.
#[must_use]
pub fn warning(what: &str) -> String {
    format!("{WARN}[WARNING] {what}{RESET}\n")
}

fn head(text: &mut String, title: &str) {
    say(text, format_args!("{BOLD}--- [{title}] ---{RESET}"));
}

/// Item 4.
#[must_use]
pub fn brief_status(snapshot: &Snapshot) -> String {
    let profiles = snapshot.profiles.iter().map(|profile| (PROFILE.len() + width(&profile.name)).saturating_sub(INDEX));
    let names = snapshot.modules.iter().map(|module| width(&module.spec.name));
    let name_width = profiles.chain(names).max().unwrap_or(0).max("name".len());
    let pid = |module: &ModuleView| module.pid.unwrap_or(0).to_string();
    let pid_width = snapshot.modules.iter().map(|module| pid(module).len()).max().unwrap_or(0).max("PID".len());
    let mut text = String::new();
    head(&mut text, "CONFIGURATION STATUS");
    say(&mut text, format_args!("     | {:name_width$} | enabled | status  | {:pid_width$} |", "name", "PID"));
    for profile in &snapshot.profiles {
        let titled = format!("{PROFILE}{}", profile.name);
        say(&mut text, format_args!("{titled:all$} | {:^7} |", profile.enabled, all = name_width + INDEX));
        for (at, module) in snapshot.of_profile(&profile.name) {
            let (name, enabled, status, pid) = (&module.spec.name, module.enabled, module.status(), pid(module));
            say(
                &mut text,
                format_args!("{at:4} | {name:name_width$} | {enabled:^7} | {status:7} | {pid:pid_width$} |"),
            );
        }
        text.push('\n');
    }
    text
}

const PROFILE: &str = "Profile: ";
/// Characters in front of a module's name.
const INDEX: usize = "   0 | ".len();

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Item 5.
#[must_use]
pub fn detailed_status(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    head(&mut text, "PRINTING CONFIGURATION");
    for profile in &snapshot.profiles {
        say(&mut text, format_args!("{PROFILE}{} ({})", profile.name, word(profile.enabled)));
        for (at, module) in snapshot.of_profile(&profile.name) {
            let _never = write!(text, "{at:4} | {} | {} | {}", module.spec.name, word(module.enabled), module.status());
            match module.pid {
                Some(pid) => say(&mut text, format_args!(" | PID: {pid}")),
                None => text.push('\n'),
            }
            if module.pid.is_some() {
                interfaces(&mut text, module);
            }
        }
        text.push('\n');
    }
    text
}

fn interfaces(text: &mut String, module: &ModuleView) {
    let Some(counters) = &module.counters else {
        say(text, format_args!("      IFC service: not connected"));
        return;
    };
    say(text, format_args!("      IFC service: connected"));
    for (at, ifc) in counters.inputs.iter().enumerate() {
        let state = if ifc.is_connected.0 == 0 { "not connected" } else { "connected" };
        say(text, format_args!("      IFC {at}:  IN; {}; {}; {state}", ifc.kind.letter(), ifc.id));
    }
    for (at, ifc) in counters.outputs.iter().enumerate() {
        let (at, kind) = (counters.inputs.len() + at, ifc.kind.letter());
        say(text, format_args!("      IFC {at}:  OUT; {kind}; {}; num of clients: {}", ifc.id, ifc.clients.0));
    }
}

fn word(enabled: bool) -> &'static str {
    if enabled { "enabled" } else { "disabled" }
}

/// Item 6.
#[must_use]
pub fn configuration(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    head(&mut text, "PRINTING CONFIGURATION");
    for profile in &snapshot.profiles {
        say(&mut text, format_args!("{PROFILE}{}", profile.name));
        for (at, module) in snapshot.of_profile(&profile.name) {
            say(&mut text, format_args!("{at:4} | {}", module.spec.name));
            say(&mut text, format_args!("      PATH: {}", module.spec.path));
            say(&mut text, format_args!("      PARAMS: {}", module.spec.params.as_deref().unwrap_or("none")));
            for (at, ifc) in module.spec.interfaces.iter().enumerate() {
                configured(&mut text, at, ifc);
            }
        }
        text.push('\n');
    }
    text
}

fn configured(text: &mut String, at: usize, ifc: &Interface) {
    let (way, kind) = (ifc.direction.map_or("none", |way| way.word()), ifc.kind.map_or("none", |kind| kind.word()));
    let (params, note) = (ifc.params.as_deref().unwrap_or("none"), ifc.note.as_deref().unwrap_or("none"));
    say(text, format_args!("      IFC {at}:  {way}; {kind}; {params}; {note}"));
}

/// Item 8.
#[must_use]
pub fn about(snapshot: &Snapshot) -> String {
    let about = &snapshot.about;
    let rows = [
        ("Supervisor package version:", env!("CARGO_PKG_VERSION").to_owned()),
        ("Supervisor git version:", "sonda".to_owned()),
        ("Started:", about.started.clone()),
        ("Logs directory path:", about.logs.display().to_string()),
        ("Start-up configuration template:", about.template.display().to_string()),
        ("Loaded configuration file (generated):", about.loaded.display().to_string()),
        ("Communication socket path:", about.socket.display().to_string()),
        ("Number of loaded modules:", snapshot.modules.len().to_string()),
        ("Number of running modules:", snapshot.running().to_string()),
    ];
    let mut text = format!("{BOLD}--------------- INFO ---------------{RESET}\n");
    for (name, value) in rows {
        say(&mut text, format_args!("{BOLD}{name}{RESET} {value}"));
    }
    text
}

/// What is listed before a choice of modules and profiles; numbers of profiles follow those of modules.
#[must_use]
pub fn candidates(
    snapshot: &Snapshot,
    what: &str,
    modules: &[usize],
    profiles: Option<&[usize]>,
    (no_module, no_profile): (&str, &str),
) -> String {
    let mut text = String::new();
    head(&mut text, &format!("LIST OF {what} MODULES"));
    for profile in &snapshot.profiles {
        let mut of_profile = snapshot.of_profile(&profile.name).filter(|(at, _)| modules.contains(at)).peekable();
        if of_profile.peek().is_some() {
            say(&mut text, format_args!("{PROFILE}{}", profile.name));
        }
        for (at, module) in of_profile {
            say(&mut text, format_args!("{at:4} | {}", module.spec.name));
        }
    }
    if modules.is_empty() {
        say(&mut text, format_args!("   {no_module}"));
    }
    text.push('\n');
    if let Some(profiles) = profiles {
        head(&mut text, &format!("LIST OF {what} PROFILES"));
        for at in profiles {
            say(&mut text, format_args!("{:4} | {}", snapshot.modules.len() + at, snapshot.profiles[*at].name));
        }
        if profiles.is_empty() {
            say(&mut text, format_args!("   {no_profile}"));
        }
    }
    text
}

/// A line; writing to a text cannot fail.
pub(super) fn say(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _never = writeln!(text, "{line}");
}
