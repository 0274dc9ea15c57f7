//! DPDK inputs of both faces: one start of DPDK for all of them, ports with their queues, rings.
use dataplane::capture::AnySource;

/// What is asked of DPDK's ports.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "dpdk"), expect(dead_code, reason = "checked the same in every build"))]
pub(crate) struct PortsConfig {
    /// EAL arguments, separated by blanks.
    pub(crate) eal: String,
    /// Whether arguments may be added to them that keep the memory to this process.
    pub(crate) alone: bool,
    /// Numbers, or devices' names such as PCI addresses.
    pub(crate) ports: Vec<String>,
    /// Of each port.
    pub(crate) queues: u16,
    /// Buffers of each queue.
    pub(crate) mbufs: u32,
    /// 0 leaves it as it is.
    pub(crate) mtu: u16,
    /// 0 = by addresses.
    pub(crate) rss: u64,
    pub(crate) promiscuous: bool,
}

/// The DPDK of this process.
#[derive(Default)]
pub(crate) struct Inputs {
    #[cfg(feature = "dpdk")]
    started: Option<dataplane::capture::dpdk::Dpdk>,
}

#[cfg(not(feature = "dpdk"))]
impl Inputs {
    const NOT_BUILT: &str = "this program was built without DPDK; build it with `cargo build --release --features dpdk`, which needs \
         libdpdk (Debian: apt-get install libdpdk-dev)";

    pub(crate) fn ports(&mut self, _: &PortsConfig) -> Result<Vec<Vec<AnySource>>, String> {
        Err(Self::NOT_BUILT.into())
    }
    pub(crate) fn queues(&mut self, _: &PortsConfig) -> Result<Vec<AnySource>, String> {
        Err(Self::NOT_BUILT.into())
    }
    pub(crate) fn ring(&mut self, _: &str, _: &str) -> Result<AnySource, String> {
        Err(Self::NOT_BUILT.into())
    }
}

#[cfg(feature = "dpdk")]
mod built {
    use super::{AnySource, Inputs, PortsConfig};
    use dataplane::capture::LiveError;
    use dataplane::capture::dpdk::{Dpdk, DpdkSource, PortOptions, Start, memory};

    impl Inputs {
        /// Opens ports; answers the queues of each.
        pub(crate) fn ports(&mut self, config: &PortsConfig) -> Result<Vec<Vec<AnySource>>, String> {
            let opened = self.open(config).map_err(|e| e.to_string())?;
            Ok(opened.into_iter().map(|queues| queues.into_iter().map(AnySource::from).collect()).collect())
        }

        /// Opens ports as the original reads them: one source for the first queues of all ports, one for the second ones, and so on.
        pub(crate) fn queues(&mut self, config: &PortsConfig) -> Result<Vec<AnySource>, String> {
            let mut ports = self.open(config).map_err(|e| e.to_string())?.into_iter();
            let mut sources = ports.next().unwrap_or_default();
            for port in ports {
                sources.iter_mut().zip(port).for_each(|(source, queue)| source.join(queue));
            }
            Ok(sources.into_iter().map(AnySource::from).collect())
        }

        /// Opens a ring of the program that this one attaches to.
        pub(crate) fn ring(&mut self, eal: &str, name: &str) -> Result<AnySource, String> {
            let dpdk = self.start(eal, Start::Second, 0).map_err(|e| e.to_string())?;
            dpdk.ring(name).map(AnySource::from).map_err(|e| e.to_string())
        }

        /// Only the first start counts, as in the original.
        fn start(&mut self, eal: &str, start: Start, need: u64) -> Result<&Dpdk, LiveError> {
            match &mut self.started {
                Some(dpdk) => Ok(dpdk),
                none => Ok(none.insert(Dpdk::start(eal, start, need)?)),
            }
        }

        fn open(&mut self, config: &PortsConfig) -> Result<Vec<Vec<DpdkSource>>, LiveError> {
            let options = PortOptions {
                queues: config.queues,
                mbufs: config.mbufs,
                // As the original has it: the other half is for what lanes have in hand.
                descriptors: (config.mbufs / 2).clamp(1, u16::MAX.into()) as u16,
                mtu: config.mtu,
                rss: config.rss,
                promiscuous: config.promiscuous,
            };
            let start = if config.alone { Start::Alone } else { Start::AsTold };
            let dpdk = self.start(&config.eal, start, memory(&options, config.ports.len()))?;
            let mut opened = Vec::new();
            for name in &config.ports {
                let sources = dpdk.port(name, &options)?;
                if let Some(port) = sources.first().and_then(DpdkSource::port) {
                    eprintln!(
                        "{name}: dpdk {}, {} queue(s) of {} descriptors",
                        port.driver,
                        sources.len(),
                        port.descriptors
                    );
                    if sources.len() > 1 && !port.spread {
                        eprintln!(
                            "{name}: DPDK cannot tell this device how to spread packets over its queues; if it does not keep both \
                             directions of a flow together, use one queue"
                        );
                    }
                }
                opened.push(sources);
            }
            Ok(opened)
        }
    }
}
