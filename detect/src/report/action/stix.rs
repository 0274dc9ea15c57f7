//! `stix: {path: FILE or FOLDER}`: the message as a STIX 2.1 bundle, one a line or one a file (ours); crate::stix says what is in it.
use super::file::{Folder, append};
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use crate::stix;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

struct Stix {
    path: PathBuf,
    is_folder: bool,
}

pub(super) fn read(section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let path = PathBuf::from(section.need("path")?);
    let is_folder = fs::metadata(&path).is_ok_and(|found| found.is_dir());
    Ok(Box::new(Stix { path, is_folder }))
}

impl Act for Stix {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        let mut text = stix::bundle(stix::objects(message)).to_string();
        let written = if self.is_folder {
            Folder { path: self.path.clone(), temporary: None }.put_as(message, "json", &text)
        } else {
            text.push('\n');
            append(&self.path, &text)
        };
        written.map(|()| Flow::GoOn).map_err(|why| format!("cannot write to {}: {why}", self.path.display()))
    }
}
