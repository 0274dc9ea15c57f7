//! A store in MongoDB: the collection of the NEMEA Dashboard, whose documents are the messages with their times as dates. What the methods
//! do is told at [`super::Store`].
//!
//! What Sonda knows of an alert is the member [`OURS`] of its document; documents without it, of other writers, are the dashboard's alone
//! and never touched. Numbers and counts are one document of the collection [`BOOK`]. A number is taken before its alert is written, so with
//! several writers an alert may show up behind one with a higher number.
use super::timeline::Counting;
use super::{
    AUTHOR_MAX, Added, Alert, Counts, DOCUMENT_MAX, Document, EXPIRED_AT_ONCE, NOTE_MAX, NOTES_MAX, Note, Noted, Order,
    Query, Range, Retention, Role, Slots, State, StoreError, Timeline, cut,
};
use crate::mongo::{COLLECTION, Connection, MongoError, document as bson_of, message as message_of};
use crate::report::idea;
use jiff::Timestamp;
use mongodb::bson::{self, Bson, doc};
use mongodb::options::ReturnDocument;
use mongodb::{Collection, IndexModel};
use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::ops::ControlFlow;
use std::path::Path;

/// The member of documents that is ours, and the collection of the book.
const OURS: &str = "_sonda";
const BOOK: &str = "sonda_book";
/// Numbers of a call, at the most.
const NUMBERS_AT_ONCE: usize = 10_000;

/// An open store.
#[derive(Debug)]
pub(super) struct Server {
    connection: Connection,
    alerts: Collection<bson::Document>,
    book: Collection<bson::Document>,
    retention: Retention,
}

impl Server {
    /// Connects. With a retention the store is prepared for writing.
    pub(super) fn open(path: &Path, retention: Option<Retention>) -> Result<Server, StoreError> {
        let connection = Connection::open(&path.to_string_lossy())?;
        let (alerts, book) = (connection.database().collection(COLLECTION), connection.database().collection(BOOK));
        let server = Server { connection, alerts, book, retention: retention.unwrap_or_default() };
        if retention.is_some() {
            let keys = [
                "ID",
                "DetectTime",
                "_sonda.number",
                "_sonda.detected",
                "_sonda.sources.first",
                "_sonda.targets.first",
            ];
            let indexes = keys.map(|key| IndexModel::builder().keys(doc! {key: 1}).build());
            server.run(server.alerts.create_indexes(indexes))?;
        }
        Ok(server)
    }

    pub(super) fn add_at(&mut self, document: &str, now: i64) -> Result<Added, StoreError> {
        let Some(read) = (document.len() <= DOCUMENT_MAX).then(|| Document::read(document)).flatten() else {
            self.count_more("refused", 1)?;
            return Ok(Added::Refused);
        };
        // It was read as JSON above.
        let message = serde_json::from_str(document).unwrap_or_default();
        let same = doc! {"ID": &read.id, "_sonda.number": {"$exists": true}};
        if self.run(self.alerts.find_one(same.clone()))?.is_some() {
            self.count_more("known", 1)?;
            return Ok(Added::Known);
        }
        let number = self.next_number()?;
        let ends = |role| {
            let of_role = read.addresses.iter().filter(move |(other, _)| *other == role);
            let ends = of_role.map(|(_, range)| {
                let (first, last) = keys(range);
                Bson::from(doc! {"first": first, "last": last})
            });
            ends.collect::<Vec<_>>()
        };
        let known = doc! {
            "number": number, "detected": read.detected.unwrap_or(now), "stored": now, "state": State::New as i32, "notes": [],
            "sources": ends(Role::Source), "targets": ends(Role::Target),
        };
        let mut whole = bson_of(&message);
        whole.insert(OURS, known);
        // Before it is there: a writer that is killed in between makes room for one alert too many, and never for too few.
        self.count_more("alerts", 1)?;
        self.run(self.alerts.insert_one(whole))?;
        self.count_more("unindexed", read.unindexed)?;
        self.retire(now)?;
        Ok(Added::New(number))
    }

    pub(super) fn set_state(&mut self, numbers: &[i64], state: State, author: &str) -> Result<u64, StoreError> {
        let change = doc! {"$set": {
            "_sonda.state": state as i32, "_sonda.changed": Timestamp::now().as_millisecond(), "_sonda.author": cut(author, AUTHOR_MAX),
        }};
        let mut changed = 0;
        for numbers in numbers.chunks(NUMBERS_AT_ONCE) {
            let which = doc! {"_sonda.number": {"$in": numbers}, "_sonda.state": {"$ne": state as i32}};
            changed += self.run(self.alerts.update_many(which, change.clone()))?.modified_count;
        }
        Ok(changed)
    }

    pub(super) fn note(&mut self, number: i64, author: &str, text: &str) -> Result<Noted, StoreError> {
        let note = doc! {
            "at": Timestamp::now().as_millisecond(), "author": cut(author, AUTHOR_MAX), "text": cut(text, NOTE_MAX),
        };
        let has_room = doc! {"_sonda.number": number, format!("_sonda.notes.{}", NOTES_MAX - 1): {"$exists": false}};
        let noted = self.run(self.alerts.update_one(has_room, doc! {"$push": {"_sonda.notes": note}}))?;
        if noted.matched_count > 0 {
            return Ok(Noted::Yes);
        }
        Ok(if self.one(doc! {"_sonda.number": number})?.is_some() { Noted::Full } else { Noted::NoAlert })
    }

    pub(super) fn counts(&self) -> Result<Counts, StoreError> {
        let book = self.run(self.book.find_one(doc! {"_id": 0}))?.unwrap_or_default();
        let of = |name: &str| number(book.get(name)).unsigned_abs();
        let alerts = self.run(self.alerts.count_documents(ours()))?;
        let unread = self.run(self.alerts.count_documents(doc! {"_sonda.state": State::New as i32}))?;
        Ok(Counts {
            alerts,
            unread,
            expired: of("expired"),
            displaced: of("displaced"),
            known: of("known"),
            refused: of("refused"),
            unindexed: of("unindexed"),
        })
    }

    pub(super) fn alerts(
        &self,
        query: &Query,
        order: Order,
        limit: u64,
        mut each: impl FnMut(Alert) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let order = match order {
            Order::Newest => doc! {"_sonda.detected": -1, "_sonda.number": -1},
            Order::Oldest => doc! {"_sonda.detected": 1, "_sonda.number": 1},
            Order::Stored => doc! {"_sonda.number": 1},
        };
        if limit == 0 {
            // The server's 0 is all.
            return Ok(());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut cursor = self.run(self.alerts.find(condition(query)).sort(order).limit(limit))?;
        while self.run(cursor.advance())? {
            let found = cursor.deserialize_current().map_err(|why| self.connection.failed(why))?;
            if each(alert(&found)).is_break() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn numbers(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        let mut numbers = Vec::new();
        self.alerts(query, Order::Stored, u64::MAX, |alert| {
            numbers.push(alert.number);
            ControlFlow::Continue(())
        })?;
        Ok(numbers)
    }

    pub(super) fn count(&self, query: &Query) -> Result<u64, StoreError> {
        self.run(self.alerts.count_documents(condition(query)))
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Alert>, StoreError> {
        if let Ok(number) = name.trim_start_matches('#').parse::<i64>() {
            return Ok(self.one(doc! {"_sonda.number": number})?.as_ref().map(alert));
        }
        if name.is_empty() {
            return Ok(None);
        }
        // The smallest text behind all that begin so: no identity has this character.
        let begins_so =
            doc! {"ID": {"$gte": name, "$lt": format!("{name}\u{10ffff}")}, "_sonda.number": {"$exists": true}};
        let mut cursor = self.run(self.alerts.find(begins_so).sort(doc! {"ID": 1}).limit(2))?;
        let mut found = Vec::new();
        while self.run(cursor.advance())? {
            found.push(alert(&cursor.deserialize_current().map_err(|why| self.connection.failed(why))?));
        }
        let is_whole = found.first().is_some_and(|alert| alert.id == name);
        Ok(if found.len() == 1 || is_whole { Some(found.swap_remove(0)) } else { None })
    }

    pub(super) fn notes(&self, number: i64) -> Result<Vec<Note>, StoreError> {
        let found = self.one(doc! {"_sonda.number": number})?.unwrap_or_default();
        let notes = found.get_document(OURS).and_then(|ours| ours.get_array("notes")).map(Vec::as_slice);
        let notes = notes.unwrap_or_default().iter().filter_map(Bson::as_document);
        Ok(notes
            .map(|note| Note {
                at: self::number(note.get("at")),
                author: text(note, "author"),
                text: text(note, "text"),
            })
            .collect())
    }

    pub(super) fn span(&self, query: &Query) -> Result<Option<(i64, i64)>, StoreError> {
        let end = |order: i32| {
            let found = self.alerts.find_one(condition(query)).sort(doc! {"_sonda.detected": order});
            Ok::<_, StoreError>(self.run(found)?.map(|found| alert(&found).detected))
        };
        Ok(end(1)?.zip(end(-1)?))
    }

    pub(super) fn timeline(&self, query: &Query, slots: Slots) -> Result<Timeline, StoreError> {
        let inside = doc! {"_sonda.detected": {"$gte": slots.from, "$lt": slots.until()}};
        let which = doc! {"$and": [condition(query), inside]};
        let mut cursor = self.run(self.alerts.find(which).projection(doc! {"_sonda.detected": 1, "Category": 1}))?;
        let mut counting = Counting::new(slots);
        while self.run(cursor.advance())? {
            let found = cursor.deserialize_current().map_err(|why| self.connection.failed(why))?;
            let categories: BTreeSet<&str> =
                found.get_array("Category").into_iter().flatten().filter_map(Bson::as_str).collect();
            let category = categories.into_iter().collect::<Vec<_>>().join(", ");
            counting.add(category, (alert(&found).detected - slots.from) / slots.step, 1);
        }
        Ok(counting.finish())
    }

    pub(super) fn last(&self) -> Result<i64, StoreError> {
        let newest = self.run(self.alerts.find_one(ours()).sort(doc! {"_sonda.number": -1}))?;
        Ok(newest.as_ref().map_or(0, |found| alert(found).number))
    }

    /// Removes what is too old or too much, the oldest first.
    fn retire(&self, now: i64) -> Result<(), StoreError> {
        let age = i64::try_from(self.retention.age.as_millis()).unwrap_or(i64::MAX);
        let mut alerts = self.counted("alerts")?;
        for _ in 0..EXPIRED_AT_ONCE {
            let oldest = self.run(self.alerts.find_one(ours()).sort(doc! {"_sonda.number": 1}))?;
            let Some(oldest) = oldest.as_ref().map(alert) else { break };
            let why = if oldest.stored < now.saturating_sub(age) {
                "expired"
            } else if alerts.unsigned_abs() > self.retention.alerts.max(1) {
                "displaced"
            } else {
                break;
            };
            let gone = self.run(self.alerts.delete_one(doc! {"_sonda.number": oldest.number}))?.deleted_count;
            self.count_more(why, gone)?;
            let less = doc! {"$inc": {"alerts": -(gone as i64)}};
            self.run(self.book.update_one(doc! {"_id": 0}, less))?;
            alerts -= 1;
        }
        Ok(())
    }

    fn next_number(&self) -> Result<i64, StoreError> {
        let taken = self.book.find_one_and_update(doc! {"_id": 0}, doc! {"$inc": {"last": 1_i64}});
        let book = self.run(taken.upsert(true).return_document(ReturnDocument::After))?;
        Ok(number(book.unwrap_or_default().get("last")))
    }

    fn counted(&self, name: &str) -> Result<i64, StoreError> {
        Ok(number(self.run(self.book.find_one(doc! {"_id": 0}))?.unwrap_or_default().get(name)))
    }

    fn count_more(&self, name: &str, more: u64) -> Result<(), StoreError> {
        if more > 0 {
            let more = doc! {"$inc": {name: i64::try_from(more).unwrap_or(i64::MAX)}};
            self.run(self.book.update_one(doc! {"_id": 0}, more).upsert(true))?;
        }
        Ok(())
    }

    fn one(&self, which: bson::Document) -> Result<Option<bson::Document>, StoreError> {
        self.run(self.alerts.find_one(which))
    }

    fn run<T>(&self, work: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, StoreError> {
        self.connection.run(work).map_err(|why: MongoError| StoreError::Server(why))
    }
}

/// Documents that are alerts of ours.
fn ours() -> bson::Document {
    doc! {"_sonda.number": {"$exists": true}}
}

fn condition(query: &Query) -> bson::Document {
    let mut all = vec![ours()];
    for (member, order, number) in [
        ("_sonda.detected", "$gte", query.from),
        ("_sonda.detected", "$lt", query.until),
        ("_sonda.number", "$gt", query.after),
    ] {
        all.extend(number.map(|number| doc! {member: {order: number}}));
    }
    all.extend(query.state.map(|state| doc! {"_sonda.state": state as i32}));
    let matches = |member: &str, pattern: String| doc! {member: {"$regex": pattern, "$options": "i"}};
    let categories =
        query.categories.iter().map(|name| matches("Category", format!("^{}(\\.|$)", regex::escape(name))));
    let nodes = query.nodes.iter().map(|name| matches("Node.Name", regex::escape(name)));
    let addresses = query.addresses.iter().flat_map(|(role, range)| {
        let (first, last) = keys(range);
        let inside = doc! {"$elemMatch": {"first": {"$lte": last}, "last": {"$gte": first}}};
        let ends = [(Role::Source, "_sonda.sources"), (Role::Target, "_sonda.targets")];
        let ends = ends.into_iter().filter(|(end, _)| role.is_none_or(|role| role == *end));
        ends.map(|(_, member)| doc! {member: inside.clone()}).collect::<Vec<_>>()
    });
    for any in [categories.collect::<Vec<_>>(), nodes.collect(), addresses.collect()] {
        if !any.is_empty() {
            all.push(doc! {"$or": any});
        }
    }
    doc! {"$and": all}
}

/// First and last address of a range as texts that sort as the numbers do.
fn keys(range: &Range) -> (String, String) {
    let hex = |key: Vec<u8>| key.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, last) = range.keys();
    (hex(first), hex(last))
}

fn alert(found: &bson::Document) -> Alert {
    let nothing = bson::Document::new();
    let ours = found.get_document(OURS).unwrap_or(&nothing);
    Alert {
        number: number(ours.get("number")),
        id: text(found, "ID"),
        detected: number(ours.get("detected")),
        stored: number(ours.get("stored")),
        state: if number(ours.get("state")) == 0 { State::New } else { State::Acknowledged },
        changed: ours.get("changed").map(|at| (number(Some(at)), text(ours, "author"))),
        notes: ours.get_array("notes").map_or(0, |notes| notes.len() as u64),
        document: idea::dump(&message_of(found, OURS)),
    }
}

/// A number, in whatever size the server keeps it.
fn number(value: Option<&Bson>) -> i64 {
    match value {
        Some(Bson::Int64(n)) => *n,
        Some(Bson::Int32(n)) => (*n).into(),
        Some(Bson::Double(n)) => *n as i64,
        _ => 0,
    }
}

fn text(document: &bson::Document, name: &str) -> String {
    document.get_str(name).unwrap_or_default().to_owned()
}
