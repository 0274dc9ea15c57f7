//! Records of a module on their way out.
use super::{Ended, Failure, Step};
use record::Record;
use record::unirec::{Layout, Template, View};
use std::marker::PhantomData;
use std::ops::ControlFlow;
use trap::{DropReason, Format, Output, Sent};

/// Sends declared records through one output; its template is that of the declaration.
#[derive(Debug)]
pub struct Writer<'o, R> {
    output: &'o mut Output,
    layout: Layout,
    message: Vec<u8>,
    writes: PhantomData<fn(&R)>,
}

impl<'o, R: Record> Writer<'o, R> {
    /// Announces the UniRec fields of `R`.
    ///
    /// # Errors
    /// `R` declares no UniRec field, or a file cannot be written.
    ///
    /// # Panics
    /// If the declaration makes no UniRec template: a mistake in the program, seen when it starts.
    pub fn new(output: &'o mut Output) -> Result<Writer<'o, R>, Failure> {
        let layout = Layout::new(&[R::SCHEMA], &[]);
        output.set_format(Format::UniRec(layout.template().spec())).map_err(Failure::Send)?;
        Ok(Writer { output, layout, message: Vec::new(), writes: PhantomData })
    }

    /// Sends one record; breaks when the module is to stop. A record that is too large is dropped, counted and told at the end.
    ///
    /// # Errors
    /// None at present; the type is that of a reader's step.
    #[inline]
    pub fn send(&mut self, record: &R) -> Step {
        let encoded = self.layout.encode(&mut self.message, |sink| {
            sink.part(0);
            record.visit(sink);
        });
        match encoded {
            Ok(()) => step(self.output.send(&self.message)),
            // The bound of TRAP's own counter: it refuses a message of more than 65535 bytes and counts that.
            Err(_) => step(self.output.send(&[0; 1 << 16])),
        }
    }

    /// Passes on how the input ended: receivers hear of the end of the stream only if the sender said it.
    ///
    /// # Errors
    /// None at present.
    pub fn end(self, ended: Ended) -> Result<(), Failure> {
        end(self.output, ended);
        Ok(())
    }
}

/// Sends received records on as they are.
#[derive(Debug)]
pub struct Forward<'o> {
    output: &'o mut Output,
}

impl<'o> Forward<'o> {
    /// Nothing can be sent before [`Forward::template`].
    pub fn new(output: &'o mut Output) -> Forward<'o> {
        Forward { output }
    }

    /// Announces the template of the records that follow.
    ///
    /// # Errors
    /// A template without fields, or a file cannot be written.
    pub fn template(&mut self, template: &Template) -> Step {
        self.output.set_format(Format::UniRec(template.spec())).map_err(Failure::Send)?;
        super::GO_ON
    }

    /// Sends the bytes of the record; breaks when the module is to stop.
    ///
    /// # Errors
    /// None at present; the type is that of a reader's step.
    #[inline]
    pub fn send(&mut self, record: &View<'_>) -> Step {
        step(self.output.send(record.as_bytes()))
    }

    /// As [`Writer::end`].
    ///
    /// # Errors
    /// None at present.
    pub fn end(self, ended: Ended) -> Result<(), Failure> {
        end(self.output, ended);
        Ok(())
    }
}

/// The step after a record that was offered: breaks when the module is to stop.
#[inline]
pub(crate) fn step(sent: Sent) -> Step {
    Ok(match sent {
        Sent::Dropped(DropReason::Terminated | DropReason::Finished) => ControlFlow::Break(()),
        // Counted by the output, and said when the module ends.
        Sent::Sent | Sent::Dropped(DropReason::TooLarge | DropReason::NoFormat) => ControlFlow::Continue(()),
    })
}

fn end(output: &mut Output, ended: Ended) {
    if ended == Ended::Sender {
        // A drop is counted by the output.
        let _: Sent = output.send_eof();
    }
}
