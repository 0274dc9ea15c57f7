//! The two faces of the exporter: whose values are written.
use record::Time;

/// `sonda probe` speaks the correct values, `sonda ipfixprobe` those of the original, its known mistakes included, because sites
/// compare. Each place that asks is a row in docs/compatibility.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Face {
    #[default]
    Native,
    /// Byte for byte the values of ipfixprobe 5.7.
    Ipfixprobe,
}

impl Face {
    pub fn is_original(self) -> bool {
        self == Face::Ipfixprobe
    }

    /// A packet's time as the face knows it: the original has microseconds only.
    #[inline(always)]
    pub(crate) fn time(self, at: Time) -> Time {
        if self.is_original() { at.whole_micros() } else { at }
    }
}
