//! The screen, drawn into memory.
use super::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use record::Time;
use record::page::Snapshot;
use record::page::fuzzing::sample;

fn found() -> Found {
    let mut page = Snapshot::read(&sample()[..]).unwrap();
    page.layout.lane_columns = ["packets.taken", "flows.live", "packets.dropped.truncated"].map(String::from).into();
    Found { name: "edge".into(), path: "/nowhere".into(), page, alive: true }
}

fn screen(shown: &Shown, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, shown)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn rates_drops_talkers_and_outputs_are_shown() {
    let mut shown = Shown::new(found());
    let first = screen(&shown, 100, 30);
    for part in
        ["sonda sample edge, process 1, runs for", "eth0", "packets truncated", "192.0.2.1 > 198.51.100.1:53 udp"]
    {
        assert!(first.contains(part), "{part:?} is not in\n{first}");
    }
    let mut next = found();
    for lane in &mut next.page.lanes {
        lane.counts.at = Time(lane.counts.at.0 + 2_000_000_000);
        lane.counts.values[0] += 50_000;
    }
    shown.next(next);
    let second = screen(&shown, 100, 30);
    for part in ["25.0k", "50.0k", "2 lanes", "json -"] {
        assert!(second.contains(part), "{part:?} is not in\n{second}");
    }
    shown.found.alive = false;
    assert!(screen(&shown, 100, 30).contains("has ended"));
}

#[test]
fn no_size_of_the_terminal_is_too_small() {
    let shown = Shown::new(found());
    for (width, height) in [(1, 1), (2, 5), (10, 3), (40, 10), (300, 100)] {
        screen(&shown, width, height);
    }
}
