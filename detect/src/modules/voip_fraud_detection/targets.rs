//! Called parties in a tree from their last character to the first, so that one number behind many prefixes is one branch.
//!
//! Nodes are strings without a common beginning, children are in the order of bytes: the shape depends on what is in the tree alone,
//! but for parts that were removed, whose neighbours join as in the original.
use std::collections::BTreeMap;

/// Hashes of Call-IDs that are remembered of a target; then the oldest makes room.
const CALLS_MAX: usize = 100;
pub(super) const ROOT: u32 = 0;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Targets {
    nodes: Vec<Node>,
    /// Nodes that may be used again.
    free: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    parent: Option<u32>,
    /// Backwards.
    text: Box<[u8]>,
    /// Once there was one there is a map, so that a node whose children were removed is no leaf; by the first character.
    children: Option<BTreeMap<u8, u32>>,
    /// Targets that end here or below.
    count: u32,
    target: Option<Box<Target>>,
}

/// What is known of a called party.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) invites: u32,
    /// Calls that were taken.
    pub(super) oks: u32,
    /// Agent of the last INVITE.
    pub(super) agent: Box<[u8]>,
    calls: Vec<u64>,
    /// Where the next call goes when there is no more room.
    next: usize,
}

impl Target {
    /// Whether there was an INVITE of this call.
    pub(super) fn has_call(&self, hash: u64) -> bool {
        self.calls.contains(&hash)
    }

    pub(super) fn add_call(&mut self, hash: u64) {
        if self.has_call(hash) {
            return;
        }
        if self.calls.len() < CALLS_MAX {
            self.calls.push(hash);
            return;
        }
        self.calls[self.next] = hash;
        self.next = (self.next + 1) % CALLS_MAX;
    }
}

impl Default for Targets {
    fn default() -> Targets {
        Targets { nodes: vec![Node::default()], free: Vec::new() }
    }
}

impl Targets {
    /// The target of this name, which is not empty, and whether it is new.
    pub(super) fn insert(&mut self, name: &[u8]) -> (&mut Target, bool) {
        let backwards: Vec<u8> = name.iter().rev().copied().collect();
        let mut rest = &backwards[..];
        let mut at = ROOT;
        while let Some(first) = rest.first() {
            let child = self.node(at).children.as_ref().and_then(|children| children.get(first)).copied();
            let Some(child) = child else {
                at = self.add_child(at, rest);
                break;
            };
            let text = &self.node(child).text;
            let common = text.iter().zip(rest).take_while(|(a, b)| a == b).count();
            at = if common < text.len() { self.split(child, common) } else { child };
            rest = &rest[common..];
        }
        let is_new = self.node(at).target.is_none();
        if is_new {
            self.add_to_count(at, 1);
        }
        (self.nodes[at as usize].target.get_or_insert_default(), is_new)
    }

    /// The target of this name.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<&mut Target> {
        let backwards: Vec<u8> = name.iter().rev().copied().collect();
        let mut rest = &backwards[..];
        let mut at = ROOT;
        while let Some(first) = rest.first() {
            at = *self.node(at).children.as_ref()?.get(first)?;
            rest = rest.strip_prefix(&*self.node(at).text)?;
        }
        self.nodes[at as usize].target.as_deref_mut()
    }

    /// Targets in the tree.
    pub(super) fn len(&self) -> u32 {
        self.count(ROOT)
    }

    /// Targets at a node and below.
    pub(super) fn count(&self, at: u32) -> u32 {
        self.node(at).count
    }

    pub(super) fn parent(&self, at: u32) -> Option<u32> {
        self.node(at).parent
    }

    /// Length of a node's string, and whether it has an `@`.
    pub(super) fn text(&self, at: u32) -> (u32, bool) {
        let text = &self.node(at).text;
        (text.len() as u32, text.contains(&b'@'))
    }

    pub(super) fn target(&self, at: u32) -> Option<&Target> {
        self.node(at).target.as_deref()
    }

    pub(super) fn is_leaf(&self, at: u32) -> bool {
        self.node(at).children.is_none()
    }

    /// Children in the order of bytes.
    pub(super) fn children(&self, at: u32) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.node(at).children.iter().flat_map(|children| children.values().copied())
    }

    /// The name that ends at a node.
    pub(super) fn name(&self, at: u32) -> Vec<u8> {
        let mut name = Vec::new();
        let mut next = Some(at);
        while let Some(at) = next {
            let node = self.node(at);
            name.extend(node.text.iter().rev());
            next = node.parent;
        }
        name
    }

    /// Removes a node and what is below it.
    pub(super) fn remove(&mut self, at: u32) {
        let Some(parent) = self.node(at).parent else {
            *self = Targets::default();
            return;
        };
        let count = self.node(at).count;
        let first = self.node(at).text.first().copied();
        if let (Some(children), Some(first)) = (&mut self.nodes[parent as usize].children, first) {
            children.remove(&first);
        }
        let mut gone = vec![at];
        while let Some(at) = gone.pop() {
            gone.extend(self.children(at));
            self.nodes[at as usize] = Node::default();
            self.free.push(at);
        }
        self.add_to_count(parent, count.wrapping_neg());
        self.join(parent);
    }

    fn node(&self, at: u32) -> &Node {
        &self.nodes[at as usize]
    }

    /// Counts up to the root; a count never goes below zero.
    fn add_to_count(&mut self, at: u32, more: u32) {
        let mut next = Some(at);
        while let Some(at) = next {
            let node = &mut self.nodes[at as usize];
            node.count = node.count.wrapping_add(more);
            next = node.parent;
        }
    }

    fn place(&mut self, node: Node) -> u32 {
        if let Some(at) = self.free.pop() {
            self.nodes[at as usize] = node;
            return at;
        }
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }

    fn add_child(&mut self, parent: u32, text: &[u8]) -> u32 {
        let at = self.place(Node { parent: Some(parent), text: text.into(), ..Node::default() });
        self.nodes[parent as usize].children.get_or_insert_default().insert(text[0], at);
        at
    }

    /// Parts a node after so many bytes, one at least, and answers the first part.
    fn split(&mut self, at: u32, after: usize) -> u32 {
        let (parent, count) = (self.node(at).parent, self.node(at).count);
        let text = std::mem::take(&mut self.nodes[at as usize].text);
        let (before, behind) = text.split_at(after);
        let children = Some(BTreeMap::from([(behind[0], at)]));
        let first = self.place(Node { parent, text: before.into(), children, count, target: None });
        let node = &mut self.nodes[at as usize];
        (node.text, node.parent) = (behind.into(), Some(first));
        let siblings = parent.and_then(|parent| self.nodes[parent as usize].children.as_mut());
        siblings.map(|siblings| siblings.insert(before[0], first));
        first
    }

    /// Makes one node of a node that is no target and its only child.
    fn join(&mut self, at: u32) {
        let node = self.node(at);
        if at == ROOT || node.target.is_some() {
            return;
        }
        let mut children = self.children(at);
        let (Some(child), None) = (children.next(), children.next()) else { return };
        drop(children);
        let child_node = std::mem::take(&mut self.nodes[child as usize]);
        self.free.push(child);
        for below in child_node.children.iter().flat_map(BTreeMap::values) {
            self.nodes[*below as usize].parent = Some(at);
        }
        let node = &mut self.nodes[at as usize];
        node.text = [&node.text[..], &child_node.text].concat().into();
        (node.children, node.count, node.target) = (child_node.children, child_node.count, child_node.target);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn tree(names: &[&str]) -> Targets {
        let mut tree = Targets::default();
        for name in names {
            tree.insert(name.as_bytes());
        }
        tree
    }

    #[test]
    fn calls_are_remembered_up_to_a_bound() {
        let mut target = Target::default();
        for hash in 0..CALLS_MAX as u64 + 2 {
            target.add_call(hash);
            target.add_call(hash);
        }
        assert!(!target.has_call(0) && !target.has_call(1) && target.has_call(2) && target.has_call(101));
    }

    #[test]
    fn one_number_is_one_branch() {
        let mut tree = tree(&["1420@x", "2420@x", "3420@x", "3421@x"]);
        let top = tree.children(ROOT).next().unwrap();
        assert_eq!((tree.text(top), tree.count(top), tree.len()), ((2, true), 4, 4));
        let number = tree.children(top).next().unwrap();
        assert_eq!((tree.name(number), tree.count(number)), (b"420@x".to_vec(), 3));
        let leaves: Vec<_> = tree.children(number).map(|at| tree.name(at)).collect();
        assert_eq!(leaves, [b"1420@x", b"2420@x", b"3420@x"]);
        tree.remove(number);
        // What is left is one node.
        let top = tree.children(ROOT).next().unwrap();
        assert_eq!((tree.name(top), tree.len(), tree.is_leaf(top)), (b"3421@x".to_vec(), 1, true));
        assert!(tree.find(b"1420@x").is_none() && tree.find(b"3421@x").is_some() && tree.find(b"421@x").is_none());
        tree.remove(ROOT);
        assert!(tree.is_leaf(ROOT) && tree.len() == 0);
    }

    proptest! {
        /// Against a plain set, with branches removed in between.
        #[test]
        fn as_a_plain_set(steps in proptest::collection::vec(("[ab@]{1,6}", 0..8_u8), 0..60)) {
            let mut tree = Targets::default();
            let mut set = BTreeSet::new();
            for (name, step) in steps {
                if step == 0 {
                    let branch = tree.children(ROOT).next_back();
                    let Some(branch) = branch else { continue };
                    let branch = tree.children(branch).next().unwrap_or(branch);
                    let end = tree.name(branch);
                    tree.remove(branch);
                    set.retain(|name: &String| !name.as_bytes().ends_with(&end));
                } else {
                    let is_new = tree.insert(name.as_bytes()).1;
                    prop_assert_eq!(is_new, set.insert(name));
                }
                prop_assert_eq!(tree.len() as usize, set.len());
                prop_assert!(set.iter().all(|name| tree.find(name.as_bytes()).is_some()));
                prop_assert!(tree.nodes.len() - tree.free.len() <= 2 * set.len() + 1);
            }
        }
    }
}
