//! `sonda new-module`: the beginnings of a module, as a crate that builds or as Python that runs.
//!
//! What it begins with is the example module of the NEMEA tutorial: the very file that Sonda's own tests build and run.
use crate::applets;
use clap::Parser;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The example module; its name is replaced.
const RUST: &str = include_str!("../../detect/examples/example_module.rs");
const PYTHON: &str = include_str!("../templates/module.py");
/// TRAP and UniRec in Python's standard library.
const PYTHON_TRAP: &str = include_str!("../templates/trap.py");
const EXAMPLE: &str = "example_module";
/// Bytes of a name, at the most: it becomes file names and the name of a program.
const NAME_MAX: usize = 64;

/// Write the beginnings of a NEMEA module: a folder NAME with the example module of the NEMEA tutorial in it
#[derive(Parser, Debug)]
#[command(
    name = "sonda new-module",
    after_help = "Then:\n  cd NAME && cargo test && cargo run -- -h        (Rust)\n  cd NAME && ./NAME.py -i u:in,u:out              (Python)"
)]
pub(crate) struct Args {
    /// Name of the module, the folder and the program: a letter, then letters, digits and _
    name: String,
    /// Python 3 that needs its standard library only, in place of a Rust crate
    #[arg(long)]
    python: bool,
    /// Where the crate finds Sonda: the folder of its sources, or the address of its git repository. Without it, the folder that this
    /// program was built in
    #[arg(long, value_name = "FOLDER|URL", conflicts_with = "python")]
    sonda: Option<String>,
    /// Make the folder in this one
    #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
    parent: PathBuf,
}

/// Why nothing, or not all, was written.
#[derive(Debug, thiserror::Error)]
enum NewError {
    #[error(
        "\"{0}\" is no name for a module: take a lower-case letter, then lower-case letters, digits and _, {NAME_MAX} at the most"
    )]
    Name(String),
    #[error("\"{0}\" means something to Rust or cargo: take another name")]
    Reserved(String),
    #[error("{0} is there already: take another name or remove it")]
    Exists(PathBuf),
    #[error(
        "{0} has no detect/Cargo.toml: tell with --sonda where Sonda's sources are (a folder or the address of a git repository)"
    )]
    NoSources(PathBuf),
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Words that cannot name a crate with a program, of those that a module could be called.
const RESERVED: &[&str] = &[
    "test",
    "core",
    "std",
    "alloc",
    "proc_macro",
    "self",
    "super",
    "crate",
    "fn",
    "mod",
    "use",
    "match",
    "type",
    "loop",
    "move",
    "if",
    "in",
    "build",
    "deps",
    "examples",
    "incremental",
    "detect",
    "trap",
    "record",
];

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("sonda new-module", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match write(&args) {
        Ok(folder) => {
            println!("wrote {}", folder.display());
            0
        }
        Err(why) => {
            eprintln!("sonda new-module: {why}");
            1
        }
    }
}

fn write(args: &Args) -> Result<PathBuf, NewError> {
    let name = checked(&args.name)?;
    let folder = args.parent.join(name);
    let files = if args.python { python(name) } else { rust(name, args.sonda.as_deref())? };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| NewError::Write { path, source }
    };
    fs::create_dir_all(&args.parent).map_err(failed(&args.parent))?;
    fs::create_dir(&folder).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => NewError::Exists(folder.clone()),
        _ => NewError::Write { path: folder.clone(), source },
    })?;
    for file in files {
        let path = folder.join(&file.name);
        let parent = path.parent().unwrap_or(&folder);
        fs::create_dir_all(parent).map_err(failed(parent))?;
        fs::write(&path, file.text).map_err(failed(&path))?;
        if file.runs {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed(&path))?;
        }
    }
    Ok(folder)
}

fn checked(name: &str) -> Result<&str, NewError> {
    let mut bytes = name.bytes();
    let is_name = name.len() <= NAME_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if !is_name {
        return Err(NewError::Name(name.to_owned()));
    }
    if RESERVED.contains(&name) {
        return Err(NewError::Reserved(name.to_owned()));
    }
    Ok(name)
}

/// A file of the new folder.
struct NewFile {
    name: String,
    text: String,
    /// It is a program.
    runs: bool,
}

impl NewFile {
    fn text(name: &str, text: String) -> NewFile {
        NewFile { name: name.to_owned(), text, runs: false }
    }
}

fn python(name: &str) -> Vec<NewFile> {
    let module = NewFile { name: format!("{name}.py"), text: PYTHON.replace(EXAMPLE, name), runs: true };
    vec![module, NewFile::text("trap.py", PYTHON_TRAP.to_owned())]
}

fn rust(name: &str, sonda: Option<&str>) -> Result<Vec<NewFile>, NewError> {
    let mut files = Vec::new();
    let found = match sonda {
        Some(address) if address.contains("://") || address.starts_with("git@") => {
            format!("git = {}", quoted(address))
        }
        folder => {
            let folder = folder.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), PathBuf::from);
            let sources = fs::canonicalize(&folder).ok().filter(|path| path.join("detect/Cargo.toml").is_file());
            let sources = sources.ok_or(NewError::NoSources(folder))?;
            // The versions that Sonda is tested with; cargo leaves out what is not needed.
            if let Ok(lock) = fs::read_to_string(sources.join("Cargo.lock")) {
                files.push(NewFile::text("Cargo.lock", lock));
            }
            format!("path = {}", quoted(&sources.join("detect").to_string_lossy()))
        }
    };
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n\
         # A workspace of its own, wherever the folder lies.\n[workspace]\n\n\
         [dependencies]\n# Sonda's modules and what they are written with (detect::sdk).\ndetect = {{ {found} }}\n"
    );
    files.push(NewFile::text("Cargo.toml", manifest));
    files.push(NewFile::text(".gitignore", "/target\n".to_owned()));
    files.push(NewFile::text("src/main.rs", RUST.replace(EXAMPLE, name)));
    Ok(files)
}

/// A TOML string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "my_module2"] {
            assert_eq!(checked(good).expect("a name"), good);
        }
        for bad in ["", "2a", "a-b", "A", "../x", "a b", "é", "test", "detect", &"x".repeat(65)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_git_address_becomes_a_git_dependency() {
        let files = rust("m", Some("https://example.org/son\"da.git")).expect("an address");
        let manifest = &files.iter().find(|file| file.name == "Cargo.toml").expect("a manifest").text;
        assert!(manifest.contains(r#"detect = { git = "https://example.org/son\"da.git" }"#), "{manifest}");
        assert!(matches!(rust("m", Some("/nonexist")), Err(NewError::NoSources(_))));
    }

    #[test]
    fn the_example_takes_the_name() {
        for text in [RUST, PYTHON] {
            assert!(text.contains(EXAMPLE));
        }
        assert!(python("mine").iter().all(|file| !file.text.contains(EXAMPLE)));
    }
}
