//! Finding alerts.
use super::file::File;
use super::{Range, Role, StoreError, schema};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};
use std::ops::ControlFlow;

/// What people did about an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    New = 0,
    Acknowledged = 1,
}

/// An alert as it is in the store. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Grows with each alert, is never used again.
    pub number: i64,
    pub id: String,
    pub detected: i64,
    pub stored: i64,
    pub state: State,
    /// When the state was changed, and by whom.
    pub changed: Option<(i64, String)>,
    pub notes: u64,
    /// As it came.
    pub document: String,
}

/// What somebody wrote about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub at: i64,
    pub author: String,
    pub text: String,
}

/// The order of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Newest,
    Oldest,
    /// As they were stored.
    Stored,
}

/// Which alerts are meant; all conditions must hold, of a list one of its elements. An empty one means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Detected at this time or later, and before that one; milliseconds since 1970.
    pub from: Option<i64>,
    pub until: Option<i64>,
    /// `Recon` finds `Recon.Scanning` too; letter case does not matter.
    pub categories: Vec<String>,
    /// Alerts about an address inside, at either end or one of them.
    pub addresses: Vec<(Option<Role>, Range)>,
    /// A part of the name of a node; letter case does not matter.
    pub nodes: Vec<String>,
    pub state: Option<State>,
    /// Stored behind the alert with this number.
    pub after: Option<i64>,
}

impl File {
    pub(super) fn alerts(
        &self,
        query: &Query,
        order: Order,
        limit: u64,
        mut each: impl FnMut(Alert) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let (condition, mut values) = query.condition();
        let order = match order {
            Order::Newest => "detected DESC, number DESC",
            Order::Oldest => "detected, number",
            Order::Stored => "number",
        };
        values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
        let sql = format!("SELECT {ALERT} FROM alert a WHERE {condition} ORDER BY {order} LIMIT ?{}", values.len());
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if each(alert(row)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn numbers(&self, query: &Query) -> Result<Vec<i64>, StoreError> {
        let (condition, values) = query.condition();
        let mut statement = self.connection.prepare(&format!("SELECT a.number FROM alert a WHERE {condition}"))?;
        Ok(statement.query_map(params_from_iter(values), |row| row.get(0))?.collect::<Result<_, _>>()?)
    }

    pub(super) fn count(&self, query: &Query) -> Result<u64, StoreError> {
        let (condition, values) = query.condition();
        let sql = format!("SELECT COUNT(*) FROM alert a WHERE {condition}");
        let count: i64 = self.connection.query_row(&sql, params_from_iter(values), |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<Alert>, StoreError> {
        if let Ok(number) = name.trim_start_matches('#').parse::<i64>() {
            let sql = format!("SELECT {ALERT} FROM alert a WHERE a.number = ?1");
            return Ok(self.connection.query_row(&sql, [number], alert).optional()?);
        }
        // The smallest text behind all that begin so: no identity has this character.
        let end = format!("{name}\u{10ffff}");
        let sql = format!("SELECT {ALERT} FROM alert a WHERE a.id >= ?1 AND a.id < ?2 ORDER BY a.id LIMIT 2");
        let mut statement = self.connection.prepare(&sql)?;
        let mut found = statement.query_map([name, &end], alert)?.collect::<Result<Vec<_>, _>>()?;
        let is_whole = found.first().is_some_and(|alert| alert.id == name);
        Ok(if !name.is_empty() && (found.len() == 1 || is_whole) { Some(found.swap_remove(0)) } else { None })
    }

    pub(super) fn notes(&self, number: i64) -> Result<Vec<Note>, StoreError> {
        let sql = "SELECT at, author, text FROM note WHERE alert = ?1 ORDER BY number";
        let mut statement = self.connection.prepare(sql)?;
        let note = |row: &Row<'_>| Ok(Note { at: row.get(0)?, author: row.get(1)?, text: row.get(2)? });
        Ok(statement.query_map([number], note)?.collect::<Result<_, _>>()?)
    }

    pub(super) fn last(&self) -> Result<i64, StoreError> {
        Ok(self.connection.query_row("SELECT COALESCE(MAX(number), 0) FROM alert", [], |row| row.get(0))?)
    }
}

/// Columns in the order of [`alert`].
const ALERT: &str = "a.number, a.id, a.detected, a.stored, a.state, a.changed, a.author, \
                     (SELECT COUNT(*) FROM note n WHERE n.alert = a.number), a.document";

fn alert(row: &Row<'_>) -> Result<Alert, rusqlite::Error> {
    let state: i64 = row.get(4)?;
    let changed: Option<i64> = row.get(5)?;
    let author: Option<String> = row.get(6)?;
    let notes: i64 = row.get(7)?;
    Ok(Alert {
        number: row.get(0)?,
        id: row.get(1)?,
        detected: row.get(2)?,
        stored: row.get(3)?,
        state: if state == 0 { State::New } else { State::Acknowledged },
        changed: changed.map(|at| (at, author.unwrap_or_default())),
        notes: notes.unsigned_abs(),
        document: row.get(8)?,
    })
}

impl Query {
    /// Whether any alert is meant.
    pub fn is_all(&self) -> bool {
        *self == Query::default()
    }

    /// The condition in SQL with its values.
    pub(super) fn condition(&self) -> (String, Vec<Value>) {
        let mut sql = Sql { all: vec!["1".to_owned()], values: Vec::new() };
        for (column, order, number) in [
            ("detected", ">=", self.from),
            ("detected", "<", self.until),
            ("state", "=", self.state.map(|state| state as i64)),
            ("number", ">", self.after),
        ] {
            if let Some(number) = number {
                let place = sql.value(Value::Integer(number));
                sql.all.push(format!("a.{column} {order} {place}"));
            }
        }
        let categories = self.categories.iter().map(|name| {
            let name = name.to_lowercase();
            let (whole, part) = (sql.value(Value::Text(name.clone())), sql.value(Value::Text(format!("{name}."))));
            format!("(lower(w.name) = {whole} OR instr(lower(w.name), {part}) = 1)")
        });
        let categories: Vec<_> = categories.collect();
        sql.words(schema::CATEGORY, &categories);
        let nodes = self.nodes.iter().map(|name| {
            let part = sql.value(Value::Text(name.to_lowercase()));
            format!("instr(lower(w.name), {part}) > 0")
        });
        let nodes: Vec<_> = nodes.collect();
        sql.words(schema::NODE, &nodes);
        let addresses: Vec<_> = self.addresses.iter().flat_map(|(role, range)| sql.inside(*role, range)).collect();
        if !addresses.is_empty() {
            sql.all.push(format!("a.number IN ({})", addresses.join(" UNION ALL ")));
        }
        (sql.all.join(" AND "), sql.values)
    }
}

/// A condition that is made.
struct Sql {
    /// All must hold.
    all: Vec<String>,
    values: Vec<Value>,
}

impl Sql {
    /// Adds a value and answers how the text names it.
    fn value(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }

    fn words(&mut self, kind: i64, any: &[String]) {
        if !any.is_empty() {
            let any = any.join(" OR ");
            let words = format!("SELECT w.number FROM word w WHERE w.kind = {kind} AND ({any})");
            self.all.push(format!("a.number IN (SELECT t.alert FROM tag t WHERE t.word IN ({words}))"));
        }
    }

    /// Alerts with an address or a part of a network inside of the range.
    fn inside(&mut self, role: Option<Role>, range: &Range) -> [String; 2] {
        let (first, last) = range.keys();
        let (first, last) = (self.value(Value::Blob(first)), self.value(Value::Blob(last)));
        let role = role.map_or(String::new(), |role| format!(" AND role = {}", role as i64));
        [
            format!("SELECT alert FROM address WHERE first BETWEEN {first} AND {last}{role}"),
            format!("SELECT alert FROM network WHERE first <= {last} AND last >= {first}{role}"),
        ]
    }
}
