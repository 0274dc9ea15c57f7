//! The differences that are known, each with its reason: `explained.tsv`, one a line.
//!
//! Four columns: capture, field, how many values are missing and how many we have beyond tshark (`-1+0`), the reason.
use crate::compare::Difference;

/// One explanation.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) capture: &'static str,
    pub(crate) field: &'static str,
    pub(crate) count: &'static str,
    pub(crate) reason: &'static str,
}

pub(crate) fn lines() -> impl Iterator<Item = Line> {
    let lines = include_str!("explained.tsv").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [capture, field, count, reason] = columns[..] else { panic!("explained.tsv has four columns: {line}") };
        Line { capture, field, count, reason }
    })
}

/// The differences of a capture that nobody explained, and the explanations that nothing differs for any longer.
pub(crate) fn unexplained(capture: &str, differences: &[Difference]) -> Vec<String> {
    let known: Vec<Line> = lines().filter(|line| line.capture == capture).collect();
    let mut wrong = Vec::new();
    for difference in differences {
        let Difference { field, missing, extra } = difference;
        let count = format!("-{}+{}", missing.len(), extra.len());
        if !known.iter().any(|line| line.field == *field && line.count == count) {
            wrong.push(format!("{capture}\t{field}\t{count}\tmissing {missing:?}, beyond tshark {extra:?}"));
        }
    }
    for line in known.iter().filter(|line| !differences.iter().any(|d| d.field == line.field)) {
        wrong.push(format!(
            "{capture}\t{}\t{} is explained, but does not differ: take the line away",
            line.field, line.count
        ));
    }
    wrong
}
