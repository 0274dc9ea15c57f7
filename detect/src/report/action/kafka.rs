//! `kafka: {brokers, topic, key, timeout, options}`: the message as a record of a topic of Kafka (ours; cargo feature `kafka`).
//!
//! Delivered is what the brokers have acknowledged, all replicas in step unless `options` say other than `acks: all`. One record is under
//! way at a time, so their order is that of the alerts, and librdkafka's own repetitions are recognized by the broker
//! (`enable.idempotence`). What is not acknowledged in time waits like with every far end; its record was taken back by then, so only a
//! broker that wrote it and could not say so has it twice.
use super::{Act, Setup};
use crate::report::config::Section;

#[cfg(feature = "kafka")]
mod producer;

/// Why a build without the feature refuses the action, and what to do.
#[cfg(not(feature = "kafka"))]
const ABSENT: &str = "this sonda was built without Kafka: install librdkafka-dev and build it with `cargo build --release --features kafka`";

#[cfg(feature = "kafka")]
pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    super::delivery::delivery(producer::Kafka::read(section)?, setup)
}

#[cfg(not(feature = "kafka"))]
pub(super) fn read(_section: &Section, _setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    Err(ABSENT.into())
}

#[cfg(all(test, not(feature = "kafka")))]
mod tests {
    use super::*;
    use serde_json::json;
    use trap::Stop;

    #[test]
    fn a_build_without_it_says_how_to_get_it() {
        let stop = Stop::default();
        let section = Section::new("kafka", json!({"brokers": "localhost", "topic": "alerts"}));
        let refused = read(&section, &mut Setup::new("m", &stop)).err().unwrap();
        assert!(refused.contains("--features kafka"), "{refused}");
    }
}
