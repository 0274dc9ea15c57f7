//! The action `kafka` of reporters against the brokers that librdkafka has for tests: they speak the protocol over TCP.
#![cfg(feature = "kafka")]
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, PATIENCE};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

const TOPIC: &str = "alerts";

struct Brokers(MockCluster<'static, DefaultProducerContext>);

impl Brokers {
    fn start() -> Brokers {
        let brokers = MockCluster::new(1).unwrap();
        brokers.create_topic(TOPIC, 1, 1).unwrap();
        Brokers(brokers)
    }

    /// Keys and IDs of all records, in their order: so many, and no more.
    fn records(&self, count: usize) -> Vec<(Option<String>, String)> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.0.bootstrap_servers()).set("group.id", "test");
        let consumer: BaseConsumer = config.set("enable.partition.eof", "true").create().unwrap();
        let mut whole = TopicPartitionList::new();
        whole.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&whole).unwrap();
        let (mut records, ends) = (Vec::new(), Instant::now() + PATIENCE);
        while Instant::now() < ends {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    let message: Value = serde_json::from_slice(record.payload().unwrap()).unwrap();
                    let key = record.key().map(|key| String::from_utf8_lossy(key).into_owned());
                    records.push((key, message["ID"].as_str().unwrap().to_owned()));
                }
                // The end of the partition.
                Some(Err(_)) if records.len() >= count => break,
                _ => {}
            }
        }
        records
    }
}

fn alert(n: u32) -> Value {
    let note = if n == 666 { "x".repeat(20_000) } else { String::new() };
    json!({
        "Format": "IDEA0", "ID": format!("id-{n}"), "DetectTime": "2023-01-02T10:15:00Z", "Category": ["Recon.Scanning"],
        "Note": note, "Source": [{"IP4": [format!("192.0.2.{}", n % 3)]}],
    })
}

fn ids(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|n| format!("id-{n}")).collect()
}

#[test]
fn each_alert_arrives_once_with_its_key() {
    let (folder, brokers) = (Folder::new(), Brokers::start());
    let servers = brokers.0.bootstrap_servers();
    let config = format!(
        "custom_actions: [{{id: a, kafka: {{brokers: '{servers}', topic: {TOPIC}, key: Source.IP4, options: {{compression.type: gzip}}}}}}]"
    );
    assert_eq!(folder.act((1..101).map(alert), &config, &[]), 0);
    let records = brokers.records(100);
    assert_eq!(records.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>(), ids(1..101));
    assert_eq!(records[6].0.as_deref(), Some("192.0.2.1"));
}

#[test]
fn a_broker_that_is_down_loses_no_alert() {
    let (folder, brokers) = (Folder::new(), Brokers::start());
    // Seconds that a record has: few while there is no broker, and many otherwise, because a machine may stall.
    let config = |retry: u32, timeout: u32| {
        format!(
            "spool: {{path: {}, retry: {retry}}}\ncustom_actions: [{{id: a, kafka: {{brokers: '{}', topic: {TOPIC}, timeout: {timeout}}}}}]",
            folder.path("spool"),
            brokers.0.bootstrap_servers()
        )
    };
    assert_eq!(folder.act((1..2).map(alert), &config(1_000, 120), &[]), 0);
    brokers.0.broker_down(1).unwrap();
    assert_eq!(folder.act((2..4).map(alert), &config(1_000, 1), &[]), 0);
    let waiting = folder.path("spool/idea2idea/a");
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 2);
    brokers.0.broker_up(1).unwrap();
    assert_eq!(folder.act((4..5).map(alert), &config(0, 120), &[]), 0);
    assert_eq!(brokers.records(4).into_iter().map(|(_, id)| id).collect::<Vec<_>>(), ids(1..5));
    assert_eq!(fs::read_dir(&waiting).unwrap().count(), 0);
}

#[test]
fn an_alert_that_no_broker_takes_holds_nothing_up() {
    let (folder, brokers) = (Folder::new(), Brokers::start());
    let servers = brokers.0.bootstrap_servers();
    let config = format!(
        "custom_actions: [{{id: a, kafka: {{brokers: '{servers}', topic: {TOPIC}, options: {{message.max.bytes: 10000}}}}}}]"
    );
    assert_eq!(folder.act((665..668).map(alert), &config, &[]), 0);
    let arrived: Vec<_> = brokers.records(2).into_iter().map(|(_, id)| id).collect();
    assert_eq!(arrived, ["id-665", "id-667"]);
}
