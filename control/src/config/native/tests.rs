//! Files that are taken, and what is said of others.
use super::*;
use crate::model::{Limits, command};
use proptest::prelude::*;

const GOOD: &str = r#"
[supervisor]
restarts = 5
log_size_mib = 2

[[profile]]
name = "Data sources"

[[profile]]
name = "Detectors"
enabled = false

[[module]]
name = "rep"
profile = "Data sources"
path = "/usr/bin/nemea/traffic_repeater"
inputs = ["t:localhost:7600"]
outputs = ["u:flow_data_source:timeout=NO_WAIT", "b:"]

[[module]]
name = "scan"
profile = "Detectors"
path = "vportscan_detector"
params = "-v 'a b'"
restarts = 0
after = ["rep"]
inputs = ["u:flow_data_source"]
"#;

fn parsed(text: &str) -> Result<Config, Vec<String>> {
    parse(&[("s.toml".into(), text.into())]).map_err(|refused| refused.lines)
}

#[test]
fn everything_that_a_file_may_say() {
    let config = parsed(GOOD).expect("taken");
    let shown: Vec<(&str, &str, u8)> =
        config.modules().map(|(p, m)| (p.name.as_str(), m.name.as_str(), m.restarts)).collect();
    assert_eq!(shown, [("Data sources", "rep", 5), ("Detectors", "scan", 0)]);
    let args: Vec<Vec<String>> = config.modules().map(|(_, m)| command::arguments(m).expect("whole")).collect();
    assert_eq!(args[0], ["-i", "t:localhost:7600,u:flow_data_source:timeout=NO_WAIT,b:"]);
    assert_eq!(args[1], ["-v", "a b", "-i", "u:flow_data_source"]);
    assert_eq!((config.settings.log_bytes_max, config.settings.heartbeat), (2 << 20, Some(Duration::from_secs(8))));
    let limits: Vec<&Limits> = config.modules().map(|(_, module)| &module.limits).collect();
    assert_eq!(*limits[0], Limits { sandbox: true, ..Limits::default() });
    let bound = parsed(&GOOD.replace(
        "restarts = 0",
        "cores = [0, 3]\nuser = \"u\"\ngroup = \"g\"\nnice = -5\nmemory_mib = 64\ncpu_percent = 150\nprocesses = 9\nopen_files = 99\ncore_mib = 0\nsandbox = false",
    ));
    let told = bound.expect("taken").modules().nth(1).expect("two").1.limits.told().map(|(_, value)| value);
    assert_eq!(told, ["0,3", "u", "g", "-5", "64", "150", "9", "99", "0", "false"]);
    assert!(config.profiles[0].enabled && !config.profiles[1].enabled);
}

#[test]
fn faults_have_a_place_and_what_was_meant() {
    let with = |from: &str, to: &str| parsed(&GOOD.replacen(from, to, 1)).expect_err(to);
    let cases: &[(&str, &str, &[&str])] = &[
        ("params =", "parms =", &["[ERROR] s.toml:24:1: unknown field `parms`", "[INFO] Did you mean \"params\"?"]),
        ("[[module]]", "[[modul]]", &["[ERROR] s.toml:13:3: unknown field `modul`", "[INFO] Did you mean \"module\"?"]),
        ("restarts = 5", "restarts = 31", &["[ERROR] s.toml:3:1: restarts = 31: 0 to 30 are possible"]),
        ("restarts = 5", "restarts = true", &["[ERROR] s.toml:3:12: invalid type: boolean `true`, expected u8"]),
        (
            "profile = \"Detectors\"",
            "profile = \"Detektors\"",
            &["[ERROR] s.toml:22:11: there is no profile \"Detektors\"", "[INFO] Did you mean \"Detectors\"?"],
        ),
        (
            "after = [\"rep\"]",
            "after = [\"rpe\"]",
            &["[ERROR] s.toml:26:10: there is no module \"rpe\"", "[INFO] Did you mean \"rep\"?"],
        ),
        (
            "after = [\"rep\"]",
            "after = [\"rep\", \"scan\"]",
            &["[ERROR] s.toml:26:17: modules wait for each other: scan after scan"],
        ),
        ("restarts = 0", "nice = 20", &["[ERROR] s.toml:25:8: -20 to 19 are possible"]),
        ("restarts = 0", "memory_mib = 0", &["[ERROR] s.toml:25:14: 1 to 16777216 are possible"]),
        ("restarts = 0", "open_files = 3", &["[ERROR] s.toml:25:14: 16 to 1048576 are possible"]),
        ("restarts = 0", "cores = [0, 2000]", &["[ERROR] s.toml:25:13: processors 0 to 1023 are possible"]),
        ("restarts = 0", "user = \"\"", &["[ERROR] s.toml:25:8: a name is not empty; leave the key out"]),
        ("name = \"scan\"", "name = \"rep\"", &["[ERROR] s.toml:21:8: a second module \"rep\""]),
        ("\"b:\"", "\"b:,u:x\"", &["[ERROR] s.toml:18:50: \"b:,u:x\" is not one interface; each is a text of its own"]),
        ("\"t:localhost:7600\"", "\"b:\"", &["[ERROR] s.toml:17:11: \"b:\" cannot be an interface of this direction"]),
        ("'a b'", "'a b", &["[ERROR] s.toml:24:10: the quote ' in the parameters has no end"]),
        ("name = \"scan\"", "name = \"../x\"", &["[ERROR] s.toml:21:8: the name of a module has no / in it"]),
        ("path = \"vportscan_detector\"\n", "", &["[ERROR] s.toml:20:1: missing field `path`"]),
        ("[supervisor]", "[supervisor", &["[ERROR] s.toml:2:12: "]),
    ];
    for (from, to, expected) in cases {
        let said = with(from, to);
        for line in *expected {
            assert!(said.iter().any(|there| there.starts_with(line)), "{to}: {said:?}");
        }
    }
}

#[test]
fn a_folder_is_one_configuration() {
    let dir = tempfile::tempdir().expect("a folder");
    let (head, tail) = GOOD.split_at(GOOD.find("[[module]]").expect("there"));
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    put("10-profiles.toml", head);
    put("20-modules.toml", tail);
    put("notes.txt", "no");
    assert_eq!(read(dir.path()), parse(&[("x".into(), GOOD.into())]));
    put("30.toml", "[supervisor]\n");
    let why = read(dir.path()).unwrap_err().lines;
    assert!(why[0].contains("30.toml:1:1: a second table [supervisor]"), "{why:?}");
}

proptest! {
    #[test]
    fn any_file(text in "((\\[\\[(module|profile)\\]\\]|(name|profile|path|params|inputs|after|restarts) = (\"[a-z: ']{0,5}\"|\\[\"[ub]:[a-z]{0,3}\"\\]|[0-9]{1,3})|[a-z=\"\\[]{0,4})\n){0,14}") {
        crate::fuzzing::fuzz_native(text.as_bytes());
    }
}
