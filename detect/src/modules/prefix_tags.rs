//! prefix_tags: records with the number of the configured network that their addresses belong to (spec/modules.md section 23).
use super::begin;
use crate::options::{self, flag, value};
use crate::stream::{PassError, Reader, Sender, Step, assemble, pass};
use config::ConfigError;
use networks::Networks;
use record::Kind;
use record::unirec::{RECORD_MAX, SpecError, Template, TooLarge, View};
use std::path::PathBuf;
use trap::module::{Count, Module, ModuleInfo, Param};

pub mod config;
pub mod networks;

/// What the original answers for any failure but wrong interfaces (-1 and -2 as exit codes).
const BAD_CONFIG: u8 = 255;
const BAD_STREAM: u8 = 254;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The configuration file.
    pub config: PathBuf,
    /// Look at SRC_IP, DST_IP.
    pub look_at: [bool; 2],
    /// Look at both and tell both.
    pub both: bool,
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: no configuration file: name one with -c.")]
    NoConfig,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Adds the number of the configured IP prefix to each record, drops those of none.";

const INFO: ModuleInfo = ModuleInfo {
    name: "prefix_tags",
    description: "This module adds PREFIX_TAG field to the output acording to configured ip prefixes. Records whose addresses \
                  belong to none are dropped.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('c', "config", "string", "Configuration file. Mandatory."),
    flag('d', "dst", "Use only DST_IP field for prefix matching (default is both SRC_IP and DST_IP)."),
    flag('s', "src", "Use only SRC_IP field for prefix matching (default is both SRC_IP and DST_IP)."),
    flag('b', "both", "Tag both SRC_IP and DST_IP"),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, args, Settings::parse, |_| BAD_CONFIG) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let networks = match config::read(&settings.config) {
        Ok(networks) => networks,
        Err(why) => {
            match why {
                ConfigError::Prefix(_) => eprintln!("{why}"),
                _ => eprintln!("Error: {why}"),
            }
            eprintln!("Parsing configuration file failed ({}).", settings.config.display());
            return BAD_CONFIG;
        }
    };
    pass(
        &mut inputs[0],
        "ipaddr SRC_IP,ipaddr DST_IP",
        &mut outputs[0],
        |_| BAD_STREAM,
        |reader, sender| run(reader, sender, &settings, &networks),
    )
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut config = None;
        let (mut look_at, mut both) = ([true; 2], false);
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'c' => config = Some(given.value.into()),
                'd' => look_at[0] = false,
                's' => look_at[1] = false,
                _ => both = true,
            }
        }
        Ok(Settings { config: config.ok_or(UsageError::NoConfig)?, look_at, both })
    }
}

/// Tags records until the stream ends. As in the original, receivers are not told that it ended.
///
/// # Errors
/// See [`PassError`].
pub fn run(
    reader: &mut Reader<'_>,
    sender: &mut Sender<'_>,
    settings: &Settings,
    networks: &Networks,
) -> Result<(), PassError> {
    let mut places = Places::default();
    let mut record = Vec::with_capacity(RECORD_MAX);
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    places = Places::of(view.template())?;
                    sender.set_template(&places.output)?;
                }
                let Some(tags) = places.tags(&view, settings, networks) else { continue };
                match places.record(&view, tags, &mut record) {
                    Ok(()) => sender.send(&record),
                    Err(why) => sender.too_large(why),
                }
            }
            Step::Nothing => {}
            Step::End(_) => return Ok(()),
        }
    }
}

/// The output's template and where its values come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub output: Template,
    /// SRC_IP and DST_IP of the input.
    addresses: [usize; 2],
    /// For each output field its index in the input.
    from: Vec<Option<usize>>,
    /// PREFIX_TAG and PREFIX_TAG_DST of the output.
    tags: [usize; 2],
}

/// Values of PREFIX_TAG and PREFIX_TAG_DST; a value that is not set is that of the input, or 0.
pub type Tags = [Option<u32>; 2];

impl Places {
    /// The input's fields and the two tags.
    ///
    /// # Errors
    /// The input has a tag of another type.
    pub fn of(input: &Template) -> Result<Places, SpecError> {
        let names = ["PREFIX_TAG", "PREFIX_TAG_DST"];
        let fields = input.fields().iter().map(|f| (f.name.as_str(), f.kind));
        let output = Template::new(fields.chain(names.map(|name| (name, Kind::U32))))?;
        let from = output.fields().iter().map(|f| input.index_of(&f.name)).collect();
        // The reader requires the addresses, and the tags are of this template; a record without addresses matches nothing.
        let in_input = |name| input.find(name, Kind::Ip).unwrap_or(usize::MAX);
        let addresses = [in_input("SRC_IP"), in_input("DST_IP")];
        let tags = names.map(|name| output.index_of(name).unwrap_or(usize::MAX));
        Ok(Places { output, addresses, from, tags })
    }

    /// The tags of a record; none if it belongs to no network.
    pub fn tags(&self, view: &View<'_>, settings: &Settings, networks: &Networks) -> Option<Tags> {
        let [source, destination] = self.addresses.map(|index| view.ip(index).and_then(|ip| networks.find(ip)));
        if settings.both {
            return source.or(destination).map(|_| [Some(source.unwrap_or(0)), Some(destination.unwrap_or(0))]);
        }
        let source = source.filter(|_| settings.look_at[0]);
        let tag = match source {
            None if settings.look_at[1] => destination?,
            found => found?,
        };
        Some([Some(tag), None])
    }

    /// Replaces the contents of `out` with the tagged record.
    ///
    /// # Errors
    /// The record exceeds what a message holds.
    pub fn record(&self, view: &View<'_>, tags: Tags, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        assemble(&self.output, out, |index| view.raw(self.from[index]?))?;
        for (index, tag) in self.tags.into_iter().zip(tags) {
            if let (Some(field), Some(tag)) = (self.output.fields().get(index), tag) {
                out[field.offset..field.offset + 4].copy_from_slice(&tag.to_le_bytes());
            }
        }
        Ok(())
    }
}
