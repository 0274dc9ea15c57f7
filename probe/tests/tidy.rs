//! What is asked of every source file, checked by machine (STYLE.md 4).
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file: more than this needs a reason here, more than [`LINES_MAX`] is a fault.
const LINES_REASON: usize = 500;
const LINES_MAX: usize = 800;

/// Long files with the reason for it.
const LONG: &[(&str, &str)] = &[
    ("record/src/element.rs", "the table of information elements: one line for each, better read in one place"),
    ("trap/tests/sockets.rs", "one scenario after another against the same peers"),
];

/// The floors that may say `unsafe`.
const UNSAFE: &[&str] = &["dataplane/sys/src/lib.rs"];

/// Names that say nothing (STYLE.md, naming).
const SAYS_NOTHING: &[&str] = &["utils", "util", "common", "helper", "helpers", "manager", "handler", "data", "info"];

#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for file in sources() {
        let lines = file.text.lines().count();
        let listed = LONG.iter().any(|(path, _)| *path == file.path);
        if lines > LINES_MAX || (lines > LINES_REASON && !listed) {
            wrong.push(format!("{}: {lines} lines, split it", file.path));
        } else if lines <= LINES_REASON && listed {
            wrong.push(format!("{}: no longer long, take it from the list", file.path));
        }
    }
    none(&wrong);
}

#[test]
fn unsafe_stays_on_its_floor() {
    let roots = sources().into_iter().filter(|file| file.is_root() && !UNSAFE.contains(&file.path.as_str()));
    none(
        &roots.filter(|file| !file.text.contains("#![forbid(unsafe_code)]")).map(|file| file.path).collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_to_do() {
    // Spelled in two parts, so that this file does not find itself.
    let banned = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!("), concat!("FIX", "ME")];
    let found = sources().into_iter().flat_map(|file| {
        let lines = file.text.lines().enumerate();
        let hits = lines.filter(|(_, line)| banned.iter().any(|word| line.contains(word)));
        hits.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim())).collect::<Vec<_>>()
    });
    none(&found.collect::<Vec<_>>());
}

#[test]
fn each_module_says_what_it_is() {
    let modules = sources().into_iter().filter(|file| file.path.contains("/src/") && !file.stem().ends_with("tests"));
    none(&modules.filter(|file| !file.text.starts_with("//!")).map(|file| file.path).collect::<Vec<_>>());
}

#[test]
fn names_say_something() {
    let modules = sources().into_iter().filter(|file| file.path.contains("/src/"));
    none(&modules.filter(|file| SAYS_NOTHING.contains(&file.stem())).map(|file| file.path).collect::<Vec<_>>());
}

/// A file that no module names is dead, and neither compiled nor tested.
#[test]
fn every_file_belongs_to_a_module() {
    let all = sources();
    let mut lost = Vec::new();
    for file in all.iter().filter(|file| file.path.contains("/src/") && !file.is_root()) {
        let (plain, path) = (format!("mod {};", file.stem()), format!("{}.rs\"]", file.stem()));
        let parents = file.parents();
        let named = |text: &str| text.contains(&plain) || text.contains(&path) || in_registry(text, file.stem());
        if !all.iter().any(|other| parents.contains(&other.path) && named(&other.text)) {
            lost.push(format!("{}: no `{plain}` in {}", file.path, parents.join(" or ")));
        }
    }
    none(&lost);
}

/// Whether a macro makes the module: `modules! { logger, logreplay }`.
fn in_registry(text: &str, module: &str) -> bool {
    let mut calls = text.split("! {").skip(1).filter_map(|call| call.split('}').next());
    calls.any(|words| words.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == module))
}

#[test]
fn registered_files_are_there() {
    let all = sources();
    assert!(all.len() > 100, "the walk has lost its way");
    none(&LONG.iter().filter(|(path, _)| all.iter().all(|file| file.path != *path)).collect::<Vec<_>>());
    none(&UNSAFE.iter().filter(|path| all.iter().all(|file| file.path != **path)).collect::<Vec<_>>());
}

struct Source {
    /// From the repository's top, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_root(&self) -> bool {
        self.path.ends_with("/src/lib.rs") || self.path.ends_with("/src/main.rs")
    }

    fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.strip_suffix(".rs").unwrap_or(name)
    }

    /// The files that may declare this one: `a/b.rs` is declared in `a.rs`, `a/mod.rs` or a crate's root in `a`, and its tests in `b.rs`
    /// beside it.
    fn parents(&self) -> Vec<String> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parents: Vec<String> =
            ["lib.rs", "main.rs", "mod.rs"].iter().map(|name| format!("{folder}/{name}")).collect();
        parents.push(format!("{folder}.rs"));
        if let Some(tested) = self.path.strip_suffix("_tests.rs") {
            parents.push(format!("{tested}.rs"));
        }
        parents
    }
}

/// Every Rust file of the repository.
fn sources() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable") {
            let path: PathBuf = entry.expect("readable").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let path = path.strip_prefix(&top).expect("below the top").to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with a list.
fn none<T: std::fmt::Debug>(wrong: &[T]) {
    assert!(wrong.is_empty(), "{wrong:#?}");
}
