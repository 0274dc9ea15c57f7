//! Where the pages of probes lie, and reading them. Nobody is trusted to have written one.
use crate::process::Identity;
use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;
use record::page::{PageError, Snapshot, Source, Writer};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Pages that are looked at in one folder, at the most.
const PAGES_MAX: usize = 1000;
/// Bytes of a page's name.
pub const NAME_MAX: usize = 64;
const SHARED_MEMORY: &str = "/dev/shm";
/// Users whose folders root looks into, at the most.
const USERS_MAX: usize = 1000;

/// Why there is no page to look at.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {path}: {cause}")]
    Read { path: String, cause: io::Error },
    #[error("{path}: {cause}")]
    Page { path: String, cause: PageError },
}

/// A page that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its file's name without the ending: that of the run, or the number of its process.
    pub name: String,
    pub path: PathBuf,
    pub page: Snapshot,
    /// Whether its writer still runs.
    pub alive: bool,
}

impl Found {
    /// Reads a page.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(path: &Path) -> Result<Found, ReadError> {
        let page = read(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Found { name, path: path.into(), alive: is_alive(&page.writer), page })
    }
}

/// All pages that this user can read, by name.
pub fn all() -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for entries in readable_folders().iter().filter_map(|folder| std::fs::read_dir(folder).ok()) {
        let paths = entries.flatten().take(PAGES_MAX).map(|entry| entry.path());
        let pages = paths.filter(|path| path.extension().is_some_and(|e| e == "page"));
        all.extend(pages.filter_map(|path| Found::open(&path).ok()).filter(|found| is_plain(&found.name)));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Reads the file instead of mapping it: a page that is cut while it is read is then an error and no signal.
///
/// # Errors
/// [`ReadError`].
pub fn read(path: &Path) -> Result<Snapshot, ReadError> {
    let read = |cause| ReadError::Read { path: path.display().to_string(), cause };
    // A FIFO of that name is opened without waiting for who writes to it.
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path).map_err(read)?;
    if !file.metadata().map_err(read)?.is_file() {
        return Err(ReadError::Page { path: path.display().to_string(), cause: PageError::NotAPage });
    }
    Snapshot::read(FilePage(file)).map_err(|cause| ReadError::Page { path: path.display().to_string(), cause })
}

struct FilePage(File);

impl Source for FilePage {
    fn read(&mut self, at: usize, out: &mut [u64]) -> Result<(), PageError> {
        let mut bytes = vec![0; out.len() * 8];
        let cut = PageError::Damaged("it is cut off");
        self.0.read_exact_at(&mut bytes, at as u64 * 8).map_err(|_| cut)?;
        bytes.as_slice().read(0, out)
    }
}

/// Whether a page may be called so: others may have made it, so the name is not trusted either.
pub fn is_plain(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    plain && !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with('.')
}

/// Folders where this user's pages lie, the best first: SONDA_RUN_DIR alone if it is set, else the system's, the session's, and shared
/// memory. All in memory: where /run is on a disk, writing pages back would hold up those who write to them.
pub fn folders() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(only) = set("SONDA_RUN_DIR") {
        return vec![only];
    }
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let system = mounts.lines().any(|mount| mount.contains(" /run tmpfs ")).then(|| PathBuf::from("/run/sonda"));
    let session = set("XDG_RUNTIME_DIR").map(|dir| dir.join("sonda"));
    let shared = Path::new(SHARED_MEMORY).join(format!("sonda-{}", geteuid()));
    system.into_iter().chain(session).chain([shared]).collect()
}

/// Folders where pages may lie that this user can read: for root also those of other users.
pub fn readable_folders() -> Vec<PathBuf> {
    let mut all = folders();
    if geteuid().is_root() && std::env::var_os("SONDA_RUN_DIR").is_none() {
        let of =
            |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten().take(USERS_MAX).map(|e| e.path());
        let shared = of(SHARED_MEMORY).filter(|path| path.to_string_lossy().contains("/sonda-"));
        let others: Vec<PathBuf> = shared.chain(of("/run/user").map(|user| user.join("sonda"))).collect();
        all.extend(others);
        all.sort();
        all.dedup();
    }
    all
}

/// Whether the process that writes, or wrote, a page still runs.
pub fn is_alive(writer: &Writer) -> bool {
    Identity { pid: writer.pid, start: writer.process_start }.is_alive()
}
