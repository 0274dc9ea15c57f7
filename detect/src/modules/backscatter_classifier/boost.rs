//! Training: gradient-boosted regression trees on the logarithm of odds (Friedman, "Greedy Function Approximation: A Gradient Boosting
//! Machine", 2001, algorithms 1 and 5), with the choices of scikit-learn's GradientBoostingClassifier.
//!
//! The same rows make the same model: nothing is drawn by chance, and of two equal splits the first feature and the smallest threshold win.
use super::features::{Kind, Sample};
use super::model::{Forest, Tree, logistic};

/// Trees of a model.
const TREES: usize = 100;
/// What a leaf's value is, at the most: where the model is sure already, a quotient of tiny numbers says nothing.
const VALUE_MAX: f64 = 1e6;
/// Below this the second derivative is no divisor.
const WEIGHT_MIN: f64 = 1e-150;

/// Depth of the trees, and the rate at which they are believed (spec/detectors.md section 14).
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub(super) depth: u32,
    pub(super) rate: f64,
}

impl Growth {
    pub(super) fn of(kind: Kind) -> Growth {
        match kind {
            Kind::Tcp => Growth { depth: 7, rate: 0.3 },
            Kind::Icmp => Growth { depth: 12, rate: 0.1 },
        }
    }
}

/// An event of which is known whether it was an attack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labelled {
    pub(super) sample: Sample,
    pub(super) is_attack: bool,
}

/// Trains on rows; none if they are all of one sort.
pub(super) fn train(kind: Kind, rows: &[Labelled], growth: Growth) -> Option<Forest> {
    let attacks = rows.iter().filter(|row| row.is_attack).count();
    if attacks == 0 || attacks == rows.len() {
        return None;
    }
    let mut forest = scaler(kind, rows);
    forest.rate = growth.rate;
    forest.init = (attacks as f64 / (rows.len() - attacks) as f64).ln();
    let table: Vec<Vec<f64>> = rows.iter().map(|row| forest.scaled(&row.sample)).collect();
    let labels: Vec<f64> = rows.iter().map(|row| f64::from(u8::from(row.is_attack))).collect();
    let orders = orders(&table);
    let mut raw = vec![forest.init; rows.len()];
    for _ in 0..TREES {
        let chances: Vec<f64> = raw.iter().map(|raw| logistic(*raw)).collect();
        let mut grower = Grower { table: &table, labels: &labels, chances: &chances, tree: Tree::default() };
        grower.grow(&orders, growth.depth);
        let tree = grower.tree;
        for (raw, row) in raw.iter_mut().zip(&table) {
            *raw += growth.rate * tree.value_of(row);
        }
        forest.trees.push(tree);
    }
    Some(forest)
}

/// Mean and deviation of each feature; one that never changes is divided by 1.
fn scaler(kind: Kind, rows: &[Labelled]) -> Forest {
    let mut forest = Forest::default();
    for name in kind.features() {
        let values = || rows.iter().filter_map(|row| row.sample.value(name));
        let mean = values().sum::<f64>() / rows.len() as f64;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / rows.len() as f64;
        forest.features.push((*name).to_owned());
        forest.mean.push(mean);
        forest.scale.push(if variance > 0.0 { variance.sqrt() } else { 1.0 });
    }
    forest
}

/// For each feature all rows by its value.
fn orders(table: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let features = table.first().map_or(0, Vec::len);
    let sorted = |feature: usize| {
        let mut order: Vec<usize> = (0..table.len()).collect();
        order.sort_by(|a, b| table[*a][feature].total_cmp(&table[*b][feature]));
        order
    };
    (0..features).map(sorted).collect()
}

/// Grows one tree on what is left to explain: labels less the chances that the trees before give.
struct Grower<'t> {
    table: &'t [Vec<f64>],
    labels: &'t [f64],
    chances: &'t [f64],
    tree: Tree,
}

#[derive(Clone, Copy, Debug)]
struct Split {
    feature: usize,
    threshold: f64,
    gain: f64,
}

impl Grower<'_> {
    /// Adds the node of these rows, which are given in the order of each feature, and all below it; answers where it is.
    fn grow(&mut self, orders: &[Vec<usize>], depth: u32) -> i32 {
        let at = self.tree.feature.len();
        let rows = orders.first().map_or(&[][..], Vec::as_slice);
        self.push(self.leaf(rows));
        let split = if depth == 0 { None } else { self.split(orders) };
        if let Some(Split { feature, threshold, .. }) = split {
            let is_left = |row: &usize| self.table[*row][feature] <= threshold;
            let sides = [true, false].map(|side| {
                let part = |order: &Vec<usize>| order.iter().copied().filter(|row| is_left(row) == side).collect();
                orders.iter().map(part).collect::<Vec<Vec<usize>>>()
            });
            self.tree.feature[at] = feature as i32;
            self.tree.threshold[at] = threshold;
            self.tree.left[at] = self.grow(&sides[0], depth - 1);
            self.tree.right[at] = self.grow(&sides[1], depth - 1);
        }
        at as i32
    }

    fn push(&mut self, value: f64) {
        let Tree { feature, threshold, left, right, value: values } = &mut self.tree;
        feature.push(-2);
        threshold.push(-2.0);
        left.push(-1);
        right.push(-1);
        values.push(value);
    }

    fn residual(&self, row: usize) -> f64 {
        self.labels[row] - self.chances[row]
    }

    /// One step of Newton's towards the best value of these rows.
    fn leaf(&self, rows: &[usize]) -> f64 {
        let residuals: f64 = rows.iter().map(|row| self.residual(*row)).sum();
        let weights: f64 = rows.iter().map(|row| self.chances[*row] * (1.0 - self.chances[*row])).sum();
        if weights < WEIGHT_MIN { 0.0 } else { (residuals / weights).clamp(-VALUE_MAX, VALUE_MAX) }
    }

    /// The split after which the means of both sides differ most, by the number of rows in each.
    fn split(&self, orders: &[Vec<usize>]) -> Option<Split> {
        let mut best: Option<Split> = None;
        for (feature, order) in orders.iter().enumerate() {
            let all: f64 = order.iter().map(|row| self.residual(*row)).sum();
            let mut sum = 0.0;
            for (count, pair) in order.windows(2).enumerate() {
                sum += self.residual(pair[0]);
                let (low, high) = (self.table[pair[0]][feature], self.table[pair[1]][feature]);
                if high <= low {
                    continue;
                }
                let (left, right) = ((count + 1) as f64, (order.len() - count - 1) as f64);
                let apart = sum / left - (all - sum) / right;
                let gain = left * right / (left + right) * apart * apart;
                if gain > best.map_or(f64::EPSILON, |best| best.gain) {
                    let middle = f64::midpoint(low, high);
                    // Two neighbours may have no number between them.
                    let threshold = if middle >= high { low } else { middle };
                    best = Some(Split { feature, threshold, gain });
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events of two sorts, apart by flows and rate, with a few on the wrong side.
    fn rows(count: usize) -> Vec<Labelled> {
        let row = |n: usize| {
            let is_attack = n.is_multiple_of(3);
            let flows = if is_attack { 900.0 } else { 100.0 } + (n * 37 % 200) as f64;
            let sample =
                Sample { flow_count: flows, max_fpm: (n * 13 % 50) as f64, duration: 60.0, ..Sample::default() };
            Labelled { sample, is_attack: is_attack != (n % 41 == 40) }
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn attacks_are_told_and_training_is_the_same_each_time() {
        let forest = train(Kind::Tcp, &rows(300), Growth::of(Kind::Tcp)).unwrap();
        assert_eq!((forest.trees.len(), forest.features.len()), (TREES, 12));
        assert_eq!(train(Kind::Tcp, &rows(300), Growth::of(Kind::Tcp)).unwrap(), forest);
        let chance = |flows: f64| {
            forest.probability(&Sample { flow_count: flows, max_fpm: 20.0, duration: 60.0, ..Sample::default() })
        };
        assert!(chance(1_000.0) > 0.9 && chance(200.0) < 0.1, "{} {}", chance(1_000.0), chance(200.0));
        assert!(train(Kind::Icmp, &rows(1), Growth::of(Kind::Icmp)).is_none(), "one sort only");
    }

    /// Four rows, one split, by hand: half are attacks, so the odds begin with 0 and each residual is a half; the values of the leaves are
    /// sums of residuals over sums of 1/4.
    #[test]
    fn the_first_tree_by_hand() {
        let row = |flows: f64, is_attack| Labelled {
            sample: Sample { flow_count: flows, duration: 1.0, ..Sample::default() },
            is_attack,
        };
        let rows = [row(10.0, false), row(20.0, false), row(30.0, true), row(40.0, true)];
        let forest = train(Kind::Tcp, &rows, Growth { depth: 1, rate: 0.3 }).unwrap();
        assert_eq!(forest.init, 0.0);
        let at = forest.features.iter().position(|name| name == "FLOW_COUNT").unwrap();
        assert_eq!((forest.mean[at], forest.scale[at]), (25.0, 125.0_f64.sqrt()));
        let tree = &forest.trees[0];
        assert_eq!((tree.feature.as_slice(), tree.value.as_slice()), (&[at as i32, -2, -2][..], &[0.0, -2.0, 2.0][..]));
        assert!(tree.threshold[0].abs() < 1e-7, "in the middle");
        // The second tree sees chances of 1 / (1 + e^-0.6).
        let chance = logistic(0.6);
        let second = (1.0 - chance) / (chance * (1.0 - chance));
        assert!((forest.trees[1].value[2] - second).abs() < 1e-9);
    }

    #[test]
    fn equal_rows_are_not_split() {
        let row = |is_attack| Labelled { sample: Sample::default(), is_attack };
        let forest = train(Kind::Icmp, &[row(true), row(false), row(true)], Growth::of(Kind::Icmp)).unwrap();
        assert!(forest.trees.iter().all(|tree| tree.feature == [-2]));
        assert!((forest.probability(&Sample::default()) - 2.0 / 3.0).abs() < 1e-9);
    }
}
