//! AF_PACKET with a TPACKET_V3 ring: the live input that works on every Linux and every interface.
//!
//! One source is one socket. Several on an interface form a fanout group, in which the kernel gives both directions of all flows between
//! two addresses to the same member ([`spread`]). VLAN tags, which the kernel keeps beside the packet, are put back, so that a packet
//! is what it was on the wire. The kernel's counters are terms of the books: packets for the socket = lent + [`CaptureDrop::KernelRing`].
mod spread;

use super::filter::{self, Filter};
use super::live::{CaptureDrop, IDLE, LiveError};
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, LinkType, Observed, Poll};
use record::Time;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use sys::packet_ring::{PacketRing, RingConfig, RingError, RingStep};

/// Bursts after which the kernel's counters are read, long before 32 bits of them are full.
const BURSTS_PER_COUNT: u32 = 1 << 16;
/// How long the ring must be silent after [`CaptureSource::close`] before it is believed empty: several block times.
const SILENCE: Duration = Duration::from_millis(100);

/// How packets are taken from an interface.
#[derive(Clone, Debug)]
pub struct PacketConfig {
    /// Only frames that this expression accepts are lent: pcap-filter(7).
    pub filter: Option<String>,
    /// Members of the fanout group, one for each lane.
    pub members: u32,
    /// Join the group of this id, of which other inputs are members as well; otherwise several members form one of their own.
    pub group: Option<u16>,
    pub promiscuous: bool,
    /// Times of the network card instead of the kernel's.
    pub hardware_time: bool,
    /// Bytes taken of each packet at the most.
    pub snaplen: Option<u32>,
    /// Bytes in a block, and blocks in the ring of each member.
    pub block_bytes: u32,
    pub blocks: u32,
    /// A block that is not full comes after this time.
    pub block_timeout_ms: u32,
}

impl Default for PacketConfig {
    /// 64 MiB for each member: 50 ms of 10 Gbit/s.
    fn default() -> Self {
        PacketConfig {
            filter: None,
            members: 1,
            group: None,
            promiscuous: true,
            hardware_time: false,
            snaplen: None,
            block_bytes: 256 << 10,
            blocks: 256,
            block_timeout_ms: 16,
        }
    }
}

/// One member of a fanout group, or the only socket of an interface.
pub struct PacketSource {
    name: Box<str>,
    index: u32,
    ring: PacketRing,
    link: LinkType,
    filter: Option<Filter>,
    limit: usize,
    stats: CaptureStats,
    bursts: u32,
    state: State,
    /// The interface is gone: an error, once the ring is empty.
    gone: bool,
    notice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    /// The interface is switched off; the socket stays and hears from it again.
    Down,
    /// No more is let in; nothing came for so long.
    Closing(Duration),
    Over,
}

impl PacketSource {
    /// Opens the interface once for each member. They begin together, as the last step.
    pub fn open(name: &str, config: &PacketConfig) -> Result<Vec<PacketSource>, CaptureError> {
        let there = sys::interface(name).map_err(|cause| no_interface(name, cause))?;
        let link = match there.kind {
            // ARPHRD_ETHER, ARPHRD_LOOPBACK; ARPHRD_NONE, ARPHRD_PPP, ARPHRD_RAWIP (linux/if_arp.h) have no header that would reach us.
            1 | libc::ARPHRD_LOOPBACK => LinkType::Ethernet,
            libc::ARPHRD_NONE | 519 => LinkType::RawIp,
            kind => return Err(LiveError::Link { name: name.into(), kind }.into()),
        };
        if let Some(expression) = &config.filter {
            Filter::new(expression.clone()).program(link)?;
        }
        // What a loopback sends it receives again.
        let ignore_outgoing = there.loopback;
        let ring = RingConfig {
            block_bytes: config.block_bytes,
            blocks: config.blocks,
            block_timeout_ms: config.block_timeout_ms,
            promiscuous: config.promiscuous,
            ignore_outgoing,
            ethernet: link == LinkType::Ethernet,
            hardware_time: config.hardware_time,
        };
        let wrong = |error: RingError| wrong(name, config, error);
        let mut members = Vec::new();
        let mut group = config.group;
        for _ in 0..config.members.max(1) {
            let ring = PacketRing::open(there.index, &ring).map_err(wrong)?;
            if config.members > 1 || group.is_some() {
                let joined = ring.join(group, ignore_outgoing, &spread::program());
                group = Some(joined.map_err(|cause| wrong(RingError { step: RingStep::Fanout, cause }))?);
            }
            members.push(PacketSource {
                name: name.into(),
                index: there.index,
                ring,
                link,
                filter: config.filter.clone().map(Filter::new),
                limit: BURST,
                stats: CaptureStats::default(),
                bursts: 0,
                state: State::Up,
                gone: false,
                notice: None,
            });
        }
        for member in &members {
            let started = member.ring.start(config.snaplen);
            started.map_err(|cause| wrong(RingError { step: RingStep::Filter, cause }))?;
        }
        Ok(members)
    }

    /// The kernel's number of the interface.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Waits for the ring, the end of patience, or news of the interface.
    #[cold]
    fn wait(&mut self) -> Result<Poll, CaptureError> {
        let system = |what, cause| LiveError::System { name: self.name.to_string(), what, cause };
        let patience = if matches!(self.state, State::Closing(_)) { SILENCE / 4 } else { IDLE };
        let began = Instant::now();
        let ready = sys::readable(self.ring.as_fd(), patience).map_err(|cause| system("waiting for packets", cause))?;
        if let State::Closing(silence) = &mut self.state {
            // Each look counts its own time at the most: when this process was not let run, nobody knows yet whether the ring is empty.
            *silence += began.elapsed().min(patience);
            if *silence < SILENCE || ready && *silence < 4 * SILENCE {
                return Ok(Poll::Idle);
            }
            self.state = State::Over;
            let name = self.name.to_string();
            return if self.gone { Err(LiveError::Gone { name }.into()) } else { Ok(Poll::End) };
        }
        if ready && let Some(error) = self.ring.take_error() {
            match error.raw_os_error() {
                Some(libc::ENETDOWN) => self.look_at_interface(true),
                _ => return Err(system("receiving", error).into()),
            }
            return Ok(Poll::Idle);
        }
        if self.state == State::Down {
            self.look_at_interface(false);
        }
        Ok(if ready { Poll::More } else { Poll::Idle })
    }

    /// The interface went down, or was down the last time: says so, or that it is back, or begins to end because it is gone.
    fn look_at_interface(&mut self, down: bool) {
        let name = sys::interface_name(self.index);
        let Some(up) = name.and_then(|name| sys::interface(&name).ok()).map(|there| there.up) else {
            // The kernel hands over the block that it was filling after the block's time, as ever.
            (self.gone, self.state) = (true, State::Closing(Duration::ZERO));
            return;
        };
        match (self.state, up) {
            (State::Up, false) => {
                self.state = State::Down;
                self.notice = Some(format!("{} is down; packets go on when it is up again", self.name));
            }
            (State::Up, true) if down => self.notice = Some(format!("{} was down for a moment", self.name)),
            (State::Down, true) => {
                self.state = State::Up;
                self.notice = Some(format!("{} is up again", self.name));
            }
            _ => {}
        }
    }
}

impl CaptureSource for PacketSource {
    fn burst(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        if self.state == State::Over {
            return Ok(Poll::End);
        }
        let (mut frames, mut count, link) = ([Frame::default(); BURST], 0, self.link);
        let taken = self.ring.lend(self.limit, |packet| {
            let at = Time(u64::from(packet.secs) * 1_000_000_000 + u64::from(packet.nanos));
            let observed = if packet.outgoing { Observed::EGRESS } else { Observed::INGRESS };
            frames[count] = Frame { bytes: packet.bytes, wire_len: packet.wire_len, at, link, observed };
            count += 1;
        });
        if taken == 0 {
            return self.wait();
        }
        self.stats.packets += taken as u64;
        self.stats.bytes += frames[..taken].iter().map(|frame| u64::from(frame.wire_len)).sum::<u64>();
        let kept = filter::keep(&mut self.filter, &mut frames[..taken], &mut self.stats)?;
        if kept > 0 {
            take(&frames[..kept]);
        }
        if let State::Closing(silence) = &mut self.state {
            *silence = Duration::ZERO;
        }
        self.bursts += 1;
        if self.bursts >= BURSTS_PER_COUNT {
            self.bursts = 0;
            let _ = self.ring.counts();
        }
        Ok(Poll::More)
    }

    fn limit(&mut self, frames: usize) {
        self.limit = frames.clamp(1, BURST);
    }

    fn stats(&self) -> CaptureStats {
        let mut stats = self.stats;
        // A socket tells its counters always; were it not so, the last ones are what is known.
        if let Ok(counts) = self.ring.counts() {
            stats.drops.set(CaptureDrop::KernelRing, counts.drops);
            stats.offered = Some(counts.packets);
        }
        stats
    }

    fn close(&mut self) -> Result<(), CaptureError> {
        if matches!(self.state, State::Up | State::Down) {
            let stopped = self.ring.stop();
            stopped.map_err(|cause| LiveError::System { name: self.name.to_string(), what: "closing", cause })?;
            self.state = State::Closing(Duration::ZERO);
        }
        Ok(())
    }

    fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

fn no_interface(name: &str, cause: io::Error) -> CaptureError {
    match cause.raw_os_error() {
        Some(libc::ENODEV) => {
            let known = super::live::interfaces().join(", ");
            LiveError::NoInterface { name: name.into(), known }.into()
        }
        _ => LiveError::System { name: name.into(), what: "looking at the interface", cause }.into(),
    }
}

fn wrong(name: &str, config: &PacketConfig, error: RingError) -> CaptureError {
    let (name, cause) = (name.to_string(), error.cause);
    let what = match error.step {
        RingStep::Socket if cause.kind() == io::ErrorKind::PermissionDenied => {
            return LiveError::Permission { name, what: "a packet socket", capability: "cap_net_raw" }.into();
        }
        RingStep::Ring | RingStep::Map if matches!(cause.raw_os_error(), Some(libc::ENOMEM | libc::ENOBUFS)) => {
            let need = u64::from(config.block_bytes) * u64::from(config.blocks) * u64::from(config.members.max(1));
            let advice = "make the ring smaller or use fewer lanes".to_string();
            return LiveError::Memory { name, need, cause, advice }.into();
        }
        RingStep::Socket => "a packet socket cannot be made",
        RingStep::Option => "this kernel has no TPACKET_V3 rings",
        RingStep::Ring | RingStep::Map => {
            "the ring cannot be made (blocks are a power of two of at least 4096 bytes, in all at most 4 GiB)"
        }
        RingStep::HardwareTime => {
            "this interface does not stamp all packets (see `ethtool -T`), or CAP_NET_ADMIN is missing; leave out hardware time"
        }
        RingStep::Bind => "binding the socket",
        RingStep::Promiscuous => "switching on promiscuous mode",
        RingStep::Fanout => "forming a fanout group, which several lanes need",
        RingStep::Filter => "starting the capture",
    };
    LiveError::System { name, what, cause }.into()
}
