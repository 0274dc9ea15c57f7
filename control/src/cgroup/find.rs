//! Where the controllers are, by proc_pid_mountinfo(5) and proc_pid_cgroup(5).
use super::{Hierarchy, SUBGROUP, Version};
use crate::model::limits::Controller;
use std::fs;
use std::path::{Path, PathBuf};

/// Each controller's hierarchy, or why there is none. Where a controller is in both versions, the kernel uses the first.
pub(super) fn hierarchies(mounts: &str, own: &str) -> [(Controller, Result<Hierarchy, String>); 3] {
    Controller::ALL.map(|controller| (controller, one(controller, mounts, own)))
}

fn one(controller: Controller, mounts: &str, own: &str) -> Result<Hierarchy, String> {
    let word = controller.word();
    let of_v1 = mounts.lines().filter_map(Mount::of).find(|mount| mount.kind == "cgroup" && mount.has(word));
    if let Some(mount) = of_v1 {
        let path = path_of(own, |controllers| controllers.split(',').any(|one| one == word));
        return mount.hierarchy(Version::V1, Path::new(path.unwrap_or("/")));
    }
    let Some(mount) = mounts.lines().filter_map(Mount::of).find(|mount| mount.kind == "cgroup2") else {
        return Err("no cgroups are mounted; see cgroups(7)".into());
    };
    let path = Path::new(path_of(own, str::is_empty).unwrap_or("/"));
    let above = path.parent().filter(|_| path.file_name().is_some_and(|name| name == SUBGROUP));
    let hierarchy = mount.hierarchy(Version::V2, above.unwrap_or(path))?;
    let controllers = fs::read_to_string(hierarchy.own.join("cgroup.controllers"));
    let controllers = controllers.map_err(|why| format!("{}: {why}", hierarchy.own.display()))?;
    if controllers.split_whitespace().any(|one| one == word) {
        Ok(hierarchy)
    } else {
        Err(format!(
            "{} has no controller {word}; under systemd the unit needs `Delegate={word}`",
            hierarchy.own.display()
        ))
    }
}

/// Path of the group that this process is in, of the hierarchy whose controllers are asked for.
fn path_of(own: &str, is_it: impl Fn(&str) -> bool) -> Option<&str> {
    let mut lines = own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    lines.find(|(controllers, _)| is_it(controllers)).map(|(_, path)| path)
}

/// One line of mountinfo.
struct Mount<'a> {
    /// Which part of the hierarchy is seen here.
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (place, about) = line.split_once(" - ")?;
        let (mut place, mut about) = (place.split(' ').skip(3), about.split(' '));
        let (root, point) = (place.next()?, place.next()?);
        Some(Self { root, point, kind: about.next()?, options: about.nth(1)? })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }

    fn hierarchy(&self, version: Version, path: &Path) -> Result<Hierarchy, String> {
        // A container may not see where it is.
        let inside = path.strip_prefix(self.root);
        let inside = inside.map_err(|_| format!("{} does not show the group {}", self.point, path.display()))?;
        let own =
            if inside.as_os_str().is_empty() { PathBuf::from(self.point) } else { Path::new(self.point).join(inside) };
        if own.is_dir() { Ok(Hierarchy { version, own }) } else { Err(format!("there is no {}", own.display())) }
    }
}
