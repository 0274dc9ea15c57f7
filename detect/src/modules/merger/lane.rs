//! One input on its way to the junction.
use super::junction::{Batch, Junction, WidenError};
use super::{MergerError, Settings};
use crate::recast::Recast;
use record::unirec::{Template, View};
use trap::{Event, IfcType, Input, log};

/// Bytes of records that are gathered before the output is asked for, also while more wait.
const BATCH: usize = 64 * 1024;

/// An input with the records that wait for the output.
#[derive(Debug)]
pub(super) struct Lane<'i> {
    index: usize,
    input: &'i mut Input,
    ignores_eof: bool,
    is_ended: bool,
    template: Template,
    recast: Recast,
    batch: Batch,
    /// A record in the template of the output, before it joins the batch.
    record: Vec<u8>,
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
            batch: Batch::default(),
            record: Vec::new(),
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
            if self.batch.bytes.len() >= BATCH {
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
        add(&mut self.batch, &self.recast, &self.template, record, &mut self.record);
        Ok(Step::GoOn)
    }

    fn format(&mut self, template: Template, junction: &Junction<'_>) -> Result<(), MergerError> {
        self.batch.template = junction.widen(&template).map_err(|why| match why {
            WidenError::Template(why) => MergerError::Template { input: self.index, why },
            WidenError::Send(why) => MergerError::Send(why),
        })?;
        self.recast = Recast::new(&template, &self.batch.template);
        self.template = template;
        Ok(())
    }

    fn add(&mut self, record: &[u8]) {
        add(&mut self.batch, &self.recast, &self.template, record, &mut self.record);
    }

    fn send(&mut self, junction: &Junction<'_>) {
        let (wider, goes_on) = junction.send(&mut self.batch);
        if let Some(wider) = wider {
            self.recast = Recast::new(&self.template, &wider);
            self.batch.template = wider;
        }
        self.is_ended |= !goes_on;
    }
}

fn add(batch: &mut Batch, recast: &Recast, template: &Template, record: &[u8], room: &mut Vec<u8>) {
    let Ok(view) = View::new(template, record) else {
        batch.damaged += 1;
        return;
    };
    match recast.apply(&view, room) {
        Ok(record) => {
            batch.bytes.extend_from_slice(record);
            batch.lengths.push(record.len());
        }
        Err(_) => batch.dropped += 1,
    }
}
