//! The XML settings of the blacklist filters and miner_detector, in the format of NEMEA's configurator (spec/detectors.md section 0.1).
//!
//! ```xml
//! <configuration><struct name="main struct"><element name="KEY">value</element></struct></configuration>
//! ```
//! Elements of all structures count, of two with one name the later one; blanks around values and unknown elements do not.
use crate::argparse::atoi;
use crate::xml::{self, XmlError};
use std::collections::HashMap;
use std::path::Path;

/// Bytes of a text, at the most; the rest is cut, as by the original's fields of 256 with a NUL.
pub const TEXT_MAX: usize = 255;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elements(HashMap<String, String>);

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("Could not parse XML configuration: {0}")]
    Xml(#[from] XmlError),
    #[error("Could not parse XML configuration: element <configuration> expected, <{0}> found")]
    Root(String),
    #[error("Could not parse XML configuration: the required element \"{0}\" is missing")]
    Missing(&'static str),
}

impl Elements {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is no configuration.
    pub fn load(path: &Path) -> Result<Elements, SettingsError> {
        Elements::parse(&xml::read(path)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// It is no configuration.
    pub fn parse(text: &str) -> Result<Elements, SettingsError> {
        let document = xml::document(text)?;
        let root = document.root_element();
        if !root.has_tag_name("configuration") {
            return Err(SettingsError::Root(root.tag_name().name().to_owned()));
        }
        let structures = root.children().filter(|node| node.has_tag_name("struct"));
        Ok(Elements(structures.flat_map(elements).collect()))
    }

    /// A text of at most [`TEXT_MAX`] bytes; none for a missing element.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|text| &text[..text.floor_char_boundary(TEXT_MAX)])
    }

    /// As [`Elements::text`], for an element that must be there.
    ///
    /// # Errors
    /// [`SettingsError::Missing`].
    pub fn required(&self, key: &'static str) -> Result<&str, SettingsError> {
        self.text(key).ok_or(SettingsError::Missing(key))
    }

    /// The number at the beginning of a text, as C's `atoi` reads it; below 0 counts as 0.
    ///
    /// # Errors
    /// [`SettingsError::Missing`].
    pub fn number(&self, key: &'static str) -> Result<u32, SettingsError> {
        self.required(key).map(|text| atoi(text).max(0) as u32)
    }
}

/// Name and text of each `<element name="NAME">text</element>` right below a node; one without a name has no meaning.
pub(crate) fn elements<'a>(node: roxmltree::Node<'a, 'a>) -> impl Iterator<Item = (String, String)> + use<'a> {
    let elements = node.children().filter(|child| child.has_tag_name("element"));
    elements.filter_map(|element| {
        let text = element.text().unwrap_or_default().trim();
        Some((element.attribute("name")?.to_owned(), text.to_owned()))
    })
}

/// Any bytes as settings: what is accepted has texts within bounds.
pub fn fuzz_settings(input: &[u8]) {
    if let Ok(elements) = Elements::parse(&String::from_utf8_lossy(input)) {
        assert!(elements.0.keys().all(|key| elements.text(key).is_some_and(|text| text.len() <= TEXT_MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_of_all_structures() {
        let long = "é".repeat(200);
        let text = format!(
            "<configuration><struct name=\"a\"><element name=\"path\"> /x y\n</element><element>z</element><other/></struct>\
             <struct><element name=\"n\">12x</element><element name=\"minus\">-3</element><element name=\"empty\"/>\
             <element name=\"long\">{long}</element></struct></configuration>"
        );
        let elements = Elements::parse(&text).unwrap();
        assert_eq!((elements.text("path"), elements.text("empty"), elements.text("z")), (Some("/x y"), Some(""), None));
        assert_eq!((elements.number("n").unwrap(), elements.number("minus").unwrap()), (12, 0));
        assert_eq!(elements.text("long").unwrap().len(), 254);
        assert!(matches!(elements.required("z"), Err(SettingsError::Missing("z"))));
        for bad in ["", "x", "<a/>", "<configuration>"] {
            assert!(Elements::parse(bad).unwrap_err().to_string().starts_with("Could not parse XML configuration"));
        }
    }

    proptest! {
        #[test]
        fn any_text(text in r#"(</?(configuration|struct|element)( name="[a-z]{0,3}")?/?>|[a-z0-9 ]{0,5}){0,9}"#) {
            fuzz_settings(text.as_bytes());
            fuzz_settings(format!("<configuration>{text}</configuration>").as_bytes());
        }
    }
}
