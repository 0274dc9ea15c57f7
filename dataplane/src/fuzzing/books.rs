//! Runs a source through a lane to its end and holds what comes out against the books.
use crate::batch::{Batch, FlowRecord, Link};
use crate::capture::{CaptureError, CaptureSource, CaptureStats, Frame, Poll};
use crate::face::Face;
use crate::flow::Basic;
use crate::flow::CacheConfig;
use crate::flow::key::HashSeed;
use crate::flow::table::Shape;
use crate::lane::{FragmentConfig, Lane, LaneConfig, LaneReport, Share};
use crate::packet::Tunnels;
use crate::plugin::Aides;
use crate::registry::PluginId;
use record::fuzzing::assert_json;
use record::ipfix::{AddError, Decoder, Event, Fate, Limits, Packer, PackerConfig};
use record::json::FlowWriter;
use record::{Record, Schema};

/// Small, so that flows are displaced and fragments forgotten.
pub(super) fn config(plugins: &[PluginId], face: Face, split: bool) -> LaneConfig {
    LaneConfig {
        cache: CacheConfig { shape: Shape { size_exp: 4, line_exp: 2 }, face, ..CacheConfig::default() },
        split,
        fragments: Some(FragmentConfig { slots: 2, timeout_secs: 3 }),
        plugins: plugins.iter().map(|id| (*id, Vec::new())).collect(),
        aides: Aides::default(),
        packets_max: 0,
        share: Share::WHOLE,
        duplicates: None,
        sampling: None,
        tunnels: if split { Tunnels::Both } else { Tunnels::Inner },
    }
}

/// Runs the source dry; answers each record as text, in the order in which they ended. Panics where the books do not balance.
pub(super) fn run(config: &LaneConfig, source: &mut impl CaptureSource) -> Vec<String> {
    let mut lane = Lane::with_seed(config, HashSeed::fixed([1, 3, 5, 7])).expect("plugins run without options");
    let mut sums = Sums::new();
    while let Ok(Poll::More | Poll::Idle) = lane.step(source) {
        sums.take(lane.batch());
    }
    lane.finish(|batch| sums.take(batch));
    sums.check(&lane.report(source), source.stats());
    sums.records
}

/// Frames that lie in memory.
pub(super) struct Frames<'f> {
    frames: &'f [Frame<'f>],
    at: usize,
    /// Frames in a burst.
    burst: usize,
}

impl<'f> Frames<'f> {
    pub(super) fn new(frames: &'f [Frame<'f>], burst: usize) -> Self {
        Frames { frames, at: 0, burst: burst.clamp(1, crate::capture::BURST) }
    }
}

impl CaptureSource for Frames<'_> {
    fn burst(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        let left = &self.frames[self.at..];
        let lent = &left[..left.len().min(self.burst)];
        self.at += lent.len();
        if lent.is_empty() {
            return Ok(Poll::End);
        }
        take(lent);
        Ok(Poll::More)
    }

    fn limit(&mut self, frames: usize) {
        self.burst = frames.clamp(1, crate::capture::BURST);
    }

    fn stats(&self) -> CaptureStats {
        let bytes = self.frames[..self.at].iter().map(|f| u64::from(f.wire_len)).sum();
        CaptureStats { packets: self.at as u64, bytes, ..CaptureStats::default() }
    }
}

/// What came out of the lane.
struct Sums {
    records: Vec<String>,
    packets: u64,
    bytes: u64,
    wire: Collector,
}

impl Sums {
    fn new() -> Sums {
        Sums { records: Vec::new(), packets: 0, bytes: 0, wire: Collector::new() }
    }

    fn take(&mut self, batch: &mut Batch) {
        for flow in batch.flows() {
            let basic = flow.basic();
            self.packets += u64::from(basic.packets) + u64::from(basic.packets_rev);
            self.bytes += basic.bytes + basic.bytes_rev;
            self.records.push(spelled(batch, flow));
            self.wire.take(batch, flow);
        }
        batch.clear();
    }

    fn check(&self, report: &LaneReport, taken: CaptureStats) {
        let wrong = report.imbalance();
        assert!(wrong.is_empty(), "{}", wrong.join("; "));
        assert_eq!(report.packets.taken, taken.packets, "each packet of the source is in the books");
        assert_eq!((report.live, report.plugin_slots), (0, 0), "something outlived the end");
        assert_eq!(self.records.len() as u64, report.cache.ended_total());
        assert_eq!((self.packets, self.bytes), (report.cache.exported_packets, report.cache.exported_bytes));
    }
}

/// The record in every text form; the JSON is answered, which has all fields.
fn spelled(batch: &Batch, flow: &FlowRecord) -> String {
    let (mut json, mut text) = (Vec::new(), String::new());
    let mut writer = FlowWriter::new(&mut json);
    writer.basic(&flow.basic());
    for link in batch.links(flow) {
        batch.json(*link, &mut writer);
        batch.text(*link, &mut text);
        batch.summary(*link, &mut text);
    }
    writer.finish();
    assert_json(&json);
    String::from_utf8(json).expect("JSON is UTF-8")
}

/// The far end of an IPFIX session: each record that was added is read again.
struct Collector {
    packer: Packer,
    decoder: Decoder,
}

impl Collector {
    fn new() -> Collector {
        Collector { packer: Packer::new(PackerConfig::default()), decoder: Decoder::new(Limits::default()) }
    }

    fn take(&mut self, batch: &Batch, flow: &FlowRecord) {
        let links: Vec<Link> = batch.links(flow).to_vec();
        // One record of each plugin, as on the wire.
        let once: Vec<Link> = links
            .iter()
            .enumerate()
            .filter(|(at, l)| links[..*at].iter().all(|e| e.id != l.id))
            .map(|(_, l)| *l)
            .collect();
        let mut schemas: Vec<&'static Schema> = vec![Basic::SCHEMA];
        schemas.extend(once.iter().map(|link| link.id.schema()));
        let basic = flow.basic();
        let (mut sent, mut read) = (0, 0);
        let decoder = &mut self.decoder;
        let mut emit = |message: record::ipfix::Message<'_>| {
            sent += message.records;
            let visit = &mut |event: Event<'_>| match event {
                Event::Record(_) => read += 1,
                Event::Skipped(error) => panic!("own IPFIX is not read: {error}"),
                Event::Template(_) | Event::Withdrawn(_) => {}
            };
            decoder.decode(message.bytes, visit).expect("own IPFIX is read");
            Fate::Sent
        };
        let fill = |sink: &mut record::ipfix::DataSink<'_>| {
            basic.visit(sink);
            once.iter().for_each(|link| batch.visit(*link, sink));
        };
        let added = self.packer.add(flow.extensions, flow.family(), &schemas, 1, fill, &mut emit);
        self.packer.flush(1, &mut emit);
        assert!(matches!(added, Ok(()) | Err(AddError::TooLarge)), "{added:?}");
        assert_eq!((sent, read), (u32::from(added.is_ok()), u32::from(added.is_ok())));
    }
}
