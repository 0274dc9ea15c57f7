//! A connection to MongoDB by its own driver (cargo feature `mongo`).
//!
//! Contract: each call ends within [`ANSWER`], whatever the server does. What was written is in the server's journal when the call answers,
//! unless the connection string asks for less (`w`, `journal`). The driver's one thread ends with the connection. Messages name servers,
//! never users and passwords.
mod bson;

pub(crate) use self::bson::{document, identity, message};

use mongodb::options::{ClientOptions, WriteConcern};
use mongodb::{Client, Database};
use std::future::IntoFuture;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A connection is made, a server found, within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// A call ends within this time.
const ANSWER: Duration = Duration::from_secs(10);
/// The database and the collection of the NEMEA Dashboard.
pub(crate) const DATABASE: &str = "nemeadb";
pub(crate) const COLLECTION: &str = "alerts_new";
/// What MongoDB says of an `_id` that is there already.
const DUPLICATE: i32 = 11_000;

/// Why MongoDB did not do it.
#[derive(Debug, thiserror::Error)]
#[error("MongoDB at {servers}: {why}")]
pub struct MongoError {
    servers: String,
    why: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silence,
    #[error("the connection string: {0}")]
    Address(mongodb::error::Error),
    #[error("no thread: {0}")]
    Thread(std::io::Error),
    #[error("{0}")]
    Driver(mongodb::error::Error),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// None when it ends.
    runtime: Option<Runtime>,
    database: Database,
    servers: String,
}

impl Connection {
    /// Connects to a server, or to one of several, when it is first asked for something.
    ///
    /// # Errors
    /// The connection string is none, or a thread cannot be had.
    pub(crate) fn open(address: &str) -> Result<Connection, MongoError> {
        let failed = |why| MongoError { servers: shown(address), why };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|why| failed(Reason::Thread(why)))?;
        let made = runtime.block_on(async {
            let mut options = ClientOptions::parse(address).await?;
            options.app_name.get_or_insert_with(|| "sonda".into());
            options.connect_timeout.get_or_insert(CONNECT);
            options.server_selection_timeout.get_or_insert(CONNECT);
            options.write_concern.get_or_insert_with(|| WriteConcern::builder().journal(true).build());
            let name = options.default_database.clone().unwrap_or_else(|| DATABASE.into());
            Ok(Client::with_options(options)?.database(&name))
        });
        let database = made.map_err(|why| failed(Reason::Address(why)))?;
        Ok(Connection { runtime: Some(runtime), database, servers: shown(address) })
    }

    /// The database that the connection string names.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// What the driver says, with the names of the servers.
    pub(crate) fn failed(&self, why: mongodb::error::Error) -> MongoError {
        MongoError { servers: self.servers.clone(), why: Reason::Driver(why) }
    }

    /// Does something, in a bounded time.
    ///
    /// # Errors
    /// The server is not there, refuses it, or says nothing.
    pub(crate) fn run<T>(&self, work: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, MongoError> {
        let failed = |why| MongoError { servers: self.servers.clone(), why };
        // There until it is dropped.
        let Some(runtime) = &self.runtime else { return Err(failed(Reason::Silence)) };
        let limited = async { tokio::time::timeout(ANSWER, work.into_future()).await };
        match runtime.block_on(limited) {
            Ok(done) => done.map_err(|why| self.failed(why)),
            Err(_) => Err(failed(Reason::Silence)),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Without waiting for a server that says nothing.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl MongoError {
    /// A document with this `_id` is there already.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.write_code() == Some(DUPLICATE)
    }

    /// The server, or the driver, does not take this document, at no time.
    pub(crate) fn is_refused(&self) -> bool {
        use mongodb::error::ErrorKind;
        let Reason::Driver(why) = &self.why else { return false };
        self.write_code().is_some()
            || matches!(*why.kind, ErrorKind::BsonSerialization(_) | ErrorKind::InvalidArgument { .. })
    }

    fn write_code(&self) -> Option<i32> {
        use mongodb::error::{ErrorKind, WriteFailure};
        let Reason::Driver(why) = &self.why else { return None };
        match &*why.kind {
            ErrorKind::Write(WriteFailure::WriteError(error)) => Some(error.code),
            _ => None,
        }
    }
}

/// The servers of a connection string.
fn shown(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
    rest.split(['/', '?']).next().unwrap_or_default().to_owned()
}
