//! Golden captures by name: small, one idea each, every byte made here. All begin at [`EPOCH`](crate::EPOCH).
//!
//! The numbers beside each case were reasoned out or counted by other tools (capinfos), never by our decoder.
mod certificates;
mod clear;
mod directories;
mod files;
mod layers;
mod logins;
mod media;
mod networks;
mod peers;
mod plants;
mod protocols;
mod quality;
mod services;
mod sessions;
mod tape;
mod timing;
mod tunnels;

/// One capture and what must come out of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    pub packets: u32,
    /// On the wire, before any snap length.
    pub wire_bytes: u64,
    /// A lower bound where the case is not `clean`: what a broken packet counts for is the decoder's decision.
    pub flows: Flows,
    /// No packet is malformed, no checksum wrong.
    pub clean: bool,
    /// The whole file.
    pub build: fn() -> Vec<u8>,
}

/// Flow records with default timeouts (300 s, 30 s) and no process plugin that flushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flows {
    /// Biflows by the innermost addresses, as far as tunnels are entered by default (not those in UDP), fragments joined to their datagram.
    pub biflows: u32,
    /// The same with directions apart.
    pub uniflows: u32,
    /// Biflows that ipfixprobe reports: it does not look into IP-in-IP, and fragments before the first get ports 0.
    pub ipfixprobe: u32,
}

impl Flows {
    /// The usual case: ipfixprobe agrees.
    const fn new(biflows: u32, uniflows: u32) -> Self {
        Self { biflows, uniflows, ipfixprobe: biflows }
    }
}

/// A case without a fault; `size` is packets and bytes on the wire.
const fn clean(
    name: &'static str,
    about: &'static str,
    size: (u32, u64),
    flows: Flows,
    build: fn() -> Vec<u8>,
) -> Case {
    Case { name, about, packets: size.0, wire_bytes: size.1, flows, clean: true, build }
}

/// All cases, simple ones first.
pub fn cases() -> &'static [Case] {
    const LISTS: [&[Case]; 16] = [
        timing::CASES,
        layers::CASES,
        protocols::CASES,
        logins::CASES,
        sessions::CASES,
        networks::CASES,
        media::CASES,
        services::CASES,
        quality::CASES,
        directories::CASES,
        plants::CASES,
        peers::CASES,
        clear::CASES,
        certificates::CASES,
        files::CASES,
        tunnels::CASES,
    ];
    const COUNT: usize = {
        let (mut count, mut list) = (0, 0);
        while list < LISTS.len() {
            count += LISTS[list].len();
            list += 1;
        }
        count
    };
    static ALL: [Case; COUNT] = {
        let mut all = [LISTS[0][0]; COUNT];
        let (mut filled, mut list) = (0, 0);
        while list < LISTS.len() {
            let mut at = 0;
            while at < LISTS[list].len() {
                all[filled] = LISTS[list][at];
                filled += 1;
                at += 1;
            }
            list += 1;
        }
        all
    };
    &ALL
}

/// The case of that name.
pub fn case(name: &str) -> Option<&'static Case> {
    cases().iter().find(|case| case.name == name)
}
