//! Options of detectors of our own, declared once: the struct, its defaults, the help, the parser with its bounds, and the tables of
//! docs/detectors.md come from one declaration.
//!
//! ```ignore
//! settings! {
//!     /// What the user asked for.
//!     pub struct Settings {
//!         /// Seconds of a window
//!         'w' "window" window: u64 = 300 in 1..=86400;
//!         /// Networks whose hosts are watched
//!         'n' "networks" networks: Networks => Networks::private(), "the private ones";
//!     }
//! }
//! ```
//! Text without a full stop: the default and the bounds are said behind it.
use crate::options::{Given, OptError};
use std::fmt;
use std::path::PathBuf;

/// A type that an option's value can be.
pub trait Setting: Sized {
    /// What the help calls it.
    const KIND: &'static str;
    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    fn read(text: &str) -> Result<Self, String>;
}

/// Why a command line was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: {0}")]
    Option(#[from] OptError),
    #[error("Error: option -{letter}: {why}")]
    Value { letter: char, why: String },
}

impl Setting for u64 {
    const KIND: &'static str = "uint64";

    fn read(text: &str) -> Result<u64, String> {
        crate::options::number(text).ok_or_else(|| format!("\"{text}\" is no whole number"))
    }
}

impl Setting for f64 {
    const KIND: &'static str = "float";

    fn read(text: &str) -> Result<f64, String> {
        text.trim().parse().ok().filter(|n: &f64| n.is_finite()).ok_or_else(|| format!("\"{text}\" is no number"))
    }
}

impl Setting for Option<PathBuf> {
    const KIND: &'static str = "string";

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a file needs a name".into()) } else { Ok(Some(text.into())) }
    }
}

/// Reads one option.
///
/// # Errors
/// It is no such value, or out of its bounds.
pub(crate) fn read<T: Setting>(
    given: &Given,
    is_inside: impl FnOnce(&T) -> bool,
    bounds: &str,
) -> Result<T, UsageError> {
    let letter = given.short;
    let value = T::read(&given.value).map_err(|why| UsageError::Value { letter, why })?;
    if is_inside(&value) {
        Ok(value)
    } else {
        Err(UsageError::Value { letter, why: format!("{} is out of bounds: it goes from {bounds}", given.value) })
    }
}

/// A set of ports, written as `53,123,6881-6889`.
#[derive(Clone, PartialEq, Eq)]
pub struct Ports(Box<[u64; 1024]>);

impl Ports {
    pub fn none() -> Ports {
        Ports(Box::new([0; 1024]))
    }

    /// Reads a list; the empty text is no port at all.
    ///
    /// # Errors
    /// The part that is neither a port nor a range of them.
    pub fn parse(text: &str) -> Result<Ports, String> {
        let mut ports = Ports::none();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            let range = first.parse::<u16>().ok().zip(last.parse::<u16>().ok()).filter(|(first, last)| first <= last);
            let (first, last) = range.ok_or_else(|| format!("\"{word}\" is no port and no range such as 6881-6889"))?;
            (first..=last).for_each(|port| ports.0[usize::from(port / 64)] |= 1 << (port % 64));
        }
        Ok(ports)
    }

    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port / 64)] & (1 << (port % 64)) != 0
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..=u16::MAX).filter(|port| self.contains(*port))).finish()
    }
}

impl Setting for Ports {
    const KIND: &'static str = "string";

    fn read(text: &str) -> Result<Ports, String> {
        Ports::parse(text)
    }
}

/// See the module.
macro_rules! settings {
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $text:literal])+
                $letter:literal $long:literal $field:ident : $ty:ty
                    $(= $default:literal in $least:literal ..= $most:literal)? $(=> $made:expr, $shown:literal)?;
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $( $(#[doc = $text])+ $vis $field: $ty, )+ }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $field: $($default)? $($made)?, )+ }
            }
        }

        impl $name {
            /// The options, for help and documentation.
            $vis const PARAMS: &'static [trap::module::Param] = &[$(
                $crate::options::value(
                    $letter,
                    $long,
                    <$ty as $crate::settings::Setting>::KIND,
                    concat!(
                        $($text,)+
                        $(" (default ", stringify!($default), "; ", stringify!($least), " to ", stringify!($most), ").",)?
                        $(" (default: ", $shown, ").",)?
                    ),
                ),
            )+];

            /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
            ///
            /// # Errors
            /// See [`UsageError`](crate::settings::UsageError).
            $vis fn parse(args: &[String]) -> Result<Self, $crate::settings::UsageError> {
                let mut settings = Self::default();
                for given in $crate::options::parse(args, Self::PARAMS)? {
                    match given.short {
                        $(
                            $letter => settings.$field = $crate::settings::read(
                                &given,
                                |_value: &$ty| true $(&& ($least..=$most).contains(_value))?,
                                concat!("" $(, stringify!($least), " to ", stringify!($most))?),
                            )?,
                        )+
                        // Every option is one of these.
                        _ => {}
                    }
                }
                Ok(settings)
            }
        }
    };
}
pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    settings! {
        /// For tests.
        struct Few {
            /// Seconds of
            /// a window
            'w' "window" window: u64 = 300 in 1..=86400;
            /// A share
            's' "share" share: f64 = 0.5 in 0.0..=1.0;
            /// Ports
            'p' "ports" ports: Ports => Ports::parse("53,80-82").unwrap_or_else(|_| unreachable!()), "53,80-82";
            /// A file
            'f' "file" file: Option<PathBuf> => None, "none";
        }
    }

    fn parse(line: &str) -> Result<Few, String> {
        Few::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).map_err(|why| why.to_string())
    }

    #[test]
    fn what_was_declared() {
        assert_eq!(parse(""), Ok(Few::default()));
        assert_eq!(Few::PARAMS[0].description, " Seconds of a window (default 300; 1 to 86400).");
        assert_eq!(Few::PARAMS[3].description, " A file (default: none).");
        let given = parse("-w 5 --share=1 -p 443 -f /x").unwrap();
        assert_eq!((given.window, given.share, given.file), (5, 1.0, Some("/x".into())));
        assert!(given.ports.contains(443) && !given.ports.contains(53));
        for (line, says) in [
            ("-w 0", "option -w: 0 is out of bounds: it goes from 1 to 86400"),
            ("-w x", "option -w: \"x\" is no whole number"),
            ("-s nan", "option -s: \"nan\" is no number"),
            ("-s 1.1", "1.1 is out of bounds"),
            ("-p 80-79", "\"80-79\" is no port"),
            ("-q", "unknown option -q"),
        ] {
            assert!(parse(line).unwrap_err().contains(says), "{line}");
        }
    }

    #[test]
    fn sets_of_ports() {
        let ports = Ports::parse("0, 63-65,65535").unwrap();
        assert_eq!(format!("{ports:?}"), "[0, 63, 64, 65, 65535]");
        assert_eq!(format!("{:?}", Ports::parse("").unwrap()), "[]");
        assert!(Ports::parse("65536").is_err() && Ports::parse("-").is_err() && Ports::parse("1-2-3").is_err());
    }
}
