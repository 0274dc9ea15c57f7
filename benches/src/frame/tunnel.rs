//! Headers of tunnels behind UDP or IP: VXLAN (RFC 7348), GENEVE (RFC 8926), GTP-U (3GPP TS 29.281), L2TP (RFC 2661, RFC 3931), ERSPAN.
use super::{Frame, Joint, Mark, Name};

impl Frame {
    /// Ethernet follows.
    pub fn vxlan(&mut self, vni: u32) -> &mut Self {
        self.payload(&[8, 0, 0, 0]).payload(&(vni << 8).to_be_bytes())
    }

    /// The generic form: `next` is 1 for IPv4, 2 for IPv6, 3 for Ethernet.
    pub fn vxlan_gpe(&mut self, vni: u32, next: u8) -> &mut Self {
        self.payload(&[0x0c, 0, 0, next]).payload(&(vni << 8).to_be_bytes())
    }

    /// `options` is a multiple of 4 bytes, 252 at the most.
    pub fn geneve(&mut self, vni: u32, options: &[u8]) -> &mut Self {
        let at = self.bytes.len();
        self.payload(&[options.len() as u8 / 4, 0, 0, 0]).payload(&(vni << 8).to_be_bytes()).payload(options);
        self.joint = Joint::EtherType(at + 2);
        self
    }

    /// A G-PDU. With a `sequence` number its word is there; `extended` adds an extension header, the container of a 5G session.
    pub fn gtp(&mut self, teid: u32, sequence: Option<u16>, extended: bool) -> &mut Self {
        let at = self.bytes.len();
        let bits = u8::from(extended) << 2 | u8::from(sequence.is_some()) << 1;
        self.payload(&[0x30 | bits, 255, 0, 0]).payload(&teid.to_be_bytes());
        if bits != 0 {
            self.payload(&sequence.unwrap_or_default().to_be_bytes()).payload(&[0, if extended { 0x85 } else { 0 }]);
        }
        if extended {
            self.payload(&[1, 0x10, 9, 0]);
        }
        self.marks.push(Mark::Gtp(at));
        self
    }

    /// A data message of version 2 with PPP.
    pub fn l2tp(&mut self, tunnel: u16, session: u16) -> &mut Self {
        self.payload(&[0, 2]).payload(&tunnel.to_be_bytes()).payload(&session.to_be_bytes());
        self.payload(&[0xff, 0x03, 0, 0]);
        self.joint = Joint::Ppp(self.bytes.len() - 2);
        self
    }

    /// A data message of version 3 behind IP or, with `in_udp`, behind UDP; `between` is the cookie and the sublayer.
    pub fn l2tp3(&mut self, session: u32, in_udp: bool, between: &[u8]) -> &mut Self {
        if in_udp {
            self.payload(&[0, 3, 0, 0]);
        }
        self.header(Name::protocol(115), &session.to_be_bytes());
        self.joint = Joint::Nothing;
        self.payload(between)
    }

    /// GRE and the header of ERSPAN, type 2 or 3; a mirrored Ethernet frame follows.
    pub fn erspan(&mut self, kind: u8, session: u16, sequence: u32) -> &mut Self {
        let is_third = kind == 3;
        self.gre(None, Some(sequence), false).ethertype(if is_third { 0x22eb } else { 0x88be });
        self.joint = Joint::Nothing;
        self.payload(&[if is_third { 0x20 } else { 0x10 }, 0]).payload(&(session & 0x3ff).to_be_bytes());
        self.payload(&[0; 8][..if is_third { 8 } else { 4 }])
    }
}
