//! IPFIX (RFC 7011, lists of RFC 6313, biflows of RFC 5103): how records are spelled for collectors, and how messages are read back.
//!
//! [`Packer`] turns declared records into the messages of ipfixprobe 5.7.0, byte for byte (spec/ipfix.md sections 2, 3, 5).
//! [`Decoder`] reads messages of any exporter within fixed memory; [`Framer`] cuts a byte stream into messages. Nothing here does
//! I/O or looks at a clock: export times are arguments, messages leave through a closure.

mod packer;
mod sink;
mod template;
pub mod wire;

pub use packer::{AddError, Fate, Family, Message, Packer, PackerConfig};
pub use sink::DataSink;
