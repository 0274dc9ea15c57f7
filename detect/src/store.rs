//! Alerts kept in a file (SQLite) or in MongoDB, searched by time, category, address and node, with what people did about them.
//!
//! Contract. A document is kept as it came, byte for byte, under its `ID`; one that is there already is not kept twice. [`Store::add`]
//! answers when the alert is on the disk: a process or a machine that stops leaves a whole file behind. Any number of processes may read
//! while one writes; several writers wait for each other, 10 s at the most. The store never grows beyond its [`Retention`] and the limits
//! below; what is removed or refused is counted in the store ([`Counts`]). An older Sonda refuses the file of a newer one.
//!
//! Documents are IDEA messages in JSON (spec/idea.md), the same that the original writes to MongoDB.
mod address;
mod cause;
mod document;
mod file;
pub mod fuzzing;
mod query;
mod schema;
#[cfg(feature = "mongo")]
mod server;
mod timeline;
mod when;

pub use address::{Range, RangeError};
pub use cause::Cause;
pub use document::{Document, Role, Side};
pub(crate) use document::{items, texts};
pub use query::{Alert, Note, Order, Query, State};
pub use timeline::{CATEGORIES_MAX, OTHERS, SLOTS_MAX, Slots, Timeline};
pub use when::{WhenError, parse as when};

use file::File;
use jiff::Timestamp;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where reporters and `sonda alerts` keep the store.
pub const PATH: &str = "/var/lib/sonda/alerts.db";

/// Bytes of a document, at the most.
pub const DOCUMENT_MAX: usize = 256 * 1024;
/// Bytes of a note, notes of an alert, bytes of an author's name, at the most.
pub const NOTE_MAX: usize = 4096;
pub const NOTES_MAX: u64 = 100;
pub const AUTHOR_MAX: usize = 64;

/// A writer waits so long for another one.
const BUSY: Duration = Duration::from_secs(10);
/// Alerts that an addition removes for their age, at the most: a store that was quiet for long is cleared step by step.
const EXPIRED_AT_ONCE: u32 = 1000;

/// How long and how many alerts are kept. Age counts from when they were stored, so that a replay of old traffic is not lost at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    pub age: Duration,
    pub alerts: u64,
}

impl Default for Retention {
    /// 90 days and 200,000 alerts, which is some 400 MB of usual documents.
    fn default() -> Self {
        Retention { age: Duration::from_secs(90 * 86_400), alerts: 200_000 }
    }
}

/// Why the store cannot be used; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(
        "there is no alert store {0}: a reporter with the action `store: {{path: {0}}}` makes it, or give --store PATH"
    )]
    Absent(PathBuf),
    #[error("cannot open the alert store {path}: {why}")]
    Open { path: PathBuf, why: rusqlite::Error },
    #[error("{0} is no alert store of Sonda: give another path")]
    Foreign(PathBuf),
    #[error("the alert store {0} is of a newer Sonda: use that one, or another store")]
    Newer(PathBuf),
    #[error("the alert store: {0}")]
    Sql(#[from] rusqlite::Error),
    #[error("this sonda was built without MongoDB: build it with `cargo build --release --features mongo`")]
    NoDriver,
    #[cfg(feature = "mongo")]
    #[error("the alert store: {0}")]
    Server(#[from] crate::mongo::MongoError),
}

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// Its number in the store.
    New(i64),
    /// There is one with this `ID`.
    Known,
    /// It is no JSON object with an `ID`, or larger than [`DOCUMENT_MAX`].
    Refused,
}

/// What became of a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    Yes,
    NoAlert,
    /// There are [`NOTES_MAX`] already.
    Full,
}

/// Counts of a store since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Alerts that are there.
    pub alerts: u64,
    pub unread: u64,
    /// Removed for their age, and to make room.
    pub expired: u64,
    pub displaced: u64,
    /// Not kept: known already, or refused.
    pub known: u64,
    pub refused: u64,
    /// Addresses, categories and nodes by which an alert cannot be found, because it has too many.
    pub unindexed: u64,
}

/// An open store.
#[derive(Debug)]
pub struct Store(Backend);

/// Where alerts are.
#[derive(Debug)]
enum Backend {
    File(File),
    #[cfg(feature = "mongo")]
    Server(server::Server),
}

/// Does the same with either backend.
macro_rules! with {
    ($store:expr, $backend:ident => $done:expr) => {
        match $store {
            Backend::File($backend) => $done,
            #[cfg(feature = "mongo")]
            Backend::Server($backend) => $done,
        }
    };
}

impl Store {
    /// Opens a store for writing and makes it if it is not there.
    ///
    /// # Errors
    /// See [`StoreError`]; the folder must be there.
    pub fn create(path: &Path, retention: Retention) -> Result<Store, StoreError> {
        if is_server(path) {
            return Store::on_server(path, Some(retention));
        }
        File::create(path, retention).map(|file| Store(Backend::File(file)))
    }

    /// Opens a store that is there, to change what is known of its alerts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        if is_server(path) {
            return Store::on_server(path, None);
        }
        File::open(path).map(|file| Store(Backend::File(file)))
    }

    /// Opens a store that is there, for reading.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn read(path: &Path) -> Result<Store, StoreError> {
        if is_server(path) {
            return Store::on_server(path, None);
        }
        File::read(path).map(|file| Store(Backend::File(file)))
    }

    /// Keeps a document, and removes what the retention no longer allows.
    ///
    /// # Errors
    /// The disk is full, another writer does not end, or the file is damaged; nothing was changed.
    pub fn add(&mut self, document: &str) -> Result<Added, StoreError> {
        self.add_at(document, Timestamp::now().as_millisecond())
    }

    /// As [`Store::add`], at this time: milliseconds since 1970.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn add_at(&mut self, document: &str, now: i64) -> Result<Added, StoreError> {
        with!(&mut self.0, backend => backend.add_at(document, now))
    }

    /// Marks alerts as acknowledged by somebody, or takes that back; answers how many changed. Alerts that are not there are passed over.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn set_state(&mut self, numbers: &[i64], state: State, author: &str) -> Result<u64, StoreError> {
        with!(&mut self.0, backend => backend.set_state(numbers, state, author))
    }

    /// Adds a note to an alert; longer ones are cut at [`NOTE_MAX`].
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn note(&mut self, number: i64, author: &str, text: &str) -> Result<Noted, StoreError> {
        with!(&mut self.0, backend => backend.note(number, author, text))
    }

    /// What is there and what is gone.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        with!(&self.0, backend => backend.counts())
    }

    /// Calls `each` with the alerts that are meant, at most `limit`, until it breaks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn alerts(
        &self,
        query: &Query,
        order: Order,
        limit: u64,
        each: impl FnMut(Alert) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        with!(&self.0, backend => backend.alerts(query, order, limit, each))
    }

    /// The numbers of the alerts that are meant.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn numbers(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        with!(&self.0, backend => backend.numbers(query))
    }

    /// How many alerts are meant.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn count(&self, query: &Query) -> Result<u64, StoreError> {
        with!(&self.0, backend => backend.count(query))
    }

    /// The alert of a number, of an identity, or of the beginning of one that no other has.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn find(&self, name: &str) -> Result<Option<Alert>, StoreError> {
        with!(&self.0, backend => backend.find(name))
    }

    /// The notes on an alert, the oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn notes(&self, number: i64) -> Result<Vec<Note>, StoreError> {
        with!(&self.0, backend => backend.notes(number))
    }

    /// When the first and the last of the alerts that are meant were detected, in milliseconds since 1970; `None`: there are none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn span(&self, query: &Query) -> Result<Option<(i64, i64)>, StoreError> {
        with!(&self.0, backend => backend.span(query))
    }

    /// Counts the alerts that are meant, those outside of the slots aside; the category with most of them first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn timeline(&self, query: &Query, slots: Slots) -> Result<Timeline, StoreError> {
        with!(&self.0, backend => backend.timeline(query, slots.bounded()))
    }

    /// The number of the alert that was stored last; 0 if there was none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn last(&self) -> Result<i64, StoreError> {
        with!(&self.0, backend => backend.last())
    }

    #[cfg(feature = "mongo")]
    fn on_server(path: &Path, retention: Option<Retention>) -> Result<Store, StoreError> {
        server::Server::open(path, retention).map(|server| Store(Backend::Server(server)))
    }

    #[cfg(not(feature = "mongo"))]
    fn on_server(_path: &Path, _retention: Option<Retention>) -> Result<Store, StoreError> {
        Err(StoreError::NoDriver)
    }
}

/// Where a store is, for people: without the password of a connection string.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    match text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?.1))) {
        Some((scheme, hosts)) if is_server(path) => format!("{scheme}://{hosts}"),
        _ => text,
    }
}

/// Whether the store is in MongoDB: its path is a connection string then.
fn is_server(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with("mongodb://") || path.starts_with("mongodb+srv://"))
}

/// At most so many bytes, whole characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
