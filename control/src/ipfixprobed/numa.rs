//! The processors near a network card, by sysfs.
use crate::ipfixprobed::yaml::numbers;
use std::fs::read_to_string;

/// Processors of the NUMA node that a card on the PCI bus (`0000:d8:00.0`) hangs on, node 0 where the card does not say; `None` if
/// there is no such node.
pub(super) fn cpus_near(card: &str) -> Option<Vec<u32>> {
    let is_address = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
    let node = Some(card)
        .filter(|card| card.chars().all(is_address))
        .and_then(|card| read_to_string(format!("/sys/bus/pci/devices/{card}/numa_node")).ok())
        .and_then(|node| node.trim().parse::<u32>().ok())
        .unwrap_or(0);
    let list = read_to_string(format!("/sys/devices/system/node/node{node}/cpulist")).ok()?;
    numbers(list.trim()).ok()
}
