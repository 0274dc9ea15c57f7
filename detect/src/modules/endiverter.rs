//! endiverter: records with the bytes of their numbers in the other order (spec/modules.md section 26).
use super::begin;
use crate::options::{self, flag};
use crate::stream::{End, PassError, Reader, Sender, Step, pass};
use record::Kind;
use record::unirec::{RECORD_MAX, Template};
use trap::module::{Count, Module, ModuleInfo, Param};

/// What the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Do not tell the receivers that the stream ends.
    pub no_eof: bool,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Turns the byte order of the numbers in each record.";

const INFO: ModuleInfo = ModuleInfo {
    name: "endiverter",
    description: "Turns the byte order of integers, floating point numbers and times in each record, and of the place and length of \
                  its texts. For records between machines of different byte order. Addresses and arrays stay as they are.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[flag('n', "no_eof", "Don't forward EOF message.")];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let parse = |words: &[String]| match options::parse(words, PARAMS) {
        Ok(given) => Ok(Settings { no_eof: !given.is_empty() }),
        Err(why) => Err(format!("endiverter: Error: invalid arguments\n{why}")),
    };
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, args, parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    pass(&mut inputs[0], "", &mut outputs[0], |_| 1, |reader, sender| run(reader, sender, settings))
}

/// Turns records until the stream ends.
///
/// # Errors
/// See [`PassError`].
pub fn run(reader: &mut Reader<'_>, sender: &mut Sender<'_>, settings: Settings) -> Result<(), PassError> {
    let mut numbers = Vec::new();
    let mut record = Vec::with_capacity(RECORD_MAX);
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    sender.set_template(view.template())?;
                    numbers = numbers_of(view.template());
                }
                record.clear();
                record.extend_from_slice(view.as_bytes());
                turn(&numbers, &mut record);
                sender.send(&record);
            }
            Step::Nothing => {}
            Step::End(End::Stopped) => return Ok(()),
            Step::End(End::Sender) => {
                if !settings.no_eof {
                    sender.send_eof();
                }
                return Ok(());
            }
        }
    }
}

/// A number in the fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    offset: usize,
    size: usize,
}

/// The numbers that are turned: those of two and more bytes, and the two of each text.
pub fn numbers_of(template: &Template) -> Vec<Number> {
    let mut numbers = Vec::new();
    for field in template.fields() {
        let (size, count) = match field.kind {
            Kind::U16 | Kind::I16 => (2, 1),
            Kind::U32 | Kind::I32 | Kind::F32 => (4, 1),
            Kind::U64 | Kind::I64 | Kind::F64 | Kind::Time => (8, 1),
            Kind::Text | Kind::Bytes => (2, 2),
            Kind::Char | Kind::U8 | Kind::I8 | Kind::Ip | Kind::Mac | Kind::List(_) => (0, 0),
        };
        numbers.extend((0..count).map(|n| Number { offset: field.offset + n * size, size }));
    }
    numbers
}

/// Turns the numbers of a record that was checked against their template.
pub fn turn(numbers: &[Number], record: &mut [u8]) {
    for Number { offset, size } in numbers {
        if let Some(bytes) = record.get_mut(*offset..offset + size) {
            bytes.reverse();
        }
    }
}
