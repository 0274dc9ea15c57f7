//! pdns_exporter: answers of DNS as gzip files of JSON for a passive DNS database (spec/modules.md section 31).
use super::begin;
use crate::argparse::{self, ArgError, long_value};
use crate::options::value;
use crate::pyjson::{Json, Text};
use crate::reading::{NO_FIELD, Next, ReadError, Reader};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::{Timestamp, Zoned};
use record::Time;
use record::unirec::{Template, View};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use trap::Input;
use trap::module::{Count, Module, ModuleInfo, Param};

/// Bytes of JSON that are gathered, at the most, however many records were asked for.
const TEXT_MAX: usize = 256 * 1024 * 1024;
/// Files with the same second in their names, at the most.
const SAME_SECOND_MAX: u32 = 10_000;
/// The file that grows.
const TMP: &str = "tmp.json.gz";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Records of a file, 1 or more.
    pub threshold: u64,
    pub destination: PathBuf,
    pub tmp_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { threshold: 5_000, destination: "./".into(), tmp_dir: "./".into() }
    }
}

/// Why the command line was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("pdns_exporter: error: {0}")]
    Option(#[from] ArgError),
    #[error("Argument to --threshold must be positive integer")]
    Threshold,
    #[error("Path given by --tmp-dir not found.")]
    TmpDir,
    #[error("Path given by --destination not found.")]
    Destination,
}

/// Why exporting ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: records do not have the field {0}: let the exporter read DNS")]
    NoField(&'static str),
    #[error("Missing permissions for storing file in destination path.\n{path}: {source}")]
    Permission { path: PathBuf, source: io::Error },
    #[error("Error: cannot store {path}: {source}")]
    Store { path: PathBuf, source: io::Error },
}

/// One line for lists of modules.
pub const ABOUT: &str = "Exports DNS answers as JSON files for passive DNS.";

const INFO: ModuleInfo = ModuleInfo {
    name: "pdns_exporter",
    description: "Exports answers of DNS (A, AAAA, CNAME) as gzip files of JSON for a passive DNS database.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('t', "threshold", "int32", "Records of a file (default 5000)."),
    value('d', "destination", "string", "Directory of the files (default ./)."),
    long_value("tmp-dir", "string", "Directory of the file that grows (default ./)."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let refused = |why: &UsageError| if matches!(why, UsageError::Option(_)) { 2 } else { 1 };
    let args = argparse::plain_ifcspec(args);
    let (settings, Module { mut inputs, .. }) = match begin(&INFO, &args, Settings::parse, refused) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    match run(&mut inputs[0], &settings) {
        Ok(_) => 0,
        Err(ExportError::Read(why)) => why.report(),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone; directories must be there.
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let mut settings = Settings::default();
        let line = argparse::parse(args, PARAMS)?;
        if let Some(word) = line.words.into_iter().next() {
            return Err(ArgError::Unknown(word).into());
        }
        for (name, value) in line.options {
            match name {
                "threshold" => {
                    let threshold: i64 = value.trim().parse().map_err(|_| UsageError::Threshold)?;
                    // Below one the original writes a file for each record.
                    settings.threshold = threshold.max(1) as u64;
                }
                "destination" => settings.destination = value.into(),
                _ => settings.tmp_dir = value.into(),
            }
        }
        if !settings.tmp_dir.exists() {
            return Err(UsageError::TmpDir);
        }
        if !settings.destination.exists() {
            return Err(UsageError::Destination);
        }
        Ok(settings)
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub records: u64,
    pub files: u64,
}

/// Exports until the stream ends or the stop flag is set. Whatever ends it, what was gathered is stored (the original loses it at
/// a signal).
pub fn run(input: &mut Input, settings: &Settings) -> Result<Totals, ExportError> {
    let mut answers = Answers { settings, json: String::new(), gathered: 0, totals: Totals::default() };
    let ended = receive(input, &mut answers);
    let stored = answers.store();
    ended?;
    stored?;
    Ok(answers.totals)
}

fn receive(input: &mut Input, answers: &mut Answers<'_>) -> Result<(), ExportError> {
    let mut reader = Reader::new(input, "")?;
    let mut fields = Fields::default();
    loop {
        match reader.read()? {
            Next::Record { view, is_new } => {
                if is_new {
                    fields = Fields::find(view.template())?;
                }
                if let Some(answer) = fields.answer(&view) {
                    answers.add(&answer)?;
                }
            }
            Next::Nothing | Next::Damaged => {}
            Next::Eof | Next::Stopped => return Ok(()),
        }
    }
}

/// Answers that are not yet stored.
struct Answers<'s> {
    settings: &'s Settings,
    /// Objects, separated as Python does.
    json: String,
    gathered: u64,
    totals: Totals,
}

impl Answers<'_> {
    fn add(&mut self, answer: &Json) -> Result<(), ExportError> {
        if self.gathered > 0 {
            self.json.push_str(", ");
        }
        answer.dump(&mut self.json);
        self.gathered += 1;
        self.totals.records += 1;
        if self.gathered >= self.settings.threshold || self.json.len() >= TEXT_MAX { self.store() } else { Ok(()) }
    }

    /// Writes the file and moves it to its place; nothing if nothing was gathered.
    fn store(&mut self) -> Result<(), ExportError> {
        if self.gathered == 0 {
            return Ok(());
        }
        let tmp = self.settings.tmp_dir.join(TMP);
        let failed = |path: &Path, source: io::Error| match source.kind() {
            ErrorKind::PermissionDenied => ExportError::Permission { path: path.to_owned(), source },
            _ => ExportError::Store { path: path.to_owned(), source },
        };
        write(&tmp, &self.json).map_err(|why| failed(&tmp, why))?;
        let target = free_name(&self.settings.destination);
        move_to(&tmp, &target).map_err(|why| failed(&target, why))?;
        self.json.clear();
        self.gathered = 0;
        self.totals.files += 1;
        Ok(())
    }
}

fn write(path: &Path, objects: &str) -> io::Result<()> {
    let mut out = GzEncoder::new(File::create(path)?, Compression::default());
    out.write_all(b"[")?;
    out.write_all(objects.as_bytes())?;
    out.write_all(b"]")?;
    out.finish()?.flush()
}

/// `pdns_data_YYYYmmdd.HHMMSS.json.gz`, local time. A second file of the same second gets a number; the original overwrites the first.
fn free_name(folder: &Path) -> PathBuf {
    let time = Zoned::now().strftime("%Y%m%d.%H%M%S").to_string();
    let mut target = folder.join(format!("pdns_data_{time}.json.gz"));
    let mut n = 1;
    while target.exists() && n < SAME_SECOND_MAX {
        target = folder.join(format!("pdns_data_{time}.{n}.json.gz"));
        n += 1;
    }
    target
}

fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(why) if why.kind() == ErrorKind::CrossesDevices => {
            fs::copy(from, to)?;
            fs::remove_file(from)
        }
        moved => moved,
    }
}

/// Where the fields lie.
#[derive(Clone, Copy, Debug)]
struct Fields {
    packets: usize,
    answers: usize,
    src_port: usize,
    rcode: usize,
    qtype: usize,
    rdata: usize,
    name: usize,
    ttl: usize,
    first: usize,
    last: usize,
}

impl Default for Fields {
    fn default() -> Self {
        let [packets, answers, src_port, rcode, qtype, rdata, name, ttl, first, last] = [NO_FIELD; 10];
        Fields { packets, answers, src_port, rcode, qtype, rdata, name, ttl, first, last }
    }
}

impl Fields {
    fn find(template: &Template) -> Result<Fields, ExportError> {
        let field = |name| template.index_of(name).ok_or(ExportError::NoField(name));
        Ok(Fields {
            packets: field("PACKETS")?,
            answers: field("DNS_ANSWERS")?,
            src_port: field("SRC_PORT")?,
            rcode: field("DNS_RCODE")?,
            qtype: field("DNS_QTYPE")?,
            rdata: field("DNS_RDATA")?,
            name: field("DNS_NAME")?,
            ttl: field("DNS_RR_TTL")?,
            first: field("TIME_FIRST")?,
            last: field("TIME_LAST")?,
        })
    }

    /// The record as an object, if it is an answer of one packet with an address or a name.
    fn answer(&self, view: &View<'_>) -> Option<Json> {
        let number = |field| view.uint(field).unwrap_or(0);
        let kind = number(self.qtype);
        let is_answer = number(self.packets) == 1
            && number(self.answers) >= 1
            && number(self.src_port) == 53
            && number(self.rcode) == 0
            && matches!(kind, 1 | 5 | 28);
        if !is_answer {
            return None;
        }
        let response = std::str::from_utf8(view.bytes(self.rdata)?).ok()?;
        if kind != 5 && response.parse::<IpAddr>().is_err() {
            return None;
        }
        let query = String::from_utf8_lossy(view.bytes(self.name)?);
        let members = [
            ("response", Json::text(response)),
            ("query", Json::text(&query)),
            ("ttl", Json::int(number(self.ttl))),
            ("type", Json::int(kind)),
            ("time_first", iso(view.time(self.first)?)),
            ("time_last", iso(view.time(self.last)?)),
        ];
        Some(Json::Object(members.into_iter().map(|(name, value)| (Text::new(name), value)).collect()))
    }
}

/// Python's `isoformat` of a time with milliseconds: six decimals, none if they are zero.
fn iso(time: Time) -> Json {
    let millis = time.subsec_nanos() / 1_000_000;
    let text = Timestamp::from_second(time.secs() as i64)
        .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S").to_string())
        .unwrap_or_default();
    Json::text(&if millis == 0 { text } else { format!("{text}.{millis:03}000") })
}
