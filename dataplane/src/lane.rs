//! One lane: a source's frames go in, ended flows come out in batches.
//!
//! Work goes in bursts: decode all, hash and prefetch all, update all. Random lines of the flow table then arrive side by side
//! instead of one after the other (PERFORMANCE.md, "A design that measured well").
use crate::batch::Batch;
use crate::capture::{BURST, CaptureError, CaptureSource, Frame, Poll};
use crate::face::Face;
use crate::flow::frag::{FragmentCache, FragmentStats};
use crate::flow::key::HashSeed;
use crate::flow::offload::{Lending, OffloadStats};
use crate::flow::{Cache, CacheConfig, CacheStats, FlowKey};
use crate::packet::decode::{DecodeConfig, decode_layers, decode_usual, warm};
use crate::packet::{Fragment, Packet, PacketDrop, Tunnels};
use crate::plugin::{Aides, OptionError};
use crate::registry::{Note, PluginId, Plugins};
use record::{Ledger, Time};
use std::time::Duration;

mod duplicates;
mod inside;
mod sampling;
mod share;
use duplicates::Duplicates;
use inside::Inside;
use sampling::Sampler;
pub use sampling::{Sampling, Selector};
pub use share::Share;

/// Tag lines between two looks at whether the batch is full.
const REST_LINES: usize = 32;

/// What a lane is told at start.
#[derive(Clone, Debug)]
pub struct LaneConfig {
    pub cache: CacheConfig,
    /// Keep the two directions apart (uniflows).
    pub split: bool,
    /// `None` switches the fragment cache off.
    pub fragments: Option<FragmentConfig>,
    /// Plugins with their options, in the order in which their fields are exported.
    pub plugins: Vec<(PluginId, Vec<String>)>,
    /// What was opened for them.
    pub aides: Aides,
    /// Stop after this many decoded packets, those of other lanes included; 0 = no limit.
    pub packets_max: u64,
    /// The packets that are this lane's, when others read the same capture.
    pub share: Share,
    /// Drop a packet of which a copy was seen within this time; `None`: copies count as packets.
    pub duplicates: Option<Duration>,
    /// Leave packets out; `None`: none.
    pub sampling: Option<Sampling>,
    /// Whose addresses a packet in a tunnel has; the face of the original has its own mind.
    pub tunnels: Tunnels,
}

impl LaneConfig {
    pub fn face(&self) -> Face {
        self.cache.face
    }
}

impl Default for LaneConfig {
    fn default() -> Self {
        LaneConfig {
            cache: CacheConfig::default(),
            split: false,
            fragments: Some(FragmentConfig::default()),
            plugins: Vec::new(),
            aides: Aides::default(),
            packets_max: 0,
            share: Share::WHOLE,
            duplicates: None,
            sampling: None,
            tunnels: Tunnels::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentConfig {
    /// Slots of four datagrams each.
    pub slots: usize,
    pub timeout_secs: u32,
}

impl Default for FragmentConfig {
    /// The original's (spec/exporter.md section 5).
    fn default() -> Self {
        FragmentConfig { slots: 10_007, timeout_secs: 3 }
    }
}

/// Why a lane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("no memory for {flows} flows ({} MiB): {cause}; lower the size of the flow cache", (flows * 132) >> 20)]
    Memory { flows: usize, cause: std::io::Error },
}

/// Where a lane has got to.
#[derive(Clone, Debug, Default)]
pub struct LaneReport {
    /// Identity I4 and I5: every packet taken from the source was decoded or dropped for a reason.
    pub packets: Ledger<PacketDrop>,
    /// With [`Tunnels::Both`] the packets inside of tunnels, which are counted besides the frame's outer one: taken = decoded + dropped here too.
    pub inside: Ledger<PacketDrop>,
    /// Wire bytes of the decoded packets.
    pub decoded_bytes: u64,
    pub cache: CacheStats,
    pub fragments: FragmentStats,
    /// Packets that were counted before they came here; they are among those of `cache`.
    pub offload: OffloadStats,
    /// Flows still live.
    pub live: usize,
    /// Slots in the plugins' pools that are in use; a flow's are given back when it ends (identity I15).
    pub plugin_slots: usize,
    /// Extension records that found their pool exhausted.
    pub refused: Vec<(PluginId, u64)>,
    /// What plugins counted beside their records.
    pub notes: Vec<Note>,
}

impl LaneReport {
    /// Adds the books of another lane, which had another share of the same capture or another source.
    pub fn merge(&mut self, other: &LaneReport) {
        self.packets.merge(&other.packets);
        self.inside.merge(&other.inside);
        self.decoded_bytes += other.decoded_bytes;
        self.cache.merge(&other.cache);
        self.fragments.merge(&other.fragments);
        self.offload.merge(&other.offload);
        self.live += other.live;
        self.plugin_slots += other.plugin_slots;
        for (id, n) in &other.refused {
            match self.refused.iter_mut().find(|(mine, _)| mine == id) {
                Some((_, sum)) => *sum += n,
                None => self.refused.push((*id, *n)),
            }
        }
        for note in &other.notes {
            match self.notes.iter_mut().find(|mine| (mine.id, mine.what) == (note.id, note.what)) {
                Some(mine) => mine.count += note.count,
                None => self.notes.push(*note),
            }
        }
    }

    /// Identities I6 to I8 over what is exported and what is live; the sums over live flows must be 0, so ask after [`Lane::finish`].
    pub fn imbalance(&self) -> Vec<String> {
        let c = &self.cache;
        let mut wrong = Vec::new();
        let mut must = |what: &str, left: u64, right: u64| {
            if left != right {
                wrong.push(format!("{what}: {left} is not {right}"));
            }
        };
        must("packets taken = decoded + dropped", self.packets.taken, self.packets.kept + self.packets.dropped_total());
        must("packets inside = decoded + dropped", self.inside.taken, self.inside.kept + self.inside.dropped_total());
        must(
            "packets decoded + inside + offloaded = counted into flows",
            self.packets.kept + self.inside.kept + self.offload.packets,
            c.packets + c.uncounted,
        );
        must("packets counted = packets exported", c.packets, c.exported_packets);
        must("bytes counted = bytes exported", c.bytes, c.exported_bytes);
        if self.live == 0 {
            must("slots of plugins without a flow", self.plugin_slots as u64, 0);
        }
        must("flows opened = ended + live", c.opened + c.continued, c.ended_total() + self.live as u64);
        wrong
    }
}

/// One core's private pipeline.
pub struct Lane {
    decode: DecodeConfig,
    cache: Cache,
    fragments: Option<FragmentCache>,
    books: Ledger<PacketDrop>,
    decoded_bytes: u64,
    packets_max: u64,
    share: Share,
    duplicates: Option<Duplicates>,
    sampler: Option<Sampler>,
    /// With [`Tunnels::Both`]: the second packets of frames.
    inside: Option<Box<Inside>>,
    /// Packets decoded, those of other lanes included.
    seen: u64,
    /// Time of the newest packet, whoever's it was: a flow that is quiet at the end is quiet for the capture.
    now: Time,
    batch: Batch,
    /// See [`CaptureSource::ahead`].
    ahead: usize,
    /// The burst at hand, decoded.
    packets: Box<[Packet; BURST]>,
    /// Whether flows may be counted elsewhere.
    lends: bool,
}

impl Lane {
    pub fn new(config: &LaneConfig) -> Result<Lane, LaneError> {
        Lane::with_seed(config, HashSeed::random())
    }

    /// With a known hash seed, for benches and tests.
    pub fn with_seed(config: &LaneConfig, seed: HashSeed) -> Result<Lane, LaneError> {
        let mut plugins = Plugins::default();
        let flows = 1usize << config.cache.shape.size_exp;
        for (id, options) in &config.plugins {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            plugins.enable(*id, &options, config.face(), flows)?;
        }
        plugins.attach(&config.aides);
        Ok(Lane {
            decode: DecodeConfig { face: config.face(), split: config.split, seed, tunnels: config.tunnels },
            cache: Cache::new(config.cache, plugins).map_err(|cause| LaneError::Memory { flows, cause })?,
            fragments: config.fragments.map(|f| FragmentCache::new(f.slots, f.timeout_secs, seed)),
            books: Ledger::default(),
            decoded_bytes: 0,
            packets_max: config.packets_max,
            share: config.share,
            duplicates: config.duplicates.map(|window| Duplicates::new(window, seed)),
            sampler: config.sampling.map(|sampling| Sampler::new(sampling, seed)),
            inside: (config.tunnels == Tunnels::Both && !config.face().is_original()).then(Default::default),
            seen: 0,
            now: Time(0),
            batch: Batch::default(),
            ahead: 0,
            packets: Box::new([Packet::default(); BURST]),
            lends: false,
        })
    }

    /// Lets the packets of flows that need no more than that be counted elsewhere, for a lane that takes whole biflows (not `split`) and all
    /// packets of its source.
    pub fn lend(&mut self, lending: Lending) {
        self.lends = true;
        self.cache.lend(lending);
    }

    /// Takes one burst from the source. Whoever calls looks after [`Lane::batch`] in between.
    pub fn step(&mut self, source: &mut impl CaptureSource) -> Result<Poll, CaptureError> {
        if self.packets_max != 0 {
            let left = self.packets_max.saturating_sub(self.seen);
            if left == 0 {
                return Ok(Poll::End);
            }
            source.limit(left.min(BURST as u64) as usize);
        }
        if self.lends {
            self.cache.hear(&mut self.batch);
        }
        self.ahead = source.ahead();
        source.burst(|frames| self.burst(frames))
    }

    /// Ended flows that wait for the exporters; clear it once they have them.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// Whether this lane is the one, of those that read one capture, which counts what no lane takes.
    pub fn is_first(&self) -> bool {
        self.share.is_first()
    }

    /// Time of the newest packet, 0 before the first.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Looks for quiet flows in another `lines` tag lines of the table (16 flows each), as of the time `now`: for live inputs, where time
    /// goes on without packets. `now` may be later than the newest packet's time.
    pub fn rest(&mut self, lines: usize, now: Time, mut full: impl FnMut(&mut Batch)) {
        let mut left = lines.min(self.cache.lines());
        while left > 0 {
            let part = left.min(REST_LINES);
            self.cache.sweep_lines(part, now, &mut self.batch);
            if self.batch.is_full() {
                full(&mut self.batch);
            }
            left -= part;
        }
    }

    /// Tag lines of the flow table: what one round of [`Lane::rest`] has to look at.
    pub fn lines(&self) -> usize {
        self.cache.lines()
    }

    /// Ends every live flow; hands batches to `full` as they fill, the last one too.
    pub fn finish(&mut self, mut full: impl FnMut(&mut Batch)) {
        self.cache.recall(&mut self.batch, &mut full);
        self.cache.flush(self.now, &mut self.batch, &mut full);
        if !self.batch.is_empty() {
            full(&mut self.batch);
        }
    }

    /// The books, with what the source itself refused.
    pub fn report(&self, source: &impl CaptureSource) -> LaneReport {
        let mut packets = self.books.clone();
        if self.share.is_first() {
            let taken = source.stats();
            packets.drop(PacketDrop::Filtered, taken.filtered);
            packets.drop(PacketDrop::UnknownLink, taken.unknown_link);
        }
        LaneReport {
            packets,
            inside: self.inside.as_ref().map_or_else(Default::default, |inside| inside.books().clone()),
            decoded_bytes: self.decoded_bytes,
            cache: *self.cache.stats(),
            fragments: self.fragments.as_ref().map_or_else(Default::default, |f| f.stats()),
            offload: self.cache.offload_stats(),
            live: self.cache.live(),
            plugin_slots: self.cache.plugins().in_use(),
            refused: self.cache.plugins().refused(),
            notes: self.cache.plugins().notes(),
        }
    }

    fn burst(&mut self, frames: &[Frame<'_>]) {
        let frames = &frames[..frames.len().min(BURST)];
        if let Some(sampler) = self.sampler.as_mut().filter(|sampler| !sampler.is_by_flow()) {
            let mut own = [Frame::default(); BURST];
            let kept = sampler.select(frames, &mut own);
            // All lanes leave out the same ones.
            let left_out = if self.share.is_first() { frames.len() - kept } else { 0 };
            self.books.drop(PacketDrop::Sampled, left_out as u64);
            return self.burst_of_kept(&own[..kept]);
        }
        self.burst_of_kept(frames);
    }

    fn burst_of_kept(&mut self, frames: &[Frame<'_>]) {
        if self.share == Share::WHOLE {
            let (seen, _) = self.count(frames);
            self.sweep(seen, seen);
        } else {
            self.burst_of_share(frames);
        }
    }

    /// A burst in which most frames are other lanes' packets: those are left out before they are decoded, where that can be told.
    fn burst_of_share(&mut self, frames: &[Frame<'_>]) {
        let mut own = [Frame::default(); BURST];
        // Frames kept so far, and the last one left out: when it came, in frames kept before it, and its time.
        let (mut kept, mut left) = (0, None);
        for frame in frames {
            if self.share.leaves(frame, &self.decode) {
                left = Some((kept, self.decode.face.time(frame.at)));
            } else {
                own[kept] = *frame;
                kept += 1;
            }
        }
        let before = self.books.kept;
        let (seen, last) = self.count(&own[..kept]);
        if let Some((at, time)) = left
            && at >= last
        {
            self.now = time;
        }
        let passed = frames.len() - kept;
        self.seen += passed as u64;
        self.sweep(seen + passed, (self.books.kept - before) as usize);
    }

    /// Counts the packets of a burst into their flows. Answers how many are packets, and the number of frames up to the last of them.
    fn count(&mut self, frames: &[Frame<'_>]) -> (usize, usize) {
        let answer = self.decode_all(frames);
        if self.inside.as_ref().is_some_and(|inside| inside.has_any()) {
            self.count_both(frames);
            return answer;
        }
        let packets = &mut self.packets[..frames.len()];
        packets.iter().for_each(|packet| self.cache.prefetch_tags(packet.hash));
        self.cache.look(packets, frames);
        self.cache.burst(packets, frames, self.ahead, &mut self.batch);
        if self.lends {
            self.cache.offer(packets);
        }
        answer
    }

    /// Counts the packets of a burst in which some frames are two: in their order, so that a flow which is the inside of one frame and the outside
    /// of another one sees no time go back.
    #[cold]
    #[inline(never)]
    fn count_both(&mut self, frames: &[Frame<'_>]) {
        let Some(inside) = &mut self.inside else { return };
        let mut rest = 0;
        while rest < frames.len() {
            let mut own = [Frame::default(); BURST];
            let (from, both) = (rest, inside.merge(&self.packets[..frames.len()], &mut rest));
            for (own, at) in own.iter_mut().zip(both.frames) {
                *own = frames[usize::from(*at)];
            }
            debug_assert!(rest > from, "each turn takes a frame");
            let own = &own[..both.packets.len()];
            both.packets.iter().for_each(|packet| self.cache.prefetch_tags(packet.hash));
            self.cache.look(both.packets, own);
            self.cache.burst(both.packets, own, 0, &mut self.batch);
        }
    }

    /// Ends quiet flows, in step with the packets `seen` of which `kept` are this lane's.
    fn sweep(&mut self, seen: usize, kept: usize) {
        if seen > 0 {
            self.cache.pass(seen - kept);
            self.cache.sweep(self.now, &mut self.batch);
        }
    }

    /// Decodes a burst, each frame into the packet at its place; what is no packet, or another lane's, has no key. Answers as
    /// [`Lane::count`].
    fn decode_all(&mut self, frames: &[Frame<'_>]) -> (usize, usize) {
        // What was asked for some bursts ago has come.
        if self.ahead == 0 {
            warm(frames);
        }
        let mut kept = frames.len();
        let mut bytes = frames.iter().map(|frame| u64::from(frame.wire_len)).sum::<u64>();
        let mut left = decode_usual(frames, &self.decode, &mut self.packets, self.ahead);
        if let Some(inside) = &mut self.inside {
            inside.clear();
        }
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            if !self.decode_unusual(&frames[at], at) {
                kept -= 1;
                bytes -= u64::from(frames[at].wire_len);
            }
            left &= left - 1;
        }
        let packets = &mut self.packets[..frames.len()];
        let last = packets.iter().rposition(|packet| !packet.key.is_none());
        if let Some(last) = last {
            self.now = packets[last].at;
        }
        let mut seen = kept;
        if self.share != Share::WHOLE {
            for (packet, frame) in packets.iter_mut().zip(frames) {
                if !packet.key.is_none() && !self.share.has(&packet.key) {
                    packet.key = FlowKey::default();
                    kept -= 1;
                    bytes -= u64::from(frame.wire_len);
                }
            }
        }
        if let Some(sampler) = self.sampler.as_ref().filter(|sampler| sampler.is_by_flow()) {
            let (left_out, of_bytes) = sampler.drop_from(packets, frames);
            self.books.drop(PacketDrop::Sampled, left_out);
            (seen, kept, bytes) = (seen - left_out as usize, kept - left_out as usize, bytes - of_bytes);
        }
        if let Some(duplicates) = &mut self.duplicates {
            let (copies, of_bytes) = duplicates.drop_from(packets, frames);
            self.books.drop(PacketDrop::Duplicate, copies);
            (seen, kept, bytes) = (seen - copies as usize, kept - copies as usize, bytes - of_bytes);
        }
        if let Some(inside) = &mut self.inside {
            inside.book(self.duplicates.as_mut(), frames);
        }
        self.seen += seen as u64;
        self.books.keep(kept as u64);
        self.decoded_bytes += bytes;
        (seen, last.map_or(0, |last| last + 1))
    }

    /// A frame that the fast path left: a packet, perhaps a fragment of one, or none. Answers whether it is a packet.
    #[inline(never)]
    fn decode_unusual(&mut self, frame: &Frame<'_>, at: usize) -> bool {
        if !self.decode_outer(frame, at) {
            return false;
        }
        if let Some(inside) = &mut self.inside {
            inside.decode(frame, at, &self.decode, self.share, self.fragments.as_mut());
        }
        true
    }

    fn decode_outer(&mut self, frame: &Frame<'_>, at: usize) -> bool {
        let packet = &mut self.packets[at];
        if let Err(why) = decode_layers(frame, &self.decode, packet) {
            self.books.drop(why, u64::from(self.share.is_first()));
            packet.key = FlowKey::default();
            return false;
        }
        if packet.fragment != Fragment::No
            && let Some(fragments) = &mut self.fragments
            && self.share.has(&packet.key)
        {
            fragments.resolve(packet, frame.bytes, self.decode.split);
            packet.hash = packet.key.hash(self.decode.seed);
        }
        true
    }
}
