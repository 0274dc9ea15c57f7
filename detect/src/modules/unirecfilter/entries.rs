//! What goes to each output: a template with defaults and a filter, from the command line or a file (spec/modules.md section 4).
use record::Kind;
use record::unirec::{Builder, SpecError, Taken, Template, TooLarge};

/// Bytes of a file of entries, at the most.
pub const FILE_MAX: u64 = 16 << 20;

/// One output as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Empty: as the input.
    pub template: String,
    /// Empty: every record.
    pub filter: Vec<u8>,
}

/// Why a file holds no entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("Syntax error while parsing filter file: delimiter ':' not found.")]
    NoColon,
    #[error("Syntax error while parsing file: delimiter ';' not found.")]
    NoSemicolon,
}

/// Reads `TEMPLATE:FILTER;` up to `most` times; what lies behind is not looked at, as in the original.
pub fn parse(mut text: &[u8], most: usize) -> Result<Vec<Entry>, EntryError> {
    let mut entries = Vec::new();
    while entries.len() < most {
        match text {
            [] => break,
            [b';' | b' ' | b'\t' | b'\n' | b'\r', rest @ ..] => text = rest,
            [b'#', ..] => {
                let end = text.iter().position(|b| *b == b'\n').unwrap_or(text.len());
                text = &text[end..];
            }
            _ => {
                let colon = find_unquoted(text, b':').ok_or(EntryError::NoColon)?;
                let behind = &text[colon + 1..];
                let end = find_unquoted(behind, b';').ok_or(EntryError::NoSemicolon)?;
                let template = String::from_utf8_lossy(&text[..colon]).into_owned();
                entries.push(Entry { template, filter: behind[..end].to_vec() });
                text = &behind[end + 1..];
            }
        }
    }
    Ok(entries)
}

/// Why a template of an output cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    #[error(
        "Error: output template format is not accurate: {0}.\nIt should be: \"type1 name1,type2 name2,...\".\nName of field may be any \
         string matching the regular expression [A-Za-z][A-Za-z0-9_]*\nAvailable types are: int8, int16, int32, int64, uint8, uint16, \
         uint32, uint64, char,\nfloat, double, ipaddr, macaddr, time, string, bytes and arrays of numbers, ipaddr, macaddr, time \
         (uint8*)"
    )]
    Spec(#[from] SpecError),
    #[error("Error: output field {name} has type {output}, in the input it is {input}: give it that type.")]
    Type { name: String, output: &'static str, input: &'static str },
    #[error("Error: the defaults do not fit: {0}")]
    Defaults(#[from] TooLarge),
}

/// A template and its record of defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub template: Template,
    /// A record of the template.
    pub record: Vec<u8>,
    /// `NAME set default to TEXT` of each default, and complaints about unreadable ones.
    pub notes: Vec<String>,
}

impl Model {
    /// Reads `type NAME[=default],...`. Commas and blanks in double quotes belong to the default (the original dies of them).
    pub fn parse(text: &str) -> Result<Model, OutputError> {
        let mut spec = String::new();
        let mut defaults = Vec::new();
        let mut rest = text;
        while !rest.trim_start().is_empty() {
            let end = find_unquoted(rest.as_bytes(), b',').unwrap_or(rest.len());
            let item = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or("");
            let (field, default) = item.split_once('=').map_or((item, None), |(field, default)| (field, Some(default)));
            spec.push_str(field);
            spec.push(',');
            let name = field.split_whitespace().next_back().unwrap_or_default();
            defaults.extend(default.map(|default| (name, default)));
        }
        let template = Template::parse(&spec)?;
        let mut builder = Builder::new(&template);
        let mut notes = Vec::new();
        for (name, default) in defaults {
            notes.push(format!("{name} set default to {default}"));
            // The template was made of these very names.
            let Some(index) = template.index_of(name) else { continue };
            match builder.set_text(index, unquoted(default).as_bytes()) {
                Ok(Taken::Whole) => {}
                Ok(Taken::TimeUnreadable) => notes.push("Failed to parse time.".into()),
                Err(why) => notes.push(format!("set_default_values: Failed to get string from field {name}: {why}.")),
            }
        }
        let mut record = Vec::new();
        builder.finish(&mut record)?;
        Ok(Model { template, record, notes })
    }

    /// A field that the input has, too, must have its type.
    pub fn check(&self, input: &Template) -> Result<(), OutputError> {
        let unirec = |kind: Kind| kind.unirec_name();
        for field in self.template.fields() {
            match input.index_of(&field.name).map(|at| input.fields()[at].kind) {
                Some(kind) if kind != field.kind => {
                    let (output, input) = (unirec(field.kind), unirec(kind));
                    return Err(OutputError::Type { name: field.name.clone(), output, input });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Place of the first `mark` outside of double quotes; a backslash takes the meaning from what follows it.
fn find_unquoted(text: &[u8], mark: u8) -> Option<usize> {
    let (mut at, mut quoted) = (0, false);
    while let Some(b) = text.get(at) {
        match b {
            b if *b == mark && !quoted => return Some(at),
            b'\\' => at += 1,
            b'"' => quoted = !quoted,
            _ => {}
        }
        at += 1;
    }
    None
}

/// The content of `"..."` up to the next quote that is not escaped; other text as it is.
fn unquoted(default: &str) -> &str {
    match default.strip_prefix('"') {
        Some(inner) => &inner[..find_quote(inner).unwrap_or(inner.len())],
        None => default,
    }
}

fn find_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    })
}

/// Any bytes as a file and as a template: what is read fits its template, and entries are no longer than the file.
pub fn fuzz_entries(input: &[u8]) {
    if let Ok(entries) = parse(input, 32) {
        assert!(entries.len() <= 32);
        assert!(entries.iter().map(|e| e.filter.len()).sum::<usize>() <= input.len());
        entries.iter().for_each(|entry| drop(Model::parse(&entry.template)));
    }
    if let Ok(model) = Model::parse(&String::from_utf8_lossy(input)) {
        let view = record::unirec::View::new(&model.template, &model.record);
        assert!(view.is_ok(), "defaults make a record");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_of_a_file() {
        let file = b"# two\n uint8 A=\"x:y;\",string B : A == 1 ||\n B == \";:\" ;\t:;\n:X==1;rest";
        let entries = parse(file, 3).unwrap();
        assert_eq!(entries[0].template, "uint8 A=\"x:y;\",string B ");
        assert_eq!(entries[0].filter, b" A == 1 ||\n B == \";:\" ");
        assert_eq!(entries[1], Entry::default());
        assert_eq!(entries[2].filter, b"X==1");
        assert_eq!(parse(file, 4), Err(EntryError::NoColon));
        assert_eq!(parse(b":X == 1", 1), Err(EntryError::NoSemicolon));
        assert_eq!(parse(b"# only this", 1), Ok(vec![]));
        assert_eq!(parse(b":S == \"a\\\";b\";", 1).unwrap()[0].filter, b"S == \"a\\\";b\"");
    }

    #[test]
    fn templates_with_defaults() {
        let model = Model::parse("string NOTE=\"a, b\",uint16 X=77 , uint16* L=1 2 3,ipaddr I,time T=soon").unwrap();
        assert_eq!(model.template.spec(), "ipaddr I,time T,uint16 X,string NOTE,uint16* L");
        let view = record::unirec::View::new(&model.template, &model.record).unwrap();
        assert_eq!((view.bytes(3), view.uint(2)), (Some(&b"a, b"[..]), Some(77)));
        assert_eq!(view.list(4).unwrap().len(), 3);
        assert_eq!(model.notes[0], "NOTE set default to \"a, b\"");
        assert_eq!(model.notes.last().unwrap(), "Failed to parse time.");
        assert!(matches!(Model::parse("uint9 A"), Err(OutputError::Spec(_))));
        let input = Template::parse("uint32 X").unwrap();
        assert!(matches!(model.check(&input), Err(OutputError::Type { .. })));
        assert_eq!(Model::parse("uint32 X,string S").unwrap().check(&input), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz_entries(&data);
        }

        #[test]
        fn nearly_valid(text in "((uint8|string|time\\*) [A-C](=[0-9 ]{0,4}|=\"[a:;,\\\\]{0,5}\")?[,:]?|[:;#\n]|A == 1){0,9}") {
            fuzz_entries(text.as_bytes());
        }
    }
}
