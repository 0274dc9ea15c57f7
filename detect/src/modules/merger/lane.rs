//! One input on its way to the junction.
use super::junction::{GATHERED, Junction, Waiting, WidenError};
use super::{MergerError, Settings};
use crate::recast::Recast;
use record::unirec::{Template, View};
use trap::{Batch, Event, IfcType, Input, log};

/// An input with the records that wait for the output.
#[derive(Debug)]
pub(super) struct Lane<'i> {
    index: usize,
    input: &'i mut Input,
    ignores_eof: bool,
    is_ended: bool,
    template: Template,
    recast: Recast,
    waiting: Waiting,
}

/// What is to be done after an event was looked at.
enum Step {
    GoOn,
    /// Nothing waits.
    Idle,
    End,
}

impl<'i> Lane<'i> {
    pub(super) fn new(index: usize, input: &'i mut Input, settings: &Settings) -> Lane<'i> {
        let template = Template::default();
        Lane {
            index,
            input,
            ignores_eof: settings.ignore_in_eof,
            is_ended: false,
            recast: Recast::new(&template, &template),
            template,
            waiting: Waiting::default(),
        }
    }

    /// Sends the record that was received before the output had its template.
    pub(super) fn first(
        &mut self,
        template: Template,
        record: &[u8],
        junction: &Junction<'_>,
    ) -> Result<(), MergerError> {
        self.format(template, junction)?;
        self.add(record);
        self.send(junction);
        Ok(())
    }

    /// Receives nothing more.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
    }

    /// Moves records until the stream ends or the stop flag is set.
    pub(super) fn run(&mut self, junction: &Junction<'_>) -> Result<(), MergerError> {
        while !self.is_ended {
            let mut step = self.step(false, junction)?;
            if matches!(step, Step::Idle) {
                // Nothing waits: what was gathered goes out before the wait.
                self.send(junction);
                junction.flush().map_err(MergerError::Send)?;
                if self.is_ended {
                    break;
                }
                step = self.step(true, junction)?;
            }
            if matches!(step, Step::End) {
                self.is_ended = true;
            }
            // The rest of the container.
            while !self.is_ended
                && let Some(batch) = self.input.batch()
            {
                let pass = pass(&batch, &mut self.waiting, &self.recast, &self.template, junction);
                self.sent(pass);
            }
            if self.waiting.records.size() >= GATHERED {
                self.send(junction);
            }
        }
        self.send(junction);
        Ok(())
    }

    fn step(&mut self, waits: bool, junction: &Junction<'_>) -> Result<Step, MergerError> {
        let index = self.index;
        let event = if waits { self.input.recv() } else { self.input.recv_now() };
        let record = match event.map_err(|why| MergerError::Receive { input: index, why })? {
            Event::Message(record) => record,
            Event::FormatChanged { format, first } => {
                let template = Template::parse(format.spec());
                let (template, first) =
                    (template.map_err(|why| MergerError::Template { input: index, why })?, first.to_vec());
                self.send(junction);
                self.format(template, junction)?;
                self.add(&first);
                return Ok(Step::GoOn);
            }
            Event::Timeout => return Ok(Step::Idle),
            Event::Terminated => return Ok(Step::End),
            Event::EndOfStream => {
                if log::level() >= 0 {
                    eprintln!("Interface {index} received ending record, the interface will be closed.");
                }
                // Behind its last file an input has nothing to wait for.
                let is_over = self.input.kind() == IfcType::File && !self.input.is_connected();
                return Ok(if self.ignores_eof && !is_over { Step::GoOn } else { Step::End });
            }
        };
        add(&mut self.waiting, &self.recast, &self.template, record);
        Ok(Step::GoOn)
    }

    fn format(&mut self, template: Template, junction: &Junction<'_>) -> Result<(), MergerError> {
        self.waiting.template = junction.widen(&template).map_err(|why| match why {
            WidenError::Template(why) => MergerError::Template { input: self.index, why },
            WidenError::Send(why) => MergerError::Send(why),
        })?;
        self.recast = Recast::new(&template, &self.waiting.template);
        self.template = template;
        Ok(())
    }

    fn add(&mut self, record: &[u8]) {
        add(&mut self.waiting, &self.recast, &self.template, record);
    }

    fn send(&mut self, junction: &Junction<'_>) {
        let sent = junction.send(&mut self.waiting, None);
        self.sent(sent);
    }

    /// Takes what the junction answered.
    fn sent(&mut self, (wider, goes_on): (Option<Template>, bool)) {
        if let Some(wider) = wider {
            self.recast = Recast::new(&self.template, &wider);
            self.waiting.template = wider;
        }
        self.is_ended |= !goes_on;
    }
}

/// Passes a batch on as it lies there if all of its records can stay as they are; otherwise one by one.
fn pass(
    batch: &Batch<'_>,
    waiting: &mut Waiting,
    recast: &Recast,
    template: &Template,
    junction: &Junction<'_>,
) -> (Option<Template>, bool) {
    if batch.iter().all(|record| View::new(template, record).is_ok_and(|view| recast.keeps(&view))) {
        return junction.send(waiting, Some(*batch));
    }
    let mut goes_on = true;
    for record in batch.iter() {
        add(waiting, recast, template, record);
        if waiting.records.size() >= GATHERED {
            goes_on &= junction.send(waiting, None).1;
        }
    }
    // A new template counts from the next record on, so nothing may wait.
    let (wider, is_open) = junction.send(waiting, None);
    (wider, goes_on && is_open)
}

fn add(waiting: &mut Waiting, recast: &Recast, template: &Template, record: &[u8]) {
    let Ok(view) = View::new(template, record) else {
        waiting.damaged += 1;
        return;
    };
    if !matches!(waiting.records.push_with(|out| recast.append(&view, out)), Ok(true)) {
        waiting.dropped += 1;
    }
}
