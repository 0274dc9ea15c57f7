//! `sonda probe -c FILE` and `sonda check`: the pages say what the program says, files do what command lines do, faults have their places.

mod support;

use std::path::Path;
use std::process::Command;
use support::{Folder, assert_same, mixture, outcome, run, sonda};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

fn docs(name: &str) -> String {
    std::fs::read_to_string(Path::new(DOCS).join(name)).expect("the page is there")
}

/// The fenced blocks of docs/probe.md: language and text.
fn blocks() -> Vec<(String, String)> {
    let page = docs("probe.md");
    let fenced = page.split("```").skip(1).step_by(2);
    let blocks = fenced.map(|block| block.split_once('\n').expect("a language"));
    blocks.map(|(language, text)| (language.to_string(), text.to_string())).collect()
}

/// The blocks of one language, each with the one behind it.
fn pairs(behind: &str) -> Vec<(String, String)> {
    let blocks = blocks();
    let pairs = blocks.windows(2).filter(|pair| pair[0].0 == "toml" && pair[1].0 == behind);
    pairs.map(|pair| (pair[0].1.clone(), pair[1].1.clone())).collect()
}

#[test]
fn pages_are_what_the_program_says() {
    assert_eq!(run(["check", "--reference"]).must(0).stdout, docs("probe.toml"));
    assert_eq!(run(["check", "--schema"]).must(0).stdout, docs("probe.schema.json"));
    run(["check", &format!("{DOCS}/probe.toml")]).must(0);
}

/// The records that a run left in each of its files, sorted: two lanes write in any order. Of IPFIX, whose messages say when they were sent, only
/// that it is there.
fn left(folder: &Folder) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder.path("."))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("plain names"))
        .filter(|name| name.starts_with("flows.") || name.starts_with("dns."))
        .collect();
    names.sort();
    let mut all = Vec::new();
    for name in names {
        let text = match name.rsplit_once('.').expect("an ending").1 {
            "json" => std::fs::read_to_string(folder.path(&name)).expect("JSON"),
            "trapcap" => run(["logger", "-t", "-i", &format!("f:{}", folder.text(&name))]).must(0).stdout,
            _ => std::fs::metadata(folder.path(&name)).expect("there").len().min(1).to_string(),
        };
        let mut lines: Vec<String> = text.lines().map(|line| format!("{name}: {line}")).collect();
        assert!(!lines.is_empty(), "{name} is empty");
        lines.sort();
        all.extend(lines);
    }
    all
}

#[test]
fn a_file_does_what_its_command_line_does() {
    let pairs = pairs("sh");
    assert_eq!(pairs.len(), 2, "examples with their command line");
    let capture = mixture(20_000, 2_000);
    for (text, line) in pairs {
        let records = [true, false].map(|by_file| {
            let folder = Folder::new();
            folder.write("capture.pcap", &capture);
            folder.write("probe.toml", &text);
            run(["check", &folder.text("probe.toml")]).must(0);
            let mut command = if by_file { sonda(["probe", "-c", "probe.toml"]) } else { Command::new("sh") };
            if !by_file {
                std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sonda"), folder.path("sonda")).expect("a link");
                command.args(["-c", &line]).env("PATH", format!("{}:/usr/bin:/bin", folder.text(".")));
            }
            let run = outcome(command.current_dir(folder.path("."))).must(0);
            let mut records: Vec<String> = run.stdout.lines().map(String::from).collect();
            records.sort();
            records.extend(left(&folder));
            records
        });
        assert!(records[0].len() > 1_000, "{text}: {} records", records[0].len());
        assert_same(&line, &records[0], &records[1]);
    }
}

#[test]
fn all_other_examples_are_fine() {
    let blocks = blocks();
    let behind = |at: usize| blocks.get(at + 1).map_or("", |(language, _)| language.as_str());
    let alone = blocks.iter().enumerate().filter(|(at, (language, _))| language == "toml" && behind(*at) == "toml");
    let folder = Folder::new();
    let mut count = 0;
    for (_, (_, text)) in alone {
        let path = folder.write("probe.toml", text);
        let said = run(["check", path.to_str().expect("plain")]).must(0);
        assert_eq!(
            (said.stdout, said.stderr),
            (format!("{}: fine, for sonda probe -c\n", path.display()), String::new())
        );
        count += 1;
    }
    assert_eq!(count, 1, "an example of an interface");
}

#[test]
fn wrong_examples_give_their_exact_messages() {
    let pairs = pairs("text");
    assert!(pairs.len() >= 4, "{}", pairs.len());
    for (text, expected) in pairs {
        let folder = Folder::new();
        folder.write("probe.toml", &text);
        for args in [&["check", "probe.toml"][..], &["probe", "-c", "probe.toml"]] {
            let said = outcome(sonda(args).current_dir(folder.path("."))).must(1);
            assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", expected.as_str()), "{args:?}\n{text}");
        }
    }
}

#[test]
fn files_are_told_apart() {
    let folder = Folder::new();
    let check = |name: &str, text: &str| {
        let path = folder.write(name, text);
        run(["check", path.to_str().expect("plain")])
    };
    let supervisors = "[[profile]]\nname = \"P\"\n\n[[module]]\nname = \"m\"\nprofile = \"P\"\npath = \"sh\"\n";
    assert!(check("s.toml", supervisors).must(0).stdout.contains("1 profiles, 1 modules, 0 that cannot run"));
    check("s.toml", &supervisors.replace("path", "pth"))
        .must(1)
        .says(&["unknown field `pth`", "Did you mean \"path\"?"]);
    check("broken.toml", "[input]\nfiles = [\n").must(1).says(&["[ERROR] ", "broken.toml:"]);
    run(["check", &folder.text("missing.toml")]).must(1).says(&["missing.toml: No such file"]);
    run(["check"]).must(2);
    run(["probe", "-c", &folder.text("p.toml"), "--lanes", "2"]).must(2).says(&["cannot be used with"]);
}
