//! Runs of the originals (fixtures/modules): what ours write for the same commands, as logger prints it.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::fixtures;
use detect::modules;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Words of a command: single and double quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => (quote, word) = (Some(c), Some(word.unwrap_or_default())),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The rows of a file, sorted if their order is the originals' chance.
fn rows(text: &str, is_sorted: bool) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    if is_sorted && lines.len() > 1 {
        lines[1..].sort();
    }
    lines
}

/// Alerts of ddos_detector without the random upper half of EVENT_ID, the fifth column.
fn without_chance(text: &str) -> String {
    let row = |row: &str| {
        let mut cells: Vec<_> = row.split(',').map(str::to_owned).collect();
        if let Some(Ok(event)) = cells.get(4).map(|cell| cell.parse::<u64>()) {
            cells[4] = (event & 0xffff_ffff).to_string();
        }
        cells.join(",") + "\n"
    };
    text.lines().map(row).collect()
}

fn printed(file: &Path, to: &Path) -> String {
    let args = ["-i", &format!("f:{}", file.display()), "-t", "-w", to.to_str().unwrap()].map(str::to_owned);
    (modules::find("logger").unwrap().run)(&args);
    fs::read_to_string(to).unwrap()
}

#[test]
fn the_originals_wrote_the_same() {
    let Some(folder) = fixtures("modules") else { return };
    let (work, mut compared) = (TempDir::new().unwrap(), 0);
    let commands = fs::read_to_string(folder.join("commands.sh")).unwrap();
    for line in commands.lines().filter_map(|line| line.strip_prefix("g ")) {
        let line = line.replace("$I/", &format!("f:{}/in/", folder.display()));
        let line = line.replace(" in/", &format!(" {}/in/", folder.display()));
        let words = words(&line);
        let (name, module) = (&words[0], &words[1]);
        let groups = [
            "repeater_",
            "filter_",
            "merger_",
            "agg_",
            "biflow_",
            "vportscan_",
            "haddrscan_",
            "amplification_",
            "bruteforce_",
            "ddos_",
            "hoststats_",
        ];
        let expected = folder.join("out").join(format!("{name}.csv"));
        if !groups.iter().any(|group| name.starts_with(group)) || !expected.exists() {
            continue;
        }
        let out = work.path().join(name);
        let args: Vec<_> = words[2..].iter().map(|w| w.replace("@O", out.to_str().unwrap())).collect();
        let code = u8::from(module == "amplification_detection");
        assert_eq!((modules::find(module).unwrap().run)(&args), code, "{line}");
        let is_sorted = ["agg_", "merger_", "hoststats_"].iter().any(|group| name.starts_with(group));
        let want = String::from_utf8_lossy(&fs::read(expected).unwrap()).into_owned();
        let got = printed(&out, &work.path().join("printed"));
        let [got, want] = [got, want].map(|text| if name.starts_with("ddos_") { without_chance(&text) } else { text });
        assert!(rows(&got, is_sorted) == rows(&want, is_sorted), "{line}");
        compared += 1;
    }
    assert!(compared >= 30, "only {compared} runs");
}
