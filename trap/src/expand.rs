//! Shell-like expansion of file names: `~`, `$VAR`, `${VAR}`, quotes and globs (trap.md sections 2.5 and 9.2).
//!
//! The original calls wordexp(3), which also runs commands; we never do.

use std::env;

/// Most file names taken from one specifier; a bound against a glob over a whole disk.
pub const WORDS_MAX: usize = 65_536;

/// Words of `text` after expansion, in order; a glob that matches nothing stays as typed, as in a shell. Matches of one
/// glob are sorted. An unset variable is empty. Unbalanced quotes and braces are taken literally.
#[must_use]
pub fn expand(text: &str) -> Vec<String> {
    expand_with(text, &|name| env::var(name).ok())
}

/// As [`expand`], with another source of variables.
#[must_use]
pub fn expand_with(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut names = Vec::new();
    for word in split_words(text, variable) {
        let room = WORDS_MAX - names.len();
        names.extend(word.glob().take(room));
    }
    names
}

/// A word: its text, and the same with quoted parts escaped for glob.
#[derive(Default)]
struct Word {
    text: String,
    pattern: String,
    has_glob: bool,
    exists: bool,
}

impl Word {
    fn literal(&mut self, c: char) {
        self.exists = true;
        self.text.push(c);
        self.pattern.push_str(&glob::Pattern::escape(c.encode_utf8(&mut [0; 4])));
    }

    fn active(&mut self, c: char) {
        self.exists = true;
        self.has_glob |= matches!(c, '*' | '?' | '[');
        self.text.push(c);
        self.pattern.push(c);
    }

    fn glob(self) -> Box<dyn Iterator<Item = String>> {
        let literal = Box::new(std::iter::once(self.text));
        if !self.has_glob {
            return literal;
        }
        // Hidden files need an explicit dot, as in a shell.
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let Ok(paths) = glob::glob_with(&self.pattern, options) else { return literal };
        let mut found = paths.flatten().map(|path| path.to_string_lossy().into_owned()).peekable();
        if found.peek().is_some() { Box::new(found) } else { literal }
    }
}

fn split_words(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let mut rest = text;
    let mut quote = None;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match (c, quote) {
            ('\'' | '"', None) if rest.contains(c) => (quote, word.exists) = (Some(c), true),
            (c, Some(open)) if c == open => quote = None,
            ('\\', None) if !rest.is_empty() => {
                let escaped = rest.chars().next().unwrap_or('\\');
                rest = &rest[escaped.len_utf8()..];
                word.literal(escaped);
            }
            ('~', None) if !word.exists && (rest.is_empty() || rest.starts_with(['/', ' '])) => {
                match variable("HOME") {
                    Some(home) => home.chars().for_each(|c| word.literal(c)),
                    None => word.literal('~'),
                }
            }
            ('$', None | Some('"')) => match variable_name(rest) {
                Some((name, after)) => {
                    variable(name).unwrap_or_default().chars().for_each(|c| word.literal(c));
                    rest = after;
                }
                None => word.literal('$'),
            },
            (' ' | '\t' | '\n', None) => {
                if word.exists {
                    words.push(std::mem::take(&mut word));
                }
            }
            (c, None) => word.active(c),
            (c, Some(_)) => word.literal(c),
        }
    }
    if word.exists {
        words.push(word);
    }
    words
}

/// Name after a `$` and the text behind it.
fn variable_name(rest: &str) -> Option<(&str, &str)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let valid =
        |name: &str| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(is_name);
    if let Some(braced) = rest.strip_prefix('{') {
        return braced.split_once('}').filter(|(name, _)| valid(name));
    }
    let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
    Some(rest.split_at(len)).filter(|(name, _)| valid(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        expand_with(text, &|name| match name {
            "HOME" => Some("/home/x".into()),
            "DIR" => Some("/data/a b".into()),
            _ => None,
        })
    }

    #[test]
    fn variables_and_home() {
        assert_eq!(words("~/f"), ["/home/x/f"]);
        assert_eq!(words("a~b ~c"), ["a~b", "~c"]);
        assert_eq!(words("$DIR/f ${DIR}g"), ["/data/a b/f", "/data/a bg"]);
        assert_eq!(words("x$NONE-y"), ["x-y"]);
        assert_eq!(words("'$DIR' \"$DIR\" \\$DIR"), ["$DIR", "/data/a b", "$DIR"]);
        assert_eq!(words("$ ${ ${1} it's"), ["$", "${", "${1}", "it's"]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn commands_are_not_run() {
        assert_eq!(words("$(echo x)"), ["$(echo", "x)"]);
        assert_eq!(words("`echo`"), ["`echo`"]);
    }

    #[test]
    fn globs_are_sorted_and_literal_without_match() {
        let dir = tempfile::tempdir().expect("tempdir");
        for name in ["b.cap", "a.cap", ".hidden.cap", "c.txt"] {
            std::fs::write(dir.path().join(name), "").expect("write");
        }
        let dir = dir.path().display();
        assert_eq!(words(&format!("{dir}/*.cap")), [format!("{dir}/a.cap"), format!("{dir}/b.cap")]);
        assert_eq!(words(&format!("{dir}/*.none")), [format!("{dir}/*.none")]);
        assert_eq!(words(&format!("'{dir}/*.cap'")), [format!("{dir}/*.cap")]);
    }
}
