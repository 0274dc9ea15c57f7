//! natpair: flows that a probe before and one behind a router saw, as one record each (spec/modules.md section 30).
use super::begin;
use crate::options::{self, value};
use crate::stream::{ReadError, Reader, Sender, Step};
use cache::{Cache, Pair, Seen, Side};
use record::unirec::{Builder, SetError, SpecError, Template, View};
use record::{Kind, Value};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc::{self, SyncSender};
use std::thread;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{Input, TrapError};

pub mod cache;

const INPUT: &str =
    "ipaddr DST_IP,ipaddr SRC_IP,uint16 SRC_PORT,uint16 DST_PORT,uint8 PROTOCOL,time TIME_FIRST,time TIME_LAST";
const OUTPUT: &str = "ipaddr LAN_IP,ipaddr RTR_IP,ipaddr WAN_IP,uint16 LAN_PORT,uint16 RTR_PORT,uint16 WAN_PORT,time TIME_FIRST,\
                      time TIME_LAST,uint8 PROTOCOL,uint8 DIRECTION";

/// Flows that wait between the inputs and the pairing; an input that is faster waits.
const QUEUE: usize = 1_024;

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The router's address in the WAN.
    pub router: Ipv4Addr,
    pub limits: cache::Limits,
}

/// Why the command line was refused; the original answers -1.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    #[error("Error: Invalid arguments.\n{0}")]
    Option(#[from] options::OptError),
    #[error("Error: Invalid value of argument -{0}.")]
    Number(char),
    #[error("Error: Invalid value of IPv4 address of WAN interface of the router handling NAT.")]
    Router,
    #[error("Error: Value of IPv4 address of WAN interface of the router must be specified.")]
    NoRouter,
}

/// Why pairing ended.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("Error: {0}")]
    Spec(#[from] SpecError),
    #[error("Error: {0}")]
    Output(#[from] TrapError),
    #[error("Error: {0}")]
    Set(#[from] SetError),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Pairs flows seen on both sides of a NAT router.";

const INFO: ModuleInfo = ModuleInfo {
    name: "NATpair module",
    description: "This module receives flows from LAN and WAN probes and pairs flows which undergone the Network address translation \
                  (NAT) process. The first input is the LAN, the second the WAN.",
    inputs: Count::Exactly(2),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value('c', "checktime", "uint32", "Frequency of flow cache cleaning. [sec] (default: 600s)"),
    value(
        'f',
        "freetime",
        "uint32",
        "Maximum time for which unpaired flows can remain in flow cache. [sec] (default: 5s)",
    ),
    value(
        'r',
        "router",
        "string",
        "IPv4 address of WAN interface of the router which performs the NAT process. Mandatory.",
    ),
    value(
        's',
        "size",
        "uint32",
        "Number of elements in the flow cache which triggers chache cleaning. (default: 2000)",
    ),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let (settings, Module { inputs, mut outputs, .. }) = match begin(&INFO, args, Settings::parse, |_| 255) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let mut sender = Sender::new(&mut outputs[0]);
    let ran = run(inputs, &settings, &mut sender);
    let finished = sender.finish();
    match ran {
        Ok(()) => u8::from(!finished),
        Err(why) => {
            eprintln!("{why}");
            if let PairError::Read(why) = why { why.exit_code() } else { 1 }
        }
    }
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn parse(args: &[String]) -> Result<Settings, UsageError> {
        let (mut router, mut limits) = (None, cache::Limits::default());
        for given in options::parse(args, PARAMS)? {
            let number = || {
                let number = options::number(&given.value).filter(|n| (1..=u32::MAX.into()).contains(n));
                number.ok_or(UsageError::Number(given.short))
            };
            match given.short {
                'c' => limits.check_ms = 1_000 * number()?,
                'f' => limits.free_ms = 1_000 * number()?,
                's' => limits.size = number()? as usize,
                _ => router = Some(given.value.parse().map_err(|_| UsageError::Router)?),
            }
        }
        Ok(Settings { router: router.ok_or(UsageError::NoRouter)?, limits })
    }
}

/// Pairs flows until both streams ended.
///
/// # Errors
/// See [`PairError`]: the first that an input met, or that of the output.
pub fn run(inputs: Vec<Input>, settings: &Settings, sender: &mut Sender<'_>) -> Result<(), PairError> {
    let template = Template::parse(OUTPUT)?;
    sender.set_template(&template)?;
    let mut records = Records::new(&template, settings.router);
    let (queue, seen) = mpsc::sync_channel(QUEUE);
    thread::scope(|scope| {
        let sides = [Side::Lan, Side::Wan];
        let readers: Vec<_> = sides
            .into_iter()
            .zip(inputs)
            .map(|(side, input)| {
                let queue = queue.clone();
                scope.spawn(move || receive(input, side, settings.router, &queue))
            })
            .collect();
        // Both readers have a sender of their own: when they end, the queue does.
        drop(queue);
        let mut cache = Cache::new(settings.limits);
        for flow in seen {
            if let Some(pair) = cache.add(flow) {
                records.send(&pair, sender)?;
            }
        }
        if cache.lost() > 0 {
            eprintln!("Warning: {} flows found no room to wait for their partner.", cache.lost());
        }
        for reader in readers {
            // A panic of a reader is a mistake of ours and is not hidden.
            reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}

/// Puts the flows of one side into the queue.
fn receive(mut input: Input, side: Side, router: Ipv4Addr, queue: &SyncSender<Seen>) -> Result<(), PairError> {
    let mut reader = Reader::new(&mut input, INPUT)?;
    let mut fields = None;
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    fields = Fields::of(view.template());
                }
                let flow = fields.as_ref().and_then(|fields: &Fields| fields.seen(&view, side, router));
                if flow.is_some_and(|flow| queue.send(flow).is_err()) {
                    // The output failed, which is told by the other end.
                    return Ok(());
                }
            }
            Step::Nothing => {}
            Step::End(_) => return Ok(()),
        }
    }
}

/// Places of the input's fields.
struct Fields {
    source: [usize; 2],
    destination: [usize; 2],
    protocol: usize,
    times: [usize; 2],
}

impl Fields {
    fn of(template: &Template) -> Option<Fields> {
        let end = |ip, port| Some([template.find(ip, Kind::Ip)?, template.find(port, Kind::U16)?]);
        let time = |name| template.find(name, Kind::Time);
        Some(Fields {
            source: end("SRC_IP", "SRC_PORT")?,
            destination: end("DST_IP", "DST_PORT")?,
            protocol: template.find("PROTOCOL", Kind::U8)?,
            times: [time("TIME_FIRST")?, time("TIME_LAST")?],
        })
    }

    /// None for a flow that no router translates: IPv6, or inside of one side.
    fn seen(&self, view: &View<'_>, side: Side, router: Ipv4Addr) -> Option<Seen> {
        let end = |[ip, port]: [usize; 2]| match view.ip(ip)? {
            IpAddr::V4(ip) => Some((ip, view.uint(port)? as u16)),
            IpAddr::V6(_) => None,
        };
        let (source, destination) = (end(self.source)?, end(self.destination)?);
        let direction = cache::Direction::of(source.0, destination.0, router)?;
        let [first, last] = self.times.map(|index| view.time(index).unwrap_or_default());
        Some(Seen::new(side, direction, [source, destination], view.uint(self.protocol)? as u8, [first, last]))
    }
}

/// A record under construction and the places of its fields.
struct Records<'t> {
    builder: Builder<'t>,
    /// Indexes in the order of [`OUTPUT`].
    fields: Vec<usize>,
    router: Ipv4Addr,
    record: Vec<u8>,
}

impl<'t> Records<'t> {
    fn new(template: &'t Template, router: Ipv4Addr) -> Records<'t> {
        let names = OUTPUT.split(',').filter_map(|field| field.split_whitespace().last());
        // The template was made of these very names.
        let fields = names.map(|name| template.index_of(name).unwrap_or(usize::MAX)).collect();
        Records { builder: Builder::new(template), fields, router, record: Vec::new() }
    }

    fn send(&mut self, pair: &Pair, sender: &mut Sender<'_>) -> Result<(), SetError> {
        let values = [
            Value::Ip(pair.lan.0.into()),
            Value::Ip(self.router.into()),
            Value::Ip(pair.wan.0.into()),
            Value::Uint(pair.lan.1.into()),
            Value::Uint(pair.router_port.into()),
            Value::Uint(pair.wan.1.into()),
            Value::Time(pair.times[0]),
            Value::Time(pair.times[1]),
            Value::Uint(pair.protocol.into()),
            Value::Uint(pair.direction as u64),
        ];
        self.fields.iter().zip(values).try_for_each(|(field, value)| self.builder.set(*field, value))?;
        match self.builder.finish(&mut self.record) {
            Ok(()) => sender.send(&self.record),
            Err(why) => sender.too_large(why),
        }
        Ok(())
    }
}
