//! Options of a module, read as getopt_long reads them, so that scripts written for the originals go on to work.
//!
//! Short options may be joined (`-tT`), a value may be attached (`-c5`, `--cut=5`) or follow, a long name may be shortened while
//! it stays unique, options and other words may be mixed, `--` ends the options.
use trap::module::{Argument, Param};

/// One option as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its letter.
    pub short: char,
    /// Empty for an option without one.
    pub value: String,
}

/// Why a command line was refused. Modules answer "Invalid arguments" and this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptError {
    #[error("unknown option {0}: see the help (-h)")]
    Unknown(String),
    #[error("option {0} begins the name of more than one option: write it out")]
    Ambiguous(String),
    #[error("option {0} needs a value")]
    NoValue(String),
    #[error("option {0} takes no value")]
    HasValue(String),
}

/// Reads the options in the order given; other words are ignored, as the originals do. Every option needs a letter.
pub fn parse(args: &[String], known: &[Param]) -> Result<Vec<Given>, OptError> {
    parse_with_words(args, known).map(|(given, _)| given)
}

/// As [`parse`], and the other words, such as names of files.
pub fn parse_with_words(args: &[String], known: &[Param]) -> Result<(Vec<Given>, Vec<String>), OptError> {
    let (mut given, mut others) = (Vec::new(), Vec::new());
    let mut words = args.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if word == "--" {
            others.extend(words.by_ref().map(str::to_owned));
        } else if let Some(long) = word.strip_prefix("--") {
            let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let param = find_long(name, known)?;
            let shown = || format!("--{}", param.long);
            let value = match (param.argument != Argument::No, attached) {
                (true, Some(value)) => value,
                (true, None) => words.next().ok_or_else(|| OptError::NoValue(shown()))?,
                (false, None) => "",
                (false, Some(_)) => return Err(OptError::HasValue(shown())),
            };
            given.extend(param.short.map(|short| Given { short, value: value.to_owned() }));
        } else if let Some(mut letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            while let Some(letter) = letters.chars().next() {
                letters = &letters[letter.len_utf8()..];
                let shown = || format!("-{letter}");
                let param = known.iter().find(|p| p.short == Some(letter)).ok_or_else(|| OptError::Unknown(shown()))?;
                let value = match param.argument {
                    Argument::No => "",
                    _ if letters.is_empty() => words.next().ok_or_else(|| OptError::NoValue(shown()))?,
                    _ => std::mem::take(&mut letters),
                };
                given.push(Given { short: letter, value: value.to_owned() });
            }
        } else {
            others.push(word.to_owned());
        }
    }
    Ok((given, others))
}

/// A whole number in decimal, blanks before it allowed; `None` for anything else.
pub fn number(value: &str) -> Option<u64> {
    value.trim_start().parse().ok()
}

fn find_long(name: &str, known: &[Param]) -> Result<Param, OptError> {
    if let Some(exact) = known.iter().find(|p| p.long == name) {
        return Ok(*exact);
    }
    let shown = || format!("--{name}");
    let mut candidates = known.iter().filter(|p| p.long.starts_with(name));
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(*only),
        (None, _) => Err(OptError::Unknown(shown())),
        (Some(_), Some(_)) => Err(OptError::Ambiguous(shown())),
    }
}

/// An option that takes no value.
pub const fn flag(short: char, long: &'static str, description: &'static str) -> Param {
    Param { short: Some(short), long, description, argument: Argument::No, argument_type: "" }
}

/// An option that takes a value of the type named, such as `string` or `uint32`.
pub const fn value(short: char, long: &'static str, kind: &'static str, description: &'static str) -> Param {
    Param { short: Some(short), long, description, argument: Argument::Required, argument_type: kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Param] = &[flag('t', "title", ""), flag('T', "time", ""), value('c', "cut", "uint32", "")];

    fn read(line: &str) -> Result<String, String> {
        let args: Vec<_> = line.split_whitespace().map(String::from).collect();
        let given = parse(&args, KNOWN).map_err(|e| e.to_string())?;
        Ok(given.iter().map(|g| format!("{}{} ", g.short, g.value)).collect())
    }

    #[test]
    fn all_spellings() {
        assert_eq!(
            read("-tTc5 word -c 6 --cut=7 --cut 8 --ti=x").unwrap_err(),
            "option --ti begins the name of more than one option: write it out"
        );
        assert_eq!(read("-tTc5 word -c 6 --cut=7 --cu 8 --tit -- -x").unwrap(), "t T c5 c6 c7 c8 t ");
        let args = ["a", "-t", "-c", "5", "b", "-", "--", "-x"].map(String::from);
        assert_eq!(parse_with_words(&args, KNOWN).unwrap().1, ["a", "b", "-", "-x"]);
        assert_eq!(read("-c").unwrap_err(), "option -c needs a value");
        assert_eq!(read("--title=1").unwrap_err(), "option --title takes no value");
        assert!(read("-tx").unwrap_err().starts_with("unknown option -x"));
    }
}
