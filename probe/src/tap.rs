//! `sonda tap`: flow records as they leave a probe, one line each, those that a filter lets through.
use crate::applets;
use clap::Parser;
use record::unirec::{Datum, Template, View};
use record::{json, text};
use std::ffi::OsString;
use std::io::{self, Write};
use trap::{Event, Format, IfcSpec, Input, InputDefaults, Place, Spec, Stop, Timeout, TrapError};

mod filter;
use filter::{Basics, Filter, PROTOCOLS, Places};

/// A reader that waits so long hears that nobody is there to send.
const PATIENCE: Timeout = Timeout::Micros(1_000_000);
/// Lines are gathered up to so many bytes while more records wait.
const LINES_MAX: usize = 64 * 1024;

/// Follow the flow records of a TRAP interface, such as `sonda probe --unirec u:flows` writes.
#[derive(Parser, Debug)]
#[command(
    name = "sonda tap",
    version,
    after_help = "A filter is conditions joined by 'and', each may have 'not' before it:\n  src, dst, ip ADDRESS[/LEN]      port, src_port, dst_port N[-M]\n  \
proto tcp|udp|icmp|...|N       bytes, packets < <= = >= > N[k|M|G]  (both directions)\n\n\
Examples:\n  sonda probe -i eth0 --unirec u:flows &\n  sonda tap u:flows\n  sonda tap u:flows --filter 'ip 10.0.0.0/8 and not port 443 and bytes > 1M'\n  \
sonda tap t:probe.example:8000 --json | jq .SRC_IP\n\nCtrl-C ends it. A sender that is not there yet, or comes back, is waited for.\n\
Exit status: 0 fine, also when ended by Ctrl-C; 1 the interface cannot be opened or sends something else; 2 wrong usage."
)]
pub(crate) struct Args {
    /// Where records come from: u:NAME, t:HOST:PORT, f:FILE
    #[arg(value_name = "SPEC")]
    interface: String,
    /// Only flows for which these conditions hold; may be repeated, then all must
    #[arg(short, long, value_name = "CONDITIONS", value_parser = Filter::parse)]
    filter: Vec<Filter>,
    /// One JSON object for each flow, with all fields under their UniRec names
    #[arg(long)]
    json: bool,
    /// End after this many flows that were shown
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
}

/// Why following ended early; the message says what to do.
#[derive(Debug, thiserror::Error)]
enum TapError {
    #[error("{0}")]
    Interface(String),
    #[error(transparent)]
    Trap(#[from] TrapError),
    #[error("the sender's template cannot be read: {0}")]
    Template(#[from] record::unirec::SpecError),
    #[error(
        "records of this interface have no {0}, which the filter asks for: leave that condition out, or read an interface that carries basic fields (--unirec u:NAME without plugins)"
    )]
    NoField(&'static str),
    #[error("cannot write: {0}")]
    Write(io::Error),
}

pub(crate) fn main(args: &[OsString]) -> u8 {
    let args: Args = match applets::parse("tap", args) {
        Ok(args) => args,
        Err(status) => return status,
    };
    match run(args) {
        Ok(()) => 0,
        Err(TapError::Write(e)) if e.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(e) => {
            eprintln!("sonda tap: {e}");
            1
        }
    }
}

fn run(args: Args) -> Result<(), TapError> {
    let stop = Stop::default();
    stop.on_signals().map_err(|e| TapError::Interface(format!("signals cannot be caught: {e}")))?;
    let parsed = Spec::parse(&args.interface).map_err(|e| TapError::Interface(e.to_string()))?;
    let Ok([spec]) = <[IfcSpec; 1]>::try_from(parsed) else {
        return Err(TapError::Interface(format!(
            "'{}' is not one interface, give one such as u:flows",
            args.interface
        )));
    };
    let mut input = Input::open_at(&spec, &InputDefaults { timeout: PATIENCE }, &Place { stop, ..Place::default() })?;
    input.require(Format::UniRec(String::new()));
    let mut filter = Filter::default();
    args.filter.into_iter().for_each(|more| filter.and(more));
    let mut lines = Lines { filter, json: args.json, left: args.count, ..Lines::default() };
    let followed = follow(&mut input, &args.interface, &mut lines);
    let flushed = lines.flush();
    followed?;
    flushed?;
    if lines.damaged > 0 {
        eprintln!("sonda tap: {} damaged records were left out", lines.damaged);
    }
    match input.stats().missed {
        0 => {}
        missed => {
            eprintln!("sonda tap: {missed} records were missed, because lines are read more slowly than flows end")
        }
    }
    Ok(())
}

fn follow(input: &mut Input, name: &str, lines: &mut Lines) -> Result<(), TapError> {
    let mut told = false;
    while lines.left != Some(0) {
        let mut event = input.recv_now()?;
        if event == Event::Timeout {
            // Nothing waits: what was gathered goes out before the wait.
            lines.flush()?;
            event = input.recv()?;
        }
        match event {
            Event::Message(record) => lines.record(record)?,
            Event::FormatChanged { format, first } => {
                lines.template(format.spec())?;
                lines.record(first)?;
            }
            Event::Timeout => {
                if !input.is_connected() && !told {
                    told = true;
                    eprintln!(
                        "sonda tap: waiting for a sender at {name}, such as `sonda probe -i eth0 --unirec {name}`"
                    );
                }
            }
            Event::EndOfStream | Event::Terminated => return Ok(()),
        }
    }
    Ok(())
}

/// Records on their way to standard output.
#[derive(Default)]
struct Lines {
    filter: Filter,
    json: bool,
    /// Lines that are still wanted.
    left: Option<u64>,
    template: Template,
    places: Places,
    out: Vec<u8>,
    damaged: u64,
}

impl Lines {
    fn template(&mut self, spec: &str) -> Result<(), TapError> {
        self.template = Template::parse(spec)?;
        self.places = Places::of(&self.template);
        match self.filter.missing(&self.places) {
            Some(field) => Err(TapError::NoField(field)),
            None => Ok(()),
        }
    }

    fn record(&mut self, record: &[u8]) -> Result<(), TapError> {
        let Ok(view) = View::new(&self.template, record) else {
            self.damaged += 1;
            return Ok(());
        };
        let basics = self.places.read(&view);
        if !self.filter.holds(&basics) {
            return Ok(());
        }
        if self.json {
            object(&mut self.out, &view);
        } else {
            line(&mut self.out, &basics, &self.places, &view);
        }
        self.out.push(b'\n');
        self.left = self.left.map(|left| left - 1);
        if self.out.len() >= LINES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), TapError> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&self.out).and_then(|()| stdout.flush());
        self.out.clear();
        written.map_err(TapError::Write)
    }
}

/// All fields of a record.
fn object(out: &mut Vec<u8>, view: &View<'_>) {
    out.push(b'{');
    for (index, (field, datum)) in view.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::string(out, field.name.as_bytes());
        out.push(b':');
        value(out, datum);
    }
    out.push(b'}');
}

fn value(out: &mut Vec<u8>, datum: Datum<'_>) {
    match datum {
        Datum::Value(value) => json::value(out, value),
        Datum::List(list) => {
            out.push(b'[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                json::value(out, item);
            }
            out.push(b']');
        }
    }
}

/// When, who to whom, how much, and then the fields beyond the basic ones that say something.
fn line(out: &mut Vec<u8>, flow: &Basics, places: &Places, view: &View<'_>) {
    let mut made = Vec::new();
    match flow.first {
        Some(first) => text::time(&mut made, first),
        None => made.push(b'-'),
    }
    let secs = flow.last.zip(flow.first).map_or(0.0, |(last, first)| last.0.saturating_sub(first.0) as f64 / 1e9);
    let protocol = flow.protocol.map_or("-".into(), |number| {
        let name = PROTOCOLS.iter().find(|(_, known)| *known == number);
        name.map_or_else(|| format!("proto {number}"), |(name, _)| name.to_string())
    });
    let end = |ip: Option<std::net::IpAddr>, port: Option<u16>| match (ip, port) {
        (Some(ip), Some(port)) => std::net::SocketAddr::new(ip, port).to_string(),
        (Some(ip), None) => ip.to_string(),
        _ => "-".into(),
    };
    let (src, dst) = (end(flow.src, flow.src_port), end(flow.dst, flow.dst_port));
    let (packets, bytes) = (flow.packets.unwrap_or(0), flow.bytes.unwrap_or(0));
    made.extend_from_slice(format!(" {secs:8.3}s {protocol:<5} {src} > {dst} {packets} packets {bytes} B").as_bytes());
    let rest = view.iter().enumerate().filter(|(index, _)| !places.has(*index));
    for (_, (field, datum)) in rest.filter(|(_, (_, datum))| says_something(datum)) {
        made.push(b' ');
        made.extend_from_slice(field.name.as_bytes());
        made.push(b'=');
        value(&mut made, datum);
    }
    // Nothing that a flow carries may move the terminal's cursor.
    let plain = String::from_utf8_lossy(&made);
    out.extend(plain.chars().map(|c| if c.is_control() { '.' } else { c }).collect::<String>().as_bytes());
}

fn says_something(datum: &Datum<'_>) -> bool {
    use record::Value;
    match datum {
        Datum::Value(Value::Uint(0) | Value::Int(0) | Value::Text([]) | Value::Bytes([]) | Value::Char(0)) => false,
        Datum::Value(_) => true,
        Datum::List(list) => !list.is_empty(),
    }
}
