//! MongoDB as a far end of reporters and as the alert store, against a server that speaks its protocol (mongo_server).
#![cfg(feature = "mongo")]
#[allow(dead_code, reason = "each suite uses its part")]
mod common;
mod mongo_server;
mod store_life;

use common::Folder;
use detect::store::{Added, Store, shown};
use mongo_server::MongoServer;
use mongodb::bson::{DateTime, Document};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use store_life::SHORT;

/// A store of its own.
fn path(server: &MongoServer, database: &str) -> PathBuf {
    PathBuf::from(format!("{}/{database}", server.address()))
}

/// What is in a collection, as another client of the driver sees it.
fn documents(server: &MongoServer, database: &str, collection: &str) -> Vec<Document> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let client = mongodb::Client::with_uri_str(server.address()).await.unwrap();
        let mut cursor =
            client.database(database).collection::<Document>(collection).find(Document::new()).await.unwrap();
        let mut all = Vec::new();
        while cursor.advance().await.unwrap() {
            all.push(cursor.deserialize_current().unwrap());
        }
        all
    })
}

fn alert(n: u32) -> Value {
    json!({
        "Format": "IDEA0", "ID": format!("id-{n}"), "DetectTime": "2023-01-02T10:15:00Z", "Category": ["Recon.Scanning"],
        "FlowCount": n, "Source": [{"IP4": ["192.0.2.1"]}],
    })
}

fn ids(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|document| document.get_str("ID").unwrap()).collect()
}

#[test]
fn documents_are_those_of_the_dashboard() {
    let (folder, server) = (Folder::new(), MongoServer::start());
    let config = format!("custom_actions: [{{id: a, mongo: {{host: 127.0.0.1, port: {}}}}}]", server.port);
    let mut refused = alert(2);
    refused["Refuse"] = true.into();
    assert_eq!(folder.act([alert(1), refused, alert(3)], &config, &[]), 0);
    let found = documents(&server, "nemeadb", "alerts_new");
    assert_eq!(ids(&found), ["id-1", "id-3"]);
    assert_eq!(*found[0].get_datetime("DetectTime").unwrap(), DateTime::from_millis(1_672_654_500_000));
    let members: Vec<_> = found[0].keys().filter(|name| *name != "_id").collect();
    assert_eq!(members, ["Format", "ID", "DetectTime", "Category", "FlowCount", "Source", "Node"]);
}

#[test]
fn a_server_that_is_down_loses_no_alert() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = |retry: u32| {
        format!(
            "spool: {{path: {}, retry: {retry}}}\n\
             custom_actions: [{{id: a, mongo: {{host: 127.0.0.1, port: {port}, db: d, collection: c}}}}]",
            folder.path("spool")
        )
    };
    assert_eq!(folder.act([alert(1), alert(2)], &config(1_000), &[]), 0);
    let waiting = folder.path("spool/idea2idea/a");
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 2);
    let server = MongoServer::at(port);
    assert_eq!(folder.act([alert(3)], &config(0), &[]), 0);
    assert_eq!(ids(&documents(&server, "d", "c")), ["id-1", "id-2", "id-3"]);
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 0);
}

#[test]
fn the_store_is_that_of_files() {
    let server = MongoServer::start();
    let create = |database: &str| store_life::create(&path(&server, database));
    store_life::alerts_are_found_by_time_category_address_node_and_state(create("found"));
    store_life::alerts_are_counted_by_category_and_time(create("counted"));
    // The same members, as numbers have more than one spelling.
    let same = |found: &str, given: &str| {
        serde_json::from_str::<Value>(found).unwrap() == serde_json::from_str::<Value>(given).unwrap()
    };
    store_life::an_alert_is_kept_once_as_it_came_with_what_people_wrote(create("kept"), same);
    let mut short = Store::create(&path(&server, "short"), SHORT).unwrap();
    store_life::the_oldest_make_room_and_the_old_go(&mut short);
    store_life::several_write_and_read_at_once(&path(&server, "several"));
}

#[test]
fn documents_of_others_are_no_alerts_of_the_store() {
    let (folder, server) = (Folder::new(), MongoServer::start());
    let config = |action: &str| format!("custom_actions: [{{id: a, {action}}}]");
    let others = config(&format!("mongo: {{host: 127.0.0.1, port: {}}}", server.port));
    assert_eq!(folder.act([alert(1)], &others, &[]), 0);
    assert_eq!(folder.act([alert(1), alert(2)], &config(&format!("store: {{path: '{}'}}", server.address())), &[]), 0);
    let mut store = Store::open(Path::new(&server.address())).unwrap();
    assert_eq!((store.counts().unwrap().alerts, store.last().unwrap()), (2, 2));
    let document = store.find("id-2").unwrap().unwrap().document;
    assert!(
        document.contains("\"DetectTime\": \"2023-01-02T10:15:00Z\"") && !document.contains("_sonda"),
        "{document}"
    );
    assert_eq!(store.add(&document).unwrap(), Added::Known);
    let found = documents(&server, "nemeadb", "alerts_new");
    assert_eq!(ids(&found), ["id-1", "id-1", "id-2"]);
    assert!(found.iter().all(|document| document.get_datetime("DetectTime").is_ok()));
}

#[test]
fn passwords_are_not_shown() {
    let path = Path::new("mongodb://me:secret@127.0.0.1:1/db");
    assert_eq!(shown(path), "mongodb://127.0.0.1:1/db");
    let why = Store::create(path, SHORT).unwrap_err().to_string();
    assert!(why.contains("127.0.0.1:1") && !why.contains("secret"), "{why}");
}
