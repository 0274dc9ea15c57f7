//! Writing a file, or the end of one that is there.
use super::reader::Appendix;
use super::{BLOCK_FULL, BLOCK_OF_RECORDS, BlockHeader, Compression, FILE_HEADER, FileHeader, Flow, NfError, Sums};
use crate::clock::unix_secs;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Types of the records of an appendix.
pub(super) const TYPE_IDENT: u16 = 0x8001;
pub(super) const TYPE_SUMS: u16 = 0x8002;

/// A file that is written. It is whole when [`Writer::finish`] was called; before, readers see no flow that was added to it.
#[derive(Debug)]
pub struct Writer {
    file: File,
    header: FileHeader,
    /// Name of the source of the flows.
    ident: Vec<u8>,
    sums: Sums,
    block: Vec<u8>,
    records: u32,
    packed: Vec<u8>,
}

impl Writer {
    /// A new file; what a file of this name holds is lost.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: &Path, compression: Compression) -> Result<Writer, NfError> {
        let mut file = File::create(path)?;
        let created = unix_secs();
        let header = FileHeader { created, compression, appendix_blocks: 0, appendix: 0, blocks: 0 };
        file.write_all(&header.to_bytes())?;
        Ok(Writer::new(file, header, Appendix::default()))
    }

    /// Goes on with a file of nfdump, with its compression. A file that is not there is made, with `compression`.
    ///
    /// # Errors
    /// What is there is no file of nfdump 1.7, or cannot be written.
    pub fn append(path: &Path, compression: Compression) -> Result<Writer, NfError> {
        if !path.exists() {
            return Writer::create(path, compression);
        }
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let (header, appendix) = Appendix::of(&mut file)?;
        // New blocks take the place of the appendix, which comes again behind them.
        file.seek(if header.appendix > 0 { SeekFrom::Start(header.appendix) } else { SeekFrom::End(0) })?;
        Ok(Writer::new(file, header, appendix))
    }

    fn new(file: File, header: FileHeader, appendix: Appendix) -> Writer {
        let Appendix { ident, sums } = appendix;
        Writer {
            file,
            header,
            ident,
            sums,
            block: Vec::with_capacity(BLOCK_FULL + 256),
            records: 0,
            packed: Vec::new(),
        }
    }

    /// Adds a flow.
    ///
    /// # Errors
    /// A full block cannot be written.
    pub fn add(&mut self, flow: &Flow) -> Result<(), NfError> {
        flow.write(&mut self.block);
        self.records += 1;
        self.sums.add(flow);
        if self.block.len() >= BLOCK_FULL {
            self.write_block()?;
        }
        Ok(())
    }

    /// Writes what is left, the appendix and the header.
    ///
    /// # Errors
    /// One of them cannot be written.
    pub fn finish(mut self) -> Result<Sums, NfError> {
        if self.records > 0 {
            self.write_block()?;
        }
        let end = self.file.stream_position()?;
        self.write_appendix()?;
        let after = self.file.stream_position()?;
        self.file.set_len(after)?;
        self.header = FileHeader { appendix: end, appendix_blocks: 1, ..self.header };
        self.file.seek(SeekFrom::Start(0))?;
        let header: [u8; FILE_HEADER] = self.header.to_bytes();
        self.file.write_all(&header)?;
        self.file.flush()?;
        Ok(self.sums)
    }

    fn write_block(&mut self) -> Result<(), NfError> {
        self.header.blocks = self.header.blocks.checked_add(1).ok_or(NfError::Damaged("it has too many blocks"))?;
        self.write_packed()
    }

    fn write_appendix(&mut self) -> Result<(), NfError> {
        let ident = if self.ident.is_empty() { &b"none"[..] } else { &self.ident };
        for (kind, size) in [(TYPE_IDENT, ident.len() + 1), (TYPE_SUMS, Sums::SIZE)] {
            self.block.extend_from_slice(&kind.to_le_bytes());
            // An ident has less than 256 bytes.
            self.block.extend_from_slice(&((4 + size) as u16).to_le_bytes());
            if kind == TYPE_IDENT {
                self.block.extend_from_slice(ident);
                self.block.push(0);
            } else {
                self.sums.write(&mut self.block);
            }
            self.records += 1;
        }
        self.write_packed()
    }

    fn write_packed(&mut self) -> Result<(), NfError> {
        self.header.compression.pack(&self.block, &mut self.packed)?;
        let header = BlockHeader { records: self.records, size: self.packed.len(), kind: BLOCK_OF_RECORDS };
        self.file.write_all(&header.to_bytes())?;
        self.file.write_all(&self.packed)?;
        self.block.clear();
        self.records = 0;
        Ok(())
    }
}
