//! One lane from memory: no file, no export (PERFORMANCE.md P4). `lane [FLOWS [PACKETS [ROUNDS]]]`
use benches::{Profile, write_capture};
use dataplane::capture::memory::MemorySource;
use dataplane::capture::{CaptureSource, OpenOptions, Poll, open_reader};
use dataplane::flow::CacheConfig;
use dataplane::flow::table::Shape;
use dataplane::lane::{Lane, LaneConfig};

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<u64>().expect("a number"));
    let flows = args.next().unwrap_or(1_000_000);
    let packets = args.next().unwrap_or(4_000_000.max(flows));
    let rounds = args.next().unwrap_or(5);
    let mut pcap = Vec::new();
    write_capture(Profile::Small64, packets, flows, 1, &mut pcap).expect("memory takes it");
    let mut source = MemorySource::new(64);
    source
        .fill(&mut open_reader("memory", std::io::Cursor::new(pcap), OpenOptions::default()))
        .expect("our own capture");
    let size_exp = (flows * 3 / 2).next_power_of_two().trailing_zeros();
    let config = LaneConfig {
        cache: CacheConfig {
            shape: Shape { size_exp, line_exp: 4 },
            active_secs: 1 << 40,
            inactive_secs: 30,
            ..CacheConfig::default()
        },
        ..LaneConfig::default()
    };
    let mut lane = Lane::new(&config).expect("fine");
    let mut rates = Vec::new();
    for _ in 0..=rounds {
        source.rewind();
        let begun = std::time::Instant::now();
        while lane.step(&mut source).expect("memory") != Poll::End {
            if lane.batch().is_full() {
                lane.batch().clear();
            }
        }
        rates.push(packets as f64 / begun.elapsed().as_secs_f64() / 1e6);
    }
    let _ = source.stats();
    rates.remove(0);
    rates.sort_by(f64::total_cmp);
    println!(
        "{flows} flows, 2^{size_exp} slots: median {:.1} Mpps, best {:.1} Mpps",
        rates[rates.len() / 2],
        rates[rates.len() - 1]
    );
    println!("{:?}", lane.report(&source).cache);
}
