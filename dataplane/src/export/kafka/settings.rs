//! What librdkafka is told: our defaults, and over them the options that were given.
use super::{KafkaConfig, Setting};
use crate::export::OpenError;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, DeliveryResult, ProducerContext};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Ours where librdkafka's own would not do: a broker that was too slow to say so does not have a record twice, and a queue takes at most
/// 64 MiB in place of 1 GiB. Its records are bounded by librdkafka's own default, 100,000.
const DEFAULTS: [(&str, &str); 3] =
    [("client.id", "sonda"), ("enable.idempotence", "true"), ("queue.buffering.max.kbytes", "65536")];
/// Options that are not for others to set, and why.
const OURS: [(&str, &str); 5] = [
    ("bootstrap.servers", "the brokers stand in front of the topic"),
    ("metadata.broker.list", "the brokers stand in front of the topic"),
    ("delivery.report.only.error", "what arrived is counted by its reports"),
    ("transactional.id", "flows are not sent in transactions"),
    ("enabled_events", "events are taken by this program"),
];
/// Bytes of a file with a value, at the most.
const FILE_MAX: u64 = 64 << 10;

/// All settings, known to be taken by librdkafka, which was started with them and without brokers for that.
pub(super) fn read(config: &KafkaConfig) -> Result<ClientConfig, OpenError> {
    let wrong = |why: String| OpenError::Config(format!("{}: {why}", config.name()));
    let mut settings = ClientConfig::new();
    let is_given = |name: &str| config.options.iter().any(|(given, _)| given == name);
    for (name, value) in DEFAULTS {
        // Fewer acknowledgements and idempotence exclude each other.
        if name != "enable.idempotence" || !is_given("acks") && !is_given("request.required.acks") {
            settings.set(name, value);
        }
    }
    for (name, value) in &config.options {
        if let Some((_, why)) = OURS.iter().find(|(ours, _)| ours == name) {
            return Err(wrong(format!("{name} cannot be set, {why}")));
        }
        let value = match value {
            Setting::Text(text) => text.clone(),
            Setting::File(path) => line(path).map_err(|e| wrong(format!("{name}: {}: {e}", path.display())))?,
        };
        settings.set(name, value);
    }
    settings.create_with_context::<_, BaseProducer<Deaf>>(Deaf).map_err(|e| wrong(e.to_string()))?;
    settings.set("bootstrap.servers", &config.brokers);
    Ok(settings)
}

/// The text of a file without the end of its line.
fn line(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Hears nothing: a producer without brokers has nothing to say.
struct Deaf;

impl ClientContext for Deaf {}

impl ProducerContext for Deaf {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::super::PATIENCE;
    use super::*;
    use std::io::Write;

    fn refused<const N: usize>(options: [(&str, Setting); N]) -> Option<String> {
        let options = options.map(|(name, value)| (name.to_owned(), value)).into();
        let config =
            KafkaConfig { brokers: "b".into(), topic: "t".into(), options, may_wait: false, patience: PATIENCE };
        read(&config).err().map(|e| e.to_string())
    }

    fn text(value: &str) -> Setting {
        Setting::Text(value.into())
    }

    #[test]
    fn what_librdkafka_does_not_take_is_said_at_start() {
        for (name, value, why) in [
            ("no.such.option", "1", "no.such.option"),
            ("linger.ms", "soon", "linger.ms"),
            ("bootstrap.servers", "x", "in front of the topic"),
            ("delivery.report.only.error", "true", "counted by its reports"),
            // Looked at only where TLS is on.
            ("ssl.ca.location", "/no/such/file", "ssl.ca.location"),
        ] {
            let protocol = if name.starts_with("ssl.") { "ssl" } else { "plaintext" };
            let told = refused([("security.protocol", text(protocol)), (name, text(value))]);
            let told = told.unwrap_or_else(|| panic!("{name}={value} was taken"));
            assert!(told.starts_with("kafka b/t: ") && told.contains(why), "{told}");
        }
        for (name, value) in [("compression.type", "zstd"), ("acks", "1"), ("linger.ms", "50")] {
            assert_eq!(refused([(name, text(value))]), None);
        }
    }

    #[test]
    fn a_value_may_stand_in_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"gzip\n").unwrap();
        assert_eq!(refused([("compression.type", Setting::File(file.path().into()))]), None);
        let told = refused([("sasl.password", Setting::File("/no/such/file".into()))]).unwrap();
        assert!(told.contains("sasl.password: /no/such/file"), "{told}");
    }
}
