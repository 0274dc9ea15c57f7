//! Filter expressions, compiled by libpcap for each link type when its first frame comes.
use super::{CaptureError, CaptureStats, Frame, LinkType};
use pcap::{BpfProgram, Capture, Linktype};

pub(super) struct Filter {
    expression: String,
    /// By link type.
    programs: [Option<BpfProgram>; 6],
}

/// The frames of a live source that its filter accepts, moved to the front; the others are counted. Answers how many there are.
pub(super) fn keep(
    filter: &mut Option<Filter>,
    frames: &mut [Frame<'_>],
    stats: &mut CaptureStats,
) -> Result<usize, CaptureError> {
    let Some(filter) = filter else { return Ok(frames.len()) };
    let (kept, _, result) = filter.keep(frames);
    result?;
    stats.filtered += (frames.len() - kept) as u64;
    Ok(kept)
}

impl Filter {
    /// Compiles nothing yet: an expression may be right for one link type and wrong for another.
    pub(super) fn new(expression: String) -> Filter {
        Filter { expression, programs: [const { None }; 6] }
    }

    /// Moves the accepted ones of `frames` to the front and answers how many there are, and how many frames were looked at: fewer
    /// than all only with an error.
    pub(super) fn keep(&mut self, frames: &mut [Frame<'_>]) -> (usize, usize, Result<(), CaptureError>) {
        let mut kept = 0;
        for seen in 0..frames.len() {
            let frame = frames[seen];
            match self.program(link_of(&frame)) {
                Ok(program) => {
                    if sys::bpf_accepts(program, frame.bytes, frame.wire_len) {
                        frames[kept] = frame;
                        kept += 1;
                    }
                }
                Err(error) => return (kept, seen, Err(error)),
            }
        }
        (kept, frames.len(), Ok(()))
    }

    /// The program for `link`, compiled at its first use.
    #[inline]
    pub(super) fn program(&mut self, link: LinkType) -> Result<&BpfProgram, CaptureError> {
        match &mut self.programs[link as usize] {
            Some(program) => Ok(program),
            none => Ok(none.insert(compile(&self.expression, link)?)),
        }
    }
}

/// A loopback header of LINKTYPE_NULL is in its writer's byte order, but libpcap compiles for that of this machine. Address families
/// are below 256, so the order shows; the big-endian form is LINKTYPE_LOOP.
#[inline]
fn link_of(frame: &Frame<'_>) -> LinkType {
    match (frame.link, frame.bytes) {
        (LinkType::Null, [0, 0, 0, family, ..]) if *family > 0 => LinkType::Loop,
        (link, _) => link,
    }
}

/// Whether an expression is right for frames of Ethernet, or else of one that has other words.
///
/// # Errors
/// What libpcap says of it.
pub fn check_filter(expression: &str) -> Result<(), CaptureError> {
    let others = || [LinkType::RawIp, LinkType::LinuxSll].into_iter().find_map(|link| compile(expression, link).ok());
    compile(expression, LinkType::Ethernet).or_else(|why| others().ok_or(why)).map(drop)
}

#[cold]
fn compile(expression: &str, link: LinkType) -> Result<BpfProgram, CaptureError> {
    // libpcap takes its own DLT_ numbers here; of the supported ones, only that of raw IP differs from LINKTYPE_.
    let number = match link {
        LinkType::RawIp => 12,
        other => i32::from(other.number()),
    };
    Capture::dead(Linktype(number)).and_then(|dead| dead.compile(expression, true)).map_err(|cause| {
        let cause = match cause {
            pcap::Error::PcapError(message) => message,
            other => other.to_string(),
        };
        CaptureError::Filter { expression: expression.to_owned(), link, cause }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(expression: &str, link: LinkType, frames: &[&[u8]]) -> usize {
        let mut frames: Vec<_> =
            frames.iter().map(|bytes| Frame { bytes, wire_len: 9_000, link, ..Frame::default() }).collect();
        let (kept, seen, result) = Filter::new(expression.to_owned()).keep(&mut frames);
        result.unwrap();
        assert_eq!(seen, frames.len());
        kept
    }

    #[test]
    fn each_link_type_has_its_own_offsets() {
        let v4 = [&[0x45, 0, 0, 20][..], &[0; 5], &[17], &[0; 10]].concat();
        let behind = |head: &[u8]| [head, &v4].concat();
        let ether = behind(&[&[0; 12][..], &[8, 0]].concat());
        let sll = behind(&[&[0; 14][..], &[8, 0]].concat());
        let sll2 = behind(&[&[8, 0][..], &[0; 18]].concat());
        for (link, frame) in [
            (LinkType::Ethernet, ether),
            (LinkType::LinuxSll, sll),
            (LinkType::LinuxSll2, sll2),
            (LinkType::RawIp, v4.clone()),
            (LinkType::Null, behind(&2_u32.to_le_bytes())),
            (LinkType::Null, behind(&2_u32.to_be_bytes())),
            (LinkType::Loop, behind(&2_u32.to_be_bytes())),
        ] {
            assert_eq!(kept("udp", link, &[&frame, &[], &frame[..3]]), 1, "{link:?}");
            assert_eq!(kept("tcp", link, &[&frame]), 0, "{link:?}");
            assert_eq!(kept("", link, &[&frame]), 1, "{link:?}");
            assert_eq!(kept("greater 9000", link, &[&frame]), 1, "{link:?}");
        }
    }

    #[test]
    fn a_wrong_expression_is_shown() {
        let mut filter = Filter::new("tcp prot 80".to_owned());
        let message = filter.program(LinkType::Ethernet).map(drop).unwrap_err().to_string();
        assert!(message.contains("`tcp prot 80`") && message.contains("syntax error"), "{message}");
        let mut filter = Filter::new("ip\0".to_owned());
        assert!(filter.program(LinkType::Ethernet).is_err());
    }
}
