//! One alert in full.
use super::row::{self, Paint, local, plain};
use detect::store::{Alert, Note, Side};
use serde_json::{Value, json};
use std::fmt::Write;

/// What, who and why in lines, the notes, and the message.
pub(super) fn text(alert: &Alert, notes: &[Note], paint: Paint) -> String {
    let document = row::document(alert);
    let strong =
        |text: &str, code: &str| if paint.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
    let mut out = String::new();
    let categories = strong(&plain(&row::categories(&document)), row::colour(&document));
    let _ = writeln!(out, "{} {}  {categories}", strong("alert", "1"), strong(&alert.number.to_string(), "1"));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {name:<12} {value}");
        }
    };
    let member = |key: &str| document.get(key).and_then(Value::as_str).map(plain).unwrap_or_default();
    line("detected", local(alert.detected));
    let (from, to) = (member("EventTime"), member("CeaseTime"));
    line("lasted", if from.is_empty() || to.is_empty() { from } else { format!("{from} to {to}") });
    for (name, key) in [("source", "Source"), ("target", "Target")] {
        line(name, plain(&side(&Side::of(&document, key))));
    }
    line("what", member("Description"));
    line("why", member("Note"));
    let counts = ["FlowCount", "ConnCount", "PacketCount", "ByteCount"].iter().filter_map(|key| {
        let count = document.get(*key)?;
        Some(format!("{key} {count}"))
    });
    line("counts", counts.collect::<Vec<_>>().join(", "));
    line("node", nodes(&document));
    line("ID", plain(&alert.id));
    line(
        "state",
        match &alert.changed {
            Some((at, author)) => format!("{}, {} by {}", row::state(alert.state), local(*at), plain(author)),
            None => row::state(alert.state).to_owned(),
        },
    );
    for note in notes {
        line("note", format!("{} {}: {}", local(note.at), plain(&note.author), plain(&note.text)));
    }
    let pretty = serde_json::to_string_pretty(&document).unwrap_or_default();
    // JSON escapes what would move the cursor, but not all that turns text around.
    for text in pretty.lines() {
        let _ = writeln!(out, "  {}", plain(text));
    }
    out
}

/// The object of `--json`.
pub(super) fn json(alert: &Alert, notes: &[Note]) -> Value {
    let mut object = row::json(alert);
    object["notes"] = notes
        .iter()
        .map(|note| json!({"at": row::utc(note.at), "by": note.author, "text": note.text}))
        .collect::<Vec<_>>()
        .into();
    if let Some((at, author)) = &alert.changed {
        object["changed"] = json!({"at": row::utc(*at), "by": author});
    }
    object
}

fn side(side: &Side) -> String {
    let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let mut shown = side.names.join(", ");
    if !side.ports.is_empty() {
        let _ = write!(shown, " port {}", list(&side.ports));
    }
    if !side.protocols.is_empty() {
        let _ = write!(shown, " ({})", side.protocols.join(", "));
    }
    shown.trim().to_owned()
}

fn nodes(document: &Value) -> String {
    let texts = |value: Option<&Value>| -> String {
        let items = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        items.collect::<Vec<_>>().join(", ")
    };
    let nodes = document.get("Node").and_then(Value::as_array).into_iter().flatten().map(|node| {
        let name = node.get("Name").and_then(Value::as_str).unwrap_or("-");
        match texts(node.get("SW")) {
            software if software.is_empty() => plain(name),
            software => plain(&format!("{name} ({software})")),
        }
    });
    nodes.collect::<Vec<_>>().join("; ")
}
