//! Names counted by their labels, from the last label to the first: how many are new, how many come again, and how many labels lie below
//! each domain.
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Labels of one set of names; some 60 bytes each. Names beyond are counted as new ones and not remembered.
pub(super) const LABELS_MAX: usize = 131_072;
/// A name is rare until it came so often.
const RARE_BELOW: u32 = 10;
/// A domain counts for the share of labels below it when there are more of them.
const RANKED_ABOVE: u32 = 10;
/// A name that came more often is one of the most used.
const USED_ABOVE: u32 = 20;
/// Depth of the domains whose share matters: `example.com`.
const SHARE_DEPTH: u16 = 2;
const ROOT: u32 = 0;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Names {
    nodes: Vec<Node>,
    /// Texts of all labels, one after the other.
    texts: Vec<u8>,
    /// Place of a label by the hash of itself and its parent, which is keyed: equal hashes of different ones do not occur.
    places: HashMap<u64, u32>,
    keys: RandomState,
    /// All insertions.
    pub(super) inserting: u64,
    /// Names that are rare.
    rare: u64,
    /// Different names.
    different: u64,
    /// Insertions, those of rare names counted once.
    weighed: u64,
    /// Labels below the ranked domain with most of them.
    most_below: u32,
    most_used: Option<u32>,
    /// Names that found no room, and the last of them.
    pub(super) unstored: u64,
    last_unstored: Option<(u64, Box<[u8]>)>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    parent: u32,
    at: u32,
    length: u16,
    depth: u16,
    /// How often the name that ends here came.
    count: u32,
    /// Labels below.
    below: u32,
    /// Value of `different` when the name came first.
    first: u64,
}

impl Names {
    pub(super) fn new() -> Names {
        Names {
            nodes: vec![Node::default()],
            texts: Vec::new(),
            places: HashMap::new(),
            keys: RandomState::new(),
            inserting: 0,
            rare: 0,
            different: 0,
            weighed: 0,
            most_below: 0,
            most_used: None,
            unstored: 0,
            last_unstored: None,
        }
    }

    /// Counts a name. An empty label is a new one each time, as in the original.
    pub(super) fn insert(&mut self, name: &[u8]) {
        let mut node = ROOT;
        let mut rest = Some(name);
        while let Some(text) = rest {
            let (label, before) = last_label(text);
            let known = if label.is_empty() { None } else { self.places.get(&self.key(node, label)).copied() };
            let Some(next) = known else { break };
            (node, rest) = (next, before);
        }
        self.inserting += 1;
        if let Some(missing) = rest {
            let count = missing.iter().filter(|byte| **byte == b'.').count() as u32 + 1;
            self.add_below(node, count);
            if self.nodes.len() + count as usize > LABELS_MAX {
                self.unstored += 1;
                self.count_new();
                self.last_unstored = Some((self.different, name.into()));
                return;
            }
            node = self.store(node, missing, count);
        }
        self.count(node);
    }

    /// Share of rare names in insertions; not a number when there are none.
    pub(super) fn rare_share(&self) -> f64 {
        self.rare as f64 / self.weighed as f64
    }

    /// Share of different names in insertions.
    pub(super) fn different_share(&self) -> f64 {
        self.different as f64 / self.weighed as f64
    }

    /// Rare and different names as shares of all insertions.
    pub(super) fn plain_shares(&self) -> (f64, f64) {
        (self.rare as f64 / self.inserting as f64, self.different as f64 / self.inserting as f64)
    }

    /// Share of the labels that lie below the domain of depth 2 with most of them.
    pub(super) fn domain_share(&self) -> f64 {
        if self.most_below == 0 { 0.0 } else { f64::from(self.most_below) / f64::from(self.nodes[0].below) }
    }

    /// Rare names with their counts, the newest first.
    pub(super) fn newest(&self, count: usize) -> Vec<(Vec<u8>, u32)> {
        let is_rare = |node: &&Node| (1..RARE_BELOW).contains(&node.count);
        let mut found: Vec<_> =
            self.nodes.iter().filter(is_rare).map(|node| (node.first, self.text(node), node.count)).collect();
        found.extend(self.last_unstored.as_ref().map(|(first, name)| (*first, name.to_vec(), 1)));
        found.sort_unstable_by_key(|(first, ..)| std::cmp::Reverse(*first));
        found.into_iter().take(count).map(|(_, name, count)| (name, count)).collect()
    }

    /// The rare name that came first for the first time last.
    pub(super) fn newest_one(&self) -> Option<Vec<u8>> {
        let stored =
            self.nodes.iter().filter(|node| (1..RARE_BELOW).contains(&node.count)).max_by_key(|node| node.first);
        match (&self.last_unstored, stored) {
            (Some((first, name)), node) if node.is_none_or(|node| node.first < *first) => Some(name.to_vec()),
            (_, node) => node.map(|node| self.text(node)),
        }
    }

    /// The name that came most often, if it is one of the most used.
    pub(super) fn most_used_one(&self) -> Option<Vec<u8>> {
        self.most_used.map(|at| self.text(&self.nodes[at as usize]))
    }

    /// Most used names with their counts, the most used first.
    pub(super) fn most_used(&self, count: usize) -> Vec<(Vec<u8>, u32)> {
        let mut found: Vec<_> = self.nodes.iter().filter(|node| node.count > USED_ABOVE).collect();
        found.sort_by_key(|node| std::cmp::Reverse(node.count));
        found.into_iter().take(count).map(|node| (self.text(node), node.count)).collect()
    }

    /// The name that ends at a node.
    fn text(&self, node: &Node) -> Vec<u8> {
        let mut text = Vec::new();
        let mut node = node;
        loop {
            let at = node.at as usize;
            text.extend_from_slice(&self.texts[at..at + usize::from(node.length)]);
            if node.parent == ROOT {
                return text;
            }
            text.push(b'.');
            node = &self.nodes[node.parent as usize];
        }
    }

    fn key(&self, parent: u32, label: &[u8]) -> u64 {
        self.keys.hash_one((parent, label))
    }

    /// Makes nodes of the labels of `missing` below `node` and answers the last one.
    fn store(&mut self, mut node: u32, missing: &[u8], count: u32) -> u32 {
        let mut rest = Some(missing);
        let mut below = count;
        while let Some(text) = rest {
            let (label, before) = last_label(text);
            below -= 1;
            // LABELS_MAX and the longest text fit.
            let (place, at) = (self.nodes.len() as u32, self.texts.len() as u32);
            let depth = self.nodes[node as usize].depth + 1;
            if depth == SHARE_DEPTH && below > RANKED_ABOVE {
                self.most_below = self.most_below.max(below);
            }
            self.places.insert(self.key(node, label), place);
            self.texts.extend_from_slice(label);
            let length = label.len() as u16;
            self.nodes.push(Node { parent: node, at, length, depth, below, ..Node::default() });
            (node, rest) = (place, before);
        }
        node
    }

    /// Counts new labels below a node and what is above it.
    fn add_below(&mut self, mut node: u32, count: u32) {
        loop {
            let here = &mut self.nodes[node as usize];
            here.below = here.below.saturating_add(count);
            if here.depth == SHARE_DEPTH && here.below > RANKED_ABOVE {
                self.most_below = self.most_below.max(here.below);
            }
            if node == ROOT {
                return;
            }
            node = here.parent;
        }
    }

    fn count(&mut self, at: u32) {
        let node = &mut self.nodes[at as usize];
        node.count = node.count.saturating_add(1);
        let count = node.count;
        match count {
            1 => {
                self.count_new();
                self.nodes[at as usize].first = self.different;
            }
            RARE_BELOW => {
                self.weighed += u64::from(RARE_BELOW) - 1;
                self.rare -= 1;
            }
            count if count > RARE_BELOW => self.weighed += 1,
            _ => {}
        }
        if count > USED_ABOVE && self.most_used.is_none_or(|most| self.nodes[most as usize].count < count) {
            self.most_used = Some(at);
        }
    }

    fn count_new(&mut self) {
        self.rare += 1;
        self.different += 1;
        self.weighed += 1;
    }
}

/// The last label of a name, and what is before its dot.
fn last_label(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    match name.iter().rposition(|byte| *byte == b'.') {
        Some(dot) => (&name[dot + 1..], Some(&name[..dot])),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Names {
        let mut names = Names::new();
        list.iter().for_each(|name| names.insert(name.as_bytes()));
        names
    }

    #[test]
    fn labels_are_counted() {
        let many: Vec<_> = (0..31).map(|n| format!("a{n}.b{n}.example.com")).collect();
        let names = names(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((names.inserting, names.rare, names.different, names.weighed), (31, 31, 31, 31));
        assert_eq!(names.domain_share(), 62.0 / 64.0);
        assert_eq!(names.newest_one().unwrap(), b"a30.b30.example.com");
        assert_eq!(names.newest(2)[1], (b"a29.b29.example.com".to_vec(), 1));
        assert_eq!(names.most_used_one(), None);
    }

    #[test]
    fn names_that_come_often_are_not_rare() {
        let mut names = names(&["com", "b.com", "a.b.com"]);
        (0..25).for_each(|_| names.insert(b"b.com"));
        // "b.com" 26 times: 9 when it reached 10 and one for each of 16 more.
        assert_eq!((names.inserting, names.rare, names.different, names.weighed), (28, 2, 3, 3 + 9 + 16));
        assert_eq!(
            (names.newest_one().unwrap(), names.most_used_one().unwrap()),
            (b"a.b.com".to_vec(), b"b.com".to_vec())
        );
        assert_eq!(names.most_used(5), [(b"b.com".to_vec(), 26)]);
        assert_eq!(names.domain_share(), 0.0);
    }

    #[test]
    fn empty_labels_are_always_new() {
        let names = names(&["a.com.", "a.com.", "a..com", "a..com"]);
        assert_eq!((names.different, names.nodes[0].below), (4, 3 + 3 + 3 + 2));
        assert_eq!(names.newest_one().unwrap(), b"a..com");
    }

    #[test]
    fn a_full_set_counts_on() {
        let mut names = Names::new();
        for n in 0..LABELS_MAX as u32 + 100 {
            names.insert(format!("n{n}.x").as_bytes());
        }
        assert_eq!((names.nodes.len(), names.unstored), (LABELS_MAX, 102));
        assert_eq!((names.rare_share(), names.different_share()), (1.0, 1.0));
        assert_eq!(names.newest_one().unwrap(), format!("n{}.x", LABELS_MAX + 99).as_bytes());
        assert_eq!(names.nodes[0].below as usize, LABELS_MAX + 101);
    }
}
