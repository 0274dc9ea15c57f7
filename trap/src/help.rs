//! Help of a module: text as in trap.md section 10.2, and one line of JSON when `LIBTRAP_OUTPUT_FORMAT=json` (10.3).
//!
//! Differences: the JSON is valid (the original escapes nothing but newlines and tabs), and PAGER is ignored.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::help_text;
use crate::module::{Argument, Count, HelpSection, ModuleInfo, Param};
use crate::place::SOCKET_DIR;

/// Width of help that does not go to a terminal, columns.
const WIDTH: usize = 85;
/// Least column at which descriptions begin.
const COLUMN_MIN: usize = 25;
/// Room beside the longest long option.
const COLUMN_EXTRA: usize = 14;
/// Number that the original prints for a variable count.
const VARIABLE: u32 = u32::MAX;

/// Prints the help that was asked for to stdout, in the form that the environment asks for.
pub fn print(info: &ModuleInfo, section: HelpSection) {
    let is_json = env::var("LIBTRAP_OUTPUT_FORMAT").is_ok_and(|format| format == "json");
    let text = match section {
        HelpSection::Module if is_json => format!("{}\n", json(info)),
        HelpSection::Module => text(info, &program_name(), width()),
        HelpSection::Interfaces => interfaces_text(width()),
    };
    // A reader that closes early, as `| head`, is no failure.
    let _closed_early = io::stdout().write_all(text.as_bytes());
}

/// Description for programs: one JSON object.
#[must_use]
pub fn json(info: &ModuleInfo) -> Value {
    let count = |count: Count| match count {
        Count::Exactly(count) => u32::from(count),
        Count::Variable => VARIABLE,
    };
    let params: Vec<Value> = info
        .params
        .iter()
        .map(|param| {
            json!({
                "short_opt": param.short.map(String::from).unwrap_or_default(),
                "long_opt": param.long,
                "description": param.description,
                "argument_type": param.argument_type,
                "mandatory_argument": param.argument as u8,
            })
        })
        .collect();
    json!({
        "name": info.name,
        "description": info.description,
        "num_ifc_in": count(info.inputs),
        "num_ifc_out": count(info.outputs),
        "params": params,
    })
}

/// Help of the module, wrapped at `width` columns.
#[must_use]
pub fn text(info: &ModuleInfo, program: &str, width: usize) -> String {
    let (positional, options): (Vec<&Param>, Vec<&Param>) =
        info.params.iter().partition(|param| param.short == Some('-'));
    let mut out = banner();
    out += &format!("Name: {}\nInputs: {}\nOutputs: {}\nDescription:\n", info.name, info.inputs, info.outputs);
    out += &wrap(info.description, 2, 2, width);
    out += &format!("\nUsage:  {program} [COMMON]... ");
    if !options.is_empty() {
        out += "[OPTIONS]... ";
    }
    if !positional.is_empty() {
        out += "[ADDITIONAL]... ";
    }
    out += "\n\n";
    let column = options.iter().map(|param| option_len(param) + COLUMN_EXTRA).max().unwrap_or(0).max(COLUMN_MIN);
    if !options.is_empty() {
        out += &heading("Parameters of module [OPTIONS]:");
        for param in options {
            out += &entry(&label(param), param.description, column, width);
            out.push('\n');
        }
    }
    if !positional.is_empty() {
        out += &heading("Additional parameters of module [ADDITIONAL]:");
        for param in positional {
            out += &wrap(&format!("{} (data type: {})", param.description, param.argument_type), 2, 4, width);
            out.push('\n');
        }
    }
    out += &heading("Common TRAP parameters [COMMON]:");
    for (label, description) in help_text::COMMON {
        out += &entry(label, description, column, width);
        out.push('\n');
    }
    out += &heading("Environment variables that affects output:");
    for (label, description) in help_text::ENVIRONMENT {
        out += &entry(label, &description.replace("{dir}", SOCKET_DIR), column, width);
        out.push('\n');
    }
    out
}

/// Manual of the interface specifier, wrapped at `width` columns.
#[must_use]
pub fn interfaces_text(width: usize) -> String {
    let mut out = banner();
    for line in help_text::IFC_SPEC.lines() {
        let indent = line.len() - line.trim_start().len();
        // Two blanks inside a line separate a label from its text, which keeps its column when wrapped.
        let column = line[indent..].find("  ").map_or(0, |gap| {
            let behind = indent + gap;
            behind + line[behind..].len() - line[behind..].trim_start().len()
        });
        if column == 0 {
            out += &wrap(line.trim_start(), indent, indent, width);
        } else {
            out += &format!("{}{}", &line[..column], wrap(&line[column..], column, column, width).trim_start());
        }
    }
    out
}

fn banner() -> String {
    let title = format!("TRAP module, libtrap version: {}-sonda", env!("CARGO_PKG_VERSION"));
    format!("{title}\n{}\n", "=".repeat(43))
}

fn heading(title: &str) -> String {
    format!("{title}\n{}\n", "-".repeat(title.len()))
}

fn label(param: &Param) -> String {
    let short = param.short.map(|short| format!("-{short}")).unwrap_or_else(|| "  ".into());
    let long = if param.long.is_empty() { String::new() } else { format!("  --{}", param.long) };
    let argument = match param.argument {
        Argument::No => String::new(),
        Argument::Required => format!(" <{}>", param.argument_type),
        Argument::Optional => format!(" [{}]", param.argument_type),
    };
    format!("{short}{long}{argument}")
}

fn option_len(param: &Param) -> usize {
    param.long.len() + if param.argument == Argument::No { 0 } else { param.argument_type.len() }
}

/// A label with its description beside it.
fn entry(label: &str, description: &str, column: usize, width: usize) -> String {
    let begin = format!("  {label}");
    if begin.len() + 1 > column {
        return format!("{begin}\n{}", wrap(description, column, column, width));
    }
    let wrapped = wrap(description, column, column, width);
    format!("{begin:<column$}{}", wrapped.trim_start())
}

/// Breaks `text` at blanks so that lines stay within `width`; words longer than that stand alone.
fn wrap(text: &str, first: usize, next: usize, width: usize) -> String {
    let mut out = String::new();
    let mut indent = first;
    for paragraph in text.split('\n') {
        let mut line = " ".repeat(indent);
        let mut is_empty = true;
        for word in paragraph.split_whitespace() {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > width {
                out += line.trim_end();
                out.push('\n');
                line = " ".repeat(next);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line += word;
            is_empty = false;
        }
        out += line.trim_end();
        out.push('\n');
        indent = next;
    }
    out
}

fn width() -> usize {
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    match columns {
        Some(columns) if io::stdout().is_terminal() && columns > 40 => columns - 1,
        _ => WIDTH,
    }
}

fn program_name() -> String {
    let first = env::args().next().unwrap_or_default();
    Path::new(&first).file_name().map_or(first.clone(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: ModuleInfo = ModuleInfo {
        name: "logger",
        description: "Prints \"records\"\nwith a\ttab.",
        inputs: Count::Variable,
        outputs: Count::Exactly(0),
        params: &[
            Param {
                short: Some('w'),
                long: "write",
                description: "Write to this file instead of the standard output, which is where records go otherwise.",
                argument: Argument::Required,
                argument_type: "string",
            },
            Param { short: None, long: "quiet", description: "Be quiet.", argument: Argument::No, argument_type: "" },
            Param {
                short: Some('-'),
                long: "",
                description: "Files",
                argument: Argument::Required,
                argument_type: "string",
            },
        ],
    };

    #[test]
    fn json_is_valid_and_ordered() {
        let text = json(&INFO).to_string();
        assert!(text.starts_with("{\"name\":\"logger\",\"description\":\"Prints \\\"records\\\"\\nwith a\\ttab.\",\"num_ifc_in\":4294967295,\"num_ifc_out\":0,\"params\":[{\"short_opt\":\"w\""));
        let back: Value = serde_json::from_str(&text).expect("valid JSON");
        assert_eq!(back["params"][0]["mandatory_argument"], 1);
        assert_eq!(back["params"][1]["short_opt"], "");
        assert_eq!(back["description"], INFO.description);
    }

    #[test]
    fn layout() {
        let text = text(&INFO, "logger", WIDTH);
        assert!(text.contains("Name: logger\nInputs: variable\nOutputs: 0\nDescription:\n  Prints \"records\"\n"));
        assert!(text.contains("\nUsage:  logger [COMMON]... [OPTIONS]... [ADDITIONAL]... \n"));
        assert!(text.contains("  -w  --write <string>   Write to this file"), "{text}");
        assert!(text.contains("\n  Files (data type: string)\n"));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("(default: /tmp)"));
        assert!(!text.contains("\n\n\n"), "{text}");
        let bare = super::text(&ModuleInfo { params: &[], ..INFO }, "m", WIDTH);
        assert!(bare.contains("Usage:  m [COMMON]... \n") && !bare.contains("[OPTIONS]"));
    }

    #[test]
    fn manual_fits_the_width() {
        for width in [75, WIDTH] {
            let manual = interfaces_text(width);
            assert!(manual.lines().all(|line| line.chars().count() <= width), "{manual}");
            assert!(manual.contains("HALF_WAIT") && manual.contains("buffer_count"));
        }
    }
}
