//! The two windows of time, what is counted in them and the files that they become.
use super::Settings;
use crate::bloom::{Bloom, SizeError};
use jiff::Zoned;
use std::fmt::Write;
use std::net::IpAddr;

/// Wrong answers of the sets of sources.
const ERROR_RATE: f64 = 0.0001;
/// Sources of IPv4, IPv6, /64 and /48 that the sets of a window are made for.
const SHORT_ENTRIES: [u32; 4] = [6_000_000, 100_000, 50_000, 30_000];
const LONG_ENTRIES: [u32; 4] = [40_000_000, 500_000, 250_000, 150_000];

/// Lines of the file of tunnels. Number 0 is IPv6 itself, the others are the number of bits that IPV6_TUN_TYPE needs.
const TUNNELS: [&str; 7] = ["Native", "Teredo", "ISATAP", "6to4", "AYIYA", "Proto41", "6over4"];

/// What is counted of a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// Its last packet, seconds since 1970.
    pub(super) at_secs: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// IPV6_TUN_TYPE.
    pub(super) tunnel: u8,
}

/// Both windows.
#[derive(Debug)]
pub(super) struct Windows {
    prefix: String,
    packets_min: u64,
    short: Window,
    long: Window,
    traffic: Traffic,
    is_begun: bool,
}

/// A window and the sources seen in it.
#[derive(Debug)]
struct Window {
    length_secs: u64,
    end_secs: u64,
    sources: Sources,
}

/// Rates are made of these, in the short window.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    ipv4: Sum,
    ipv6: Sum,
    tunnels: [Sum; TUNNELS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    flows: u64,
    packets: u64,
    bytes: u64,
}

/// Unique sources: sets and counts of IPv4, IPv6, /64 and /48.
#[derive(Debug)]
struct Sources {
    sets: [Bloom; 4],
    counts: [u64; 4],
}

impl Windows {
    pub(super) fn new(settings: &Settings) -> Result<Windows, SizeError> {
        Ok(Windows {
            prefix: settings.prefix.clone(),
            packets_min: settings.packets_min.into(),
            short: Window::new(settings.short_secs, SHORT_ENTRIES)?,
            long: Window::new(settings.long_secs, LONG_ENTRIES)?,
            traffic: Traffic::default(),
            is_begun: false,
        })
    }

    /// Counts a flow; before, windows that it ends are written, each by one step only, as in the original.
    pub(super) fn add(&mut self, src: IpAddr, flow: Flow) {
        if !std::mem::replace(&mut self.is_begun, true) {
            for window in [&mut self.short, &mut self.long] {
                window.end_secs = flow.at_secs + (window.length_secs - flow.at_secs % window.length_secs);
                window.sources.clear();
            }
            self.traffic = Traffic::default();
        }
        if flow.at_secs >= self.short.end_secs {
            self.flush_short(false);
            self.traffic = Traffic::default();
            self.short.step();
        }
        if flow.at_secs >= self.long.end_secs {
            self.flush_long(false);
            self.long.step();
        }
        // Number of bits that the type needs, 6 at the most.
        let tunnel = (8 - flow.tunnel.leading_zeros() as usize).min(TUNNELS.len() - 1);
        match src {
            IpAddr::V4(_) => {
                self.traffic.ipv4.add(flow);
                if tunnel > 0 {
                    self.traffic.tunnels[tunnel].add(flow);
                }
            }
            IpAddr::V6(_) => {
                self.traffic.ipv6.add(flow);
                self.traffic.tunnels[0].add(flow);
            }
        }
        if flow.packets >= self.packets_min {
            self.short.sources.add(src);
            self.long.sources.add(src);
        }
    }

    /// Writes all files of both windows.
    pub(super) fn flush(&self, is_inactive: bool) {
        self.flush_short(is_inactive);
        self.flush_long(is_inactive);
    }

    /// Begins both windows anew, one length later.
    pub(super) fn skip(&mut self) {
        self.traffic = Traffic::default();
        self.short.step();
        self.long.step();
    }

    fn flush_short(&self, is_inactive: bool) {
        self.write("cnt_addr", self.short.sources.lines(), is_inactive);
        let secs = self.short.length_secs;
        let lines = format!("{}{}", self.traffic.ipv4.line("ipv4", secs), self.traffic.ipv6.line("ipv6", secs));
        self.write("traffic", lines, is_inactive);
        let lines = TUNNELS.iter().zip(&self.traffic.tunnels).map(|(name, sum)| sum.line(name, secs));
        self.write("ipv6_tunnels", lines.collect(), is_inactive);
    }

    fn flush_long(&self, is_inactive: bool) {
        self.write("cnt_addr_L", self.long.sources.lines(), is_inactive);
    }

    fn write(&self, name: &str, mut text: String, is_inactive: bool) {
        let path = format!("{}{name}", self.prefix);
        let now = now();
        // A String takes every write.
        let _ = writeln!(text, "updated {now}");
        if is_inactive {
            text.push_str("INACTIVE\n");
        }
        if let Err(why) = std::fs::write(&path, text) {
            eprintln!("Warning: Unable to open output file {path}. Skipping ({now}). {why}");
        }
    }
}

impl Window {
    fn new(length_secs: u32, entries: [u32; 4]) -> Result<Window, SizeError> {
        let [a, b, c, d] = entries;
        let set = |entries| Bloom::new(entries, ERROR_RATE);
        let sources = Sources { sets: [set(a)?, set(b)?, set(c)?, set(d)?], counts: [0; 4] };
        Ok(Window { length_secs: length_secs.into(), end_secs: 0, sources })
    }

    fn step(&mut self) {
        self.sources.clear();
        self.end_secs += self.length_secs;
    }
}

impl Sum {
    fn add(&mut self, flow: Flow) {
        self.flows += 1;
        self.packets = self.packets.wrapping_add(flow.packets);
        self.bytes = self.bytes.wrapping_add(flow.bytes);
    }

    /// Packets, bits and flows per second, in single precision as in the original.
    fn line(&self, name: &str, secs: u64) -> String {
        let rate = |n: u64| n as f32 / secs as f32;
        let (packets, bits, flows) = (rate(self.packets), rate(self.bytes.wrapping_mul(8)), rate(self.flows));
        format!("{name} {packets:.3} {bits:.3} {flows:.3}\n")
    }
}

impl Sources {
    /// A /64 is looked for only if the address is new, a /48 only if its /64 is.
    fn add(&mut self, src: IpAddr) {
        match src {
            IpAddr::V4(src) => self.counts[0] += u64::from(!self.sets[0].insert(&src.octets())),
            IpAddr::V6(src) => {
                let octets = src.octets();
                for (kind, length) in [(1, 16), (2, 8), (3, 6)] {
                    if self.sets[kind].insert(&octets[..length]) {
                        break;
                    }
                    self.counts[kind] += 1;
                }
            }
        }
    }

    fn clear(&mut self) {
        // Most windows see no IPv6 and an idle one nothing: sets that are empty need no clearing of a hundred megabytes.
        for (set, count) in self.sets.iter_mut().zip(&mut self.counts) {
            if std::mem::take(count) > 0 {
                set.clear();
            }
        }
    }

    fn lines(&self) -> String {
        let [ipv4, ipv6, prefix64, prefix48] = self.counts;
        format!("ipv4 {ipv4}\nipv6 {ipv6}\nipv6_48 {prefix48}\nipv6_64 {prefix64}\n")
    }
}

/// Local time as in files and messages.
pub(super) fn now() -> String {
    Zoned::now().strftime("%Y-%m-%d.%H:%M:%S").to_string()
}
