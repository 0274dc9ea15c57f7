//! Includes of the template (section 3.1): a line `<!-- include PATH -->` becomes what is in the file, or in the `.sup` files of the
//! folder.
//!
//! Difference from the original: files of a folder come in the order of their names, not of the directory, so that numbers of
//! modules are the same after each reload.
use super::{BYTES_MAX, FILES_MAX, Refused, text_of};
use std::fs;
use std::path::{Path, PathBuf};

const MARK: &str = "<!-- include ";

/// A template with its includes in place.
#[derive(Debug, Default)]
pub struct Expanded {
    /// The document.
    pub xml: String,
    /// For each of its lines: file and line there.
    origins: Vec<(usize, usize)>,
    files: Vec<PathBuf>,
}

impl Expanded {
    /// Where a line of the document, from 1, was written.
    #[must_use]
    pub fn origin(&self, line: usize) -> Option<(&Path, usize)> {
        let (file, line) = self.origins.get(line.checked_sub(1)?)?;
        Some((self.files.get(*file)?, *line))
    }

    fn add_line(&mut self, line: &str, origin: (usize, usize)) -> Result<(), Refused> {
        if self.xml.len() + line.len() >= BYTES_MAX {
            return Err(Refused::one(format!("[ERROR] the configuration is longer than {BYTES_MAX} bytes")));
        }
        self.xml.push_str(line);
        self.xml.push('\n');
        self.origins.push(origin);
        Ok(())
    }

    fn add_file(&mut self, path: PathBuf) -> Result<usize, Refused> {
        if self.files.len() == FILES_MAX {
            return Err(Refused::one(format!("[ERROR] the configuration has more than {FILES_MAX} files")));
        }
        self.files.push(path);
        Ok(self.files.len() - 1)
    }
}

/// The files that a path stands for, with what is in them.
pub(crate) type Found = Result<Vec<(PathBuf, String)>, Refused>;

/// Reads a template and all that it includes.
///
/// # Errors
/// A file is missing, cannot be read, or there is too much.
pub fn expand(template: &Path) -> Result<Expanded, Refused> {
    let text = text_of(template, BYTES_MAX).map_err(|why| unreadable(template, &why))?;
    expand_with(template, &text, &mut look)
}

/// As [`expand`], with a file system of the caller's.
pub(crate) fn expand_with(
    template: &Path,
    text: &str,
    look: &mut dyn FnMut(&Path) -> Found,
) -> Result<Expanded, Refused> {
    let mut expanded = Expanded::default();
    let main = expanded.add_file(template.to_owned())?;
    for (at, line) in text.lines().enumerate() {
        let Some(included) = included(line) else {
            expanded.add_line(line, (main, at + 1))?;
            continue;
        };
        let found = look(Path::new(included)).map_err(|mut why| {
            why.lines.push(format!("[INFO] It is included at {}:{}.", template.display(), at + 1));
            why
        })?;
        for (path, text) in found {
            let file = expanded.add_file(path)?;
            for (at, line) in text.lines().enumerate() {
                expanded.add_line(line, (file, at + 1))?;
            }
        }
    }
    Ok(expanded)
}

/// The path that a line includes.
pub(crate) fn included(line: &str) -> Option<&str> {
    line.trim_start_matches(' ').strip_prefix(MARK)?.split_whitespace().next().filter(|path| *path != "-->")
}

fn look(path: &Path) -> Found {
    let meta = fs::metadata(path).map_err(|why| unreadable(path, &why))?;
    let is_sup = |path: &Path| path.extension().is_some_and(|ending| ending == "sup");
    if meta.is_file() {
        let files = if is_sup(path) { vec![path.to_owned()] } else { vec![] };
        return files.into_iter().map(|path| read(path.clone()).map_err(|why| unreadable(&path, &why))).collect();
    }
    let entries = fs::read_dir(path).map_err(|why| unreadable(path, &why))?;
    let paths = entries.take(FILES_MAX * 4).filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths.filter(|path| is_sup(path) && path.is_file()).collect();
    paths.sort();
    // Those of a folder that cannot be read are left out, as by the original.
    Ok(paths.into_iter().filter_map(|path| read(path).ok()).collect())
}

fn read(path: PathBuf) -> std::io::Result<(PathBuf, String)> {
    let text = text_of(&path, BYTES_MAX)?;
    Ok((path, text))
}

fn unreadable(path: &Path, why: &std::io::Error) -> Refused {
    Refused { lines: vec!["[ERROR] in include_item function".into(), format!("[ERROR] {}: {why}", path.display())] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_include() {
        assert_eq!(included("  <!-- include /etc/nemea/x -->"), Some("/etc/nemea/x"));
        assert_eq!(included("<!-- include /etc/nemea/x.sup"), Some("/etc/nemea/x.sup"));
        for no in ["\t<!-- include /x -->", "<!--include /x -->", "x <!-- include /x -->", "<!-- include  -->", ""] {
            assert_eq!(included(no), None, "{no}");
        }
    }

    #[test]
    fn folders_come_by_name_and_lines_know_where_they_are_from() {
        let dir = tempfile::tempdir().expect("a folder");
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).expect("written");
        fs::create_dir(dir.path().join("d")).expect("made");
        put("d/b.sup", "<b/>\n<c/>\n");
        put("d/a.sup", "<a/>");
        put("d/readme", "no");
        put("other", "no");
        let at = dir.path().display();
        put("t.xml", &format!("<x>\n <!-- include {at}/d -->\n<!-- include {at}/other -->\n</x>"));
        let expanded = expand(&dir.path().join("t.xml")).expect("readable");
        assert_eq!(expanded.xml, "<x>\n<a/>\n<b/>\n<c/>\n</x>\n");
        let origin = |line| expanded.origin(line).map(|(path, line)| (path.file_name().unwrap().to_owned(), line));
        assert_eq!(origin(4), Some(("b.sup".into(), 2)));
        assert_eq!(origin(5), Some(("t.xml".into(), 4)));
        assert_eq!((origin(0), origin(6)), (None, None));
        put("t.xml", &format!("<x>\n<!-- include {at}/none -->"));
        let why = expand(&dir.path().join("t.xml")).unwrap_err().lines;
        assert_eq!(why[0], "[ERROR] in include_item function");
        assert!(why[1].contains("/none: No such file") && why[2].ends_with("t.xml:2."), "{why:?}");
    }
}
