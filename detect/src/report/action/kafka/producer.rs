//! The producer of librdkafka, which brings one record at a time.
use super::super::delivery::{Deliver, Undelivered};
use crate::report::config::Section;
use crate::report::{idea, jpath};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use serde_json::Value;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Seconds within which a record is acknowledged or has failed, if the configuration does not say, and at the most.
const TIMEOUT_SECS: u64 = 10;
const TIMEOUT_SECS_MAX: u64 = 600;
/// librdkafka tells of a record that is out of time this much later, at the most.
const MARGIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
/// Options that are keys of the action.
const OWN: [(&str, &str); 3] =
    [("bootstrap.servers", "brokers"), ("metadata.broker.list", "brokers"), ("message.timeout.ms", "timeout")];

/// The far end.
pub(super) struct Kafka {
    config: ClientConfig,
    topic: String,
    /// Where in a message the record's key is.
    key: Option<jpath::Path>,
    timeout: Duration,
    /// Made when the first message comes, and anew after a failure.
    producer: Option<BaseProducer<Reports>>,
}

/// What became of a record; set once.
type Outcome = OnceLock<Result<(), KafkaError>>;

/// Takes what librdkafka tells.
#[derive(Default)]
struct Reports {
    /// Why it has no connection, the newest reason.
    trouble: Mutex<Option<String>>,
}

impl Kafka {
    pub(super) fn read(section: &Section) -> Result<Kafka, String> {
        let timeout = section.number("timeout", TIMEOUT_SECS_MAX)?.unwrap_or(TIMEOUT_SECS).max(1);
        let key = section.text("key")?;
        let key = key.map(|key| jpath::Path::parse(&key).ok_or_else(|| format!("\"{key}\" is no path"))).transpose()?;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", section.need("brokers")?);
        config.set("message.timeout.ms", (timeout * 1_000).to_string());
        config.set("client.id", "sonda");
        config.set("enable.idempotence", "true");
        // Nothing follows that a record could wait for.
        config.set("linger.ms", "0");
        if let Some(options) = section.section("options")? {
            for (name, _) in options.keys() {
                if let Some((_, key)) = OWN.iter().find(|(own, _)| own == name) {
                    return Err(format!("the option {name} is the key `{key}` of the action"));
                }
                config.set(name, options.text(name)?.unwrap_or_default());
            }
        }
        // Nothing is started yet: a reporter makes its threads when it is in its sandbox.
        config.create_native_config().map_err(|why| why.to_string())?;
        let topic = section.need("topic")?;
        Ok(Kafka { config, topic, key, timeout: Duration::from_secs(timeout), producer: None })
    }

    /// Brings one record; answers when the broker has it, or it failed.
    fn bring(&self, producer: &BaseProducer<Reports>, message: &Value) -> Result<(), KafkaError> {
        let (payload, outcome) = (idea::dump(message), Arc::new(Outcome::new()));
        let key = self.key.as_ref().and_then(|path| path.values(message).first().map(|value| text(value)));
        let mut record = BaseRecord::with_opaque_to(&self.topic, Arc::clone(&outcome)).payload(&payload);
        if let Some(key) = &key {
            record = record.key(key);
        }
        producer.send(record).map_err(|(why, _)| why)?;
        let ends = Instant::now() + self.timeout + MARGIN;
        while outcome.get().is_none() && Instant::now() < ends {
            producer.poll(POLL);
        }
        outcome.get().cloned().unwrap_or(Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut)))
    }
}

impl Deliver for Kafka {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.config.create_with_context(Reports::default()).map_err(Undelivered::passing)?,
        };
        match self.bring(&producer, message) {
            Ok(()) => {
                self.producer = Some(producer);
                Ok(())
            }
            // It ends here, and takes its record back: another try is another record.
            Err(why) => {
                let trouble = producer.context().trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
                let trouble = trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
                let told = format!("Kafka's topic {}: {why}{trouble}", self.topic);
                Err(Undelivered { why: told, is_passing: !is_too_large(&why) })
            }
        }
    }
}

/// The one failure that another time does not mend.
fn is_too_large(why: &KafkaError) -> bool {
    why.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl ClientContext for Reports {
    fn error(&self, _error: KafkaError, reason: &str) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Outcome>;

    fn delivery(&self, result: &DeliveryResult<'_>, outcome: Arc<Outcome>) {
        // Told once for each record.
        let _ = outcome.set(result.as_ref().map(|_| ()).map_err(|(why, _)| why.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_settings_are_refused() {
        let refused = |value: Value| Kafka::read(&Section::new("kafka", value)).err();
        assert!(refused(json!({"topic": "t"})).unwrap().contains("brokers"));
        assert!(refused(json!({"brokers": "b"})).unwrap().contains("topic"));
        assert!(refused(json!({"brokers": "b", "topic": "t", "key": "a..b"})).unwrap().contains("no path"));
        let options = |options: Value| refused(json!({"brokers": "b", "topic": "t", "options": options}));
        assert!(options(json!({"message.timeout.ms": 1})).unwrap().contains("`timeout`"));
        assert!(options(json!({"no.such.option": 1})).unwrap().contains("no.such.option"));
        assert!(options(json!({"compression.type": "gzip", "acks": "all"})).is_none());
    }
}
