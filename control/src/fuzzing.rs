//! Harnesses of this crate: one body for property tests, fuzz targets and replays of their corpora.
use crate::api::fuzzing::fuzz_api_request;
use crate::client::select;
use crate::config::{include, native, template};
use crate::history::{Asked, History, LEVELS, Origin, Part, Sample};
use crate::model::command;
use crate::process::Stat;
use crate::snapshot::Counters;
use record::fuzzing::Target;
use std::path::Path;

/// Name and function of each. `fuzz/targets.rs` joins the tables of all crates.
pub const TARGETS: &[Target] = &[
    ("api_request", fuzz_api_request),
    ("control_history", fuzz_history),
    ("ipfixprobed_config", crate::ipfixprobed::fuzz),
    ("supervisor_counters", fuzz_counters),
    ("supervisor_include", fuzz_include),
    ("supervisor_native", fuzz_native),
    ("supervisor_params", fuzz_params),
    ("supervisor_select", fuzz_select),
    ("supervisor_stat", fuzz_stat),
    ("supervisor_template", fuzz_template),
];

/// Looks at a counter, and questions: in each level the slots add up to what it grew by, and no answer is longer than its level.
pub fn fuzz_history(data: &[u8]) {
    const BEGIN: u64 = 1_800_000_000_000;
    let look = |life: u64, started: u64, value: u64| Sample {
        origin: Origin { probe: "p".into(), part: Part::Link, name: "eth0".into() },
        writer: (1, life),
        started,
        updated: started,
        is_alive: true,
        counters: [("packets.taken".into(), value)].into(),
    };
    let mut history = History::default();
    let (mut now, mut life, mut started, mut value, mut grown, mut is_straight) = (BEGIN, 0, BEGIN, 1, 0_u64, true);
    history.take(now, [look(life, started, value)]);
    for &[what, time, amount] in data.as_chunks().0 {
        if what & 0x20 != 0 {
            // Somebody set the clock back.
            now -= u64::from(time) << (what & 0xf);
            is_straight = false;
        } else {
            if what & 0x80 != 0 {
                // Somebody started it anew.
                (life, started, value) = (life + 1, now, 0);
            }
            now += u64::from(time) << (what & 0xf);
        }
        (value, grown) = (value + u64::from(amount), grown + u64::from(amount));
        history.take(now, [look(life, started, value)]);
        let from = (what & 0x40 != 0).then(|| -(i64::from(time) << (amount & 0xf)));
        let range = history.range(Asked { from, step: None }).expect("a level reaches");
        assert!(range.slots < LEVELS[range.level].slots && range.from() * 1_000 <= now);
        assert!(history.slots(range).all(|(.., values)| values.len() == range.slots));
    }
    // All slots that hold something are over then.
    now += 300_000;
    history.take(now, [look(life, started, value)]);
    for level in
        LEVELS.iter().filter(|level| is_straight && now - BEGIN < level.step * 1_000 * (level.slots as u64 - 2))
    {
        let range = history.range(Asked { from: None, step: Some(level.step) }).expect("a level");
        let sum: u64 = history.slots(range).flat_map(|(.., values)| values).flatten().sum();
        assert_eq!(sum, grown, "in slots of {} s", level.step);
    }
}

/// What a module tells: names that are kept go to terminals.
pub fn fuzz_counters(data: &[u8]) {
    if let Ok(counters) = Counters::parse(data) {
        let ids = counters.inputs.iter().map(|ifc| &ifc.id).chain(counters.outputs.iter().map(|ifc| &ifc.id));
        assert!(ids.flat_map(|id| id.chars()).all(|c| !c.is_control()));
    }
}

/// A template whose includes hold the rest of the text: every line has a place it came from.
pub fn fuzz_include(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (text, included) = text.split_once('\0').unwrap_or((&text, "<a/>\n<b/>"));
    let expanded = include::expand_with(Path::new("t.xml"), text, &mut |path| {
        assert!(!path.as_os_str().is_empty());
        Ok(vec![(path.to_owned(), included.to_owned())])
    });
    let Ok(expanded) = expanded else { return };
    let lines = expanded.xml.lines().count();
    assert!((1..=lines).all(|line| expanded.origin(line).is_some()) && expanded.origin(lines + 1).is_none());
    assert!(expanded.xml.lines().all(|line| text.contains(line) || included.contains(line)));
}

/// TOML: what is taken has names of its own, and each line of a refusal says its kind.
pub fn fuzz_native(data: &[u8]) {
    let text = String::from_utf8_lossy(data).into_owned();
    match native::parse(&[("fuzz.toml".into(), text)]) {
        Ok(config) => {
            let mut names: Vec<&str> = config.modules().map(|(_, module)| module.name.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
            assert!(config.modules().all(|(_, module)| command::arguments(module).is_ok()));
        }
        Err(refused) => {
            assert!(!refused.lines.is_empty() && refused.lines.iter().all(|line| line.starts_with('[')));
        }
    }
}

/// Parameters: words that are found, each in the quotes it needs, are found again.
pub fn fuzz_params(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(words) = command::tokens(&text) else { return };
    assert!(words.iter().all(|word| text.contains(word.as_str())));
    let quoted = words.iter().map(|word| if word.contains('"') { format!("'{word}'") } else { format!("\"{word}\"") });
    let quoted: Vec<String> = quoted.collect();
    assert_eq!(command::tokens(&quoted.join(" ")), Ok(words));
}

/// Choices of the menu: numbers within the list.
pub fn fuzz_select(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for count in [0, 1, 14] {
        if let Ok(chosen) = select::numbers(&text, count) {
            assert!(!chosen.is_empty() && chosen.iter().all(|number| *number < count));
        }
    }
}

/// Lines of /proc/PID/stat: the name of the program, which is anybody's, changes nothing.
pub fn fuzz_stat(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let rest = "S 1 1 1 0 -1 0 0 0 0 0 7 9 0 0 20 0 1 0 1234 5678 90";
    let stat = Stat::parse(&format!("1 ({}) {rest}", text.replace('\n', " ")));
    assert_eq!(stat.map(|stat| (stat.user, stat.system, stat.start)), Some((7, 9, 1234)));
    let _any = Stat::parse(&text);
}

/// A document: names are unique; a refusal has a message of a known kind first.
pub fn fuzz_template(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(expanded) = include::expand_with(Path::new("t.xml"), &text, &mut |_| Ok(vec![])) else { return };
    match template::parse(&expanded, Path::new("t.xml")) {
        Ok(config) => {
            let mut names: Vec<&str> = config.modules().map(|(_, module)| module.name.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
        }
        Err(refused) => assert!(refused.lines[0].starts_with("[ERROR] ")),
    }
}
