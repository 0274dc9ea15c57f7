//! The terminal view: one screen, redrawn as a whole.
use super::Found;
use super::text::{drops, headline, lane_dropped, lane_value, mix, offloaded, outputs, short, si, talk};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};

/// Lanes that have a row of their own, at the most; the rest is in the sum.
const LANES_SHOWN: usize = 16;

/// What is on the screen: the page, and the one before, for rates.
pub(super) struct Shown {
    pub(super) found: Found,
    before: Option<Found>,
}

impl Shown {
    pub(super) fn new(found: Found) -> Shown {
        Shown { found, before: None }
    }

    pub(super) fn next(&mut self, next: Found) {
        self.before = Some(std::mem::replace(&mut self.found, next));
    }

    /// How much the column of a lane grows in a second, if it can be told.
    fn rate(&self, lane: usize, column: &str) -> Option<f64> {
        let before = self.before.as_ref()?;
        let (then, now) = (before.page.lanes.get(lane)?.counts.at, self.found.page.lanes.get(lane)?.counts.at);
        let grown = lane_value(&self.found, lane, column).wrapping_sub(lane_value(before, lane, column));
        let secs = now.0.saturating_sub(then.0) as f64 / 1e9;
        // A lane that has not written since says nothing new.
        if secs > 0.0 { Some(grown as f64 / secs) } else { Some(0.0) }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, shown: &Shown) {
    let lanes = shown.found.page.lanes.len();
    let lane_rows = lanes.min(LANES_SHOWN) + usize::from(lanes > 1) + 3;
    let [head, lanes, middle, foot, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(lane_rows as u16),
        Constraint::Min(6),
        Constraint::Length(shown.found.page.outputs.len().min(6) as u16 + 3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [left, right] = Layout::horizontal([Constraint::Length(38), Constraint::Min(30)]).areas(middle);
    let offloaded = offloaded(&shown.found);
    let rows = if offloaded.is_empty() { 0 } else { offloaded.len() as u16 + 2 };
    let [offload_area, drop_area, mix_area] =
        Layout::vertical([Constraint::Length(rows), Constraint::Fill(1), Constraint::Fill(1)]).areas(left);
    let color = if shown.found.alive { Color::Green } else { Color::Red };
    frame.render_widget(Line::from(headline(&shown.found)).fg(color).bold(), head);
    frame.render_widget(lane_table(shown), lanes);
    frame.render_widget(counts("counted in the kernel", offloaded, ""), offload_area);
    frame.render_widget(counts("dropped before flows", drops(&shown.found), "nothing"), drop_area);
    frame.render_widget(counts("records of protocols", mix(&shown.found), "none yet"), mix_area);
    draw_talkers(frame, shown, right);
    frame.render_widget(output_table(shown), foot);
    frame.render_widget(Line::from("q: end").dim(), keys);
}

fn titled(title: &str) -> Block<'_> {
    Block::bordered().border_style(Style::new().dim()).title(format!(" {title} "))
}

fn lane_table(shown: &Shown) -> Table<'_> {
    let found = &shown.found;
    let count = found.page.lanes.len();
    let rate = |rate: Option<f64>| rate.map_or("-".to_string(), si);
    let cells = |lane: usize| {
        let name = short(&found.page.layout.lanes[lane], 18);
        let (packets, bits) = (shown.rate(lane, "packets.taken"), shown.rate(lane, "bytes.decoded").map(|b| 8.0 * b));
        let (live, opened) = (lane_value(found, lane, "flows.live"), shown.rate(lane, "flows.opened"));
        (name, packets, bits, live, opened, lane_value(found, lane, "packets.taken"), lane_dropped(found, lane))
    };
    let mut rows = Vec::new();
    let mut sum = (None, None, 0u64, None, 0u64, 0u64);
    let add = |a: Option<f64>, b: Option<f64>| b.map_or(a, |b| Some(a.unwrap_or(0.0) + b));
    for lane in 0..count {
        let (name, packets, bits, live, opened, taken, dropped) = cells(lane);
        sum.0 = add(sum.0, packets);
        sum.1 = add(sum.1, bits);
        sum.2 = sum.2.wrapping_add(live);
        sum.3 = add(sum.3, opened);
        sum.4 = sum.4.wrapping_add(taken);
        sum.5 = sum.5.wrapping_add(dropped);
        if lane < LANES_SHOWN {
            let (live, dropped) = (si(live as f64), si(dropped as f64));
            let row =
                [lane.to_string(), name, rate(packets), rate(bits), live, rate(opened), si(taken as f64), dropped];
            rows.push(Row::new(row));
        }
    }
    if count > 1 {
        let (live, taken, dropped) = (si(sum.2 as f64), si(sum.4 as f64), si(sum.5 as f64));
        let row = ["all".into(), format!("{count} lanes"), rate(sum.0), rate(sum.1), live, rate(sum.3), taken, dropped];
        rows.push(Row::new(row).bold());
    }
    let widths = [4, 18, 10, 10, 10, 10, 10, 10].map(Constraint::Length);
    let header = ["lane", "input", "packets/s", "bits/s", "live", "flows/s", "packets", "dropped"];
    Table::new(rows, widths).header(Row::new(header).dim()).block(titled("lanes"))
}

fn counts(title: &'static str, rows: Vec<(String, u64)>, nothing: &'static str) -> Paragraph<'static> {
    let lines = rows.into_iter().map(|(name, n)| Line::from(format!("{:<25} {:>9}", short(&name, 25), si(n as f64))));
    let mut lines: Vec<Line<'_>> = lines.collect();
    if lines.is_empty() {
        lines.push(Line::from(nothing).dim());
    }
    Paragraph::new(lines).block(titled(title))
}

fn draw_talkers(frame: &mut Frame<'_>, shown: &Shown, area: Rect) {
    let talkers = shown.found.page.talkers();
    let room = area.height.saturating_sub(3) as usize;
    let width = area.width.saturating_sub(2 + 2 * 10) as usize;
    let rows =
        talkers.iter().take(room).map(|t| Row::new([short(&talk(t), width), si(t.bytes as f64), si(t.packets as f64)]));
    let widths = [Constraint::Min(10), Constraint::Length(9), Constraint::Length(9)];
    let header = Row::new(["flows that ended in the last minutes", "bytes", "packets"]).dim();
    frame.render_widget(Table::new(rows, widths).header(header).block(titled("top talkers")), area);
}

fn output_table(shown: &Shown) -> Table<'_> {
    let rows = outputs(&shown.found).into_iter().map(|output| {
        let dropped = output.dropped.iter().filter(|(_, n)| *n > 0);
        let why: Vec<String> = dropped.map(|(why, n)| format!("{} {why}", si(*n as f64))).collect();
        Row::new([short(&output.name, 40), si(output.taken as f64), si(output.sent as f64), why.join(", ")])
    });
    let widths = [Constraint::Length(40), Constraint::Length(10), Constraint::Length(10), Constraint::Min(10)];
    let header = Row::new(["output", "records", "sent", "dropped"]).dim();
    Table::new(rows, widths).header(header).block(titled("outputs"))
}

#[cfg(test)]
mod tests;
