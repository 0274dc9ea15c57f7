//! AF_XDP: packets taken before the kernel makes anything of them, and lent straight from the memory that they were written to.
//!
//! Each receive queue of the interface has one or more sockets, and each socket is a lane's, so that no packet crosses lanes ([`Spread`]).
//! Which packets come on a queue is the card's hash; which socket of the queue they go to is told by their two addresses, so that both
//! directions and all fragments of a flow stay together as far as they come on one queue.
//! The XDP program in front (crate `ebpf`) drops, samples or leaves packets to the stack as its [`Policy`] says, which can be changed through
//! [`XdpControl`] while lanes run. Of every packet that the program saw (RELIABILITY.md, I2 and I3):
//! seen = passed + offloaded + lent + [`CaptureDrop`] of this source, once it was closed and emptied.
//!
//! [`XdpSource::open`] needs CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON; a lane afterwards needs none, nor does a change of the policy.
//! A card that takes VLAN tags out of packets must leave them in (`ethtool -K IFC rxvlan off`): XDP does not see what it took out.
mod apart;
mod change;
mod errors;
mod how;
mod huge;
mod open;
mod rss;
mod spread;

use super::filter::{self, Filter};
use super::live::{CaptureDrop, IDLE, LiveError};
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, LinkType, Observed, Poll};
use apart::Lease;
use change::Shape;
use ebpf::{EbpfError, Ended, Mode, Offload, Policy, Program, Watch};
use errors::{backend, refused};
use record::Time;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sys::Promiscuous;
use sys::xsk::Xsk;

pub use apart::XdpOpener;
pub use rss::RssConfig;
pub use spread::Spread;
pub use sys::xsk::HugePages;

/// Between two looks at whether the interface and the program on it are still there, while no packets come.
const LOOK: Duration = Duration::from_millis(500);
/// How packets are taken from an interface.
#[derive(Clone, Debug)]
pub struct XdpConfig {
    /// Only frames that this expression accepts are lent: pcap-filter(7).
    pub filter: Option<String>,
    /// Lanes that share the queues, and how where there are several.
    pub lanes: u32,
    pub spread: Spread,
    /// What is set up on the card until all lanes have ended.
    pub rss: RssConfig,
    pub promiscuous: bool,
    /// Bytes lent of each packet at the most.
    pub snaplen: Option<u32>,
    /// How long the rings hold packets at the card's speed while a lane is busy elsewhere.
    pub ring_ms: u32,
    /// The size of the memory for each socket of a queue instead.
    pub ring_bytes: Option<u64>,
    /// `Some(true)`: in the driver and without copies, or not at all; `None`: the best that works.
    pub zero_copy: Option<bool>,
    /// Whether the program may run in the stack where the driver cannot.
    pub generic: bool,
    /// Explicit huge pages. They may be meant for somebody else (DPDK), so not unasked.
    pub huge: HugePages,
    /// Receive in the lane's own thread, for so many microseconds; only for processors of its own.
    pub busy_poll_micros: Option<u32>,
    /// The card's times in place of this machine's, where its driver gives them to XDP programs; sets the card up for it.
    pub hardware_time: bool,
    pub policy: Policy,
}

impl Default for XdpConfig {
    fn default() -> Self {
        XdpConfig {
            filter: None,
            lanes: 1,
            spread: Spread::Queues,
            rss: RssConfig::default(),
            promiscuous: true,
            snaplen: None,
            ring_ms: 20,
            ring_bytes: None,
            zero_copy: None,
            generic: true,
            huge: HugePages::No,
            busy_poll_micros: None,
            hardware_time: false,
            policy: Policy::default(),
        }
    }
}

/// What lanes of an interface share.
struct Shared {
    holder: Holder,
    counters: ebpf::Reader,
    how: String,
    mode: Mode,
    _promiscuous: Option<Promiscuous>,
    /// After the program: the number of queues may not change under it.
    _changed: rss::Changed,
}

/// Who has the program.
#[allow(clippy::large_enum_variant, reason = "there is one for each interface, and it does not move")]
enum Holder {
    Here(Mutex<Program>),
    /// The process that opened the interface.
    Apart(Lease),
}

impl Holder {
    /// A panic elsewhere leaves the maps as they were.
    fn program(&self) -> Option<MutexGuard<'_, Program>> {
        match self {
            Holder::Here(program) => Some(program.lock().unwrap_or_else(PoisonError::into_inner)),
            Holder::Apart(_) => None,
        }
    }

    /// The packets of this row's socket go to the stack from now on.
    fn withdraw(&self, row: u32) -> Result<(), EbpfError> {
        match self {
            Holder::Apart(lease) => lease.withdraw(row),
            Holder::Here(_) => self.program().map_or(Ok(()), |mut program| program.withdraw(row)),
        }
    }
}

/// Changes what the program on an interface does, from any thread.
#[derive(Clone)]
pub struct XdpControl(Arc<Shared>);

impl XdpControl {
    /// Puts other rules in force; each packet meets all of the old ones or all of the new ones.
    pub fn set(&self, policy: &Policy) -> Result<(), EbpfError> {
        self.0.holder.program().ok_or(EbpfError::Apart)?.set(policy)
    }

    pub fn counters(&self) -> ebpf::Reader {
        self.0.counters.clone()
    }

    /// The table of offloaded flows, once, and only where the program is in this process.
    pub fn offload(&self) -> Option<Offload> {
        self.0.holder.program()?.offload()
    }

    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Mode, queues and memory, in one line.
    pub fn how(&self) -> &str {
        &self.0.how
    }
}

/// Some queues of an interface, or a share of some.
pub struct XdpSource {
    name: Box<str>,
    sockets: Vec<Socket>,
    /// The socket that is looked at first.
    next: usize,
    index: u32,
    counters: ebpf::Reader,
    watch: Watch,
    looked: Instant,
    filter: Option<Filter>,
    snaplen: usize,
    limit: usize,
    stats: CaptureStats,
    state: State,
    stamps: Stamps,
    notice: Option<String>,
    shape: Option<Shape>,
    /// After the sockets, which would hold queues that go.
    shared: Arc<Shared>,
}

struct Socket {
    /// Its place in the program's maps.
    row: u32,
    xsk: Xsk,
}

/// Whether packets have the card's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamps {
    NotAsked,
    /// So far each had one.
    All,
    /// Some had none, and this was said.
    Some,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Up,
    /// The interface is switched off; the sockets stay and hear from it again.
    Down,
    /// No more is let in.
    Closing,
    Over,
}

impl XdpSource {
    /// The kernel's number of the interface.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Why this backend should not be taken unasked: packets that it takes, the stack does not see.
    pub fn unfit(name: &str) -> Option<&'static str> {
        let used = sys::has_address(name).unwrap_or(false);
        used.then_some("has an address, and AF_XDP would take its packets from this machine")
    }

    pub fn control(&self) -> XdpControl {
        XdpControl(self.shared.clone())
    }

    /// Waits for a packet, the end of patience, or news of the interface.
    #[cold]
    fn wait(&mut self) -> Result<Poll, CaptureError> {
        if self.state == State::Closing {
            self.state = State::Over;
            return Ok(Poll::End);
        }
        self.sockets.iter_mut().for_each(|socket| socket.xsk.rest());
        let ready = sys::any_readable(self.sockets.iter().map(|socket| socket.xsk.as_fd()), IDLE)
            .map_err(|cause| LiveError::System { name: self.name.to_string(), what: "waiting for packets", cause })?;
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.look_at_interface()?;
        }
        Ok(if ready { Poll::More } else { Poll::Idle })
    }

    /// No packets come: is it the network, or is something wrong here?
    fn look_at_interface(&mut self) -> Result<(), CaptureError> {
        let name = sys::interface_name(self.index);
        let Some(up) = name.and_then(|name| sys::interface(&name).ok()).map(|there| there.up) else {
            self.state = State::Over;
            return Err(LiveError::Gone { name: self.name.to_string() }.into());
        };
        if let Err(why) = self.watch.look() {
            return Err(backend(&self.name, why));
        }
        match (self.state, up) {
            (State::Up, false) => {
                self.state = State::Down;
                self.notice = Some(format!("{} is down; packets go on when it is up again", self.name));
            }
            (State::Down, true) => {
                self.state = State::Up;
                self.notice = Some(format!("{} is up again", self.name));
            }
            _ => {}
        }
        self.notice = self.notice.take().or_else(|| self.shape.as_mut()?.look(&self.name));
        Ok(())
    }

    /// The next socket that has packets.
    #[inline]
    fn ready(&mut self) -> Option<usize> {
        let count = self.sockets.len();
        for n in 0..count {
            let at = if self.next + n >= count { self.next + n - count } else { self.next + n };
            if self.sockets[at].xsk.waiting() > 0 {
                self.next = if at + 1 == count { 0 } else { at + 1 };
                return Some(at);
            }
        }
        None
    }
}

impl CaptureSource for XdpSource {
    #[inline]
    fn burst(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        if self.state == State::Over {
            return Ok(Poll::End);
        }
        let Some(at) = self.ready() else { return self.wait() };
        // One look at the clock for the burst: it is what these packets have in common, that they are here now.
        let now = Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64));
        let (mut frames, mut count, mut bytes, snaplen) = ([Frame::default(); BURST], 0, 0, self.snaplen);
        let mut stamped = 0;
        let taken = self.sockets[at].xsk.lend(self.limit, |packet, stamp| {
            bytes += packet.len() as u64;
            let wire_len = packet.len() as u32;
            let packet = packet.get(..snaplen).unwrap_or(packet);
            let stamp = stamp.filter(|nanos| *nanos > 0);
            stamped += usize::from(stamp.is_some());
            frames[count] = Frame {
                bytes: packet,
                wire_len,
                at: stamp.map_or(now, Time),
                link: LinkType::Ethernet,
                observed: Observed::INGRESS,
            };
            count += 1;
        });
        if self.stamps == Stamps::All && stamped < taken {
            self.stamps = Stamps::Some;
            self.notice =
                Some(format!("the card of {} gives no time with some packets; they have this machine's", self.name));
        }
        self.stats.packets += taken as u64;
        self.stats.bytes += bytes;
        let kept = filter::keep(&mut self.filter, &mut frames[..taken], &mut self.stats)?;
        if kept > 0 {
            take(&frames[..kept]);
        }
        Ok(Poll::More)
    }

    fn limit(&mut self, frames: usize) {
        self.limit = frames.clamp(1, BURST);
    }

    /// The kernel answers for sockets and maps that are open; where it did not, what is known stands and the books would show it.
    fn stats(&self) -> CaptureStats {
        let mut stats = self.stats;
        let mut offered = self.shape.as_ref().map_or(0, |shape| shape.lost(&self.counters, &mut stats.drops));
        for Socket { row, xsk } in &self.sockets {
            let socket = xsk.statistics().unwrap_or_default();
            stats.drops.add(CaptureDrop::RxRingFull, socket.rx_ring_full);
            stats.drops.add(CaptureDrop::RxDropped, socket.rx_dropped + xsk.refused());
            stats.drops.add(CaptureDrop::RxInvalid, socket.rx_invalid_descs);
            let program = self.counters.of(*row).unwrap_or_default();
            stats.drops.add(CaptureDrop::Xdp, program.refused());
            stats.drops.add(CaptureDrop::Sampled, program.of(Ended::Sampled));
            stats.passed += program.of(Ended::PassedByRule);
            stats.offloaded += program.of(Ended::Offloaded);
            offered += program.refused() + program.of(Ended::Sampled) + program.of(Ended::Redirected);
        }
        stats.offered = Some(offered + stats.offloaded);
        stats
    }

    fn close(&mut self) -> Result<(), CaptureError> {
        if matches!(self.state, State::Up | State::Down) {
            self.state = State::Closing;
            for socket in &self.sockets {
                self.shared.holder.withdraw(socket.row).map_err(|e| refused(&self.name, e))?;
            }
        }
        Ok(())
    }

    fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}
