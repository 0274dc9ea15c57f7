//! The encoders over a batch, as the exporters drive them but without a socket behind.
use dataplane::batch::{Batch, FlowRecord};
use dataplane::export::ipfix::Encoder;
use dataplane::flow::Basic;
use dataplane::registry::PluginId;
use record::ipfix::{Fate, PackerConfig};
use record::json::FlowWriter;
use record::unirec::Layout;
use record::{Record, Schema};

/// IPFIX messages that are counted and forgotten.
pub struct Ipfix {
    encoder: Encoder,
    pub bytes: u64,
}

impl Default for Ipfix {
    fn default() -> Self {
        Ipfix::with_messages_of(PackerConfig::default().mtu)
    }
}

impl Ipfix {
    /// Messages of so many bytes at the most. A flow that every plugin has something to say of does not fit into one of the usual size.
    pub fn with_messages_of(mtu: u16) -> Self {
        Ipfix { encoder: Encoder::new(PackerConfig { mtu, ..PackerConfig::default() }, None), bytes: 0 }
    }

    pub fn batch(&mut self, batch: &Batch) {
        for flow in batch.flows() {
            let bytes = &mut self.bytes;
            let added = self.encoder.add(batch, flow, 0, &mut |message| {
                *bytes += message.bytes.len() as u64;
                Fate::Sent
            });
            added.expect("records of the generator's dialogs fit into messages");
        }
    }
}

/// One UniRec record after the other into one buffer.
pub struct UniRec {
    layout: Layout,
    plugins: Vec<PluginId>,
    record: Vec<u8>,
}

impl UniRec {
    pub fn new(plugins: &[&str]) -> UniRec {
        let plugins: Vec<PluginId> = plugins.iter().filter_map(|name| PluginId::from_name(name)).collect();
        let schemas: Vec<&'static Schema> =
            std::iter::once(Basic::SCHEMA).chain(plugins.iter().map(|id| id.schema())).collect();
        UniRec { layout: Layout::new(&schemas, &["ODID"]), plugins, record: Vec::with_capacity(1 << 16) }
    }

    pub fn batch(&mut self, batch: &Batch) -> u64 {
        batch.flows().iter().map(|flow| self.flow(batch, flow)).sum()
    }

    fn flow(&mut self, batch: &Batch, flow: &FlowRecord) -> u64 {
        let plugins = &self.plugins;
        let basic = flow.basic();
        let encoded = self.layout.encode(&mut self.record, |sink| {
            sink.part(0);
            basic.visit(sink);
            for link in batch.links(flow) {
                let Some(part) = plugins.iter().position(|id| *id == link.id) else { continue };
                sink.part(part + 1);
                batch.visit(*link, sink);
            }
        });
        encoded.expect("records of the generator's dialogs fit");
        self.record.len() as u64
    }
}

/// JSON lines into one buffer that is emptied for each batch.
#[derive(Default)]
pub struct Json {
    out: Vec<u8>,
}

impl Json {
    pub fn batch(&mut self, batch: &Batch) -> u64 {
        self.out.clear();
        for flow in batch.flows() {
            let mut writer = FlowWriter::new(&mut self.out);
            writer.basic(&flow.basic());
            batch.links(flow).iter().for_each(|link| batch.json(*link, &mut writer));
            writer.finish();
        }
        self.out.len() as u64
    }
}
