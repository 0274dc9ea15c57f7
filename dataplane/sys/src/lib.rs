//! The one floor that may say `unsafe`: each thing here is small, safe from outside, and says why at its block.
#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

mod barrier;
mod bpf;
mod clock;
#[cfg(feature = "counting-allocator")]
mod counting;
mod cpus;
mod device_bound;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod handover;
mod interfaces;
pub mod lanes;
mod map;
mod nic;
pub mod packet_ring;
mod pages;
mod prefetch;
pub mod privileges;
mod ready;
pub mod rss;
pub mod seccomp;
mod send;
mod shared;
mod threads;
pub mod xsk;

pub use barrier::wait_for_programs;
pub use bpf::bpf_accepts;
pub use clock::monotonic_ns;
#[cfg(feature = "counting-allocator")]
pub use counting::{CountingAllocator, allocations};
pub use cpus::{run_on, usable_cpus};
pub use device_bound::load_device_bound;
pub use interfaces::{Interface, interface, interface_name, interfaces};
pub use map::FileMap;
pub use nic::{Promiscuous, has_address, memlock, mtu, raise_memlock, receive_queues, stamp_all};
pub use pages::{Pages, advise_huge};
pub use prefetch::{prefetch, prefetch_bytes, prefetch_far, prefetch_head, prefetch_value};
pub use ready::{WAITED_MAX, any_readable, open_at_once, readable};
pub use send::{RUN_BYTES_MAX, RUN_MAX, Run, SEND_MAX, cuts_runs, refuses_runs, send_many, unacknowledged};
pub use shared::SharedWords;
