//! Opening an interface: sizes, sockets, program, in an order in which nothing is lost that was let in.
use super::errors::{backend, no_interface, refused, too_many, wrong};
use super::how::how;
use super::{Shared, Socket, State, XdpConfig, XdpSource};
use crate::capture::filter::Filter;
use crate::capture::live::LiveError;
use crate::capture::{BURST, CaptureError, CaptureStats, LinkType};
use ebpf::{Mode, Program};
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use sys::Promiscuous;
use sys::xsk::{Xsk, XskConfig};

/// Bytes of a packet and what goes with it on the wire, on the average, and bits per second where the card does not say: for the size of
/// rings.
const AVERAGE_BYTES: u64 = 520;
const MBITS_UNKNOWN: u64 = 10_000;
const RING_MIN: u64 = 1024;
const RING_LEAST: u64 = 64;
const RING_MAX: u64 = 1 << 17;
/// Ethernet header and two tags.
const LINK_BYTES: u32 = 22;

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
        let layout = config.spread.lanes(queues, config.lanes);
        let more: usize = layout.iter().map(|queue| queue.len() - 1).sum();
        if queues > ebpf::QUEUES_MAX || more > ebpf::MORE_SOCKETS_MAX as usize {
            return Err(backend(name, too_many(name, config.lanes, queues)));
        }
        let sizes = Sizes::of(name, &layout, config).map_err(system("asking for its MTU"))?;
        let mut program = Program::load().map_err(|e| refused(name, e))?;
        program.set(&config.policy).map_err(|e| refused(name, e))?;
        let mut lanes: Vec<Vec<Socket>> = (0..config.lanes.max(1)).map(|_| Vec::new()).collect();
        for (queue, of) in (0..).zip(&layout) {
            let sockets = Xsk::open(&sizes.socket(there.index, queue, of.len() as u32, config))
                .map_err(|e| wrong(name, queue, &layout, config.huge, e))?;
            let given: Vec<_> = sockets.iter().map(|xsk| xsk.as_fd()).collect();
            let rows = program.give(queue, &given).map_err(|e| refused(name, e))?;
            for ((xsk, row), lane) in sockets.into_iter().zip(rows).zip(of) {
                lanes[*lane as usize].push(Socket { row, xsk });
            }
        }
        let promiscuous = config.promiscuous.then(|| Promiscuous::on(there.index)).transpose();
        let promiscuous = promiscuous.map_err(system("switching on promiscuous mode"))?;
        let mode = program.attach(name, there.index, true).map_err(|e| refused(name, e))?;
        if mode == Mode::Generic && !config.generic {
            return Err(backend(name, "its driver has no native XDP".into()));
        }
        let watch = program.watch(name, there.index).map_err(|e| refused(name, e))?;
        let counters = program.counters();
        let how = how(name, mode, &lanes, &layout, &sizes, config);
        let shared = Arc::new(Shared { program: Mutex::new(program), how, mode, _promiscuous: promiscuous });
        let source = |sockets| XdpSource {
            name: name.into(),
            sockets,
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
