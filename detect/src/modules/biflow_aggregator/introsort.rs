//! The sort of the original's C++ library (libstdc++), because it is not stable and its order of equal keys shows: introspective sort
//! (Musser 1997) with the median of three, runs of 16 left to a final insertion sort.
use std::cmp::Ordering;

/// Runs up to this length are left to insertion.
const RUN: usize = 16;

/// Sorts by `compare`. Every index is checked, so that keys without an order (not a number) cannot lead out of the slice.
pub(super) fn sort<T: Copy>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let is_less = |a: &T, b: &T| compare(a, b) == Ordering::Less;
    if items.len() > RUN {
        let depth = 2 * items.len().ilog2();
        split(items, depth, &is_less);
        let (head, _) = items.split_at_mut(RUN);
        insertion(head, 1, &is_less);
        insert_from(items, RUN, &is_less);
    } else {
        insertion(items, 1, &is_less);
    }
}

/// Partitions until runs are short; recursion is as deep as `depth`, at the most.
fn split<T: Copy>(mut items: &mut [T], mut depth: u32, is_less: &impl Fn(&T, &T) -> bool) {
    while items.len() > RUN {
        if depth == 0 {
            // As the original does; keys that lead here are made for it, and equal ones may stand as they like.
            return heap_sort(items, is_less);
        }
        depth -= 1;
        let last = items.len() - 1;
        median_to_front(items, 1, items.len() / 2, last, is_less);
        let cut = partition(items, is_less);
        let (left, right) = items.split_at_mut(cut);
        split(right, depth, is_less);
        items = left;
    }
}

/// For keys that defeat the partition.
fn heap_sort<T: Copy>(items: &mut [T], is_less: &impl Fn(&T, &T) -> bool) {
    let sift = |items: &mut [T], mut at: usize| {
        while let Some(mut child) = Some(2 * at + 1).filter(|child| *child < items.len()) {
            if child + 1 < items.len() && is_less(&items[child], &items[child + 1]) {
                child += 1;
            }
            if !is_less(&items[at], &items[child]) {
                break;
            }
            items.swap(at, child);
            at = child;
        }
    };
    (0..items.len() / 2).rev().for_each(|at| sift(items, at));
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sift(&mut items[..end], 0);
    }
}

/// Swaps the median of three places with the first item.
fn median_to_front<T: Copy>(items: &mut [T], a: usize, b: usize, c: usize, is_less: &impl Fn(&T, &T) -> bool) {
    let less = |x: usize, y: usize| is_less(&items[x], &items[y]);
    let median = if less(a, b) {
        if less(b, c) {
            b
        } else if less(a, c) {
            c
        } else {
            a
        }
    } else if less(a, c) {
        a
    } else if less(b, c) {
        c
    } else {
        b
    };
    items.swap(0, median);
}

/// Moves what is less than the first item before what is not; answers where that begins.
fn partition<T: Copy>(items: &mut [T], is_less: &impl Fn(&T, &T) -> bool) -> usize {
    let pivot = items[0];
    let (mut first, mut last) = (1, items.len());
    loop {
        while first + 1 < items.len() && is_less(&items[first], &pivot) {
            first += 1;
        }
        last -= 1;
        while last > 1 && is_less(&pivot, &items[last]) {
            last -= 1;
        }
        if first >= last {
            return first;
        }
        items.swap(first, last);
        first += 1;
    }
}

/// Insertion sort; what is less than all before it goes to the front at once.
fn insertion<T: Copy>(items: &mut [T], from: usize, is_less: &impl Fn(&T, &T) -> bool) {
    for at in from..items.len() {
        if is_less(&items[at], &items[0]) {
            items[..=at].rotate_right(1);
        } else {
            insert(items, at, is_less);
        }
    }
}

fn insert_from<T: Copy>(items: &mut [T], from: usize, is_less: &impl Fn(&T, &T) -> bool) {
    (from..items.len()).for_each(|at| insert(items, at, is_less));
}

/// Moves an item before those that are greater.
fn insert<T: Copy>(items: &mut [T], at: usize, is_less: &impl Fn(&T, &T) -> bool) {
    let item = items[at];
    let to = (0..at).rev().find(|before| !is_less(&item, &items[*before])).map_or(0, |before| before + 1);
    items[to..=at].rotate_right(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_in_order_and_nothing_is_lost(keys in prop::collection::vec(0u8..20, 0..300)) {
            let mut items: Vec<_> = keys.iter().copied().enumerate().collect();
            sort(&mut items, |a, b| a.1.cmp(&b.1));
            prop_assert!(items.is_sorted_by_key(|(_, key)| *key));
            items.sort_unstable();
            prop_assert!(items.iter().map(|(at, _)| *at).eq(0..keys.len()));
        }

        #[test]
        fn the_last_resort_sorts(keys in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut items = keys;
            heap_sort(&mut items, &|a, b| a < b);
            prop_assert!(items.is_sorted());
        }

        #[test]
        fn keys_without_an_order_stay_inside(keys in prop::collection::vec(prop::num::f32::ANY, 0..300)) {
            let mut items = keys.clone();
            sort(&mut items, |a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
            prop_assert_eq!(items.len(), keys.len());
        }
    }
}
