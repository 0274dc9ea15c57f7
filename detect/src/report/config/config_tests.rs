//! Configurations that are taken, and those that are refused.
use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::fs;
use trap::Stop;

const GOOD: &str = "
namespace: com.example.test
addressgroups:
  - id: ours
    list: [192.0.2.0/24, '10.0.0.1-10.0.0.9', nonsense]
custom_actions:
  - id: seen
    mark: {path: _Test.Seen, value: yes}
  - id: deep
    mark: {path: 'Note', value: [1, {a: null}]}
rules:
  - id: 1
    condition: Source.IP4 in ours
    actions: [seen]
    elseactions: [deep, drop]
  - id: two
    condition: Null
    actions: [deep]
";

fn read(text: &str) -> Result<Config, ConfigError> {
    let stop = Stop::default();
    let mut setup = Setup::new("test", &stop);
    Config::parse(text.as_bytes(), &mut setup)
}

fn refused(text: &str) -> String {
    read(text).err().map(|why| why.to_string()).unwrap_or_default()
}

#[test]
fn rules_run_in_order_until_one_drops() {
    let mut config = read(GOOD).unwrap();
    assert_eq!(config.namespace, "com.example.test");
    config.run(&json!({"Source": [{"IP4": ["10.0.0.5"]}]}), &mut Default::default());
    config.run(&json!({"Source": [{"IP4": ["10.0.0.10"]}]}), &mut Default::default());
    let shown = config.show();
    for part in [
        "ours: 2 addresses",
        "ID: '1'\nCondition: Source.IP4 in ours\nActions [1x]: [seen]\nElse Actions [1x]: [deep, drop]",
        "ID: 'two'\nCondition: None\nActions [1x]",
        "deep (mark) [2x, 0 failed]",
        "drop (drop) [1x",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn what_is_refused_and_why() {
    assert_eq!(refused("namespace: x"), "YAML file must contain `rules`.");
    assert_eq!(refused("rules: []"), "YAML file must contain at least one rule.");
    for (text, said) in [
        ("rules: [{id: 1}]", "has no `condition`"),
        ("rules: [{condition: null}]", "has no `id`"),
        ("rules: [{id: 1, condition: null, actions: [x]}]", "Missing action with ID x"),
        ("rules: [{id: 1, condition: 'a =='}]", "rule 1: Syntax error"),
        ("rules: [{id: 1, condition: null}]\ncustom_actions: [{id: a, foo: {}}]", "Undefined action: a (foo)"),
        ("rules: [{id: 1, condition: null}]\ncustom_actions: [{id: a}]", "Undefined action"),
        (
            "rules: [{id: 1, condition: null}]\ncustom_actions: [{id: a, mark: {path: x}, file: {path: y}}]",
            "Undefined action",
        ),
        (
            "rules: [{id: 1, condition: null}]\ncustom_actions: [{id: a, mark: {path: 'x..y'}}]",
            "action a: \"x..y\" is no path",
        ),
        ("rules: [{id: 1, condition: null}]\ncustom_actions: [{id: a, file: {}}]", "has no `path`"),
        ("rules: [{id: 1, condition: null}]\ncustom_actions: [{id: a, trap: {}}]", "--trap argument was not provided"),
        ("rules: 7", "must be a list"),
        ("rules: [a", "YAML: "),
    ] {
        let why = refused(text);
        assert!(why.contains(said), "{text:?}: {why:?}");
    }
    assert!(matches!(
        Config::load(Path::new("/nonexist"), &mut Setup::new("x", &Stop::default())),
        Err(ConfigError::Open(..))
    ));
}

#[test]
fn truth_values_are_conditions_and_drop_is_ignored_as_an_action() {
    let mut config = read("rules:\n - {id: 1, condition: true}\n - {id: 2, condition: 'None'}\n - {id: 3, condition: FALSE}\n - {id: 4, condition: 1}\ncustom_actions: [{id: x, drop: }]\nnamespace: n").unwrap();
    config.run(&json!({}), &mut Default::default());
    let counts: Vec<_> = config.rules.iter().map(|rule| rule.show(&[]).contains("[1x]")).collect();
    assert_eq!(counts, [true, true, false, true]);
}

#[test]
fn groups_come_from_files_and_replace_whole_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list");
    fs::write(&path, "192.0.2.1\n\n 2001:db8::/32 \nnot an address\n").unwrap();
    let group = Group::read(&Section::new("g", json!({"id": "g", "file": path.to_str()}))).unwrap();
    assert_eq!(group.literal(), "['192.0.2.1', '2001:db8::/32']");
    assert!(Group::read(&Section::new("g", json!({"id": "g", "file": "/nonexist"}))).is_err());
    assert!(Group::read(&Section::new("g", json!({"id": "g"}))).is_err());
    assert_eq!(replace_words("g gg g_ xg (g) g.g g", "g", "[]"), "[] gg g_ xg ([]) [].[] []");
    assert_eq!(replace_words("a", "", "x"), "a");
}

proptest! {
    #[test]
    fn any_file(
        condition in "(ConnCount|ours|Null|'.{0,9}')( (==|in) (2|ours|\\[1\\]))?",
        actions in "[\\[\\]a-d, ]{0,9}",
        kind in "mark|drop|file|trap|x",
        junk in "[ -~\n]{0,30}",
    ) {
        let text = format!("custom_actions: [{{id: a, {kind}: {{path: a.b}}}}]\naddressgroups: [{{id: ours, list: [192.0.2.0/24]}}]\nrules: [{{id: 1, condition: \"{condition}\", actions: {actions}}}]\n{junk}");
        fuzz_config(text.as_bytes());
    }
}
