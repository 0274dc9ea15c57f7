//! Our own configuration: one TOML file, or all `*.toml` of a folder in the order of their names.
//!
//! Contract: a key that is not known, a value of another type and a name that is twice or nowhere are refused with file, line and
//! column, and with what was probably meant. The structures here are the one declaration; [`super::reference`] makes the schema and
//! the commented reference of them.
use super::place::{Place, meant};
use super::{BYTES_MAX, FILES_MAX, Refused, text_of};
use crate::model::{self, Config, Direction, Interface, Kind, MODULES_MAX, Profile, RESTARTS_MAX, order};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

mod api;
pub mod beside;
mod limits;

pub use api::Api;

/// Three questions, for one may be late.
const HEARTBEAT_MIN_S: u32 = 6;
/// Five looks: a lane is due at each of them, and may be late.
const LANE_HEARTBEAT_MIN_MS: u32 = 500;

/// Configuration of the supervisor: how it treats modules, profiles that are enabled together, and modules.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// How all modules are treated. In a folder of files only one has this table.
    pub supervisor: Option<Supervisor>,
    /// The control API: what it shows, and where it is served over TCP; without `listen` it is at its unix socket alone. In a folder of files only one has this table.
    pub api: Option<Api>,
    /// Modules that are enabled together, in the order of menus.
    pub profile: Vec<ProfileTable>,
    /// Processes to run, in the order of menus.
    pub module: Vec<ModuleTable>,
}

/// How all modules are treated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Supervisor {
    /// Restarts of a module within a minute before it is parked, where the module says nothing else.
    #[schemars(range(min = 0, max = 30))]
    pub restarts: u8,
    /// Milliseconds between SIGINT and SIGKILL when a module is stopped.
    #[schemars(range(min = 100, max = 600_000))]
    pub stop_grace_ms: u32,
    /// A module that answered at its service interface and is silent for so many seconds is killed and restarted. Modules are asked every two
    /// seconds, so 1 to 5 are too few; 0: never.
    #[schemars(range(min = 0, max = 3600))]
    pub heartbeat_s: u32,
    /// A probe is ended by SIGABRT and restarted when one of its lanes was looked at, ten times a second, for so many milliseconds and had
    /// published nothing on its page. Looks do not count while its threads wait for a processor, a lane for an output, or the supervisor itself is
    /// held up. 0: never.
    #[schemars(range(min = 0, max = 60_000))]
    pub lane_heartbeat_ms: u32,
    /// Mebibytes of a log file; what is longer is kept as FILE.1, FILE.2 and so on. 0: no bound.
    #[schemars(range(min = 0, max = 1_048_576))]
    pub log_size_mib: u32,
    /// Old files that are kept of each log.
    #[schemars(range(min = 1, max = 99))]
    pub log_files: u8,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self {
            restarts: model::RESTARTS,
            stop_grace_ms: 3_000,
            heartbeat_s: 8,
            // Half of the 3 s within which another probe should capture: the rest is for the abort and the start.
            lane_heartbeat_ms: 1_500,
            log_size_mib: model::LOG_MIB as u32,
            log_files: model::LOG_FILES,
        }
    }
}

/// Modules that are enabled together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileTable {
    /// Unique among profiles.
    #[schemars(with = "String", example = &"Detectors")]
    pub name: Spanned<String>,
    /// A module runs if it and its profile are enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A process to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModuleTable {
    /// Unique among modules; what `ps` shows and what its logs are called.
    #[schemars(with = "String", example = &"vportscan")]
    pub name: Spanned<String>,
    /// Name of the profile that it belongs to.
    #[schemars(with = "String", example = &"Detectors")]
    pub profile: Spanned<String>,
    /// A module runs if it and its profile are enabled.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The program. Without a slash it is looked for in PATH.
    #[schemars(with = "String", example = &"/usr/bin/nemea/vportscan_detector")]
    pub path: Spanned<String>,
    /// Its arguments in one text: separated by blanks, "..." and '...' keep theirs together; nothing is expanded.
    #[schemars(with = "String", example = &"-v")]
    #[serde(default)]
    pub params: Option<Spanned<String>>,
    /// Restarts within a minute before it is parked; without it that of the table supervisor.
    #[schemars(with = "u8", range(min = 0, max = 30), example = 3)]
    #[serde(default)]
    pub restarts: Option<Spanned<u8>>,
    /// Modules that start before this one. It waits until they answer, or two seconds.
    #[schemars(with = "Vec<String>", example = ["flow_meter"])]
    #[serde(default)]
    pub after: Vec<Spanned<String>>,
    /// TRAP interfaces that it reads: t:HOST:PORT, u:NAME, T:HOST:PORT:KEY:CERT:CA or f:FILE.
    #[schemars(with = "Vec<String>", example = ["u:flow_data_source"])]
    #[serde(default)]
    pub inputs: Vec<Spanned<String>>,
    /// TRAP interfaces that it writes: t:PORT, u:NAME, T:PORT:KEY:CERT:CA, f:FILE:w or b: (nowhere).
    #[schemars(with = "Vec<String>", example = ["t:12005"])]
    #[serde(default)]
    pub outputs: Vec<Spanned<String>>,
    /// Processors that it may run on, the first is 0; without them all.
    #[schemars(with = "Vec<u16>", inner(range(min = 0, max = 1023)), example = [0])]
    #[serde(default)]
    pub cores: Vec<Spanned<u16>>,
    /// Whom it runs as, which only a supervisor that is root can do; without one as the supervisor does.
    #[schemars(with = "String", example = &"root")]
    #[serde(default)]
    pub user: Option<Spanned<String>>,
    /// Its group, in place of all groups of its user.
    #[schemars(with = "String", example = &"root")]
    #[serde(default)]
    pub group: Option<Spanned<String>>,
    /// Who has more waits longer for a processor.
    #[schemars(with = "i8", range(min = -20, max = 19), example = 10)]
    #[serde(default)]
    pub nice: Option<Spanned<i8>>,
    /// Mebibytes of memory for all its processes; who needs more is killed by the kernel (cgroup), and restarted.
    #[schemars(with = "u32", range(min = 1, max = 16_777_216), example = 512)]
    #[serde(default)]
    pub memory_mib: Option<Spanned<u32>>,
    /// Percent of one processor for all its processes; 200 is two processors (cgroup).
    #[schemars(with = "u32", range(min = 1, max = 102_300), example = 50)]
    #[serde(default)]
    pub cpu_percent: Option<Spanned<u32>>,
    /// Processes and threads that it may have (cgroup).
    #[schemars(with = "u32", range(min = 1, max = 1_048_576), example = 64)]
    #[serde(default)]
    pub processes: Option<Spanned<u32>>,
    /// Files and sockets that each process of it may have open.
    #[schemars(with = "u32", range(min = 16, max = 1_048_576), example = 1024)]
    #[serde(default)]
    pub open_files: Option<Spanned<u32>>,
    /// Mebibytes of a core dump; 0: none is written.
    #[schemars(with = "u32", range(min = 0, max = 16_777_216), example = 0)]
    #[serde(default)]
    pub core_mib: Option<Spanned<u32>>,
    /// Modules of sonda give up capabilities, files, ports and system calls that they have no use for, and what of it the kernel cannot do is
    /// said; false: they keep all. Other programs are started as they are.
    #[serde(default = "yes")]
    pub sandbox: bool,
}

fn yes() -> bool {
    true
}

/// Reads a file, or all `*.toml` of a folder.
///
/// # Errors
/// [`Refused`] has `[ERROR] FILE:LINE:COLUMN: why` for each fault.
pub fn read(path: &Path) -> Result<Config, Refused> {
    let failed = |path: &Path, why: std::io::Error| Refused::one(format!("[ERROR] {}: {why}", path.display()));
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|why| failed(path, why))?;
        let found = entries.take(FILES_MAX).filter_map(|entry| Some(entry.ok()?.path()));
        paths = found.filter(|path| path.extension().is_some_and(|ending| ending == "toml")).collect();
        paths.sort();
        if paths.is_empty() {
            return Err(Refused::one(format!("[ERROR] {}: no *.toml in this folder", path.display())));
        }
    }
    let (mut texts, mut room) = (Vec::new(), BYTES_MAX);
    for path in paths {
        let text = text_of(&path, room).map_err(|why| failed(&path, why))?;
        room -= text.len();
        texts.push((path, text));
    }
    parse(&texts)
}

/// Reads texts with the names of their files.
///
/// # Errors
/// As [`read`].
pub fn parse(texts: &[(PathBuf, String)]) -> Result<Config, Refused> {
    let files = parsed(texts)?;
    let mut wrong = Refused::default();
    let config = join(&files, &mut wrong);
    if wrong.lines.is_empty() { Ok(config) } else { Err(wrong) }
}

/// The tables of all files.
fn parsed(texts: &[(PathBuf, String)]) -> Result<Vec<(Place<'_>, File)>, Refused> {
    let mut wrong = Refused::default();
    let mut files = Vec::new();
    for (path, text) in texts {
        match toml::from_str::<File>(text) {
            Ok(file) => files.push((Place { path, text }, file)),
            Err(why) => {
                let place = Place { path, text };
                let at = why.span().map_or(0, |span| span.start);
                wrong.lines.push(place.line(at, why.message().lines().next().unwrap_or_default()));
                wrong.lines.extend(field_meant(why.message()));
            }
        }
    }
    if wrong.lines.is_empty() { Ok(files) } else { Err(wrong) }
}

/// The known name that is nearest to the unknown one of serde's message: "unknown field `x`, expected one of `a`, `b`".
fn field_meant(message: &str) -> Option<String> {
    let mut names = message.strip_prefix("unknown field `")?.split('`').step_by(2);
    meant(names.next()?, names)
}

/// All files as one configuration; what is wrong is added to `wrong`.
fn join(files: &[(Place<'_>, File)], wrong: &mut Refused) -> Config {
    let mut table = None;
    for (place, file) in files {
        if let Some(supervisor) = &file.supervisor
            && table.replace(supervisor).is_some()
        {
            wrong.lines.push(place.line(0, "a second table [supervisor]; one file of the folder has it"));
        }
    }
    let default = Supervisor::default();
    let table = table.unwrap_or(&default);
    let mut config = Config { settings: settings(table, files, wrong), profiles: Vec::new() };
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (place, profile) in files.iter().flat_map(|(place, file)| file.profile.iter().map(move |p| (place, p))) {
        let name = profile.name.as_ref().as_str();
        if places.insert(name, config.profiles.len()).is_some() {
            wrong.lines.push(place.line(profile.name.span().start, &format!("a second profile \"{name}\"")));
        }
        config.profiles.push(Profile { name: name.into(), enabled: profile.enabled, modules: Vec::new() });
    }
    let all = || files.iter().flat_map(|(place, file)| file.module.iter().map(move |module| (place, module)));
    let mut seen: HashMap<&str, ()> = HashMap::new();
    for (place, module) in all() {
        if seen.insert(module.name.as_ref(), ()).is_some() {
            let why = format!("a second module \"{}\"", module.name.as_ref());
            wrong.lines.push(place.line(module.name.span().start, &why));
        }
        let read = module_of(*place, module, table, wrong);
        match places.get(module.profile.as_ref().as_str()) {
            Some(at) => config.profiles[*at].modules.push(read),
            None => unknown(*place, &module.profile, "profile", places.keys().copied(), wrong),
        }
    }
    for (place, module) in all() {
        for name in module.after.iter().filter(|name| !seen.contains_key(name.as_ref().as_str())) {
            unknown(*place, name, "module", seen.keys().copied(), wrong);
        }
    }
    // What waits for nobody was told above.
    if wrong.lines.is_empty()
        && let Err(why) = order::check(&config)
    {
        let (from, to) = why.wait();
        let waits = all().find(|(_, module)| module.name.as_ref() == from);
        let word =
            waits.and_then(|(place, module)| Some((place, module.after.iter().find(|name| name.as_ref() == to)?)));
        wrong.lines.extend(word.map(|(place, name)| place.line(name.span().start, &why.to_string())));
    }
    if config.profiles.len() + seen.len() > MODULES_MAX {
        wrong.lines.push(format!("[ERROR] there are more than {MODULES_MAX} modules and profiles"));
    }
    config
}

fn unknown<'a>(
    place: Place<'_>,
    name: &Spanned<String>,
    what: &str,
    known: impl Iterator<Item = &'a str>,
    wrong: &mut Refused,
) {
    wrong.lines.push(place.line(name.span().start, &format!("there is no {what} \"{}\"", name.as_ref())));
    wrong.lines.extend(meant(name.as_ref(), known));
}

fn settings(table: &Supervisor, files: &[(Place<'_>, File)], wrong: &mut Refused) -> model::Settings {
    let ranges = [
        ("restarts", u32::from(table.restarts), 0, u32::from(RESTARTS_MAX)),
        ("stop_grace_ms", table.stop_grace_ms, 100, 600_000),
        ("heartbeat_s", table.heartbeat_s, if table.heartbeat_s == 0 { 0 } else { HEARTBEAT_MIN_S }, 3_600),
        (
            "lane_heartbeat_ms",
            table.lane_heartbeat_ms,
            if table.lane_heartbeat_ms == 0 { 0 } else { LANE_HEARTBEAT_MIN_MS },
            60_000,
        ),
        ("log_size_mib", table.log_size_mib, 0, 1 << 20),
        ("log_files", u32::from(table.log_files), 1, 99),
    ];
    for (key, value, least, most) in ranges {
        if !(least..=most).contains(&value) {
            let (place, at) = where_key(files, key);
            wrong.lines.push(place.map_or_else(
                || format!("[ERROR] {key} = {value}: {least} to {most} are possible"),
                |place| place.line(at, &format!("{key} = {value}: {least} to {most} are possible")),
            ));
        }
    }
    let (alerts, flows) = api::stored(files);
    model::Settings {
        stop_grace: Duration::from_millis(table.stop_grace_ms.into()),
        heartbeat: (table.heartbeat_s > 0).then(|| Duration::from_secs(table.heartbeat_s.into())),
        lane_heartbeat: (table.lane_heartbeat_ms > 0).then(|| Duration::from_millis(table.lane_heartbeat_ms.into())),
        log_bytes_max: u64::from(table.log_size_mib) << 20,
        log_files_max: table.log_files,
        api: api::of_files(files, wrong),
        alerts,
        flows,
    }
}

/// Where a key of the table supervisor stands: its first line that begins so.
fn where_key<'a>(files: &'a [(Place<'a>, File)], key: &str) -> (Option<Place<'a>>, usize) {
    let of_table = files.iter().find(|(_, file)| file.supervisor.is_some());
    let Some((place, _)) = of_table else { return (None, 0) };
    let table = place.text.find("[supervisor]").unwrap_or(0);
    (Some(*place), place.text[table..].find(key).map_or(table, |at| table + at))
}

fn module_of(place: Place<'_>, module: &ModuleTable, table: &Supervisor, wrong: &mut Refused) -> model::Module {
    let mut fault = |at: usize, why: &str| wrong.lines.push(place.line(at, why));
    for (text, what) in [(&module.name, "name"), (&module.path, "path")] {
        if text.as_ref().is_empty() || text.as_ref().contains(['\0', '\n']) {
            fault(text.span().start, &format!("a {what} has one line and is not empty"));
        }
    }
    if let Err(why) = model::command::check_name(module.name.as_ref()) {
        fault(module.name.span().start, &why.to_string());
    }
    if let Some(params) = &module.params
        && let Err(why) = model::command::tokens(params.as_ref())
    {
        fault(params.span().start, &why.to_string());
    }
    if let Some(restarts) = module.restarts.as_ref().filter(|restarts| *restarts.as_ref() > RESTARTS_MAX) {
        fault(restarts.span().start, &format!("0 to {RESTARTS_MAX} restarts are possible"));
    }
    let ways = [(&module.inputs, Direction::In), (&module.outputs, Direction::Out)];
    let mut interfaces = Vec::new();
    for (spec, direction) in ways.into_iter().flat_map(|(specs, way)| specs.iter().map(move |spec| (spec, way))) {
        match interface(spec.as_ref(), direction) {
            Ok(interface) => interfaces.push(interface),
            Err(why) => fault(spec.span().start, &why),
        }
    }
    model::Module {
        name: module.name.as_ref().clone(),
        enabled: module.enabled,
        path: module.path.as_ref().clone(),
        params: module.params.as_ref().map(|params| params.as_ref().clone()),
        restarts: module.restarts.as_ref().map_or(table.restarts, |restarts| *restarts.as_ref()),
        interfaces,
        after: module.after.iter().map(|name| name.as_ref().clone()).collect(),
        limits: limits::read(module, &mut |at, why| wrong.lines.push(place.line(at, why))),
    }
}

fn interface(spec: &str, direction: Direction) -> Result<Interface, String> {
    let parsed = trap::Spec::parse(spec).map_err(|why| why.to_string())?;
    let [one] = parsed.as_slice() else {
        return Err(format!("\"{spec}\" is not one interface; each is a text of its own"));
    };
    let kind = Kind::of_letter(one.kind.letter())
        .filter(|kind| !(direction == Direction::In && *kind == Kind::Blackhole))
        .ok_or_else(|| format!("\"{spec}\" cannot be an interface of this direction"))?;
    let checked = if direction == Direction::In { one.as_input().err() } else { one.as_output().err() };
    if let Some(why) = checked {
        return Err(format!("\"{spec}\": {why}"));
    }
    let params = (!one.params.is_empty()).then(|| one.params.clone());
    Ok(Interface { note: None, kind: Some(kind), direction: Some(direction), params })
}

#[cfg(test)]
mod tests;
