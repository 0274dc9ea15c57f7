//! `file: {path: P, temp_path: T}`: a JSON line on standard output or appended to a file, or a file for each message in a folder, such as
//! Warden's filer takes (spec/idea.md sections 2.4 and 4).
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use crate::report::idea;
use crate::uuid;
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Characters of a name that is made of a message's identity, at the most.
const NAME_MAX: usize = 128;

/// Where messages go.
enum Target {
    Stdout,
    Stderr,
    Append(PathBuf),
    Folder(Folder),
}

/// A folder that gets one file for each message, whole at once if there is a second one to write it in.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) temporary: Option<PathBuf>,
}

pub(super) fn read(section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let path = section.need("path")?;
    let temporary = section.text("temp_path")?.map(PathBuf::from);
    Ok(Box::new(match path.as_str() {
        "-" | "/dev/stdout" => Target::Stdout,
        "/dev/stderr" => Target::Stderr,
        _ if fs::metadata(&path).is_ok_and(|found| found.is_dir()) => {
            Target::Folder(Folder { path: path.into(), temporary })
        }
        _ => Target::Append(path.into()),
    }))
}

impl Act for Target {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        let mut line = idea::dump(message);
        line.push('\n');
        let (written, place) = match self {
            Target::Stdout => (print(&mut io::stdout().lock(), &line), "standard output".to_owned()),
            Target::Stderr => (print(&mut io::stderr().lock(), &line), "standard error".to_owned()),
            Target::Append(path) => (append(path, &line), path.display().to_string()),
            // The original has no line end there.
            Target::Folder(folder) => (folder.put(message, line.trim_end()), folder.path.display().to_string()),
        };
        written.map(|()| Flow::GoOn).map_err(|why| format!("cannot write to {place}: {why}"))
    }
}

fn print(out: &mut impl Write, line: &str) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// The file is opened for each line, so that it may be moved away.
pub(super) fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.lock()?;
    file.write_all(line.as_bytes())
}

impl Folder {
    /// Writes `<ID>.idea`.
    pub(super) fn put(&self, message: &Value, text: &str) -> io::Result<()> {
        self.put_as(message, "idea", text)
    }

    /// Writes `<ID>.<ending>`.
    pub(super) fn put_as(&self, message: &Value, ending: &str, text: &str) -> io::Result<()> {
        let name = format!("{}.{ending}", name(message));
        let written = self.temporary.as_ref().unwrap_or(&self.path).join(&name);
        let mut file = File::create(&written)?;
        file.write_all(text.as_bytes())?;
        match self.temporary {
            Some(_) => fs::rename(&written, self.path.join(&name)),
            None => Ok(()),
        }
    }
}

/// The identity as a name that stays in its folder; a message without one gets one.
fn name(message: &Value) -> String {
    let id = message.get("ID").and_then(Value::as_str).filter(|id| !id.is_empty());
    let id = id.map_or_else(uuid::random, str::to_owned);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = id.chars().take(NAME_MAX).map(|c| if is_plain(c) { c } else { '_' }).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_stay_in_their_folder() {
        let of = |id: &str| name(&json!({"ID": id}));
        assert_eq!(
            (of("a-1_B.c").as_str(), of("../../etc/x").as_str(), of("a/b\0").as_str()),
            ("a-1_B.c", "_.._.._etc_x", "a_b_")
        );
        assert_eq!((of("").len(), of(&"x".repeat(999)).len()), (36, NAME_MAX));
    }
}
