//! The lines of `trap_stats` from the JSON of a service; any module's, ours or the original's.
//!
//! Keys that must be there and texts of failures are those of the original. A value of another type counts as 0, and control
//! characters in names are replaced, because what a module says goes to a terminal.

use std::fmt::Write;

use serde_json::{Map, Value};
use thiserror::Error;

/// Why an answer cannot be shown to its end; the lines before were written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The answer is no JSON.
    #[error("[ERROR] Could not convert modules stats to json structure on line {line}: {0}", line = .0.line())]
    NoJson(serde_json::Error),
    /// The answer is JSON, but no object.
    #[error("[ERROR] Root elem is not a json object.")]
    NoObject,
    /// A key is missing.
    #[error("[ERROR] Could not get key \"{key}\" from {place}.")]
    Missing {
        /// Its name.
        key: &'static str,
        /// The object that lacks it.
        place: &'static str,
    },
    /// A key has no array.
    #[error("[ERROR] Value of key \"{0}\" is not a json array.")]
    NoArray(&'static str),
    /// An entry of an array is no object.
    #[error("[ERROR] {0} not a json object in received json structure.")]
    NoEntry(&'static str),
}

/// Appends the lines for the answer `json`.
///
/// # Errors
/// [`ReportError`]; what stands before the fault was appended.
pub fn write(json: &[u8], out: &mut String) -> Result<(), ReportError> {
    let root: Value = serde_json::from_slice(json).map_err(ReportError::NoJson)?;
    let root = Object { map: root.as_object().ok_or(ReportError::NoObject)?, place: "root json object" };
    line(out, format_args!("Input interfaces: {}", root.integer("in_cnt")?));
    for input in root.array("in")? {
        let input = Object::of(input, "an input interface json object", "Counters of an input interface are")?;
        input_line(&input, out)?;
    }
    line(out, format_args!("Output interfaces: {}", root.integer("out_cnt")?));
    for output in root.array("out")? {
        let output = Object::of(output, "an output interface json object", "Counters of an output interface are")?;
        output_lines(&output, out)?;
    }
    Ok(())
}

fn input_line(input: &Object<'_>, out: &mut String) -> Result<(), ReportError> {
    let (messages, buffers) = (input.integer("messages")?, input.integer("buffers")?);
    let (kind, id) = (input.letter("ifc_type")?, input.text("ifc_id")?);
    let state = input.integer("ifc_state")?;
    let (last, total) = (input.integer("delay_last")?, input.integer("delay_total")?);
    line(
        out,
        format_args!(
            "\tID: {id}, TYPE: {kind}, IS_CONN: {state}, RM: {messages}, RB: {buffers}, DELAY_LAST [us]: {last}, \
             DELAY_TOTAL [s]: {total}"
        ),
    );
    Ok(())
}

fn output_lines(output: &Object<'_>, out: &mut String) -> Result<(), ReportError> {
    let (sent, dropped) = (output.integer("sent-messages")?, output.integer("dropped-messages")?);
    let (buffers, flushes) = (output.integer("buffers")?, output.integer("autoflushes")?);
    let (kind, id) = (output.letter("ifc_type")?, output.text("ifc_id")?);
    let clients = output.integer("num_clients")?;
    line(
        out,
        format_args!(
            "\tID: {id}, TYPE: {kind}, NUM_CLI: {clients}, SM: {sent}, DM: {dropped}, SB: {buffers}, AF: {flushes}"
        ),
    );
    let clients = output.array("client_stats_arr")?;
    if !clients.is_empty() {
        line(out, format_args!("\tClient statistics:"));
    }
    for client in clients {
        client_line(&Object::of(client, "a client stats array json object", "Client stats are")?, out)?;
    }
    Ok(())
}

/// The entry with a text as its id tells what the module itself received; the others are clients.
fn client_line(client: &Object<'_>, out: &mut String) -> Result<(), ReportError> {
    let [containers, messages, skipped] =
        [client.text("sent_containers")?, client.text("sent_messages")?, client.text("skipped_messages")?];
    let percentage = client.get("skipped_percentage")?.as_f64().unwrap_or(0.0);
    let id = client.text("id")?;
    let line_of = if client.get("id")?.is_string() {
        format!(
            "RECV CONTAINERS: {containers}, RECV MESSAGES: {messages}, LOST MESSAGES: {skipped}, LOST %: {percentage:.2}%"
        )
    } else {
        format!(
            "SENT CONTAINERS: {containers}, SENT MESSAGES: {messages}, SKIPPED MESSAGES: {skipped}, \
             SKIPPED %: {percentage:.2}%"
        )
    };
    line(out, format_args!("\t\tID: {id}, {line_of}"));
    Ok(())
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _never = writeln!(out, "{text}");
}

/// An object and what it is called when something is missing.
struct Object<'a> {
    map: &'a Map<String, Value>,
    place: &'static str,
}

impl<'a> Object<'a> {
    fn of(value: &'a Value, place: &'static str, what: &'static str) -> Result<Self, ReportError> {
        Ok(Self { map: value.as_object().ok_or(ReportError::NoEntry(what))?, place })
    }

    fn get(&self, key: &'static str) -> Result<&'a Value, ReportError> {
        self.map.get(key).ok_or(ReportError::Missing { key, place: self.place })
    }

    fn integer(&self, key: &'static str) -> Result<i128, ReportError> {
        let value = self.get(key)?;
        Ok(value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from)).unwrap_or(0))
    }

    fn letter(&self, key: &'static str) -> Result<char, ReportError> {
        let code = u8::try_from(self.integer(key)?).unwrap_or(0);
        Ok(if code.is_ascii_graphic() { char::from(code) } else { '?' })
    }

    /// A text, or a number as text.
    fn text(&self, key: &'static str) -> Result<String, ReportError> {
        match self.get(key)? {
            Value::String(text) => Ok(text.replace(char::is_control, "?")),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(ReportError::Missing { key, place: self.place }),
        }
    }

    fn array(&self, key: &'static str) -> Result<&'a [Value], ReportError> {
        self.get(key)?.as_array().map(Vec::as_slice).ok_or(ReportError::NoArray(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(json: &str) -> (String, Option<String>) {
        let mut out = String::new();
        let outcome = write(json.as_bytes(), &mut out);
        (out, outcome.err().map(|why| why.to_string()))
    }

    #[test]
    fn lines_of_the_real_tool() {
        let json = r#"{"out_cnt": 1, "in_cnt": 1, "in": [{"ifc_state": 1, "buffers": 5, "ifc_id": "x\u001b[2J", "ifc_type": 117,
            "messages": 18446744073709551615, "delay_total": 0, "delay_last": 3}], "out": [{"autoflushes": 1, "sent-messages": 9,
            "client_stats_arr": [{"id": "extended_input_interface_info", "sent_messages": "1", "sent_containers": "2",
            "skipped_messages": "3", "skipped_percentage": 0.0}, {"id": 31479, "sent_messages": "5", "sent_containers": 1,
            "skipped_messages": "0", "skipped_percentage": 33.333}], "ifc_type": 84, "num_clients": 1, "dropped-messages": -1,
            "ifc_id": "t1", "buffers": 0}]}"#;
        let expected = "Input interfaces: 1\n\
            \tID: x?[2J, TYPE: u, IS_CONN: 1, RM: 18446744073709551615, RB: 5, DELAY_LAST [us]: 3, DELAY_TOTAL [s]: 0\n\
            Output interfaces: 1\n\
            \tID: t1, TYPE: T, NUM_CLI: 1, SM: 9, DM: -1, SB: 0, AF: 1\n\
            \tClient statistics:\n\
            \t\tID: extended_input_interface_info, RECV CONTAINERS: 2, RECV MESSAGES: 1, LOST MESSAGES: 3, LOST %: 0.00%\n\
            \t\tID: 31479, SENT CONTAINERS: 1, SENT MESSAGES: 5, SKIPPED MESSAGES: 0, SKIPPED %: 33.33%\n";
        assert_eq!(lines(json), (expected.into(), None));
    }

    #[test]
    fn faults_are_named() {
        let why = |json: &str| lines(json).1.expect("a fault");
        assert!(why("{").starts_with("[ERROR] Could not convert modules stats to json structure on line 1: "));
        assert_eq!(why("[]"), "[ERROR] Root elem is not a json object.");
        assert_eq!(why("{}"), "[ERROR] Could not get key \"in_cnt\" from root json object.");
        assert_eq!(why(r#"{"in_cnt": 1, "in": 5}"#), "[ERROR] Value of key \"in\" is not a json array.");
        assert_eq!(
            why(r#"{"in_cnt": 1, "in": [5]}"#),
            "[ERROR] Counters of an input interface are not a json object in received json structure."
        );
        let (shown, fault) = lines(r#"{"in_cnt": 1, "in": [{"messages": 1}]}"#);
        assert_eq!(shown, "Input interfaces: 1\n");
        assert_eq!(
            fault.as_deref(),
            Some("[ERROR] Could not get key \"buffers\" from an input interface json object.")
        );
    }
}
