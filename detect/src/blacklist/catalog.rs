//! `bl_downloader_config.xml`: the lists that are known, where they come from and what they mean (spec/detectors.md section 8.5).
//!
//! The downloader needs all of it; reporters and the adaptive filter want to know which list a bit of an alert is. So what must be there is
//! decided by who asks: only a list without a number is refused here.
use super::LISTS_MAX;
use crate::configurator::elements;
use crate::xml::{self, XmlError};
use std::path::Path;

/// Where the original's installation keeps the file.
pub const DEFAULT_PATH: &str = "/etc/nemea/blacklistfilter/bl_downloader_config.xml";

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Elements of the structure `general`.
    pub general: Vec<(String, String)>,
    /// Elements of the structure `detector_files`.
    pub files: Vec<(String, String)>,
    /// In the order of the file.
    pub lists: Vec<List>,
}

/// What a list has entries of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Addresses and networks.
    Ip,
    /// URLs and domain names.
    Name,
}

/// One blacklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    pub kind: Kind,
    /// From 1 to 64.
    pub id: u8,
    /// Its elements, the number too.
    pub elements: Vec<(String, String)>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error("Invalid file format. A blacklist has the id \"{0}\"; needed is a number from 1 to {LISTS_MAX}")]
    Id(String),
}

impl Catalog {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub fn load(path: &Path) -> Result<Catalog, CatalogError> {
        Catalog::parse(&xml::read(path)?)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// See [`CatalogError`].
    pub fn parse(text: &str) -> Result<Catalog, CatalogError> {
        let document = xml::document(text)?;
        let mut catalog = Catalog::default();
        for structure in document.root_element().children().filter(|node| node.has_tag_name("struct")) {
            match structure.attribute("name") {
                Some("general") => catalog.general.extend(elements(structure)),
                Some("detector_files") => catalog.files.extend(elements(structure)),
                Some("blacklist_array") => {
                    for array in structure.children().filter(|node| node.has_tag_name("array")) {
                        let Some(kind) = array.attribute("type").and_then(Kind::of) else { continue };
                        for list in array.children().filter(|node| node.has_tag_name("struct")) {
                            catalog.lists.push(List::of(kind, elements(list).collect())?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(catalog)
    }

    /// The list of this kind that is this bit of a field; of several with one number the last.
    pub fn find(&self, kind: Kind, bit: u64) -> Option<&List> {
        self.lists.iter().rev().find(|list| list.kind == kind && list.bit() == bit)
    }
}

impl Kind {
    /// The kind of an array by its type.
    fn of(name: &str) -> Option<Kind> {
        match name {
            "IP" => Some(Kind::Ip),
            "URL/DNS" => Some(Kind::Name),
            _ => None,
        }
    }

    /// As it stands in the file.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Ip => "IP",
            Kind::Name => "URL/DNS",
        }
    }
}

impl List {
    fn of(kind: Kind, elements: Vec<(String, String)>) -> Result<List, CatalogError> {
        let text = find(&elements, "id").unwrap_or_default();
        let id = text.parse().ok().filter(|id| (1..=LISTS_MAX).contains(id));
        Ok(List { kind, id: id.ok_or_else(|| CatalogError::Id(text.to_owned()))?, elements })
    }

    /// The text of an element such as `name`, `category` or `source`.
    pub fn text(&self, name: &str) -> Option<&str> {
        find(&self.elements, name)
    }

    /// Its bit in the field of an alert.
    pub fn bit(&self) -> u64 {
        1 << (self.id - 1)
    }
}

/// The text of the last element of this name.
pub fn find<'e>(elements: &'e [(String, String)], name: &str) -> Option<&'e str> {
    elements.iter().rev().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
}

/// Any bytes as a catalog: each list is found by its bit.
pub fn fuzz_catalog(input: &[u8]) {
    let Ok(catalog) = Catalog::parse(&String::from_utf8_lossy(input)) else { return };
    for list in &catalog.lists {
        assert!(catalog.find(list.kind, list.bit()).is_some_and(|found| found.id == list.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"<configuration>
        <struct name="general"><element name="download_interval"> 10 </element></struct>
        <struct name="detector_files"><element name="IP4">/tmp/ip4.blist</element></struct>
        <struct name="blacklist_array">
          <array type="IP">
            <struct><element name="id">64</element><element name="name">Miners</element></struct>
            <!-- <struct><element name="id">x</element></struct> -->
          </array>
          <array type="URL/DNS"><struct><element name="id">1</element></struct><struct><element name="id">64</element></struct></array>
          <array type="Mail"><struct/></array>
        </struct></configuration>"#;

    #[test]
    fn lists_by_kind_and_bit() {
        let catalog = Catalog::parse(TEXT).unwrap();
        assert_eq!((catalog.general.len(), catalog.files.len(), catalog.lists.len()), (1, 1, 3));
        assert_eq!(find(&catalog.general, "download_interval"), Some("10"));
        let miners = catalog.find(Kind::Ip, 1 << 63).unwrap();
        assert_eq!((miners.text("name"), miners.text("source"), miners.kind.name()), (Some("Miners"), None, "IP"));
        assert_eq!(catalog.find(Kind::Ip, 1), None);
        assert_eq!(catalog.find(Kind::Name, 1).unwrap().id, 1);
        for id in ["0", "65", "", "x", "-1"] {
            let text = TEXT.replace(">64<", &format!(">{id}<"));
            assert!(matches!(Catalog::parse(&text), Err(CatalogError::Id(said)) if said == id), "{id}");
        }
        assert!(Catalog::parse("<configuration>").is_err());
    }

    proptest! {
        #[test]
        fn any_text(ids in prop::collection::vec(0u16..80, 0..9), kind in "IP|URL/DNS|x") {
            let lists: String = ids.iter().map(|id| format!("<struct><element name=\"id\">{id}</element></struct>")).collect();
            let text = format!("<c><struct name=\"blacklist_array\"><array type=\"{kind}\">{lists}</array></struct></c>");
            fuzz_catalog(text.as_bytes());
        }
    }
}
