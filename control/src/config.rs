//! Files that say what is to run: the XML template of the original, and our own TOML. Both give the same [`Config`].
use crate::core::plan::{Step, Verdict};
use crate::launch::bounds;
use crate::model::{Config, Module, command};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub mod include;
pub mod native;
pub mod place;
pub mod reference;
pub mod template;

/// Bytes of all files of a configuration together, at the most.
pub const BYTES_MAX: usize = 16 << 20;
/// Files of a configuration, at the most.
pub const FILES_MAX: usize = 4_096;
/// Name of the file that the template and its includes become.
pub const GENERATED: &str = "supervisor_config_gener.xml";

/// Where the configuration is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The original's XML template, the folder for what it becomes, and TOML for what it has no words for (`-T`, `-C`, `--settings`).
    Template { path: PathBuf, generated: Option<PathBuf>, settings: Option<PathBuf> },
    /// Our own: a TOML file, or a folder of them.
    Native(PathBuf),
}

/// A configuration that is not taken; nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// What is wrong, as it is printed; each line begins with its kind in brackets.
    pub lines: Vec<String>,
}

impl Source {
    /// By its name: what ends in `.xml` is a template.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        if path.extension().is_some_and(|ending| ending == "xml") {
            Self::Template { path: path.into(), generated: None, settings: None }
        } else {
            Self::Native(path.into())
        }
    }

    /// The file or folder that an operator edits.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Template { path, .. } | Self::Native(path) => path,
        }
    }

    /// The file that holds what was read last; for TOML the one that is edited.
    #[must_use]
    pub fn loaded(&self) -> PathBuf {
        match self {
            Self::Template { generated: Some(folder), .. } => folder.join(GENERATED),
            _ => self.path().to_owned(),
        }
    }

    /// Reads the configuration as it is now, and writes nothing.
    ///
    /// # Errors
    /// [`Refused`] says what is wrong and where.
    pub fn read(&self) -> Result<Config, Refused> {
        self.read_with(&mut |_, _| {})
    }

    /// As [`Source::read`]; what a template became is written to its folder. `failed` hears if that cannot be: a full disk must not keep
    /// modules from running.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn load(&self, failed: &mut dyn FnMut(String)) -> Result<Config, Refused> {
        self.read_with(&mut |path, text| {
            if let Err(why) = replace(path, text.as_bytes(), 0o640) {
                failed(format!("[WARNING] {}: {why}", path.display()));
            }
        })
    }

    fn read_with(&self, generated: &mut dyn FnMut(&Path, &str)) -> Result<Config, Refused> {
        match self {
            Self::Template { path, generated: folder, settings } => {
                let text = include::expand(path)?;
                let shown = self.loaded();
                if folder.is_some() {
                    generated(&shown, &text.xml);
                }
                let mut config = template::parse(&text, &shown)?;
                if let Some(path) = settings {
                    config.settings = native::beside::read(path, &config.settings)?;
                }
                Ok(config)
            }
            Self::Native(path) => native::read(path),
        }
    }

    /// Whether a module that cannot run refuses the whole configuration. The original takes it, and gives the module up later.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        matches!(self, Self::Native(_))
    }

    /// Why `steps` are not taken; `None`: they are.
    #[must_use]
    pub fn judge(&self, steps: &[Step]) -> Option<Refused> {
        let refused = steps.iter().filter(|step| step.action == Verdict::Refuse && self.is_strict());
        let lines: Vec<String> =
            refused.map(|step| format!("[ERROR] module \"{}\": {}", step.module, step.why.join("; "))).collect();
        (!lines.is_empty()).then_some(Refused { lines })
    }
}

/// Why a module cannot be started on this machine.
#[must_use]
pub fn why_not(module: &Module) -> Option<String> {
    if let Err(why) = command::arguments(module) {
        return Some(why.to_string());
    }
    if let Some(why) = bounds::why_not(&module.limits) {
        return Some(why);
    }
    let is_program =
        |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    let path = Path::new(&module.path);
    if module.path.contains('/') {
        return (!is_program(path)).then(|| match fs::metadata(path) {
            Ok(_) => format!("{} is no file that can be executed", module.path),
            Err(why) => format!("{}: {why}; is the package of this module installed?", module.path),
        });
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_found = std::env::split_paths(&folders).any(|folder| is_program(&folder.join(path)));
    (!is_found).then(|| format!("{} is in no folder of PATH; give the whole path", module.path))
}

/// A file's text, within a bound.
///
/// # Errors
/// The file cannot be read, is longer than `most` bytes, or is no UTF-8.
pub fn text_of(path: &Path, most: usize) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(most as u64 + 1).read_to_string(&mut text)?;
    if text.len() > most {
        return Err(io::Error::other(format!("more than {most} bytes")));
    }
    Ok(text)
}

/// Writes a file whole or not at all.
///
/// # Errors
/// Those of the disk; the old file is still there then.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let _none = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    fs::rename(&new, path)
}

impl Refused {
    /// One line.
    #[must_use]
    pub fn one(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()] }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
