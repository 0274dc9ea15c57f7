//! Who may do what. The roles include each other: an operator may what a viewer may.
use nix::unistd::{Gid, Uid, User, geteuid, getgrouplist};
use serde::Serialize;
use std::ffi::CString;
use std::fmt;

/// What a peer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
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

/// Who is at the other end of the unix socket, as the kernel says (SO_PEERCRED, unix(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    pub uid: u32,
    pub pid: Option<i32>,
    pub role: Role,
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
        Self { uid, pid, role }
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
    }

    #[test]
    fn peers_are_who_the_kernel_says() {
        // Numbers that no user of the machine has.
        let (uid, gid) = (1_999_999_901, 1_999_999_902);
        assert_eq!(Peer::of(0, 0, None, gid).role, Role::Admin);
        assert_eq!(Peer::of(uid, gid, Some(7), gid), Peer { uid, pid: Some(7), role: Role::Operator });
        assert_eq!(Peer::of(uid, gid, None, gid + 1).role, Role::Viewer);
    }
}
