//! The producer of librdkafka: flows wait in its queue, its threads bring them, and what became of each it reports.
//!
//! A flow that the queue took is booked as sent, and moved to a reason if the report says so; at the end each has its report. Nobody waits
//! for brokers while packets come from an interface. A capture in a file may: while its queue is full, as long as brokers acknowledge.
use super::{KafkaConfig, settings};
use crate::batch::Batch;
use crate::export::json::JsonForm;
use crate::export::lines::Form;
use crate::export::{Books, Exporter, Loss, OpenError, RecordDrop};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig};
use record::Ledger;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At the end brokers are waited for so many times the patience at the most, whatever they acknowledge.
const DRAIN: u32 = 6;
/// A wait for reports, and how many of them there are for those of records that were given up.
const STEP: Duration = Duration::from_millis(50);
const LAST_STEPS: usize = 40;

/// Brings flows to a topic.
pub(super) struct KafkaExporter {
    config: KafkaConfig,
    settings: ClientConfig,
    /// Made with the first flow or tick: its threads must not be there before the run has given up its privileges.
    producer: Option<BaseProducer<Reports>>,
    /// It could not be made; the next tick tries again.
    has_failed: bool,
    line: Vec<u8>,
    books: Books,
    /// Records in the producer's queue, or on their way: their reports are to come.
    waiting: u64,
    /// Records that brokers acknowledged.
    delivered: u64,
    /// Brokers were waited for in vain, and have acknowledged nothing since.
    are_away: bool,
    /// Why there is no connection, the newest reason.
    trouble: Option<String>,
}

impl KafkaExporter {
    pub(super) fn open(config: KafkaConfig) -> Result<KafkaExporter, OpenError> {
        Ok(KafkaExporter {
            settings: settings::read(&config)?,
            config,
            producer: None,
            has_failed: false,
            line: Vec::new(),
            books: Books::default(),
            waiting: 0,
            delivered: 0,
            are_away: false,
            trouble: None,
        })
    }

    fn start(&mut self) {
        if self.producer.is_some() || self.has_failed {
            return;
        }
        match self.settings.create_with_context(Reports::default()) {
            Ok(producer) => self.producer = Some(producer),
            Err(why) => {
                self.has_failed = true;
                self.trouble = Some(why.to_string());
            }
        }
    }

    /// Gives the line to the producer, if need be and allowed when there is room again.
    fn put(&mut self) -> Result<(), RecordDrop> {
        let mut ends = None;
        loop {
            let Some(producer) = &self.producer else { return Err(RecordDrop::SendFailed) };
            let record = BaseRecord::<(), [u8]>::to(&self.config.topic).payload(&self.line);
            let Err((why, _)) = producer.send(record) else { return Ok(()) };
            match why.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if self.config.may_wait && !self.are_away => {
                    self.hear(STEP);
                    self.are_away = Instant::now() > *ends.get_or_insert_with(|| Instant::now() + self.config.patience);
                }
                // It takes nothing any more; the next batch has another one.
                Some(RDKafkaErrorCode::Fatal) => {
                    self.trouble = Some(why.to_string());
                    self.give_up();
                    return Err(RecordDrop::SendFailed);
                }
                _ => return Err(reason(&why)),
            }
        }
    }

    /// Takes the reports that are there, or come within a time.
    fn hear(&mut self, patience: Duration) {
        if let Some(producer) = &self.producer {
            producer.poll(patience);
        }
        self.settle();
    }

    /// Books what was reported.
    fn settle(&mut self) {
        let Some(producer) = &self.producer else { return };
        let Told { records, trouble } = producer.context().take();
        self.waiting = self.waiting.saturating_sub(records.taken);
        self.delivered += records.kept;
        self.are_away &= records.kept == 0;
        if trouble.is_some() {
            self.trouble = trouble;
        }
        for (why, records) in records.losses() {
            self.lose(why, records);
        }
    }

    /// Books records as lost that were booked as sent.
    fn lose(&mut self, reason: RecordDrop, records: u64) {
        if records > 0 {
            let trouble = Some(self.told(reason));
            self.books.lose(Loss { reason, records, trouble });
        }
    }

    fn told(&self, reason: RecordDrop) -> String {
        let why = record::Reason::label(reason);
        match &self.trouble {
            Some(trouble) => format!("{}: {why}: {trouble}", self.config.name()),
            None => format!("{}: {why}", self.config.name()),
        }
    }

    /// Ends the producer. What it still had is lost, though a broker may have some of it without having said so.
    fn give_up(&mut self) {
        let Some(producer) = &self.producer else { return };
        producer.purge(PurgeConfig::default().queue().inflight());
        for _ in 0..LAST_STEPS {
            self.hear(STEP);
            if self.waiting == 0 {
                break;
            }
        }
        let rest = std::mem::take(&mut self.waiting);
        self.lose(RecordDrop::Unacknowledged, rest);
        self.producer = None;
    }
}

impl Exporter for KafkaExporter {
    fn name(&self) -> String {
        self.config.name()
    }

    fn export(&mut self, batch: &Batch) {
        self.books.offer(batch);
        self.start();
        for flow in batch.flows() {
            self.line.clear();
            JsonForm.line(batch, flow, &mut self.line);
            match self.put() {
                Ok(()) => {
                    self.waiting += 1;
                    self.books.records.keep(1);
                }
                Err(why) => {
                    self.books.records.drop(why, 1);
                    if self.books.trouble.is_none() {
                        self.books.trouble = Some(self.told(why));
                    }
                }
            }
        }
        self.hear(Duration::ZERO);
    }

    fn tick(&mut self, _now_secs: u64) {
        self.has_failed = false;
        self.start();
        self.hear(Duration::ZERO);
    }

    fn finish(&mut self, _now_secs: u64) {
        let patience = self.config.patience;
        let ends = Instant::now() + DRAIN * patience;
        let (mut before, mut stalls) = (self.delivered, Instant::now() + patience);
        while self.waiting > 0 && Instant::now() < ends.min(stalls) {
            if let Some(producer) = &self.producer {
                // Ends early with the last record; that some are left says the count.
                let _ = producer.flush(STEP);
            }
            self.settle();
            if self.delivered > before {
                (before, stalls) = (self.delivered, Instant::now() + patience);
            }
        }
        self.give_up();
        debug_assert_eq!(self.books.records.kept, self.delivered, "sent is what was acknowledged");
    }

    fn books(&self) -> &Books {
        &self.books
    }
}

/// What librdkafka has told since it was asked last.
#[derive(Default)]
struct Told {
    /// Taken are the reports, kept those of acknowledged records.
    records: Ledger<RecordDrop>,
    trouble: Option<String>,
}

#[derive(Default)]
struct Reports(Mutex<Told>);

impl Reports {
    fn take(&self) -> Told {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Reports {
    fn error(&self, _error: KafkaError, reason: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(reason.to_owned());
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    /// Called once for each record that the queue took.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) => told.records.keep(1),
            Err((why, _)) => told.records.drop(reason(why), 1),
        }
    }
}

fn reason(why: &KafkaError) -> RecordDrop {
    match why.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => RecordDrop::BacklogFull,
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => RecordDrop::TooLarge,
        Some(RDKafkaErrorCode::MessageTimedOut | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => {
            RecordDrop::Unacknowledged
        }
        _ => RecordDrop::SendFailed,
    }
}
