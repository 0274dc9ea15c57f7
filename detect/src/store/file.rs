//! A store in a file: SQLite, several processes at once. What its methods do is told at [`super::Store`].
use super::{
    AUTHOR_MAX, Added, Counts, DOCUMENT_MAX, Document, EXPIRED_AT_ONCE, NOTE_MAX, NOTES_MAX, Noted, Retention, State,
    StoreError, cut, schema,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;

/// An open file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) connection: Connection,
    retention: Retention,
}

impl File {
    pub(super) fn create(path: &Path, retention: Retention) -> Result<File, StoreError> {
        let connection = schema::open(path, schema::Access::Create)?;
        Ok(File { connection, retention })
    }

    pub(super) fn open(path: &Path) -> Result<File, StoreError> {
        let connection = schema::open(path, schema::Access::Change)?;
        Ok(File { connection, retention: Retention::default() })
    }

    pub(super) fn read(path: &Path) -> Result<File, StoreError> {
        let connection = schema::open(path, schema::Access::Read)?;
        Ok(File { connection, retention: Retention::default() })
    }

    pub(super) fn add_at(&mut self, document: &str, now: i64) -> Result<Added, StoreError> {
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

    pub(super) fn set_state(&mut self, numbers: &[i64], state: State, author: &str) -> Result<u64, StoreError> {
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

    pub(super) fn note(&mut self, number: i64, author: &str, text: &str) -> Result<Noted, StoreError> {
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

    pub(super) fn counts(&self) -> Result<Counts, StoreError> {
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
