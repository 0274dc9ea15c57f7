//! dnssd: services that hosts look for and offer by multicast DNS (spec/process_plugins.md, "dnssd"; RFC 6762, RFC 6763).
//!
//! Told by the port. All messages of a flow gather in one record. Option: `txt` lists the strings of TXT records, `txt=FILE` those with
//! the keys that a line `service.domain,key,key,...` of the file names.
use super::entries::{add_distinct, copy_whole};
use crate::face::Face;
use crate::l7::dns::message::{Cursor, Message, ResourceRecord, Stop};
use crate::l7::dns::rdata::{kind, strings};
use crate::packet::protocol;
use crate::plugin::{
    Context, Cut, OptionError, Plugin, PluginOption, Slot, Slots, Step, Takes, options, put_short, put_text,
};
use record::element::cesnet;
use record::{Text, record};
use responses::{Entry, Marks, Part};
use std::fmt::Write;

mod responses;
mod txt;

record! {
    /// DNS-SD questions and answers.
    pub struct DnssdRecord = "dnssd" {
        /// The questions as IPFIX has room for them: whole names.
        queries_ipfix: Text<IPFIX_LEN>, ipfix cesnet::DNSSDQueries, shown Never;
        /// The answers as IPFIX has room for them: whole entries.
        responses_ipfix: Text<IPFIX_LEN>, ipfix cesnet::DNSSDResponses, shown Never;
        /// Names that were asked for, without those of reverse lookups, each ended by ";".
        queries: Text<QUERIES_LEN>, unirec "DNSSD_QUERIES";
        /// For each name with a SRV, HINFO or TXT record: `name;port;target;cpu:os;txt;`, port -1 without SRV, TXT strings joined by ":".
        responses: Text<RESPONSES_LEN>, unirec "DNSSD_RESPONSES";
    }
}

/// What the original sends.
const IPFIX_LEN: usize = 510;
/// The original has no bound; these are several full messages.
const QUERIES_LEN: usize = 1000;
const RESPONSES_LEN: usize = 1500;
const NAME_LEN: usize = 254;
const PORT: u16 = 5353;

pub struct Dnssd {
    face: Face,
    txt: txt::Wanted,
}

impl Plugin for Dnssd {
    type Record = DnssdRecord;
    /// Where the parts of the answers stand in the record.
    type State = Marks;
    const AFTER: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }
    const OPTIONS: &'static [PluginOption] = &[PluginOption {
        short: "t",
        long: "txt",
        takes: Takes::Naming("FILE"),
        about: "list strings of TXT records: all, or those that lines service.domain,key,... of a file name",
    }];

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        let mut plugin = Dnssd { face, txt: txt::Wanted::None };
        for option in options {
            match options::split(option) {
                ("t" | "txt", None) => plugin.txt = txt::Wanted::All,
                (name @ ("t" | "txt"), Some(file)) => plugin.txt = txt::Wanted::read(name, file)?,
                (name, _) => return Err(OptionError::Unknown(name.into())),
            }
        }
        Ok(plugin)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.after(ctx, slots)
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if !self.face.is_original() && ctx.packet.packet.protocol != protocol::UDP {
            return Step::Done;
        }
        let Some(message) = Message::of_payload(ctx.packet.payload(), false) else { return Step::More };
        let fresh = slots.first().is_none();
        let Some(slot) = slots.first_or_open() else { return Step::More };
        // What was read before an impossible name stands, if there was a record to keep it.
        if self.read(message, slot).is_err() && fresh && self.face.is_original() {
            slots.clear();
            return Step::More;
        }
        let r = &mut slot.record;
        copy_whole(r.queries.as_bytes(), &mut r.queries_ipfix);
        r.responses_ipfix.set(slot.state.whole_entries(r.responses.as_bytes(), IPFIX_LEN));
        slot.export = self.face.is_original() || !r.queries.is_empty() || !r.responses.is_empty();
        Step::More
    }

    fn text(r: &DnssdRecord, out: &mut String) {
        for (key, value) in
            [("dnssdqueries=\"", &r.queries.as_bytes()), ("\",dnssdresponses=\"", &r.responses.as_bytes())]
        {
            out.push_str(key);
            put_text(out, value);
        }
        out.push('"');
    }

    fn summary(r: &DnssdRecord, out: &mut String) {
        out.push_str("dns-sd ");
        put_short(out, if r.responses.is_empty() { r.queries.as_bytes() } else { r.responses.as_bytes() });
    }
}

impl Dnssd {
    fn read(&self, message: Message<'_>, slot: &mut Slot<Self>) -> Result<(), Stop> {
        let mut body = message.body();
        for _ in 0..message.questions() {
            let mut name = Text::<NAME_LEN>::default();
            body.read_name(&mut name)?;
            body.question_behind_name()?;
            if !contains_arpa(name.as_bytes()) {
                add_distinct(&mut slot.record.queries, name.as_bytes());
            }
        }
        // What a question brings along are answers that the asker knows already (RFC 6762 section 7.1).
        for _ in 0..message.answers() {
            let record = body.record()?;
            if message.is_response() {
                self.take(&record, slot)?;
            }
        }
        for _ in 0..u32::from(message.authorities()) + u32::from(message.additionals()) {
            self.take(&body.record()?, slot)?;
        }
        Ok(())
    }

    fn take(&self, record: &ResourceRecord<'_>, slot: &mut Slot<Self>) -> Result<(), Stop> {
        if !matches!(record.kind, kind::SRV | kind::HINFO | kind::TXT) {
            return Ok(());
        }
        let mut owner = Text::<NAME_LEN>::default();
        record.owner.write(&mut owner)?;
        let Some(mut entry) = Entry::find_or_add(&mut slot.record.responses, &mut slot.state, owner.as_bytes()) else {
            return Ok(());
        };
        match record.kind {
            kind::SRV => {
                let mut data = record.fields(false);
                let Some((port, target)) = service(&mut data) else { return Ok(()) };
                let mut digits = Text::<5>::default();
                let _ = write!(Cut(&mut digits), "{port}");
                entry.set(Part::Port, digits.as_bytes());
                entry.set(Part::Target, target?.as_bytes());
            }
            kind::HINFO => {
                let mut hinfo = Text::<NAME_LEN>::default();
                for (at, string) in strings(record.data()).take(2).enumerate() {
                    hinfo.push(if at == 0 { b"" } else { b":" });
                    hinfo.push(string);
                }
                entry.set(Part::Host, hinfo.as_bytes());
            }
            _ => {
                let mut joined = Text::<RESPONSES_LEN>::default();
                for string in strings(record.data()).filter(|s| !s.is_empty() && self.txt.wants(owner.as_bytes(), s)) {
                    joined.push(if joined.is_empty() { b"" } else { b":" });
                    joined.push(string);
                }
                if !joined.is_empty() {
                    entry.set(Part::Txt, joined.as_bytes());
                }
            }
        }
        Ok(())
    }
}

/// Port and target of SRV data (RFC 2782).
fn service(data: &mut Cursor<'_>) -> Option<(u16, Result<Text<NAME_LEN>, Stop>)> {
    let (_priority, _weight, port) = (data.u16()?, data.u16()?, data.u16()?);
    let mut target = Text::default();
    let written = data.name().write(&mut target);
    Some((port, written.map(|()| target).map_err(Stop::from)))
}

/// Names of reverse lookups are not listed.
fn contains_arpa(name: &[u8]) -> bool {
    name.windows(4).any(|w| w == b"arpa")
}

#[cfg(test)]
mod tests;
