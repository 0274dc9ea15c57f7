//! Blacklists: what the downloaders of this supervisor fetch, and what is in the files that filters read.
//!
//! Only what the catalog and the files say is told. A file holds all of its lists, so it has one age.
use super::Plane;
use crate::model::command;
use crate::snapshot::ModuleView;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use detect::blacklist::catalog::{self, Catalog};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

/// The program that fetches lists.
const DOWNLOADER: &str = "bl_downloader";
/// Bytes of a file whose entries are counted; of a longer one the number is not told.
const COUNTED_MAX: u64 = 256 << 20;

/// A downloader's lists and files.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Blacklists {
    /// The module that fetches them.
    pub module: String,
    pub running: bool,
    pub catalog: String,
    /// Why the catalog cannot be read.
    pub error: Option<String>,
    pub lists: Vec<Blacklist>,
    pub files: Vec<BlacklistFile>,
}

/// A list of the catalog.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Blacklist {
    /// Its number in alerts, from 1; unique among those of a kind.
    pub id: u8,
    /// IP or URL/DNS.
    pub kind: &'static str,
    pub name: Option<String>,
    pub category: Option<String>,
    pub source: Option<String>,
    /// Minutes between two looks, as the catalog has it.
    pub download_interval: Option<String>,
}

/// A file that filters read.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct BlacklistFile {
    /// IP4, IP6, URL or DNS.
    pub target: String,
    pub path: String,
    /// Whether there is such a file.
    pub exists: bool,
    pub bytes: Option<u64>,
    /// Lines; null for a file of more than 256 MiB.
    pub entries: Option<u64>,
    /// Seconds since it was written.
    pub age_s: Option<u64>,
}

/// `GET /v1/blacklists`.
pub(super) async fn blacklists(State(plane): State<Plane>) -> Response {
    let snapshot = plane.handle.snapshot();
    let read = move || {
        let downloaders = snapshot.modules.iter().filter_map(|view| Some((view, catalog_of(view)?)));
        downloaders.map(|(view, path)| Blacklists::of(view, &path)).collect::<Vec<_>>()
    };
    match spawn_blocking(read).await {
        Ok(all) => Json(all).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The catalog of a downloader; `None` for another module.
fn catalog_of(view: &ModuleView) -> Option<PathBuf> {
    let tokens = command::tokens(view.spec.params.as_deref().unwrap_or_default()).ok()?;
    let program = Path::new(&view.spec.path).file_stem()?.to_str()?;
    // `sonda bl_downloader`, or a link or script of that name.
    if program != DOWNLOADER && tokens.first().is_none_or(|first| first != DOWNLOADER) {
        return None;
    }
    let given = option(&tokens, &["-c", "--config-file"]);
    Some(given.unwrap_or(catalog::DEFAULT_PATH).into())
}

/// The value of an option, in any of its spellings.
pub(super) fn option<'a>(tokens: &'a [String], names: &[&str]) -> Option<&'a str> {
    let mut rest = tokens.iter();
    while let Some(token) = rest.next() {
        for name in names {
            if token == name {
                return rest.next().map(String::as_str);
            }
            let long = token.strip_prefix(name).filter(|_| name.starts_with("--"));
            if let Some(value) = long.and_then(|value| value.strip_prefix('=')) {
                return Some(value);
            }
        }
    }
    None
}

impl Blacklists {
    fn of(view: &ModuleView, path: &Path) -> Self {
        let (catalog, error) = match Catalog::load(path) {
            Ok(catalog) => (catalog, None),
            Err(why) => (Catalog::default(), Some(why.to_string())),
        };
        let lists = catalog.lists.iter().map(|list| {
            let text = |name: &str| list.text(name).map(String::from);
            Blacklist {
                id: list.id,
                kind: list.kind.name(),
                name: text("name"),
                category: text("category"),
                source: text("source"),
                download_interval: text("download_interval"),
            }
        });
        Self {
            module: view.spec.name.clone(),
            running: view.pid.is_some(),
            catalog: path.display().to_string(),
            error,
            lists: lists.collect(),
            files: catalog.files.iter().map(|(target, path)| BlacklistFile::of(target, Path::new(path))).collect(),
        }
    }
}

impl BlacklistFile {
    fn of(target: &str, path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
        let written = meta.as_ref().and_then(|meta| meta.modified().ok());
        let bytes = meta.as_ref().map(std::fs::Metadata::len);
        Self {
            target: target.into(),
            path: path.display().to_string(),
            exists: meta.is_some(),
            bytes,
            entries: bytes.filter(|bytes| *bytes <= COUNTED_MAX).and_then(|_| entries(path).ok()),
            age_s: written.and_then(|at| SystemTime::now().duration_since(at).ok()).map(|age| age.as_secs()),
        }
    }
}

/// Lines of a file.
fn entries(path: &Path) -> io::Result<u64> {
    let mut file = BufReader::new(File::open(path)?.take(COUNTED_MAX));
    let (mut count, mut is_open) = (0, false);
    loop {
        let bytes = file.fill_buf()?;
        let Some(last) = bytes.last() else { return Ok(count + u64::from(is_open)) };
        is_open = *last != b'\n';
        count += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let taken = bytes.len();
        file.consume(taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_any_spelling() {
        let tokens = |text: &str| command::tokens(text).expect("words");
        let names = ["-c", "--config-file"];
        for text in ["-c x", "-l 20 -c x", "--config-file x", "--config-file=x"] {
            assert_eq!(option(&tokens(text), &names), Some("x"), "{text}");
        }
        for text in ["", "-c", "x", "--config-files=x"] {
            assert_eq!(option(&tokens(text), &names), None, "{text}");
        }
    }

    #[test]
    fn entries_are_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ip4.blist");
        for (text, lines) in [("", 0), ("a,1\n", 1), ("a,1\nb,2", 2)] {
            std::fs::write(&path, text).expect("ours");
            assert_eq!(entries(&path).expect("readable"), lines, "{text:?}");
        }
        let file = BlacklistFile::of("IP4", &path);
        assert!(file.exists && file.entries == Some(2) && file.bytes == Some(7) && file.age_s.is_some());
        assert!(!BlacklistFile::of("IP6", &folder.path().join("none")).exists);
    }
}
