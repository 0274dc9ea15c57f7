//! Reads messages of one transport session (RFC 7011), sets in their order, with the memory that [`Limits`] allow.
//!
//! A broken header fails the message. A broken set costs the set, a broken template the template: both are told as
//! [`Event::Skipped`] and the rest is read. Records are borrowed from the message.
use super::header::{Cause, Error, Header, be16};
use super::record::DataRecord;
use super::templates::{Limits, Template, Templates, Told, known, parse};
use super::wire::{DATA_SET_MIN, MESSAGE_HEADER, OPTIONS_TEMPLATE_SET, SET_HEADER, TEMPLATE_SET};

/// Templates and sequence numbers of one transport session, per observation domain. One exporter over UDP is one session.
pub struct Decoder {
    limits: Limits,
    domains: Vec<Domain>,
    memory: usize,
}

/// What a message holds, in its order.
pub enum Event<'a> {
    /// A template was told or told again.
    Template(&'a Template),
    /// A template was withdrawn; 2 and 3 stand for all templates and all options templates (RFC 7011 section 8.1).
    Withdrawn(u16),
    /// A data record, also one of an options template.
    Record(DataRecord<'a>),
    /// A part that could not be read.
    Skipped(Error),
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub header: Header,
    /// Data records read.
    pub records: u32,
    /// Parts that were not read.
    pub skipped: u32,
    /// Sequence number minus the one expected, if one was: positive are records lost on the way, negative is a late message or
    /// a restarted exporter. `None` for the first message of a domain and after a skipped data set.
    pub gap: Option<i32>,
}

struct Domain {
    id: u32,
    templates: Templates,
    /// Sequence number of the next message, if it can be known.
    expected: Option<u32>,
}

impl Decoder {
    pub fn new(limits: Limits) -> Decoder {
        Decoder { limits, domains: Vec::new(), memory: 0 }
    }

    /// Reads one whole message and tells what is in it.
    ///
    /// # Errors
    /// The header is not IPFIX, the message is not `bytes` long, or the domain is one too many.
    pub fn decode(&mut self, bytes: &[u8], visit: &mut impl FnMut(Event<'_>)) -> Result<Summary, Error> {
        let header = Header::parse(bytes)?;
        if usize::from(header.length) != bytes.len() {
            let cause = Cause::MessageCut { said: header.length, have: bytes.len() };
            return Err(Error::at(bytes.len().min(usize::from(header.length)), cause));
        }
        let Decoder { limits, domains, memory } = self;
        let domain = find(domains, header.domain, limits)?;
        let gap = domain.expected.map(|e| header.sequence.wrapping_sub(e) as i32);
        let mut reading = Reading { header: &header, bytes, limits, memory, records: 0, skipped: 0, uncounted: false };
        reading.sets(&mut domain.templates, visit);
        let Reading { records, skipped, uncounted, .. } = reading;
        domain.expected = (!uncounted).then_some(header.sequence.wrapping_add(records));
        Ok(Summary { header, records, skipped, gap })
    }

    /// The templates known for a domain.
    pub fn templates(&self, domain: u32) -> Option<&Templates> {
        self.domains.iter().find(|d| d.id == domain).map(|d| &d.templates)
    }

    /// Bytes taken by templates, at most `memory_max`.
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Forgets everything: the transport session ended.
    pub fn reset(&mut self) {
        self.domains.clear();
        self.memory = 0;
    }
}

fn find<'a>(domains: &'a mut Vec<Domain>, id: u32, limits: &Limits) -> Result<&'a mut Domain, Error> {
    let at = match domains.iter().position(|d| d.id == id) {
        Some(at) => at,
        None if domains.len() >= limits.domains_max => return Err(Error::at(12, Cause::DomainsMax(id))),
        None => {
            domains.push(Domain { id, templates: Templates::default(), expected: None });
            domains.len() - 1
        }
    };
    Ok(&mut domains[at])
}

/// One message while it is read.
struct Reading<'m> {
    header: &'m Header,
    bytes: &'m [u8],
    limits: &'m Limits,
    memory: &'m mut usize,
    records: u32,
    skipped: u32,
    /// Records went by without being counted, so the next sequence number is not known.
    uncounted: bool,
}

impl Reading<'_> {
    fn sets(&mut self, templates: &mut Templates, visit: &mut impl FnMut(Event<'_>)) {
        let bytes = self.bytes;
        let mut at = MESSAGE_HEADER;
        while at < bytes.len() {
            let have = bytes.len() - at;
            if have < SET_HEADER {
                self.uncounted = true;
                return self.skip(at, Cause::SetCut { said: SET_HEADER as u16, have }, visit);
            }
            let (id, said) = (be16(bytes, at), be16(bytes, at + 2));
            let end = at + usize::from(said);
            if usize::from(said) < SET_HEADER {
                self.uncounted = true;
                return self.skip(at, Cause::SetLength(said), visit);
            }
            if end > bytes.len() {
                self.uncounted = true;
                return self.skip(at, Cause::SetCut { said, have }, visit);
            }
            let body = at + SET_HEADER..end;
            match id {
                TEMPLATE_SET => self.template_set(body, false, templates, visit),
                OPTIONS_TEMPLATE_SET => self.template_set(body, true, templates, visit),
                DATA_SET_MIN.. => self.data_set(id, body, templates, visit),
                _ => self.skip(at, Cause::SetId(id), visit),
            }
            at = end;
        }
    }

    /// Template records until what is left is padding (RFC 7011 section 3.3.1).
    fn template_set(
        &mut self,
        body: std::ops::Range<usize>,
        options: bool,
        templates: &mut Templates,
        visit: &mut impl FnMut(Event<'_>),
    ) {
        let mut at = body.start;
        while body.end - at >= 4 {
            let Some((told, size)) = parse(&self.bytes[at..body.end], options, self.limits) else {
                return self.skip(at, Cause::TemplateCut, visit);
            };
            match told {
                // Four zero bytes are padding, not a withdrawal of template 0.
                Told::Withdrawal(0) => return,
                Told::Withdrawal(id) if id >= DATA_SET_MIN || id == 2 + u16::from(options) => {
                    templates.withdraw(id, options, self.memory);
                    visit(Event::Withdrawn(id));
                }
                Told::Withdrawal(id) => self.skip(at, Cause::TemplateId(id), visit),
                Told::Refused(cause) => self.skip(at, cause, visit),
                Told::New(new) => match templates.learn(new, self.limits, self.memory) {
                    Ok(template) => visit(Event::Template(template)),
                    Err(cause) => self.skip(at, cause, visit),
                },
            }
            at += size;
        }
    }

    /// Records until what is left is shorter than any record: padding.
    fn data_set(
        &mut self,
        id: u16,
        body: std::ops::Range<usize>,
        templates: &Templates,
        visit: &mut impl FnMut(Event<'_>),
    ) {
        let template = match known(templates, id, body.start - SET_HEADER) {
            Ok(template) => template,
            Err(error) => {
                self.uncounted = true;
                return self.skip(error.offset, error.cause, visit);
            }
        };
        let mut rest = &self.bytes[body.clone()];
        while rest.len() >= template.record_min() {
            let Some((record, after)) = template.split(rest) else {
                self.uncounted = true;
                return self.skip(body.end - rest.len(), Cause::RecordCut(id), visit);
            };
            self.records += 1;
            visit(Event::Record(DataRecord { header: self.header, template, templates, bytes: record }));
            rest = after;
        }
    }

    fn skip(&mut self, at: usize, cause: Cause, visit: &mut impl FnMut(Event<'_>)) {
        self.skipped += 1;
        visit(Event::Skipped(Error::at(at, cause)));
    }
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
