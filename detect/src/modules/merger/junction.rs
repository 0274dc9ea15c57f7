//! Where the inputs meet: the output and its template.
use crate::recast::Recast;
use record::unirec::{SpecError, Template, View};
use std::sync::{Mutex, MutexGuard, PoisonError};
use trap::{DropReason, Format, Output, Sent, TrapError};

/// The output with its template, shared by the threads of the inputs.
#[derive(Debug)]
pub(super) struct Junction<'o> {
    shared: Mutex<Shared<'o>>,
    /// The template is the user's and never grows.
    is_fixed: bool,
}

#[derive(Debug)]
struct Shared<'o> {
    output: &'o mut Output,
    template: Template,
    totals: Totals,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub sent: u64,
    /// Records whose fields point outside of them.
    pub damaged: u64,
    /// Records that the output did not take.
    pub dropped: u64,
}

impl Totals {
    pub(super) fn tell(&self) {
        if self.damaged > 0 {
            eprintln!("Warning: {} damaged records were skipped.", self.damaged);
        }
        if self.dropped > 0 {
            eprintln!("Warning: {} records were not sent.", self.dropped);
        }
    }
}

/// Records of one input, in the template of the output at the time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) template: Template,
    /// Records behind each other.
    pub(super) bytes: Vec<u8>,
    /// Length of each.
    pub(super) lengths: Vec<usize>,
    pub(super) damaged: u64,
    /// Records that became too long.
    pub(super) dropped: u64,
}

impl<'o> Junction<'o> {
    pub(super) fn new(output: &'o mut Output, template: Template, is_fixed: bool) -> Result<Self, TrapError> {
        if !template.fields().is_empty() {
            output.set_format(Format::UniRec(template.spec()))?;
        }
        Ok(Junction { shared: Mutex::new(Shared { output, template, totals: Totals::default() }), is_fixed })
    }

    /// Adds the fields of an input's template; answers what the output has now.
    pub(super) fn widen(&self, input: &Template) -> Result<Template, WidenError> {
        let mut shared = self.lock();
        if !self.is_fixed {
            let wider = union(&shared.template, input).map_err(WidenError::Template)?;
            if wider != shared.template {
                shared.output.set_format(Format::UniRec(wider.spec())).map_err(WidenError::Send)?;
                shared.template = wider;
            }
        }
        Ok(shared.template.clone())
    }

    /// Sends a batch and empties it; answers the template of the output if it is another than the batch's, and false if nothing can
    /// be sent any more.
    pub(super) fn send(&self, batch: &mut Batch) -> (Option<Template>, bool) {
        let mut shared = self.lock();
        let Shared { output, template, totals } = &mut *shared;
        // Another input brought new fields since the batch was begun.
        let recast = (*template != batch.template).then(|| Recast::new(&batch.template, template));
        let (mut rest, mut wider, mut goes_on) = (batch.bytes.as_slice(), Vec::new(), true);
        for length in &batch.lengths {
            let (record, behind) = rest.split_at(*length);
            rest = behind;
            let sent = match &recast {
                None => output.send(record),
                Some(recast) => match View::new(&batch.template, record).map(|view| recast.apply(&view, &mut wider)) {
                    Ok(Ok(record)) => output.send(record),
                    _ => Sent::Dropped(DropReason::TooLarge),
                },
            };
            match sent {
                Sent::Sent => totals.sent += 1,
                Sent::Dropped(reason) => {
                    totals.dropped += 1;
                    goes_on &= !matches!(reason, DropReason::Terminated | DropReason::Finished);
                }
            }
        }
        totals.damaged += std::mem::take(&mut batch.damaged);
        totals.dropped += std::mem::take(&mut batch.dropped);
        batch.bytes.clear();
        batch.lengths.clear();
        (recast.is_some().then(|| template.clone()), goes_on)
    }

    /// Publishes what the output gathered.
    pub(super) fn flush(&self) -> Result<(), TrapError> {
        self.lock().output.flush()
    }

    /// Ends the stream.
    pub(super) fn finish(self, sends_eof: bool) -> Result<Totals, TrapError> {
        let shared = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        if sends_eof {
            // Without a format there is nobody to tell.
            let _: Sent = shared.output.send_eof();
        }
        shared.output.flush()?;
        Ok(shared.totals)
    }

    /// A thread that panicked left whole records behind: others may go on.
    fn lock(&self) -> MutexGuard<'_, Shared<'o>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the output did not take new fields.
#[derive(Debug)]
pub(super) enum WidenError {
    Template(SpecError),
    Send(TrapError),
}

/// The fields of both templates. A name has one type.
pub(super) fn union(a: &Template, b: &Template) -> Result<Template, SpecError> {
    let fields = a.fields().iter().chain(b.fields());
    Template::new(fields.map(|field| (field.name.as_str(), field.kind)))
}
