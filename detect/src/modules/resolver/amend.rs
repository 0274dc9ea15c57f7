//! A record with its lookups: what is asked, what a failure gives, and the record that leaves.
use super::dns::{Found, NAME_MAX, Question, is_name};
use super::lookup::Failure;
use super::pool::Pool;
use super::services::Services;
use super::{Lookup, Resolution};
use crate::stream::assemble;
use record::Value;
use record::unirec::{Builder, SpecError, Template, TooLarge, View};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// Bytes of a service's name, at the most.
const SERVICE_MAX: usize = 255;

/// Where the values of the output's records come from.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    input: Template,
    output: Template,
    /// For each field of the output.
    sources: Vec<Source>,
    /// For each lookup: its fields of the input.
    places: Vec<Vec<usize>>,
    /// For addresses.
    address: Template,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Input(usize),
    Lookup(usize),
}

/// A record and its lookups.
#[derive(Debug)]
pub(super) struct Amended {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// When it leaves at the latest.
    pub(super) until: Instant,
}

/// One lookup of one record.
#[derive(Debug)]
struct Slot {
    lookup: Lookup,
    /// What is looked up, for messages.
    subject: String,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(Question),
    /// The record was not held for it any longer.
    Late,
    Done(Found),
    Failed(String),
}

impl Plan {
    /// The output's fields.
    pub(super) fn spec(input: &str, resolutions: &[Resolution]) -> Result<Template, SpecError> {
        let added = resolutions.iter().map(|r| format!(",{} {}", r.lookup.outfield(), r.outfield));
        Template::parse(&format!("{}{}", input.trim_end_matches(','), added.collect::<String>()))
    }

    /// For records of `input`, which has the fields that are looked up.
    pub(super) fn new(input: &Template, resolutions: &[Resolution]) -> Result<Plan, SpecError> {
        let output = Plan::spec(&input.spec(), resolutions)?;
        let sources = output.fields().iter().map(|field| {
            // The last lookup of a name counts.
            let lookup = resolutions.iter().rposition(|resolution| resolution.outfield == field.name);
            let own = input.index_of(&field.name).unwrap_or(crate::reading::NO_FIELD);
            lookup.map_or(Source::Input(own), Source::Lookup)
        });
        let place = |name: &String| crate::reading::field(input, name);
        let places = resolutions.iter().map(|resolution| resolution.infields.iter().map(place).collect());
        Ok(Plan {
            sources: sources.collect(),
            places: places.collect(),
            input: input.clone(),
            output,
            address: Template::parse("ipaddr A")?,
        })
    }

    pub(super) fn input(&self) -> &Template {
        &self.input
    }

    pub(super) fn output(&self) -> &Template {
        &self.output
    }

    /// Takes a record; what needs no server is looked up at once.
    pub(super) fn amend(
        &self,
        view: &View<'_>,
        resolutions: &[Resolution],
        services: &Services,
        until: Instant,
    ) -> Amended {
        let slots = resolutions.iter().zip(&self.places).map(|(resolution, places)| {
            let lookup = resolution.lookup;
            let (subject, state) = match (lookup, places.as_slice()) {
                (Lookup::Services, [port, protocol]) => {
                    // Their types are uint16 and uint8.
                    let port = view.uint(*port).unwrap_or(0) as u16;
                    let protocol = view.uint(*protocol).unwrap_or(0) as u8;
                    let found = services.find(port, protocol).map(|name| Found::Name(name.to_owned()));
                    (format!("{port}/{protocol}"), found.map_or_else(State::Failed, State::Done))
                }
                (Lookup::Ptr, [ip]) => {
                    let ip = view.ip(*ip).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
                    (ip.to_string(), State::Open(Question::Ptr(ip)))
                }
                (_, [name]) => {
                    let name = String::from_utf8_lossy(view.bytes(*name).unwrap_or(&[])).into_owned();
                    let state = question(lookup, &name);
                    // A terminal may obey what is not printable.
                    (name.replace(char::is_control, "?"), state)
                }
                _ => (String::new(), State::Failed(Failure::NoName.to_string())),
            };
            Slot { lookup, subject, state }
        });
        Amended { bytes: view.as_bytes().to_vec(), slots: slots.collect(), until }
    }
}

fn question(lookup: Lookup, name: &str) -> State {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if !is_name(&name) && name.parse::<IpAddr>().is_err() {
        return State::Failed(Failure::NoName.to_string());
    }
    State::Open(if lookup == Lookup::A { Question::A(name) } else { Question::Aaaa(name) })
}

impl Amended {
    /// Asks what is not asked yet; true if nothing is open any more, which it always is if the record `is_late`.
    pub(super) fn is_done(&mut self, pool: &mut Pool, is_late: bool) -> bool {
        for slot in &mut self.slots {
            let State::Open(question) = &slot.state else { continue };
            match pool.get(question) {
                Some(Ok(found)) => slot.state = State::Done(found),
                Some(Err(why)) => slot.state = State::Failed(why.to_string()),
                None if is_late => slot.state = State::Late,
                None => {}
            }
        }
        !self.slots.iter().any(|slot| matches!(slot.state, State::Open(_)))
    }

    /// Whether a lookup was not waited for.
    pub(super) fn is_impatient(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Late))
    }

    /// Prints the lookups that failed, as the original does.
    pub(super) fn complain(&self) {
        for slot in &self.slots {
            let what = match slot.lookup {
                Lookup::Ptr => "ptr",
                Lookup::A => "a",
                Lookup::Aaaa => "aaaa",
                Lookup::Services => "services",
            };
            let late = Failure::Passing.to_string();
            let why = match &slot.state {
                State::Failed(why) => why,
                State::Late | State::Open(_) => &late,
                State::Done(_) => continue,
            };
            // A reader of these lines that left changes nothing for the records.
            let _ = writeln!(io::stdout(), "Error: Received exception {why} doing {what} lookup for {}", slot.subject);
        }
    }

    /// Writes the record that leaves.
    ///
    /// # Errors
    /// It would be too long.
    pub(super) fn write(&self, plan: &Plan, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let values: Vec<_> = self.slots.iter().map(|slot| slot.value(&plan.address)).collect();
        // It was a view when it came.
        let view = View::new(&plan.input, &self.bytes).ok();
        assemble(&plan.output, out, |index| match plan.sources[index] {
            Source::Input(own) => view.as_ref()?.raw(own),
            Source::Lookup(slot) => Some(&values[slot]),
        })
    }
}

impl Slot {
    /// The value in wire form.
    fn value(&self, address: &Template) -> Vec<u8> {
        let ip = |ip: IpAddr| {
            let (mut builder, mut out) = (Builder::new(address), Vec::new());
            // An address fits its field, and 16 bytes their record.
            let _ = builder.set(0, Value::Ip(ip));
            let _ = builder.finish(&mut out);
            out
        };
        match (&self.state, self.lookup) {
            (State::Done(Found::Name(name)), lookup) => {
                let max = if lookup == Lookup::Services { SERVICE_MAX } else { NAME_MAX };
                name.as_bytes()[..name.len().min(max)].to_vec()
            }
            (State::Done(Found::Address(found)), _) => ip(*found),
            (_, Lookup::A) => ip(Ipv4Addr::UNSPECIFIED.into()),
            (_, Lookup::Aaaa) => ip(Ipv6Addr::UNSPECIFIED.into()),
            (_, Lookup::Ptr | Lookup::Services) => b"n/a".to_vec(),
        }
    }
}
