//! Options behind a plugin's name, `name` or `name=value` each (spec/exporter.md section 3).
/// An option of a plugin.
#[derive(Clone, Copy, Debug)]
pub struct PluginOption {
    pub short: &'static str,
    pub long: &'static str,
    pub takes: Takes,
    pub about: &'static str,
}

/// What an option says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Yes or no, and which of them if the option is not given; its name alone is yes.
    Switch { default: bool },
    /// A number from `least` to `most`, and which if the option is not given.
    Number { least: u32, most: u32, default: u32 },
    /// Its name alone is yes; or what is named here.
    Naming(&'static str),
}

impl PluginOption {
    /// What stands behind the equals sign, for help: in brackets if it may be left out.
    #[must_use]
    pub fn argument(&self) -> String {
        match self.takes {
            Takes::Switch { default: false } => String::new(),
            Takes::Switch { default: true } => "[yes|no]".into(),
            Takes::Number { .. } => "N".into(),
            Takes::Naming(what) => format!("[{what}]"),
        }
    }

    /// What it is about, and what holds without it, for help.
    #[must_use]
    pub fn help(&self) -> String {
        match self.takes {
            Takes::Switch { default: true } => format!("{}, default yes", self.about),
            Takes::Number { default, .. } => format!("{}, default {default}", self.about),
            Takes::Switch { default: false } | Takes::Naming(_) => self.about.into(),
        }
    }
}

/// A plugin option that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("invalid option {0}")]
    Unknown(String),
    #[error("missing argument for option {0}")]
    MissingValue(String),
    #[error("invalid argument for option {0}: {1}")]
    BadValue(String, String),
}

impl OptionError {
    /// For the many plugins that have no options.
    pub fn unless_empty(options: &[&str]) -> Result<(), OptionError> {
        match options.first() {
            None => Ok(()),
            Some(o) => Err(OptionError::Unknown((*o).to_string())),
        }
    }
}

/// Name and value of an option.
pub(crate) fn split(option: &str) -> (&str, Option<&str>) {
    option.split_once('=').map_or((option, None), |(name, value)| (name, Some(value)))
}

/// Whether a switch is on. The original takes no value and calls one an unknown option; we accept what says yes or no.
pub(crate) fn switch(name: &str, value: Option<&str>) -> Result<bool, OptionError> {
    match value {
        None | Some("true" | "yes" | "on" | "1") => Ok(true),
        Some("false" | "no" | "off" | "0") => Ok(false),
        Some(other) => Err(OptionError::BadValue(name.into(), other.into())),
    }
}

/// A number as the original reads it: decimal, hexadecimal behind `0x`, octal behind `0`.
pub(crate) fn number(name: &str, value: Option<&str>) -> Result<u32, OptionError> {
    let text = value.filter(|text| !text.is_empty()).ok_or_else(|| OptionError::MissingValue(name.into()))?;
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    u32::from_str_radix(digits, radix).map_err(|_| OptionError::BadValue(name.into(), text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        assert_eq!(split("txt=a=b"), ("txt", Some("a=b")));
        assert_eq!(split("i"), ("i", None));
        assert_eq!((switch("i", None), switch("i", Some("no"))), (Ok(true), Ok(false)));
        assert!(switch("i", Some("perhaps")).is_err());
        for (text, value) in [("10", 10), ("0x10", 16), ("010", 8), ("0", 0)] {
            assert_eq!(number("n", Some(text)), Ok(value));
        }
        for text in [None, Some("")] {
            assert_eq!(number("n", text), Err(OptionError::MissingValue("n".into())));
        }
        for text in ["-1", "x", "09", "4294967296"] {
            assert!(number("n", Some(text)).is_err(), "{text}");
        }
    }
}
