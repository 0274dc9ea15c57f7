//! Options of the modules whose originals are Python scripts, read as argparse reads them.
//!
//! Unlike [`crate::options`]: options without a letter, positional words, `--ifcspec` for `-i`, and exit code 2 for a command line
//! that is refused. A value that begins with `-` must be attached (`--name=-x`), unless it is a negative number.
use std::iter::Peekable;
use trap::module::{Argument, Param};

/// A command line that was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Long name and value of each option, in the order given; the value is empty for a switch.
    pub options: Vec<(&'static str, String)>,
    /// Positional words.
    pub words: Vec<String>,
}

/// Why a command line was refused, exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgError {
    #[error("unrecognized arguments: {0}")]
    Unknown(String),
    #[error("ambiguous option: {0} could match more than one option")]
    Ambiguous(String),
    #[error("argument {0}: expected one argument")]
    NoValue(String),
    #[error("argument {0}: expected {1} arguments")]
    NoValues(String, usize),
    #[error("the following arguments are required: {0}")]
    Required(&'static str),
    #[error("argument {0}: ignored explicit argument {1:?}")]
    HasValue(String, String),
}

/// `-i` must be a word of its own for TRAP; argparse also takes `--ifcspec`, and a value that is attached.
pub fn plain_ifcspec(args: &[String]) -> Vec<String> {
    let mut out = Vec::with_capacity(args.len() + 1);
    let mut is_given = false;
    for arg in args {
        let attached =
            arg.strip_prefix("--ifcspec=").or_else(|| arg.strip_prefix("-i").filter(|v| !v.is_empty() && !is_given));
        match attached {
            Some(value) if !is_given => out.extend(["-i".to_owned(), value.to_owned()]),
            _ if arg == "--ifcspec" && !is_given => out.push("-i".to_owned()),
            _ => out.push(arg.clone()),
        }
        is_given |= out.iter().any(|a| a == "-i");
    }
    out
}

/// Reads `args`, in which `-i`, `-h` and `-v` are gone. Every option needs a long name.
pub fn parse(args: &[String], known: &[Param]) -> Result<Line, ArgError> {
    parse_several(args, known, &[])
}

/// As [`parse`]; the options of `several`, by their long names, take so many words each, which come as so many options in a row.
pub fn parse_several(args: &[String], known: &[Param], several: &[(&str, usize)]) -> Result<Line, ArgError> {
    let count = |param: &Param| several.iter().find(|(name, _)| *name == param.long).map_or(1, |(_, count)| *count);
    let mut line = Line::default();
    let mut rest = args.iter().map(String::as_str).peekable();
    while let Some(arg) = rest.next() {
        if arg == "--" {
            line.words.extend(rest.by_ref().map(String::from));
        } else if let Some(long) = arg.strip_prefix("--") {
            let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let param = find_long(name, known)?;
            let value = match (param.argument, attached) {
                (Argument::No, None) => "",
                (Argument::No, Some(value)) => return Err(ArgError::HasValue(shown(&param), value.to_owned())),
                (_, Some(value)) => value,
                (_, None) => rest.next_if(|next| is_value(next)).ok_or_else(|| ArgError::NoValue(shown(&param)))?,
            };
            line.options.push((param.long, value.to_owned()));
            take_more(&param, count(&param), &mut rest, &mut line)?;
        } else if arg.len() > 1 && arg.starts_with('-') {
            let mut letters = &arg[1..];
            while let Some(letter) = letters.chars().next() {
                letters = &letters[letter.len_utf8()..];
                let param = known.iter().find(|p| p.short == Some(letter) && letter != '-');
                let param = param.ok_or_else(|| ArgError::Unknown(arg.to_owned()))?;
                let value = match param.argument {
                    Argument::No => "",
                    _ if letters.is_empty() => {
                        rest.next_if(|next| is_value(next)).ok_or_else(|| ArgError::NoValue(shown(param)))?
                    }
                    _ => std::mem::take(&mut letters),
                };
                line.options.push((param.long, value.to_owned()));
                take_more(param, count(param), &mut rest, &mut line)?;
            }
        } else {
            line.words.push(arg.to_owned());
        }
    }
    Ok(line)
}

/// The words behind the first of an option that takes `count`.
fn take_more<'a>(
    param: &Param,
    count: usize,
    rest: &mut Peekable<impl Iterator<Item = &'a str>>,
    line: &mut Line,
) -> Result<(), ArgError> {
    for _ in 1..count {
        let next = rest.next_if(|next| is_value(next)).ok_or_else(|| ArgError::NoValues(shown(param), count))?;
        line.options.push((param.long, next.to_owned()));
    }
    Ok(())
}

fn is_value(word: &str) -> bool {
    word == "-" || !word.starts_with('-') || word[1..].parse::<f64>().is_ok_and(f64::is_finite)
}

fn shown(param: &Param) -> String {
    param.short.map_or_else(|| format!("--{}", param.long), |short| format!("-{short}/--{}", param.long))
}

fn find_long(name: &str, known: &[Param]) -> Result<Param, ArgError> {
    // A positional argument has `-` for its letter and no long option.
    let options = || known.iter().filter(|p| p.short != Some('-'));
    if let Some(exact) = options().find(|p| p.long == name) {
        return Ok(*exact);
    }
    let mut candidates = options().filter(|p| p.long.starts_with(name));
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(*only),
        (None, _) => Err(ArgError::Unknown(format!("--{name}"))),
        (Some(_), Some(_)) => Err(ArgError::Ambiguous(format!("--{name}"))),
    }
}

/// A switch without a letter.
pub const fn long_flag(long: &'static str, description: &'static str) -> Param {
    Param { short: None, long, description, argument: Argument::No, argument_type: "" }
}

/// An option with a value and without a letter.
pub const fn long_value(long: &'static str, kind: &'static str, description: &'static str) -> Param {
    Param { short: None, long, description, argument: Argument::Required, argument_type: kind }
}

/// Positional words.
pub const fn positional(kind: &'static str, description: &'static str) -> Param {
    Param { short: Some('-'), long: "", description, argument: Argument::Required, argument_type: kind }
}

/// C's `atoi`: blanks, a sign, digits; 0 where there are none. What does not fit stays at the bound.
pub fn atoi(text: &str) -> i32 {
    let text = text.trim_start();
    let is_number = |(at, b): &(usize, u8)| b.is_ascii_digit() || (*at == 0 && matches!(b, b'+' | b'-'));
    let end = text.bytes().enumerate().take_while(is_number).count();
    let digits = text[..end].trim_start_matches(['+', '-']);
    let is_negative = text.starts_with('-');
    // More digits than these are beyond either bound.
    let number: i64 = digits.get(..18).unwrap_or(digits).parse().unwrap_or(0);
    let number = if is_negative { -number } else { number };
    number.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}

/// C's `strtod` for decimal numbers: the longest begin that is one, 0 without and for what is no number.
pub fn strtod(text: &str) -> f64 {
    let text = text.trim_start();
    let ends = (1..=text.len().min(32)).rev().filter(|end| text.is_char_boundary(*end));
    let mut numbers = ends.filter_map(|end| text[..end].parse::<f64>().ok());
    numbers.find(|number| !number.is_nan()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{flag, value};

    const KNOWN: &[Param] =
        &[value('I', "indent", "int", ""), flag('n', "no-eos", ""), long_flag("noflush", ""), positional("F", "")];

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    #[test]
    fn options_and_words_in_any_order() {
        let line = parse(&words("a -nI2 --indent -3 --nof b --indent=-x -- -n"), KNOWN).unwrap();
        assert_eq!(line.words, ["a", "b", "-n"]);
        let given: Vec<_> = line.options.iter().map(|(name, value)| format!("{name}{value}")).collect();
        assert_eq!(given, ["no-eos", "indent2", "indent-3", "noflush", "indent-x"]);
        let fails = |text| parse(&words(text), KNOWN).unwrap_err().to_string();
        assert_eq!(fails("--no"), "ambiguous option: --no could match more than one option");
        assert_eq!(fails("-I -n"), "argument -I/--indent: expected one argument");
        assert_eq!(fails("-x"), "unrecognized arguments: -x");
        assert!(fails("--noflush=1").contains("ignored explicit"));
        assert!(fails("--=").contains("ambiguous") && fails("-é").contains("unrecognized"));
    }

    #[test]
    fn several_words_for_one_option() {
        let read = |text| parse_several(&words(text), KNOWN, &[("indent", 3)]).map_err(|why| why.to_string());
        let line = read("-I a b c d --indent e f g").unwrap();
        assert_eq!(line.options.iter().map(|(_, value)| value.as_str()).collect::<String>(), "abcefg");
        assert_eq!(line.words, ["d"]);
        assert_eq!(read("-I a b -n").unwrap_err(), "argument -I/--indent: expected 3 arguments");
    }

    #[test]
    fn numbers_as_c_reads_them() {
        let read = [" 12x", "-3", "+4", "", "x", "-", "99999999999999999999999", "-99999999999"].map(atoi);
        assert_eq!(read, [12, -3, 4, 0, 0, 0, i32::MAX, i32::MIN]);
        assert_eq!([" 2.5x", "-.5", "1e3 ", "", "nan", "é"].map(strtod), [2.5, -0.5, 1_000.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn all_spellings_of_the_interface() {
        for text in ["-i u:x -n", "-iu:x -n", "--ifcspec u:x -n", "--ifcspec=u:x -n"] {
            assert_eq!(plain_ifcspec(&words(text)), words("-i u:x -n"), "{text}");
        }
    }
}
