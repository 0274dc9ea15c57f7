//! A mapping of the configuration: typed access to its keys, with errors that say where.
use serde_json::Value;

/// A mapping and where it is.
#[derive(Clone, Debug)]
pub struct Section {
    place: String,
    value: Value,
}

/// A key of the configuration is missing or no such thing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SectionError {
    #[error("{0} has no `{1}`")]
    Missing(String, String),
    #[error("`{1}` of {0} must be {2}")]
    Type(String, String, &'static str),
}

impl Section {
    pub fn new(place: impl Into<String>, value: Value) -> Section {
        Section { place: place.into(), value }
    }

    /// Where it is, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The value of a key; null is none.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there, also as null.
    pub fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some()
    }

    /// Its keys, with their values.
    pub fn keys(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.value.as_object().into_iter().flatten()
    }

    /// A text; numbers and truth values as they are written.
    ///
    /// # Errors
    /// It is a list or a mapping.
    pub fn text(&self, key: &str) -> Result<Option<String>, SectionError> {
        self.get(key).map(|value| scalar(value).ok_or_else(|| self.wrong(key, "a text"))).transpose()
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// It is not there or no text.
    pub fn need(&self, key: &str) -> Result<String, SectionError> {
        self.text(key)?.ok_or_else(|| SectionError::Missing(self.place.clone(), key.to_owned()))
    }

    /// A number from 0 to `max`.
    ///
    /// # Errors
    /// It is none.
    pub fn number(&self, key: &str, max: u64) -> Result<Option<u64>, SectionError> {
        let read = |value: &Value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        let read = |value| read(value).filter(|n| *n <= max).ok_or_else(|| self.wrong(key, "a number in its range"));
        self.get(key).map(read).transpose()
    }

    /// A truth value, also in the words of YAML 1.1.
    ///
    /// # Errors
    /// It is none.
    pub fn flag(&self, key: &str) -> Result<bool, SectionError> {
        match self.text(key)?.map(|text| text.to_ascii_lowercase()).as_deref() {
            None | Some("false" | "no" | "off" | "n" | "0") => Ok(false),
            Some("true" | "yes" | "on" | "y" | "1") => Ok(true),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    /// A mapping inside.
    ///
    /// # Errors
    /// It is something else.
    pub fn section(&self, key: &str) -> Result<Option<Section>, SectionError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) if value.is_object() => Ok(Some(self.inner(key, value))),
            Some(_) => Err(self.wrong(key, "a mapping")),
        }
    }

    /// A list of mappings.
    ///
    /// # Errors
    /// It is something else.
    pub fn list(&self, key: &str) -> Result<Option<Vec<Section>>, SectionError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let items = value.as_array().ok_or_else(|| self.wrong(key, "a list"))?;
        let items = items.iter().enumerate().map(|(at, item)| {
            let name = item.get("id").and_then(scalar).unwrap_or_else(|| format!("number {}", at + 1));
            Section::new(format!("{key} {name}"), item.clone())
        });
        Ok(Some(items.collect()))
    }

    /// A list of texts; a text alone is a list of one.
    ///
    /// # Errors
    /// It is something else.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, SectionError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(|item| scalar(item).ok_or_else(|| self.wrong(key, "a list of texts")));
                texts.collect()
            }
            Some(value) => Ok(vec![scalar(value).ok_or_else(|| self.wrong(key, "a list of texts"))?]),
        }
    }

    /// A mapping inside, which may be empty.
    pub fn inner(&self, key: &str, value: &Value) -> Section {
        Section::new(format!("{} of {}", key, self.place), value.clone())
    }

    fn wrong(&self, key: &str, what: &'static str) -> SectionError {
        SectionError::Type(self.place.clone(), key.to_owned(), what)
    }
}

/// A value that is no list and no mapping, as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        _ => None,
    }
}
