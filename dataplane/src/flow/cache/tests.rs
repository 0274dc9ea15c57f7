use super::*;
use crate::face::Face;
use crate::flow::table::Shape;
use crate::packet::Direction::{Forward, Reverse};
use crate::packet::protocol::TCP;
use crate::plugin::INSPECTED_MAX;
use crate::plugin::testing::frame;
use crate::registry::PluginId;

const FACES: [Face; 2] = [Face::Ipfixprobe, Face::Native];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nServer: s\r\n\r\n";
const NOISE: &[u8] = &[0x17, 3, 3, 0, 9, 1, 2, 3, 4];

struct Conversation {
    cache: Cache,
    batch: Batch,
    sent: u64,
}

impl Conversation {
    fn new(face: Face, plugins: &[PluginId]) -> Conversation {
        let mut enabled = Plugins::default();
        for id in plugins {
            enabled.enable(*id, &[], face, 16).expect("no options");
        }
        let shape = Shape { size_exp: 4, line_exp: 4 };
        let cache = Cache::new(CacheConfig { shape, face, ..CacheConfig::default() }, enabled).expect("memory");
        Conversation { cache, batch: Batch::default(), sent: 0 }
    }

    fn say(&mut self, direction: Direction, payload: &[u8]) {
        let ports = if direction == Forward { (4000, 8080) } else { (8080, 4000) };
        let (mut packet, bytes) = frame(direction, ports.0, ports.1, TCP, &[], payload);
        self.sent += 1;
        packet.at = Time(self.sent * 1_000_000);
        self.cache.look(std::slice::from_mut(&mut packet), &[Frame { bytes: &bytes, ..Frame::default() }]);
        self.cache.packet(PacketView { packet: &packet, bytes: &bytes }, &mut self.batch);
    }

    /// Row and interest of the one flow.
    fn kept(&self) -> (u32, PluginSet) {
        let slot = self.cache.table.slots().next().expect("a flow");
        let flow = self.cache.table.flow(slot);
        (flow.row, flow.interest())
    }

    /// Extension records of all flows.
    fn records(mut self) -> usize {
        self.cache.flush(Time(u64::MAX), &mut self.batch, |_| ());
        assert_eq!(self.cache.plugins.in_use(), 0);
        self.batch.flows().iter().map(|flow| self.batch.links(flow).len()).sum()
    }
}

#[test]
fn a_flow_without_content_has_no_row() {
    for face in FACES {
        let mut c = Conversation::new(face, &[PluginId::http, PluginId::dns, PluginId::smtp, PluginId::tls]);
        for _ in 0..9 {
            c.say(Forward, NOISE);
            c.say(Reverse, b"");
        }
        assert_eq!(c.kept().0, 0);
        c.say(Forward, REQUEST);
        assert_ne!(c.kept().0, 0);
        assert_eq!(c.records(), 1);
    }
}

#[test]
fn natively_content_is_looked_for_in_the_first_packets_only() {
    for (noise, face, records) in [
        (INSPECTED_MAX - 1, Face::Native, 1),
        (INSPECTED_MAX, Face::Native, 0),
        (INSPECTED_MAX, Face::Ipfixprobe, 1),
        (10 * INSPECTED_MAX, Face::Ipfixprobe, 1),
    ] {
        let mut c = Conversation::new(face, &[PluginId::http, PluginId::basicplus]);
        for n in 0..noise {
            c.say(if n % 3 == 0 { Reverse } else { Forward }, if n % 2 == 0 { b"" } else { NOISE });
        }
        c.say(Forward, REQUEST);
        // basicplus, which goes by headers, has no such budget.
        assert_eq!(c.records(), 1 + records, "{noise} {face:?}");
    }
}

#[test]
fn who_found_something_looks_on() {
    for face in FACES {
        let mut c = Conversation::new(face, &[PluginId::http, PluginId::tls]);
        c.say(Forward, REQUEST);
        for _ in 0..3 * INSPECTED_MAX {
            c.say(Forward, NOISE);
        }
        assert_eq!(c.kept().1 & PluginId::tls.bit() != 0, face.is_original());
        c.say(Reverse, REPLY);
        // The second request begins a record, and a budget, of its own.
        c.say(Forward, REQUEST);
        assert_eq!(c.kept().1, PluginId::http.bit() | PluginId::tls.bit());
        assert_eq!(c.records(), 2);
    }
}
