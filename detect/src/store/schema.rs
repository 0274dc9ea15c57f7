//! The tables, and how a file is opened.
//!
//! Addresses are kept as bytes that sort like numbers, family first ([`super::Range::keys`]): one address is found in a stretch of `address`;
//! networks and ranges, which are few, stand apart, because an alert with one is found by any address inside.
use super::{BUSY, StoreError};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;

/// "SOND".
const APPLICATION: i64 = 0x534f_4e44;
const VERSION: i64 = 1;

/// Kinds of words.
pub(super) const CATEGORY: i64 = 0;
pub(super) const NODE: i64 = 1;

const TABLES: &str = "
    CREATE TABLE alert (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        detected INTEGER NOT NULL,
        stored INTEGER NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        changed INTEGER,
        author TEXT,
        document TEXT NOT NULL
    );
    CREATE INDEX alert_detected ON alert (detected);
    CREATE INDEX alert_unread ON alert (number) WHERE state = 0;

    CREATE TABLE word (number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name));
    CREATE TABLE tag (
        word INTEGER NOT NULL,
        alert INTEGER NOT NULL REFERENCES alert (number) ON DELETE CASCADE,
        PRIMARY KEY (word, alert)
    ) WITHOUT ROWID;
    CREATE INDEX tag_alert ON tag (alert);
    CREATE TRIGGER word_unused AFTER DELETE ON tag WHEN NOT EXISTS (SELECT 1 FROM tag WHERE word = OLD.word) BEGIN
        DELETE FROM word WHERE number = OLD.word;
    END;

    CREATE TABLE address (
        first BLOB NOT NULL,
        role INTEGER NOT NULL,
        alert INTEGER NOT NULL REFERENCES alert (number) ON DELETE CASCADE,
        PRIMARY KEY (first, role, alert)
    ) WITHOUT ROWID;
    CREATE INDEX address_alert ON address (alert);
    CREATE TABLE network (
        first BLOB NOT NULL,
        last BLOB NOT NULL,
        role INTEGER NOT NULL,
        alert INTEGER NOT NULL REFERENCES alert (number) ON DELETE CASCADE,
        PRIMARY KEY (first, last, role, alert)
    ) WITHOUT ROWID;
    CREATE INDEX network_alert ON network (alert);

    CREATE TABLE note (
        number INTEGER PRIMARY KEY,
        alert INTEGER NOT NULL REFERENCES alert (number) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        author TEXT NOT NULL,
        text TEXT NOT NULL
    );
    CREATE INDEX note_alert ON note (alert);

    CREATE TABLE book (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO book VALUES ('alerts', 0), ('expired', 0), ('displaced', 0), ('known', 0), ('refused', 0), ('unindexed', 0);
    CREATE TRIGGER alert_added AFTER INSERT ON alert BEGIN UPDATE book SET value = value + 1 WHERE name = 'alerts'; END;
    CREATE TRIGGER alert_removed AFTER DELETE ON alert BEGIN UPDATE book SET value = value - 1 WHERE name = 'alerts'; END;
";

/// What a store is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Writing; it is made if it is not there.
    Create,
    Change,
    Read,
}

pub(super) fn open(path: &Path, access: Access) -> Result<Connection, StoreError> {
    if access != Access::Create && !path.exists() {
        return Err(StoreError::Absent(path.to_owned()));
    }
    let opened = |why| failed(path, why);
    let flags = match access {
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Access::Change => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let mut connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(opened)?;
    connection.busy_timeout(BUSY).map_err(opened)?;
    if access != Access::Read {
        // With FULL what was committed is on the disk, also behind a write-ahead log.
        connection
            .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 16777216;")
            .map_err(opened)?;
    }
    if access == Access::Create {
        make(&mut connection, path)?;
    }
    check(&connection, path)?;
    Ok(connection)
}

/// Makes the tables of a file that is empty.
fn make(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |why| failed(path, why);
    let is_empty = |connection: &Connection| {
        let found = connection.query_row("SELECT 1 FROM sqlite_schema LIMIT 1", [], |_| Ok(())).optional();
        found.map(|found| found.is_none())
    };
    if !is_empty(connection).map_err(failed)? {
        return Ok(());
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(failed)?;
    let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(failed)?;
    // Another writer may have come first.
    if is_empty(&change).map_err(failed)? {
        change.execute_batch(TABLES).map_err(failed)?;
        change.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
        change.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    }
    change.commit().map_err(failed)
}

/// Whether it is a store of ours.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let failed = |why| failed(path, why);
    if number("application_id").map_err(failed)? != APPLICATION {
        return Err(StoreError::Foreign(path.to_owned()));
    }
    if number("user_version").map_err(failed)? > VERSION {
        return Err(StoreError::Newer(path.to_owned()));
    }
    Ok(())
}

fn failed(path: &Path, why: rusqlite::Error) -> StoreError {
    match why.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign(path.to_owned()),
        _ => StoreError::Open { path: path.to_owned(), why },
    }
}
