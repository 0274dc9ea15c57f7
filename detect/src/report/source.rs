//! What comes in: UniRec records or JSON messages of a detector, and what a mapping makes of each.
use record::unirec::{Fields, Template, View};
use serde_json::Value;
use trap::Format;

/// A message; none if the record is no alert to be told; or why it cannot become one.
pub type Converted = Result<Option<Value>, Refused>;

/// Why a record becomes no message. The original ends with a traceback there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    /// A member of a JSON message is missing or of another type.
    pub fn member(name: &str) -> Refused {
        Refused(format!("the message has no fitting member \"{name}\""))
    }
}

/// Where messages of one reporter come from.
pub trait Source {
    /// What the input requires.
    fn format(&self) -> Format;
    /// The sender's records have this format from now on.
    ///
    /// # Errors
    /// It does not fit.
    fn begin(&mut self, format: &Format) -> Result<(), String>;
    /// Makes a message.
    ///
    /// # Errors
    /// See [`Refused`]; also for bytes that are no record.
    fn convert(&mut self, bytes: &[u8]) -> Converted;
}

/// A source of records with the fields `F`.
pub fn records<F: Fields + 'static>(convert: impl FnMut(&F, &View<'_>) -> Converted + 'static) -> Box<dyn Source> {
    // A sender that offers just these fields is announced by no change of format.
    let template = Template::parse(&F::requirement()).unwrap_or_default();
    let fields = F::bind(&template).ok();
    Box::new(Records { template, fields, convert })
}

/// A source of JSON messages of this format.
pub fn messages(format: &'static str, convert: impl FnMut(&Value) -> Converted + 'static) -> Box<dyn Source> {
    Box::new(Messages { format, convert })
}

struct Records<F, C> {
    template: Template,
    fields: Option<F>,
    convert: C,
}

impl<F: Fields, C: FnMut(&F, &View<'_>) -> Converted> Source for Records<F, C> {
    fn format(&self) -> Format {
        Format::UniRec(F::requirement())
    }

    fn begin(&mut self, format: &Format) -> Result<(), String> {
        self.template = Template::parse(format.spec()).map_err(|why| why.to_string())?;
        self.fields = Some(F::bind(&self.template).map_err(|why| why.to_string())?);
        Ok(())
    }

    fn convert(&mut self, bytes: &[u8]) -> Converted {
        let Some(fields) = &self.fields else { return Err(Refused("its template is not known".into())) };
        let view = View::new(&self.template, bytes).map_err(|why| Refused(why.to_string()))?;
        (self.convert)(fields, &view)
    }
}

struct Messages<C> {
    format: &'static str,
    convert: C,
}

impl<C: FnMut(&Value) -> Converted> Source for Messages<C> {
    fn format(&self) -> Format {
        Format::Json(self.format.into())
    }

    fn begin(&mut self, _format: &Format) -> Result<(), String> {
        Ok(())
    }

    fn convert(&mut self, bytes: &[u8]) -> Converted {
        let message = serde_json::from_slice(bytes).map_err(|why| Refused(format!("it is no JSON: {why}")))?;
        (self.convert)(&message)
    }
}
