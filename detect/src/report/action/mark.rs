//! `mark: {path: JPATH, value: ANY}`: a value put at a place of the message, for later actions of the rule.
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use crate::report::jpath::Path;
use serde_json::Value;

struct Mark {
    path: Path,
    value: Value,
}

pub(super) fn read(section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let path = section.need("path")?;
    let path = Path::parse(&path).ok_or_else(|| format!("\"{path}\" is no path"))?;
    Ok(Box::new(Mark { path, value: section.get("value").cloned().unwrap_or_default() }))
}

impl Act for Mark {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        self.path.set(message, self.value.clone()).map_err(|why| why.to_string())?;
        Ok(Flow::GoOn)
    }
}
