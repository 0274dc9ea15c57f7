//! Any bytes as the words of a rule.
use super::plan::Plan;
use super::{Does, RuleConfig, Term};

/// A line for each word, keys up to an empty line and values behind: what is taken makes a rule whose records have a field for each word, or
/// is refused; nothing panics.
pub fn fuzz_rule(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.lines().take(16);
    let key: Vec<Term> =
        lines.by_ref().take_while(|line| !line.is_empty()).filter_map(|line| Term::key(line).ok()).collect();
    let values: Vec<Term> = lines.filter_map(|line| Term::value(line).ok()).collect();
    let words = key.len() + values.len();
    let does = Does::Aggregate { key, values, active_secs: 1, inactive_secs: 1, entries: 2 };
    let config = RuleConfig {
        name: "fuzz".into(),
        does,
        each_direction: input.len().is_multiple_of(2),
        template: 300,
        is_live: false,
    };
    if let Ok(fields) = Plan::names(&config) {
        let own = fields.iter().filter(|name| !name.ends_with("_prefix_length")).count();
        // Both elements of an address are two words and one field.
        assert!(own >= 1 && own <= words && own + 2 >= words, "{own} fields of {words} words: {text}");
        for (at, name) in fields.iter().enumerate() {
            assert!(!fields[..at].contains(name), "{name} twice: {text}");
        }
    }
}
