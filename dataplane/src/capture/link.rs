//! Link types by number, as in the list at <https://www.tcpdump.org/linktypes.html>.
use super::LinkType;

/// For messages.
pub(super) const SUPPORTED: &str =
    "Ethernet (1), Linux cooked (113, 276), raw IP (12, 14, 101, 228, 229) and loopback (0, 108)";

impl LinkType {
    /// What the LINKTYPE_ number of a file means; none if it is not supported.
    pub const fn from_number(number: u32) -> Option<LinkType> {
        Some(match number {
            1 => LinkType::Ethernet,
            113 => LinkType::LinuxSll,
            276 => LinkType::LinuxSll2,
            // 12 and 14 are DLT_RAW of different systems, written by programs that did not translate it.
            12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
            0 => LinkType::Null,
            108 => LinkType::Loop,
            _ => return None,
        })
    }

    /// The LINKTYPE_ number for a new file; for [`LinkType::RawIp`] that is 101, LINKTYPE_RAW.
    pub const fn number(self) -> u16 {
        match self {
            LinkType::Ethernet => 1,
            LinkType::LinuxSll => 113,
            LinkType::LinuxSll2 => 276,
            LinkType::RawIp => 101,
            LinkType::Null => 0,
            LinkType::Loop => 108,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_written_are_read() {
        for link in [0, 1, 12, 14, 101, 108, 113, 228, 229, 276].map(LinkType::from_number) {
            let link = link.unwrap();
            assert_eq!(LinkType::from_number(link.number().into()), Some(link));
        }
        assert_eq!(LinkType::from_number(105), None);
    }
}
