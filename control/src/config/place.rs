//! Where in a file something is wrong, and what was probably meant: configurations of the supervisor and of probes say both alike.
use std::path::Path;

/// A text and the name of its file.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Place<'_> {
    /// `[ERROR] FILE:LINE:COLUMN: why` for what stands at this byte.
    #[must_use]
    pub fn line(self, byte: usize, why: &str) -> String {
        let before = &self.text[..self.text.floor_char_boundary(byte)];
        let row = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("[ERROR] {}:{row}:{column}: {why}", self.path.display())
    }
}

/// What is said below an unknown `name` if one of the known ones is near.
#[must_use]
pub fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    nearest(name, known).map(|name| format!("[INFO] Did you mean \"{name}\"?"))
}

/// The known name that a mistyped one probably stands for.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|known| (strsim::damerau_levenshtein(name, known), known));
    let (distance, known) = scored.min()?;
    (distance <= 1 + name.chars().count() / 4).then_some(known)
}
