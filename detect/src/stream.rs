//! What modules share: records of an input one by one, records made of other records, the end of an output.
use crate::reading::{Fault, Received, Records};
use crate::recast::put_descriptor;
use record::unirec::{RECORD_MAX, SpecError, Template, TooLarge, View, ViewError};
use trap::{Format, Input, Output, Sent, TrapError};

/// Receives the records of one input and keeps the sender's template.
#[derive(Debug)]
pub struct Reader<'i> {
    records: Records<'i>,
    damaged: u64,
}

/// What [`Reader::step`] found.
#[derive(Debug)]
pub enum Step<'a> {
    Record {
        view: View<'a>,
        /// The template differs from that of the record before; also true for the first record.
        is_new: bool,
    },
    /// Nothing to work on now: a timeout, or a damaged record, which was counted.
    Nothing,
    End(End),
}

/// Why the records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The message that ends the stream came, or the file ended.
    Sender,
    /// The stop flag is set.
    Stopped,
}

/// Why nothing more can be received; the texts are those of the originals.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error("Error: data with wrong size received (expected size: >= {need}, received size: {have}).")]
    WrongSize { need: usize, have: usize },
}

impl<'i> Reader<'i> {
    /// A reader of senders that offer at least the fields of `spec` (`TYPE NAME,...`); an empty one takes any UniRec.
    ///
    /// # Errors
    /// `spec` is no specification.
    pub fn new(input: &'i mut Input, spec: &str) -> Result<Reader<'i>, SpecError> {
        Ok(Reader { records: Records::new(input, spec)?, damaged: 0 })
    }

    /// Waits for the next record, as long as the input's timeout says.
    ///
    /// # Errors
    /// See [`ReadError`]; the module should end.
    pub fn step(&mut self) -> Result<Step<'_>, ReadError> {
        Ok(match self.records.next()? {
            Received::Record { view, is_new } => Step::Record { view, is_new },
            Received::Bad(ViewError::Short { have, need }) => return Err(ReadError::WrongSize { need, have }),
            Received::Bad(why) => {
                self.damaged += 1;
                if self.damaged == 1 {
                    eprintln!("Warning: record skipped: {why}");
                }
                Step::Nothing
            }
            Received::Nothing => Step::Nothing,
            Received::Eof => Step::End(End::Sender),
            Received::Stopped => Step::End(End::Stopped),
        })
    }

    /// Records skipped because their fields point outside of them.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }
}

impl Drop for Reader<'_> {
    /// Says what was skipped, however the module ends.
    fn drop(&mut self) {
        if self.damaged > 0 {
            eprintln!("Warning: {} damaged records were skipped.", self.damaged);
        }
    }
}

impl ReadError {
    /// A sender whose format does not fit ends a module with 0, as in the originals; everything else is a failure.
    pub fn exit_code(&self) -> u8 {
        u8::from(!matches!(self, ReadError::Fault(fault) if fault.is_mismatch()))
    }
}

/// Sends records to one output and counts what it does not take.
#[derive(Debug)]
pub struct Sender<'o> {
    output: &'o mut Output,
    /// Records sent.
    pub sent: u64,
    /// Records that the output did not take, or that would have been too long.
    pub dropped: u64,
}

impl<'o> Sender<'o> {
    pub fn new(output: &'o mut Output) -> Sender<'o> {
        Sender { output, sent: 0, dropped: 0 }
    }

    /// Announces the template of the records that follow.
    ///
    /// # Errors
    /// As [`Output::set_format`].
    pub fn set_template(&mut self, template: &Template) -> Result<(), TrapError> {
        self.output.set_format(Format::UniRec(template.spec()))
    }

    pub fn send(&mut self, record: &[u8]) {
        match self.output.send(record) {
            Sent::Sent => self.sent += 1,
            Sent::Dropped(_) => self.dropped += 1,
        }
    }

    /// Counts a record that could not be made.
    pub fn too_large(&mut self, why: TooLarge) {
        self.dropped += 1;
        if self.dropped == 1 {
            eprintln!("Warning: record dropped: {why}");
        }
    }

    /// Publishes what was sent so far; an error shows at the end.
    pub fn flush(&mut self) {
        let _ = self.output.flush();
    }

    /// Tells the receivers that the stream ends.
    pub fn send_eof(&mut self) {
        // Without a format there is nobody to tell.
        let _: Sent = self.output.send_eof();
    }

    /// Delivers what is left and says what was lost; false if writing failed.
    pub fn finish(self) -> bool {
        if self.dropped > 0 {
            eprintln!("Warning: {} records were not sent.", self.dropped);
        }
        deliver(self.output)
    }
}

/// Closes an output: delivers what is left and says what did not arrive; false if writing failed, which is said too.
pub(crate) fn deliver(output: &mut Output) -> bool {
    match output.finish() {
        Ok(stats) => {
            if stats.abandoned > 0 {
                eprintln!("Warning: {} records did not reach their receivers.", stats.abandoned);
            }
            true
        }
        Err(why) => {
            eprintln!("Error: {why}");
            false
        }
    }
}

/// Why a module that passes records on ended early.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: {0}")]
    Spec(#[from] SpecError),
    #[error("Error: {0}")]
    Output(#[from] TrapError),
}

impl PassError {
    /// As [`ReadError::exit_code`]; what cannot be sent is a failure too.
    pub fn exit_code(&self) -> u8 {
        if let PassError::Read(why) = self { why.exit_code() } else { 1 }
    }
}

/// Runs a module that passes on the records of one input, from senders that offer at least the fields of `spec`, to one output. Says why
/// it ended early and answers its exit code, for an error that of `failed`.
pub fn pass(
    input: &mut Input,
    spec: &str,
    output: &mut Output,
    failed: impl FnOnce(&PassError) -> u8,
    run: impl FnOnce(&mut Reader<'_>, &mut Sender<'_>) -> Result<(), PassError>,
) -> u8 {
    let mut sender = Sender::new(output);
    let ran = Reader::new(input, spec).map_err(PassError::Spec).and_then(|mut reader| run(&mut reader, &mut sender));
    let finished = sender.finish();
    match ran {
        Ok(()) => u8::from(!finished),
        Err(why) => {
            eprintln!("{why}");
            failed(&why)
        }
    }
}

/// Replaces the contents of `out` with a record of `template` made of values in wire form: `raw` answers those of a field, by its
/// index; none is zero or empty. Values of fixed size must have the size of their field, others count as none.
///
/// # Errors
/// The record would exceed what a UniRec message holds; `out` is then no record.
pub fn assemble<'v>(
    template: &Template,
    out: &mut Vec<u8>,
    mut raw: impl FnMut(usize) -> Option<&'v [u8]>,
) -> Result<(), TooLarge> {
    let fixed = template.static_size();
    out.clear();
    out.resize(fixed, 0);
    for (index, field) in template.fields().iter().enumerate() {
        let Some(value) = raw(index) else { continue };
        match field.kind.size() {
            Some(size) if size == value.len() => out[field.offset..field.offset + size].copy_from_slice(value),
            Some(_) => {}
            None => {
                let (offset, needed) = (out.len() - fixed, out.len() + value.len());
                if needed > RECORD_MAX {
                    return Err(TooLarge { needed });
                }
                put_descriptor(out, field.offset, offset, value.len());
                out.extend_from_slice(value);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Value;
    use record::unirec::Builder;

    #[test]
    fn what_is_assembled_of_a_record_is_that_record() {
        let template = Template::parse("string S,uint16 P,bytes B,ipaddr A,uint32* L").unwrap();
        let mut builder = Builder::new(&template);
        builder.set(template.index_of("P").unwrap(), Value::Uint(443)).unwrap();
        builder.set_text(template.index_of("S").unwrap(), b"text").unwrap();
        builder.set_text(template.index_of("L").unwrap(), b"1 2 3").unwrap();
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        builder.finish(&mut bytes).unwrap();
        let view = View::new(&template, &bytes).unwrap();
        assemble(&template, &mut again, |index| view.raw(index)).unwrap();
        assert_eq!(again, bytes);
        assemble(&template, &mut again, |_| None).unwrap();
        assert_eq!(again, vec![0; template.static_size()]);
        let long = vec![b'x'; 60_000];
        assert_eq!(assemble(&template, &mut again, |_| Some(&long)), Err(TooLarge { needed: 120_030 }));
    }
}
