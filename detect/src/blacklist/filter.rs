//! What the three blacklist filters share: their options and settings, and records sent on with what a list says of them.
use super::names::Names;
use super::watched::Watched;
use crate::configurator::{Elements, SettingsError};
use crate::options::{self, OptError};
use crate::sdk::{self, Failure, GO_ON, Handler, Reader, Step, Template, View, step};
use crate::stream::assemble;
use record::unirec::Fields;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use trap::module::Param;
use trap::{Format, Input, Output, Sent};

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) config: PathBuf,
    /// Files given on the command line, by their letters.
    lists: Vec<(char, PathBuf)>,
    /// Receivers are told of the end.
    pub(crate) tells_end: bool,
}

/// Which file a list is in, and whether it is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) is_watched: bool,
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone: `-c`, `-n` and letters of lists.
    pub(crate) fn parse(args: &[String], known: &[Param], config: &str) -> Result<Settings, OptError> {
        let mut settings = Settings { config: config.into(), lists: Vec::new(), tells_end: true };
        for given in options::parse(args, known)? {
            match given.short {
                'c' => settings.config = given.value.into(),
                'n' => settings.tells_end = false,
                letter => settings.lists.push((letter, given.value.into())),
            }
        }
        Ok(settings)
    }

    /// The settings' file, which must be there even if the command line names all lists.
    ///
    /// # Errors
    /// It is no settings' file.
    pub(crate) fn elements(&self) -> Result<Elements, Failure> {
        Elements::load(&self.config).map_err(failed)
    }

    /// Where a list is: its option comes before its element, which must be there all the same.
    ///
    /// # Errors
    /// The element is missing.
    pub(crate) fn place(&self, elements: &Elements, letter: char, key: &'static str) -> Result<Place, Failure> {
        let configured = elements.required(key).map_err(failed)?;
        let given = self.lists.iter().rev().find(|(known, _)| *known == letter).map(|(_, path)| path.clone());
        let is_watched = elements.text("watch_blacklists") == Some("true");
        Ok(Place { path: given.unwrap_or_else(|| configured.into()), is_watched })
    }
}

fn failed(why: SettingsError) -> Failure {
    Failure::Other(why.to_string())
}

/// Alerts: fields of the records that they are about, and some of the filter's own.
#[derive(Debug)]
pub(crate) struct Alerts<'o> {
    output: &'o mut Output,
    template: Template,
    /// For each field its index in the records that come.
    from: Vec<Option<usize>>,
    message: Vec<u8>,
    too_large: u64,
}

impl<'o> Alerts<'o> {
    /// Announces the template of the alerts.
    ///
    /// # Errors
    /// It is none, or a file cannot be written.
    pub(crate) fn new(output: &'o mut Output, spec: &str) -> Result<Alerts<'o>, Failure> {
        let template = Template::parse(spec).map_err(Failure::Template)?;
        output.set_format(Format::UniRec(template.spec())).map_err(Failure::Send)?;
        Ok(Alerts { output, template, from: Vec::new(), message: Vec::new(), too_large: 0 })
    }

    /// Index of a field in the alerts.
    pub(crate) fn index(&self, name: &str) -> usize {
        self.template.index_of(name).unwrap_or(usize::MAX)
    }

    /// Records come with this template from now on.
    pub(crate) fn bind(&mut self, input: &Template) {
        self.from = self.template.fields().iter().map(|field| input.find(&field.name, field.kind)).collect();
    }

    /// Sends an alert about a record; `own` has values of fields in wire form, by their index.
    pub(crate) fn send(&mut self, record: &View<'_>, own: &[(usize, &[u8])]) -> Step {
        let value = |index: usize| match own.iter().find(|(known, _)| *known == index) {
            Some((_, value)) => Some(*value),
            None => record.raw((*self.from.get(index)?)?),
        };
        if assemble(&self.template, &mut self.message, value).is_err() {
            self.too_large += 1;
            return GO_ON;
        }
        step(self.output.send(&self.message))
    }

    /// Says what was lost; tells the receivers that there is no more if they shall know.
    pub(crate) fn end(self, tells: bool) {
        if self.too_large > 0 {
            eprintln!("Warning: {} alerts would have been too long and were not sent.", self.too_large);
        }
        if tells {
            // A drop is counted by the output.
            let _: Sent = self.output.send_eof();
        }
    }
}

/// What a filter of names asks of a record.
pub(crate) trait Named {
    /// Fields that it needs.
    type Fields: Fields;
    /// Template of the alerts, with `uint64 BLACKLIST`.
    const ALERT: &'static str;
    /// Writes what is looked up into the empty `text`; nothing if the record is of no interest.
    fn text(fields: &Self::Fields, record: &View<'_>, text: &mut Vec<u8>);
}

/// Runs a filter of names: each record whose text is on the list is an alert with the bits of the list.
///
/// # Errors
/// Settings or list cannot be read, or see [`Reader::run`].
pub(crate) fn run_names<N: Named>(input: &mut Input, output: &mut Output, settings: Settings) -> Result<(), Failure> {
    let place = settings.place(&settings.elements()?, 'b', "blacklist_file")?;
    let names = open(&place, Names::load)?;
    let alerts = Alerts::new(output, N::ALERT)?;
    let own = alerts.index("BLACKLIST");
    let mut filter = NameFilter::<N> { names, alerts, own, text: Vec::new(), asks: PhantomData };
    let ended = Reader::new(input).run(&mut filter);
    filter.alerts.end(settings.tells_end);
    ended.map(|_| ())
}

/// Opens a list that must be there.
///
/// # Errors
/// It cannot be read or watched.
pub(crate) fn open<T: Default + Send + 'static>(
    place: &Place,
    load: fn(&Path) -> std::io::Result<T>,
) -> Result<Watched<T>, Failure> {
    let failed = |why| Failure::Other(format!("cannot read blacklist '{}': {why}", place.path.display()));
    match Watched::open(&place.path, place.is_watched, load).map_err(failed)? {
        (list, None) => Ok(list),
        (_, Some(why)) => Err(failed(why)),
    }
}

struct NameFilter<'o, N> {
    names: Watched<Names>,
    alerts: Alerts<'o>,
    /// Index of BLACKLIST.
    own: usize,
    text: Vec<u8>,
    asks: PhantomData<N>,
}

impl<N: Named> Handler<N::Fields> for NameFilter<'_, N> {
    fn template(&mut self, template: &Template) -> Step {
        self.alerts.bind(template);
        GO_ON
    }

    fn record(&mut self, fields: &N::Fields, record: &View<'_>) -> Step {
        self.text.clear();
        N::text(fields, record, &mut self.text);
        let names = self.names.current();
        match names.find(&self.text).filter(|bits| *bits != 0 && !self.text.is_empty()) {
            Some(bits) => self.alerts.send(record, &[(self.own, &bits.to_le_bytes())]),
            None => sdk::GO_ON,
        }
    }
}

/// Without a leading `www.`, whose letters must be small.
pub(crate) fn without_www(name: &[u8]) -> &[u8] {
    name.strip_prefix(b"www.").unwrap_or(name)
}
