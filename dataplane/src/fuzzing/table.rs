//! F9: the flow table against a map.
use crate::flow::Flow;
use crate::flow::FlowKey;
use crate::flow::key::HashSeed;
use crate::flow::table::{Shape, Slot, Table};
use record::Time;
use std::collections::BTreeMap;

const SEED: HashSeed = HashSeed::fixed([2, 4, 6, 9]);

/// The first byte is the shape; then steps of three bytes: what, which flow, how many seconds later. After each step the table holds
/// exactly the flows of the map, and finds each.
pub(super) fn fuzz_table(data: &[u8]) {
    let Some((shape, steps)) = data.split_first() else { return };
    let mut table = Table::new(Shape { size_exp: 4 + u32::from(shape & 3), line_exp: u32::from(shape >> 2 & 7) })
        .expect("a small table fits");
    let mut model: BTreeMap<u8, u64> = BTreeMap::new();
    let mut second = 1_600_000_000;
    for step in steps.chunks_exact(3) {
        let &[what, number, wait] = step else { break };
        second += u64::from(wait);
        let (key, hash) = key(number);
        table.prefetch_tags(hash);
        let place = table.prefetch_flow(hash, key.ip_version() != 4, || second);
        let found = table.find(hash, &key);
        assert!(
            table.at(place, hash, &key).is_none() || found == Some(place),
            "the probable place is the place, or none"
        );
        assert_eq!(found.is_some(), model.contains_key(&number));
        match (what % 4, found) {
            (0 | 1, Some(slot)) => {
                table.touch(slot, second);
                table.flow_mut(slot).last = Time(second * 1_000_000_000);
                model.insert(number, second);
            }
            (0 | 1, None) => open(&mut table, &mut model, number, second),
            (2, Some(slot)) => {
                table.remove(slot);
                model.remove(&number);
            }
            (2, None) => {}
            _ => sweep(&mut table, &mut model, second, u16::from(number) + 1),
        }
        check(&table, &model);
    }
}

fn open(table: &mut Table, model: &mut BTreeMap<u8, u64>, number: u8, second: u64) {
    let (key, hash) = key(number);
    let slot = match table.room(hash, second) {
        Ok(free) => free,
        Err(victim) => {
            model.remove(&owner(table, victim)).expect("the victim is live");
            table.remove(victim);
            victim
        }
    };
    table.insert(slot, hash, Flow { last: Time(second * 1_000_000_000), ..Flow::of(key) });
    model.insert(number, second);
}

/// One whole round finds each quiet flow once and no other.
fn sweep(table: &mut Table, model: &mut BTreeMap<u8, u64>, second: u64, timeout: u16) {
    let mut idle = Vec::new();
    table.sweep(usize::MAX, second, timeout, 1, &mut idle);
    let mut quiet: Vec<u8> = idle.iter().map(|slot| owner(table, *slot)).collect();
    quiet.sort_unstable();
    // The table keeps 16 bits of the second; the cache compares the whole time of what it names.
    let is_quiet = |last: u64| (second as u16).wrapping_sub(last as u16) >= timeout;
    let expected: Vec<u8> = model.iter().filter(|(_, last)| is_quiet(**last)).map(|(n, _)| *n).collect();
    assert_eq!(quiet, expected);
    for slot in idle {
        model.remove(&owner(table, slot));
        table.remove(slot);
    }
}

fn check(table: &Table, model: &BTreeMap<u8, u64>) {
    assert_eq!(table.live(), model.len());
    assert!(table.live() <= table.capacity());
    let mut held: Vec<u8> = table.slots().map(|slot| owner(table, slot)).collect();
    held.sort_unstable();
    assert!(held.iter().eq(model.keys()));
}

fn owner(table: &Table, slot: Slot) -> u8 {
    table.flow(slot).key().endpoints().0.port as u8
}

/// The flow's number is the port of its first endpoint.
fn key(number: u8) -> (FlowKey, u64) {
    let (key, _) = FlowKey::v4([10, 0, 0, 1], [10, 0, 0, 2], u16::from(number), 1_000, 6, 0, false);
    (key, key.hash(SEED))
}
