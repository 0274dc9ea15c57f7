//! Reading a file, flow by flow.
use super::writer::{TYPE_IDENT, TYPE_SUMS};
use super::{BLOCK_HEADER, BLOCK_OF_RECORDS, BlockHeader, FILE_HEADER, FileHeader, Flow, NfError, Sums, bytes};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of an ident with its NUL, at the most.
const IDENT_MAX: usize = 128;

/// A file that is read.
#[derive(Debug)]
pub struct Reader<R = BufReader<File>> {
    source: R,
    header: FileHeader,
    /// Data blocks not yet read.
    blocks_left: u32,
    /// The block in hand, as it lies in the file and unpacked.
    packed: Vec<u8>,
    block: Vec<u8>,
    /// Where its next record starts.
    at: usize,
    records_left: u32,
    /// Records that are no flow of version 3: about exporters and samplers, or of an older nfdump.
    passed_over: u64,
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, or is no file of nfdump 1.7.
    pub fn open(path: &Path) -> Result<Reader, NfError> {
        Reader::new(BufReader::with_capacity(256 * 1024, File::open(path)?))
    }
}

impl<R: Read> Reader<R> {
    /// Reads a file from its start.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(mut source: R) -> Result<Reader<R>, NfError> {
        let mut header = [0; FILE_HEADER];
        read_whole(&mut source, &mut header)?;
        let header = FileHeader::parse(&header)?;
        let (packed, block) = (Vec::new(), Vec::new());
        let blocks_left = header.blocks;
        Ok(Reader { source, header, blocks_left, packed, block, at: 0, records_left: 0, passed_over: 0 })
    }

    /// The next flow; `None` at the end.
    ///
    /// # Errors
    /// The file ends early or is damaged; what follows cannot be read.
    pub fn next_flow(&mut self) -> Result<Option<Flow>, NfError> {
        loop {
            while self.records_left > 0 {
                self.records_left -= 1;
                let record = next_record(&self.block, &mut self.at)?;
                match Flow::read(record)? {
                    Some(flow) => return Ok(Some(flow)),
                    None => self.passed_over += 1,
                }
            }
            if self.blocks_left == 0 {
                return Ok(None);
            }
            self.blocks_left -= 1;
            self.next_block()?;
        }
    }

    /// Records that were passed over so far.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    fn next_block(&mut self) -> Result<(), NfError> {
        let mut header = [0; BLOCK_HEADER];
        read_whole(&mut self.source, &mut header)?;
        let header = BlockHeader::parse(&header)?;
        // Taken as it comes, so that a header alone claims no memory.
        self.packed.clear();
        let read = self.source.by_ref().take(header.size as u64).read_to_end(&mut self.packed)?;
        if read < header.size {
            return Err(NfError::Damaged("it ends inside of a block"));
        }
        self.header.compression.unpack(&self.packed, &mut self.block)?;
        self.at = 0;
        // Blocks of another kind hold no flows.
        self.records_left = if header.kind == BLOCK_OF_RECORDS { header.records } else { 0 };
        Ok(())
    }
}

/// What stands behind the data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Appendix {
    /// Empty if the file has none.
    pub(super) ident: Vec<u8>,
    pub(super) sums: Sums,
}

impl Appendix {
    /// Header and appendix of a file.
    pub(super) fn of(file: &mut File) -> Result<(FileHeader, Appendix), NfError> {
        let mut reader = Reader::new(&*file)?;
        let header = reader.header;
        let mut appendix = Appendix::default();
        if header.appendix > 0 {
            (&*file).seek(SeekFrom::Start(header.appendix))?;
            for _ in 0..header.appendix_blocks {
                reader.next_block()?;
                while reader.records_left > 0 {
                    reader.records_left -= 1;
                    appendix.take(next_record(&reader.block, &mut reader.at)?);
                }
            }
        }
        Ok((header, appendix))
    }

    fn take(&mut self, record: &[u8]) {
        let content = &record[4..];
        match bytes::u16(record, 0) {
            TYPE_IDENT if content.len() <= IDENT_MAX => {
                self.ident = content.split(|b| *b == 0).next().unwrap_or_default().to_vec();
            }
            TYPE_SUMS => self.sums = Sums::read(content).unwrap_or(self.sums),
            _ => {}
        }
    }
}

/// The record at `at`, of at least its type and size; moves `at` behind it.
fn next_record<'b>(block: &'b [u8], at: &mut usize) -> Result<&'b [u8], NfError> {
    let rest = block.get(*at..).unwrap_or_default();
    let size = usize::from(bytes::u16(rest, 2));
    let record = rest.get(..size).filter(|record| record.len() >= 4);
    let record = record.ok_or(NfError::Damaged("a record leaves its block"))?;
    *at += size;
    Ok(record)
}

/// Fills `out`; what ends before is damaged.
fn read_whole(source: &mut impl Read, out: &mut [u8]) -> Result<(), NfError> {
    source.read_exact(out).map_err(|why| match why.kind() {
        std::io::ErrorKind::UnexpectedEof => NfError::Damaged("it ends inside of a header"),
        _ => NfError::Io(why),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Writer};
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn flow() -> impl Strategy<Value = Flow> {
        let numbers = any::<([u64; 4], [u16; 2], [u8; 5], u32)>();
        (numbers, any::<[u128; 2]>(), any::<bool>()).prop_map(|((counts, ports, small, input), ips, is_v4)| {
            let [first, last, packets, bytes] = counts;
            let [protocol, tcp_flags, tos, direction, engine] = small;
            let [source, destination] =
                ips.map(
                    |bits| {
                        if is_v4 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
                    },
                );
            Flow {
                first,
                last,
                packets,
                bytes,
                source,
                destination,
                ports,
                protocol,
                tcp_flags,
                tos,
                direction,
                input,
                engine,
                ..Flow::default()
            }
        })
    }

    /// A flow with whatever a record of these elements tells: so each element is read, written and read again.
    fn extended() -> impl Strategy<Value = Flow> {
        let elements = prop::collection::vec((4u16..40, prop::collection::vec(any::<u8>(), 0..50)), 0..20);
        (flow(), any::<[u8; 4]>(), elements).prop_map(|(flow, [a, b, c, d], elements)| {
            // Type 11 and an element of times and counts, without which it is no flow.
            let mut record = vec![11, 0, 0, 0, elements.len() as u8 + 1, 0, a, b, c, d, 0, 0, 1, 0, 52, 0];
            record.extend_from_slice(&[0; 48]);
            for (kind, content) in elements {
                record.extend_from_slice(&kind.to_le_bytes());
                record.extend_from_slice(&(content.len() as u16 + 4).to_le_bytes());
                record.extend_from_slice(&content);
            }
            let read = Flow::read(&record).unwrap().unwrap();
            Flow { extra: read.extra, ..flow }
        })
    }

    fn read(path: &Path) -> Vec<Flow> {
        let mut reader = Reader::open(path).unwrap();
        std::iter::from_fn(|| reader.next_flow().unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn flows_come_back_also_after_appending(flows in prop::collection::vec(prop_oneof![flow(), extended()], 1..60), cut in any::<prop::sample::Index>()) {
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("nfcapd.x");
            let (one, two) = flows.split_at(cut.index(flows.len()));
            for compression in [Compression::None, Compression::Lzo, Compression::Bzip2, Compression::Lz4] {
                let _ = std::fs::remove_file(&path);
                for part in [one, two, &[]] {
                    let mut writer = Writer::append(&path, compression).unwrap();
                    part.iter().for_each(|flow| writer.add(flow).unwrap());
                    writer.finish().unwrap();
                }
                prop_assert_eq!(&read(&path), &flows);
                let (_, appendix) = Appendix::of(&mut File::open(&path).unwrap()).unwrap();
                let mut sums = Sums::default();
                flows.iter().for_each(|flow| sums.add(flow));
                prop_assert_eq!(appendix, Appendix { ident: b"none".to_vec(), sums });
            }
        }
    }

    #[test]
    fn many_blocks() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("x");
        let mut writer = Writer::create(&path, Compression::Lzo).unwrap();
        for n in 0..40_000 {
            writer.add(&Flow { packets: n, ..Flow::default() }).unwrap();
        }
        assert_eq!(writer.finish().unwrap().all.flows, 40_000);
        assert!(Reader::open(&path).unwrap().header.blocks > 2);
        assert!(read(&path).iter().zip(0..).all(|(flow, n)| flow.packets == n));
    }

    #[test]
    fn what_is_no_file_of_nfdump() {
        let said = |bytes: &[u8]| Reader::new(bytes).map(|_| ()).unwrap_err().to_string();
        assert!(said(b"").contains("damaged"));
        assert!(said(&[1; 40]).contains("no file of nfdump"));
        assert!(said(&[&[0x0c, 0xa5, 1, 0][..], &[0; 36]].concat()).contains("layout is 1"));
        let mut header = [0; FILE_HEADER];
        header[..4].copy_from_slice(&[0x0c, 0xa5, 2, 0]);
        header[16] = 9;
        assert!(said(&header).contains("compression 9"));
        header[17] = 1;
        assert!(said(&header).contains("encrypted"));
    }
}
