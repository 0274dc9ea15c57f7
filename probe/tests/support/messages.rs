//! IPFIX messages as tests compare them: records by value, templates as lists of elements.
use record::ipfix::{DataRecord, Decoder, Event, Framer, Limits};

/// A record: its elements with their bytes, in the order of the template. `name=hex`, for messages that people read.
pub(crate) type Fields = Vec<String>;

/// What a stream of messages says.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) records: Vec<Fields>,
    /// Of options templates.
    pub(crate) options: Vec<Fields>,
    /// Element lists of the templates, each once, sorted.
    pub(crate) templates: Vec<Vec<String>>,
    pub(crate) messages: usize,
    pub(crate) domains: Vec<u32>,
}

/// Cuts a stream into messages.
pub(crate) fn split(stream: &[u8]) -> Vec<Vec<u8>> {
    let (mut framer, mut messages) = (Framer::new(), Vec::new());
    framer.push(stream, &mut |m| messages.push(m.to_vec())).expect("whole messages");
    framer.finish().expect("no half message at the end");
    messages
}

/// Decodes the messages of one session, which may withdraw templates, and checks that nothing is skipped and sequence numbers count the records (identity I11).
#[track_caller]
pub(crate) fn read(messages: &[Vec<u8>]) -> Said {
    let mut said = Said::default();
    let records = |record: &DataRecord<'_>| {
        let kept = if record.template.is_options() { &mut said.options } else { &mut said.records };
        kept.push(fields(record));
    };
    each(messages, records, &mut said.templates, &mut said.domains);
    said.messages = messages.len();
    said.templates.sort();
    said.templates.dedup();
    said
}

/// Shows each record, those of options too; of the templates only those of flows.
#[track_caller]
pub(crate) fn each(
    messages: &[Vec<u8>],
    mut visit: impl FnMut(&DataRecord<'_>),
    templates: &mut Vec<Vec<String>>,
    domains: &mut Vec<u32>,
) {
    let mut decoder = Decoder::new(Limits::default());
    let mut records = 0;
    for message in messages {
        let summary = decoder
            .decode(message, &mut |event| match event {
                Event::Record(record) => visit(&record),
                Event::Template(template) if template.is_options() => {}
                Event::Template(template) => {
                    templates
                        .push(template.fields().iter().map(|f| format!("{}.{}:{}", f.pen, f.id, f.length)).collect());
                }
                Event::Withdrawn(_) => {}
                Event::Skipped(error) => panic!("skipped: {error}"),
            })
            .expect("our message decodes");
        assert_eq!(summary.header.sequence, records, "the sequence number counts the records before it");
        records += summary.records;
        if !domains.contains(&summary.header.domain) {
            domains.push(summary.header.domain);
        }
    }
}

pub(crate) fn fields(record: &DataRecord<'_>) -> Fields {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let name = |pen: u32, id: u16, name: Option<&str>| name.map_or_else(|| format!("{pen}.{id}"), String::from);
    record
        .fields()
        .map(|f| format!("{}={}", name(f.spec.pen, f.spec.id, f.spec.element.map(|e| e.name)), hex(f.bytes)))
        .collect()
}

/// Messages as UDP datagrams to port 4739, as a capture of raw IPv4 (link type 101).
pub(crate) fn as_capture(messages: &[Vec<u8>]) -> Vec<u8> {
    use benches::pcap::{Format, PcapWriter, link};
    let mut out = PcapWriter::new(Vec::new(), Format { link: link::RAW, ..Format::default() }).expect("a Vec");
    for (number, message) in messages.iter().enumerate() {
        let length = message.len() as u16;
        let mut packet = vec![0x45, 0];
        packet.extend((length + 28).to_be_bytes());
        packet.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        packet.extend([40_000, 4739, length + 8, 0].iter().flat_map(|n: &u16| n.to_be_bytes()));
        packet.extend(message);
        out.packet(benches::EPOCH + number as u64 * 1000, &packet).expect("a Vec");
    }
    out.finish().expect("a Vec")
}
