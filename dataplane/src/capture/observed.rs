//! Where a frame was observed: an interface of its source and the way it went there (RFC 7011 section 2, "Observation Point").

use super::LinkType;
use libc::{PACKET_HOST, PACKET_OTHERHOST, PACKET_OUTGOING};

/// Which way a packet passed the interface, where the source knows it: flowDirection (IANA element 61).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum FlowDirection {
    #[default]
    Unknown,
    Ingress,
    Egress,
}

impl FlowDirection {
    /// Value of flowDirection; none if it is not known.
    #[inline(always)]
    pub fn element_value(self) -> Option<u8> {
        (self as u8).checked_sub(1)
    }

    /// What a frame of a file says by itself: the cooked headers of Linux have the packet type of its packet sockets, as the kernel gives it to a
    /// live capture. Other headers say nothing.
    #[inline(always)]
    pub(super) fn in_header(link: LinkType, bytes: &[u8]) -> FlowDirection {
        let packet_type = match link {
            LinkType::LinuxSll => bytes.strip_prefix(&[0]).and_then(|rest| rest.first()),
            LinkType::LinuxSll2 => bytes.get(10),
            _ => None,
        };
        match packet_type.copied() {
            // From one for the host itself to one between others.
            Some(PACKET_HOST..=PACKET_OTHERHOST) => FlowDirection::Ingress,
            Some(PACKET_OUTGOING) => FlowDirection::Egress,
            _ => FlowDirection::Unknown,
        }
    }
}

/// The interface's number within the source, and the direction: two bytes, which have room in a [`Frame`](super::Frame) that is there anyhow.
/// The default is the only interface of a source that knows no direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed(u16);

/// Bits of the interface's number.
const INTERFACE_BITS: u32 = 14;

/// Interfaces that a source can have.
pub(super) const INTERFACES_MAX: u16 = 1 << INTERFACE_BITS;

impl Observed {
    pub const INGRESS: Observed = Observed::new(0, FlowDirection::Ingress);
    pub const EGRESS: Observed = Observed::new(0, FlowDirection::Egress);

    /// `interface` counts from 0, below [`INTERFACES_MAX`]: higher ones are cut.
    #[inline(always)]
    pub const fn new(interface: u16, direction: FlowDirection) -> Observed {
        Observed((direction as u16) << INTERFACE_BITS | interface & (INTERFACES_MAX - 1))
    }

    #[inline(always)]
    pub fn interface(self) -> u16 {
        self.0 & (INTERFACES_MAX - 1)
    }

    #[inline(always)]
    pub fn direction(self) -> FlowDirection {
        match self.0 >> INTERFACE_BITS {
            1 => FlowDirection::Ingress,
            2 => FlowDirection::Egress,
            _ => FlowDirection::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Frame;

    #[test]
    fn both_parts_come_back_and_a_frame_stays_small() {
        for direction in [FlowDirection::Unknown, FlowDirection::Ingress, FlowDirection::Egress] {
            for interface in [0, 1, 4095, INTERFACES_MAX - 1] {
                let observed = Observed::new(interface, direction);
                assert_eq!((observed.interface(), observed.direction()), (interface, direction));
            }
        }
        assert_eq!(Observed::default(), Observed::new(0, FlowDirection::Unknown));
        assert_eq!(
            [FlowDirection::Ingress, FlowDirection::Egress].map(FlowDirection::element_value),
            [Some(0), Some(1)]
        );
        assert_eq!(size_of::<Frame>(), 32);
    }

    #[test]
    fn cooked_headers_say_which_way() {
        let said = |link, at: usize, packet_type| {
            let mut header = [0; 20];
            header[at] = packet_type;
            FlowDirection::in_header(link, &header)
        };
        for (link, at) in [(LinkType::LinuxSll, 1), (LinkType::LinuxSll2, 10)] {
            let ways: Vec<Option<u8>> = (0..6).map(|n| said(link, at, n).element_value()).collect();
            assert_eq!(ways, [Some(0), Some(0), Some(0), Some(0), Some(1), None], "{link:?}");
            assert_eq!(FlowDirection::in_header(link, &[0]), FlowDirection::Unknown);
        }
        assert_eq!(FlowDirection::in_header(LinkType::LinuxSll, &[1, 4]), FlowDirection::Unknown);
        assert_eq!(FlowDirection::in_header(LinkType::Ethernet, &[0; 20]), FlowDirection::Unknown);
    }
}
