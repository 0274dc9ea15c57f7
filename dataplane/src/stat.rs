//! Statistics and header facts of a flow, one file each.
pub mod basicplus;
pub mod icmp;
pub mod vlan;
