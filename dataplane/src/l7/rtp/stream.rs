//! One direction's stream: its numbers (RFC 3550 appendix A.1), its clock, its jitter (section 6.4.1 and appendix A.8).
use super::Counts;
use record::{Time, packed};

/// RFC 3550 section 5.1.
pub(super) const VERSION: u8 = 2;
const HEADER_LEN: usize = 12;
/// Packets of one source whose numbers go on, after which it is a stream. The appendix takes two; here nobody has said that it is RTP.
const PROBATION: u8 = 3;
/// Packets of a direction that may be looked at until then.
const PATIENCE: u8 = 16;
/// Steps of the number that are no restart, as the appendix has them.
const DROPOUT_MAX: i16 = 3_000;
const MISORDER_MAX: i16 = 100;
/// How long a stream is watched before its clock is guessed.
const GUESS_NS: u64 = 500_000_000;
/// Clocks in use (RFC 3551, 7587 and those of common codecs), ticks a second.
const CLOCKS: [u32; 8] = [8_000, 12_000, 16_000, 24_000, 32_000, 44_100, 48_000, 90_000];
/// A clock fits if it runs by less than a so manieth faster or slower than the packets come.
const GUESS_FIT: u64 = 20;

/// What is read of a packet.
pub(super) struct Header {
    payload_type: u8,
    number: u16,
    timestamp: u32,
    ssrc: u32,
}

/// What a packet says of its flow.
pub(super) enum Verdict {
    Stream,
    Perhaps,
    /// Too many packets, and no stream.
    Other,
}

/// What is known of a direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    /// Packets in order that were seen on probation; [`PROBATION`] of a stream.
    in_order: u8,
    looked_at: u8,
    ssrc: u32,
    /// The highest number.
    number: u16,
    /// When the last packet came and what it was stamped with.
    at: Time,
    timestamp: u32,
    /// The first packet, until the clock is known.
    began: Time,
    began_timestamp: u32,
    /// Ticks a second; 0: not known.
    clock: u32,
    /// Nanoseconds, times 16 as the appendix has it.
    jitter: u64,
}

packed!(Stream {
    in_order: u8,
    looked_at: u8,
    ssrc: u32,
    number: u16,
    at: Time,
    timestamp: u32,
    began: Time,
    began_timestamp: u32,
    clock: u32,
    jitter: u64,
});

impl Header {
    /// `None` if it cannot be one; RTCP is told before.
    pub(super) fn of(payload: &[u8]) -> Option<Header> {
        let h = payload.first_chunk::<HEADER_LEN>().filter(|h| h[0] >> 6 == VERSION)?;
        // Contributing sources, four bytes each, stand behind the header.
        let sources = usize::from(h[0] & 0xf) * 4;
        (payload.len() >= HEADER_LEN + sources).then(|| Header {
            payload_type: h[1] & 0x7f,
            number: u16::from_be_bytes([h[2], h[3]]),
            timestamp: u32::from_be_bytes([h[4], h[5], h[6], h[7]]),
            ssrc: u32::from_be_bytes([h[8], h[9], h[10], h[11]]),
        })
    }
}

impl Stream {
    pub(super) fn see(&mut self, header: &Header, at: Time, counts: Counts<'_>) -> Verdict {
        if self.in_order < PROBATION {
            return self.prove(header, at, counts);
        }
        if header.ssrc != self.ssrc {
            // Another source: numbers, clock and jitter begin anew, what was counted stays.
            let looked_at = self.looked_at;
            self.begin(header, at);
            *self = Stream { in_order: PROBATION, looked_at, ..*self };
            add(counts.packets);
            return Verdict::Stream;
        }
        add(counts.packets);
        let step = header.number.wrapping_sub(self.number).cast_signed();
        if !(-MISORDER_MAX..=DROPOUT_MAX).contains(&step) {
            self.begin(header, at);
            self.in_order = PROBATION;
            return Verdict::Stream;
        }
        match step {
            // The last one again.
            0 => {}
            ..0 => {
                add(counts.late);
                *counts.lost = counts.lost.saturating_sub(1);
            }
            _ => {
                *counts.lost = counts.lost.saturating_add(u32::from(step.unsigned_abs()) - 1);
                self.number = header.number;
            }
        }
        self.time(header, at, counts);
        Verdict::Stream
    }

    /// A packet while nobody knows whether it is a stream.
    fn prove(&mut self, header: &Header, at: Time, counts: Counts<'_>) -> Verdict {
        self.looked_at = self.looked_at.saturating_add(1);
        let goes_on = self.in_order > 0 && header.ssrc == self.ssrc && header.number == self.number.wrapping_add(1);
        if !goes_on {
            let looked_at = self.looked_at;
            self.begin(header, at);
            *self = Stream { in_order: 1, looked_at, ..*self };
            // What was counted belongs to no stream.
            (*counts.packets, *counts.gap_max, *counts.jitter_max) = (1, 0, 0);
            (*counts.payload_type, *counts.ssrc, *counts.clock) = (header.payload_type, header.ssrc, 0);
            return if looked_at >= PATIENCE { Verdict::Other } else { Verdict::Perhaps };
        }
        self.in_order += 1;
        add(counts.packets);
        self.number = header.number;
        self.time(header, at, counts);
        if self.in_order == PROBATION { Verdict::Stream } else { Verdict::Perhaps }
    }

    fn begin(&mut self, header: &Header, at: Time) {
        *self = Stream {
            in_order: self.in_order,
            looked_at: self.looked_at,
            ssrc: header.ssrc,
            number: header.number,
            at,
            timestamp: header.timestamp,
            began: at,
            began_timestamp: header.timestamp,
            clock: clock_of(header.payload_type),
            jitter: 0,
        };
    }

    /// Gap and jitter, of packets in the order in which they came, whatever their numbers.
    fn time(&mut self, header: &Header, at: Time, counts: Counts<'_>) {
        let waited = at.0.saturating_sub(self.at.0);
        *counts.gap_max = (*counts.gap_max).max(micros(waited));
        if self.clock == 0 {
            self.guess(header.timestamp, at);
        }
        if self.clock != 0 {
            *counts.clock = self.clock;
            // Timestamps wrap, and those of pictures may go back.
            let ticks = i64::from(header.timestamp.wrapping_sub(self.timestamp).cast_signed());
            let sent = ticks * 1_000_000_000 / i64::from(self.clock);
            let late = waited.cast_signed().saturating_sub(sent).unsigned_abs();
            self.jitter = self.jitter.saturating_add(late).saturating_sub((self.jitter + 8) / 16);
            *counts.jitter_max = (*counts.jitter_max).max(micros(self.jitter / 16));
        }
        (self.at, self.timestamp) = (at, header.timestamp);
    }

    /// The usual clock by which timestamps went as far as time did, once enough of it is over.
    fn guess(&mut self, timestamp: u32, at: Time) {
        let elapsed = at.0.saturating_sub(self.began.0);
        if elapsed < GUESS_NS {
            return;
        }
        let ticks = u64::from(timestamp.wrapping_sub(self.began_timestamp));
        // Less than 2^32 ticks: no overflow.
        let rate = ticks * 1_000_000_000 / elapsed;
        let nearest = CLOCKS.into_iter().min_by_key(|clock| rate.abs_diff((*clock).into()));
        let fits = |clock: &u32| rate.abs_diff((*clock).into()) < u64::from(*clock) / GUESS_FIT;
        self.clock = nearest.filter(fits).unwrap_or(0);
        // Silence and bursts fit nothing: another half second is looked at.
        (self.began, self.began_timestamp) = (at, timestamp);
    }
}

/// Ticks a second of the types that have a meaning by themselves (RFC 3551 tables 4 and 5); 0 for others.
fn clock_of(payload_type: u8) -> u32 {
    match payload_type {
        0 | 3..=5 | 7..=9 | 12 | 13 | 15 | 18 => 8_000,
        6 => 16_000,
        10 | 11 => 44_100,
        16 => 11_025,
        17 => 22_050,
        14 | 25 | 26 | 28 | 31..=34 => 90_000,
        _ => 0,
    }
}

fn micros(nanos: u64) -> u32 {
    u32::try_from(nanos / 1_000).unwrap_or(u32::MAX)
}

fn add(count: &mut u32) {
    *count = count.saturating_add(1);
}
