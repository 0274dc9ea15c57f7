//! device_classifier: what the hosts of a network are, told from their flows by support vector machines (spec/modules.md section 29).
mod device;
mod rules;
mod svm;

use super::begin;
use crate::argparse::atoi;
use crate::options::{self, flag, value};
use crate::reading::{self, Next, ReadError, Reader};
use device::{Devices, Flow};
pub use rules::fuzz_rules;
use rules::{Labels, RuleError, Rules};
use signal_hook::consts::SIGUSR1;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
pub use svm::fuzz_svm;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, Timeout, log};

const FIELDS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 PROTOCOL";

/// Where the original keeps its models, one file for each number of a label.
const MODELS: &str = "/data/device_classifier";
/// Labels with their numbers, and networks with a label of their own.
const LIST: &str = "models.list";
/// Features that training collects.
const DATABASE: &str = "db.svm";
/// What makes models of them.
const TRAINER: &str = "/usr/bin/nemea/svm-tools";
/// A silent input looks for SIGUSR1 this often, microseconds.
const POLL_US: u64 = 500_000;

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub accumulate: bool,
    pub filter: Option<PathBuf>,
    pub json: Option<PathBuf>,
    pub list: bool,
    /// Minutes of flow time between outputs; 0 is one output at the end.
    pub minutes: u64,
    /// Devices with more peers than this are shown.
    pub peers: u64,
    pub train: Option<PathBuf>,
    /// Where list, models and data base are; `None` as in the original.
    pub folder: Option<PathBuf>,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{0}")]
    Rules(#[from] RuleError),
    #[error("Error: Cannot open training database.\n{path}: {source}")]
    Database { path: PathBuf, source: io::Error },
    #[error("Error: cannot write results: {0}")]
    Write(#[from] io::Error),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Tells what hosts are by their flows.";

const INFO: ModuleInfo = ModuleInfo {
    name: "Device classifier",
    description: "Module classifies devices according to their network behavior.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    flag('a', "accumulate", "Do not discard collected statistics each time the output is generated."),
    value('f', "filter", "string", "Classify only IP addresses (or subnets) in this file, one a line."),
    value('F', "file", "string", "Save results to this JSON file."),
    flag('l', "list", "Print a list of known labels and exit."),
    value('m', "minutes", "int32", "Period after which the output is generated (default 0 = at the end)."),
    value('p', "peers", "int32", "Show only devices with more peers than this (default 0)."),
    value(
        't',
        "train",
        "string",
        "Training mode: collect features of the IP addresses in this file, with their labels.",
    ),
    value(
        'd',
        "directory",
        "string",
        "Directory of models.list, models and db.svm. Default: list and db.svm in the working directory, models in \
         /data/device_classifier.",
    ),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let parse = |words: &[String]| Settings::parse(words).map_err(|why| format!("Error: Invalid arguments.\n{why}"));
    let (settings, Module { mut inputs, .. }) = match begin(&INFO, args, parse, |_| 2) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    if settings.filter.is_some() && settings.train.is_some() {
        eprintln!("Error: Cannot use both filter and training rules.");
    }
    let labels = match Labels::load(&settings.in_folder(LIST)) {
        Ok(labels) => labels,
        Err(why) => {
            eprintln!("{why}\nError: Cannot load model list.");
            return 1;
        }
    };
    if settings.list {
        print!(
            "Labels: \n----------\n{}----------\n",
            labels.names().map(|name| format!("{name}\n")).collect::<String>()
        );
        return 0;
    }
    if log::level() >= 0 {
        println!("Verbosity level: {}", log::level());
    }
    match run(&mut inputs[0], &settings, labels, io::stdout()) {
        Ok(flows) => {
            if settings.train.is_some() && flows > 0 {
                offer_training(&settings);
            }
            0
        }
        Err(ClassifierError::Read(why)) => why.report(),
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    pub fn parse(args: &[String]) -> Result<Settings, options::OptError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'a' => settings.accumulate = true,
                'f' => settings.filter = Some(given.value.into()),
                'F' => settings.json = Some(given.value.into()),
                'l' => settings.list = true,
                'm' => settings.minutes = u64::try_from(atoi(&given.value)).unwrap_or(0),
                // Below zero nobody has enough peers, as in the original.
                'p' => settings.peers = i64::from(atoi(&given.value)) as u64,
                't' => settings.train = Some(given.value.into()),
                _ => settings.folder = Some(given.value.into()),
            }
        }
        Ok(settings)
    }

    fn in_folder(&self, name: &str) -> PathBuf {
        self.folder.as_deref().unwrap_or(Path::new("")).join(name)
    }
}

/// Asks whether the models shall be trained now, as the original does.
fn offer_training(settings: &Settings) {
    println!("\nData collected. Do you wish to launch the training script now (Y/N)?");
    let mut answer = [0];
    let is_yes = io::stdin().read(&mut answer).is_ok_and(|count| count == 1) && matches!(answer[0], b'Y' | b'y');
    if !is_yes {
        let database = settings.in_folder(DATABASE);
        println!(
            "You can finish training by launching the program in training mode again.\nYou can delete the data by removing \
             {} or run the scipt {TRAINER} manually to add them to the dataset now.\n",
            database.display()
        );
        return;
    }
    println!("Training may take a few minutes, please wait.");
    match std::process::Command::new(TRAINER).status() {
        Ok(status) if status.success() => println!("\nTraining finished succesfully."),
        _ => println!("Error: Training failed. Check {TRAINER}"),
    }
}

/// Classifies until the stream ends or the stop flag is set; answers the number of flows received.
pub fn run(
    input: &mut Input,
    settings: &Settings,
    mut labels: Labels,
    out: impl Write,
) -> Result<u64, ClassifierError> {
    let known = labels.len();
    let training = match &settings.train {
        Some(_) => {
            println!("\n(TRAINING MODE)");
            let path = settings.in_folder(DATABASE);
            let file = OpenOptions::new().append(true).create(true).open(&path);
            Some(file.map_err(|source| ClassifierError::Database { path, source })?)
        }
        None => {
            let folder = settings.folder.clone().unwrap_or_else(|| MODELS.into());
            labels.load_models(&folder);
            None
        }
    };
    let rules = match settings.train.as_ref().or(settings.filter.as_ref()) {
        Some(path) => Some(Rules::load(path, training.is_some().then_some(&mut labels))?),
        None => None,
    };
    if let Some(rules) = &rules {
        println!("Filter: {rules}");
    }
    let json = settings.json.as_ref().filter(|_| training.is_none()).map(File::create).transpose();
    let json = json.unwrap_or_else(|why| {
        eprintln!("Error: Cannot open output file. Do you have enough privileges?\n{why}");
        None
    });
    let usr1 = Arc::new(AtomicBool::new(false));
    let handler = signal_hook::flag::register(SIGUSR1, Arc::clone(&usr1))?;
    let mut classifier = Classifier {
        settings,
        labels,
        rules,
        devices: Devices::default(),
        training,
        json,
        out,
        outputs: 0,
        flows: 0,
        since: 0,
    };
    let ended = classifier.receive(input, &usr1);
    signal_hook::low_level::unregister(handler);
    let finished = classifier.finish(known);
    ended?;
    finished?;
    Ok(classifier.flows)
}

struct Classifier<'s, W> {
    settings: &'s Settings,
    labels: Labels,
    rules: Option<Rules>,
    devices: Devices,
    training: Option<File>,
    json: Option<File>,
    out: W,
    /// Outputs so far.
    outputs: u64,
    flows: u64,
    /// Flow time of the last output, milliseconds; 0 before the first flow.
    since: u64,
}

impl<W: Write> Classifier<'_, W> {
    fn receive(&mut self, input: &mut Input, usr1: &AtomicBool) -> Result<(), ClassifierError> {
        input.set_timeout(Timeout::Micros(POLL_US));
        let mut reader = Reader::new(input, FIELDS)?;
        let mut at = [0; 9];
        loop {
            let view = match reader.read()? {
                Next::Record { view, is_new } => {
                    if is_new {
                        at = reading::fields(view.template(), FIELDS);
                    }
                    view
                }
                Next::Nothing if usr1.swap(false, Ordering::Relaxed) => {
                    self.output()?;
                    continue;
                }
                Next::Nothing | Next::Damaged => continue,
                Next::Eof | Next::Stopped => return Ok(()),
            };
            self.flows += 1;
            let [dst, src, bytes, first, last, packets, dst_port, src_port, protocol] = at;
            let (Some(IpAddr::V4(src)), Some(IpAddr::V4(dst))) = (view.ip(src), view.ip(dst)) else { continue };
            let number = |field| view.uint(field).unwrap_or(0);
            let millis = |field| view.time(field).map_or(0, |time| time.millis());
            let flow = Flow {
                first_ms: millis(first),
                last_ms: millis(last),
                bytes: number(bytes),
                packets: number(packets),
                is_tcp: number(protocol) == 6,
            };
            let (src, dst) = (src.to_bits(), dst.to_bits());
            if self.rules.as_ref().is_none_or(|rules| rules.find(src).is_some()) {
                self.devices.add(src, dst, &flow, number(src_port) as u16, true);
            }
            if self.rules.as_ref().is_none_or(|rules| rules.find(dst).is_some()) {
                self.devices.add(dst, src, &flow, number(dst_port) as u16, false);
            }
            if self.since == 0 {
                self.since = flow.first_ms;
            }
            let period_ms = self.settings.minutes.saturating_mul(60_000);
            let is_due = period_ms > 0 && flow.first_ms.abs_diff(self.since) > period_ms;
            if is_due || usr1.swap(false, Ordering::Relaxed) {
                self.output()?;
                self.since = flow.first_ms;
            }
        }
    }

    /// The output at the end, unless outputs come by period, and the end of the files.
    fn finish(&mut self, known: usize) -> Result<(), ClassifierError> {
        if self.settings.minutes == 0 && self.flows > 0 {
            self.output()?;
        }
        if let Some(json) = &mut self.json {
            // Without any output the original leaves a lone bracket.
            json.write_all(if self.outputs == 0 { b"[]\n" } else { b"]\n" })?;
        }
        if self.training.is_some() && self.flows > 0 {
            self.labels.append_new(known, &self.settings.in_folder(LIST))?;
        }
        Ok(())
    }

    /// Classifies all devices and shows them, or collects their features.
    fn output(&mut self) -> Result<(), ClassifierError> {
        let mut text = String::new();
        let mut json = String::from(if self.outputs == 0 { "[[" } else { ",\n[" });
        let mut collected = String::new();
        if self.outputs == 0 {
            text.push_str("ip_address\tlabels\n");
        }
        let mut is_first = true;
        for (ip, device) in self.devices.iter().filter(|(_, device)| device.peers() > self.settings.peers) {
            let features = device.features();
            let address = Ipv4Addr::from_bits(ip);
            if self.training.is_some() {
                if let Some(rule) = self.rules.as_ref().and_then(|rules| rules.find(ip)) {
                    collected.push_str(&rule.line(&features));
                }
                let shown = self.labels.reserved(ip).unwrap_or("[TRAINING...]");
                text.push_str(&format!("{address}\t{shown}\n"));
                continue;
            }
            let names: Vec<&str> = self.labels.predict(&features).collect();
            let shown = self.labels.reserved(ip).map_or_else(|| names.join(","), str::to_owned);
            text.push_str(&format!("{address}\t{shown}\n"));
            if !std::mem::replace(&mut is_first, false) {
                json.push_str(",\n");
            }
            let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
            json.push_str(&format!("{{\n\t\"ip\" : \"{address}\",\n\t\"labels\" : [{}]\n}}", quoted.join(",")));
        }
        json.push(']');
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        if let Some(file) = &mut self.json {
            file.write_all(json.as_bytes())?;
        }
        if let Some(file) = &mut self.training {
            file.write_all(collected.as_bytes())?;
        }
        if !self.settings.accumulate {
            self.devices = Devices::default();
        }
        self.outputs += 1;
        Ok(())
    }
}

/// The labels of these settings.
pub fn labels(settings: &Settings) -> Result<Labels, RuleError> {
    Labels::load(&settings.in_folder(LIST))
}
