//! The one floor that may say `unsafe`: each thing here is small, safe from outside, and says why at its block.
#![allow(unsafe_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

mod bpf;
mod map;
mod prefetch;
mod ready;

pub use bpf::bpf_accepts;
pub use map::FileMap;
pub use prefetch::{prefetch, prefetch_bytes};
pub use ready::{open_at_once, readable};
