//! Where the inputs meet: the output and its template.
use crate::recast::Recast;
use record::unirec::{SpecError, Template, View};
use std::sync::{Mutex, MutexGuard, PoisonError};
use trap::{Batch, Format, Gathered, Output, Sent, SentBatch, TrapError};

/// Bytes of records that are gathered before the output is asked for.
pub(super) const GATHERED: usize = 64 * 1024;

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
    /// Counts what became of a batch; false if nothing can be sent any more.
    fn count(&mut self, done: SentBatch) -> bool {
        self.sent += done.sent;
        self.dropped += done.dropped;
        !done.is_over
    }

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
pub(super) struct Waiting {
    pub(super) template: Template,
    pub(super) records: Gathered,
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

    /// Sends what waits, and behind it `direct`, records of the same template as they came. Answers the template of the output if it is
    /// another by now, and false if nothing can be sent any more.
    pub(super) fn send(&self, waiting: &mut Waiting, direct: Option<Batch<'_>>) -> (Option<Template>, bool) {
        let mut shared = self.lock();
        let Shared { output, template, totals } = &mut *shared;
        // Another input brought new fields since the first of these records came.
        let wider = (*template != waiting.template).then(|| Wider::new(&waiting.template, template));
        let mut goes_on = true;
        for records in [Some(waiting.records.batch()), direct].into_iter().flatten() {
            goes_on &= match &wider {
                None => totals.count(output.send_batch(&records)),
                Some(wider) => wider.send(&records, output, totals),
            };
        }
        totals.damaged += std::mem::take(&mut waiting.damaged);
        totals.dropped += std::mem::take(&mut waiting.dropped);
        waiting.records.clear();
        (wider.is_some().then(|| template.clone()), goes_on)
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

/// Records in a template that the output no longer has, as records of the wider one.
struct Wider<'t> {
    from: &'t Template,
    recast: Recast,
}

impl<'t> Wider<'t> {
    fn new(from: &'t Template, to: &Template) -> Wider<'t> {
        Wider { from, recast: Recast::new(from, to) }
    }

    fn send(&self, records: &Batch<'_>, output: &mut Output, totals: &mut Totals) -> bool {
        let mut gathered = Gathered::default();
        let mut goes_on = true;
        for record in records.iter() {
            let added = View::new(self.from, record)
                .is_ok_and(|view| matches!(gathered.push_with(|out| self.recast.append(&view, out)), Ok(true)));
            totals.dropped += u64::from(!added);
            if gathered.size() >= GATHERED {
                goes_on &= totals.count(output.send_batch(&gathered.batch()));
                gathered.clear();
            }
        }
        totals.count(output.send_batch(&gathered.batch())) && goes_on
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
