//! NetFlow 9 (RFC 3954) and NetFlow 5 over UDP, for collectors that know no IPFIX.
//!
//! Both are unidirectional: a biflow gives one record for each direction that had packets, both with the times of the biflow. NetFlow 9
//! carries what IPFIX would carry of IANA's elements with a fixed length ([`layout`]); there is no room for enterprise elements, lists and
//! texts. NetFlow 5 carries IPv4 and the fields of its one record.
use crate::batch::{Batch, FlowRecord};
use crate::export::datagrams::Datagrams;
use crate::export::peer::udp;
use crate::export::{Books, Exporter, OpenError, Peer};
use v5::V5;
use v9::V9;

mod layout;
mod uptime;
mod v5;
mod v9;

/// Which NetFlow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V5,
    V9,
}

/// What a NetFlow output is told at start.
#[derive(Clone, Debug)]
pub struct NetflowConfig {
    pub peer: Peer,
    pub version: Version,
    /// Largest packet in bytes, at least [`MTU_MIN`].
    pub mtu: u16,
    /// Source id of version 9; its lowest byte is the engine id of version 5.
    pub domain: u32,
    /// Interface that flows come in by, in every record; `None`: what each flow knows. Version 5 has 16 bits for it.
    pub dir: Option<u32>,
    /// Seconds after which templates are sent again (version 9); 0 = only once.
    pub template_refresh_secs: u32,
    /// One packet in so many was seen, 1 for all; told to the collector, which multiplies. Version 5 has 14 bits for it.
    pub sampling: u32,
    /// Whether they were chosen at random.
    pub random: bool,
}

impl NetflowConfig {
    /// Version 9 with its defaults.
    pub fn to(peer: Peer) -> NetflowConfig {
        let version = Version::V9;
        NetflowConfig {
            peer,
            version,
            mtu: 1458,
            domain: 1,
            dir: None,
            template_refresh_secs: 600,
            sampling: 1,
            random: false,
        }
    }
}

/// Smallest mtu: room for one record with every field that has a place.
pub const MTU_MIN: u16 = 256;
/// Ways of sampling, as both versions number them: one in every N, and random.
const EVERY_NTH: u8 = 1;
const RANDOM: u8 = 2;

/// Largest sampling that version 5 can tell.
pub const V5_SAMPLING_MAX: u32 = (1 << 14) - 1;

/// Sends flows to one collector.
pub struct NetflowExporter {
    config: NetflowConfig,
    form: Form,
    way: Way,
    now_secs: u64,
}

enum Form {
    V5(V5),
    V9(Box<V9>),
}

/// Where packets go, and the books of what is in them.
struct Way {
    datagrams: Datagrams,
    books: Books,
}

impl NetflowExporter {
    /// Opens a socket to the collector; over UDP nobody says whether there is one.
    pub fn open(config: NetflowConfig, now_secs: u64) -> Result<NetflowExporter, OpenError> {
        let wrong = |what: String| Err(OpenError::Config(format!("netflow: {what}")));
        if config.mtu < MTU_MIN {
            return wrong(format!("mtu {} is too small, the least is {MTU_MIN}", config.mtu));
        }
        if config.sampling == 0 || config.version == Version::V5 && config.sampling > V5_SAMPLING_MAX {
            return wrong(format!("sampling {} cannot be told, use 1 to {V5_SAMPLING_MAX}", config.sampling));
        }
        let algorithm = if config.random { RANDOM } else { EVERY_NTH };
        let form = match config.version {
            Version::V5 => Form::V5(V5::new(&config, algorithm)),
            Version::V9 => Form::V9(Box::new(V9::new(&config, algorithm))),
        };
        let datagrams = Datagrams::new(udp(&config.peer)?, format!("udp {}", config.peer));
        Ok(NetflowExporter { config, form, way: Way { datagrams, books: Books::default() }, now_secs })
    }

    fn record(&mut self, batch: &Batch, flow: &FlowRecord) {
        let (way, now) = (&mut self.way, self.now_secs);
        let mut basic = flow.basic();
        basic.ingress_interface = self.config.dir.unwrap_or(basic.ingress_interface);
        let records = u64::from(basic.packets > 0) + u64::from(basic.packets_rev > 0);
        let taken = match &mut self.form {
            Form::V5(form) => form.add(&basic, now, &mut |packet, records| way.send(packet, records)),
            Form::V9(form) => form.add(batch, flow, &basic, now, &mut |packet, records| way.send(packet, records)),
        };
        match taken {
            Ok(records) => way.books.records.keep(records),
            Err(why) => way.books.records.drop(why, records),
        }
    }

    fn flush(&mut self) {
        let (way, now) = (&mut self.way, self.now_secs);
        match &mut self.form {
            Form::V5(form) => form.flush(now, &mut |packet, records| way.send(packet, records)),
            Form::V9(form) => {
                if way.datagrams.templates_lost() {
                    form.mark_all_templates();
                }
                form.flush(now, &mut |packet, records| way.send(packet, records));
            }
        }
    }
}

impl Exporter for NetflowExporter {
    fn name(&self) -> String {
        let version = match self.config.version {
            Version::V5 => 5,
            Version::V9 => 9,
        };
        format!("netflow {version} udp {}", self.config.peer)
    }

    fn export(&mut self, batch: &Batch) {
        self.way.books.offer(batch);
        for flow in batch.flows() {
            self.record(batch, flow);
        }
    }

    fn tick(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        self.way.datagrams.flush();
        self.way.settle();
    }

    fn finish(&mut self, now_secs: u64) {
        self.now_secs = now_secs;
        self.flush();
        self.way.datagrams.close();
        self.way.settle();
    }

    fn books(&self) -> &Books {
        &self.way.books
    }
}

impl Way {
    /// Takes a packet; templates have no records.
    fn send(&mut self, packet: &[u8], records: u64) {
        self.datagrams.send(packet, records);
        self.settle();
    }

    fn settle(&mut self) {
        if let Some(loss) = self.datagrams.loss() {
            self.books.lose(loss);
        }
    }
}

/// Appends numbers in network order.
fn put<const N: usize>(packet: &mut Vec<u8>, words: [u16; N]) {
    words.iter().for_each(|word| packet.extend_from_slice(&word.to_be_bytes()));
}
