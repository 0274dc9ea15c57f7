//! Alerts kept in a file: SQLite, searched by time, category, address and node, with what people did about them.
//!
//! Contract. A document is kept as it came, byte for byte, under its `ID`; one that is there already is not kept twice. [`Store::add`]
//! answers when the alert is on the disk: a process or a machine that stops leaves a whole file behind. Any number of processes may read
//! while one writes; several writers wait for each other, 10 s at the most. The store never grows beyond its [`Retention`] and the limits
//! below; what is removed or refused is counted in the store ([`Counts`]). An older Sonda refuses the file of a newer one.
//!
//! Documents are IDEA messages in JSON (spec/idea.md), the same that the original writes to MongoDB.
mod address;
mod document;
pub mod fuzzing;
mod query;
mod schema;
mod timeline;
mod when;

pub use address::{Range, RangeError};
pub use document::{Document, Role, Side};
pub(crate) use document::{items, texts};
pub use query::{Alert, Note, Order, Query, State};
pub use timeline::{CATEGORIES_MAX, OTHERS, SLOTS_MAX, Slots, Timeline};
pub use when::{WhenError, parse as when};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
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
pub struct Store {
    connection: Connection,
    retention: Retention,
}

impl Store {
    /// Opens a store for writing and makes it if it is not there.
    ///
    /// # Errors
    /// See [`StoreError`]; the folder must be there.
    pub fn create(path: &Path, retention: Retention) -> Result<Store, StoreError> {
        let connection = schema::open(path, schema::Access::Create)?;
        Ok(Store { connection, retention })
    }

    /// Opens a store that is there, to change what is known of its alerts.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let connection = schema::open(path, schema::Access::Change)?;
        Ok(Store { connection, retention: Retention::default() })
    }

    /// Opens a store that is there, for reading.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn read(path: &Path) -> Result<Store, StoreError> {
        let connection = schema::open(path, schema::Access::Read)?;
        Ok(Store { connection, retention: Retention::default() })
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
        let retention = self.retention;
        let change = self.change()?;
        let added = match (document.len() <= DOCUMENT_MAX).then(|| Document::read(document)).flatten() {
            Some(read) => keep(&change, &read, document, now)?,
            None => Added::Refused,
        };
        match added {
            Added::New(_) => retire(&change, retention, now)?,
            Added::Known => count(&change, "known", 1)?,
            Added::Refused => count(&change, "refused", 1)?,
        }
        change.commit()?;
        Ok(added)
    }

    /// Marks alerts as acknowledged by somebody, or takes that back; answers how many changed. Alerts that are not there are passed over.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn set_state(&mut self, numbers: &[i64], state: State, author: &str) -> Result<u64, StoreError> {
        let now = Timestamp::now().as_millisecond();
        let author = cut(author, AUTHOR_MAX);
        let change = self.change()?;
        let mut changed = 0;
        {
            let sql = "UPDATE alert SET state = ?2, changed = ?3, author = ?4 WHERE number = ?1 AND state <> ?2";
            let mut update = change.prepare(sql)?;
            for number in numbers {
                changed += update.execute(params![number, state as i64, now, author])? as u64;
            }
        }
        change.commit()?;
        Ok(changed)
    }

    /// Adds a note to an alert; longer ones are cut at [`NOTE_MAX`].
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn note(&mut self, number: i64, author: &str, text: &str) -> Result<Noted, StoreError> {
        let now = Timestamp::now().as_millisecond();
        let change = self.change()?;
        let is_there =
            change.query_row("SELECT 1 FROM alert WHERE number = ?1", [number], |_| Ok(())).optional()?.is_some();
        if !is_there {
            return Ok(Noted::NoAlert);
        }
        let notes: i64 = change.query_row("SELECT COUNT(*) FROM note WHERE alert = ?1", [number], |row| row.get(0))?;
        if notes.unsigned_abs() >= NOTES_MAX {
            return Ok(Noted::Full);
        }
        change.execute(
            "INSERT INTO note (alert, at, author, text) VALUES (?1, ?2, ?3, ?4)",
            params![number, now, cut(author, AUTHOR_MAX), cut(text, NOTE_MAX)],
        )?;
        change.commit()?;
        Ok(Noted::Yes)
    }

    /// What is there and what is gone.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let of = |name: &str| -> Result<u64, rusqlite::Error> {
            let value: Option<i64> = self
                .connection
                .query_row("SELECT value FROM book WHERE name = ?1", [name], |row| row.get(0))
                .optional()?;
            Ok(value.unwrap_or(0).unsigned_abs())
        };
        let sql = "SELECT COUNT(*) FROM alert WHERE state = 0";
        let unread: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(Counts {
            alerts: of("alerts")?,
            unread: unread.unsigned_abs(),
            expired: of("expired")?,
            displaced: of("displaced")?,
            known: of("known")?,
            refused: of("refused")?,
            unindexed: of("unindexed")?,
        })
    }

    /// A change that is made as a whole. It begins as a writer, so that two of them never wait for each other.
    fn change(&mut self) -> Result<Transaction<'_>, rusqlite::Error> {
        self.connection.transaction_with_behavior(TransactionBehavior::Immediate)
    }
}

/// Writes a document and what it is found by.
fn keep(change: &Transaction<'_>, read: &Document, document: &str, now: i64) -> Result<Added, rusqlite::Error> {
    let sql = "INSERT INTO alert (id, detected, stored, document) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING";
    if change.execute(sql, params![read.id, read.detected.unwrap_or(now), now, document])? == 0 {
        return Ok(Added::Known);
    }
    let number = change.last_insert_rowid();
    let words = read.categories.iter().map(|name| (schema::CATEGORY, name));
    for (kind, name) in words.chain(read.nodes.iter().map(|name| (schema::NODE, name))) {
        change.execute("INSERT INTO word (kind, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![kind, name])?;
        let sql = "INSERT INTO tag SELECT number, ?3 FROM word WHERE kind = ?1 AND name = ?2";
        change.execute(sql, params![kind, name, number])?;
    }
    for (role, range) in &read.addresses {
        let (first, last) = range.keys();
        let sql = match range.is_one() {
            true => "INSERT INTO address (first, role, alert) VALUES (?1, ?3, ?4) ON CONFLICT DO NOTHING",
            false => "INSERT INTO network (first, last, role, alert) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        };
        // The second parameter is not used for one address.
        let last = if range.is_one() { None } else { Some(last) };
        change.execute(sql, params![first, last, *role as i64, number])?;
    }
    count(change, "unindexed", read.unindexed)?;
    Ok(Added::New(number))
}

/// Removes what is too old or too much, the oldest first. Numbers grow with the time of storing.
fn retire(change: &Transaction<'_>, retention: Retention, now: i64) -> Result<(), rusqlite::Error> {
    let age = i64::try_from(retention.age.as_millis()).unwrap_or(i64::MAX);
    let mut expired = 0;
    let mut displaced = 0;
    for _ in 0..EXPIRED_AT_ONCE {
        let oldest: Option<(i64, i64)> = change
            .query_row("SELECT number, stored FROM alert ORDER BY number LIMIT 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let alerts: i64 = change.query_row("SELECT value FROM book WHERE name = 'alerts'", [], |row| row.get(0))?;
        let Some((number, stored)) = oldest else { break };
        if stored < now.saturating_sub(age) {
            expired += 1;
        } else if alerts.unsigned_abs() > retention.alerts.max(1) {
            displaced += 1;
        } else {
            break;
        }
        change.execute("DELETE FROM alert WHERE number = ?1", [number])?;
    }
    count(change, "expired", expired)?;
    count(change, "displaced", displaced)
}

fn count(change: &Transaction<'_>, name: &str, more: u64) -> Result<(), rusqlite::Error> {
    if more > 0 {
        let more = i64::try_from(more).unwrap_or(i64::MAX);
        change.execute("UPDATE book SET value = value + ?2 WHERE name = ?1", params![name, more])?;
    }
    Ok(())
}

/// At most so many bytes, whole characters.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
