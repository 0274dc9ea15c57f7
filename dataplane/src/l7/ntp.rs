//! ntp: one message of the network time protocol (spec/process_plugins.md, "ntp"; RFC 5905 section 7.3).
//!
//! Told by the port. Each message is a record of its own: the flow ends with it.
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, Cut, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;
use std::net::Ipv4Addr;

record! {
    /// An NTP message.
    pub struct NtpRecord = "ntp" {
        /// Leap indicator: 1 and 2 announce a second more or less, 3 a clock that is not synchronized.
        leap: u8, ipfix cesnet::NTPLeap, unirec "NTP_LEAP";
        /// Version.
        version: u8, ipfix cesnet::NTPVersion, unirec "NTP_VERSION";
        /// Mode: 3 client, 4 server.
        mode: u8, ipfix cesnet::NTPMode, unirec "NTP_MODE";
        /// Distance from the reference clock; 0 in a kiss of death, 16 not synchronized.
        stratum: u8, ipfix cesnet::NTPStratum, unirec "NTP_STRATUM";
        /// Interval between messages, logarithm of seconds.
        poll: u8, ipfix cesnet::NTPPoll, unirec "NTP_POLL";
        /// Precision of the clock, logarithm of seconds in two's complement.
        precision: u8, ipfix cesnet::NTPPrecision, unirec "NTP_PRECISION";
        /// Delay to the reference clock, seconds x 65536.
        delay: u32, ipfix cesnet::NTPDelay, unirec "NTP_DELAY";
        /// Dispersion to the reference clock, seconds x 65536.
        dispersion: u32, ipfix cesnet::NTPDispersion, unirec "NTP_DISPERSION";
        /// The reference: an address, or letters.
        ref_id: Text<15>, ipfix cesnet::NTPRefID, unirec "NTP_REF_ID";
        /// When the clock was set last, seconds since 1900.
        reference: Text<TIME_LEN>, ipfix cesnet::NTPRef, unirec "NTP_REF";
        /// When the client asked, as the server repeats it.
        origin: Text<TIME_LEN>, ipfix cesnet::NTPOrig, unirec "NTP_ORIG";
        /// When the question came.
        receive: Text<TIME_LEN>, ipfix cesnet::NTPRecv, unirec "NTP_RECV";
        /// When this message was sent.
        transmit: Text<TIME_LEN>, ipfix cesnet::NTPSent, unirec "NTP_SENT";
    }
}

/// Ten digits, a dot, six digits.
const TIME_LEN: usize = 17;
const PORT: u16 = 123;
const STRATUM_MAX: u8 = 16;
const POLL_MAX: u8 = 17;

pub struct Ntp {
    face: Face,
}

impl Plugin for Ntp {
    type Record = NtpRecord;
    type State = ();
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Ntp { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let original = self.face.is_original();
        if !original && ctx.packet.packet.protocol != protocol::UDP {
            return Step::Done;
        }
        let message = Message::of(ctx.packet.payload()).filter(|message| message.is_usual(original));
        if let Some(message) = &message
            && let Some(slot) = slots.first_or_open()
        {
            self.read(message, &mut slot.record);
        }
        // The original ends flows of this port whatever is in them.
        if original || message.is_some() { Step::Flush } else { Step::Done }
    }

    fn text(r: &NtpRecord, out: &mut String) {
        let _ = write!(out, "ntpleap={},ntpversion={},ntpmode={},", r.leap, r.version, r.mode);
        let _ = write!(out, "ntpstratum={},ntppoll={},ntpprecision={},", r.stratum, r.poll, r.precision);
        let _ = write!(out, "ntpdelay={},ntpdispersion={},ntprefid=\"", r.delay, r.dispersion);
        put_text(out, r.ref_id.as_bytes());
        for (key, time) in
            [("ntpref", &r.reference), ("ntporig", &r.origin), ("ntprecv", &r.receive), ("ntpsent", &r.transmit)]
        {
            let _ = write!(out, "\",{key}=\"");
            put_text(out, time.as_bytes());
        }
        out.push('"');
    }

    fn summary(r: &NtpRecord, out: &mut String) {
        let _ = write!(out, "ntp mode {} stratum {} ", r.mode, r.stratum);
        put_short(out, r.ref_id.as_bytes());
    }
}

/// The fixed part, 48 bytes.
struct Message<'m> {
    bytes: &'m [u8; 48],
}

impl<'m> Message<'m> {
    fn of(payload: &'m [u8]) -> Option<Self> {
        payload.first_chunk().map(|bytes| Message { bytes })
    }

    fn version(&self) -> u8 {
        self.bytes[0] >> 3 & 7
    }
    fn mode(&self) -> u8 {
        self.bytes[0] & 7
    }
    fn stratum(&self) -> u8 {
        self.bytes[1]
    }

    /// A client's or a server's message with numbers that occur. The original knows version 4 only.
    fn is_usual(&self, original: bool) -> bool {
        let known = if original { self.version() == 4 } else { (1..=4).contains(&self.version()) };
        known && matches!(self.mode(), 3 | 4) && self.stratum() <= STRATUM_MAX && self.bytes[2] <= POLL_MAX
    }

    fn word(&self, at: usize) -> [u8; 4] {
        self.bytes[at..].first_chunk().copied().unwrap_or_default()
    }
}

impl Ntp {
    fn read(&self, message: &Message<'_>, r: &mut NtpRecord) {
        r.leap = message.bytes[0] >> 6;
        (r.version, r.mode, r.stratum) = (message.version(), message.mode(), message.stratum());
        (r.poll, r.precision) = (message.bytes[2], message.bytes[3]);
        // QUIRK: the original has not got round to these two.
        (r.delay, r.dispersion) = if self.face.is_original() {
            (9, 9)
        } else {
            (u32::from_be_bytes(message.word(4)), u32::from_be_bytes(message.word(8)))
        };
        self.put_ref_id(message.word(12), r.stratum, &mut r.ref_id);
        for (at, time) in [(16, &mut r.reference), (24, &mut r.origin), (32, &mut r.receive), (40, &mut r.transmit)] {
            put_time(self.number(message.word(at)), self.number(message.word(at + 4)), self.face, time);
        }
    }

    /// Letters where the protocol has some: a kiss code, natively also the kind of a primary clock.
    fn put_ref_id(&self, id: [u8; 4], stratum: u8, out: &mut Text<15>) {
        let letters = id.as_slice().trim_ascii_end();
        let letters = &letters[..letters.iter().position(|b| *b == 0).unwrap_or(letters.len())];
        let spelled = if self.face.is_original() {
            stratum == 0 && matches!(&id, b"INIT" | b"STEP" | b"DENY" | b"RATE")
        } else {
            stratum <= 1 && !letters.is_empty() && letters.iter().all(u8::is_ascii_graphic)
        };
        if spelled {
            out.set(letters);
        } else {
            let _ = write!(Cut(out), "{}", Ipv4Addr::from(id));
        }
    }

    /// QUIRK: the original puts the bytes together as hexadecimal texts without leading zeros, and reads the result as one number.
    fn number(&self, bytes: [u8; 4]) -> u32 {
        if !self.face.is_original() {
            return u32::from_be_bytes(bytes);
        }
        bytes.iter().fold(0, |number, byte| number << if *byte < 16 { 4 } else { 8 } | u32::from(*byte))
    }
}

/// Seconds, a dot, microseconds: rounded by the original (which loses a second on the way up), cut natively.
fn put_time(seconds: u32, fraction: u32, face: Face, out: &mut Text<TIME_LEN>) {
    let parts = f64::from(u32::MAX) + 1.0;
    let micros = if face.is_original() {
        (f64::from(fraction) / parts * 1e6).round() as u64 % 1_000_000
    } else {
        (u64::from(fraction) * 1_000_000) >> 32
    };
    let _ = write!(Cut(out), "{seconds}.{micros:06}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::Forward;
    use crate::packet::protocol::{TCP, UDP};
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    fn message(first: u8, stratum: u8, id: &[u8; 4]) -> Vec<u8> {
        let mut bytes = vec![first, stratum, 6, 0xec, 0, 0, 0, 0x10, 0, 0, 0x20, 0];
        bytes.extend(id);
        for (seconds, fraction) in
            [(0xdab5_0cf4u32, 0x0e4c_6a00u32), (0xdab5_1208, 0), (0xdab5_1208, 0x0020_c49b), (0, 0x8000_0000)]
        {
            bytes.extend(seconds.to_be_bytes());
            bytes.extend(fraction.to_be_bytes());
        }
        bytes
    }

    fn play(face: Face, protocol: u8, payload: &[u8]) -> (Step, Vec<NtpRecord>) {
        let mut h = Harness::<Ntp>::new(face);
        let step = h.packet(Forward, PORT, PORT, protocol, payload);
        (step, h.records())
    }

    #[test]
    fn values_by_face() {
        let payload = message(0x24, 2, &[195, 113, 144, 238]);
        let (step, records) = play(Face::Native, UDP, &payload);
        assert_eq!((step, records.len()), (Step::Flush, 1));
        let mut text = String::new();
        Ntp::text(&records[0], &mut text);
        let head = "ntpleap=0,ntpversion=4,ntpmode=4,ntpstratum=2,ntppoll=6,ntpprecision=236,";
        let tail = "ntpref=\"3669298420.055853\",ntporig=\"3669299720.000000\",ntprecv=\"3669299720.000499\",ntpsent=\"0.500000\"";
        assert_eq!(text, format!("{head}ntpdelay=16,ntpdispersion=8192,ntprefid=\"195.113.144.238\",{tail}"));
        let (_, records) = play(Face::Ipfixprobe, UDP, &payload);
        let r = &records[0];
        assert_eq!((r.delay, r.dispersion), (9, 9));
        // 0xdab5cf4 and 0xe4c6a0.
        assert_eq!(r.reference.as_bytes(), b"229334260.003491");
    }

    #[test]
    fn references() {
        for (stratum, id, original, native) in [
            (0, b"RATE", "RATE", "RATE"),
            (0, b"XYZ\0", "88.89.90.0", "XYZ"),
            (1, b"GPS\0", "71.80.83.0", "GPS"),
            (2, b"RATE", "82.65.84.69", "82.65.84.69"),
        ] {
            for (face, want) in [(Face::Ipfixprobe, original), (Face::Native, native)] {
                let (_, records) = play(face, UDP, &message(0x24, stratum, id));
                assert_eq!(records[0].ref_id.as_bytes(), want.as_bytes(), "{face:?}");
            }
        }
    }

    #[test]
    fn what_is_no_message() {
        let good = message(0x23, 2, &[1; 4]);
        for (what, protocol, payload, original, native) in [
            ("version 3", UDP, message(0x1b, 2, &[1; 4]), 0, 1),
            ("mode 6", UDP, message(0x26, 2, &[1; 4]), 0, 0),
            ("stratum", UDP, message(0x23, 17, &[1; 4]), 0, 0),
            ("short", UDP, good[..47].to_vec(), 0, 0),
            ("TCP", TCP, good.clone(), 1, 0),
        ] {
            let (step, records) = play(Face::Ipfixprobe, protocol, &payload);
            assert_eq!((step, records.len()), (Step::Flush, original), "{what}");
            let (step, records) = play(Face::Native, protocol, &payload);
            assert_eq!((step == Step::Flush, records.len()), (native == 1, native), "{what}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut payload in prop::collection::vec(any::<u8>(), 0..60), first in prop::sample::select(vec![0x23u8, 0x24, 0])) {
            if let Some(byte) = payload.first_mut() {
                *byte = first;
            }
            for face in [Face::Native, Face::Ipfixprobe] {
                let (_, records) = play(face, UDP, &payload);
                prop_assert!(records.iter().all(|r| r.transmit.as_bytes().contains(&b'.')));
            }
        }
    }
}
