//! The dialogue of the configuration mode: a line in, a text and perhaps commands out. It does no I/O (section 8.2).
use super::layout::{self, prompt, warning};
use super::select;
use crate::logs;
use crate::runner::{Command, Target};
use crate::snapshot::Snapshot;
use std::fmt::Write;
use std::path::PathBuf;

/// Zeros that stop the daemon, one after the other: clients of the original send three.
const STOP_ZEROS: u8 = 3;

/// Where a dialogue stands.
#[derive(Debug)]
pub struct Menu {
    is_daemon: bool,
    awaited: Awaited,
    zeros: u8,
}

/// What the next line is.
#[derive(Debug)]
enum Awaited {
    Choice,
    /// Numbers of these, with what is then done.
    Numbers {
        deed: Deed,
        modules: Vec<usize>,
        profiles: Vec<usize>,
        named: Vec<Target>,
    },
    Log(Vec<PathBuf>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Enable,
    Disable,
    Restart,
}

/// What a line leads to.
#[derive(Debug, Default, PartialEq)]
pub struct Turn {
    pub text: String,
    /// Done in this order; what they answer is shown behind `text`.
    pub commands: Vec<Command>,
    /// A file to look at.
    pub page: Option<PathBuf>,
}

impl Menu {
    /// A dialogue at its beginning. Show [`Menu::ask`] first.
    #[must_use]
    pub fn new(is_daemon: bool) -> Self {
        Self { is_daemon, awaited: Awaited::Choice, zeros: 0 }
    }

    /// The menu, if a choice of it is awaited; after each turn.
    #[must_use]
    pub fn ask(&self) -> Option<String> {
        (matches!(self.awaited, Awaited::Choice) && self.zeros == 0).then(|| layout::menu(self.is_daemon))
    }

    /// True while zeros may become the order to stop.
    #[must_use]
    pub fn counts_zeros(&self) -> bool {
        self.zeros > 0
    }

    /// No further zero came in time.
    pub fn zeros_ended(&mut self) -> Turn {
        self.zeros = 0;
        self.wrong()
    }

    /// A line of the user's, without its end.
    pub fn line(&mut self, line: &str, snapshot: &Snapshot) -> Turn {
        match std::mem::replace(&mut self.awaited, Awaited::Choice) {
            Awaited::Choice => self.choice(line, snapshot),
            Awaited::Numbers { deed, modules, profiles, named } => {
                let count = snapshot.modules.len() + snapshot.profiles.len();
                chosen(line, deed, &modules, &profiles, &named, count)
            }
            Awaited::Log(paths) => match line.parse::<usize>().ok().and_then(|at| paths.get(at)) {
                Some(path) => Turn { page: Some(path.clone()), ..Turn::default() },
                None => self.wrong(),
            },
        }
    }

    fn choice(&mut self, line: &str, snapshot: &Snapshot) -> Turn {
        if self.is_daemon && line == "0" {
            self.zeros += 1;
            if self.zeros < STOP_ZEROS {
                return Turn::default();
            }
            self.zeros = 0;
            return Turn { commands: vec![Command::Leave], ..Turn::default() };
        }
        self.zeros = 0;
        let is_number = (1..=3).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_digit());
        let text = match line.parse::<u16>().ok().filter(|_| is_number) {
            Some(0) => return Turn { commands: vec![Command::Leave], ..Turn::default() },
            Some(1) => self.offer(Deed::Enable, snapshot),
            Some(2) => self.offer(Deed::Disable, snapshot),
            Some(3) => self.offer(Deed::Restart, snapshot),
            Some(4) => layout::brief_status(snapshot),
            Some(5) => layout::detailed_status(snapshot),
            Some(6) => layout::configuration(snapshot),
            Some(7) => return Turn { commands: vec![Command::Reload], ..Turn::default() },
            Some(8) => layout::about(snapshot),
            Some(9) => self.offer_logs(snapshot),
            _ => return self.wrong(),
        };
        Turn { text, ..Turn::default() }
    }

    fn wrong(&self) -> Turn {
        Turn { text: warning(if self.is_daemon { "Wrong input!" } else { "Wrong input." }), ..Turn::default() }
    }

    /// Lists what the deed can be done with, and waits for numbers if there is anything.
    fn offer(&mut self, deed: Deed, snapshot: &Snapshot) -> String {
        let enabled = deed != Deed::Enable;
        let modules: Vec<usize> = snapshot
            .modules
            .iter()
            .enumerate()
            .filter(|(_, module)| match deed {
                Deed::Restart => module.pid.is_some(),
                _ => module.enabled == enabled,
            })
            .map(|(at, _)| at)
            .collect();
        let of_profiles =
            snapshot.profiles.iter().enumerate().filter(|(_, p)| deed != Deed::Restart && p.enabled == enabled);
        let profiles: Vec<usize> = of_profiles.map(|(at, _)| at).collect();
        let (what, no_module, no_profile) = match deed {
            Deed::Enable => ("DISABLED", "All modules are enabled.", "All profiles are enabled."),
            Deed::Disable => ("ENABLED", "All modules are disabled.", "All profiles are disabled."),
            Deed::Restart => ("RUNNING", "All modules are stopped.", ""),
        };
        let no_module = if snapshot.modules.is_empty() { "No module is loaded." } else { no_module };
        let listed = (deed != Deed::Restart).then_some(profiles.as_slice());
        let mut text = layout::candidates(snapshot, what, &modules, listed, (no_module, no_profile));
        if !modules.is_empty() || !profiles.is_empty() {
            text += &prompt("Type in number or interval separated by comma (e.g. \"2,4-6,13\"): ");
            // Names, because numbers may mean others by the time of the answer.
            let named = snapshot.modules.iter().map(|module| Target::Module(module.spec.name.clone()));
            let named =
                named.chain(snapshot.profiles.iter().map(|profile| Target::Profile(profile.name.clone()))).collect();
            let profiles = profiles.into_iter().map(|at| at + snapshot.modules.len()).collect();
            self.awaited = Awaited::Numbers { deed, modules, profiles, named };
        }
        text
    }

    fn offer_logs(&mut self, snapshot: &Snapshot) -> String {
        let mut text = format!("{}\n", "stdout | stderr | module name");
        let mut paths: Vec<PathBuf> = Vec::new();
        let folder = &snapshot.about.logs;
        let mut numbered = |path: PathBuf| {
            let colour = if std::fs::File::open(&path).is_ok() { layout::GREEN } else { layout::RED };
            paths.push(path);
            format!("{colour}{:>6}{}", paths.len() - 1, layout::RESET)
        };
        for module in &snapshot.modules {
            let name = &module.spec.name;
            let [out, err] = ["stdout", "stderr"]
                .map(|stream| numbered(folder.join(logs::MODULES).join(format!("{name}_{stream}"))));
            let _never = writeln!(text, "{out} | {err} | {name}");
        }
        text += "Available supervisor logs:\n";
        for name in [logs::SUPERVISOR, logs::STATISTICS, logs::EVENTS] {
            let number = numbered(folder.join(name));
            let _never = writeln!(text, "{number} | {name}");
        }
        self.awaited = Awaited::Log(paths);
        text + &prompt("Choose the log number: ")
    }
}

fn chosen(line: &str, deed: Deed, modules: &[usize], profiles: &[usize], named: &[Target], count: usize) -> Turn {
    let numbers = match select::numbers(line, count.min(named.len())) {
        Ok(numbers) => numbers,
        Err(why) => return Turn { text: warning(&why.to_string()), ..Turn::default() },
    };
    let mut turn = Turn::default();
    for number in numbers {
        // Numbers of an interval that are not in the list are passed over.
        if !modules.contains(&number) && !profiles.contains(&number) {
            continue;
        }
        turn.commands.push(match (&named[number], deed) {
            (Target::Module(name), Deed::Restart) => Command::Restart(name.clone()),
            (target, deed) => Command::Enable { target: target.clone(), enabled: deed == Deed::Enable },
        });
    }
    turn
}

#[cfg(test)]
mod tests;
