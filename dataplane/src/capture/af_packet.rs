//! AF_PACKET with a TPACKET_V3 ring: the live input that works on every Linux and every interface.
use super::{CaptureError, CaptureSource, CaptureStats, Frame, Poll};

/// One member of a fanout group. (Its ring comes with the next commit.)
pub struct PacketSource {
    stats: CaptureStats,
}

impl CaptureSource for PacketSource {
    fn burst(&mut self, _take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        Ok(Poll::End)
    }
    fn limit(&mut self, _frames: usize) {}
    fn stats(&self) -> CaptureStats {
        self.stats
    }
}
