//! Alerts as lines of a table.
use detect::store::{Alert, Side, State};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use std::io::{self, Write};

/// How lines are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Paint {
    pub(super) is_terminal: bool,
    pub(super) has_colour: bool,
    /// Of the terminal; without one lines are as long as they are.
    pub(super) columns: Option<usize>,
}

const HEAD: [&str; COLUMNS] = ["ALERT", "DETECTED", "STATE", "CATEGORY", "SOURCE", "TARGET", "DESCRIPTION"];
const COLUMNS: usize = 7;
/// Widths for lines that are written before the next ones are known.
const USUAL: [usize; COLUMNS] = [6, 19, 5, 24, 24, 24, 0];
/// No column but the last one is wider.
const WIDEST: usize = 40;

pub(crate) struct Table<'a> {
    alerts: &'a [Alert],
    widths: [usize; COLUMNS],
    paint: Paint,
}

impl<'a> Table<'a> {
    /// As wide as these alerts need it.
    pub(crate) fn of(alerts: &'a [Alert], paint: Paint) -> Table<'a> {
        let mut widths = HEAD.map(str::len);
        for alert in alerts {
            for (width, cell) in widths.iter_mut().zip(cells(alert)) {
                *width = (*width).max(cell.chars().count()).min(WIDEST);
            }
        }
        Table { alerts, widths, paint }
    }

    /// For alerts to come.
    pub(super) fn of_any(paint: Paint) -> Table<'static> {
        Table { alerts: &[], widths: USUAL, paint }
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        if self.alerts.is_empty() {
            return Ok(());
        }
        self.head(out)?;
        self.alerts.iter().try_for_each(|alert| self.line(out, alert))
    }

    pub(super) fn head(&self, out: &mut impl Write) -> io::Result<()> {
        self.cells(out, &HEAD.map(str::to_owned), &["1"; COLUMNS])
    }

    pub(super) fn line(&self, out: &mut impl Write, alert: &Alert) -> io::Result<()> {
        let colours = match alert.state {
            State::Acknowledged => ["2"; COLUMNS],
            State::New => ["", "", "1", colour(&document(alert)), "", "", ""],
        };
        self.cells(out, &cells(alert), &colours)
    }

    fn cells(&self, out: &mut impl Write, cells: &[String; COLUMNS], colours: &[&str; COLUMNS]) -> io::Result<()> {
        let mut left = self.paint.columns.unwrap_or(usize::MAX);
        for (at, (cell, colour)) in cells.iter().zip(colours).enumerate() {
            let is_last = at + 1 == COLUMNS;
            let width = if is_last { left } else { self.widths[at].min(left) };
            // In a pipe nothing is cut: programs read it.
            let shown: String = if self.paint.is_terminal { cut(cell, width) } else { cell.clone() };
            if self.paint.has_colour && !colour.is_empty() {
                write!(out, "\x1b[{colour}m{shown}\x1b[0m")?;
            } else {
                out.write_all(shown.as_bytes())?;
            }
            if !is_last {
                let length = shown.chars().count();
                let gap = (self.widths[at].saturating_sub(length) + 2).min(left.saturating_sub(length));
                write!(out, "{:gap$}", "")?;
                left = left.saturating_sub(shown.chars().count() + gap);
            }
        }
        out.write_all(b"\n")
    }
}

/// The object of `--json`.
pub(super) fn json(alert: &Alert) -> Value {
    json!({
        "number": alert.number,
        "state": state(alert.state),
        "notes": alert.notes,
        "stored": utc(alert.stored),
        "alert": document(alert),
    })
}

pub(super) fn state(state: State) -> &'static str {
    match state {
        State::New => "new",
        State::Acknowledged => "acknowledged",
    }
}

/// The message; one that cannot be read is a text.
pub(super) fn document(alert: &Alert) -> Value {
    serde_json::from_str(&alert.document).unwrap_or_else(|_| alert.document.clone().into())
}

pub(super) fn categories(document: &Value) -> String {
    let names = document.get("Category").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    names.collect::<Vec<_>>().join(",")
}

/// A time for people, where they are.
pub(super) fn local(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| "-".into(), |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A time for programs.
pub(super) fn utc(millis: i64) -> String {
    Timestamp::from_millisecond(millis)
        .map_or_else(|_| String::new(), |time| time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// SGR codes by what a category says of the danger.
pub(super) fn colour(document: &Value) -> &'static str {
    let categories = categories(document);
    let begins = |starts: &[&str]| starts.iter().any(|start| categories.split(',').any(|name| name.starts_with(start)));
    if begins(&["Intrusion", "Malware", "Attempt", "Availability"]) {
        "31"
    } else if begins(&["Recon", "Abusive", "Fraud", "Information"]) {
        "33"
    } else {
        "36"
    }
}

/// Nothing that an alert carries may move the terminal's cursor, or turn what stands beside it around.
pub(super) fn plain(text: &str) -> String {
    let is_quiet = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_quiet(c) { c } else { '.' }).collect()
}

fn cells(alert: &Alert) -> [String; COLUMNS] {
    let document = document(alert);
    let text = |key: &str| document.get(key).and_then(Value::as_str);
    let mark = match (alert.state, alert.notes) {
        (State::New, 0) => "new",
        (State::New, _) => "new+",
        (State::Acknowledged, 0) => "ack",
        (State::Acknowledged, _) => "ack+",
    };
    let described = text("Description").or_else(|| text("Note")).unwrap_or("");
    [
        alert.number.to_string(),
        local(alert.detected),
        mark.to_owned(),
        plain(&categories(&document)),
        plain(&side(&document, "Source")),
        plain(&side(&document, "Target")),
        plain(described),
    ]
}

/// The first of an end, and how many more: `192.0.2.1:22 (+3)`.
fn side(document: &Value, key: &str) -> String {
    let side = Side::of(document, key);
    let Some(first) = side.names.first() else { return "-".into() };
    let mut shown = match side.ports[..] {
        [port] if first.contains(':') => format!("[{first}]:{port}"),
        [port] => format!("{first}:{port}"),
        _ => first.clone(),
    };
    if side.names.len() > 1 {
        shown += &format!(" (+{})", side.names.len() - 1);
    }
    shown
}

/// At most so many characters; what is cut ends in a mark.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.extend((width > 0).then_some('…'));
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(document: &str) -> Alert {
        Alert {
            number: 7,
            id: "x".into(),
            detected: 0,
            stored: 0,
            state: State::New,
            changed: None,
            notes: 0,
            document: document.into(),
        }
    }

    #[test]
    fn a_line_in_a_terminal_is_cut_and_coloured_and_one_in_a_pipe_is_neither() {
        let alerts = [alert(
            r#"{"Category": ["Attempt.Login"], "Source": [{"IP4": ["192.0.2.1", "192.0.2.2"]}],
                "Target": [{"IP6": ["2001:db8::1"], "Port": [22]}], "Description": "a\u001b[2Jlong description of it"}"#,
        )];
        let write = |paint: Paint| {
            let mut out = Vec::new();
            Table::of(&alerts, paint).write(&mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let piped = write(Paint::default());
        assert!(
            piped
                .lines()
                .nth(1)
                .unwrap()
                .ends_with("Attempt.Login  192.0.2.1 (+1)  [2001:db8::1]:22  a.[2Jlong description of it"),
            "{piped}"
        );
        let shown = write(Paint { is_terminal: true, has_colour: true, columns: Some(100) });
        assert!(
            shown.contains("\x1b[31mAttempt.Login\x1b[0m") && shown.lines().nth(1).unwrap().ends_with('…'),
            "{shown}"
        );
        let plain = write(Paint { is_terminal: true, has_colour: false, columns: Some(60) });
        assert!(plain.lines().all(|line| line.chars().count() <= 62) && !plain.contains('\x1b'), "{plain}");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn what_is_no_message_is_shown_all_the_same() {
        assert_eq!(cells(&alert("damaged"))[3..], ["", "-", "-", ""].map(str::to_owned));
        assert_eq!(json(&alert("damaged"))["alert"], "damaged");
    }
}
