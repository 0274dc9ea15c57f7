//! `mongo: {host, port, db, collection, user, password, file}`: the message as a document of the NEMEA Dashboard (spec/idea.md sections 2.4
//! and 5).
//!
//! With the cargo feature `mongo` it goes to a server, and waits as for every far end while that is down. With the key `file`, or without the
//! feature, documents are appended to a file in MongoDB's extended JSON, and `mongoimport --db DB --collection COLLECTION FILE` takes them
//! over. The file is the key `file`, else `<spool path>/<module>/<action>.mongo.json`; it grows to [`FILE_MAX`] bytes, what comes then is
//! lost, said and counted.
use super::file::append;
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use crate::report::{log, time};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

#[cfg(feature = "mongo")]
mod server;

/// Bytes of the file, at the most.
const FILE_MAX: u64 = 1 << 30;
/// The original's database and collection.
const DATABASE: &str = "nemeadb";
const COLLECTION: &str = "alerts_new";

struct Import {
    /// None: documents are lost, as by the original without its driver.
    file: Option<PathBuf>,
}

pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    #[cfg(feature = "mongo")]
    if !section.has("file") {
        return super::delivery::delivery(server::Mongo::read(section)?, setup);
    }
    read_import(section, setup)
}

fn read_import(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let spooled = match &setup.spool {
        Some(spool) => {
            let folder = PathBuf::from(spool.need("path")?).join(setup.module);
            fs::create_dir_all(&folder).map_err(|why| format!("cannot make {}: {why}", folder.display()))?;
            Some(folder.join(format!("{}.mongo.json", setup.id.replace('/', "_"))))
        }
        None => None,
    };
    let file = section.text("file")?.map(PathBuf::from).or(spooled);
    let (db, collection) = (section.text("db")?, section.text("collection")?);
    let (db, collection) = (db.as_deref().unwrap_or(DATABASE), collection.as_deref().unwrap_or(COLLECTION));
    match &file {
        Some(file) => {
            log::warning!("load {} by `mongoimport --db {db} --collection {collection}`.", file.display());
        }
        None => log::error!(
            "this sonda was built without MongoDB (`--features mongo`): action {} needs `file`, or a `spool`, or does nothing.",
            setup.id
        ),
    }
    Ok(Box::new(Import { file }))
}

impl Act for Import {
    fn run(&mut self, message: &mut Value, _scene: &mut Scene<'_>) -> Result<Flow, String> {
        let file = self.file.as_ref().ok_or("it was built without MongoDB, and there is no `file`")?;
        let is_full = fs::metadata(file).is_ok_and(|found| found.len() >= FILE_MAX);
        if is_full {
            return Err(format!("{} is full", file.display()));
        }
        let line = format!("{}\n", document(message));
        append(file, &line).map_err(|why| format!("cannot write to {}: {why}", file.display()))?;
        Ok(Flow::GoOn)
    }
}

/// The message with its times as dates.
fn document(message: &Value) -> Value {
    let mut document = message.clone();
    for name in time::DATES {
        if let Some(value) = document.get_mut(name)
            && let Some(micros) = value.as_str().and_then(time::parse)
        {
            *value = json!({"$date": {"$numberLong": (micros / 1_000).to_string()}});
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        let message =
            json!({"DetectTime": "2023-01-02T10:15:00Z", "EventTime": "soon", "BreachTime": "2023-01-02T10:15:00Z"});
        let expected = json!({
            "DetectTime": {"$date": {"$numberLong": "1672654500000"}}, "EventTime": "soon", "BreachTime": "2023-01-02T10:15:00Z"
        });
        assert_eq!(document(&message), expected);
    }
}
