//! Documents into a server. An alert that is tried again has the same `_id`, so it is there once.
use super::super::delivery::{Deliver, Undelivered};
use super::{COLLECTION, DATABASE};
use crate::mongo::{Connection, document, identity};
use crate::report::config::Section;
use crate::report::idea;
use serde_json::Value;

const PORT_MAX: u64 = 65_535;

/// The far end.
pub(super) struct Mongo {
    /// The connection string.
    address: String,
    collection: String,
    /// Made when the first message comes, and anew after a failure.
    connection: Option<Connection>,
}

impl Mongo {
    pub(super) fn read(section: &Section) -> Result<Mongo, String> {
        let host = section.text("host")?.unwrap_or_else(|| "localhost".into());
        let port = section.number("port", PORT_MAX)?.unwrap_or(27_017);
        let database = section.text("db")?.unwrap_or_else(|| DATABASE.into());
        // As the original: with both or as nobody.
        let user = match (section.text("user")?, section.text("password")?) {
            (Some(user), Some(password)) => format!("{}:{}@", quoted(&user), quoted(&password)),
            _ => String::new(),
        };
        // An address of version 6 is told from its port by brackets.
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
        let address = format!("mongodb://{user}{host}:{port}/{}", quoted(&database));
        let collection = section.text("collection")?.unwrap_or_else(|| COLLECTION.into());
        Ok(Mongo { address, collection, connection: None })
    }
}

impl Deliver for Mongo {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address).map_err(Undelivered::passing)?,
        };
        let mut whole = document(message);
        whole.insert("_id", identity(message, &idea::dump(message)));
        match connection.run(connection.database().collection(&self.collection).insert_one(whole)) {
            Ok(_) => {}
            // It was brought before, and the answer was lost.
            Err(why) if why.is_duplicate() => {}
            Err(why) if why.is_refused() => return Err(Undelivered::refused(why)),
            Err(why) => return Err(Undelivered::passing(why)),
        }
        self.connection = Some(connection);
        Ok(())
    }
}

/// A part of a connection string (RFC 3986 section 2.1).
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            quoted.push(byte.into());
        } else {
            quoted += &format!("%{byte:02X}");
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_make_a_connection_string() {
        let address = |value| Mongo::read(&Section::new("mongo", value)).unwrap().address;
        assert_eq!(address(json!({})), "mongodb://localhost:27017/nemeadb");
        assert_eq!(address(json!({"host": "::1", "port": 1, "db": "d", "user": "u"})), "mongodb://[::1]:1/d");
        assert_eq!(
            address(json!({"user": "u@x", "password": "p:/é"})),
            "mongodb://u%40x:p%3A%2F%C3%A9@localhost:27017/nemeadb"
        );
        assert!(Mongo::read(&Section::new("mongo", json!({"port": 70_000}))).is_err());
    }
}
