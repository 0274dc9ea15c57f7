//! The assignments of a shell script, without a shell: `NAME=value`, `NAME[3]=value`, `NAME=(a b)`, quotes, `$NAME` and comments.
//!
//! The original reads its older files with `source`, so they could do anything. Files that people have set variables; what does more is
//! refused with its line.
use std::collections::BTreeMap;

/// Values that a script has set: a plain variable is the element 0 of an array, as in the shell.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, BTreeMap<u32, String>>);

/// Bytes of all values together: `$A$A` of `$A$A` grows fast.
const VALUES_MAX: usize = 1 << 20;

impl Variables {
    pub(super) fn read(text: &str) -> Result<Variables, String> {
        let mut script = Script { text, at: 0, variables: Variables::default(), written: 0 };
        match script.run() {
            Ok(()) => Ok(script.variables),
            Err(why) => {
                let line = text[..script.at.min(text.len())].matches('\n').count() + 1;
                Err(format!("line {line}: {why}"))
            }
        }
    }

    /// A variable that was set, maybe to nothing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.get(&0).map(String::as_str)
    }

    /// A variable that was set to something.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The elements of an array in the order of their numbers.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flat_map(|values| values.values().map(String::as_str))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

struct Script<'a> {
    text: &'a str,
    at: usize,
    variables: Variables,
    written: usize,
}

impl Script<'_> {
    /// Each turn takes a character at least, or fails.
    fn run(&mut self) -> Result<(), String> {
        loop {
            self.skip(|c| c.is_ascii_whitespace() || c == ';');
            match self.peek() {
                None => return Ok(()),
                Some('#') => self.skip(|c| c != '\n'),
                Some(_) => self.assignment()?,
            }
        }
    }

    fn assignment(&mut self) -> Result<(), String> {
        let name = self.name();
        if name == "export" && self.peek() == Some(' ') {
            return Ok(());
        }
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("only assignments (NAME=value) and comments are understood".into());
        }
        let index = if self.take('[') {
            let digits = self.text[self.at..].split(']').next().unwrap_or_default().to_owned();
            let index =
                digits.trim().parse().map_err(|_| format!("{name}[{digits}]: a number belongs in the brackets"))?;
            self.at += digits.len();
            if !self.take(']') {
                return Err(format!("{name}[: a ] is missing"));
            }
            Some(index)
        } else {
            None
        };
        let appends = self.take('+');
        if !self.take('=') {
            return Err(format!("{name}: only assignments (NAME=value) and comments are understood"));
        }
        if index.is_none() && self.take('(') {
            return self.elements(name, appends);
        }
        let value = self.value()?;
        let place = self.variables.0.entry(name).or_default().entry(index.unwrap_or(0)).or_default();
        if !appends {
            place.clear();
        }
        place.push_str(&value);
        Ok(())
    }

    /// `a "b c" d)`.
    fn elements(&mut self, name: String, appends: bool) -> Result<(), String> {
        let mut values = if appends { self.variables.0.remove(&name).unwrap_or_default() } else { BTreeMap::new() };
        loop {
            self.skip(|c| c.is_ascii_whitespace());
            match self.peek() {
                None => return Err(format!("{name}=(: a ) is missing")),
                Some(')') => break,
                Some('#') => self.skip(|c| c != '\n'),
                // Ends a value without being taken: left alone it would be met for ever.
                Some(';') => return Err(format!("{name}=(: a ; stands between the values")),
                Some(_) => {
                    let next = values.keys().next_back().map_or(0, |last| last.saturating_add(1));
                    values.insert(next, self.value()?);
                }
            }
        }
        self.at += 1;
        self.variables.0.insert(name, values);
        Ok(())
    }

    /// Text up to a space, a `;` or a `)` that stands outside of quotes.
    fn value(&mut self) -> Result<String, String> {
        let mut out = String::new();
        let mut quoted = false;
        while let Some(c) = self.peek() {
            if !quoted && (c.is_ascii_whitespace() || c == ';' || c == ')') {
                return self.written(out);
            }
            self.at += c.len_utf8();
            match c {
                '"' => quoted = !quoted,
                '\'' if !quoted => {
                    let rest = &self.text[self.at..];
                    let end = rest.find('\'').ok_or("a ' is missing")?;
                    out.push_str(&rest[..end]);
                    self.at += end + 1;
                }
                '\\' => {
                    let next = self.peek().ok_or("nothing after \\")?;
                    self.at += next.len_utf8();
                    match next {
                        '\n' => {}
                        '"' | '\\' | '$' | '`' => out.push(next),
                        other if quoted => out.extend(['\\', other]),
                        other => out.push(other),
                    }
                }
                '$' => out.push_str(&self.expansion()?),
                '`' | '(' | '|' | '&' | '<' | '>' if !quoted || c == '`' => {
                    return Err(format!("{c}: commands are not run, give the value itself"));
                }
                other => out.push(other),
            }
            if out.len() > VALUES_MAX {
                return Err("values longer than 1 MiB".into());
            }
        }
        if quoted { Err("a \" is missing".into()) } else { self.written(out) }
    }

    /// What stands behind a `$`: a variable that was set before, or nothing.
    fn expansion(&mut self) -> Result<String, String> {
        let braced = self.take('{');
        let name = self.name();
        if name.is_empty() || (braced && !self.take('}')) {
            return Err("$: of expansions $NAME and ${NAME} are understood".into());
        }
        Ok(self.variables.get(&name).unwrap_or_default().to_owned())
    }

    fn written(&mut self, value: String) -> Result<String, String> {
        self.written += value.len();
        if self.written > VALUES_MAX { Err("values longer than 1 MiB".into()) } else { Ok(value) }
    }

    fn name(&mut self) -> String {
        let from = self.at;
        self.skip(|c| c.is_ascii_alphanumeric() || c == '_');
        self.text[from..self.at].to_owned()
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        self.at += if is_next { c.len_utf8() } else { 0 };
        is_next
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !skipped(c)).unwrap_or(rest.len());
    }
}
