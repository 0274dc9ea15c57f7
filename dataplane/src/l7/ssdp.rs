//! ssdp: services that hosts announce and look for by UPnP (spec/process_plugins.md, "ssdp"; UPnP Device Architecture 2.0, section 1).
//!
//! Told by the destination port. All messages of a flow gather in one record.
use super::entries::add_distinct;
use super::headers::{Fields, Initials, line};
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slot, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// SSDP announcements and searches.
    pub struct SsdpRecord = "ssdp" {
        /// Port of the last announced location.
        port: u16, ipfix cesnet::SSDPLocationPort, unirec "SSDP_LOCATION_PORT";
        /// Kinds of what was announced, without `urn:`, each ended by ";".
        nt: Text<URNS_LEN>, ipfix cesnet::SSDPNT, unirec "SSDP_NT";
        /// What is sent as the user agent: with the values of the original the two are swapped.
        user_agent_ipfix: Text<PRODUCTS_LEN>, ipfix cesnet::SSDPUserAgent, shown Never;
        /// Kinds of what was looked for, without `urn:`, each ended by ";".
        st: Text<URNS_LEN>, ipfix cesnet::SSDPST, unirec "SSDP_ST";
        /// What is sent as the server.
        server_ipfix: Text<PRODUCTS_LEN>, ipfix cesnet::SSDPServer, shown Never;
        /// Servers that announced themselves, each ended by ";".
        server: Text<PRODUCTS_LEN>, unirec "SSDP_SERVER";
        /// User agents that looked for something, each ended by ";".
        user_agent: Text<PRODUCTS_LEN>, unirec "SSDP_USER_AGENT";
    }
}

/// What the buffers of the original hold.
const URNS_LEN: usize = 510;
const PRODUCTS_LEN: usize = 254;
const PORT: u16 = 1900;

pub struct Ssdp {
    face: Face,
}

impl Plugin for Ssdp {
    type Record = SsdpRecord;
    type State = ();
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(_src_port: u16, dst_port: u16) -> bool {
        dst_port == PORT
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Ssdp { face })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if let Some(slot) = slots.first_or_open() {
            // The original has a record of each flow to this port.
            slot.export = self.face.is_original();
            self.read(ctx.packet.payload(), slot);
        }
        Step::More
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        if ctx.packet.packet.dst_port == PORT
            && let Some(slot) = slots.first()
        {
            self.read(ctx.packet.payload(), slot);
        }
        Step::More
    }

    fn text(r: &SsdpRecord, out: &mut String) {
        let _ = write!(out, "ssdpport={}", r.port);
        let values = [
            ("nt", r.nt.as_bytes()),
            ("server", r.server.as_bytes()),
            ("st", r.st.as_bytes()),
            ("useragent", r.user_agent.as_bytes()),
        ];
        for (key, value) in values {
            let _ = write!(out, ",{key}=\"");
            put_text(out, value);
            out.push('"');
        }
    }

    fn summary(r: &SsdpRecord, out: &mut String) {
        out.push_str("ssdp ");
        put_short(out, if r.nt.is_empty() { r.st.as_bytes() } else { r.nt.as_bytes() });
    }
}

impl Ssdp {
    fn read(&self, payload: &[u8], slot: &mut Slot<Self>) {
        let r = &mut slot.record;
        let section = || line(payload).map_or(&[][..], |(_, rest)| rest);
        let is = |name: &[u8], wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        match payload.first() {
            Some(b'N') => {
                for (name, value) in Fields::of(section(), Initials::of(b"NLS")) {
                    if is(name, "NT") {
                        self.add_urn(&mut r.nt, value);
                    } else if is(name, "LOCATION") {
                        r.port = port_of(value).unwrap_or(r.port);
                    } else if is(name, "SERVER") {
                        self.add(&mut r.server, value);
                    }
                }
            }
            Some(b'M') => {
                for (name, value) in Fields::of(section(), Initials::of(b"SU")) {
                    if is(name, "ST") {
                        self.add_urn(&mut r.st, value);
                    } else if is(name, "USER-AGENT") {
                        self.add(&mut r.user_agent, value);
                    }
                }
            }
            _ => return,
        }
        // QUIRK: the original writes the two values in the other order than its template says.
        (r.server_ipfix, r.user_agent_ipfix) =
            if self.face.is_original() { (r.user_agent, r.server) } else { (r.server, r.user_agent) };
        slot.export |=
            ![r.nt.is_empty(), r.st.is_empty(), r.server.is_empty(), r.user_agent.is_empty()].iter().all(|e| *e);
    }

    /// A kind of service or device is an URN; others, such as `ssdp:all` or `upnp:rootdevice`, are not listed.
    fn add_urn(&self, list: &mut Text<URNS_LEN>, value: &[u8]) {
        if let Some(kind) = value.strip_prefix(b"urn:") {
            self.add(list, kind);
        }
    }

    fn add<const N: usize>(&self, list: &mut Text<N>, value: &[u8]) {
        let mut whole = Text::<N>::default();
        whole.push(value);
        // QUIRK: the original takes the carriage return at the end of the line for a part of the value.
        if self.face.is_original() {
            whole.push(b"\r");
        }
        add_distinct(list, whole.as_bytes());
    }
}

/// The port of a URL's host, if it says one.
fn port_of(url: &[u8]) -> Option<u16> {
    let at = url.windows(3).position(|w| w == b"://")? + 3;
    let authority = url[at..].split(|b| matches!(b, b'/' | b'?' | b'#')).next()?;
    // An IPv6 address stands in brackets.
    let host_end = authority.iter().position(|b| *b == b']').map_or(0, |bracket| bracket + 1);
    let colon = host_end + authority[host_end..].iter().position(|b| *b == b':')?;
    std::str::from_utf8(&authority[colon + 1..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::UDP;
    use crate::plugin::testing::Harness;
    use proptest::prelude::*;

    const NOTIFY: &[u8] =
        b"NOTIFY * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nLocation: http://192.0.2.1:5000/a:1.xml\r\n\
        NT: urn:schemas-upnp-org:device:MediaServer:1\r\nNTS: ssdp:alive\r\nSERVER: Linux/4 UPnP/1.0; x\r\n\r\n";
    const SEARCH: &[u8] = b"M-SEARCH * HTTP/1.1\r\nST: urn:dial:1\r\nst: ssdp:all\r\nUser-Agent: Agent/1\r\n\r\n";

    #[test]
    fn messages_gather() {
        for face in [Face::Native, Face::Ipfixprobe] {
            let mut h = Harness::<Ssdp>::new(face);
            for payload in [SEARCH, NOTIFY, NOTIFY, b"N", b""] {
                h.packet(Forward, 50000, PORT, UDP, payload);
            }
            h.packet(Reverse, PORT, 50000, UDP, b"NOTIFY * HTTP/1.1\r\nNT: urn:other\r\n\r\n");
            let [r] = &h.records()[..] else { panic!("one record") };
            let mut text = String::new();
            Ssdp::text(r, &mut text);
            let text = text.replace('\r', if face.is_original() { "" } else { "CR" });
            let want = "ssdpport=5000,nt=\"schemas-upnp-org:device:MediaServer:1;\",server=\"Linux/4 UPnP/1.0; x;\",st=\"dial:1;\",useragent=\"Agent/1;\"";
            assert_eq!(text, want);
            let swapped = r.user_agent_ipfix == r.server;
            assert_eq!(swapped, face.is_original());
        }
    }

    #[test]
    fn nothing_said() {
        for (face, records) in [(Face::Native, 0), (Face::Ipfixprobe, 1)] {
            let mut h = Harness::<Ssdp>::new(face);
            h.packet(Forward, 50000, PORT, UDP, b"M-SEARCH * HTTP/1.1\r\nST: ssdp:all\r\n\r\n");
            assert_eq!(h.records().len(), records);
        }
    }

    #[test]
    fn ports() {
        for (url, port) in [
            ("http://192.0.2.1:80/", Some(80)),
            ("http://[2001:db8::1]:8080/x", Some(8080)),
            ("http://[2001:db8::1]/x", None),
            ("http://host:5000", Some(5000)),
            ("http://host/a:1", None),
            ("http://host:99999/", None),
            ("*", None),
        ] {
            assert_eq!(port_of(url.as_bytes()), port, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(payload in prop::collection::vec(any::<u8>(), 0..200), at in 0..NOTIFY.len(), byte: u8) {
            let mut damaged = NOTIFY.to_vec();
            damaged[at] = byte;
            let mut h = Harness::<Ssdp>::new(Face::Native);
            for bytes in [&damaged, &[b"M", &payload[..]].concat(), &payload] {
                h.packet(Forward, 50000, PORT, UDP, bytes);
            }
            prop_assert!(h.records().len() <= 1);
        }
    }
}
