//! `warden: {}`: the message into the folders of Warden's filer, which sends it (spec/idea.md sections 2.4 and 4).
//!
//! The client of Warden is a library of Python, which cannot be used here. Its sender `warden_filer` takes files from a folder, so that is
//! where they go: `<filer>/tmp`, then renamed into `<filer>/incoming`. `filer` is a key of the action, or of the client's configuration that
//! `--warden` names, else [`FILER`].
use super::delivery::{Deliver, Undelivered, delivery};
use super::file::Folder;
use super::{Act, Setup};
use crate::report::config::Section;
use crate::report::idea;
use serde_json::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where the filer's folders are if nothing says it.
const FILER: &str = "/var/spool/warden_filer";
/// Bytes of the client's configuration, at the most.
const CONFIG_MAX: u64 = 1024 * 1024;

pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let Some(config) = setup.warden else {
        return Err("Cannot use warden action if --warden argument was not provided.".into());
    };
    let named = filer(config)?;
    let base = PathBuf::from(section.text("filer")?.or(named).unwrap_or_else(|| FILER.into()));
    let folder = Folder { path: base.join("incoming"), temporary: Some(base.join("tmp")) };
    delivery(folder, setup)
}

/// The filer that the client's configuration names. Lines that begin with `#` are comments, as the client reads it.
fn filer(path: &Path) -> Result<Option<String>, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(CONFIG_MAX).read_to_string(&mut text));
    read.map_err(|why| format!("cannot read {}: {why}", path.display()))?;
    let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let config: Value =
        serde_json::from_str(&lines.join("\n")).map_err(|why| format!("{} is no JSON: {why}", path.display()))?;
    Ok(config.get("filer").and_then(Value::as_str).map(str::to_owned))
}

impl Deliver for Folder {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        for folder in [Some(&self.path), self.temporary.as_ref()].into_iter().flatten() {
            // What cannot be made is told by the write.
            let _ = fs::create_dir_all(folder);
        }
        let written = self.put(message, &idea::dump(message));
        written.map_err(|why| Undelivered::passing(format!("cannot write to {}: {why}", self.path.display())))
    }
}
