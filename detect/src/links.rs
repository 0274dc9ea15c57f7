//! The command line of mux and demux: how many links there are (spec/modules.md section 16).
use crate::muxed::LINKS_MAX;
use crate::options::{self, OptError, value};
use trap::Spec;
use trap::module::{self, ModuleInfo, Param};

/// The one option.
pub const PARAMS: &[Param] = &[value(
    'n',
    "link_count",
    "int32",
    "Number of links, 1 to 32. Must be that of the interfaces after -i. Mandatory.",
)];

/// Why the number of links was refused; each with its exit code.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinksError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] OptError),
    #[error("Error: Number of {0} interfaces must be positive integer.")]
    NotPositive(&'static str),
    #[error("Error: More than {LINKS_MAX} interfaces is not allowed by TRAP library.")]
    TooMany,
    #[error("Error: -n says {links} links, so -i needs {links} interfaces and one more; it has {got}.")]
    Interfaces { links: u16, got: usize },
}

/// Number of links of a whole command line, whose interfaces are called `direction` in messages. An error is an exit code, and
/// everything was said.
pub fn read(info: &ModuleInfo, direction: &'static str, args: &[String]) -> Result<u16, u8> {
    let argv = std::iter::once(info.name.to_owned()).chain(args.iter().cloned());
    let line = module::parse(argv).map_err(|exit| exit.report(info) as u8)?;
    let interfaces = Spec::parse(&line.ifc_spec).map_or(0, |specs| specs.len());
    parse(&line.args[1..], direction, interfaces).map_err(|why| {
        eprintln!("{why}");
        if matches!(why, LinksError::Option(_)) { 1 } else { 2 }
    })
}

/// Number of links; `interfaces` is how many `-i` names, 0 if that cannot be read (which is said later).
fn parse(args: &[String], direction: &'static str, interfaces: usize) -> Result<u16, LinksError> {
    let mut links = 0;
    for given in options::parse(args, PARAMS)? {
        links = options::number(&given.value).unwrap_or(0);
    }
    match links {
        0 => Err(LinksError::NotPositive(direction)),
        1..=LINKS_MAX => {
            let links = links as u16;
            let right = interfaces == 0 || interfaces == usize::from(links) + 1;
            if right { Ok(links) } else { Err(LinksError::Interfaces { links, got: interfaces }) }
        }
        _ => Err(LinksError::TooMany),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_links() {
        let read = |line: &str| {
            let args: Vec<_> = line.split_whitespace().map(String::from).collect();
            parse(&args, "input", 3).map_err(|why| why.to_string())
        };
        assert_eq!(read("-n 2"), Ok(2));
        assert_eq!(read("--link_count=2"), Ok(2));
        for (line, said) in [
            ("", "Error: Number of input interfaces must be positive integer."),
            ("-n x", "Error: Number of input interfaces must be positive integer."),
            ("-n 33", "Error: More than 32 interfaces is not allowed by TRAP library."),
            ("-n 3", "Error: -n says 3 links, so -i needs 3 interfaces and one more; it has 3."),
            ("-x", "Error: Invalid arguments.\nunknown option -x: see the help (-h)"),
        ] {
            assert_eq!(read(line).unwrap_err(), said);
        }
    }
}
