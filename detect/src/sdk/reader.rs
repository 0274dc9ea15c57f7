//! Records of an input, checked and typed, until they end.
use super::{Failure, GO_ON, Step};
use record::unirec::{Fields, Template, View, ViewError};
use trap::{Event, Format, Input};

/// Reads the records of one input that have the fields `F`.
#[derive(Debug)]
pub struct Reader<'i, F> {
    input: &'i mut Input,
    template: Template,
    /// None before a template is known.
    fields: Option<F>,
    /// The handler knows the template.
    is_told: bool,
    totals: Totals,
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records given to the module.
    pub records: u64,
    /// Records whose fields point outside of them; skipped.
    pub damaged: u64,
}

/// Why there are no more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The sender said so, or the last file ended.
    Sender,
    /// A signal came.
    Stop,
    /// The module broke off.
    Module,
}

/// What a module does with what comes. A closure over fields and record is one; implement it where more is of interest.
pub trait Handler<F> {
    /// A record came.
    fn record(&mut self, fields: &F, record: &View<'_>) -> Step;

    /// Records have this template from now on; called before the first one of it.
    fn template(&mut self, _template: &Template) -> Step {
        GO_ON
    }

    /// Nothing came within the timeout of the interface; never called with the timeout `WAIT`, which is the default.
    fn idle(&mut self) -> Step {
        GO_ON
    }
}

impl<F, H: FnMut(&F, &View<'_>) -> Step> Handler<F> for H {
    #[inline]
    fn record(&mut self, fields: &F, record: &View<'_>) -> Step {
        self(fields, record)
    }
}

impl<'i, F: Fields> Reader<'i, F> {
    /// Asks senders for the fields of `F`.
    pub fn new(input: &'i mut Input) -> Reader<'i, F> {
        let requirement = F::requirement();
        // A sender with exactly these fields brings no news of its template.
        let template = Template::parse(&requirement).unwrap_or_default();
        let fields = F::bind(&template).ok().filter(|_| !requirement.is_empty());
        input.require(Format::UniRec(requirement));
        Reader { input, template, fields, is_told: false, totals: Totals::default() }
    }

    /// What was read so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Calls `each` for every record until the sender ends the stream, the module is to stop, or `each` breaks.
    ///
    /// # Errors
    /// A sender that does not fit, records of another template than announced, and what `each` fails of.
    pub fn for_each(&mut self, mut each: impl FnMut(&F, &View<'_>) -> Step) -> Result<Ended, Failure> {
        self.run(&mut each)
    }

    /// As [`Reader::for_each`], for a module that also wants to know of templates and pauses.
    ///
    /// # Errors
    /// As [`Reader::for_each`].
    pub fn run(&mut self, handler: &mut impl Handler<F>) -> Result<Ended, Failure> {
        let outcome = self.receive(handler);
        if self.totals.damaged > 0 {
            eprintln!("Warning: {} damaged records were skipped.", self.totals.damaged);
        }
        outcome
    }

    fn receive(&mut self, handler: &mut impl Handler<F>) -> Result<Ended, Failure> {
        loop {
            let message = match self.input.recv().map_err(Failure::Receive)? {
                Event::Message(message) => message,
                Event::FormatChanged { format, first } => {
                    self.template = Template::parse(format.spec()).map_err(Failure::Template)?;
                    self.fields = Some(F::bind(&self.template).map_err(Failure::Missing)?);
                    self.is_told = false;
                    first
                }
                Event::Timeout => {
                    if handler.idle()?.is_break() {
                        return Ok(Ended::Module);
                    }
                    continue;
                }
                Event::EndOfStream => return Ok(Ended::Sender),
                Event::Terminated => return Ok(Ended::Stop),
            };
            // A template comes first unless it is the required one.
            let Some(fields) = &self.fields else { continue };
            if !self.is_told {
                self.is_told = true;
                if handler.template(&self.template)?.is_break() {
                    return Ok(Ended::Module);
                }
            }
            match View::new(&self.template, message) {
                Ok(record) => {
                    self.totals.records += 1;
                    if handler.record(fields, &record)?.is_break() {
                        return Ok(Ended::Module);
                    }
                }
                Err(ViewError::Short { need, have }) => return Err(Failure::WrongSize { need, have }),
                Err(_) => self.totals.damaged += 1,
            }
        }
    }
}
