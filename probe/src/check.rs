//! `sonda check`: says what is wrong with a configuration file, of a probe or of the supervisor, before anything is run by it.
use crate::{applets, probe};
use clap::Parser;
use control::config::{BYTES_MAX, reference, text_of};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Exit statuses, stable. A wrong command line is `applets::USAGE`.
mod exit {
    pub(super) const FINE: u8 = 0;
    pub(super) const REFUSED: u8 = 1;
}

/// Say what is wrong with a configuration file, and where.
#[derive(Parser, Debug)]
#[command(
    name = "sonda check",
    version,
    after_help = "Files of a probe (`sonda probe -c FILE`) and of the supervisor (TOML, a folder of it, or the original's XML template) are told apart by their \
tables. Each fault is a line [ERROR] FILE:LINE:COLUMN: why.\n\n\
Examples:\n  sonda check /etc/sonda/probe.toml\n  sonda check /etc/sonda/supervisor.toml\n  sonda check --reference > probe.toml\n\n\
Exit status: 0 fine; 1 the file is refused, or cannot be read; 2 wrong usage."
)]
pub(crate) struct Args {
    /// The file
    #[arg(required_unless_present_any = ["reference", "schema"], value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print a probe's file with every key and what it means (for the supervisor's: sonda ctl reference)
    #[arg(long, exclusive = true)]
    reference: bool,
    /// Print the JSON Schema of a probe's file, for editors
    #[arg(long, exclusive = true)]
    schema: bool,
}

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("check", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match args.file {
        Some(file) => check(&file),
        None if args.schema => printed(&probe::file::reference::schema()),
        None => printed(&probe::file::reference::commented()),
    }
}

fn printed(text: &str) -> u8 {
    print!("{text}");
    exit::FINE
}

fn check(path: &Path) -> u8 {
    if is_supervisors(path) {
        return control::ctl::check(path);
    }
    match probe::file::read(path) {
        Ok(_) => printed(&format!("{}: fine, for sonda probe -c\n", path.display())),
        Err(refused) => {
            eprint!("{refused}");
            exit::REFUSED
        }
    }
}

/// What has a table of the supervisor's and none of a probe's. What can be neither is judged as a probe's.
fn is_supervisors(path: &Path) -> bool {
    if path.is_dir() || path.extension().is_some_and(|ending| ending == "xml") {
        return true;
    }
    let text = text_of(path, BYTES_MAX).unwrap_or_default();
    !probe::file::has_table(&text) && reference::has_table(&text)
}
