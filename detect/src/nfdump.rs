//! Files of nfdump 1.7: layout 2 with records of version 3, as nfcapd, nfpcapd and nfdump write and read them.
//!
//! A file is a header of 40 bytes, data blocks, and an *appendix*: one block more with the file's name and its sums. A block is a header of
//! 12 bytes and records, compressed as the file's header says. A record is a header of 12 bytes and elements, each with its type and
//! length. All numbers are little endian. Source: nfdump 1.7.1, `src/lib/nffileV2.h`, `nffile.c`, `nfxV3.h`, and files that it wrote.
use std::io;

mod bytes;
mod compression;
mod extra;
pub mod filter;
mod flow;
mod folder;
pub mod fuzzing;
mod lz4;
mod lzo;
mod reader;
mod sums;
mod writer;

pub use compression::Compression;
pub use extra::Extra;
pub use flow::Flow;
pub use folder::{FOLDER, Found, Search};
pub use reader::Reader;
pub use sums::Sums;
pub use writer::Writer;

/// Bytes of a block without its header, at the most, packed or not: what nfdump itself has room for.
pub const BLOCK_MAX: usize = 5 * 1024 * 1024;

/// Bytes of records after which a block is written.
const BLOCK_FULL: usize = 1024 * 1024;

const MAGIC: u16 = 0xa50c;
const LAYOUT: u16 = 2;
/// The version of nfdump whose files these are: 1.7.1.
const VERSION: u32 = 0x0107_0100;
const FILE_HEADER: usize = 40;
const BLOCK_HEADER: usize = 12;
/// A block of records.
const BLOCK_OF_RECORDS: u16 = 3;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NfError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is no file of nfdump")]
    NoNfdumpFile,
    #[error("its layout is {0}, of another version than nfdump 1.7: convert it (nfdump -r OLD -w NEW)")]
    Layout(u16),
    #[error("it is encrypted")]
    Encrypted,
    #[error("its compression {0} is not known")]
    Compression(u8),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// The first bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileHeader {
    /// Seconds since 1970.
    created: u64,
    compression: Compression,
    appendix_blocks: u16,
    /// Offset of the appendix in the file; 0 if there is none.
    appendix: u64,
    /// Data blocks; the appendix does not count.
    blocks: u32,
}

impl FileHeader {
    fn to_bytes(self) -> [u8; FILE_HEADER] {
        let mut out = [0; FILE_HEADER];
        out[..2].copy_from_slice(&MAGIC.to_le_bytes());
        out[2..4].copy_from_slice(&LAYOUT.to_le_bytes());
        out[4..8].copy_from_slice(&VERSION.to_le_bytes());
        out[8..16].copy_from_slice(&self.created.to_le_bytes());
        out[16] = self.compression as u8;
        out[18..20].copy_from_slice(&self.appendix_blocks.to_le_bytes());
        out[24..32].copy_from_slice(&self.appendix.to_le_bytes());
        out[32..36].copy_from_slice(&(BLOCK_FULL as u32).to_le_bytes());
        out[36..].copy_from_slice(&self.blocks.to_le_bytes());
        out
    }

    fn parse(header: &[u8; FILE_HEADER]) -> Result<FileHeader, NfError> {
        if bytes::u16(header, 0) != MAGIC {
            return Err(NfError::NoNfdumpFile);
        }
        match bytes::u16(header, 2) {
            LAYOUT => {}
            other => return Err(NfError::Layout(other)),
        }
        if header[17] != 0 {
            return Err(NfError::Encrypted);
        }
        Ok(FileHeader {
            created: bytes::u64(header, 8),
            compression: Compression::from_number(header[16]).ok_or(NfError::Compression(header[16]))?,
            appendix_blocks: bytes::u16(header, 18),
            appendix: bytes::u64(header, 24),
            blocks: bytes::u32(header, 36),
        })
    }
}

/// What stands before the bytes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockHeader {
    records: u32,
    /// Bytes behind this header, packed.
    size: usize,
    kind: u16,
}

impl BlockHeader {
    fn to_bytes(self) -> [u8; BLOCK_HEADER] {
        let mut out = [0; BLOCK_HEADER];
        out[..4].copy_from_slice(&self.records.to_le_bytes());
        // At most BLOCK_MAX.
        out[4..8].copy_from_slice(&(self.size as u32).to_le_bytes());
        out[8..10].copy_from_slice(&self.kind.to_le_bytes());
        out
    }

    fn parse(header: &[u8; BLOCK_HEADER]) -> Result<BlockHeader, NfError> {
        let size = bytes::u32(header, 4) as usize;
        if size > BLOCK_MAX {
            return Err(NfError::Damaged("a block is larger than any that nfdump writes"));
        }
        Ok(BlockHeader { records: bytes::u32(header, 0), size, kind: bytes::u16(header, 8) })
    }
}
