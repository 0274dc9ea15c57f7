//! Models of LIBSVM as text, and what they predict (its README, sections "model file" and svm-predict).
use super::device::Features;

/// Classes of a model, and support vectors times classes, at the most.
const CLASSES_MAX: usize = 64;
const VALUES_MAX: usize = 1 << 22;

/// A model for classification.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Model {
    kernel: Kernel,
    labels: Vec<i64>,
    /// Support vectors of each class.
    counts: Vec<usize>,
    /// One for each pair of classes.
    rho: Vec<f64>,
    vectors: Vec<Vector>,
}

#[derive(Clone, Debug, PartialEq)]
struct Vector {
    /// One for each other class.
    weights: Vec<f64>,
    values: Features,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kernel {
    Linear,
    Polynomial { gamma: f64, coef0: f64, degree: i32 },
    Radial { gamma: f64 },
    Sigmoid { gamma: f64, coef0: f64 },
}

/// Why a text is no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ModelError {
    #[error("{0} is missing or wrong")]
    Head(&'static str),
    #[error("this kind of model is not supported: {0}")]
    Kind(String),
    #[error("support vector {0} is wrong")]
    Vector(usize),
    #[error("it is too large")]
    TooLarge,
}

impl Model {
    /// Reads a model file.
    pub(super) fn parse(text: &str) -> Result<Model, ModelError> {
        let (head, body) = text.split_once("\nSV").ok_or(ModelError::Head("SV"))?;
        let word = |name| {
            let lines = head.lines().filter_map(|line| line.split_once(' '));
            lines.filter(|(known, _)| *known == name).map(|(_, rest)| rest.trim()).next()
        };
        match word("svm_type") {
            Some("c_svc" | "nu_svc") => {}
            kind => return Err(ModelError::Kind(kind.unwrap_or("none").to_owned())),
        }
        let number = |name, default: f64| word(name).map_or(Some(default), |text| text.parse().ok());
        let gamma = number("gamma", 0.0).ok_or(ModelError::Head("gamma"))?;
        let coef0 = number("coef0", 0.0).ok_or(ModelError::Head("coef0"))?;
        let degree = number("degree", 3.0).ok_or(ModelError::Head("degree"))? as i32;
        let kernel = match word("kernel_type") {
            Some("linear") => Kernel::Linear,
            Some("polynomial") => Kernel::Polynomial { gamma, coef0, degree },
            Some("rbf") => Kernel::Radial { gamma },
            Some("sigmoid") => Kernel::Sigmoid { gamma, coef0 },
            kind => return Err(ModelError::Kind(kind.unwrap_or("none").to_owned())),
        };
        fn list<T: std::str::FromStr>(text: Option<&str>, name: &'static str) -> Result<Vec<T>, ModelError> {
            let items = text.ok_or(ModelError::Head(name))?.split_whitespace().map(str::parse);
            items.collect::<Result<_, _>>().map_err(|_| ModelError::Head(name))
        }
        let labels: Vec<i64> = list(word("label"), "label")?;
        let counts: Vec<usize> = list(word("nr_sv"), "nr_sv")?;
        let rho: Vec<f64> = list(word("rho"), "rho")?;
        let classes = labels.len();
        if classes > CLASSES_MAX || body.len() / 2 > VALUES_MAX * 16 {
            return Err(ModelError::TooLarge);
        }
        if classes < 2 || counts.len() != classes {
            return Err(ModelError::Head("nr_sv"));
        }
        if rho.len() != classes * (classes - 1) / 2 {
            return Err(ModelError::Head("rho"));
        }
        let lines = body.lines().filter(|line| !line.trim().is_empty()).enumerate();
        let vectors = lines.map(|(at, line)| vector(line, classes - 1).ok_or(ModelError::Vector(at + 1)));
        let vectors = vectors.collect::<Result<Vec<_>, _>>()?;
        let total = counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count));
        if total != Some(vectors.len()) {
            return Err(ModelError::Head("nr_sv"));
        }
        Ok(Model { kernel, labels, counts, rho, vectors })
    }

    /// The label that most pairs of classes vote for; of several the first.
    pub(super) fn predict(&self, features: &Features) -> i64 {
        let nearness: Vec<f64> =
            self.vectors.iter().map(|vector| self.kernel.apply(features, &vector.values)).collect();
        let starts: Vec<usize> = self
            .counts
            .iter()
            .scan(0, |next, count| {
                let start = *next;
                *next += count;
                Some(start)
            })
            .collect();
        let class = |at: usize| starts[at]..starts[at] + self.counts[at];
        let mut votes = vec![0; self.labels.len()];
        let mut rho = self.rho.iter();
        for i in 0..self.labels.len() {
            for j in i + 1..self.labels.len() {
                let side = |own: usize, row: usize| {
                    class(own).map(|at| self.vectors[at].weights[row] * nearness[at]).sum::<f64>()
                };
                let decision = side(i, j - 1) + side(j, i) - rho.next().copied().unwrap_or(0.0);
                votes[if decision > 0.0 { i } else { j }] += 1;
            }
        }
        let most = votes.iter().max().copied().unwrap_or(0);
        let winner = votes.iter().position(|count| *count == most).unwrap_or(0);
        self.labels[winner]
    }
}

impl Kernel {
    fn apply(self, a: &Features, b: &Features) -> f64 {
        match self {
            Kernel::Linear => dot(a, b),
            Kernel::Polynomial { gamma, coef0, degree } => (gamma * dot(a, b) + coef0).powi(degree),
            Kernel::Radial { gamma } => (-gamma * distance(a, b)).exp(),
            Kernel::Sigmoid { gamma, coef0 } => (gamma * dot(a, b) + coef0).tanh(),
        }
    }
}

fn dot(a: &Features, b: &Features) -> f64 {
    merge(a, b, |x, y| x * y)
}

fn distance(a: &Features, b: &Features) -> f64 {
    merge(a, b, |x, y| (x - y) * (x - y))
}

/// Sums over the numbers of both; a number that one lacks has the value 0 there.
fn merge(a: &Features, b: &Features, term: impl Fn(f64, f64) -> f64) -> f64 {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    let mut sum = 0.0;
    loop {
        match (a.peek(), b.peek()) {
            (None, None) => return sum,
            (Some((n, x)), other) if other.is_none_or(|(m, _)| n < m) => {
                sum += term(*x, 0.0);
                a.next();
            }
            (other, Some((m, y))) if other.is_none_or(|(n, _)| m < n) => {
                sum += term(0.0, *y);
                b.next();
            }
            (x, y) => {
                sum += term(x.map_or(0.0, |x| x.1), y.map_or(0.0, |y| y.1));
                a.next();
                b.next();
            }
        }
    }
}

/// `WEIGHT... NUMBER:VALUE...`, numbers ascending.
fn vector(line: &str, weights: usize) -> Option<Vector> {
    let mut words = line.split_whitespace();
    let weights = (0..weights).map(|_| words.next()?.parse().ok()).collect::<Option<Vec<f64>>>()?;
    let values = words.map(|word| {
        let (number, value) = word.split_once(':')?;
        Some((number.parse().ok()?, value.parse().ok()?))
    });
    let values = values.collect::<Option<Features>>()?;
    values.is_sorted_by(|a, b| a.0 < b.0).then_some(Vector { weights, values })
}

/// Any text as a model; what is accepted predicts one of its labels.
pub fn fuzz_svm(input: &[u8]) {
    let Ok(model) = Model::parse(&String::from_utf8_lossy(input)) else { return };
    let predicted = model.predict(&vec![(1, 0.5), (12, 1.0)]);
    assert!(model.labels.contains(&predicted));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MODEL: &str = "svm_type c_svc\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho 0\nlabel 1 -1\nnr_sv 1 1\nSV\n1 1:1 3:0.5 \n-1 2:1 \n";

    #[test]
    fn the_nearer_vector_wins() {
        let model = Model::parse(MODEL).unwrap();
        assert_eq!(model.predict(&vec![(1, 0.9), (3, 0.5)]), 1);
        assert_eq!(model.predict(&vec![(2, 0.9)]), -1);
        let linear = MODEL.replace("rbf", "linear").replace("rho 0", "rho 2");
        assert_eq!(Model::parse(&linear).unwrap().predict(&vec![(1, 2.1)]), 1);
        assert_eq!(Model::parse(&linear).unwrap().predict(&vec![(1, 1.9)]), -1);
    }

    #[test]
    fn three_classes_vote() {
        let text = "svm_type c_svc\nkernel_type linear\nnr_class 3\ntotal_sv 3\nrho 0 0 0\nlabel 5 6 7\nnr_sv 1 1 1\nSV\n1 1 1:1\n-1 1 2:1\n-1 -1 3:1\n";
        let model = Model::parse(text).unwrap();
        for (number, label) in [(1, 5), (2, 6), (3, 7)] {
            assert_eq!(model.predict(&vec![(number, 1.0)]), label);
        }
    }

    #[test]
    fn what_is_no_model() {
        for (good, bad) in [
            ("c_svc", "one_class"),
            ("rbf", "precomputed"),
            ("rho 0", "rho"),
            ("nr_sv 1 1", "nr_sv 1 2"),
            ("label 1 -1", "label 1"),
            ("1:1 3:0.5", "3:1 1:0.5"),
            ("\nSV", ""),
            ("gamma 0.5", "gamma x"),
        ] {
            assert!(Model::parse(&MODEL.replace(good, bad)).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_change(at in 0..MODEL.len(), with in "[0-9a-z:\\- \n]{0,3}") {
            let text = format!("{}{with}{}", &MODEL[..at], &MODEL[at + 1..]);
            fuzz_svm(text.as_bytes());
        }
    }
}
