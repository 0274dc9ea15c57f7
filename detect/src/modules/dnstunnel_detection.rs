//! dnstunnel_detection: payload carried by DNS, told from names that are long, varied and new (spec/detectors.md section 6).
//!
//! Messages are collected for a session of wall time, then every address is looked at. An address stays watched as long as something
//! about it is suspect. Limits: [`HOSTS_MAX`] addresses and [`names::LABELS_MAX`] labels of each set of names.
mod alert;
mod host;
mod judge;
mod measure;
mod names;
mod packets;
mod results;
mod settings;
mod whitelist;

use crate::bounded::Bounded;
use crate::clock::unix_secs;
use crate::detector::c_text;
use crate::options;
use crate::progress::Progress;
use crate::sdk::{
    self, Count, Ended, Failure, GO_ON, Module, ModuleInfo, Octets, Param, Reader, Step, Str, View, Writer, fields,
    value,
};
use alert::{Alert, Capture};
use host::{ANSWERS, Host, Kind, Message};
use jiff::Zoned;
use judge::EventIds;
use measure::Measure;
use packets::Packets;
pub use packets::fuzz_packet;
use results::Totals;
use settings::Settings;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::Path;
use trap::Timeout;
use whitelist::Whitelist;
pub use whitelist::fuzz_whitelist;

/// Addresses that are watched at a time; some 1.3 kB each, and what names they have that look like payload.
const HOSTS_MAX: usize = 131_072;
/// Bytes of a name that are kept; longer ones than the exporter's limit lost their end, so they are cut at a label.
const NAME_MAX: usize = 254;
const NAME_CUT_FROM: usize = 126;
const NAME_CUT: usize = 237;
const CUT_NAME: &[u8] = b"max_length_domain";

/// One line for lists of modules.
pub const ABOUT: &str = "Detects tunnels over DNS.";

const INFO: ModuleInfo = ModuleInfo {
    name: "dnstunnel_detection",
    description: "Module that detects DNS tunnels on the network. Input interface needs DNS flow data. There can be two output \
                  interfaces: the first sends alerts, the second what to capture of a tunnel.\n\
                  At most 131072 addresses are watched at a time; the one that was silent for longest makes room, which is counted.",
    inputs: Count::Exactly(1),
    outputs: Count::Variable,
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('p', "print", "int32", "Show progress: print a dot every N flows."),
    value('a', "whitelist_domain", "string", "File with domains which will not be analyzed, one a line."),
    value(
        'b',
        "whitelist_ip",
        "string",
        "File with IPs which will not be analyzed, one a line or separated by semicolons.",
    ),
    value(
        'c',
        "measure_param_file",
        "string",
        "Measure usual traffic in packets of a file, as -f reads them, and print options for it.",
    ),
    value(
        's',
        "save_folder",
        "string",
        "Folder that is made for results of the whole run: histograms, anomalies, suspects.",
    ),
    value(
        'f',
        "packet_file",
        "string",
        "Read packets from a file instead of -i: lines TIME;SRC,DST;SRC6,DST6;RESPONSE;SIZE;NAME;IP;TXT;CNAME;MX;NS, with one pair \
         of addresses. Nothing is sent then.",
    ),
    value(
        'S',
        "SDM_setting",
        "string",
        "What is captured of a tunnel: COUNT of packets,TIMEOUT in seconds (1000,300).",
    ),
    value('d', "anomaly_file", "string", "File to which anomalies are appended when they are found."),
    value(
        'g',
        "suspicion_request",
        "string",
        "Usual sizes of requests: MIN EX,MAX EX,MIN VAR,MAX VAR (70,100,30,150).",
    ),
    value(
        'r',
        "suspicion_response",
        "string",
        "Usual sizes of responses: MIN EX,MAX EX,MIN VAR,MAX VAR (70,600,200,50000).",
    ),
    value(
        'j',
        "suspicion_max_letters",
        "string",
        "Different characters that are usual: in requests,in responses (25,30).",
    ),
    value(
        'k',
        "subdomain_percent",
        "string",
        "MAX,MIN share of subdomains; of no effect, as in the original (0.8,0.005).",
    ),
    value('l', "suspicion_max_numbers", "string", "Digits that are usual in a name: MAX count,MAX share (15,0.3)."),
    value('m', "max_malformed", "float", "Share of responses without a name that keeps an anomaly going (0.3)."),
    value(
        'n',
        "min_suspected_requests",
        "string",
        "Suspected requests: MIN for other anomaly,MIN for tunnel (10000,150).",
    ),
    value(
        'o',
        "min_suspected_responses",
        "string",
        "Suspected responses: MIN for other anomaly,MIN for tunnel (10000,50).",
    ),
    value('q', "searching", "string", "Share of names that come once: MAX,MIN (0.9,0.005)."),
    value(
        't',
        "max_round",
        "string",
        "Sessions without evidence after which it is over (3,5): the first for request tunnels found and everything else that is \
         suspected, the second for the other way round.",
    ),
    value('w', "tunnel_length", "int32", "Length from which a name can be of a tunnel (100)."),
    value('z', "collect_length", "int32", "Seconds of collecting before each analysis (60)."),
    value('E', "file_event_id", "string", "File with the next event id (/data/dnstunnel_detection/event_id.txt)."),
];

fields! {
    /// What comes in.
    struct In {
        dst: IpAddr = "DST_IP",
        src: IpAddr = "SRC_IP",
        bytes: u64 = "BYTES",
        query_type: u16 = "DNS_QTYPE",
        dst_port: u16 = "DST_PORT",
        name: Str = "DNS_NAME",
        answer: Octets = "DNS_RDATA",
    }
}

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let Some(options) = file_options(args) else { return sdk::main(&INFO, args, run) };
    match run_file(&options) {
        Ok(()) => 0,
        Err(why) => {
            eprintln!("{why}");
            1
        }
    }
}

/// The options if packets come from a file, which needs no interfaces; those are not opened then, as in the original.
fn file_options(args: &[String]) -> Option<sdk::Options> {
    let interfaces = [value('i', "ifc", "string", ""), sdk::flag('v', "", ""), sdk::flag('h', "help", "")];
    let given = options::parse(args, &[PARAMS, &interfaces].concat()).ok()?;
    let has = |letter| given.iter().any(|option| option.short == letter);
    let is_file = (has('f') || has('c')) && !has('h');
    is_file.then(|| sdk::Options::new(given))
}

fn run_file(options: &sdk::Options) -> Result<(), Failure> {
    let settings = Settings::read(options)?;
    let measured = options.text('c').map(|_| Measure::default());
    let path = Path::new(options.text('c').or(options.text('f')).unwrap_or_default());
    let whitelist = Whitelist::load(settings.domains.as_deref(), settings.addresses.as_deref())?;
    let (mut progress, session) = (Progress::new(settings.progress, '.'), settings.session as f64);
    let mut detector = Detector::open(settings, Sinks { alerts: None, captures: None })?;
    let mut packets = Packets::open(path)?;
    let (mut measured, mut count, mut began) = (measured, 0_u64, None);
    while let Some(packet) = packets.next().map_err(Failure::Other)? {
        count += 1;
        progress.count();
        let begin = *began.get_or_insert(packet.time);
        if !whitelist.has_address(packet.address) && !whitelist.has_name(packet.message.name) {
            match &mut measured {
                Some(measured) => measured.add(&packet.message),
                None => {
                    let _: ControlFlow<()> = detector.take(packet.address, &packet.message, unix_secs())?;
                }
            }
        }
        // Here nothing is sent that could be broken off.
        if measured.is_none() && packet.time - begin > session {
            let _: ControlFlow<()> = detector.end_session(unix_secs())?;
            began = None;
        }
    }
    packets.tell();
    say(format_args!("End of file\n"));
    match &measured {
        Some(measured) => say(format_args!("{}", measured.report(&detector.settings.limits))),
        None => {
            let _: ControlFlow<()> = detector.end_session(unix_secs())?;
        }
    }
    progress.end();
    say(format_args!("Packets: {count:20}\n"));
    detector.close()
}

fn run(module: &mut Module) -> Result<(), Failure> {
    let settings = Settings::read(&module.options)?;
    say(format_args!("Output interfaces: {}\n", module.outputs.len()));
    if module.outputs.len() > 2 {
        return Err(Failure::Usage(
            "More than 2 interfaces. In tunnel detection module can be maximal 2 output interfaces".into(),
        ));
    }
    let mut outputs = module.outputs.iter_mut();
    let alerts = outputs.next().map(|output| {
        output.set_timeout(Timeout::HalfWait);
        Writer::new(output)
    });
    let captures = outputs.next().map(|output| {
        output.set_timeout(Timeout::NoWait);
        Writer::new(output)
    });
    let sinks = Sinks { alerts: alerts.transpose()?, captures: captures.transpose()? };
    let whitelist = Whitelist::load(settings.domains.as_deref(), settings.addresses.as_deref())?;
    let mut progress = Progress::new(settings.progress, '.');
    let mut detector = Detector::open(settings, sinks)?;
    let mut count = 0_u64;
    let mut name = Vec::new();
    Reader::new(&mut module.inputs[0]).for_each(|fields: &In, record| {
        count += 1;
        progress.count();
        let (address, message) = message(fields, record, &mut name);
        let now = unix_secs();
        let is_usual = whitelist.has_address(address) || whitelist.has_name(message.name);
        if !is_usual && detector.take(address, &message, now)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        detector.end_session_if_due(now)
    })?;
    // Nothing follows that could be broken off.
    let _: ControlFlow<()> = detector.end_session(unix_secs())?;
    progress.end();
    say(format_args!("Packets: {count:20}\n"));
    detector.close()
}

/// The message of a record; a name that must be cut is in `cut`.
fn message<'r>(fields: &In, record: &View<'r>, cut: &'r mut Vec<u8>) -> (IpAddr, Message<'r>) {
    let is_response = fields.dst_port(record) != 53;
    let whole = fields.name(record);
    let name = if whole.len() < NAME_CUT_FROM {
        whole
    } else {
        cut_name(whole, cut);
        cut
    };
    let kind = match fields.query_type(record) {
        2 => Some(Kind::Ns),
        5 => Some(Kind::Cname),
        15 => Some(Kind::Mx),
        16 => Some(Kind::Txt),
        _ => None,
    };
    let answer = |of| match kind {
        Some(kind) if kind == of && is_response => c_text(fields.answer(record), host::TEXT_MAX),
        _ => &[],
    };
    // Sizes have 32 bits, as in the original.
    let size = fields.bytes(record) as u32;
    let address = if is_response { fields.dst(record) } else { fields.src(record) };
    (address, Message { name: c_text(name, NAME_MAX), size, answers: ANSWERS.map(answer), is_response })
}

/// Cuts a name at the last dot before the limit and says so in its place.
fn cut_name(name: &[u8], cut: &mut Vec<u8>) {
    let kept = name[..name.len().min(NAME_MAX)].iter().take(NAME_CUT - 1).rposition(|byte| *byte == b'.');
    cut.clear();
    cut.extend_from_slice(&name[..kept.map_or(0, |dot| dot + 1)]);
    cut.extend_from_slice(CUT_NAME);
}

struct Sinks<'o> {
    alerts: Option<Writer<'o, Alert>>,
    captures: Option<Writer<'o, Capture>>,
}

struct Detector<'o> {
    settings: Settings,
    sinks: Sinks<'o>,
    log: Option<File>,
    hosts: Bounded<IpAddr, Host>,
    totals: Totals,
    ids: EventIds,
    /// Wall time at which the session began, Unix seconds.
    began: u64,
    sessions: u64,
    /// Names that found no room.
    unstored: u64,
}

impl<'o> Detector<'o> {
    fn open(settings: Settings, sinks: Sinks<'o>) -> Result<Detector<'o>, Failure> {
        let log = settings.log.as_deref().map(open_log).transpose()?;
        settings.results.as_deref().map_or(Ok(()), results::make_folder)?;
        let ids = EventIds(read_event_id(&settings.event_file));
        let hosts = Bounded::new(HOSTS_MAX);
        let (totals, began) = (Totals::default(), unix_secs());
        Ok(Detector { settings, sinks, log, hosts, totals, ids, began, sessions: 0, unstored: 0 })
    }

    fn take(&mut self, address: IpAddr, message: &Message<'_>, now: u64) -> Step {
        self.totals.add(message);
        // Who makes room is looked at before the session is over: it may have said enough.
        let oldest = self.hosts.oldest().map(|(oldest, _)| *oldest);
        if let Some(oldest) = oldest.filter(|_| self.hosts.len() >= HOSTS_MAX && self.hosts.get(&address).is_none())
            && self.look(oldest, now, &mut false)?.is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        self.hosts.entry(address, Host::default).0.take(message, &self.settings.limits, now);
        GO_ON
    }

    fn end_session_if_due(&mut self, now: u64) -> Step {
        if now.saturating_sub(self.began) <= self.settings.session {
            return GO_ON;
        }
        let step = self.end_session(now);
        self.began = unix_secs();
        step
    }

    /// Looks at all addresses in their order, sends alerts, and forgets addresses that are not suspect.
    fn end_session(&mut self, now: u64) -> Step {
        self.sessions += 1;
        say(format_args!("cycle {}\n\tcount of ip's before_erase {}\n", self.sessions, self.hosts.len()));
        let mut addresses: Vec<_> = self.hosts.iter().map(|(address, _)| *address).collect();
        addresses.sort_unstable();
        let mut is_time_shown = false;
        for address in addresses {
            if self.look(address, now, &mut is_time_shown)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.hosts.retain(|_, host| !host.is_clean());
        say(format_args!("\tcount of ip's after_erase {}\n\n", self.hosts.len()));
        GO_ON
    }

    fn look(&mut self, address: IpAddr, now: u64, is_time_shown: &mut bool) -> Step {
        let Some(host) = self.hosts.get_mut(&address) else { return GO_ON };
        self.unstored += host.take_unstored();
        let found = judge::judge(host, &self.settings.limits, &mut self.ids, now);
        if let Some(log) = self.log.as_mut().filter(|_| found != Default::default()) {
            let shown = if *is_time_shown { Ok(()) } else { write!(log, "\nTIME: {}\n\n", clock()) };
            *is_time_shown = true;
            if let Err(why) = shown.and_then(|()| alert::log(log, address, host, found)) {
                eprintln!("Warning: the anomaly file cannot be written, it ends here: {why}");
                self.log = None;
            }
        }
        let is_tunnelled = host.is_tunnelled() && !host.is_captured;
        for alert in alert::alerts(address, host) {
            if let Some(alerts) = &mut self.sinks.alerts
                && alerts.send(&alert)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
        }
        if !is_tunnelled {
            return GO_ON;
        }
        host.is_captured = true;
        let event = host.request_tunnel.proved().map_or(0, |part| part.event);
        let limits = &self.settings.limits;
        let mut capture =
            Capture { address, packets: limits.capture_packets, secs: limits.capture_secs, ..Capture::default() };
        capture.file.set(format!("tunnel_detection_{event}").as_bytes());
        self.sinks.captures.as_mut().map_or(GO_ON, |captures| captures.send(&capture))
    }

    /// Keeps the next event id and ends the stream of alerts, however the input ended.
    fn close(self) -> Result<(), Failure> {
        self.hosts.tell("addresses");
        if self.unstored > 0 {
            eprintln!("Warning: {} names were counted as new ones without being kept.", self.unstored);
        }
        if let Some(folder) = &self.settings.results {
            results::write(folder, &self.totals, &self.hosts)?;
        }
        let file = &self.settings.event_file;
        if let Err(why) = std::fs::write(file, format!("{}\n", self.ids.0)) {
            let (file, id) = (file.display(), self.ids.0);
            eprintln!(
                "Warning: File with last event ID ({file}) could not be written. Last ID: {id}, will not be saved. {why}"
            );
        }
        self.sinks.alerts.map_or(Ok(()), |alerts| alerts.end(Ended::Sender))
    }
}

fn open_log(path: &Path) -> Result<File, Failure> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let started = opened.and_then(|mut log| {
        write!(log, "\nSTART TIME: {}\n\n", clock())?;
        Ok(log)
    });
    started.map_err(|why| Failure::Other(format!("Output file couldn`t be opened. {}: {why}", path.display())))
}

/// The event id of the file; 0 without one.
fn read_event_id(path: &Path) -> u32 {
    let shown = path.display();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(why) if why.kind() == ErrorKind::NotFound => {
            eprintln!(
                "Warning: File with last event ID ({shown}) does not exists. The file will be created, last event_id = 0."
            );
            return 0;
        }
        Err(why) => {
            eprintln!(
                "Warning: File with last event ID ({shown}) exists, but it could not be opened. Last event_id = 0. {why}"
            );
            return 0;
        }
    };
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_else(|| {
        eprintln!("Warning: File with last event ID ({shown}) has incorect format. The file will be rewritten, last event_id = 0.");
        0
    })
}

/// Local time as ctime says it.
fn clock() -> impl std::fmt::Display {
    Zoned::now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// What is said on standard output is of no interest to a reader that is gone.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = io::stdout().lock().write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_a_label() {
        let mut cut = Vec::new();
        cut_name(&[&[b'a'; 100], &b"."[..], &[b'b'; 60]].concat(), &mut cut);
        assert_eq!(cut, [&[b'a'; 100], &b".max_length_domain"[..]].concat());
        cut_name(&[b'a'; 130], &mut cut);
        assert_eq!(cut, CUT_NAME);
        // The dot must leave room for the words.
        cut_name(&[&[b'a'; 10], &b"."[..], &[b'b'; 225], b".", &[b'c'; 30]].concat(), &mut cut);
        assert_eq!(cut, [&[b'a'; 10], &b".max_length_domain"[..]].concat());
    }
}
