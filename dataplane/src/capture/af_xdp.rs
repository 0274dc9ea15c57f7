//! AF_XDP: packets taken before the kernel makes anything of them, and lent straight from the memory that they were written to.
//!
//! Each receive queue of the interface has a socket, and a lane has one or more queues, so that no packet crosses lanes. Which packets
//! come is the card's hash; that both directions of a flow come on one queue is for the card to be set up so (`ethtool -X`, symmetric key).
//! The XDP program in front (crate `ebpf`) drops, samples or leaves packets to the stack as its [`Policy`] says, which can be changed through
//! [`XdpControl`] while lanes run. Of every packet that the program saw (RELIABILITY.md, I2 and I3):
//! seen = passed + offloaded + lent + [`CaptureDrop`] of this source, once it was closed and emptied.
//!
//! [`XdpSource::open`] needs CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON; a lane afterwards needs none, nor does a change of the policy.
//! A card that takes VLAN tags out of packets must leave them in (`ethtool -K IFC rxvlan off`): XDP does not see what it took out.
use super::filter::{self, Filter};
use super::live::{CaptureDrop, IDLE, LiveError};
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, LinkType, Poll};
use ebpf::{EbpfError, Ended, Mode, Offload, Policy, Program, Watch};
use record::Time;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sys::Promiscuous;
use sys::xsk::{UmemPages, Xsk, XskConfig, XskError, XskStep};

/// Between two looks at whether the interface and the program on it are still there, while no packets come.
const LOOK: Duration = Duration::from_millis(500);
/// Bytes of a packet and what goes with it on the wire, on the average, and bits per second where the card does not say: for the size of
/// rings.
const AVERAGE_BYTES: u64 = 520;
const MBITS_UNKNOWN: u64 = 10_000;
const RING_MIN: u64 = 1024;
const RING_LEAST: u64 = 64;
const RING_MAX: u64 = 1 << 17;
/// Ethernet header and two tags.
const LINK_BYTES: u32 = 22;

/// How packets are taken from an interface.
#[derive(Clone, Debug)]
pub struct XdpConfig {
    /// Only frames that this expression accepts are lent: pcap-filter(7).
    pub filter: Option<String>,
    /// Lanes that share the queues; not more than there are queues.
    pub lanes: u32,
    pub promiscuous: bool,
    /// Bytes lent of each packet at the most.
    pub snaplen: Option<u32>,
    /// How long the rings hold packets at the card's speed while a lane is busy elsewhere.
    pub ring_ms: u32,
    /// The size of each queue's memory instead.
    pub ring_bytes: Option<u64>,
    /// `Some(true)`: in the driver and without copies, or not at all; `None`: the best that works.
    pub zero_copy: Option<bool>,
    /// Whether the program may run in the stack where the driver cannot.
    pub generic: bool,
    /// Explicit huge pages, if enough are reserved. They may be meant for somebody else (DPDK), so not unasked.
    pub huge: bool,
    /// Receive in the lane's own thread, for so many microseconds; only for processors of its own.
    pub busy_poll_micros: Option<u32>,
    pub policy: Policy,
}

impl Default for XdpConfig {
    fn default() -> Self {
        XdpConfig {
            filter: None,
            lanes: 1,
            promiscuous: true,
            snaplen: None,
            ring_ms: 20,
            ring_bytes: None,
            zero_copy: None,
            generic: true,
            huge: false,
            busy_poll_micros: None,
            policy: Policy::default(),
        }
    }
}

/// What lanes of an interface share.
struct Shared {
    program: Mutex<Program>,
    how: String,
    mode: Mode,
    _promiscuous: Option<Promiscuous>,
}

impl Shared {
    /// A panic elsewhere leaves the maps as they were.
    fn program(&self) -> MutexGuard<'_, Program> {
        self.program.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Changes what the program on an interface does, from any thread.
#[derive(Clone)]
pub struct XdpControl(Arc<Shared>);

impl XdpControl {
    /// Puts other rules in force; each packet meets all of the old ones or all of the new ones.
    pub fn set(&self, policy: &Policy) -> Result<(), EbpfError> {
        self.0.program().set(policy)
    }

    pub fn counters(&self) -> ebpf::Reader {
        self.0.program().counters()
    }

    /// The table of offloaded flows, once.
    pub fn offload(&self) -> Option<Offload> {
        self.0.program().offload()
    }

    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    /// Mode, queues and memory, in one line.
    pub fn how(&self) -> &str {
        &self.0.how
    }
}

/// Some queues of an interface.
pub struct XdpSource {
    name: Box<str>,
    queues: Vec<Queue>,
    /// The queue that is looked at first.
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
    notice: Option<String>,
    shared: Arc<Shared>,
}

struct Queue {
    number: u32,
    socket: Xsk,
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
    /// Opens all queues of the interface, spread over so many lanes. The program is attached as the last step, so that all begin together.
    pub fn open(name: &str, config: &XdpConfig) -> Result<Vec<XdpSource>, CaptureError> {
        let there = sys::interface(name).map_err(|cause| no_interface(name, cause))?;
        if there.kind != 1 && !there.loopback {
            return Err(backend(name, "only Ethernet is read this way".into()));
        }
        if let Some(expression) = &config.filter {
            Filter::new(expression.clone()).program(LinkType::Ethernet)?;
        }
        let system = |what| move |cause| LiveError::System { name: name.into(), what, cause };
        let queues = sys::receive_queues(name).map_err(system("asking for its queues"))?;
        if config.lanes > queues || queues > ebpf::QUEUES_MAX {
            return Err(backend(name, too_many(name, config.lanes, queues)));
        }
        let sizes = Sizes::of(name, queues, config).map_err(system("asking for its MTU"))?;
        let mut program = Program::load().map_err(|e| refused(name, e))?;
        program.set(&config.policy).map_err(|e| refused(name, e))?;
        let mut all = Vec::new();
        for number in 0..queues {
            let socket = Xsk::open(&sizes.socket(there.index, number, config)).map_err(|e| wrong(name, number, e))?;
            program.give(number, socket.as_fd()).map_err(|e| refused(name, e))?;
            all.push(Queue { number, socket });
        }
        let promiscuous = config.promiscuous.then(|| Promiscuous::on(there.index)).transpose();
        let promiscuous = promiscuous.map_err(system("switching on promiscuous mode"))?;
        let mode = program.attach(name, there.index, true).map_err(|e| refused(name, e))?;
        if mode == Mode::Generic && !config.generic {
            return Err(backend(name, "its driver has no native XDP".into()));
        }
        let watch = program.watch(name, there.index).map_err(|e| refused(name, e))?;
        let counters = program.counters();
        let how = how(name, mode, &all, &sizes, config);
        let shared = Arc::new(Shared { program: Mutex::new(program), how, mode, _promiscuous: promiscuous });
        let mut lanes: Vec<Vec<Queue>> = (0..config.lanes.max(1)).map(|_| Vec::new()).collect();
        let count = lanes.len();
        all.into_iter().for_each(|queue| lanes[queue.number as usize % count].push(queue));
        let source = |queues| XdpSource {
            name: name.into(),
            queues,
            next: 0,
            index: there.index,
            counters: counters.clone(),
            watch: watch.clone(),
            looked: Instant::now(),
            filter: config.filter.clone().map(Filter::new),
            snaplen: config.snaplen.map_or(usize::MAX, |n| n as usize),
            limit: BURST,
            stats: CaptureStats::default(),
            state: State::Up,
            notice: None,
            shared: shared.clone(),
        };
        Ok(lanes.into_iter().map(source).collect())
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
        self.queues.iter().for_each(|queue| queue.socket.wake());
        let ready = sys::any_readable(self.queues.iter().map(|queue| queue.socket.as_fd()), IDLE)
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
        Ok(())
    }

    /// The next queue that has packets.
    #[inline]
    fn ready(&mut self) -> Option<usize> {
        let count = self.queues.len();
        for n in 0..count {
            let at = if self.next + n >= count { self.next + n - count } else { self.next + n };
            if self.queues[at].socket.waiting() > 0 {
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
        let taken = self.queues[at].socket.lend(self.limit, |packet| {
            bytes += packet.len() as u64;
            let wire_len = packet.len() as u32;
            let packet = packet.get(..snaplen).unwrap_or(packet);
            frames[count] = Frame { bytes: packet, wire_len, at: now, link: LinkType::Ethernet };
            count += 1;
        });
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
        let mut offered = 0;
        for queue in &self.queues {
            let socket = queue.socket.statistics().unwrap_or_default();
            stats.drops.add(CaptureDrop::RxRingFull, socket.rx_ring_full);
            stats.drops.add(CaptureDrop::RxDropped, socket.rx_dropped + queue.socket.refused());
            stats.drops.add(CaptureDrop::RxInvalid, socket.rx_invalid_descs);
            let program = self.counters.of(queue.number).unwrap_or_default();
            stats.drops.add(CaptureDrop::Xdp, program.refused());
            stats.drops.add(CaptureDrop::Sampled, program.of(Ended::Sampled));
            offered += program.refused() + program.of(Ended::Sampled) + program.of(Ended::Redirected);
        }
        stats.offered = Some(offered);
        stats
    }

    fn close(&mut self) -> Result<(), CaptureError> {
        if matches!(self.state, State::Up | State::Down) {
            self.state = State::Closing;
            for queue in &self.queues {
                self.shared.program().withdraw(queue.number).map_err(|e| refused(&self.name, e))?;
            }
        }
        Ok(())
    }

    fn notice(&mut self) -> Option<String> {
        self.notice.take()
    }
}

/// Sizes of what a socket has.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    ring: u32,
    frame_bytes: u32,
    joined: bool,
}

impl Sizes {
    fn of(name: &str, queues: u32, config: &XdpConfig) -> io::Result<Sizes> {
        let longest = sys::mtu(name)? + LINK_BYTES;
        let frame_bytes = if longest <= sys::xsk::longest_packet(2048) { 2048 } else { 4096 };
        // What cards without a cable and virtual ones say is no speed.
        let mbits = std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok();
        let mbits = mbits.and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0).unwrap_or(MBITS_UNKNOWN);
        Ok(Sizes {
            ring: match config.ring_bytes {
                None => ring(mbits, queues, config.ring_ms),
                // Rounded down, and half of the frames.
                Some(bytes) => 1 << (bytes / 2 / u64::from(frame_bytes)).clamp(RING_LEAST, RING_MAX).ilog2(),
            },
            frame_bytes,
            joined: longest > sys::xsk::longest_packet(frame_bytes),
        })
    }

    fn socket(&self, interface: u32, queue: u32, config: &XdpConfig) -> XskConfig {
        XskConfig {
            interface,
            queue,
            ring: self.ring,
            frame_bytes: self.frame_bytes,
            joined: self.joined,
            zero_copy: config.zero_copy,
            huge: config.huge,
            busy_poll_micros: config.busy_poll_micros,
        }
    }
}

/// Entries that hold `ring_ms` of a queue's part of the card's speed, a power of two.
fn ring(mbits: u64, queues: u32, ring_ms: u32) -> u32 {
    let per_ms = mbits.saturating_mul(1000) / 8 / AVERAGE_BYTES / u64::from(queues.max(1));
    let entries = per_ms.saturating_mul(u64::from(ring_ms)).clamp(RING_MIN, RING_MAX);
    entries.next_power_of_two() as u32
}

fn how(name: &str, mode: Mode, queues: &[Queue], sizes: &Sizes, config: &XdpConfig) -> String {
    let program = match mode {
        Mode::Native => "native XDP",
        Mode::Generic => "generic XDP, because its driver has no native one",
    };
    let copies = if queues.iter().all(|q| q.socket.zero_copy()) { "zero-copy" } else { "copy" };
    let pages = match queues.first().map(|q| q.socket.pages()) {
        Some(UmemPages::Huge) => "huge pages",
        _ => "small pages",
    };
    let busy = if queues.iter().any(|q| q.socket.busy_polls()) { ", busy polling" } else { "" };
    let (lanes, count) = (config.lanes.max(1), queues.len());
    let mib = (u64::from(sizes.ring) * 2 * u64::from(sizes.frame_bytes)) >> 20;
    let joined = if sizes.joined { ", long packets joined" } else { "" };
    let words = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    format!(
        "{name}: af_xdp, {program}, {copies}, {} for {}, ring of {} packets in {mib} MiB each on {pages}{joined}{busy}",
        words(count, "queue"),
        words(lanes as usize, "lane"),
        sizes.ring
    )
}

fn backend(name: &str, why: String) -> CaptureError {
    LiveError::Backend { name: name.into(), backend: "af_xdp", why }.into()
}

fn too_many(name: &str, lanes: u32, queues: u32) -> String {
    match queues {
        1 => {
            format!("it has one receive queue, which is one lane's: use --lanes 1 (not {lanes}) or --backend af_packet")
        }
        _ => format!(
            "it has {queues} receive queues, and each is one lane's: use --lanes {} or less, or change the card by `ethtool -L {name}`",
            queues.min(ebpf::QUEUES_MAX)
        ),
    }
}

fn no_interface(name: &str, cause: io::Error) -> CaptureError {
    match cause.raw_os_error() {
        Some(libc::ENODEV) => {
            let known = sys::interfaces().unwrap_or_default().join(", ");
            LiveError::NoInterface { name: name.into(), known }.into()
        }
        _ => LiveError::System { name: name.into(), what: "looking at the interface", cause }.into(),
    }
}

fn refused(name: &str, error: EbpfError) -> CaptureError {
    match error {
        EbpfError::Permission { what } => LiveError::Permission {
            name: name.into(),
            what,
            capability: "cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw",
        }
        .into(),
        other => backend(name, other.to_string()),
    }
}

fn wrong(name: &str, queue: u32, error: XskError) -> CaptureError {
    let XskError { step, cause, need } = error;
    let name = name.to_string();
    match (step, cause.raw_os_error()) {
        (XskStep::Socket, Some(libc::EPERM | libc::EACCES)) => {
            LiveError::Permission { name, what: "an AF_XDP socket", capability: "cap_net_raw" }.into()
        }
        (XskStep::Socket, Some(libc::EAFNOSUPPORT)) => backend(&name, "the kernel has no CONFIG_XDP_SOCKETS".into()),
        // xdp_umem_account_pages, net/xdp/xdp_umem.c: over RLIMIT_MEMLOCK and without CAP_IPC_LOCK.
        (XskStep::Register, Some(libc::ENOBUFS)) => {
            let limit = sys::memlock().map_or("some bytes".to_string(), |n| format!("{n} bytes"));
            let advice = "raise the limit for all queues (LimitMEMLOCK=infinity in the unit file, `ulimit -l unlimited`), give the program \
                          cap_ipc_lock, or make the ring smaller"
                .to_string();
            let cause = io::Error::other(format!("for queue {queue}, and locked memory is limited to {limit}"));
            LiveError::Memory { name, need, cause, advice }.into()
        }
        (XskStep::Memory | XskStep::Register, _) => {
            let advice = "make the ring smaller or use fewer queues".to_string();
            LiveError::Memory { name, need, cause, advice }.into()
        }
        (XskStep::Bind, Some(libc::EBUSY)) => {
            backend(&name, format!("queue {queue} has an AF_XDP socket of another program already"))
        }
        (XskStep::Bind, Some(libc::EOPNOTSUPP)) => backend(&name, "its driver has no zero-copy".into()),
        (XskStep::Bind, _) => backend(&name, format!("its queue {queue} cannot be bound: {cause}")),
        (XskStep::Socket, _) => LiveError::System { name, what: "an AF_XDP socket cannot be made", cause }.into(),
        (XskStep::Rings, _) => {
            LiveError::System { name, what: "the rings of an AF_XDP socket cannot be made", cause }.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_hold_milliseconds() {
        // 10 Gbit/s are 2.4 million packets a second, on two queues 24,000 in 20 ms.
        assert_eq!(ring(10_000, 2, 20), 32_768);
        assert_eq!(ring(10, 1, 1), 1024);
        assert_eq!(ring(u64::MAX, 1, u32::MAX), 131_072);
        assert_eq!(ring(100_000, 0, 0), 1024);
    }
}
