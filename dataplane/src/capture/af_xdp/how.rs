//! How an interface was opened, in one line for the operator.
use super::open::Sizes;
use super::{Socket, Spread, XdpConfig};
use ebpf::Mode;
use sys::xsk::{HugePages, UmemPages};

pub(super) fn how(
    name: &str,
    mode: Mode,
    lanes: &[Vec<Socket>],
    layout: &[Vec<u32>],
    sizes: &Sizes,
    config: &XdpConfig,
) -> String {
    let program = match mode {
        Mode::Native => "native XDP",
        Mode::Generic => "generic XDP, because its driver has no native one",
    };
    let sockets = || lanes.iter().flatten().map(|socket| &socket.xsk);
    let copies = if sockets().all(|xsk| xsk.zero_copy()) { "zero-copy" } else { "copy" };
    let pages = match (sockets().all(|xsk| xsk.pages() == UmemPages::Huge), config.huge) {
        (true, _) => "huge pages",
        (false, HugePages::Try) => "small pages, because not enough huge ones are free",
        (false, _) => "small pages",
    };
    let spread = match layout.iter().any(|queue| queue.len() > 1) {
        true if config.spread == Spread::Flows => ", all lanes on each queue by addresses",
        true => ", lanes of a queue by addresses",
        false => "",
    };
    let joined = if sizes.joined { ", long packets joined" } else { "" };
    let busy = match config.busy_poll_micros {
        Some(micros) if sockets().all(|xsk| xsk.busy_polls()) => format!(", busy polling of {micros} us"),
        Some(_) => ", no busy polling, because the kernel refused it".to_string(),
        None => String::new(),
    };
    let mib = (u64::from(sizes.ring) * 2 * u64::from(sizes.frame_bytes)) >> 20;
    format!(
        "{name}: af_xdp, {program}, {copies}, {} for {}{spread}, ring of {} packets in {mib} MiB each on {pages}{joined}{busy}",
        words(layout.len(), "queue"),
        words(lanes.len(), "lane"),
        sizes.ring
    )
}

fn words(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}
