//! Places of the repository, and programs that are run.
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's top folder.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap_or_else(|_| PathBuf::from("."))
}

/// The folder that cargo builds in.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from)
}

/// The program to be measured: this one, or one that is built for release now.
pub(crate) fn release(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(program) = given {
        // Runs may be in a folder of their own.
        return program.canonicalize().map_err(|e| format!("{}: {e}", program.display()));
    }
    call(Command::new("cargo").args(["build", "--quiet", "--release", "--locked", "-p", "sonda"]))?;
    Ok(target_dir().join("release/sonda"))
}

/// Runs a program in the top folder with its output shown; an error names the command.
pub(crate) fn call(command: &mut Command) -> Result<(), String> {
    let shown = shown(command);
    let status = command.current_dir(top()).stdin(Stdio::null()).status().map_err(|e| format!("{shown}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs a program in the top folder; answers what it wrote to standard output and error.
pub(crate) fn read(command: &mut Command) -> Result<(String, String), String> {
    let shown = shown(command);
    let output = command.current_dir(top()).stdin(Stdio::null()).output().map_err(|e| format!("{shown}: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok((text(&output.stdout), text(&output.stderr)));
    }
    Err(format!("{shown}: {}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)))
}

/// Fails with what to do unless `program` can be found.
pub(crate) fn need(program: &str, package: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    if places.map(|folder| folder.join(program)).any(|file| file.is_file()) {
        return Ok(());
    }
    Err(format!("{program} is missing: run deploy/setup.sh, or install {package}"))
}

fn shown(command: &Command) -> String {
    let args = std::iter::once(command.get_program()).chain(command.get_args());
    args.map(|arg| arg.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Fails with what to do unless the nightly toolchain and cargo-fuzz are there.
pub(crate) fn need_cargo_fuzz() -> Result<(), String> {
    let there = read(Command::new("rustup").args(["run", "nightly", "cargo", "fuzz", "--version"]));
    there.map(drop).map_err(|why| {
        format!("{why}\nneeded: `rustup toolchain install nightly --profile minimal` and `cargo install --locked cargo-fuzz`")
    })
}
