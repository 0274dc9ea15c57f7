//! Prefix examination: one number called with many prefixes (spec/detectors.md section 7, step 3).
use super::targets::{ROOT, Targets};
use std::collections::HashSet;

/// What was found in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// The branch, which is to be removed.
    pub(super) branch: u32,
    /// Different targets with a prefix, without those that are none.
    pub(super) count: u32,
    pub(super) weight: Weight,
}

/// What the targets of a branch are together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// What is no examination: targets that were called, and branches whose prefix is too long.
    minus: u32,
    /// Targets that took a call.
    pub(super) taken: u32,
    pub(super) invites: u32,
    pub(super) oks: u32,
    /// The target with the longest prefix that took no call, the first one in the order of bytes.
    pub(super) example: u32,
    pub(super) prefix_length: u32,
    /// Prefix lengths of all targets, with whether a call was taken; only if they are asked for.
    pub(super) prefixes: Vec<(u32, u32, bool)>,
}

/// Looks for a branch of more than `threshold` targets that differ in a prefix of at most `length_max` characters; the first one in
/// the order of bytes, backwards. `wants_prefixes` fills [`Weight::prefixes`].
pub(super) fn examine(tree: &Targets, threshold: u32, length_max: u32, wants_prefixes: bool) -> Option<Finding> {
    if tree.len() <= threshold {
        return None;
    }
    let mut harmless = HashSet::new();
    let mut next = vec![ROOT];
    while let Some(at) = next.pop() {
        if is_below(tree, at, &harmless) {
            continue;
        }
        if !tree.is_leaf(at) {
            next.extend(tree.children(at).rev());
            continue;
        }
        let branch = branch_of(tree, at, length_max);
        let all = tree.count(branch);
        if all <= threshold {
            continue;
        }
        let weight = weigh(tree, branch, length_max, wants_prefixes);
        let count = all.saturating_sub(weight.minus);
        if count > threshold {
            return Some(Finding { branch, count, weight });
        }
        harmless.insert(branch);
    }
    None
}

/// Whether a node or one above it is in the set.
fn is_below(tree: &Targets, at: u32, set: &HashSet<u32>) -> bool {
    !set.is_empty() && std::iter::successors(Some(at), |at| tree.parent(*at)).any(|at| set.contains(&at))
}

/// The branch that a leaf can be a prefix in: up from it until strings are longer than a prefix may be, or the number ends.
fn branch_of(tree: &Targets, leaf: u32, length_max: u32) -> u32 {
    let (mut at, mut length) = (leaf, 0);
    loop {
        let (here, has_at) = tree.text(at);
        length += here;
        match tree.parent(at) {
            Some(parent) if length <= length_max && !has_at => at = parent,
            _ => return at,
        }
    }
}

fn weigh(tree: &Targets, branch: u32, length_max: u32, wants_prefixes: bool) -> Weight {
    let mut weight = Weight { example: branch, ..Weight::default() };
    let mut next = vec![(branch, 0)];
    while let Some((at, above)) = next.pop() {
        let (here, has_at) = tree.text(at);
        let length = if at == branch || has_at { above } else { above + here };
        if length > length_max {
            weight.minus += tree.count(at) + 1;
            continue;
        }
        if let Some(target) = tree.target(at) {
            let is_taken = target.oks > 0;
            if is_taken {
                weight.minus += 1;
                weight.taken += 1;
            } else if length > weight.prefix_length {
                (weight.example, weight.prefix_length) = (at, length);
            }
            weight.invites = weight.invites.saturating_add(target.invites);
            weight.oks = weight.oks.saturating_add(target.oks);
            if wants_prefixes {
                weight.prefixes.push((at, length, is_taken));
            }
        }
        next.extend(tree.children(at).rev().map(|child| (child, length)));
    }
    weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> Targets {
        let mut tree = Targets::default();
        for name in names {
            tree.insert(name.as_bytes()).0.invites += 1;
        }
        tree
    }

    const PREFIXES: [&str; 4] = ["1420@x", "2420@x", "00420@x", "01420@x"];

    #[test]
    fn many_prefixes_of_one_number() {
        let found = examine(&tree(&PREFIXES), 3, 10, true);
        let Finding { branch, count, weight } = found.unwrap();
        let tree = tree(&PREFIXES);
        assert_eq!((tree.name(branch), count, weight.invites), (b"420@x".to_vec(), 4, 4));
        assert_eq!((tree.name(weight.example), weight.prefix_length), (b"00420@x".to_vec(), 2));
        let prefixes: Vec<_> = weight.prefixes.iter().map(|(at, length, _)| (tree.name(*at), *length)).collect();
        assert_eq!(prefixes[0], (b"00420@x".to_vec(), 2));
        assert_eq!(prefixes.len(), 4);
        assert_eq!(examine(&tree, 4, 10, false), None);
    }

    #[test]
    fn calls_that_were_taken_do_not_count() {
        let mut tree = tree(&PREFIXES);
        tree.find(b"00420@x").unwrap().oks = 2;
        assert_eq!(examine(&tree, 3, 10, false), None);
        let Finding { count, weight, .. } = examine(&tree, 2, 10, false).unwrap();
        assert_eq!((count, weight.taken, weight.oks), (3, 1, 2));
        assert_eq!((tree.name(weight.example), weight.prefix_length), (b"01420@x".to_vec(), 2));
    }

    #[test]
    fn long_prefixes_are_other_numbers() {
        let names: Vec<_> = (10..40).map(|n| format!("{n}777777@x")).collect();
        let tree = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(examine(&tree, 29, 1, false), None);
        assert_eq!(examine(&tree, 29, 2, false).unwrap().count, 30);
    }

    #[test]
    fn an_empty_tree() {
        assert_eq!(examine(&Targets::default(), 1, 10, false), None);
    }
}
