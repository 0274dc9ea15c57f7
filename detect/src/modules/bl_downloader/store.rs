//! Files of the filters, and the history of lists (spec/detectors.md section 8.5).
use super::extract::{Entity, Entries};
use super::settings::Target;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// A list that goes into a file, by its number.
pub(super) type Part<'a> = (u8, &'a Entries);

/// What the lists say of one entry: a bit field, and ports by the number of the list.
#[derive(Debug, Default)]
struct Line<'a> {
    bits: u64,
    ports: Vec<(u8, &'a BTreeSet<u16>)>,
}

/// Writes the file of a filter anew, in place: whoever waits for the end of writing (`IN_CLOSE_WRITE`), as the original filters do, would
/// not see another file of the same name.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, target: Target, parts: &[Part<'_>]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = io::BufWriter::new(fs::File::create(path)?);
    file.write_all(text(target, parts).as_bytes())?;
    file.flush()
}

fn text(target: Target, parts: &[Part<'_>]) -> String {
    match target {
        Target::Ip4 | Target::Ip6 => {
            let lines = merged(parts, |entity| Some(entity.clone()));
            lines
                .into_iter()
                .map(|(entity, line)| format!("{},{}{}\n", entity.text(), line.bits, groups(&line)))
                .collect()
        }
        Target::Url => {
            let lines = merged(parts, |entity| Some(entity.text()));
            lines.into_iter().map(|(name, line)| format!("{name}\\{}\n", line.bits)).collect()
        }
        Target::Dns => {
            let lines = merged(parts, |entity| entity.domain().map(str::to_owned));
            lines.into_iter().map(|(name, line)| format!("{name}\\{}\n", line.bits)).collect()
        }
    }
}

fn merged<'a, K: Ord>(parts: &[Part<'a>], key: impl Fn(&Entity) -> Option<K>) -> BTreeMap<K, Line<'a>> {
    let mut lines = BTreeMap::<K, Line<'a>>::new();
    for (id, entries) in parts {
        for (entity, ports) in *entries {
            let Some(key) = key(entity) else { continue };
            let line = lines.entry(key).or_default();
            line.bits |= 1 << (id - 1);
            if !ports.is_empty() {
                line.ports.push((*id, ports));
            }
        }
    }
    lines
}

fn groups(line: &Line<'_>) -> String {
    line.ports.iter().map(|(id, ports)| format!(";{id}:{}", joined(ports))).collect()
}

fn joined(ports: &BTreeSet<u16>) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",")
}

/// Keeps a list in the history, a git repository: `FOLDER/NAME.blist` with lines `entity:ports`.
///
/// # Errors
/// It cannot be written.
pub(super) fn keep(repository: &Path, target: Target, name: &str, entries: &Entries) -> io::Result<()> {
    let folder = repository.join(["ip4", "ip6", "url_dns", "url_dns"][target as usize]);
    fs::create_dir_all(&folder)?;
    // The name of a list is no path.
    let name: String = name.chars().map(|c| if matches!(c, '/' | '\0') { '_' } else { c }).collect();
    let lines: String =
        entries.iter().map(|(entity, ports)| format!("{}:{}\n", entity.text(), joined(ports))).collect();
    fs::write(folder.join(format!("{name}.blist")), lines)
}

/// Commits what is new in the history; makes the repository if there is none.
///
/// # Errors
/// git is not there, or refuses.
pub(super) fn commit(repository: &Path, target: Target) -> io::Result<()> {
    let class = ["IPv4Blacklist", "IPv6Blacklist", "URLandDNSBlacklist", "URLandDNSBlacklist"][target as usize];
    if !repository.join(".git").exists() {
        git(repository, &["init", "--quiet"])?;
    }
    git(repository, &["add", "--all"])?;
    // Nothing to commit is no failure.
    if git(repository, &["diff", "--cached", "--quiet"]).is_ok() {
        return Ok(());
    }
    let who = ["-c", "user.name=bl_downloader", "-c", "user.email=bl_downloader@localhost"];
    git(repository, &[&who[..], &["commit", "--quiet", "-m", &format!("{class}s updated")]].concat())
}

fn git(repository: &Path, args: &[&str]) -> io::Result<()> {
    let mut command = Command::new("git");
    command.arg("-C").arg(repository).args(args).env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
    let status = command.stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("git {} failed", args.join(" ")))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Entries {
        names.iter().map(|name| (Entity::Name((*name).into()), BTreeSet::new())).collect()
    }

    #[test]
    fn lists_of_one_file() {
        let network = |ip: &str, length| Entity::Network(ip.parse().unwrap(), length);
        let first = Entries::from([
            (network("10.0.0.1", 32), BTreeSet::from([80, 443])),
            (network("9.0.0.0", 8), BTreeSet::new()),
        ]);
        let second = Entries::from([(network("10.0.0.1", 32), BTreeSet::new())]);
        assert_eq!(
            text(Target::Ip4, &[(1, &first), (64, &second)]),
            "9.0.0.0/8,1\n10.0.0.1,9223372036854775809;1:80,443\n"
        );
        let (first, second) = (names(&["b.example/x", "b.example/y", "10.0.0.1/z"]), names(&["b.example"]));
        let parts = [(1, &first), (4, &second)];
        assert_eq!(text(Target::Url, &parts), "10.0.0.1/z\\1\nb.example\\8\nb.example/x\\1\nb.example/y\\1\n");
        assert_eq!(text(Target::Dns, &parts), "b.example\\9\n");
    }

    #[test]
    fn the_history_has_each_list() {
        let folder = tempfile::TempDir::new().unwrap();
        keep(folder.path(), Target::Dns, "../a b", &names(&["x.example"])).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("url_dns/.._a b.blist")).unwrap(), "x.example:\n");
    }
}
