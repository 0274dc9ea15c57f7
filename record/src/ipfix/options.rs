//! Options records (RFC 7011 section 3.4.2.2): what an exporter says about itself, its interfaces and its elements.
//!
//! Some of it lasts (sampling, interfaces, element types) and is told with the templates; numbers are told now and then. Lengths are
//! fixed where nfcapd wants them so: it reads names of interfaces only there, one in a set.
use super::wire::{ENTERPRISE, LONG_FORM, MESSAGE_HEADER, OPTIONS_TEMPLATE_SET, SET_HEADER, VARIABLE};
use crate::element::{Element, iana};

/// Something that is said in an options record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Exporting process reliability (RFC 7011 section 4.3), of the process with this id. Packets and octets in the flows are not said:
    /// of flows lost in messages nobody knows them any more.
    Reliability {
        process: u32,
        not_sent_flows: u64,
        /// When a flow was lost first, and last; Unix seconds, 0 if none was.
        first_secs: u32,
        last_secs: u32,
    },
    /// Metering process statistics (section 4.1): what was exported of an observation domain before this.
    Exported { domain: u32, messages: u64, flow_records: u64, octets: u64 },
    /// One packet in `interval` was seen in an observation domain (RFC 5477, RFC 7014; also by the deprecated element that most collectors
    /// know).
    Sampling { domain: u32, interval: u32, selection: Selection },
    /// An interface by its number in flow records. Of its name 32 bytes are told, of the description 64.
    Interface { index: u32, name: String, description: String },
    /// The type and the name of an enterprise's element (RFC 5610).
    Type(Element),
}

/// How packets were chosen that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// One, then none of the next.
    #[default]
    Systematic,
    /// Each with the same probability.
    Random,
    /// Flows with the same probability, one in `one_in`; the rest of the interval is packets that did not come so far.
    Flows { one_in: u32 },
}

/// Ids of our options templates; those of data templates are below.
pub(super) const OPTIONS_FIRST_ID: u16 = 65_000;

const NAME: u16 = 32;
const DESCRIPTION: u16 = 64;
/// selectorAlgorithm: systematic count-based and uniform probabilistic sampling (IANA, psamp-parameters); flowSelectorAlgorithm has the second by
/// the same number (IANA, ipfix).
const SYSTEMATIC: u16 = 1;
const UNIFORM: u16 = 4;
/// informationElementSemantics: default.
const DEFAULT_SEMANTICS: u8 = 0;

/// An options template: scope fields first.
struct Layout {
    scopes: u16,
    fields: &'static [(Element, u16)],
}

/// In the order of [`Statement`]; sampling has further ones behind.
const LAYOUTS: [Layout; 7] = [
    Layout {
        scopes: 1,
        fields: &[
            (iana::exportingProcessId, 4),
            (iana::notSentFlowTotalCount, 8),
            (iana::observationTimeSeconds, 4),
            (iana::observationTimeSeconds, 4),
        ],
    },
    Layout {
        scopes: 1,
        fields: &[
            (iana::observationDomainId, 4),
            (iana::exportedMessageTotalCount, 8),
            (iana::exportedFlowRecordTotalCount, 8),
            (iana::exportedOctetTotalCount, 8),
        ],
    },
    Layout {
        scopes: 1,
        fields: &[
            (iana::observationDomainId, 4),
            (iana::samplingInterval, 4),
            (iana::selectorAlgorithm, 2),
            (iana::samplingPacketInterval, 4),
            (iana::samplingPacketSpace, 4),
        ],
    },
    Layout {
        scopes: 1,
        fields: &[
            (iana::ingressInterface, 4),
            // Once more, because nfcapd does not look at scopes.
            (iana::ingressInterface, 4),
            (iana::interfaceDescription, DESCRIPTION),
            (iana::interfaceName, NAME),
        ],
    },
    Layout {
        scopes: 2,
        fields: &[
            (iana::privateEnterpriseNumber, 4),
            (iana::informationElementId, 2),
            (iana::informationElementDataType, 1),
            (iana::informationElementSemantics, 1),
            (iana::informationElementName, VARIABLE),
        ],
    },
    Layout {
        scopes: 1,
        fields: &[
            (iana::observationDomainId, 4),
            (iana::samplingInterval, 4),
            (iana::selectorAlgorithm, 2),
            (iana::samplingProbability, 8),
        ],
    },
    Layout {
        scopes: 1,
        fields: &[
            (iana::observationDomainId, 4),
            (iana::samplingInterval, 4),
            (iana::flowSelectorAlgorithm, 2),
            (iana::samplingProbability, 8),
        ],
    },
];

impl Statement {
    fn layout(&self) -> u16 {
        match self {
            Statement::Reliability { .. } => 0,
            Statement::Exported { .. } => 1,
            Statement::Sampling { selection: Selection::Systematic, .. } => 2,
            Statement::Interface { .. } => 3,
            Statement::Type(_) => 4,
            Statement::Sampling { selection: Selection::Random, .. } => 5,
            Statement::Sampling { selection: Selection::Flows { .. }, .. } => 6,
        }
    }

    /// The data record, in the order of its layout.
    fn write(&self, out: &mut Vec<u8>) {
        let mut put = |bytes: &[u8]| out.extend_from_slice(bytes);
        match self {
            Statement::Reliability { process, not_sent_flows, first_secs, last_secs } => {
                put(&process.to_be_bytes());
                put(&not_sent_flows.to_be_bytes());
                put(&first_secs.to_be_bytes());
                put(&last_secs.to_be_bytes());
            }
            Statement::Exported { domain, messages, flow_records, octets } => {
                put(&domain.to_be_bytes());
                [messages, flow_records, octets].iter().for_each(|n| put(&n.to_be_bytes()));
            }
            Statement::Sampling { domain, interval, selection } => {
                put(&domain.to_be_bytes());
                put(&interval.to_be_bytes());
                let one_in = match selection {
                    Selection::Systematic => {
                        put(&SYSTEMATIC.to_be_bytes());
                        put(&1u32.to_be_bytes());
                        return put(&interval.saturating_sub(1).to_be_bytes());
                    }
                    Selection::Random => interval,
                    Selection::Flows { one_in } => one_in,
                };
                put(&UNIFORM.to_be_bytes());
                put(&(1.0 / f64::from((*one_in).max(1))).to_be_bytes());
            }
            Statement::Interface { index, name, description } => {
                put(&index.to_be_bytes());
                put(&index.to_be_bytes());
                put(&fixed::<{ DESCRIPTION as usize }>(description));
                put(&fixed::<{ NAME as usize }>(name));
            }
            Statement::Type(element) => {
                put(&element.pen.to_be_bytes());
                put(&element.id.to_be_bytes());
                // The types are declared in the order of IANA's registry (RFC 5610 section 3.1).
                put(&[element.kind as u8, DEFAULT_SEMANTICS]);
                let name = &element.name.as_bytes()[..element.name.len().min(usize::from(LONG_FORM) - 1)];
                put(&[name.len() as u8]);
                put(name);
            }
        }
    }
}

/// A text in a field of fixed length: cut between characters, zeros behind it and at least one, as nfcapd ends its texts.
fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let text = &text.as_bytes()[..text.floor_char_boundary(N - 1)];
    field[..text.len()].copy_from_slice(text);
    field
}

/// What an exporter says that lasts, and how much of it the collector was told in this session.
#[derive(Default)]
pub(super) struct Announcements {
    lasting: Vec<Statement>,
    /// Whether there is anything to say at all.
    on: bool,
    /// The templates were told, and so many of `lasting`.
    templates_told: bool,
    told: usize,
    /// Export time of the message that told the templates, Unix seconds.
    pub(super) told_at_secs: u32,
}

/// A message about options while it is filled, without its header's values.
pub(super) struct Filled {
    /// Records in it.
    pub(super) records: u32,
    /// How many of the lasting statements are told once it has arrived.
    told: usize,
}

impl Announcements {
    pub(super) fn turn_on(&mut self) {
        self.on = true;
    }

    /// Adds a statement unless it was made.
    pub(super) fn add(&mut self, statement: Statement) {
        self.on = true;
        if !self.lasting.contains(&statement) {
            self.lasting.push(statement);
        }
    }

    pub(super) fn is_told(&self) -> bool {
        !self.on || self.templates_told && self.told == self.lasting.len()
    }

    /// All of it is to be told again.
    pub(super) fn forget(&mut self) {
        (self.templates_told, self.told) = (false, 0);
    }

    /// Writes what is not told, as much as a message of `mtu` bytes holds, or a single statement.
    pub(super) fn fill(&self, message: &mut Vec<u8>, mtu: usize) -> Filled {
        message.clear();
        message.resize(MESSAGE_HEADER, 0);
        if !self.templates_told {
            templates(message);
        }
        let (mut told, mut records) = (self.told, 0);
        for statement in &self.lasting[self.told..] {
            let before = message.len();
            data_set(message, statement);
            if message.len() > mtu && records > 0 {
                message.truncate(before);
                break;
            }
            told += 1;
            records += 1;
        }
        Filled { records, told }
    }

    /// A message filled before has arrived.
    pub(super) fn arrived(&mut self, filled: &Filled, now_secs: u32) {
        if !self.templates_told {
            self.told_at_secs = now_secs;
        }
        (self.templates_told, self.told) = (true, filled.told);
    }
}

/// Appends a data set with one statement.
pub(super) fn data_set(message: &mut Vec<u8>, statement: &Statement) {
    let from = begin(message, OPTIONS_FIRST_ID + statement.layout());
    statement.write(message);
    end(message, from);
}

/// Appends all options templates, each in a set of its own: nfcapd reads one in a set.
fn templates(message: &mut Vec<u8>) {
    for (id, layout) in (OPTIONS_FIRST_ID..).zip(&LAYOUTS) {
        let from = begin(message, OPTIONS_TEMPLATE_SET);
        let fields = layout.fields.len() as u16;
        [id, fields, layout.scopes].iter().for_each(|n| message.extend_from_slice(&n.to_be_bytes()));
        for (element, length) in layout.fields {
            debug_assert_eq!(element.id & ENTERPRISE, 0, "IANA's own");
            message.extend_from_slice(&element.id.to_be_bytes());
            message.extend_from_slice(&length.to_be_bytes());
        }
        end(message, from);
    }
}

fn begin(message: &mut Vec<u8>, id: u16) -> usize {
    let from = message.len();
    message.extend_from_slice(&id.to_be_bytes());
    message.resize(from + SET_HEADER, 0);
    from
}

fn end(message: &mut [u8], from: usize) {
    let length = (message.len() - from) as u16;
    message[from + 2..][..2].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_say_how_long_their_records_are() {
        let element = Element::find(crate::element::CESNET, 2).expect("DNSName");
        let statements = [
            Statement::Reliability { process: 1, not_sent_flows: 2, first_secs: 3, last_secs: 4 },
            Statement::Exported { domain: 1, messages: 2, flow_records: 3, octets: 4 },
            Statement::Sampling { domain: 1, interval: 10, selection: Selection::Systematic },
            Statement::Interface { index: 1, name: "n".repeat(100), description: "\u{e9}".repeat(100) },
            Statement::Type(element),
            Statement::Sampling { domain: 1, interval: 10, selection: Selection::Random },
            Statement::Sampling { domain: 1, interval: 10, selection: Selection::Flows { one_in: 5 } },
        ];
        for (layout, statement) in statements.iter().enumerate() {
            assert_eq!(usize::from(statement.layout()), layout);
            let mut out = Vec::new();
            statement.write(&mut out);
            let length = |length: u16| if length == VARIABLE { 1 + element.name.len() } else { length.into() };
            assert_eq!(out.len(), LAYOUTS[layout].fields.iter().map(|(_, l)| length(*l)).sum::<usize>(), "{layout}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(fixed::<4>("abcdef"), *b"abc\0");
        assert_eq!(fixed::<4>("ab\u{e9}"), *b"ab\0\0");
        assert_eq!(fixed::<4>(""), [0; 4]);
    }
}
