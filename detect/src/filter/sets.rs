//! Lists of values as sorted ranges.
use std::net::IpAddr;

/// Addresses: disjoint ranges in ascending order, each version by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Addresses {
    /// The addresses of all prefixes; overlapping ones are joined.
    pub(super) fn new(prefixes: impl IntoIterator<Item = (IpAddr, u8)>) -> Addresses {
        let mut set = Addresses::default();
        for (address, bits) in prefixes {
            match address {
                IpAddr::V4(v4) => {
                    let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
                    set.v4.push((v4.to_bits() & !hosts, v4.to_bits() | hosts));
                }
                IpAddr::V6(v6) => {
                    let hosts = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
                    set.v6.push((v6.to_bits() & !hosts, v6.to_bits() | hosts));
                }
            }
        }
        join(&mut set.v4);
        join(&mut set.v6);
        set
    }

    /// Whether an address in UniRec form, read in network order, is in the set.
    #[inline]
    pub(super) fn contains(&self, address: u128) -> bool {
        if is_v4(address) { find(&self.v4, (address >> 32) as u32) } else { find(&self.v6, address) }
    }
}

/// Numbers, ascending and each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers(Vec<u64>);

impl Numbers {
    pub(super) fn new(mut values: Vec<u64>) -> Numbers {
        values.sort_unstable();
        values.dedup();
        Numbers(values)
    }

    #[inline]
    pub(super) fn contains(&self, value: u64) -> bool {
        self.0.binary_search(&value).is_ok()
    }
}

/// UniRec form of IPv4: eight zero bytes before it, four of 0xff behind it (spec/unirec.md section 4).
#[inline]
pub(super) const fn is_v4(address: u128) -> bool {
    address >> 64 == 0 && address as u32 == u32::MAX
}

/// UniRec form of an address, read in network order.
pub(super) fn to_unirec(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 32 | u128::from(u32::MAX),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Sorts ranges and joins those that overlap.
fn join<T: Ord + Copy>(ranges: &mut Vec<(T, T)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, last| {
        let overlaps = next.0 <= last.1;
        if overlaps {
            last.1 = last.1.max(next.1);
        }
        overlaps
    });
}

#[inline]
fn find<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= value);
    behind.checked_sub(1).is_some_and(|at| value <= ranges[at].1)
}
