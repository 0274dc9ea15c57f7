//! Statistics and header facts of a flow, one file each.
pub mod application;
pub mod basicplus;
pub mod bstats;
pub mod communityid;
pub mod flowhash;
pub mod icmp;
pub mod idpcontent;
pub mod mpls;
pub mod nettisa;
pub mod osquery;
pub mod ovpn;
pub mod phists;
pub mod pstats;
pub mod ssadetector;
pub mod tcpquality;
pub mod tunnel;
pub mod vlan;
