//! mqtt: control packets of a session, and its first topics (spec/process_plugins.md, "mqtt"; MQTT 3.1.1 and 5.0, section 2).
//!
//! Told by content: a CONNECT of MQTT, in the original the flow's first packet. Control packets are read where they lie whole in a segment; DISCONNECT ends the
//! record. Option: `topiccount` says how many topics are listed, 0 without it.
use crate::face::Face;
use crate::plugin::{
    Context, OptionError, Plugin, PluginOption, Slot, Slots, Step, Takes, options, put_short, put_text,
};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// An MQTT session.
    pub struct MqttRecord = "mqtt" {
        /// Control packets seen, bit n for type n; bit 0: the server has kept an earlier session.
        types: u16, ipfix cesnet::mqttTypeCumulative, unirec "MQTT_TYPE_CUMULATIVE";
        /// Version: 4 is MQTT 3.1.1, 5 is MQTT 5.
        version: u8, ipfix cesnet::mqttVersion, unirec "MQTT_VERSION";
        /// Flags of CONNECT.
        flags: u8, ipfix cesnet::mqttConnectionFlags, unirec "MQTT_CONNECTION_FLAGS";
        /// Keep alive of CONNECT, seconds.
        keep_alive: u16, ipfix cesnet::mqttKeepAlive, unirec "MQTT_KEEP_ALIVE";
        /// Return or reason code of CONNACK.
        return_code: u8, ipfix cesnet::mqttConnectionReturnCode, unirec "MQTT_CONNECTION_RETURN_CODE";
        /// Flags of all PUBLISH packets.
        publish_flags: u8, ipfix cesnet::mqttPublishFlags, unirec "MQTT_PUBLISH_FLAGS";
        /// Topics of the first PUBLISH packets, each ended by "#".
        topics: Text<TOPICS_LEN>, ipfix cesnet::mqttTopics, unirec "MQTT_TOPICS";
    }
}

/// The original has no bound; a topic has at most 65,535 bytes.
const TOPICS_LEN: usize = 1000;

pub struct Mqtt {
    face: Face,
    topics_max: u32,
}

/// Topics that were listed.
#[derive(Default)]
pub struct Listed(u32);

record::packed!(Listed { 0: u32 });

/// Types of control packets.
const CONNECT: u8 = 1;
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const DISCONNECT: u8 = 14;

impl Plugin for Mqtt {
    type Record = MqttRecord;
    type State = Listed;
    const AFTER: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first().is_some_and(|first| first >> 4 == CONNECT) && (2..=5).any(|at| begins_name(payload, at))
    }
    const OPTIONS: &'static [PluginOption] = &[PluginOption {
        short: "tc",
        long: "topiccount",
        takes: Takes::Number { least: 0, most: u32::MAX, default: 0 },
        about: "list the first N topics",
    }];

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        let mut plugin = Mqtt { face, topics_max: 0 };
        for option in options {
            match options::split(option) {
                (name @ ("tc" | "topiccount"), value) => plugin.topics_max = options::number(name, value)?,
                (name, _) => return Err(OptionError::Unknown(name.into())),
            }
        }
        Ok(plugin)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first_or_open() else { return Step::Done };
        let payload = ctx.packet.payload();
        let step = self.read(payload, slot);
        if matches!(slot.record.version, 4 | 5) && slot.record.types & 1 << CONNECT != 0 {
            return step.map_or(Step::Each, |()| Step::Flush);
        }
        slots.clear();
        Step::Done
    }

    fn after(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first() else {
            // QUIRK: in the original the flow's first packet must be CONNECT, as it never is where the connection was seen from its SYN on.
            let begins = !self.face.is_original() && Self::may_begin(ctx.packet.payload());
            return if begins { self.create(ctx, slots) } else { Step::Done };
        };
        self.read(ctx.packet.payload(), slot).map_or(Step::More, |()| Step::Flush)
    }

    fn text(r: &MqttRecord, out: &mut String) {
        let _ = write!(out, "type_cumulative={},version={},", r.types, r.version);
        let _ = write!(out, "con_flags={},keep_alive={},", r.flags, r.keep_alive);
        let _ = write!(out, "con_return_code={},pub_flags={},topics=\"", r.return_code, r.publish_flags);
        put_text(out, r.topics.as_bytes());
        out.push('"');
    }

    fn summary(r: &MqttRecord, out: &mut String) {
        let _ = write!(out, "mqtt {} ", if r.version == 5 { "5" } else { "3.1.1" });
        put_short(out, r.topics.as_bytes());
    }
}

/// Whether a CONNECT has the name of the protocol here, behind its length.
#[inline(always)]
fn begins_name(payload: &[u8], at: usize) -> bool {
    payload.get(at..at + 6) == Some(b"\0\x04MQTT")
}

impl Mqtt {
    /// Reads the control packets of a segment; answers whether one was DISCONNECT.
    fn read(&self, mut rest: &[u8], slot: &mut Slot<Self>) -> Option<()> {
        let mut ended = None;
        while let Some((&first, behind)) = rest.split_first() {
            let kind = first >> 4;
            if self.face.is_original() {
                slot.record.types |= 1 << kind;
            }
            let Some((body, next)) = self.split_body(behind) else { break };
            rest = next;
            slot.record.types |= 1 << kind;
            if self.read_packet(kind, first & 15, body, slot).is_none() {
                break;
            }
            if kind == DISCONNECT {
                ended = Some(());
            }
        }
        ended
    }

    fn read_packet(&self, kind: u8, flags: u8, body: &[u8], slot: &mut Slot<Self>) -> Option<()> {
        let r = &mut slot.record;
        match kind {
            CONNECT => {
                let (b"MQTT", [version, flags, k1, k0, ..]) = split_string(body)? else { return None };
                if !matches!(version, 4 | 5) {
                    return None;
                }
                (r.version, r.flags, r.keep_alive) = (*version, *flags, u16::from_be_bytes([*k1, *k0]));
            }
            CONNACK => {
                let &[acknowledged, code] = body.first_chunk()?;
                // QUIRK: the original takes all bits, of which only the lowest may be set.
                r.types |= u16::from(if self.face.is_original() { acknowledged } else { acknowledged & 1 });
                r.return_code = code;
            }
            PUBLISH => {
                r.publish_flags |= flags;
                let (topic, _) = split_string(body)?;
                if slot.state.0 < self.topics_max && topic.len() < r.topics.room() {
                    slot.state.0 += 1;
                    r.topics.push(topic);
                    r.topics.push(b"#");
                }
            }
            _ => {}
        }
        Some(())
    }

    /// What the remaining length counts, and what is behind it (section 2.2.3: up to four bytes of seven bits, the lowest first).
    fn split_body<'m>(&self, bytes: &'m [u8]) -> Option<(&'m [u8], &'m [u8])> {
        const LEN_MAX: usize = 4;
        let end = bytes.iter().take(LEN_MAX).position(|byte| byte & 0x80 == 0)? + 1;
        let (len, body) = bytes.split_at(end);
        let len = if self.face.is_original() {
            // QUIRK: base 256, the highest first, with the bits that say that more follows.
            len.iter().fold(0, |n: usize, byte| n << 8 | usize::from(*byte))
        } else {
            len.iter().rev().fold(0, |n: usize, byte| n << 7 | usize::from(byte & 0x7f))
        };
        body.split_at_checked(len)
    }
}

/// A string behind its length, and what follows.
fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*len).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{self, Forward, Reverse};
    use crate::packet::protocol::TCP;
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    const HELLO: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";

    fn publish(topic: &str, payload: usize) -> Vec<u8> {
        let len = 2 + topic.len() + payload;
        let mut bytes = vec![0x31];
        bytes.extend(if len < 128 { vec![len as u8] } else { vec![len as u8 | 0x80, (len >> 7) as u8] });
        bytes.extend((topic.len() as u16).to_be_bytes());
        bytes.extend(topic.as_bytes());
        bytes.resize(bytes.len() + payload, b'x');
        bytes
    }

    fn play(options: &[&str], face: Face, steps: &[(Direction, &[u8])]) -> Vec<MqttRecord> {
        let mut h = Harness::<Mqtt>::with_options(options, face);
        for (direction, payload) in steps {
            let (from, to) = if *direction == Forward { (40000, 1883) } else { (1883, 40000) };
            h.packet(*direction, from, to, TCP, payload);
        }
        h.records()
    }

    #[test]
    fn a_session() {
        let both = [publish("home/door", 5), publish("home/lamp", 200)].concat();
        let steps: [(Direction, &[u8]); 5] = [
            (Forward, HELLO),
            (Reverse, b"\x20\x02\x01\x00"),
            (Forward, &both),
            (Forward, b"\xe0\0"),
            (Forward, b"later"),
        ];
        for (face, topics) in [(Face::Native, "home/door#home/lamp#"), (Face::Ipfixprobe, "home/door#")] {
            let [r] = &play(&["topiccount=2"], face, &steps)[..] else { panic!("one record") };
            let mut text = String::new();
            Mqtt::text(r, &mut text);
            let want =
                "type_cumulative=16399,version=4,con_flags=2,keep_alive=60,con_return_code=0,pub_flags=1,topics=";
            assert_eq!(text, format!("{want}\"{topics}\""), "{face:?}");
        }
        assert!(play(&[], Face::Native, &steps)[0].topics.is_empty());
    }

    #[test]
    fn what_is_no_session() {
        let mut old = HELLO.to_vec();
        old[8] = 3;
        for (what, first) in
            [("another version", &old[..]), ("another beginning", b"\x20\x02\0\0"), ("cut", &HELLO[..9])]
        {
            for face in [Face::Native, Face::Ipfixprobe] {
                assert!(play(&[], face, &[(Forward, first), (Forward, b"more")]).is_empty(), "{what}");
            }
        }
    }

    #[test]
    fn a_connection_from_its_first_packet_on() {
        for (face, records) in [(Face::Native, 1), (Face::Ipfixprobe, 0)] {
            assert_eq!(play(&[], face, &[(Forward, b""), (Forward, HELLO)]).len(), records);
        }
    }

    #[test]
    fn options_by_their_names() {
        assert_eq!(Mqtt::new(&["tc=0x10"], Face::Native).map(|p| p.topics_max), Ok(16));
        for option in ["tc", "tc=x", "topics=1"] {
            assert!(Mqtt::new(&[option], Face::Native).is_err(), "{option}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in prop::collection::vec(any::<u8>(), 0..80), more in prop::collection::vec(any::<u8>(), 0..80)) {
            for face in [Face::Native, Face::Ipfixprobe] {
                let steps: [(Direction, &[u8]); 2] = [(Forward, &[HELLO, &tail].concat()), (Reverse, &more)];
                prop_assert!(play(&["tc=9"], face, &steps).len() <= 1);
            }
        }
    }
}
