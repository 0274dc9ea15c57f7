//! Reading UniRec records from an input: what every module that consumes records does alike.
//!
//! Contract: a record is a checked view of the message as it came. A sender's new template is taken before its first record, and
//! [`Next::Record`] says so. Records whose fields lie outside of them are skipped and counted.
use record::unirec::{SpecError, Template, View, ViewError};
use trap::{Event, Format, Input, TrapError};

/// Index that no template has: a getter of [`View`] answers `None` for it.
pub const NO_FIELD: usize = usize::MAX;

/// One input and the template of its sender.
#[derive(Debug)]
pub struct Reader<'i> {
    input: &'i mut Input,
    template: Template,
    /// The next record is the first of this template.
    is_new: bool,
    damaged: u64,
}

/// What reading brought.
#[derive(Debug)]
pub enum Next<'a> {
    /// A record; `is_new`: look its fields up, the template changed.
    Record { view: View<'a>, is_new: bool },
    /// Nothing in time.
    Nothing,
    /// A record was skipped: go on.
    Damaged,
    /// The sender ended the stream.
    Eof,
    /// The stop flag is set.
    Stopped,
}

/// Why reading ended early. The texts are those of the original's macros.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(#[from] SpecError),
    #[error("Error: data with wrong size received (expected size: >= {need}, received size: {have})")]
    WrongSize { need: usize, have: usize },
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
}

impl<'i> Reader<'i> {
    /// Requires the fields of `spec`; the empty text accepts any template.
    pub fn new(input: &'i mut Input, spec: &str) -> Result<Reader<'i>, ReadError> {
        // A sender that offers just these fields is announced by no change of format.
        let template = Template::parse(spec)?;
        input.require(Format::UniRec(spec.to_owned()));
        Ok(Reader { input, template, is_new: true, damaged: 0 })
    }

    /// Waits for the next record as the input's timeout says.
    pub fn read(&mut self) -> Result<Next<'_>, ReadError> {
        let record = match self.input.recv().map_err(ReadError::Receive)? {
            Event::Message(record) => record,
            Event::FormatChanged { format, first } => {
                self.template = Template::parse(format.spec())?;
                self.is_new = true;
                first
            }
            Event::Timeout => return Ok(Next::Nothing),
            Event::EndOfStream => return Ok(Next::Eof),
            Event::Terminated => return Ok(Next::Stopped),
        };
        match View::new(&self.template, record) {
            Ok(view) => Ok(Next::Record { view, is_new: std::mem::take(&mut self.is_new) }),
            Err(ViewError::Short { have, need }) => Err(ReadError::WrongSize { need, have }),
            Err(why) => {
                self.damaged += 1;
                if self.damaged.is_power_of_two() {
                    eprintln!("Warning: {} damaged records skipped: {why}", self.damaged);
                }
                Ok(Next::Damaged)
            }
        }
    }

    /// The input itself, to change its timeout.
    pub fn input(&mut self) -> &mut Input {
        self.input
    }

    /// Records skipped because their fields lay outside of them.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }
}

impl ReadError {
    /// Prints the cause and answers the exit code: 0 for a sender whose format does not fit, as in the originals, else 1.
    pub fn report(&self) -> u8 {
        eprintln!("{self}");
        u8::from(!matches!(self, ReadError::Receive(error) if matches!(error.code(), 24 | 25)))
    }
}

/// Where a field lies, [`NO_FIELD`] if it is not there.
pub fn field(template: &Template, name: &str) -> usize {
    template.index_of(name).unwrap_or(NO_FIELD)
}
