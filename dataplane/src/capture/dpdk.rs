//! DPDK: ports and rings past the kernel (feature `dpdk`). One source is one receive queue of a port, or of several ports in turn, or a
//! ring that another DPDK program fills.
//!
//! A queue is polled. When it is empty for some hundred times the thread naps, so that a core that is shared is not taken away from the
//! others; a nap is far shorter than what the descriptors hold at line rate. There is no end of a port: stop by count, time or signal.
use super::live::{CaptureDrop, Drops, IDLE, LiveError};
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, LinkType, Observed, Poll};
use record::Time;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sys::dpdk::{DpdkError, Eal, Port, Queue};

pub use sys::dpdk::{PortOptions, PortStats, RingSender, hash_key};

/// Empty polls before a nap.
const SPINS_MAX: u32 = 256;
const NAP: Duration = Duration::from_micros(20);
/// A card's time is believed if it is this near to ours: its clock counts nanoseconds since 1970 and is set, or else it counts anything.
const NEAR: Duration = Duration::from_secs(60);
/// Frames that a ring may still lend once it was closed.
const RING_REST: usize = 1 << 16;

/// How DPDK is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the arguments as they are.
    AsTold,
    /// With memory of its own that no other process can attach to, unless the arguments say something about memory or processes.
    Alone,
    /// Attached to a program that was started before.
    Second,
}

/// DPDK, started once in a process.
#[derive(Debug)]
pub struct Dpdk {
    eal: Arc<Eal>,
    huge_pages: bool,
}

impl Dpdk {
    /// Starts DPDK with EAL arguments, separated by blanks; `need` is [`memory`] of what will be opened.
    pub fn start(eal: &str, start: Start, need: u64) -> Result<Dpdk, LiveError> {
        let args = arguments(eal, start, need);
        // A second process uses the pages of the first.
        let huge_pages = !args.iter().any(|arg| arg == "--no-huge" || arg == "--proc-type=secondary");
        let eal = Eal::start(&args).map_err(|e| explain("this machine", &e, huge_pages.then_some(need)))?;
        Ok(Dpdk { eal, huge_pages })
    }

    /// Ports that DPDK has found.
    pub fn ports(&self) -> u16 {
        self.eal.ports()
    }

    /// Opens a port, by number or by its device's name such as a PCI address. One source for each queue.
    pub fn port(&self, name: &str, options: &PortOptions) -> Result<Vec<DpdkSource>, LiveError> {
        let opened = self.eal.port(name).and_then(|number| Port::open(&self.eal, number, options));
        let need = memory(options, 1);
        let (port, queues) = opened.map_err(|e| explain(name, &e, self.huge_pages.then_some(need)))?;
        let unit = Stamp::of(&port.driver);
        let lost = |index| if index == 0 { vec![port.clone()] } else { Vec::new() };
        Ok(queues.into_iter().enumerate().map(|(at, queue)| DpdkSource::new(queue, unit, lost(at))).collect())
    }

    /// Opens a ring by its name.
    pub fn ring(&self, name: &str) -> Result<DpdkSource, LiveError> {
        let queue = Queue::ring(&self.eal, name).map_err(|e| explain(name, &e, None))?;
        Ok(DpdkSource::new(queue, Stamp::Card, Vec::new()))
    }

    /// A ring to be read by a test or by a process attached to this one; with 0 places one that is there already.
    pub fn test_ring(&self, name: &str, places: u32, mbufs: u32, room: u16) -> Result<RingSender, LiveError> {
        RingSender::new(&self.eal, name, places, mbufs, room).map_err(|e| explain(name, &e, None))
    }
}

/// Memory that so many ports take, bytes, with what DPDK needs for itself.
pub fn memory(options: &PortOptions, ports: usize) -> u64 {
    let room = (u64::from(options.mtu) + 26).next_multiple_of(1024).max(2048);
    // Headroom, the mbuf itself, and the pool's header before it.
    let each = room + 128 + 128 + 64;
    (16 << 20) + each * u64::from(options.mbufs) * u64::from(options.queues) * ports as u64
}

/// The arguments of the user, and ours where there are none of the kind.
fn arguments(eal: &str, start: Start, need: u64) -> Vec<String> {
    let mut args: Vec<String> = eal.split_whitespace().map(str::to_string).collect();
    let has = |args: &[String], names: &[&str]| {
        args.iter().any(|arg| names.iter().any(|n| arg == n || arg.starts_with(&format!("{n}="))))
    };
    // DPDK's own threads sleep; one of them is enough. Lanes run on threads of ours.
    if !args.iter().any(|arg| ["-l", "-c", "-s", "-S", "--lcores"].iter().any(|n| arg.starts_with(n))) {
        let first = sys::usable_cpus().ok().and_then(|cpus| cpus.first().copied()).unwrap_or(0);
        args.extend(["-l".into(), first.to_string()]);
    }
    if start == Start::Second && !has(&args, &["--proc-type"]) {
        args.push("--proc-type=secondary".into());
    }
    let placed = ["--in-memory", "--file-prefix", "--huge-dir", "--proc-type", "--no-shconf", "--legacy-mem"];
    if start == Start::Alone && !has(&args, &placed) {
        // DPDK refuses --in-memory beside --no-huge.
        args.push(if has(&args, &["--no-huge"]) { "--no-shconf" } else { "--in-memory" }.into());
    }
    if start == Start::Alone && !args.iter().any(|arg| arg.starts_with("--log-level")) {
        args.push("--log-level=warning".into());
    }
    // Without huge pages each buffer takes small ones for itself: nearly twice as much.
    if has(&args, &["--no-huge"]) && !args.iter().any(|arg| arg.starts_with("-m") || arg.starts_with("--socket-mem")) {
        args.extend(["-m".into(), ((2 * need) >> 20).next_power_of_two().max(64).to_string()]);
    }
    args
}

/// DPDK's word, and what it was about if huge pages are short of `need` bytes.
fn explain(name: &str, error: &DpdkError, need: Option<u64>) -> LiveError {
    let mut why = error.to_string();
    if matches!(&error.step[..], "rte_eal_init" | "rte_pktmbuf_pool_create")
        && let Some(need) = need
        && let Some(short) = short_of_pages(need, &std::fs::read_to_string("/proc/meminfo").unwrap_or_default())
    {
        why = format!("{short} ({why})");
    } else if error.step == "rte_pktmbuf_pool_create" {
        why =
            format!("{why}; fewer buffers or queues may fit, or give DPDK more memory by -m MIB in the EAL arguments");
    }
    LiveError::Backend { name: name.into(), backend: "DPDK", why }
}

/// What to do if the huge pages that are free are less than `need` bytes.
fn short_of_pages(need: u64, meminfo: &str) -> Option<String> {
    let of = |key: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (total, size) = (of("HugePages_Total")?, of("Hugepagesize")? * 1024);
    // Promised ones are not free any more, though nobody has touched them yet.
    let free = of("HugePages_Free")?.saturating_sub(of("HugePages_Rsvd").unwrap_or(0));
    let pages = need.div_ceil(size.max(1));
    (free < pages).then(|| {
        let all = total - free + pages;
        format!(
            "needs {pages} huge pages of {} KiB, {free} are free: `sysctl -w vm.nr_hugepages={all}`, or do without them by \
             --no-huge in the EAL arguments, which is slower",
            size / 1024
        )
    })
}

/// What a port's time stamps are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    /// The card's clock: nanoseconds since 1970 if it is near ours.
    Card,
    /// Microseconds since 1970, whenever that was: net_pcap says when a packet was captured (drivers/net/pcap/pcap_ethdev.c, eth_pcap_rx).
    Recorded,
}

impl Stamp {
    fn of(driver: &str) -> Stamp {
        if driver == "net_pcap" { Stamp::Recorded } else { Stamp::Card }
    }

    #[inline]
    fn time(self, stamp: u64, now: u64) -> u64 {
        match self {
            Stamp::Card if stamp.abs_diff(now) < NEAR.as_nanos() as u64 => stamp,
            Stamp::Recorded if stamp != 0 => stamp.saturating_mul(1000),
            _ => now,
        }
    }
}

struct Input {
    queue: Queue,
    unit: Stamp,
}

/// Receive queues that one lane reads in turn.
pub struct DpdkSource {
    inputs: Vec<Input>,
    next: usize,
    /// Ports whose losses are told here: those of which this source has the first queue. Cards count for all queues together.
    losses: Vec<Arc<Port>>,
    stats: CaptureStats,
    limit: usize,
    /// Closed: frames that may still be lent.
    rest: Option<usize>,
}

impl DpdkSource {
    fn new(queue: Queue, unit: Stamp, losses: Vec<Arc<Port>>) -> DpdkSource {
        DpdkSource {
            inputs: vec![Input { queue, unit }],
            next: 0,
            losses,
            stats: CaptureStats::default(),
            limit: BURST,
            rest: None,
        }
    }

    /// Reads the queues of another source too.
    pub fn join(&mut self, other: DpdkSource) {
        self.inputs.extend(other.inputs);
        self.losses.extend(other.losses);
    }

    /// The port of its first queue; not of a ring.
    pub fn port(&self) -> Option<&Port> {
        self.inputs.first().and_then(|input| input.queue.port()).map(Arc::as_ref)
    }

    /// What the ports say of all their queues, for the first source of each.
    pub fn port_stats(&self) -> impl Iterator<Item = PortStats> + '_ {
        self.losses.iter().map(|port| port.stats())
    }

    /// Buffers that are not free, of this source's queues: in descriptors, or taken and not yet lent.
    pub fn in_use(&self) -> u32 {
        self.inputs.iter().map(|input| input.queue.in_use()).sum()
    }

    /// Frames that were taken from the device and not yet lent.
    pub fn waiting(&self) -> usize {
        self.inputs.iter().map(|input| input.queue.waiting()).sum()
    }

    fn drops(&self) -> Drops {
        let mut drops = Drops::default();
        for stats in self.port_stats() {
            drops.add(CaptureDrop::NicMissed, stats.missed);
            drops.add(CaptureDrop::NicNoBuffer, stats.no_mbuf);
            drops.add(CaptureDrop::NicErrors, stats.errors);
        }
        drops
    }

    /// Lends what one of the queues has; answers how many frames.
    #[inline]
    fn poll(&mut self, take: &mut impl FnMut(&[Frame<'_>])) -> usize {
        for _ in 0..self.inputs.len() {
            let at = self.next;
            self.next = if at + 1 == self.inputs.len() { 0 } else { at + 1 };
            let Some(Input { queue, unit }) = self.inputs.get_mut(at) else { continue };
            let burst = queue.receive(self.limit);
            if burst.is_empty() {
                continue;
            }
            // One look at the clock for all of them.
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
            let mut frames = [Frame::default(); BURST];
            let mut count = 0;
            for (frame, received) in frames.iter_mut().zip(burst.frames()) {
                let at = Time(unit.time(received.stamp, now));
                *frame = Frame {
                    bytes: received.bytes,
                    wire_len: received.wire_len,
                    at,
                    link: LinkType::Ethernet,
                    observed: Observed::INGRESS,
                };
                self.stats.bytes += u64::from(received.wire_len);
                count += 1;
            }
            self.stats.packets += count as u64;
            take(&frames[..count]);
            return count;
        }
        0
    }
}

impl CaptureSource for DpdkSource {
    #[inline]
    fn burst(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        if let Some(rest) = self.rest {
            let lent = if rest == 0 { 0 } else { self.poll(&mut take) };
            self.rest = Some(rest.saturating_sub(lent));
            return Ok(if lent == 0 { Poll::End } else { Poll::More });
        }
        let mut since = None;
        for spins in 0_u32.. {
            if self.poll(&mut take) > 0 {
                return Ok(Poll::More);
            }
            if spins < SPINS_MAX {
                std::hint::spin_loop();
            } else if since.get_or_insert_with(Instant::now).elapsed() >= IDLE {
                break;
            } else {
                std::thread::sleep(NAP);
            }
        }
        Ok(Poll::Idle)
    }

    fn limit(&mut self, frames: usize) {
        self.limit = frames.clamp(1, BURST);
    }

    /// What a card has lost since the start; once closed, until then.
    fn stats(&self) -> CaptureStats {
        if self.rest.is_some() { self.stats } else { CaptureStats { drops: self.drops(), ..self.stats } }
    }

    /// What has come into the descriptors until now is still lent, and no more than they hold: a port goes on for its other queues.
    fn close(&mut self) -> Result<(), CaptureError> {
        self.stats.drops = self.drops();
        let held = |input: &Input| {
            let descriptors = input.queue.port().map_or(RING_REST, |port| port.descriptors.into());
            descriptors + input.queue.waiting()
        };
        self.rest = Some(self.inputs.iter().map(held).sum());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> PortOptions {
        PortOptions { queues: 2, mbufs: 8192, descriptors: 4096, mtu: 0, rss: 0, promiscuous: true }
    }

    #[test]
    fn arguments_are_the_users_and_ours_only_where_there_are_none() {
        let of = |text, start| arguments(text, start, 1 << 20).join(" ");
        assert!(of("--vdev=net_null0", Start::Alone).ends_with(" --in-memory --log-level=warning"));
        assert_eq!(of("-l 1 --file-prefix=x --log-level=8", Start::Alone), "-l 1 --file-prefix=x --log-level=8");
        assert_eq!(of("--lcores=0 -a 0:1.2", Start::AsTold), "--lcores=0 -a 0:1.2");
        assert_eq!(of("-c1", Start::Second), "-c1 --proc-type=secondary");
        assert_eq!(of("-l0 --proc-type=auto", Start::Second), "-l0 --proc-type=auto");
        assert_eq!(of("-l 0 --no-huge", Start::AsTold), "-l 0 --no-huge -m 64");
        assert_eq!(arguments("-l 0 --no-huge", Start::AsTold, 60 << 20)[3..], ["-m", "128"]);
    }

    #[test]
    fn short_pages_are_counted_and_the_sysctl_is_named() {
        let meminfo =
            "MemTotal: 1 kB\nHugePages_Total:      10\nHugePages_Free:        4\nHugepagesize:       2048 kB\n";
        assert_eq!(short_of_pages(8 << 20, meminfo), None);
        let says = short_of_pages((8 << 20) + 1, meminfo).expect("one is missing");
        assert!(says.contains("needs 5 huge pages of 2048 KiB, 4 are free: `sysctl -w vm.nr_hugepages=11`"), "{says}");
        let promised = format!("{meminfo}HugePages_Rsvd:        3\n");
        let says = short_of_pages(4 << 20, &promised).expect("three of four are promised");
        assert!(says.contains("needs 2 huge pages of 2048 KiB, 1 are free: `sysctl -w vm.nr_hugepages=11`"), "{says}");
        assert_eq!(short_of_pages(u64::MAX, "nothing of the kind"), None);
        assert!(memory(&options(), 2) > 4 * 8192 * 2304);
    }

    #[test]
    fn a_cards_time_is_believed_if_it_is_near_ours() {
        let now = 1_700_000_000_000_000_000;
        assert_eq!(Stamp::Card.time(now - 5, now), now - 5);
        assert_eq!(Stamp::Card.time(123_456_789, now), now);
        assert_eq!(Stamp::Card.time(0, now), now);
        assert_eq!(Stamp::of("net_pcap").time(1_000_000, now), 1_000_000_000);
        assert_eq!(Stamp::of("net_pcap").time(0, now), now);
    }
}
