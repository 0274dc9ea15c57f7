//! The XML configuration (spec/modules.md section 15): sections of fields, of which one is used.
use crate::xml::{self, XmlError};
use std::path::Path;

/// What is made of the values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Key,
    Sum,
    Min,
    Max,
    Avg,
    First,
    FirstNonEmpty,
    Last,
    LastNonEmpty,
    BitAnd,
    BitOr,
    Append,
    UniqueCount,
    SortedMerge,
    SortedMergeDir,
}

/// One field of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// The field that has its value in the other direction; empty if none.
    pub reverse: String,
    pub function: Function,
    /// Array that orders a sorted merge.
    pub sort_key: String,
    pub is_descending: bool,
    /// Stands behind each text that is appended.
    pub delimiter: u8,
    /// Elements, characters or distinct values, at the most.
    pub size: usize,
}

/// A section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub fields: Vec<Field>,
    /// The key is the five-tuple: both directions are one flow.
    pub is_biflow: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Xml(#[from] XmlError),
    #[error("Invalid file format. Expected '{expected}', given '{given}'")]
    Element { expected: &'static str, given: String },
    #[error("Invalid file format. Expected '<id name=\"NAME\">'")]
    NoName,
    #[error("Invalid file format. No ID ({0}) found.")]
    NoSection(String),
    #[error(
        "Invalid type field. Given: {0}, Expected: \
         KEY|SUM|MIN|MAX|AVG|FIRST|FIRST_NON_EMPTY|LAST|LAST_NON_EMPTY|BITAND|BITOR|APPEND|UNIQUE_COUNT|SORTED_MERGE|SORTED_MERGE_DIR."
    )]
    Type(String),
    #[error("Invalid sort type field. Given: {0}, Expected: ASCENDING|DESCENDING.")]
    SortType(String),
    #[error("Invalid delimiter length. Given: {0}, expected: 1.")]
    Delimiter(usize),
    #[error("Invalid size format. Given: {0}, expected: unsigned number.")]
    Size(String),
    #[error("A field has no name or no type.")]
    Incomplete,
    #[error("Field {0} needs sort_key and sort_type.")]
    Sort(String),
    #[error("Duplicit field name ({0})")]
    Duplicate(String),
    #[error("Invalid combination of name/reverse name. Expected {0}/{1}")]
    Reverse(&'static str, &'static str),
}

/// The five-tuple with its mirror; the protocol has none.
const MIRRORS: [(&str, &str); 4] =
    [("SRC_IP", "DST_IP"), ("DST_IP", "SRC_IP"), ("SRC_PORT", "DST_PORT"), ("DST_PORT", "SRC_PORT")];

impl Config {
    /// Reads the section of this name from a file.
    pub fn load(path: &Path, section: &str) -> Result<Config, ConfigError> {
        Config::parse(&xml::read(path)?, section)
    }

    /// Reads the section of this name.
    pub fn parse(text: &str, section: &str) -> Result<Config, ConfigError> {
        let document = xml::document(text)?;
        let root = document.root_element();
        expect(root, "aggregator")?;
        for id in root.children().filter(roxmltree::Node::is_element) {
            expect(id, "id")?;
            if id.attribute("name").ok_or(ConfigError::NoName)? == section {
                return Config::of_section(id);
            }
        }
        Err(ConfigError::NoSection(section.to_owned()))
    }

    fn of_section(section: roxmltree::Node<'_, '_>) -> Result<Config, ConfigError> {
        let mut fields = Vec::<Field>::new();
        for node in section.children().filter(roxmltree::Node::is_element) {
            expect(node, "field")?;
            let field = Field::parse(node)?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(ConfigError::Duplicate(field.name));
            }
            fields.push(field);
        }
        let is_key = |name: &str| fields.iter().any(|f| f.name == name && f.function == Function::Key);
        let is_biflow = is_key("PROTOCOL") && MIRRORS.iter().all(|(name, _)| is_key(name));
        if is_biflow {
            for (name, mirror) in MIRRORS {
                if fields.iter().any(|f| f.name == name && f.reverse != mirror) {
                    return Err(ConfigError::Reverse(name, mirror));
                }
            }
            add_mirrors(&mut fields);
        }
        Ok(Config { fields, is_biflow })
    }
}

/// A field whose mirror is not configured gets one with the same function. (The original makes it, too, but leaves it out of the
/// output template and writes it all the same.)
fn add_mirrors(fields: &mut Vec<Field>) {
    for at in 0..fields.len() {
        let field = &fields[at];
        if !field.reverse.is_empty() && !fields.iter().any(|other| other.name == field.reverse) {
            let mirror = Field { name: field.reverse.clone(), reverse: field.name.clone(), ..field.clone() };
            fields.push(mirror);
        }
    }
}

impl Field {
    fn parse(node: roxmltree::Node<'_, '_>) -> Result<Field, ConfigError> {
        let (mut name, mut reverse, mut function) = (String::new(), String::new(), None);
        let (mut sort_key, mut is_descending, mut delimiter, mut size) = (String::new(), None, 0, 0);
        for option in node.children().filter(roxmltree::Node::is_element) {
            let text = option.text().unwrap_or("");
            match option.tag_name().name() {
                "name" => name = text.to_owned(),
                "reverse_name" => reverse = text.to_owned(),
                "type" => function = Some(Function::of(text).ok_or_else(|| ConfigError::Type(text.to_owned()))?),
                "sort_key" => sort_key = text.to_owned(),
                "sort_type" => {
                    is_descending = Some(match text {
                        "ASCENDING" => false,
                        "DESCENDING" => true,
                        _ => return Err(ConfigError::SortType(text.to_owned())),
                    });
                }
                "delimiter" => match text.as_bytes() {
                    [one] => delimiter = *one,
                    other => return Err(ConfigError::Delimiter(other.len())),
                },
                "size" => {
                    let bad = || ConfigError::Size(text.to_owned());
                    size = text.trim().parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
                }
                given => {
                    let expected = "name|type|[reverse_name|sort_key|sort_type|delimiter|size]";
                    return Err(ConfigError::Element { expected, given: given.to_owned() });
                }
            }
        }
        let function = function.filter(|_| !name.is_empty()).ok_or(ConfigError::Incomplete)?;
        let sorts = matches!(function, Function::SortedMerge | Function::SortedMergeDir);
        if sorts && (sort_key.is_empty() || is_descending.is_none()) {
            return Err(ConfigError::Sort(name));
        }
        let is_descending = is_descending.unwrap_or(false);
        Ok(Field { name, reverse, function, sort_key, is_descending, delimiter, size })
    }
}

impl Function {
    fn of(text: &str) -> Option<Function> {
        Some(match text {
            "KEY" => Function::Key,
            "SUM" => Function::Sum,
            "MIN" => Function::Min,
            "MAX" => Function::Max,
            "AVG" => Function::Avg,
            "FIRST" => Function::First,
            "FIRST_NON_EMPTY" => Function::FirstNonEmpty,
            "LAST" => Function::Last,
            "LAST_NON_EMPTY" => Function::LastNonEmpty,
            "BITAND" => Function::BitAnd,
            "BITOR" => Function::BitOr,
            "APPEND" => Function::Append,
            "UNIQUE_COUNT" => Function::UniqueCount,
            "SORTED_MERGE" => Function::SortedMerge,
            "SORTED_MERGE_DIR" => Function::SortedMergeDir,
            _ => return None,
        })
    }
}

fn expect(node: roxmltree::Node<'_, '_>, expected: &'static str) -> Result<(), ConfigError> {
    let given = node.tag_name().name();
    if given == expected { Ok(()) } else { Err(ConfigError::Element { expected, given: given.to_owned() }) }
}

/// Any text as a configuration: names are distinct, the five-tuple has its mirrors.
pub fn fuzz_biflow_config(input: &[u8]) {
    if let Ok(config) = Config::parse(&String::from_utf8_lossy(input), "a") {
        let mut names: Vec<_> = config.fields.iter().map(|f| &f.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), config.fields.len());
        if config.is_biflow {
            assert!(config.fields.iter().all(|f| f.reverse.is_empty() || names.contains(&&f.reverse)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn section(fields: &str) -> Result<Config, ConfigError> {
        Config::parse(&format!("<aggregator><id name='b'/><id name='a'>{fields}</id></aggregator>"), "a")
    }

    fn tuple() -> String {
        let keys = MIRRORS.map(|(name, mirror)| {
            format!("<field><name>{name}</name><type>KEY</type><reverse_name>{mirror}</reverse_name></field>")
        });
        keys.concat() + "<field><name>PROTOCOL</name><type>KEY</type></field>"
    }

    #[test]
    fn fields_and_mirrors() {
        let text = "<field><name>S</name><type>APPEND</type><delimiter>;</delimiter><size>20</size></field>\
                    <field><name>P</name><type>SUM</type><reverse_name>P_REV</reverse_name></field>";
        let plain = section(text).unwrap();
        assert_eq!((plain.fields.len(), plain.is_biflow), (2, false));
        assert_eq!((plain.fields[0].delimiter, plain.fields[0].size), (b';', 20));
        let biflow = section(&(tuple() + text)).unwrap();
        assert!(biflow.is_biflow);
        let mirror = biflow.fields.last().unwrap();
        assert_eq!((mirror.name.as_str(), mirror.reverse.as_str(), biflow.fields.len()), ("P_REV", "P", 8));
    }

    #[test]
    fn what_is_refused() {
        for bad in [
            "<x/>",
            "<field/>",
            "<field><name>A</name></field>",
            "<field><name>A</name><type>SUMM</type></field>",
            "<field><name>A</name><type>SUM</type><what/></field>",
            "<field><name>A</name><type>SUM</type><size>0</size></field>",
            "<field><name>A</name><type>SUM</type><delimiter>ab</delimiter></field>",
            "<field><name>A</name><type>SORTED_MERGE</type></field>",
            "<field><name>A</name><type>SORTED_MERGE</type><sort_key>B</sort_key><sort_type>UP</sort_type></field>",
            "<field><name>A</name><type>SUM</type></field><field><name>A</name><type>MAX</type></field>",
            "<field>",
            &tuple().replace("<reverse_name>DST_IP</reverse_name>", ""),
        ] {
            assert!(section(bad).is_err(), "{bad}");
        }
        assert!(matches!(Config::parse("<aggregator/>", "a"), Err(ConfigError::NoSection(_))));
        assert!(matches!(Config::parse("<x/>", "a"), Err(ConfigError::Element { .. })));
        assert!(matches!(Config::parse("<aggregator><id/></aggregator>", "a"), Err(ConfigError::NoName)));
    }

    proptest! {
        #[test]
        fn nearly_valid(fields in "(<field>(<(name|type|size|reverse_name|delimiter|sort_key)>(A|B|SUM|KEY|APPEND|5|;)</(name|type|size)>){0,5}</field>){0,4}") {
            fuzz_biflow_config(format!("<aggregator><id name='a'>{fields}</id></aggregator>").as_bytes());
            fuzz_biflow_config(fields.as_bytes());
        }
    }
}
