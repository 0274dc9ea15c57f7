//! Signatures: regular expressions of Python with the fields that they are for, and lists of literal texts.
//!
//! The rules that are built in are Sonda's own; they ask for the same kinds of attacks, under the same names and in the same order, as
//! those that come with the original (a part of OWASP CRS 3.0). Its files can be used as they are: they have this form.
use super::memo::Memo;
use super::request::{FIELDS, Field, Request};
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use std::path::{Path, PathBuf};

/// Bytes of a file of rules or of a list.
const FILE_MAX: u64 = 1024 * 1024;
/// Bytes of a compiled expression, and of a set of them.
const EXPRESSION_MAX: usize = 4 * 1024 * 1024;
const COMPILED_MAX: usize = 64 * 1024 * 1024;
/// Steps of an expression that must be tried in all ways.
const STEPS_MAX: usize = 100_000;

/// Names of the rules, in their order.
pub(super) const RULES: [&str; 11] = [
    "request_method_enforcement",
    "request_scanner_detection",
    "request_protocol_enforcement",
    "request_protocol_attack",
    "request_application_attack_rfi",
    "request_application_attack_sqli",
    "request_application_attack_rce",
    "request_application_attack_php",
    "request_application_attack_xss",
    "request_application_attack_session_fixation",
    "request_application_attack_lfi",
];

/// How a list is asked.
#[derive(Clone, Copy)]
enum Form {
    /// The field is none of them.
    NoneOf,
    /// One of them at the beginning of a word.
    Word,
    /// One of them anywhere.
    Anywhere,
}

const ARGUMENTS: &[Field] = &[Field::UrlArgs, Field::UrlArgsNames];

/// Lists: the rule that each belongs to, its file, how it is asked, and of what. After the rule's own expressions, in this order.
const LISTS: [(&str, &str, Form, &[Field]); 11] = [
    (RULES[0], "allowed-http-methods", Form::NoneOf, &[Field::Method]),
    (RULES[1], "scanners-user-agents", Form::Word, &[Field::UserAgent]),
    (RULES[1], "scanners-urls", Form::Anywhere, &[Field::UrlFilename, Field::UrlArgs]),
    (RULES[1], "scanners-headers", Form::Anywhere, &[Field::Host, Field::UserAgent, Field::Referer]),
    (RULES[6], "windows-powershell-commands", Form::Anywhere, ARGUMENTS),
    (RULES[6], "unix-shell", Form::Anywhere, ARGUMENTS),
    (RULES[7], "php-config-directives", Form::Anywhere, ARGUMENTS),
    (RULES[7], "php-variables", Form::Anywhere, ARGUMENTS),
    (RULES[7], "php-function-names-933150", Form::Anywhere, ARGUMENTS),
    (RULES[10], "restricted-files", Form::Anywhere, &[Field::UrlFilename]),
    (RULES[10], "lfi-os-files", Form::Anywhere, ARGUMENTS),
];

macro_rules! built_in {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("signatures/", $path, ".data")))),+] };
}
const BUILT_IN: &[(&str, &str)] = built_in![
    "rules/request-protocol-enforcement",
    "rules/request-protocol-attack",
    "rules/request-application-attack-rfi",
    "rules/request-application-attack-sqli",
    "rules/request-application-attack-rce",
    "rules/request-application-attack-php",
    "rules/request-application-attack-xss",
    "rules/request-application-attack-session-fixation",
    "rules/request-application-attack-lfi",
    "data/allowed-http-methods",
    "data/scanners-user-agents",
    "data/scanners-urls",
    "data/scanners-headers",
    "data/windows-powershell-commands",
    "data/unix-shell",
    "data/php-config-directives",
    "data/php-variables",
    "data/php-function-names-933150",
    "data/restricted-files",
    "data/lfi-os-files",
];

/// Why signatures cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SignatureError {
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} has more than {FILE_MAX} bytes")]
    TooLong(PathBuf),
    #[error("{file}, line {line}: {why}")]
    Line { file: String, line: usize, why: String },
    #[error("the rules together are too large: {0}")]
    Set(#[from] regex::Error),
    #[error("{0}: {1}")]
    List(String, aho_corasick::BuildError),
}

/// Signatures in their order, compiled.
#[derive(Debug)]
pub(super) struct Signatures {
    list: Vec<Signature>,
    /// By [`Field`]: all expressions for it at once, with the places of their signatures.
    sets: Vec<(RegexSet, Vec<usize>)>,
    /// Signatures that are asked one by one, in order.
    single: Vec<usize>,
    /// By [`Field`]: all words of all lists that are asked of it, so that a value without any is looked at once.
    words: Vec<AhoCorasick>,
    /// Values in which nothing is.
    memo: Memo,
}

#[derive(Debug)]
struct Signature {
    rule: &'static str,
    fields: Vec<Field>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// In the sets.
    Fast(String),
    /// With conditions on what is beside it, tried in all ways up to a bound.
    Slow(Box<fancy_regex::Regex>),
    Not(Box<Regex>),
    Anywhere(Box<AhoCorasick>, Vec<String>),
}

/// What was found: a rule, the field, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding<'r> {
    pub(super) rule: &'static str,
    pub(super) field: Field,
    pub(super) value: &'r str,
}

impl Signatures {
    /// Compiles the rules of these names from the folders `rules` and `data` in `folder`, or those that are built in. Files that are not
    /// there are left out, as in the original.
    pub(super) fn load(rules: &[&'static str], folder: Option<&Path>) -> Result<Signatures, SignatureError> {
        let mut list = Vec::new();
        for rule in rules {
            let file = format!("rules/{}", rule.replace('_', "-"));
            let text = text_of(&file, folder)?;
            for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
                let (test, fields) =
                    parse(line).map_err(|why| SignatureError::Line { file: file.clone(), line: at + 1, why })?;
                list.push(Signature { rule, fields, test });
            }
            for (_, name, form, fields) in LISTS.iter().filter(|(of, ..)| of == rule) {
                let text = text_of(&format!("data/{name}"), folder)?;
                let words: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
                if !words.is_empty() {
                    list.push(Signature { rule, fields: fields.to_vec(), test: list_test(name, *form, &words)? });
                }
            }
        }
        Signatures::compile(list)
    }

    fn compile(list: Vec<Signature>) -> Result<Signatures, SignatureError> {
        let mut sets = Vec::new();
        for (field, _) in FIELDS {
            let fast = list.iter().enumerate().filter_map(|(at, signature)| match &signature.test {
                Test::Fast(pattern) if signature.fields.contains(&field) => Some((at, pattern)),
                _ => None,
            });
            let (places, patterns): (Vec<_>, Vec<_>) = fast.unzip();
            let set = RegexSetBuilder::new(patterns).size_limit(COMPILED_MAX).dfa_size_limit(COMPILED_MAX).build()?;
            sets.push((set, places));
        }
        let is_single = |(_, signature): &(usize, &Signature)| !matches!(signature.test, Test::Fast(_));
        let single = list.iter().enumerate().filter(is_single).map(|(at, _)| at).collect();
        let words = FIELDS.map(|(field, _)| {
            let listed = list.iter().filter_map(|signature| match &signature.test {
                Test::Anywhere(_, words) if signature.fields.contains(&field) => Some(words),
                _ => None,
            });
            any_of(listed.flatten(), Some(AhoCorasickKind::DFA))
        });
        let words = words.into_iter().collect::<Result<_, _>>();
        let words = words.map_err(|why| SignatureError::List("all lists".into(), why))?;
        Ok(Signatures { list, sets, single, words, memo: Memo::default() })
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.list.len()
    }

    /// The first signature that matches, with the first of its fields and of the field's values that does.
    pub(super) fn find<'r>(&mut self, request: &'r Request<'_>) -> Option<Finding<'r>> {
        let is_known = FIELDS.map(|(field, _)| self.memo.has(field, request));
        let found = self.look(request, &is_known);
        if found.is_none() {
            FIELDS
                .iter()
                .filter(|(field, _)| !is_known[*field as usize])
                .for_each(|(field, _)| self.memo.put(*field, request));
        }
        found
    }

    /// As [`Signatures::find`]; in the fields that are known nothing is.
    fn look<'r>(&self, request: &'r Request<'_>, is_known: &[bool; FIELDS.len()]) -> Option<Finding<'r>> {
        let mut best: Option<((usize, usize, usize), &'r str)> = None;
        for (field, _) in FIELDS {
            let (set, places) = &self.sets[field as usize];
            if places.is_empty() || is_known[field as usize] {
                continue;
            }
            for (nth, value) in request.values(field).enumerate() {
                // Most match nothing, and that is answered sooner than what matches.
                if !set.is_match(value) {
                    continue;
                }
                let Some(first) = set.matches(value).iter().next() else { continue };
                let at = places[first];
                let place = self.list[at].fields.iter().position(|known| *known == field).unwrap_or(usize::MAX);
                let order = (at, place, nth);
                if best.is_none_or(|(known, _)| order < known) {
                    best = Some((order, value));
                }
            }
        }
        let until = best.map_or(usize::MAX, |((at, ..), _)| at);
        let has_word = FIELDS.map(|(field, _)| {
            !is_known[field as usize] && request.values(field).any(|value| self.words[field as usize].is_match(value))
        });
        for at in self.single.iter().copied().take_while(|at| *at < until) {
            let signature = &self.list[at];
            let asked = |field: &&Field| match &signature.test {
                Test::Anywhere(..) => has_word[**field as usize],
                _ => !is_known[**field as usize],
            };
            let fields = signature.fields.iter().filter(asked);
            let values = fields.flat_map(|field| request.values(*field).map(move |value| (*field, value)));
            let mut matching = values.filter(|(_, value)| signature.test.matches(value));
            if let Some((field, value)) = matching.next() {
                return Some(Finding { rule: signature.rule, field, value });
            }
        }
        let ((at, place, _), value) = best?;
        let signature = &self.list[at];
        signature.fields.get(place).map(|field| Finding { rule: signature.rule, field: *field, value })
    }
}

impl Test {
    fn matches(&self, value: &str) -> bool {
        match self {
            // Asked in the sets.
            Test::Fast(_) => false,
            // Beyond the bound there is no match.
            Test::Slow(regex) => regex.is_match(value).unwrap_or(false),
            Test::Not(regex) => !regex.is_match(value),
            Test::Anywhere(words, _) => words.is_match(value),
        }
    }
}

/// The text of a file, without its `.data`; empty if it is not there.
fn text_of(name: &str, folder: Option<&Path>) -> Result<String, SignatureError> {
    let Some(folder) = folder else {
        return Ok(BUILT_IN.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text).to_owned());
    };
    let path = folder.join(format!("{name}.data"));
    if !path.is_file() {
        return Ok(String::new());
    }
    let failed = |why| SignatureError::Read(path.clone(), why);
    if std::fs::metadata(&path).map_err(failed)?.len() > FILE_MAX {
        return Err(SignatureError::TooLong(path));
    }
    std::fs::read_to_string(&path).map_err(failed)
}

/// `EXPRESSION ** FIELD,FIELD`.
fn parse(line: &str) -> Result<(Test, Vec<Field>), String> {
    let (pattern, names) = line.split_once(" ** ").ok_or("\" ** \" and fields are missing")?;
    let field = |name| Field::from_name(name).ok_or_else(|| format!("there is no field {name}"));
    let fields = names.split(',').map(field).collect::<Result<Vec<_>, _>>()?;
    Ok((test(pattern)?, fields))
}

fn test(pattern: &str) -> Result<Test, String> {
    let pattern = plain(pattern);
    // "Is not of this form" is often asked, and is the same as "has this form" the other way round.
    let (flags, rest) = pattern.strip_prefix("(?i)").map_or(("", &pattern[..]), |rest| ("(?i)", rest));
    if let Some(form) = rest.strip_prefix("^(?!").and_then(|rest| rest.strip_suffix("$)"))
        && let Ok(regex) = regex(&format!("{flags}^(?:{form})$"))
    {
        return Ok(Test::Not(Box::new(regex)));
    }
    if regex(&pattern).is_ok() {
        return Ok(Test::Fast(pattern));
    }
    let slow = fancy_regex::RegexBuilder::new(&pattern).backtrack_limit(STEPS_MAX).build();
    slow.map(|regex| Test::Slow(Box::new(regex))).map_err(|why| why.to_string())
}

fn regex(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(EXPRESSION_MAX).build()
}

/// An expression of Python in our spelling: what means nothing there and something here is escaped.
fn plain(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    // Where the characters of the class begin, if this is one.
    let mut class = None;
    let mut is_repeated = false;
    let mut rest = pattern.char_indices();
    while let Some((at, c)) = rest.next() {
        match c {
            '\\' => match rest.next().map(|(_, c)| c) {
                Some(c @ ('<' | '>')) => out.push(c),
                Some('Z') => out.push_str("\\z"),
                Some(c) if !c.is_ascii_alphanumeric() && !is_special(c) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            '[' if class.is_some() => out.push_str("\\["),
            '[' => {
                let is_negated = pattern[at + 1..].starts_with('^');
                class = Some(at + 1 + usize::from(is_negated));
                out.push('[');
            }
            // The first character of a class is no end of it.
            ']' if class == Some(at) => out.push_str("\\]"),
            ']' if class.is_some() => {
                class = None;
                out.push(']');
            }
            '&' | '~' if class.is_some() => out.extend(['\\', c]),
            '{' if class.is_none() => {
                is_repeated = is_repetition(&pattern[at + 1..]);
                out.push_str(if is_repeated { "{" } else { "\\{" });
            }
            '}' if class.is_none() => {
                out.push_str(if is_repeated { "}" } else { "\\}" });
                is_repeated = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether an escaped character means itself only when it is escaped.
fn is_special(c: char) -> bool {
    matches!(
        c,
        '\\' | '.'
            | '+'
            | '*'
            | '?'
            | '('
            | ')'
            | '|'
            | '['
            | ']'
            | '{'
            | '}'
            | '^'
            | '$'
            | '#'
            | '&'
            | '-'
            | '~'
            | '/'
    )
}

/// Whether `3}`, `3,}` or `3,5}` follows.
fn is_repetition(rest: &str) -> bool {
    let inner = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ',');
    rest.starts_with(|c: char| c.is_ascii_digit()) && inner.starts_with('}')
}

fn list_test(name: &str, form: Form, words: &[&str]) -> Result<Test, SignatureError> {
    let any = words.iter().map(|word| regex::escape(word)).collect::<Vec<_>>().join("|");
    Ok(match form {
        Form::NoneOf => Test::Not(Box::new(regex(&format!("(?i)^(?:{any})$"))?)),
        Form::Word => Test::Fast(format!("(?i)\\b(?:{any})")),
        Form::Anywhere => {
            let built = any_of(words, None).map_err(|why| SignatureError::List(name.to_owned(), why))?;
            Test::Anywhere(Box::new(built), words.iter().map(|word| (*word).to_owned()).collect())
        }
    })
}

/// Words, however their letters are written. What every request is asked is worth the memory of a DFA, a step for a byte.
fn any_of(
    words: impl IntoIterator<Item = impl AsRef<[u8]>>,
    kind: Option<AhoCorasickKind>,
) -> Result<AhoCorasick, aho_corasick::BuildError> {
    AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(words)
}

/// Any bytes as a file of rules: what can be read can be asked, and nothing takes long.
pub fn fuzz_signatures(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let request = Request::new(b"GET", input, b"host", b"agent", b"");
    for line in text.lines().take(20) {
        let Ok((test, fields)) = parse(line) else { continue };
        assert!(!fields.is_empty());
        let list = vec![Signature { rule: RULES[0], fields, test }];
        if let Ok(mut signatures) = Signatures::compile(list) {
            signatures.find(&request);
        }
    }
}

#[cfg(test)]
mod tests;
