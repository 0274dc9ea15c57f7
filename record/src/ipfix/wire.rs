//! Numbers of the wire format, named once, and the time forms of RFC 7011 section 6.1.
use crate::value::Time;

/// Version of the message header (RFC 7011 section 3.1).
pub const VERSION: u16 = 10;
/// Bytes of the message header.
pub const MESSAGE_HEADER: usize = 16;
/// Bytes of a set header (section 3.3.2).
pub const SET_HEADER: usize = 4;
/// Set id of templates.
pub const TEMPLATE_SET: u16 = 2;
/// Set id of options templates.
pub const OPTIONS_TEMPLATE_SET: u16 = 3;
/// Smallest id of a template and so of a data set.
pub const DATA_SET_MIN: u16 = 256;
/// Field length that says "variable" in a template (section 7).
pub const VARIABLE: u16 = 65535;
/// First length byte that announces the three-byte form (section 7).
pub const LONG_FORM: u8 = 255;
/// Bit of a field id that announces a private enterprise number (section 3.2).
pub const ENTERPRISE: u16 = 0x8000;
/// Semantic "all of" of a list (RFC 6313 section 4.4).
pub const SEMANTIC_ALL_OF: u8 = 3;

/// Seconds from 1900, where NTP starts, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// dateTimeMicroseconds: NTP seconds in the upper half, whole microseconds as a fraction of 2^32, rounded down, in the lower
/// (spec/ipfix.md section 2). Seconds wrap in 2036 as NTP's do.
#[inline(always)]
pub fn ntp_micros(t: Time) -> u64 {
    let micros = u64::from(t.subsec_nanos()) / 1_000;
    ((t.secs() + NTP_TO_UNIX) << 32) | ((micros << 32) / 1_000_000)
}

/// dateTimeNanoseconds: as [`ntp_micros`] with a fraction of nanoseconds.
#[inline(always)]
pub fn ntp_nanos(t: Time) -> u64 {
    ((t.secs() + NTP_TO_UNIX) << 32) | ((u64::from(t.subsec_nanos()) << 32) / 1_000_000_000)
}

/// Reads the NTP form, the fraction rounded to the nearest microsecond: undoes [`ntp_micros`] exactly, and also the form whose
/// lowest 11 bits are zero, which RFC 7011 section 6.1.9 asks for. Seconds before 1970 are taken to be after 2036.
pub fn unix_from_ntp_micros(ntp: u64) -> Time {
    let micros = ((ntp & 0xffff_ffff) * 1_000_000 + (1 << 31)) >> 32;
    Time(unix_secs(ntp) * 1_000_000_000 + micros * 1_000)
}

/// Reads the NTP form, the fraction rounded to the nearest nanosecond.
pub fn unix_from_ntp_nanos(ntp: u64) -> Time {
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000 + (1 << 31)) >> 32;
    Time(unix_secs(ntp) * 1_000_000_000 + nanos)
}

/// Whole Unix seconds of an NTP time, 1970 to 2106.
pub fn unix_secs(ntp: u64) -> u64 {
    let secs = ntp >> 32;
    if secs >= NTP_TO_UNIX { secs - NTP_TO_UNIX } else { secs + (1 << 32) - NTP_TO_UNIX }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_of_the_original() {
        // basic.tcp.ipfix, first record: dbbe03018a6772d5 is 2016-10-28T17:01:53.540641Z.
        let t = Time::from_micros(1_477_674_113_540_641);
        assert_eq!(ntp_micros(t), 0xdbbe_0301_8a67_72d5);
    }

    proptest! {
        #[test]
        fn microseconds_survive(us in 0u64..(1 << 32) * 1_000_000) {
            let t = Time::from_micros(us);
            prop_assert_eq!(unix_from_ntp_micros(ntp_micros(t)), t);
            prop_assert_eq!(unix_from_ntp_micros(ntp_micros(t) & !0x7ff), t);
        }

        #[test]
        fn nanoseconds_survive(ns in 0u64..(1 << 32) * 1_000_000_000) {
            prop_assert_eq!(unix_from_ntp_nanos(ntp_nanos(Time(ns))), Time(ns));
        }
    }
}
