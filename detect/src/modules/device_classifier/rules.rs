//! Labels with their models, and the addresses that a filter or training names.
use super::device::Features;
use super::svm::Model;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Labels, and networks with a label of their own, at the most, as in the original.
const LABELS_MAX: usize = 1_024;
const RESERVED_MAX: usize = 32;
/// Rules of a file, at the most.
const RULES_MAX: usize = 1 << 20;
/// Bytes of a model file, at the most.
const MODEL_MAX: u64 = 64 * 1024 * 1024;

/// What devices can be, by number.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    labels: Vec<Label>,
    reserved: Vec<(Network, String)>,
}

#[derive(Clone, Debug)]
struct Label {
    number: i32,
    name: String,
    model: Option<Model>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    ip: u32,
    mask: u32,
}

/// Addresses to look at, with their labels when training.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
pub(super) struct Rule {
    network: Network,
    text: String,
    /// Numbers of labels, ascending.
    labels: Vec<i32>,
}

/// Why a list was refused.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error("Error: Model list {path} cannot be opened.\n{source}")]
    OpenList { path: PathBuf, source: io::Error },
    #[error("Error: Model list is corrupted: line {0} is not NUMBER:LABEL or @NETWORK:LABEL")]
    List(usize),
    #[error("Error: Filter {path} cannot be opened.\n{source}")]
    OpenRules { path: PathBuf, source: io::Error },
    #[error("Error: Cannot read ip address on line {line}: {word}")]
    Address { line: usize, word: String },
    #[error("Error: No labels specified for ip address on line {0}.")]
    NoLabels(usize),
    #[error("Error: more than {LABELS_MAX} labels, {RESERVED_MAX} reserved networks or {RULES_MAX} rules")]
    TooMany,
}

impl Labels {
    /// Reads the list of models.
    pub fn load(path: &Path) -> Result<Labels, RuleError> {
        let text = fs::read(path).map_err(|source| RuleError::OpenList { path: path.to_owned(), source })?;
        Labels::parse(&String::from_utf8_lossy(&text))
    }

    /// Reads lines of `NUMBER:LABEL` and `@NETWORK:LABEL`; those that begin with `#` and empty ones are skipped.
    pub fn parse(text: &str) -> Result<Labels, RuleError> {
        let mut labels = Labels::default();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || RuleError::List(at + 1);
            let (key, name) = line.split_once(':').ok_or_else(wrong)?;
            let name = name.split_whitespace().next().ok_or_else(wrong)?.to_owned();
            match key.strip_prefix('@') {
                Some(network) => labels.reserved.push((Network::parse(network.trim()).ok_or_else(wrong)?, name)),
                None => {
                    let number = key.trim().parse().map_err(|_| wrong())?;
                    labels.labels.push(Label { number, name, model: None });
                }
            }
            if labels.labels.len() > LABELS_MAX || labels.reserved.len() > RESERVED_MAX {
                return Err(RuleError::TooMany);
            }
        }
        labels.labels.sort_by_key(|label| label.number);
        Ok(labels)
    }

    /// Number of labels.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| label.name.as_str())
    }

    /// Reads the model of each label; one that cannot be read predicts nothing, with a warning.
    pub(super) fn load_models(&mut self, folder: &Path) {
        for label in &mut self.labels {
            let path = folder.join(label.number.to_string());
            let size = fs::metadata(&path).map(|about| about.len());
            let text = match size {
                Ok(size) if size > MODEL_MAX => Err(io::Error::other(format!("more than {MODEL_MAX} bytes"))),
                _ => fs::read_to_string(&path),
            };
            let model =
                text.map_err(|why| why.to_string()).and_then(|text| Model::parse(&text).map_err(|why| why.to_string()));
            match model {
                Ok(model) => label.model = Some(model),
                Err(why) => eprintln!(
                    "Warning: File {} as model {} not found. Check models.list. ({why})",
                    path.display(),
                    label.name
                ),
            }
        }
    }

    /// Names of the labels that a device with these features has.
    pub(super) fn predict<'l>(&'l self, features: &Features) -> impl Iterator<Item = &'l str> + use<'l> {
        let features = features.clone();
        let has = move |label: &&Label| label.model.as_ref().is_some_and(|model| model.predict(&features) == 1);
        self.labels.iter().filter(has).map(|label| label.name.as_str())
    }

    /// The label of the network that an address is in.
    pub(super) fn reserved(&self, ip: u32) -> Option<&str> {
        self.reserved.iter().find(|(network, _)| network.contains(ip)).map(|(_, name)| name.as_str())
    }

    /// Number of a label; a new one is added behind the last.
    fn number(&mut self, name: &str) -> Result<i32, RuleError> {
        if let Some(label) = self.labels.iter().find(|label| label.name == name) {
            return Ok(label.number);
        }
        if self.labels.len() >= LABELS_MAX {
            return Err(RuleError::TooMany);
        }
        let number = self.labels.last().map_or(1, |label| label.number.saturating_add(1));
        self.labels.push(Label { number, name: name.to_owned(), model: None });
        Ok(number)
    }

    /// Writes labels behind the first `known` to the list.
    pub(super) fn append_new(&self, known: usize, path: &Path) -> io::Result<()> {
        let new = &self.labels[known.min(self.labels.len())..];
        if new.is_empty() {
            return Ok(());
        }
        let lines: String = new.iter().map(|label| format!("{}:{}\n", label.number, label.name)).collect();
        fs::OpenOptions::new().append(true).open(path)?.write_all(lines.as_bytes())
    }
}

impl Rules {
    /// Reads a file; with labels, each line names some, and new ones are added.
    pub(super) fn load(path: &Path, labels: Option<&mut Labels>) -> Result<Rules, RuleError> {
        let text = fs::read(path).map_err(|source| RuleError::OpenRules { path: path.to_owned(), source })?;
        Rules::parse(&String::from_utf8_lossy(&text), labels)
    }

    fn parse(text: &str, mut labels: Option<&mut Labels>) -> Result<Rules, RuleError> {
        let mut rules = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let mut words = line.split([' ', ',', '\r']).filter(|word| !word.is_empty());
            let Some(word) = words.next() else { continue };
            let network =
                Network::parse(word).ok_or_else(|| RuleError::Address { line: at + 1, word: word.to_owned() })?;
            let mut rule = Rule { network, text: word.to_owned(), labels: Vec::new() };
            if let Some(labels) = labels.as_deref_mut() {
                for name in words {
                    rule.labels.push(labels.number(name)?);
                }
                if rule.labels.is_empty() {
                    return Err(RuleError::NoLabels(at + 1));
                }
                rule.labels.sort_unstable();
                rule.labels.dedup();
            }
            rules.push(rule);
            if rules.len() > RULES_MAX {
                return Err(RuleError::TooMany);
            }
        }
        Ok(Rules(rules))
    }

    /// The first rule for an address.
    pub(super) fn find(&self, ip: u32) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.network.contains(ip))
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|rule| write!(f, "{} ", rule.text))
    }
}

impl Rule {
    /// A line of training data: numbers of labels, then features.
    pub(super) fn line(&self, features: &Features) -> String {
        let labels: Vec<_> = self.labels.iter().map(i32::to_string).collect();
        let features = features.iter().map(|(number, value)| format!(" {number}:{}", general(*value)));
        format!("{}{}\n", labels.join(","), features.collect::<String>())
    }
}

impl Network {
    /// `A.B.C.D` or `A.B.C.D/LENGTH`.
    fn parse(text: &str) -> Option<Network> {
        let (ip, length) = text.split_once('/').unwrap_or((text, "32"));
        let length: u32 = length.parse().ok().filter(|length| *length <= 32)?;
        let mask = !u32::MAX.checked_shr(length).unwrap_or(0);
        Some(Network { ip: ip.parse::<Ipv4Addr>().ok()?.to_bits() & mask, mask })
    }

    fn contains(&self, ip: u32) -> bool {
        ip & self.mask == self.ip
    }
}

/// C's `%g`: six digits, no zeros at the end, an exponent below 1e-4 and from 1e6 on.
fn general(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() { "nan".into() } else { format!("{v}") };
    }
    let scientific = format!("{v:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
    };
    if (-4..6).contains(&exponent) {
        trim(&format!("{v:.*}", (5 - exponent) as usize))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(digits), exponent.unsigned_abs())
    }
}

/// Any text as a list of models and as rules for training.
pub fn fuzz_rules(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut labels = Labels::parse(&text).unwrap_or_default();
    let Ok(rules) = Rules::parse(&text, Some(&mut labels)) else { return };
    for rule in &rules.0 {
        assert!(rules.find(rule.network.ip).is_some() && !rule.labels.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_of_labels() {
        let mut labels = Labels::parse("# labels\n2:HTTP\n0:SERVER\n\n@10.0.0.0/8:INSIDE\n").unwrap();
        assert_eq!(labels.names().collect::<Vec<_>>(), ["SERVER", "HTTP"]);
        assert_eq!((labels.reserved(0x0a01_0203), labels.reserved(0x0b00_0000)), (Some("INSIDE"), None));
        let rules = Rules::parse("10.0.0.1 HTTP,NEW\n\n192.0.2.0/24 SERVER\n", Some(&mut labels)).unwrap();
        assert_eq!(rules.find(0x0a00_0001).unwrap().labels, [2, 3]);
        assert_eq!(rules.find(0xc000_02ff).unwrap().line(&vec![(1, 0.5), (12, 1e-7)]), "0 1:0.5 12:1e-07\n");
        assert!(rules.find(0x0a00_0002).is_none());
        for bad in ["x:HTTP", "1:", "1", "@10.0.0.0/33:X", "@::1:X"] {
            assert!(Labels::parse(bad).is_err(), "{bad}");
        }
        assert!(Rules::parse("10.0.0.1\n", Some(&mut labels)).is_err());
        assert_eq!(Rules::parse("10.0.0.1\n0.0.0.0/0", None).unwrap().to_string(), "10.0.0.1 0.0.0.0/0 ");
    }

    #[test]
    fn six_digits() {
        let shown = [0.0, 1.0, 0.123456789, 123456.7, 1234567.0, 0.0001, 0.00001234567, 1.0 / 3.0, -2.5].map(general);
        assert_eq!(shown, ["0", "1", "0.123457", "123457", "1.23457e+06", "0.0001", "1.23457e-05", "0.333333", "-2.5"]);
    }

    proptest! {
        #[test]
        fn any_text(input in "(([0-9]{1,3}\\.){3}[0-9]{1,3}(/[0-9]{1,2})? [a-c]{1,2}\n|[0-9]:[a-c]\n|@[0-9./]{0,9}:x\n){0,6}") {
            fuzz_rules(input.as_bytes());
        }
    }
}
