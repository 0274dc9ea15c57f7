//! Reading UniRec records from an input: what every module that consumes records does alike.
//!
//! Contract: a record is a checked view of the message as it came. A sender's new template is taken before its first record, and
//! [`Next::Record`] says so. Records whose fields lie outside of them are skipped and counted.
use record::unirec::{SpecError, Template, View, ViewError};
use trap::{Event, Format, Input, TrapError};

/// Index that no template has: a getter of [`View`] answers `None` for it.
pub const NO_FIELD: usize = usize::MAX;

/// Messages of one input as records of the template that their sender has now: what the [`Reader`] here and that of [`crate::stream`]
/// are made of. It prints and counts nothing.
#[derive(Debug)]
pub(crate) struct Records<'i> {
    pub(crate) input: &'i mut Input,
    template: Template,
    /// The next record is the first of this template.
    is_new: bool,
}

/// What [`Records::next`] found.
pub(crate) enum Received<'a> {
    Record {
        view: View<'a>,
        is_new: bool,
    },
    /// A message that is no record of the template.
    Bad(ViewError),
    /// Nothing in time.
    Nothing,
    /// The sender ended the stream.
    Eof,
    /// The stop flag is set.
    Stopped,
}

/// Why nothing more can be received. The texts are those of the originals.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("Error: the sender's template cannot be read: {0}")]
    Template(#[from] SpecError),
    #[error("{}", .0.recv_text())]
    Receive(TrapError),
}

impl Fault {
    /// Whether the sender's format does not fit: that ends a module with 0, as in the originals; everything else is a failure.
    pub(crate) fn is_mismatch(&self) -> bool {
        matches!(self, Fault::Receive(error) if matches!(error.code(), 24 | 25))
    }
}

impl<'i> Records<'i> {
    /// Requires the fields of `spec`; the empty text accepts any template.
    pub(crate) fn new(input: &'i mut Input, spec: &str) -> Result<Records<'i>, SpecError> {
        // A sender that offers just these fields is announced by no change of format.
        let template = Template::parse(spec)?;
        input.require(Format::UniRec(spec.to_owned()));
        Ok(Records { input, template, is_new: true })
    }

    /// Waits for the next message as the input's timeout says.
    pub(crate) fn next(&mut self) -> Result<Received<'_>, Fault> {
        let record = match self.input.recv().map_err(Fault::Receive)? {
            Event::Message(record) => record,
            Event::FormatChanged { format, first } => {
                self.template = Template::parse(format.spec())?;
                self.is_new = true;
                first
            }
            Event::Timeout => return Ok(Received::Nothing),
            Event::EndOfStream => return Ok(Received::Eof),
            Event::Terminated => return Ok(Received::Stopped),
        };
        Ok(match View::new(&self.template, record) {
            Ok(view) => Received::Record { view, is_new: std::mem::take(&mut self.is_new) },
            Err(why) => Received::Bad(why),
        })
    }
}

/// One input and the template of its sender.
#[derive(Debug)]
pub struct Reader<'i> {
    records: Records<'i>,
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
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("Error: data with wrong size received (expected size: >= {need}, received size: {have})")]
    WrongSize { need: usize, have: usize },
}

impl<'i> Reader<'i> {
    /// Requires the fields of `spec`; the empty text accepts any template.
    pub fn new(input: &'i mut Input, spec: &str) -> Result<Reader<'i>, ReadError> {
        Ok(Reader { records: Records::new(input, spec).map_err(Fault::Template)?, damaged: 0 })
    }

    /// Waits for the next record as the input's timeout says.
    pub fn read(&mut self) -> Result<Next<'_>, ReadError> {
        Ok(match self.records.next()? {
            Received::Record { view, is_new } => Next::Record { view, is_new },
            Received::Bad(ViewError::Short { have, need }) => return Err(ReadError::WrongSize { need, have }),
            Received::Bad(why) => {
                self.damaged += 1;
                if self.damaged.is_power_of_two() {
                    eprintln!("Warning: {} damaged records skipped: {why}", self.damaged);
                }
                Next::Damaged
            }
            Received::Nothing => Next::Nothing,
            Received::Eof => Next::Eof,
            Received::Stopped => Next::Stopped,
        })
    }

    /// The input itself, to change its timeout.
    pub fn input(&mut self) -> &mut Input {
        self.records.input
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
        u8::from(!matches!(self, ReadError::Fault(fault) if fault.is_mismatch()))
    }
}

/// Where the fields of `spec` (`TYPE NAME,...`) lie, in its order.
pub fn fields<const N: usize>(template: &Template, spec: &str) -> [usize; N] {
    let mut names = spec.split(',').map(|item| item.split_once(' ').map_or(item, |(_, name)| name));
    std::array::from_fn(|_| names.next().map_or(NO_FIELD, |name| field(template, name)))
}

/// Where a field lies, [`NO_FIELD`] if it is not there.
pub fn field(template: &Template, name: &str) -> usize {
    template.index_of(name).unwrap_or(NO_FIELD)
}
