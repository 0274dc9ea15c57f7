//! Harness of the page reader: hostile bytes are answered, never trusted.
use super::{Layout, Snapshot, Talker, Writer};
use crate::Time;
use std::sync::atomic::{AtomicU64, Ordering};

/// A page with some of everything, as bytes: what damage begins from.
pub fn sample() -> Vec<u8> {
    let names = |all: &[&str]| all.iter().map(ToString::to_string).collect();
    let layout = Layout {
        title: "sample".into(),
        lane_columns: names(&["packets.taken", "flows.live", "records.dns"]),
        output_columns: names(&["records.sent"]),
        lanes: names(&["eth0", "eth0"]),
        outputs: names(&["json -"]),
    };
    let page: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(0)).collect();
    layout.begin(&page, Writer { pid: 1, process_start: 2, started: Time(3) });
    let talker = Talker {
        src: [192, 0, 2, 1].into(),
        dst: [198, 51, 100, 1].into(),
        protocol: 17,
        dst_port: 53,
        bytes: 100,
        packets: 2,
        error: 0,
    };
    for lane in 0..2 {
        layout.lane(lane).publish(&page, Time(4), &[10, 2, 1]);
        layout.talkers(lane).publish_talkers(&page, Time(4), &[talker]);
    }
    layout.output(0).publish(&page, Time(5), &[7]);
    page.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect()
}

/// Any bytes: an answer or an error; an answer is bounded and has no control characters to move a terminal's cursor with.
/// Inputs that begin with no magic are laid over the [`sample`] from the word that their first two bytes name.
pub fn fuzz_page(input: &[u8]) {
    check(input);
    if let [low, high, rest @ ..] = input {
        let mut page = sample();
        let words = page.len() / 8;
        let from = usize::from(u16::from_le_bytes([*low, *high])) % words * 8;
        page[from..].iter_mut().zip(rest).for_each(|(byte, new)| *byte = *new);
        check(&page);
    }
}

fn check(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::read(bytes) else { return };
    assert!(snapshot.lanes.len() <= super::LANES_MAX && snapshot.outputs.len() <= super::OUTPUTS_MAX);
    let names = [&snapshot.layout.lane_columns, &snapshot.layout.lanes, &snapshot.layout.outputs];
    assert!(names.into_iter().flatten().all(|name| !name.contains(char::is_control)));
    assert!(snapshot.talkers().len() <= super::TALKERS_MAX * snapshot.lanes.len());
    let _ = (snapshot.sum("flows.live"), snapshot.updated());
}
