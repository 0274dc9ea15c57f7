//! Options of a module, read as getopt_long reads them, so that scripts written for the originals go on to work.
//!
//! Short options may be joined (`-tT`), a value may be attached (`-c5`, `--cut=5`) or follow, a long name may be shortened while
//! it stays unique, options and other words may be mixed, `--` ends the options.
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One option of a module.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    pub short: u8,
    /// Without the dashes.
    pub long: &'static str,
    /// Type of its value as the help names it (`string`, `uint32`); empty for none.
    pub value: &'static str,
    /// What it does, for the help.
    pub help: &'static str,
}

impl Opt {
    fn takes_value(&self) -> bool {
        !self.value.is_empty()
    }
}

/// One option as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its short name.
    pub short: u8,
    /// Empty for an option without one.
    pub value: OsString,
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

/// Reads the options in the order given; other words are ignored, as the originals do.
pub fn parse(args: &[OsString], known: &[Opt]) -> Result<Vec<Given>, OptError> {
    let mut given = Vec::new();
    let mut words = args.iter().map(|a| a.as_bytes());
    while let Some(word) = words.next() {
        match word {
            b"--" => break,
            [b'-', b'-', long @ ..] => {
                let (name, attached) = split_at_equals(long);
                let opt = find_long(name, known)?;
                let shown = || format!("--{}", opt.long);
                let value = match (opt.takes_value(), attached) {
                    (true, Some(value)) => value,
                    (true, None) => words.next().ok_or_else(|| OptError::NoValue(shown()))?,
                    (false, None) => b"",
                    (false, Some(_)) => return Err(OptError::HasValue(shown())),
                };
                given.push(Given { short: opt.short, value: to_os(value) });
            }
            [b'-', letters @ ..] => {
                let mut letters = letters;
                while let [letter, rest @ ..] = letters {
                    let opt = known.iter().find(|o| o.short == *letter);
                    let shown = || format!("-{}", char::from(*letter));
                    letters = rest;
                    let value = match opt.ok_or_else(|| OptError::Unknown(shown()))? {
                        opt if !opt.takes_value() => b"",
                        _ if rest.is_empty() => words.next().ok_or_else(|| OptError::NoValue(shown()))?,
                        _ => std::mem::take(&mut letters),
                    };
                    given.push(Given { short: *letter, value: to_os(value) });
                }
            }
            _ => {}
        }
    }
    Ok(given)
}

/// A whole number in decimal, blanks before it allowed; `None` for anything else.
pub fn number(value: &OsStr) -> Option<u64> {
    value.to_str()?.trim_start().parse().ok()
}

fn find_long(name: &[u8], known: &[Opt]) -> Result<Opt, OptError> {
    if let Some(exact) = known.iter().find(|o| o.long.as_bytes() == name) {
        return Ok(*exact);
    }
    let shown = || format!("--{}", String::from_utf8_lossy(name));
    let mut candidates = known.iter().filter(|o| o.long.as_bytes().starts_with(name));
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(*only),
        (None, _) => Err(OptError::Unknown(shown())),
        (Some(_), Some(_)) => Err(OptError::Ambiguous(shown())),
    }
}

fn split_at_equals(word: &[u8]) -> (&[u8], Option<&[u8]>) {
    match word.iter().position(|b| *b == b'=') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    }
}

fn to_os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Opt] = &[
        Opt { short: b't', long: "title", value: "", help: "" },
        Opt { short: b'T', long: "time", value: "", help: "" },
        Opt { short: b'c', long: "cut", value: "uint32", help: "" },
    ];

    fn read(line: &str) -> Result<String, String> {
        let args: Vec<_> = line.split_whitespace().map(OsString::from).collect();
        let given = parse(&args, KNOWN).map_err(|e| e.to_string())?;
        Ok(given.iter().map(|g| format!("{}{} ", char::from(g.short), g.value.to_str().unwrap())).collect())
    }

    #[test]
    fn all_spellings() {
        assert_eq!(
            read("-tTc5 word -c 6 --cut=7 --cut 8 --ti=x").unwrap_err(),
            "option --ti begins the name of more than one option: write it out"
        );
        assert_eq!(read("-tTc5 word -c 6 --cut=7 --cu 8 --tit -- -x").unwrap(), "t T c5 c6 c7 c8 t ");
        assert_eq!(read("-c").unwrap_err(), "option -c needs a value");
        assert_eq!(read("--title=1").unwrap_err(), "option --title takes no value");
        assert!(read("-tx").unwrap_err().starts_with("unknown option -x"));
    }
}
