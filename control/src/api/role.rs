//! Who may do what. The roles include each other: an operator may what a viewer may.
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::fmt;
use std::net::IpAddr;

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Not known; sees whether the box is healthy.
    Anyone,
    /// Reads everything but logs and configuration.
    Viewer,
    /// Starts, stops and restarts modules, applies the configuration, reads logs.
    Operator,
    /// Ends the supervisor.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Role; 4] = [Role::Anyone, Role::Viewer, Role::Operator, Role::Admin];

    /// The role that is called so.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.to_string() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Anyone => "anyone",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        })
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub role: Role,
    pub who: Who,
    /// Where from; `None` on the unix socket.
    pub source: Option<IpAddr>,
}

/// By what a peer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Not at all.
    Nobody,
    /// At the other end of the unix socket, as the kernel says (SO_PEERCRED, unix(7)).
    Process { uid: u32, pid: Option<i32> },
    /// It presents a token.
    Token { id: String, name: String },
    /// A browser that presented this token when it logged in.
    Session { name: String },
    /// It showed a certificate.
    Certificate { name: String },
}

impl Peer {
    /// Root and the supervisor's own user are admins, members of the socket's group operators, and whoever else the socket's mode lets in
    /// is a viewer.
    #[must_use]
    pub fn of(uid: u32, gid: u32, pid: Option<i32>, socket_gid: u32) -> Self {
        let role = if uid == 0 || uid == geteuid().as_raw() {
            Role::Admin
        } else if gid == socket_gid || groups(uid, gid).contains(&socket_gid) {
            Role::Operator
        } else {
            Role::Viewer
        };
        Self { role, who: Who::Process { uid, pid }, source: None }
    }

    /// Somebody of whom nothing is known but where he is.
    #[must_use]
    pub fn nobody(source: IpAddr) -> Self {
        Self { role: Role::Anyone, who: Who::Nobody, source: Some(source) }
    }
}

/// The groups of a user by the system's database. Those of the process may be fewer, but it chose to drop them, it was not denied them.
fn groups(uid: u32, gid: u32) -> Vec<u32> {
    let name = User::from_uid(Uid::from_raw(uid)).ok().flatten().and_then(|user| CString::new(user.name).ok());
    let all = name.and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok());
    all.unwrap_or_default().into_iter().map(Gid::as_raw).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_each_other() {
        assert!(Role::ALL.is_sorted() && Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
        assert!(Role::ALL.iter().all(|role| Role::of_word(&role.to_string()) == Some(*role)));
    }

    #[test]
    fn peers_are_who_the_kernel_says() {
        // Numbers that no user of the machine has.
        let (uid, gid) = (1_999_999_901, 1_999_999_902);
        assert_eq!(Peer::of(0, 0, None, gid).role, Role::Admin);
        let operator = Peer::of(uid, gid, Some(7), gid);
        assert_eq!((operator.role, operator.who), (Role::Operator, Who::Process { uid, pid: Some(7) }));
        assert_eq!(Peer::of(uid, gid, None, gid + 1).role, Role::Viewer);
    }
}
