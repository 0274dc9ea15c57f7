//! The model: for each protocol a scaler and gradient-boosted trees, in JSON (docs/backscatter_model.md).
//!
//! Contract: what was parsed predicts any features in at most as many steps as it has nodes.
use super::features::{Kind, NAMES, Sample};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What the file says it is.
const FORMAT: &str = "backscatter-trees-1";
/// Bytes of a file, at the most.
const FILE_MAX: u64 = 256 << 20;
/// Trees of a protocol, at the most.
pub(super) const TREES_MAX: usize = 10_000;

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tcp: Option<Forest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    icmp: Option<Forest>,
}

/// What tells attacks of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forest {
    /// Names of what is looked at.
    pub(super) features: Vec<String>,
    /// Taken from each feature first.
    pub(super) mean: Vec<f64>,
    /// What it is divided by then.
    pub(super) scale: Vec<f64>,
    /// The logarithm of the odds before the first tree.
    pub(super) init: f64,
    /// What each tree's value is multiplied by.
    pub(super) rate: f64,
    pub(super) trees: Vec<Tree>,
}

/// A tree as parallel lists, node 0 is its root. A node with `feature` below 0 is a leaf.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tree {
    /// Place in the forest's `features`.
    pub(super) feature: Vec<i32>,
    /// At most so much goes left.
    pub(super) threshold: Vec<f64>,
    pub(super) left: Vec<i32>,
    pub(super) right: Vec<i32>,
    /// Of a leaf.
    pub(super) value: Vec<f64>,
}

/// Why a file is no model.
#[derive(Debug, thiserror::Error)]
pub(super) enum ModelError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is longer than {FILE_MAX} bytes")]
    TooLong,
    #[error("it is no JSON of a model: {0}; a pickle of scikit-learn must be converted, see docs/backscatter_model.md")]
    Json(#[from] serde_json::Error),
    #[error("its format is \"{0}\", not \"{FORMAT}\"")]
    Format(String),
    #[error("{0}: the feature \"{1}\" is not known")]
    Feature(&'static str, String),
    #[error("{0}: features, mean and scale must be as many as each other, finite, and scale not 0")]
    Scaler(&'static str),
    #[error(
        "{0}: tree {1} is none: lists of one length, children behind their parents, features that there are, finite values"
    )]
    Tree(&'static str, usize),
    #[error("{0}: more than {TREES_MAX} trees")]
    Trees(&'static str),
}

impl Model {
    pub(super) fn new(tcp: Option<Forest>, icmp: Option<Forest>) -> Model {
        Model { format: FORMAT.into(), tcp, icmp }
    }

    /// # Errors
    /// See [`ModelError`].
    pub(super) fn load(path: &Path) -> Result<Model, ModelError> {
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_MAX { Err(ModelError::TooLong) } else { Model::parse(&bytes) }
    }

    /// # Errors
    /// See [`ModelError`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Model, ModelError> {
        let model: Model = serde_json::from_slice(bytes)?;
        if model.format != FORMAT {
            return Err(ModelError::Format(model.format));
        }
        for kind in Kind::ALL {
            if let Some(forest) = model.forest(kind) {
                forest.check(kind.name())?;
            }
        }
        Ok(model)
    }

    /// # Errors
    /// The file cannot be written.
    pub(super) fn store(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string(self)? + "\n")
    }

    /// None for a protocol that the model says nothing of.
    pub(super) fn forest(&self, kind: Kind) -> Option<&Forest> {
        match kind {
            Kind::Tcp => self.tcp.as_ref(),
            Kind::Icmp => self.icmp.as_ref(),
        }
    }
}

impl Forest {
    /// The probability of an attack.
    pub(super) fn probability(&self, sample: &Sample) -> f64 {
        let row = self.scaled(sample);
        let sum: f64 = self.trees.iter().map(|tree| self.rate * tree.value_of(&row)).sum();
        logistic(self.init + sum)
    }

    /// The features as the trees compare them: scikit-learn keeps them in single precision.
    pub(super) fn scaled(&self, sample: &Sample) -> Vec<f64> {
        let scaler = self.mean.iter().zip(&self.scale);
        let values = self.features.iter().map(|name| sample.value(name).unwrap_or(0.0));
        values.zip(scaler).map(|(value, (mean, scale))| f64::from(((value - mean) / scale) as f32)).collect()
    }

    fn check(&self, name: &'static str) -> Result<(), ModelError> {
        if let Some(unknown) = self.features.iter().find(|feature| !NAMES.contains(&feature.as_str())) {
            return Err(ModelError::Feature(name, unknown.clone()));
        }
        let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
        let count = self.features.len();
        let is_scaler = self.mean.len() == count && self.scale.len() == count && finite(&self.mean);
        if !is_scaler || !finite(&self.scale) || self.scale.contains(&0.0) || !finite(&[self.init, self.rate]) {
            return Err(ModelError::Scaler(name));
        }
        if self.trees.len() > TREES_MAX {
            return Err(ModelError::Trees(name));
        }
        let wrong = self.trees.iter().position(|tree| !tree.is_tree(count) || !finite(&tree.value));
        wrong.map_or(Ok(()), |at| Err(ModelError::Tree(name, at)))
    }
}

impl Tree {
    /// What it says of scaled features.
    pub(super) fn value_of(&self, row: &[f64]) -> f64 {
        let mut at = 0;
        // Children are behind their parents, thus it ends.
        while let Ok(feature) = usize::try_from(self.feature[at]) {
            let next = if row[feature] <= self.threshold[at] { self.left[at] } else { self.right[at] };
            at = next as usize;
        }
        self.value[at]
    }

    fn is_tree(&self, features: usize) -> bool {
        let count = self.feature.len();
        let is_behind = |at: usize, child: i32| usize::try_from(child).is_ok_and(|child| child > at && child < count);
        let lengths = [self.threshold.len(), self.left.len(), self.right.len(), self.value.len()];
        let is_node = |at: usize| match usize::try_from(self.feature[at]) {
            Err(_) => true,
            Ok(feature) => feature < features && is_behind(at, self.left[at]) && is_behind(at, self.right[at]),
        };
        count > 0 && lengths == [count; 4] && (0..count).all(is_node)
    }
}

/// The probability that these odds mean.
pub(super) fn logistic(raw: f64) -> f64 {
    1.0 / (1.0 + (-raw).exp())
}

/// Any bytes as a model: what is taken predicts, and is read again as it is written.
pub fn fuzz_model(input: &[u8]) {
    let Ok(model) = Model::parse(input) else { return };
    for kind in Kind::ALL {
        if let Some(forest) = model.forest(kind) {
            let probability = forest.probability(&Sample::default());
            assert!(probability.is_nan() || (0.0..=1.0).contains(&probability));
        }
    }
    let written = serde_json::to_vec(&model).expect("a model is JSON");
    assert!(Model::parse(&written).is_ok(), "a model is read again");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two trees by hand, over the flows and their rate.
    const HAND: &str = r#"{"format": "backscatter-trees-1", "tcp": {
        "features": ["FLOW_COUNT", "RATE"], "mean": [100.0, 2.0], "scale": [50.0, 4.0], "init": -1.0, "rate": 0.5, "trees": [
        {"feature": [0, -2, 1, -2, -2], "threshold": [1.0, -2, 0.5, -2, -2], "left": [1, -1, 3, -1, -1], "right": [2, -1, 4, -1, -1],
         "value": [0, -1.5, 0, 2.0, 4.0]},
        {"feature": [-2], "threshold": [-2], "left": [-1], "right": [-1], "value": [0.25]}]}}"#;

    fn sample(flows: f64, secs: f64) -> Sample {
        Sample { flow_count: flows, duration: secs, ..Sample::default() }
    }

    #[test]
    fn trees_by_hand() {
        let model = Model::parse(HAND.as_bytes()).unwrap();
        let forest = model.forest(Kind::Tcp).unwrap();
        // Scaled flows and rate, the leaves, and the sum of the odds.
        for (flows, secs, raw) in [
            // (0, -0.25): left.
            (100.0, 100.0, -1.0 + 0.5 * (-1.5 + 0.25)),
            // (1, -0.25): the threshold itself goes left.
            (150.0, 150.0, -1.0 + 0.5 * (-1.5 + 0.25)),
            // (2, 0.5): right, left.
            (200.0, 50.0, -1.0 + 0.5 * (2.0 + 0.25)),
            // (2, 4.5): right, right.
            (200.0, 10.0, -1.0 + 0.5 * (4.0 + 0.25)),
        ] {
            let expected = 1.0 / (1.0 + f64::exp(-raw));
            assert!((forest.probability(&sample(flows, secs)) - expected).abs() < 1e-12, "{flows} {secs}");
        }
        assert!(model.forest(Kind::Icmp).is_none());
    }

    #[test]
    fn files_that_are_no_model() {
        for (from, to, says) in [
            ("backscatter-trees-1", "2", "format"),
            ("RATE", "SPEED", "SPEED"),
            ("[50.0, 4.0]", "[50.0, 0.0]", "scale"),
            ("[100.0, 2.0]", "[100.0]", "scale"),
            ("\"left\": [1,", "\"left\": [0,", "tree 0"),
            ("\"right\": [2,", "\"right\": [5,", "tree 0"),
            ("\"feature\": [0,", "\"feature\": [2,", "tree 0"),
            ("\"value\": [0.25]", "\"value\": []", "tree 1"),
            ("{\"format\"", "(dp0\n", "docs/backscatter_model.md"),
        ] {
            let why = Model::parse(HAND.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(why.contains(says), "{from}: {why}");
        }
    }

    proptest! {
        #[test]
        fn any_model(from in 0..HAND.len(), length in 0..8_usize, to in "[-0-9.\\[\\],{}e]{0,6}") {
            let mut text = HAND.as_bytes().to_vec();
            text.splice(from..(from + length).min(HAND.len()), to.bytes());
            fuzz_model(&text);
        }
    }
}
