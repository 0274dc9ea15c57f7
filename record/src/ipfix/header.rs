//! The message header (RFC 7011 section 3.1) and what can be wrong with what follows it.
use super::wire::{MESSAGE_HEADER, VERSION};

/// A parsed message header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole message.
    pub length: u16,
    /// Unix seconds at which the message left the exporter.
    pub export_time_secs: u32,
    /// Data records that the exporter sent before this message, modulo 2^32.
    pub sequence: u32,
    /// Observation domain.
    pub domain: u32,
}

impl Header {
    /// Reads the header at the start of `bytes`, which may hold more or less than the message.
    pub fn parse(bytes: &[u8]) -> Result<Header, Error> {
        let header: &[u8; MESSAGE_HEADER] = bytes.first_chunk().ok_or(Error::at(bytes.len(), Cause::HeaderCut))?;
        let length = message_length(header).map_err(|cause| Error::at(0, cause))?;
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        Ok(Header { length, export_time_secs: word(4), sequence: word(8), domain: word(12) })
    }
}

/// Length of a message from its first four bytes.
pub(super) fn message_length(start: &[u8]) -> Result<u16, Cause> {
    let (version, length) = (be16(start, 0), be16(start, 2));
    if version != VERSION {
        return Err(Cause::Version(version));
    }
    if usize::from(length) < MESSAGE_HEADER {
        return Err(Cause::MessageLength(length));
    }
    Ok(length)
}

/// The 16-bit number at `at`, which the caller knows to be inside.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Something that is not IPFIX, or more than the decoder was told to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {cause}")]
pub struct Error {
    /// Bytes from the start of the message; of the list for a list; of the stream for a [`Framer`](super::Framer).
    pub offset: usize,
    pub cause: Cause,
}

impl Error {
    pub(super) fn at(offset: usize, cause: Cause) -> Error {
        Error { offset, cause }
    }
}

/// What is wrong. The first four end a message or a stream, the others cost one set, one template or one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("the message ends inside its header of 16 bytes")]
    HeaderCut,
    #[error("version {0} instead of 10: not IPFIX (9 and 5 are NetFlow), or the stream lost its framing")]
    Version(u16),
    #[error("message length {0} is below the header's 16")]
    MessageLength(u16),
    #[error("the message says {said} bytes but {have} are there")]
    MessageCut { said: u16, have: usize },
    #[error("set length {0} is below the set header's 4: the rest of the message is skipped")]
    SetLength(u16),
    #[error("the set says {said} bytes but {have} are left: the rest of the message is skipped")]
    SetCut { said: u16, have: usize },
    #[error("set id {0} is reserved")]
    SetId(u16),
    #[error("a template ends inside a field specifier: the rest of the set is skipped")]
    TemplateCut,
    #[error("template id {0} is below 256")]
    TemplateId(u16),
    #[error("options template {0} has no scope field, or more than it has fields")]
    Scope(u16),
    #[error("template {0} describes records without bytes, or has more than 8 fields without bytes")]
    TemplateEmpty(u16),
    #[error("template {id} has {fields} fields, more than fields_max: raise the limit if the exporter is trusted")]
    FieldsMax { id: u16, fields: u16 },
    #[error("template {0} is one more than templates_max: raise the limit or restart the exporter")]
    TemplatesMax(u16),
    #[error("observation domain {0} is one more than domains_max: raise the limit or use fewer domains")]
    DomainsMax(u32),
    #[error("no memory left for template {0}: raise memory_max")]
    MemoryMax(u16),
    #[error("template {0} is not known (yet): its records are skipped until the exporter sends it")]
    UnknownTemplate(u16),
    #[error("a record of template {0} ends before its last field: the rest of the set is skipped")]
    RecordCut(u16),
    #[error("the list ends inside its header")]
    ListCut,
    #[error("the list's items of {size} bytes do not fill its {have} bytes")]
    ListItems { size: u16, have: usize },
    #[error("a value in the list ends before its length")]
    ItemCut,
}
