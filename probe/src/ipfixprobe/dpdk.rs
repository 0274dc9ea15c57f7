//! `-i dpdk;...` and `-i dpdk-ring;...`. The first `dpdk` has the options, each further one stands for the next receive queue
//! (spec/exporter.md section 4).
use super::plugins::{DPDK, DPDK_RING, PluginArgs, number, put, within};
use crate::dpdk::{Inputs, PortsConfig};
use dataplane::capture::{AnySource, BURST, CaptureSource};
use std::collections::VecDeque;

/// The DPDK inputs of a command line.
#[derive(Default)]
pub(super) struct DpdkInputs {
    inputs: Inputs,
    /// Queues that no `-i dpdk` has taken yet, once the first one has opened them.
    queues: Option<VecDeque<AnySource>>,
    taken: usize,
}

impl DpdkInputs {
    /// The input's name and source if it is one of DPDK's.
    pub(super) fn input(&mut self, args: &PluginArgs<'_>) -> Result<Option<(String, AnySource)>, String> {
        match args.name {
            "dpdk" => self.port(args).map(Some),
            "dpdk-ring" => self.ring(args).map(Some),
            _ => Ok(None),
        }
    }

    /// What is wrong with the inputs as a whole, but does not keep them from running.
    pub(super) fn warning(&self) -> Option<String> {
        let left = self.queues.as_ref().map_or(0, VecDeque::len);
        (left > 0)
            .then(|| format!("dpdk: nobody reads {left} of the queues: give -i dpdk as often as there are queues"))
    }

    fn port(&mut self, args: &PluginArgs<'_>) -> Result<(String, AnySource), String> {
        if self.queues.is_none() {
            let (config, burst) = options(args)?;
            let mut queues = self.inputs.queues(&config).map_err(|e| format!("dpdk: {e}"))?;
            queues.iter_mut().for_each(|queue| queue.limit(burst));
            self.queues = Some(queues.into());
        }
        let source = self.queues.as_mut().and_then(VecDeque::pop_front);
        let source = source.ok_or_else(|| {
            format!("dpdk: there are {} queues and one more -i dpdk; give the first one queue=N", self.taken)
        })?;
        self.taken += 1;
        Ok((format!("dpdk queue {}", self.taken - 1), source))
    }

    fn ring(&mut self, args: &PluginArgs<'_>) -> Result<(String, AnySource), String> {
        let (mut burst, mut ring, mut eal) = (BURST, String::new(), String::new());
        args.each(DPDK_RING, |name, value| match name {
            "bsize" => put(&mut burst, within(value, 1..=65535)),
            "ring" => put(&mut ring, Some(value.into())),
            _ => put(&mut eal, Some(value.into())),
        })?;
        if ring.is_empty() {
            return Err("dpdk-ring: specify a ring with ring=NAME".into());
        }
        let mut source = self.inputs.ring(&eal, &ring).map_err(|e| format!("dpdk-ring: {e}"))?;
        source.limit(burst);
        Ok((ring, source))
    }
}

fn options(args: &PluginArgs<'_>) -> Result<(PortsConfig, usize), String> {
    // The defaults are the original's.
    let mut config = PortsConfig {
        eal: String::new(),
        alone: false,
        ports: Vec::new(),
        queues: 1,
        mbufs: 8192,
        mtu: 1518,
        rss: 0,
        promiscuous: true,
    };
    let mut burst = BURST;
    args.each(DPDK, |name, value| match name {
        "bsize" => put(&mut burst, within(value, 1..=65535)),
        "port" => {
            config.ports.extend(value.split(',').map(|port| port.trim().to_string()));
            (!config.ports.iter().any(String::is_empty)).then_some(())
        }
        "mem" => put(&mut config.mbufs, within(value, 2..=1 << 22)),
        "queue" => put(&mut config.queues, within(value, 1..=1024)),
        "rss" => put(&mut config.rss, number(value)),
        "eal" => put(&mut config.eal, Some(value.into())),
        _ => put(&mut config.mtu, within(value, 68..=65535)),
    })?;
    match config.ports.is_empty() {
        true => Err("dpdk: specify a port with port=LIST".into()),
        false => Ok((config, burst)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_the_originals() {
        let of = |text| options(&PluginArgs::parse(text).expect("plugin syntax"));
        let (config, burst) =
            of("dpdk;p=0,1;b=32;q=2;m=0x1000;mtu=9000;r=41868;eal=-l 0 --vdev=net_null0,size=64").expect("fine");
        assert_eq!(
            (config.ports, config.queues, config.mbufs, config.mtu),
            (vec!["0".into(), "1".into()], 2, 4096, 9000)
        );
        assert_eq!((config.rss, &config.eal[..], burst), (41868, "-l 0 --vdev=net_null0,size=64", 32));
        let (config, burst) = of("dpdk;port=0").expect("fine");
        assert_eq!((config.queues, config.mbufs, config.mtu, burst), (1, 8192, 1518, 64));
        for bad in [
            "dpdk",
            "dpdk;p=",
            "dpdk;p=0,,1",
            "dpdk;p=0;q=0",
            "dpdk;p=0;m=1",
            "dpdk;p=0;b=0",
            "dpdk;p=0;M=10",
            "dpdk;p=0;z=1",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
        let ring = |text| DpdkInputs::default().input(&PluginArgs::parse(text).expect("plugin syntax"));
        assert!(ring("dpdk-ring").err().is_some_and(|e| e.contains("specify a ring")));
        assert!(ring("pcap;file=x").is_ok_and(|none| none.is_none()));
    }
}
