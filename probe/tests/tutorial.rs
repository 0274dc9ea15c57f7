//! docs/tutorial.md, command by command: each block `sh` runs, a block `text` behind it is what it prints.
//!
//! Needs root, as live capture does: the whole walk is in a network namespace of its own, with nothing but a loopback.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use support::{Folder, outcome};

/// A piece of the document that runs.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Line of the document, counted from 1.
    line: usize,
    script: String,
    /// What it prints, if the document says that.
    prints: Option<String>,
}

/// Fenced blocks of `sh`, each with the block of `text` that follows it.
fn blocks(document: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let Some(language) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let body = body.join("\n") + "\n";
        match language {
            "sh" => found.push(Block { line: at + 1, script: body, prints: None }),
            "text" => {
                let before = found.last_mut().filter(|block| block.prints.is_none());
                before.unwrap_or_else(|| panic!("line {}: output of what?", at + 1)).prints = Some(body);
            }
            _ => {}
        }
    }
    found
}

#[test]
fn every_command_runs_and_prints_what_the_document_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial.md");
    let all = blocks(&std::fs::read_to_string(path).expect("the tutorial is there"));
    assert!(all.len() >= 12 && all.iter().filter(|block| block.prints.is_some()).count() >= 9, "{}", all.len());
    let folder = Folder::new();
    // One namespace for all: each script runs there, in the same folder, and has to end by itself.
    let mut walk = String::from("set -euo pipefail\nip link set lo up\n");
    for (at, block) in all.iter().enumerate() {
        folder.write(&format!("block{at}.sh"), format!("set -euo pipefail\n{}wait\n", block.script));
        walk += &format!(
            "timeout 240 bash ../block{at}.sh > ../block{at}.out || {{ echo \"line {}\" >&2; exit 1; }}\n",
            block.line
        );
    }
    let here = folder.path("walk");
    std::fs::create_dir(&here).expect("a folder");
    let program = Path::new(env!("CARGO_BIN_EXE_sonda")).parent().expect("a folder");
    let search = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "bash", "-c", &walk]).current_dir(&here).stdin(Stdio::null());
    unshare.env("PATH", search).env("TZ", "UTC").env("TRAP_SOCKET_DIR", folder.path(""));
    outcome(&mut unshare).must(0);
    for (at, block) in all.iter().enumerate() {
        if let Some(prints) = &block.prints {
            let printed = std::fs::read_to_string(folder.path(&format!("block{at}.out"))).expect("what it printed");
            assert_eq!(&printed, prints, "docs/tutorial.md, line {}: {}", block.line, block.script);
        }
    }
}

#[test]
fn blocks_are_found() {
    let document = "text\n```sh\na\nb\n```\nmore\n```text\nc\n```\n```rust\nd\n```\n```sh\ne\n```\n";
    let block = |line, script: &str, prints: Option<&str>| Block {
        line,
        script: script.to_owned(),
        prints: prints.map(str::to_owned),
    };
    assert_eq!(blocks(document), [block(2, "a\nb\n", Some("c\n")), block(13, "e\n", None)]);
}
