//! From the input through the filters to the outputs.
use super::entries::Entry;
use super::outlet::Outlet;
use super::{FilterModuleError, Settings};
use record::unirec::{Template, View, ViewError};
use std::sync::atomic::{AtomicBool, Ordering};
use trap::{Batch, Event, Format, Input, Output};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub received: u64,
    /// Records whose fields point outside of them.
    pub damaged: u64,
    /// Records that an output did not take.
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

/// Filters until the stream ends, the stop flag is set or enough was received, and closes the outputs. `names` are the parameters of
/// the outputs, for messages; `reload` asks to read the file again.
pub fn run(
    input: &mut Input,
    outputs: &mut [Output],
    names: &[String],
    settings: &Settings,
    reload: &AtomicBool,
) -> Result<Totals, FilterModuleError> {
    let mut stage = Stage::default();
    let mut ended = stage.first(input, outputs, names, settings);
    if matches!(ended, Ok(true)) {
        ended = stage.filter(input, outputs, names, settings, reload).map(|()| true);
    }
    // A module that does not come to filter has told its receivers nothing that would end.
    if !settings.no_eof && !stage.outlets.is_empty() {
        for output in outputs.iter_mut() {
            let _: trap::Sent = output.send_eof();
        }
    }
    for output in outputs.iter_mut() {
        output.flush().map_err(FilterModuleError::Send)?;
    }
    stage.totals.dropped += stage.outlets.iter().map(|o| o.dropped).sum::<u64>();
    ended.map(|_| stage.totals)
}

/// The input's template and what is made of its records.
#[derive(Debug, Default)]
struct Stage {
    template: Template,
    entries: Vec<Entry>,
    outlets: Vec<Outlet>,
    totals: Totals,
}

impl Stage {
    /// Waits for the first record, which tells the format, builds the outputs and filters it. False: no more is wanted.
    fn first(
        &mut self,
        input: &mut Input,
        outputs: &mut [Output],
        names: &[String],
        settings: &Settings,
    ) -> Result<bool, FilterModuleError> {
        input.require(Format::UniRec(String::new()));
        let spec = loop {
            match input.recv().map_err(|_| FilterModuleError::NoFormat)? {
                Event::FormatChanged { format, first } => {
                    self.template = Template::parse(format.spec())?;
                    let (spec, first) = (format.clone(), first.to_vec());
                    self.load(outputs, names, settings)?;
                    let goes_on = self.record(&first, outputs)? && self.send(outputs);
                    if !goes_on || self.is_enough(settings) {
                        return Ok(false);
                    }
                    break spec;
                }
                Event::Timeout => {}
                Event::EndOfStream => {
                    // A stream without records, unless the file is empty: its receivers get the end of it.
                    if *input.format() == Format::Unknown {
                        return Err(FilterModuleError::NoFormat);
                    }
                    self.template = Template::parse(input.format().spec())?;
                    self.load(outputs, names, settings)?;
                    return Ok(false);
                }
                _ => return Err(FilterModuleError::NoFormat),
            }
        };
        // Later senders must have all of these fields.
        input.require(spec);
        Ok(true)
    }

    fn filter(
        &mut self,
        input: &mut Input,
        outputs: &mut [Output],
        names: &[String],
        settings: &Settings,
        reload: &AtomicBool,
    ) -> Result<(), FilterModuleError> {
        while !self.is_enough(settings) {
            if reload.swap(false, Ordering::Relaxed) {
                println!("\nReloading filter...\n\nNew filter:");
                if settings.file.is_none() {
                    return Err(FilterModuleError::NoFile);
                }
                self.load(outputs, names, settings).map_err(|why| FilterModuleError::Reload(Box::new(why)))?;
            }
            let event = match input.recv_now().map_err(FilterModuleError::Receive)? {
                Event::Timeout => {
                    // Nothing waits: what was gathered goes out before the wait.
                    for output in outputs.iter_mut() {
                        output.flush().map_err(FilterModuleError::Send)?;
                    }
                    input.recv().map_err(FilterModuleError::Receive)?
                }
                event => event,
            };
            let record = match event {
                Event::Message(record) => record,
                Event::FormatChanged { format, first } => {
                    self.template = Template::parse(format.spec())?;
                    for outlet in &mut self.outlets {
                        outlet.input_changed(&self.template)?;
                    }
                    first
                }
                Event::Timeout => continue,
                Event::EndOfStream | Event::Terminated => return Ok(()),
            };
            let mut goes_on = self.record(record, outputs);
            // The rest of its container. What comes before a record that ends the module is sent.
            while matches!(goes_on, Ok(true))
                && !self.is_enough(settings)
                && let Some(batch) = input.batch()
            {
                goes_on = self.records(&batch, outputs, settings);
            }
            let is_sent = self.send(outputs);
            if !goes_on? || !is_sent {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the entries and makes the outputs of them. An empty template keeps the one in use, at the start the input's.
    fn load(&mut self, outputs: &mut [Output], names: &[String], settings: &Settings) -> Result<(), FilterModuleError> {
        let mut entries = settings.entries(outputs.len())?;
        for (at, entry) in entries.iter_mut().enumerate().filter(|(_, entry)| entry.template.is_empty()) {
            let kept = self.entries.get(at).map(|old| old.template.clone());
            entry.template = kept.unwrap_or_else(|| self.template.spec());
        }
        let outlet = |(name, entry): (&String, &Entry)| Outlet::new(name, entry, &self.template);
        let outlets: Vec<_> = names.iter().zip(&entries).map(outlet).collect::<Result<_, _>>()?;
        self.totals.dropped += self.outlets.iter().map(|o| o.dropped).sum::<u64>();
        (self.entries, self.outlets) = (entries, outlets);
        for (outlet, output) in self.outlets.iter().zip(outputs) {
            output.set_format(outlet.format()).map_err(FilterModuleError::Send)?;
        }
        self.outlets.iter_mut().try_for_each(|outlet| outlet.compile(&self.template))
    }

    /// Filters the records of a batch, as many as are wanted; false when nothing can be sent any more.
    fn records(
        &mut self,
        batch: &Batch<'_>,
        outputs: &mut [Output],
        settings: &Settings,
    ) -> Result<bool, FilterModuleError> {
        for record in batch.iter() {
            if self.is_enough(settings) {
                break;
            }
            if !self.record(record, outputs)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends what the filters accepted; false when nothing can be sent any more.
    fn send(&mut self, outputs: &mut [Output]) -> bool {
        self.outlets.iter_mut().zip(outputs).fold(true, |goes_on, (outlet, output)| outlet.send(output) && goes_on)
    }

    /// Filters one record for each output, which has it after [`Stage::send`] at the latest; false when nothing can be sent any more.
    fn record(&mut self, record: &[u8], outputs: &mut [Output]) -> Result<bool, FilterModuleError> {
        self.totals.received += 1;
        let view = match View::new(&self.template, record) {
            Ok(view) => view,
            Err(ViewError::Short { have, need }) => return Err(FilterModuleError::WrongSize { need, have }),
            Err(why) => {
                self.totals.damaged += 1;
                if self.totals.damaged.is_power_of_two() {
                    eprintln!("Warning: record skipped: {why}");
                }
                return Ok(true);
            }
        };
        let mut goes_on = true;
        for (outlet, output) in self.outlets.iter_mut().zip(outputs) {
            goes_on &= outlet.offer(&view, output);
        }
        Ok(goes_on)
    }

    fn is_enough(&self, settings: &Settings) -> bool {
        settings.cut.is_some_and(|cut| self.totals.received >= cut)
    }
}
