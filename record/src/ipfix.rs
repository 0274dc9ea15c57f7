//! IPFIX (RFC 7011, lists of RFC 6313, biflows of RFC 5103): how records are spelled for collectors, and how messages are read back.
//!
//! [`Packer`] turns declared records into the messages of ipfixprobe 5.7.0, byte for byte (spec/ipfix.md sections 2, 3, 5).
//! [`Decoder`] reads messages of any exporter within fixed memory; [`Framer`] cuts a byte stream into messages, [`Lz4Reader`] a compressed one. Nothing here does
//! I/O or looks at a clock: export times are arguments, messages leave through a closure.

mod decoder;
mod framer;
mod header;
pub mod json;
mod list;
mod lz4;
mod message;
mod options;
mod outgoing;
mod packer;
mod protocols;
mod record;
mod sink;
mod templates;
pub mod wire;

pub use decoder::{Decoder, Event, Summary};
pub use framer::Framer;
pub use header::{Cause, Error, Header};
pub use list::{BasicList, Semantic, SubTemplateList, SubTemplateMultiList};
pub use lz4::{Lz4Error, Lz4Reader, Lz4Writer};
pub use message::{Fate, Holds, Message};
pub use options::{Selection, Statement};
pub use packer::{AddError, Family, Packer, PackerConfig};
pub use record::{DataRecord, Decoded, FieldRef};
pub use sink::DataSink;
pub use templates::{FieldSpec, Limits, Template, Templates};
