//! The command line of a module, from its parameters and interfaces (section 3.3).
//!
//! Differences from the original: empty quotes are an empty argument; any blank separates; parameters that cannot be read keep the
//! module from starting, where the original started it without any; an interface without parameters keeps its colon and its comma.
use super::{Direction, Interface, Module};
use thiserror::Error;

/// Bytes of the parameters of a module, at the most.
pub const PARAMS_MAX: usize = 64 << 10;

/// Bytes of a module's name, at the most: files are called after it.
pub const NAME_MAX: usize = 200;

/// Why a module cannot be started as configured.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// A quote has no end.
    #[error("the quote {0} in the parameters has no end")]
    Unterminated(char),
    /// A quote stands inside a word.
    #[error("a quote {0} stands in the middle of a word of the parameters; quote the whole word")]
    InsideWord(char),
    /// More than [`PARAMS_MAX`].
    #[error("the parameters are longer than {PARAMS_MAX} bytes")]
    TooLong,
    /// No process takes such an argument.
    #[error("the parameters have a NUL")]
    Nul,
    /// Logs are called after modules.
    #[error("the name of a module has no / in it, does not begin with a dot and is no longer than {NAME_MAX} bytes")]
    Name,
    /// As the original says it.
    #[error("Wrong ifc_type in module {module} (interface number {number}).")]
    Type { module: String, number: usize },
    /// As the original says it, of the direction.
    #[error("Wrong ifc_direction in module {module} (interface number {number}).")]
    Direction { module: String, number: usize },
}

/// What follows `argv[0]`, which is the module's name.
///
/// # Errors
/// [`CommandError`].
pub fn arguments(module: &Module) -> Result<Vec<String>, CommandError> {
    check_name(&module.name)?;
    let mut arguments = tokens(module.params.as_deref().unwrap_or_default())?;
    if !module.interfaces.is_empty() {
        arguments.push("-i".into());
        arguments.push(ifc_spec(module)?);
    }
    Ok(arguments)
}

/// Whether files can be called after a module.
///
/// # Errors
/// [`CommandError::Name`].
pub fn check_name(name: &str) -> Result<(), CommandError> {
    let is_file = !name.contains(['/', '\0']) && !name.starts_with('.') && (1..=NAME_MAX).contains(&name.len());
    if is_file { Ok(()) } else { Err(CommandError::Name) }
}

/// The words of a text: separated by blanks, `"..."` and `'...'` keep theirs together. Nothing is escaped or expanded.
///
/// # Errors
/// [`CommandError`].
pub fn tokens(params: &str) -> Result<Vec<String>, CommandError> {
    if params.len() > PARAMS_MAX {
        return Err(CommandError::TooLong);
    }
    if params.contains('\0') {
        return Err(CommandError::Nul);
    }
    let mut words = Vec::new();
    let mut rest = params.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '"' | '\'' => {
                let (word, behind) = rest[1..].split_once(first).ok_or(CommandError::Unterminated(first))?;
                if behind.starts_with(|next: char| !next.is_whitespace()) {
                    return Err(CommandError::InsideWord(first));
                }
                (word, behind)
            }
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                if let Some(quote) = rest[..end].chars().find(|c| matches!(c, '"' | '\'')) {
                    return Err(CommandError::InsideWord(quote));
                }
                rest.split_at(end)
            }
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    Ok(words)
}

/// The argument of `-i`: inputs first, then outputs, each in the order of the file.
///
/// # Errors
/// [`CommandError`]: type or direction of one is missing.
pub fn ifc_spec(module: &Module) -> Result<String, CommandError> {
    let name = || module.name.clone();
    for (number, interface) in module.interfaces.iter().enumerate() {
        if interface.kind.is_none() {
            return Err(CommandError::Type { module: name(), number });
        }
        if interface.direction.is_none() {
            return Err(CommandError::Direction { module: name(), number });
        }
    }
    let of = |direction| module.interfaces.iter().filter(move |ifc| ifc.direction == Some(direction));
    let all = of(Direction::In).chain(of(Direction::Out));
    Ok(all.filter_map(spec_of).collect::<Vec<_>>().join(","))
}

/// An interface as a specifier; `None` without a type.
#[must_use]
pub fn spec_of(interface: &Interface) -> Option<String> {
    // Configurations of old have `address,port`; a comma would begin the next interface.
    let params = interface.params.as_deref().unwrap_or_default().replacen(',', ":", 1);
    Some(format!("{}:{params}", interface.kind?.letter()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Limits};

    fn words(params: &str) -> Result<Vec<String>, CommandError> {
        tokens(params)
    }

    #[test]
    fn words_and_quotes() {
        assert_eq!(
            words(" -t  -w \"/tmp/out file.csv\" 'a \"b\"' ").unwrap(),
            ["-t", "-w", "/tmp/out file.csv", "a \"b\""]
        );
        assert_eq!(words("-f \"\" $HOME \\n").unwrap(), ["-f", "", "$HOME", "\\n"]);
        assert_eq!(words(""), Ok(vec![]));
        assert_eq!(words("a 'b"), Err(CommandError::Unterminated('\'')));
        assert_eq!(words("a=\"b\""), Err(CommandError::InsideWord('"')));
        assert_eq!(words("\"a\"b"), Err(CommandError::InsideWord('"')));
    }

    #[test]
    fn inputs_come_first_and_nothing_is_cut() {
        let ifc = |kind, direction, params: &str| Interface {
            kind: Some(kind),
            direction: Some(direction),
            params: (!params.is_empty()).then(|| params.into()),
            note: None,
        };
        let mut module = Module {
            name: "m".into(),
            enabled: true,
            path: "/bin/m".into(),
            params: Some("-v".into()),
            restarts: 3,
            interfaces: vec![
                ifc(Kind::Blackhole, Direction::Out, ""),
                ifc(Kind::Tls, Direction::Out, "8000:key:cert:ca"),
                ifc(Kind::Tcp, Direction::In, "localhost,7600"),
                ifc(Kind::Unix, Direction::In, "flows"),
            ],
            after: vec![],
            limits: Limits::default(),
        };
        let expected = ["-v", "-i", "t:localhost:7600,u:flows,b:,T:8000:key:cert:ca"];
        assert_eq!(arguments(&module).unwrap(), expected);
        module.interfaces[1].kind = None;
        assert_eq!(arguments(&module).unwrap_err().to_string(), "Wrong ifc_type in module m (interface number 1).");
    }
}
