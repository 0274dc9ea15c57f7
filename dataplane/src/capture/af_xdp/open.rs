//! Opening an interface: sizes, sockets, program, in an order in which nothing is lost that was let in.
use super::change::Shape;
use super::errors::{backend, no_interface, refused, too_many, wrong};
use super::how::how;
use super::rss::Changed;
use super::{Holder, Shared, Socket, Stamps, State, XdpConfig, XdpSource};
use crate::capture::filter::Filter;
use crate::capture::live::LiveError;
use crate::capture::{BURST, CaptureError, CaptureStats, LinkType};
use ebpf::{Mode, Program, Watch};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use sys::Promiscuous;
use sys::xsk::{Xsk, XskConfig, XskError};

/// Bytes of a packet and what goes with it on the wire, on the average, and bits per second where the card does not say: for the size of
/// rings.
const AVERAGE_BYTES: u64 = 520;
const MBITS_UNKNOWN: u64 = 10_000;
const RING_MIN: u64 = 1024;
const RING_LEAST: u64 = 64;
const RING_MAX: u64 = 1 << 17;
/// Ethernet header and two tags.
const LINK_BYTES: u32 = 22;
const NO_STAMPS: &str = "this interface does not stamp all packets (see `ethtool -T`), or CAP_NET_ADMIN is missing; leave out hardware time";

impl XdpSource {
    /// Opens all queues of the interface, spread over so many lanes. The program is attached as the last step, so that all begin together.
    pub fn open(name: &str, config: &XdpConfig) -> Result<Vec<XdpSource>, CaptureError> {
        let plan = Plan::new(name, config, None)?;
        let mut program = plan.program()?;
        let mut lanes = plan.lanes();
        for queue in 0..plan.layout.len() as u32 {
            let sockets = Xsk::open(&plan.socket(queue)).map_err(|e| plan.wrong(queue, e))?;
            let given: Vec<_> = sockets.iter().map(|xsk| xsk.as_fd()).collect();
            let rows = program.give(queue, &given).map_err(|e| refused(name, e))?;
            plan.place(&mut lanes, queue, sockets, rows);
        }
        let (promiscuous, mode, watch) = plan.attach(&mut program)?;
        let counters = program.counters();
        Ok(plan.sources(lanes, Holder::Here(Mutex::new(program)), counters, mode, watch, promiscuous))
    }
}

/// What will be opened.
pub(super) struct Plan<'c> {
    pub(super) name: &'c str,
    pub(super) index: u32,
    /// For each queue the lane of each of its sockets.
    pub(super) layout: Vec<Vec<u32>>,
    sizes: Sizes,
    config: &'c XdpConfig,
    /// What was set up on the card, until this is dropped.
    pub(super) changed: Changed,
}

impl<'c> Plan<'c> {
    /// Looks at the interface and sets its card up; `queues` where somebody else has done so, and knows how many there are.
    pub(super) fn new(name: &'c str, config: &'c XdpConfig, queues: Option<u32>) -> Result<Plan<'c>, CaptureError> {
        let there = sys::interface(name).map_err(|cause| no_interface(name, cause))?;
        if there.kind != 1 && !there.loopback {
            return Err(backend(name, "only Ethernet is read this way".into()));
        }
        if let Some(expression) = &config.filter {
            Filter::new(expression.clone()).program(LinkType::Ethernet)?;
        }
        let system = |what| move |cause| LiveError::System { name: name.into(), what, cause };
        let (changed, queues) = match queues {
            Some(queues) => (Changed::nothing(name), queues),
            None => {
                let changed = Changed::apply(name, &config.rss)?;
                (changed, sys::receive_queues(name).map_err(system("asking for its queues"))?)
            }
        };
        let layout = config.spread.lanes(queues.min(ebpf::QUEUES_MAX), config.lanes);
        let more: usize = layout.iter().map(|queue| queue.len() - 1).sum();
        if queues > ebpf::QUEUES_MAX || more > ebpf::MORE_SOCKETS_MAX as usize {
            return Err(backend(name, too_many(name, config.lanes, queues)));
        }
        let sizes = Sizes::of(name, &layout, config).map_err(system("asking for its MTU"))?;
        Ok(Plan { name, index: there.index, layout, sizes, config, changed })
    }

    /// The program, loaded and with its rules.
    pub(super) fn program(&self) -> Result<Program, CaptureError> {
        let name = self.name;
        let program = if self.config.hardware_time {
            sys::stamp_all(self.index).map_err(|cause| LiveError::System {
                name: name.into(),
                what: NO_STAMPS,
                cause,
            })?;
            Program::load_timed(self.index)
        } else {
            Program::load()
        };
        let mut program = program.map_err(|e| refused(name, e))?;
        program.set(&self.config.policy).map_err(|e| refused(name, e))?;
        Ok(program)
    }

    /// No sockets yet.
    pub(super) fn lanes(&self) -> Vec<Vec<Socket>> {
        (0..self.config.lanes.max(1)).map(|_| Vec::new()).collect()
    }

    /// The sockets of a queue.
    pub(super) fn socket(&self, queue: u32) -> XskConfig {
        let sockets = self.layout.get(queue as usize).map_or(0, Vec::len) as u32;
        self.sizes.socket(self.index, queue, sockets, self.config)
    }

    pub(super) fn wrong(&self, queue: u32, error: XskError) -> CaptureError {
        wrong(self.name, queue, &self.layout, self.config.huge, error)
    }

    /// Gives the sockets of a queue, with their rows, to their lanes.
    pub(super) fn place(&self, lanes: &mut [Vec<Socket>], queue: u32, sockets: Vec<Xsk>, rows: Vec<u32>) {
        let of = self.layout.get(queue as usize).into_iter().flatten();
        for ((xsk, row), lane) in sockets.into_iter().zip(rows).zip(of) {
            lanes[*lane as usize].push(Socket { row, xsk });
        }
    }

    /// The last step: packets come.
    pub(super) fn attach(&self, program: &mut Program) -> Result<(Option<Promiscuous>, Mode, Watch), CaptureError> {
        let Plan { name, index, config, .. } = *self;
        let promiscuous = config.promiscuous.then(|| Promiscuous::on(index)).transpose();
        let promiscuous = promiscuous.map_err(|cause| LiveError::System {
            name: name.into(),
            what: "switching on promiscuous mode",
            cause,
        })?;
        let mode = program.attach(name, index, true).map_err(|e| refused(name, e))?;
        if mode == Mode::Generic && !config.generic {
            return Err(backend(name, "its driver has no native XDP".into()));
        }
        if config.hardware_time && !program.is_timed() {
            return Err(backend(
                name,
                "its card's times need native XDP, which its driver has not: leave out hardware time".into(),
            ));
        }
        let watch = program.watch(name, index).map_err(|e| refused(name, e))?;
        Ok((promiscuous, mode, watch))
    }

    /// The sources of all lanes.
    pub(super) fn sources(
        self,
        mut lanes: Vec<Vec<Socket>>,
        holder: Holder,
        counters: ebpf::Reader,
        mode: Mode,
        watch: Watch,
        promiscuous: Option<Promiscuous>,
    ) -> Vec<XdpSource> {
        let Plan { name, index, layout, sizes, config, changed } = self;
        if config.hardware_time {
            lanes.iter_mut().flatten().for_each(|socket| socket.xsk.expect_stamps());
        }
        let how = how(name, mode, &lanes, &layout, &sizes, config);
        let counted = counters.clone();
        let shared =
            Arc::new(Shared { holder, counters: counted, how, mode, _promiscuous: promiscuous, _changed: changed });
        let source = |sockets| XdpSource {
            name: name.into(),
            sockets,
            next: 0,
            index,
            counters: counters.clone(),
            watch: watch.clone(),
            looked: Instant::now(),
            filter: config.filter.clone().map(Filter::new),
            snaplen: config.snaplen.map_or(usize::MAX, |n| n as usize),
            limit: BURST,
            stats: CaptureStats::default(),
            state: State::Up,
            stamps: if config.hardware_time { Stamps::All } else { Stamps::NotAsked },
            notice: None,
            shape: None,
            shared: shared.clone(),
        };
        let mut sources: Vec<XdpSource> = lanes.into_iter().map(source).collect();
        let longest = (!sizes.joined).then(|| sys::xsk::longest_packet(sizes.frame_bytes) - LINK_BYTES);
        let shape = Shape::of(name, layout.len() as u32, longest);
        sources.iter_mut().take(1).for_each(|first| first.shape = Some(shape.clone()));
        sources
    }
}

/// Sizes of what a socket has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Packets of its receive ring; there are twice as many frames, so that a lane that stops takes none from others of its queue.
    pub(super) ring: u32,
    pub(super) frame_bytes: u32,
    pub(super) joined: bool,
}

impl Sizes {
    fn of(name: &str, layout: &[Vec<u32>], config: &XdpConfig) -> io::Result<Sizes> {
        let longest = sys::mtu(name)? + LINK_BYTES;
        let frame_bytes = if longest <= sys::xsk::longest_packet(2048) { 2048 } else { 4096 };
        // What cards without a cable and virtual ones say is no speed.
        let mbits = std::fs::read_to_string(format!("/sys/class/net/{name}/speed")).ok();
        let mbits = mbits.and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0).unwrap_or(MBITS_UNKNOWN);
        Ok(Sizes {
            ring: match config.ring_bytes {
                None => {
                    let sockets = layout.iter().map(Vec::len).max().unwrap_or(1);
                    ring(mbits, (layout.len() * sockets) as u32, config.ring_ms)
                }
                // Rounded down, and half of the frames.
                Some(bytes) => 1 << (bytes / 2 / u64::from(frame_bytes)).clamp(RING_LEAST, RING_MAX).ilog2(),
            },
            frame_bytes,
            joined: longest > sys::xsk::longest_packet(frame_bytes),
        })
    }

    fn socket(&self, interface: u32, queue: u32, sockets: u32, config: &XdpConfig) -> XskConfig {
        XskConfig {
            interface,
            queue,
            sockets,
            ring: self.ring,
            frame_bytes: self.frame_bytes,
            joined: self.joined,
            zero_copy: config.zero_copy,
            huge: config.huge,
            busy_poll_micros: config.busy_poll_micros,
        }
    }
}

/// Entries that hold `ring_ms` of a socket's part of the card's speed, a power of two.
fn ring(mbits: u64, sockets: u32, ring_ms: u32) -> u32 {
    let per_ms = mbits.saturating_mul(1000) / 8 / AVERAGE_BYTES / u64::from(sockets.max(1));
    let entries = per_ms.saturating_mul(u64::from(ring_ms)).clamp(RING_MIN, RING_MAX);
    entries.next_power_of_two() as u32
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
