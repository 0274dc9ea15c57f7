//! What live inputs share: why packets are lost before a lane sees them, what can go wrong with an interface, and the one type that the
//! run loop reads from, whatever the backend.
//!
//! A live input has one source for each queue (or member of a fanout group), and each source has packets of its own: taken together
//! they are the interface's. [`Poll::Idle`] comes at most [`IDLE`] after the last packet, so that a lane can look at its stop flag, end quiet
//! flows and hand over what waits.
use super::af_packet::PacketSource;
use super::af_xdp::XdpSource;
#[cfg(feature = "dpdk")]
use super::dpdk::DpdkSource;
use super::{CaptureError, CaptureSource, CaptureStats, FileSource, Frame, Poll};
use record::{Reason, reasons};
use std::time::Duration;

/// How long a burst waits for packets before it answers [`Poll::Idle`].
pub const IDLE: Duration = Duration::from_millis(100);

reasons! {
    /// Why a packet that the interface received did not reach a lane.
    pub enum CaptureDrop = "capture" {
        /// The ring of the AF_PACKET socket was full (`tp_drops` of packet(7)).
        KernelRing = "kernel_ring",
        /// The receive ring of the AF_XDP socket was full.
        RxRingFull = "rx_ring_full",
        /// The AF_XDP socket had no free frame for it, or it was longer than one.
        RxDropped = "rx_dropped",
        /// A descriptor on the fill ring was refused by the kernel.
        RxInvalid = "rx_invalid_descs",
        /// It came on a receive queue that the interface has had only since the capture began (`ethtool -L`).
        QueueNotRead = "queue_not_read",
        /// The prefilter in the XDP program refused it.
        Xdp = "xdp_dropped",
        /// Left out by sampling.
        Sampled = "sampled",
        /// The network card had no room for it (`imissed`).
        NicMissed = "nic_missed",
        /// The driver had no memory for it (`rx_nombuf`).
        NicNoBuffer = "nic_no_buffer",
        /// The network card received it damaged (`ierrors`).
        NicErrors = "nic_errors",
    }
}

const REASONS: usize = <CaptureDrop as Reason>::ALL.len();

/// Packets lost before a lane saw them, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops([u64; REASONS]);

impl Drops {
    pub fn add(&mut self, why: CaptureDrop, n: u64) {
        self.0[why.index()] += n;
    }

    /// For counters that the kernel or card keeps: the value since the start.
    pub fn set(&mut self, why: CaptureDrop, n: u64) {
        self.0[why.index()] = n;
    }

    pub fn of(&self, why: CaptureDrop) -> u64 {
        self.0[why.index()]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Reasons that occurred, with their counts.
    pub fn losses(&self) -> impl Iterator<Item = (CaptureDrop, u64)> + '_ {
        CaptureDrop::ALL.iter().map(|why| (*why, self.of(*why))).filter(|(_, n)| *n > 0)
    }

    pub fn merge(&mut self, other: &Drops) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Any source of packets: one match for each burst, none for each packet.
#[allow(clippy::large_enum_variant, reason = "there is one for each lane, and it does not move")]
pub enum AnySource {
    File(FileSource),
    Packet(PacketSource),
    Xdp(XdpSource),
    #[cfg(feature = "dpdk")]
    Dpdk(DpdkSource),
}

/// The same call on whichever source it is.
macro_rules! each {
    ($any:expr, $source:ident => $call:expr) => {
        match $any {
            AnySource::File($source) => $call,
            AnySource::Packet($source) => $call,
            AnySource::Xdp($source) => $call,
            #[cfg(feature = "dpdk")]
            AnySource::Dpdk($source) => $call,
        }
    };
}

impl AnySource {
    /// Whether packets come as they happen, and this source has a part of them to itself. Readers of a file all read the same.
    pub fn is_live(&self) -> bool {
        !matches!(self, AnySource::File(_))
    }

    /// The kernel's number of its interface; 0 of what is none of the kernel's.
    pub fn interface_index(&self) -> u32 {
        match self {
            AnySource::Packet(source) => source.index(),
            AnySource::Xdp(source) => source.index(),
            AnySource::File(_) => 0,
            #[cfg(feature = "dpdk")]
            AnySource::Dpdk(_) => 0,
        }
    }
}

impl CaptureSource for AnySource {
    #[inline]
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        each!(self, source => source.burst(take))
    }

    fn limit(&mut self, frames: usize) {
        each!(self, source => source.limit(frames));
    }

    #[inline]
    fn ahead(&self) -> usize {
        each!(self, source => source.ahead())
    }
    fn stats(&self) -> CaptureStats {
        each!(self, source => source.stats())
    }

    fn progress(&self) -> Option<(u64, u64)> {
        each!(self, source => source.progress())
    }

    fn close(&mut self) -> Result<(), CaptureError> {
        each!(self, source => source.close())
    }

    fn notice(&mut self) -> Option<String> {
        each!(self, source => source.notice())
    }
}

impl From<FileSource> for AnySource {
    fn from(source: FileSource) -> AnySource {
        AnySource::File(source)
    }
}

impl From<PacketSource> for AnySource {
    fn from(source: PacketSource) -> AnySource {
        AnySource::Packet(source)
    }
}

impl From<XdpSource> for AnySource {
    fn from(source: XdpSource) -> AnySource {
        AnySource::Xdp(source)
    }
}

#[cfg(feature = "dpdk")]
impl From<DpdkSource> for AnySource {
    fn from(source: DpdkSource) -> AnySource {
        AnySource::Dpdk(source)
    }
}

/// Names of the interfaces that there are.
pub fn interfaces() -> Vec<String> {
    sys::interfaces().unwrap_or_default()
}

/// What is wrong with a live input; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error("there is no interface {name}; there are {known}")]
    NoInterface { name: String, known: String },
    #[error(
        "may not capture on {name}: {what} needs {capability}; {}. Run as root, or give the program the capability with \
         `setcap {capability}+ep $(command -v sonda)`",
        gate(capability)
    )]
    Permission { name: String, what: &'static str, capability: &'static str },
    #[error(
        "{name} is not there any more (removed, renamed or moved to another namespace); what it had brought was read"
    )]
    Gone { name: String },
    #[error(
        "interface {name} has link type {kind} (ARPHRD), which is not read; supported are Ethernet, loopback and raw IP"
    )]
    Link { name: String, kind: u16 },
    #[error("no memory for the rings of {name}: {need} bytes were asked for ({cause}); {advice}")]
    Memory { name: String, need: u64, cause: std::io::Error, advice: String },
    #[error("{backend} does not work on {name}: {why}")]
    Backend { name: String, backend: &'static str, why: String },
    #[error("{name}: {what}: {cause}")]
    System { name: String, what: &'static str, cause: std::io::Error },
}

/// Which gate is closed, when the system refused what needs these capabilities.
fn gate(capabilities: &str) -> String {
    match sys::privileges::missing(capabilities).as_slice() {
        [] => "this process has them, so a seccomp filter, a security module or the container's name space forbids it"
            .into(),
        missing => format!("this process lacks {}", missing.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_add_up() {
        let mut drops = Drops::default();
        drops.add(CaptureDrop::KernelRing, 2);
        drops.set(CaptureDrop::NicErrors, 3);
        let mut sum = drops;
        sum.merge(&drops);
        assert_eq!((sum.total(), sum.of(CaptureDrop::KernelRing)), (10, 4));
        assert_eq!(
            sum.losses().map(|(why, n)| (why.label(), n)).collect::<Vec<_>>(),
            [("kernel_ring", 4), ("nic_errors", 6)]
        );
    }
}
