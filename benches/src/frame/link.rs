//! Below IP: Ethernet, VLAN (IEEE 802.1Q), MPLS (RFC 3032), PPPoE (RFC 2516), cooked and BSD link types.
use super::{Frame, Joint, Mac, Mark, Name};

impl Frame {
    /// Ethernet II; inside GRE it is transparent bridging.
    pub fn ethernet(&mut self, source: Mac, destination: Mac) -> &mut Self {
        let at = self.header(Name::ETHERNET, &destination);
        self.payload(&source).payload(&[0, 0]);
        self.joint = Joint::EtherType(at + 12);
        self
    }

    /// An EtherType that has no builder here (ARP, LLDP, ...); its bytes follow as payload.
    pub fn ethertype(&mut self, ethertype: u16) -> &mut Self {
        self.join(Name::ethertype(ethertype));
        self
    }

    /// A VLAN tag: `tpid` is 0x8100 or 0x88a8, `id` the lower 12 bits (the upper four are priority and DEI).
    pub fn vlan(&mut self, tpid: u16, id: u16) -> &mut Self {
        let at = self.header(Name::ethertype(tpid), &id.to_be_bytes());
        self.payload(&[0, 0]);
        self.joint = Joint::EtherType(at + 2);
        self
    }

    /// One MPLS label; the bottom of the stack is marked by whatever follows.
    pub fn mpls(&mut self, label: u32, ttl: u8) -> &mut Self {
        let at = self.header(Name::MPLS, &(label << 12 | u32::from(ttl)).to_be_bytes());
        self.joint = Joint::MplsBottom(at + 2);
        self
    }

    /// PPPoE session stage with its PPP protocol field.
    pub fn pppoe(&mut self, session: u16) -> &mut Self {
        let at = self.header(Name::PPPOE, &[0x11, 0]);
        self.payload(&session.to_be_bytes()).payload(&[0; 4]);
        self.marks.push(Mark::Pppoe(at));
        self.joint = Joint::Ppp(at + 6);
        self
    }

    /// Linux cooked capture, LINKTYPE_LINUX_SLL: `kind` 0 is "to us", 4 "sent by us".
    pub fn sll(&mut self, kind: u16, source: Mac) -> &mut Self {
        self.payload(&kind.to_be_bytes()).payload(&[0, 1, 0, 6]).payload(&source).payload(&[0; 4]);
        self.joint = Joint::EtherType(14);
        self
    }

    /// Linux cooked capture version 2, LINKTYPE_LINUX_SLL2.
    pub fn sll2(&mut self, kind: u8, interface: u32, source: Mac) -> &mut Self {
        self.payload(&[0; 4]).payload(&interface.to_be_bytes()).payload(&[0, 1, kind, 6]);
        self.payload(&source).payload(&[0; 2]);
        self.joint = Joint::EtherType(0);
        self
    }

    /// BSD loopback, LINKTYPE_NULL: the address family in the byte order of the writer.
    pub fn null(&mut self, big_endian: bool) -> &mut Self {
        self.payload(&[0; 4]);
        self.joint = Joint::Family { at: 0, big_endian };
        self
    }

    /// OpenBSD loopback, LINKTYPE_LOOP: the same in network byte order.
    pub fn loopback(&mut self) -> &mut Self {
        self.null(true)
    }
}
