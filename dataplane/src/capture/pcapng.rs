//! pcapng: blocks of a type and a length, in sections that each have a byte order and a list of interfaces.
//! Format: draft-ietf-opsawg-pcapng, sections 4.1 (SHB), 4.2 (IDB), 4.3 (EPB), 4.4 (SPB), appendix A (obsolete Packet Block).
//!
//! Own code, not the crate pcap-parser: that one makes a vector of options for each packet and reads through a buffer of its own,
//! which is an allocation and a copy too many. Tests compare with editcap and with that crate.
use super::decode::{CAPLEN_MAX, Place, Step, Then};
use super::interface::Interface;
use super::observed::INTERFACES_MAX;
use super::options::Options;
use super::{CaptureError, CaptureStats, FlowDirection, Frame, Observed};
use record::Time;
use sys::prefetch_bytes;

/// The longest block of a type that is read, bytes; others are skipped whatever their length. Enough for the longest frame and
/// generous options; the stream reader's buffer must hold it.
pub(super) const BLOCK_MAX: usize = 1 << 20;
/// How far ahead of the reader memory is asked for, bytes. All lines are, because where the coming headers lie is known only from
/// their predecessors, so that each is a chain of misses otherwise: measured 13 to 31 Mpps at a mean of 330 bytes
/// (tests/capture_rate.rs); between 2 and 8 KiB it is all the same.
const AHEAD: usize = 4_096;
/// Interfaces in a section; what tools write stays far below.
const DECLARED_MAX: usize = 4_096;
const _: () = assert!(DECLARED_MAX <= INTERFACES_MAX as usize);

/// Option of a packet (section 4.3.1): its two lowest bits say the direction. Number and bits are the same in the obsolete block.
const EPB_FLAGS: u16 = 2;
const DIRECTION: u32 = 0b11;
const INBOUND: u32 = 0b01;
const OUTBOUND: u32 = 0b10;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE: u32 = 3;
const ENHANCED: u32 = 6;
/// Type, length, and the length again at the end.
const FRAME_OF_BLOCK: usize = 12;

/// The section that is being read.
#[derive(Debug)]
pub(super) struct Pcapng {
    big: bool,
    interfaces: Vec<Interface>,
    /// Time of the last frame; a Simple Packet Block has none of its own.
    now: Time,
    /// A block that is being skipped: its length and what of it is still to come.
    skip: (u64, u64),
}

/// A whole block at the front of the window.
struct Block<'w> {
    len: u64,
    packet: Option<Packet<'w>>,
}

struct Packet<'w> {
    frame: Frame<'w>,
    /// Whether its interface has a supported link type.
    known: bool,
}

/// Why there is no block at the front of the window.
enum Stop {
    Short(usize),
    Broken(String),
    Version(u16, u16),
}

impl Pcapng {
    pub(super) const MAGIC: [u8; 4] = SECTION.to_be_bytes();

    pub(super) fn new() -> Pcapng {
        Pcapng { big: false, interfaces: Vec::new(), now: Time(0), skip: (0, 0) }
    }

    /// Reads the first section header; a file that has none is not a capture.
    pub(super) fn start(&mut self, at: &mut Place, window: &[u8], last: bool) -> Result<Step, CaptureError> {
        at.unit = "block";
        match self.block(window) {
            Ok(block) => {
                at.offset += block.len;
                at.record += 1;
                Ok(Step { frames: 0, used: block.len as usize, then: Then::Again })
            }
            Err(stop) => self.stuck(stop, at, window, last),
        }
    }

    /// See `Decoder::step`.
    #[inline]
    pub(super) fn step<'w>(
        &mut self,
        at: &mut Place,
        window: &'w [u8],
        last: bool,
        frames: &mut [Frame<'w>],
        stats: &mut CaptureStats,
    ) -> Result<Step, CaptureError> {
        if self.skip.1 > 0 {
            return self.skip_on(at, window, last);
        }
        let (mut count, mut used) = (0, 0);
        while count < frames.len() {
            let rest = &window[used..];
            let block = match self.block(rest) {
                Ok(block) => block,
                Err(stop) if used == 0 => return self.stuck(stop, at, window, last),
                Err(_) => break,
            };
            if block.len > rest.len() as u64 {
                self.skip = (block.len, block.len - rest.len() as u64);
                used = window.len();
                break;
            }
            if let Some(Packet { frame, known }) = block.packet {
                stats.packets += 1;
                stats.bytes += u64::from(frame.wire_len);
                stats.unknown_link += u64::from(!known);
                frames[count] = frame;
                count += usize::from(known);
            }
            let next = used + block.len as usize;
            prefetch_bytes(window, used + AHEAD..next + AHEAD);
            used = next;
            at.offset += block.len;
            at.record += 1;
        }
        Ok(Step { frames: count, used, then: Then::Again })
    }

    fn skip_on(&mut self, at: &mut Place, window: &[u8], last: bool) -> Result<Step, CaptureError> {
        let (len, left) = self.skip;
        let used = usize::try_from(left).unwrap_or(usize::MAX).min(window.len());
        let left = left - used as u64;
        if left > 0 && last {
            return Err(at.truncated(len - left, len));
        }
        self.skip.1 = left;
        if left == 0 {
            at.offset += len;
            at.record += 1;
        }
        Ok(Step { frames: 0, used, then: if left > 0 { Then::Fill(1) } else { Then::Again } })
    }

    #[cold]
    fn stuck(&self, stop: Stop, at: &Place, window: &[u8], last: bool) -> Result<Step, CaptureError> {
        match stop {
            Stop::Short(need) => at.short(window, last, need),
            Stop::Broken(what) => Err(at.broken(what)),
            Stop::Version(major, minor) => {
                Err(CaptureError::Version { path: at.path.to_string(), format: "pcapng", major, minor })
            }
        }
    }

    /// Reads the block at the front of `rest`. One of an unread type may be longer than `rest`.
    #[inline]
    fn block<'w>(&mut self, rest: &'w [u8]) -> Result<Block<'w>, Stop> {
        if self.big { self.block_of::<true>(rest) } else { self.block_of::<false>(rest) }
    }

    #[inline]
    fn block_of<'w, const BIG: bool>(&mut self, rest: &'w [u8]) -> Result<Block<'w>, Stop> {
        let head = rest.first_chunk::<8>().ok_or(Stop::Short(8))?;
        let kind = word::<BIG>(head, 0);
        if kind == SECTION {
            return self.section(rest);
        }
        let len = word::<BIG>(head, 4);
        let body = match kind {
            ENHANCED | PACKET | SIMPLE | INTERFACE => body::<BIG>(rest, len)?,
            _ if (len as usize) < FRAME_OF_BLOCK || !len.is_multiple_of(4) => return Err(bad_len(len)),
            _ => return Ok(Block { len: len.into(), packet: None }),
        };
        let packet = match kind {
            ENHANCED => Some(self.packet::<BIG>(body, |body| word::<BIG>(body, 0))?),
            PACKET => Some(self.packet::<BIG>(body, |body| half::<BIG>(body, 0).into())?),
            SIMPLE => Some(self.simple::<BIG>(body)?),
            _ => {
                self.interface::<BIG>(body)?;
                None
            }
        };
        Ok(Block { len: len.into(), packet })
    }

    /// Enhanced Packet Block, and Packet Block, which has a 16-bit interface and a drop count in the same place.
    #[inline]
    fn packet<'w, const BIG: bool>(
        &mut self,
        body: &'w [u8],
        interface: impl Fn(&[u8]) -> u32,
    ) -> Result<Packet<'w>, Stop> {
        let (head, data) = body.split_first_chunk::<20>().ok_or_else(|| too_short(body, 20))?;
        let number = interface(head);
        let interface = self.declared(number)?;
        let captured = word::<BIG>(head, 12);
        let Some(bytes) = data.get(..captured as usize).filter(|_| captured <= CAPLEN_MAX) else {
            let room = data.len().min(CAPLEN_MAX as usize);
            return Err(Stop::Broken(format!("it claims {captured} captured bytes where {room} are possible")));
        };
        let ticks = u64::from(word::<BIG>(head, 4)) << 32 | u64::from(word::<BIG>(head, 8));
        let at = interface.time(ticks);
        let link = interface.link.unwrap_or_default();
        let known = interface.link.is_some();
        // Many writers give no options.
        let options = data.get(bytes.len().next_multiple_of(4)..).unwrap_or_default();
        let told = if options.is_empty() { FlowDirection::Unknown } else { direction::<BIG>(options) };
        let direction = if told == FlowDirection::Unknown { FlowDirection::in_header(link, bytes) } else { told };
        let observed = Observed::new(number as u16, direction);
        self.now = at;
        Ok(Packet { frame: Frame { bytes, wire_len: word::<BIG>(head, 16), at, link, observed }, known })
    }

    /// Simple Packet Block: belongs to the first interface, has no time (that of the frame before it is used, so that no flow begins
    /// in 1970) and no captured length (the snapshot length of the interface bounds it).
    fn simple<'w, const BIG: bool>(&self, body: &'w [u8]) -> Result<Packet<'w>, Stop> {
        let (head, data) = body.split_first_chunk::<4>().ok_or_else(|| too_short(body, 4))?;
        let interface = self.declared(0)?;
        let wire_len = word::<BIG>(head, 0);
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = (wire_len.min(snaplen) as usize).min(data.len());
        if captured > CAPLEN_MAX as usize {
            return Err(Stop::Broken(format!(
                "it holds {captured} bytes, more than the {CAPLEN_MAX} that a frame can have"
            )));
        }
        let link = interface.link.unwrap_or_default();
        let bytes = &data[..captured];
        let observed = Observed::new(0, FlowDirection::in_header(link, bytes));
        let frame = Frame { bytes, wire_len, at: self.now, link, observed };
        Ok(Packet { frame, known: interface.link.is_some() })
    }

    #[inline]
    fn declared(&self, number: u32) -> Result<&Interface, Stop> {
        self.interfaces.get(number as usize).ok_or_else(|| {
            let declared = self.interfaces.len();
            Stop::Broken(format!("it names interface {number}, but the section has declared {declared}"))
        })
    }

    fn interface<const BIG: bool>(&mut self, body: &[u8]) -> Result<(), Stop> {
        let (head, options) = body.split_first_chunk::<8>().ok_or_else(|| too_short(body, 8))?;
        if self.interfaces.len() == DECLARED_MAX {
            return Err(Stop::Broken(format!("the section declares more than {DECLARED_MAX} interfaces")));
        }
        let interface = Interface::new::<BIG>(half::<BIG>(head, 0), word::<BIG>(head, 4), options);
        self.interfaces.push(interface);
        Ok(())
    }

    /// Section Header Block: sets the byte order and forgets the interfaces. Its type reads the same in both orders.
    fn section<'w>(&mut self, rest: &'w [u8]) -> Result<Block<'w>, Stop> {
        let head = rest.first_chunk::<12>().ok_or(Stop::Short(12))?;
        let big = match word::<true>(head, 8) {
            0x1a2b_3c4d => true,
            0x4d3c_2b1a => false,
            other => return Err(Stop::Broken(format!("the byte-order magic of the section is {other:08x}"))),
        };
        let (len, body) = if big {
            (word::<true>(head, 4), body::<true>(rest, word::<true>(head, 4))?)
        } else {
            (word::<false>(head, 4), body::<false>(rest, word::<false>(head, 4))?)
        };
        let fixed = body.first_chunk::<16>().ok_or_else(|| too_short(body, 16))?;
        let (major, minor) = if big {
            (half::<true>(fixed, 4), half::<true>(fixed, 6))
        } else {
            (half::<false>(fixed, 4), half::<false>(fixed, 6))
        };
        // 1.2 is 1.0: the draft asks readers to accept it, because some writers used it.
        if (major, minor) != (1, 0) && (major, minor) != (1, 2) {
            return Err(Stop::Version(major, minor));
        }
        self.big = big;
        self.interfaces.clear();
        Ok(Block { len: len.into(), packet: None })
    }
}

/// Which way a packet went, by its options.
#[inline]
fn direction<const BIG: bool>(options: &[u8]) -> FlowDirection {
    for (code, value) in Options::<BIG>::of(options) {
        if let (EPB_FLAGS, &[a, b, c, d]) = (code, value) {
            let flags = if BIG { u32::from_be_bytes([a, b, c, d]) } else { u32::from_le_bytes([a, b, c, d]) };
            return match flags & DIRECTION {
                INBOUND => FlowDirection::Ingress,
                OUTBOUND => FlowDirection::Egress,
                _ => FlowDirection::Unknown,
            };
        }
    }
    FlowDirection::Unknown
}

/// The body of the block at the front of `rest`, between its two lengths, once it is there as a whole.
#[inline]
fn body<const BIG: bool>(rest: &[u8], len: u32) -> Result<&[u8], Stop> {
    let whole = len as usize;
    if !(FRAME_OF_BLOCK..=BLOCK_MAX).contains(&whole) || !whole.is_multiple_of(4) {
        return Err(bad_len(len));
    }
    let block = rest.get(..whole).ok_or(Stop::Short(whole))?;
    let (body, tail) = block[8..].split_at(whole - FRAME_OF_BLOCK);
    let again = word::<BIG>(tail, 0);
    if again != len {
        return Err(Stop::Broken(format!("its length is {len} at its start and {again} at its end")));
    }
    Ok(body)
}

#[cold]
fn bad_len(len: u32) -> Stop {
    Stop::Broken(format!("its length of {len} is not a multiple of 4 from {FRAME_OF_BLOCK} to {BLOCK_MAX}"))
}

#[cold]
fn too_short(body: &[u8], need: usize) -> Stop {
    Stop::Broken(format!("its body has {} bytes of the {need} that its type needs", body.len()))
}

/// The 32-bit number at `place` of bytes that are long enough in all uses.
#[inline(always)]
fn word<const BIG: bool>(bytes: &[u8], place: usize) -> u32 {
    let bytes = [bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]];
    if BIG { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// The same of 16 bits.
#[inline(always)]
fn half<const BIG: bool>(bytes: &[u8], place: usize) -> u16 {
    let bytes = [bytes[place], bytes[place + 1]];
    if BIG { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}
