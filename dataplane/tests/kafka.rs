//! Flows of a generated capture to the brokers that librdkafka has for tests, which speak the protocol over TCP: each arrives once, and what
//! does not is counted, with its reason.
#![cfg(feature = "kafka")]

use benches::{Profile, write_capture};
use dataplane::capture::{OpenOptions, Poll, open_reader};
use dataplane::export::json::JsonExporter;
use dataplane::export::kafka::{self, KafkaConfig, Setting};
use dataplane::export::ring::{self, Finished, LaneEnd, Output, Overflow, RingConfig};
use dataplane::export::{Exporter, RecordDrop};
use dataplane::lane::{Lane, LaneConfig};
use dataplane::registry::PluginId;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Message, Offset, TopicPartitionList};
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

const TOPIC: &str = "flows";
/// What is compared is compressed: a partition of these brokers keeps 5 MiB, and forgets its oldest batches.
const GZIP: (&str, &str) = ("compression.type", "gzip");
const PARTITIONS: i32 = 3;
const FLOWS: u64 = 3000;
/// For what must happen, on a machine that may stall.
const PATIENCE: Duration = Duration::from_secs(120);

struct Brokers(MockCluster<'static, DefaultProducerContext>);

impl Brokers {
    fn start() -> Brokers {
        let brokers = MockCluster::new(1).expect("a broker");
        brokers.create_topic(TOPIC, PARTITIONS, 1).expect("a topic");
        Brokers(brokers)
    }

    fn config(&self, options: &[(&str, &str)], may_wait: bool) -> KafkaConfig {
        config(&self.0.bootstrap_servers(), options, may_wait)
    }

    /// The payloads of all records up to the ends of all partitions, sorted.
    fn records(&self) -> Vec<String> {
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", self.0.bootstrap_servers()).set("group.id", "test");
        let consumer: BaseConsumer = settings.set("enable.partition.eof", "true").create().expect("a consumer");
        let mut whole = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            whole.add_partition_offset(TOPIC, partition, Offset::Beginning).expect("fine");
        }
        consumer.assign(&whole).expect("fine");
        let (mut records, mut ended, until) = (Vec::new(), Vec::new(), Instant::now() + PATIENCE);
        while ended.len() < PARTITIONS as usize {
            assert!(Instant::now() < until, "{} records, ends of {ended:?}", records.len());
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    assert_eq!(record.key(), None);
                    records.push(String::from_utf8(record.payload().expect("text").to_vec()).expect("text"));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if !ended.contains(&partition) => ended.push(partition),
                _ => {}
            }
        }
        records.sort();
        records
    }
}

fn config(brokers: &str, options: &[(&str, &str)], may_wait: bool) -> KafkaConfig {
    let options = options.iter().map(|(name, value)| ((*name).into(), Setting::Text((*value).into()))).collect();
    KafkaConfig { brokers: brokers.into(), topic: TOPIC.into(), options, may_wait, patience: PATIENCE }
}

/// The flows of one capture, through a lane to Kafka and to a file of JSON lines; `seed` makes captures differ.
fn export(config: KafkaConfig, seed: u64, json: &Path, end: &mut dyn FnMut(&mut LaneEnd)) -> Finished {
    let outputs = [config.open().expect("opened"), Box::new(JsonExporter::open(Some(json.into())).expect("a file"))];
    let output = |exporter: Box<dyn Exporter>| Output { exporter, cpu: None, watch: None };
    // Two processors, so that outputs have threads of their own wherever this runs.
    let ring_config = RingConfig { overflow: Overflow::Wait, processors: Some(2), ..RingConfig::default() };
    let (threads, mut ends) = ring::start(outputs.into_iter().map(output).collect(), 1, &ring_config).expect("threads");
    let mut capture = Vec::new();
    write_capture(Profile::Realistic, 4 * FLOWS, FLOWS, seed, &mut capture).expect("memory takes it");
    let mut source = open_reader("memory", Cursor::new(capture), OpenOptions::default());
    let plugins = PluginId::ALL.iter().map(|plugin| (*plugin, Vec::new())).collect();
    let mut lane = Lane::new(&LaneConfig { plugins, ..LaneConfig::default() }).expect("memory");
    while lane.step(&mut source).expect("our own capture") != Poll::End {
        if lane.batch().is_full() {
            ends[0].give(lane.batch());
        }
    }
    lane.finish(|batch| ends[0].give(batch));
    end(&mut ends[0]);
    let (mut finished, held) = threads.finish(ends);
    assert_eq!(held, 0);
    let (json, kafka) = (finished.pop().expect("two"), finished.pop().expect("two"));
    assert_eq!((json.books.records.kept, json.failed, &kafka.failed), (json.books.flows, None, &None));
    let books = &kafka.books;
    assert_eq!((books.records.imbalance(), books.records.taken, books.flows), (0, books.flows, json.books.flows));
    assert!(books.flows >= FLOWS, "{}", books.flows);
    kafka
}

fn lines(path: &Path) -> Vec<String> {
    let mut lines: Vec<String> = std::fs::read_to_string(path).expect("its lines").lines().map(String::from).collect();
    lines.sort();
    lines
}

fn same(arrived: &[String], written: &[String]) {
    assert_eq!(arrived.len(), written.len());
    assert!(arrived == written, "other texts");
}

#[test]
fn each_flow_is_a_record_that_json_lines_have() {
    let (folder, brokers) = (tempfile::tempdir().expect("a folder"), Brokers::start());
    let json = folder.path().join("flows.json");
    let kafka = export(brokers.config(&[GZIP], false), 1, &json, &mut |_| ());
    assert_eq!(kafka.name, format!("kafka {}/{TOPIC}", brokers.0.bootstrap_servers()));
    assert_eq!((kafka.books.records.kept, kafka.books.trouble), (kafka.books.flows, None));
    same(&brokers.records(), &lines(&json));
}

/// A capture in a file waits for room in a queue that is much smaller than it is.
#[test]
fn a_file_waits_for_brokers_and_loses_nothing() {
    let (folder, brokers) = (tempfile::tempdir().expect("a folder"), Brokers::start());
    let json = folder.path().join("flows.json");
    let kafka = export(brokers.config(&[("queue.buffering.max.messages", "50"), GZIP], true), 2, &json, &mut |_| ());
    assert_eq!((kafka.books.records.kept, kafka.books.lost()), (kafka.books.flows, 0));
    same(&brokers.records(), &lines(&json));
}

#[test]
fn brokers_that_are_away_hold_nothing_up_and_all_is_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    for may_wait in [false, true] {
        // Nobody listens at the port of a socket that is gone, or never did.
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        let config = config(&closed.to_string(), &[("queue.buffering.max.messages", "1000")], may_wait);
        let config = KafkaConfig { patience: kafka::PATIENCE, ..config };
        let kafka = export(config, 3, &folder.path().join("flows.json"), &mut |_| ());
        let records = &kafka.books.records;
        assert_eq!(records.kept, 0);
        assert_eq!(records.dropped(RecordDrop::Unacknowledged), 1000);
        assert_eq!(records.dropped(RecordDrop::BacklogFull), kafka.books.flows - 1000);
        let trouble = kafka.books.trouble.expect("it says why");
        assert!(trouble.contains("onnection refused") || trouble.contains("brokers are down"), "{trouble}");
    }
}

/// What waits while they are away arrives when they are back.
#[test]
fn brokers_that_come_back_get_what_waited() {
    let (folder, brokers) = (tempfile::tempdir().expect("a folder"), Brokers::start());
    let json = folder.path().join("flows.json");
    brokers.0.broker_down(1).expect("down");
    let settings = brokers.config(&[("reconnect.backoff.max.ms", "500"), GZIP], false);
    let kafka = export(settings, 4, &json, &mut |_| brokers.0.broker_up(1).expect("up"));
    assert_eq!((kafka.books.records.kept, kafka.books.lost()), (kafka.books.flows, 0), "{:?}", kafka.books.trouble);
    same(&brokers.records(), &lines(&json));
}

#[test]
fn what_brokers_refuse_is_counted() {
    let (folder, brokers) = (tempfile::tempdir().expect("a folder"), Brokers::start());
    // One for each request, of which there are no more than flows.
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2 * FLOWS as usize];
    brokers.0.request_errors(RDKafkaApiKey::Produce, &refused);
    let config = brokers.config(&[("acks", "1")], false);
    let kafka = export(config, 5, &folder.path().join("flows.json"), &mut |_| ());
    let records = &kafka.books.records;
    assert_eq!((records.kept, records.dropped(RecordDrop::SendFailed)), (0, kafka.books.flows));
}

#[test]
fn a_record_that_is_too_large_holds_no_other_up() {
    let (folder, brokers) = (tempfile::tempdir().expect("a folder"), Brokers::start());
    let json = folder.path().join("flows.json");
    let kafka = export(brokers.config(&[("message.max.bytes", "2000"), GZIP], false), 6, &json, &mut |_| ());
    let large = kafka.books.records.dropped(RecordDrop::TooLarge);
    assert!(large > 0 && large < kafka.books.flows, "{large}");
    assert_eq!(kafka.books.records.kept, kafka.books.flows - large);
    let (arrived, all) = (brokers.records(), lines(&json));
    assert_eq!(arrived.len() as u64, kafka.books.records.kept);
    assert!(arrived.iter().all(|line| all.binary_search(line).is_ok()));
}
