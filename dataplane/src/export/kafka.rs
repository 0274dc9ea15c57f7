//! Kafka: each flow as a record of a topic, which is the object that JSON lines have (cargo feature `kafka`).
//!
//! Records have no key, so librdkafka spreads them over the partitions, as Vector, Logstash and goflow2 have it by default: a biflow is
//! whole in one record, and none needs another one's place.
use super::{Exporter, OpenError};
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "kafka")]
mod producer;
#[cfg(feature = "kafka")]
mod settings;

/// What a Kafka output is told at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `HOST[:PORT]`, with commas between them.
    pub brokers: String,
    pub topic: String,
    /// Options of librdkafka.
    pub options: Vec<(String, Setting)>,
    /// Whether flows may wait while brokers are slower than they are: captures in files. Otherwise a full queue loses them.
    pub may_wait: bool,
    /// Brokers that acknowledge nothing for so long are not waited for any more; at the end they are waited for six times as long at the most.
    pub patience: Duration,
}

/// The patience that an operator has.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What an option is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    Text(String),
    /// What stands in a file: passwords, which a command line would show to everybody.
    File(PathBuf),
}

impl KafkaConfig {
    /// For messages: without options, which may be secret.
    pub fn name(&self) -> String {
        format!("kafka {}/{}", self.brokers, self.topic)
    }

    /// Checks all that can be known without the brokers, options included.
    ///
    /// # Errors
    /// The option that librdkafka does not take, or that this program was built without Kafka.
    #[cfg(feature = "kafka")]
    pub fn check(&self) -> Result<(), OpenError> {
        settings::read(self).map(drop)
    }

    /// The output. No broker is asked before the first flow or tick.
    ///
    /// # Errors
    /// Those of [`KafkaConfig::check`].
    #[cfg(feature = "kafka")]
    pub fn open(self) -> Result<Box<dyn Exporter>, OpenError> {
        Ok(Box::new(producer::KafkaExporter::open(self)?))
    }
}

#[cfg(not(feature = "kafka"))]
impl KafkaConfig {
    /// Refuses, because this program was built without Kafka.
    ///
    /// # Errors
    /// Always: how it is built with Kafka.
    pub fn check(&self) -> Result<(), OpenError> {
        Err(OpenError::Config(format!(
            "{}: this sonda was built without Kafka: install librdkafka-dev and build it with `cargo build --release --features kafka`",
            self.name()
        )))
    }

    /// Refuses as [`KafkaConfig::check`] does.
    ///
    /// # Errors
    /// Always.
    pub fn open(self) -> Result<Box<dyn Exporter>, OpenError> {
        self.check().and(Err(OpenError::Config(self.name())))
    }
}
