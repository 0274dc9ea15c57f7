//! Live inputs of both faces: an interface, a backend for it, and a reader for each lane.
use clap::ValueEnum;
use dataplane::capture::{
    AnySource, CaptureError, LiveError, PacketConfig, PacketSource, XdpConfig, XdpControl, XdpSource,
};
use sys::handover::Channel;

/// What takes packets from an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Backend {
    /// The fastest that works here
    #[default]
    Auto,
    /// AF_XDP: before the kernel's stack, which then does not see the packets
    AfXdp,
    /// AF_PACKET, a ring of the kernel's (TPACKET_V3): works everywhere
    AfPacket,
    /// DPDK; interfaces are its ports, by number or device name
    Dpdk,
}

/// What is asked of an interface.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveConfig {
    pub(crate) backend: Backend,
    pub(crate) packet: PacketConfig,
    pub(crate) xdp: XdpConfig,
    /// Whether only the XDP program can do what was asked for.
    pub(crate) only_xdp: bool,
}

/// An interface that was opened.
pub(crate) struct Opened {
    /// One for each lane.
    pub(crate) sources: Vec<AnySource>,
    /// The backend, and why not a better one, in one line.
    pub(crate) how: String,
    /// Of its XDP program, if it has one.
    pub(crate) control: Option<XdpControl>,
}

/// Opens the interface by the backend that was asked for, or by the best that works.
pub(crate) fn open(interface: &str, config: &LiveConfig) -> Result<Opened, CaptureError> {
    match config.backend {
        Backend::AfXdp => af_xdp(interface, config),
        Backend::AfPacket => af_packet(interface, config, ""),
        Backend::Dpdk => Err(LiveError::Backend {
            name: interface.into(),
            backend: "DPDK",
            why: "its ports are no interfaces of the kernel's".into(),
        }
        .into()),
        Backend::Auto if config.only_xdp => match XdpSource::unfit(interface) {
            None => af_xdp(interface, config),
            Some(why) => Err(LiveError::Backend {
                name: interface.into(),
                backend: "--prefilter",
                why: format!("it is af_xdp's, and {interface} {why}; say --backend af_xdp to do so, or use --filter"),
            }
            .into()),
        },
        Backend::Auto => {
            if let Some(why) = XdpSource::unfit(interface) {
                return af_packet(interface, config, &format!(" (not af_xdp: {interface} {why})"));
            }
            if config.packet.hardware_time {
                return af_packet(
                    interface,
                    config,
                    " (not af_xdp: few drivers give it the card's times, --backend af_xdp asks this one)",
                );
            }
            // In the stack it is slower than AF_PACKET: taken only when asked for.
            let mut native = config.clone();
            native.xdp.generic = false;
            af_xdp(interface, &native).or_else(|why| af_packet(interface, config, &format!(" (not af_xdp: {why})")))
        }
    }
}

/// Takes over an interface that another process opens (`isolate`).
pub(crate) fn adopt(interface: &str, config: &LiveConfig, channel: Channel) -> Result<Opened, CaptureError> {
    Ok(opened(XdpSource::adopt(interface, &config.xdp, channel)?))
}

fn af_xdp(interface: &str, config: &LiveConfig) -> Result<Opened, CaptureError> {
    Ok(opened(XdpSource::open(interface, &config.xdp)?))
}

fn opened(lanes: Vec<XdpSource>) -> Opened {
    let control = lanes.first().map(XdpSource::control);
    let how = control.as_ref().map_or_else(String::new, |control| control.how().to_string());
    Opened { sources: lanes.into_iter().map(AnySource::from).collect(), how, control }
}

fn af_packet(interface: &str, config: &LiveConfig, why: &str) -> Result<Opened, CaptureError> {
    let members = PacketSource::open(interface, &config.packet)?;
    let ring_mib = (u64::from(config.packet.block_bytes) * u64::from(config.packet.blocks)) >> 20;
    let lanes = match members.len() {
        1 => "1 lane".to_string(),
        n => format!("{n} lanes"),
    };
    let how = format!("{interface}: af_packet, {lanes}, ring of {ring_mib} MiB each{why}");
    Ok(Opened { sources: members.into_iter().map(AnySource::from).collect(), how, control: None })
}

/// Names of all interfaces, one a line.
pub(crate) fn list() -> String {
    dataplane::capture::live::interfaces().iter().map(|name| format!("{name}\n")).collect()
}

/// The sizes of a ring of about so many MiB, in blocks that hold the longest packets.
pub(crate) fn ring(mib: u32, config: &mut PacketConfig) {
    config.blocks = ((u64::from(mib) << 20) / u64::from(config.block_bytes)).clamp(2, 1 << 14) as u32;
}
