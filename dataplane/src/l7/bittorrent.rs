//! bittorrent: torrents, clients and DHT queries of BitTorrent: handshakes over TCP and uTP, the distributed table over UDP (BEP 3, 5, 20, 29, 51), on any port.
//!
//! A handshake is told by its twenty first bytes; a message of the table by its dictionary, which has a kind and the id of a node. Encrypted connections (MSE)
//! begin with random bytes and are not recognised.
use super::bencode::Dict;
use crate::face::Face;
use crate::packet::protocol;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_hex, put_short, put_text};
use record::element::cesnet;
use record::{Blob, Text, record};
use std::fmt::Write;

record! {
    /// BitTorrent peers.
    pub struct BittorrentRecord = "bittorrent" {
        /// What was seen: a handshake over TCP 1, over uTP 2, messages of the DHT 4.
        seen: u8, ipfix cesnet::bittorrentSeen, unirec "BT_SEEN";
        /// First torrent that is spoken of: its SHA-1.
        info_hash: Blob<ID_LEN>, ipfix cesnet::bittorrentInfoHash, unirec "BT_INFO_HASH";
        /// Client that the flow's source names: the letters and digits that its peer id begins with, such as -TR4050-, or its version in the DHT.
        client: Text<CLIENT_LEN_MAX>, ipfix cesnet::bittorrentClient, unirec "BT_CLIENT";
        /// Client that the other side names.
        client_rev: Text<CLIENT_LEN_MAX>, ipfix cesnet::bittorrentClientRev, unirec "BT_CLIENT_REV";
        /// Node of the DHT that the flow's source is.
        node: Blob<ID_LEN>, ipfix cesnet::bittorrentNode, unirec "BT_NODE";
        /// The other side's.
        node_rev: Blob<ID_LEN>, ipfix cesnet::bittorrentNodeRev, unirec "BT_NODE_REV";
        /// Kinds of DHT queries: ping 1, find_node 2, get_peers 4, announce_peer 8, sample_infohashes 16, others 128.
        queries: u8, ipfix cesnet::bittorrentQueries, unirec "BT_QUERIES";
        /// DHT queries.
        requests: u32, ipfix cesnet::bittorrentRequests, unirec "BT_REQUESTS";
        /// Their answers.
        responses: u32, ipfix cesnet::bittorrentResponses, unirec "BT_RESPONSES";
        /// Answers that are errors.
        errors: u32, ipfix cesnet::bittorrentErrors, unirec "BT_ERRORS";
    }
}

/// SHA-1 of torrents, ids of nodes and peers.
const ID_LEN: usize = 20;
/// BEP 20: what tells clients apart in an id of Azureus' style.
const CLIENT_LEN_MAX: usize = 8;

pub struct Bittorrent;

impl Plugin for Bittorrent {
    type Record = BittorrentRecord;
    type State = ();
    const BEFORE: bool = true;
    const PROBES: bool = true;

    #[inline(always)]
    fn may_begin(payload: &[u8]) -> bool {
        payload.first_chunk::<4>().is_some_and(|h| match h[0] {
            b'd' => matches!(h[1], b'1' | b'2') && h[2] == b':',
            19 => h[1..] == *b"Bit",
            UTP_DATA => h[1] == 0 && payload.get(UTP_HEADER_LEN..).is_some_and(|data| data.starts_with(b"\x13Bit")),
            _ => false,
        })
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Bittorrent)
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let payload = ctx.packet.payload();
        // Packets come here without the look while another plugin sees each of the flow.
        if !Self::may_begin(payload) {
            return Step::More;
        }
        let message = match ctx.packet.packet.protocol {
            protocol::TCP => Message::of_handshake(payload, BY_TCP),
            protocol::UDP if payload.first() == Some(&b'd') => Message::of_dht(payload),
            protocol::UDP => payload.get(UTP_HEADER_LEN..).and_then(|data| Message::of_handshake(data, BY_UTP)),
            _ => return Step::Done,
        };
        let Some(message) = message else { return Step::More };
        // Errors have no node to know them by.
        if matches!(message, Message::Error) && slots.first().is_none() {
            return Step::More;
        }
        if let Some(slot) = slots.first_or_open() {
            message.read(ctx.direction.into(), &mut slot.record);
        }
        Step::More
    }

    fn text(r: &BittorrentRecord, out: &mut String) {
        let _ = write!(out, "btseen={},infohash=", r.seen);
        put_hex(out, r.info_hash.as_bytes());
        for (key, client) in [(",client=\"", &r.client), ("\",clientrev=\"", &r.client_rev)] {
            out.push_str(key);
            put_text(out, client.as_bytes());
        }
        for (key, node) in [("\",node=", &r.node), (",noderev=", &r.node_rev)] {
            out.push_str(key);
            put_hex(out, node.as_bytes());
        }
        let _ = write!(out, ",queries={},requests={},", r.queries, r.requests);
        let _ = write!(out, "responses={},errors={}", r.responses, r.errors);
    }

    fn summary(r: &BittorrentRecord, out: &mut String) {
        out.push_str(if r.seen & BY_DHT != 0 { "bittorrent dht " } else { "bittorrent " });
        put_short(out, r.client.as_bytes());
        if !r.info_hash.as_bytes().is_empty() {
            out.push(' ');
            put_hex(out, &r.info_hash.as_bytes()[..r.info_hash.len().min(4)]);
        }
    }
}

/// Values of `seen`.
const BY_TCP: u8 = 1;
const BY_UTP: u8 = 2;
const BY_DHT: u8 = 4;

/// BEP 3: the protocol's name behind its length, eight bytes of extensions, the torrent, the peer.
const NAME: &[u8; ID_LEN] = b"\x13BitTorrent protocol";
const RESERVED_LEN: usize = 8;
/// BEP 29: a packet of data of version 1; a header without extensions.
const UTP_DATA: u8 = 0x01;
const UTP_HEADER_LEN: usize = 20;

/// Kinds of queries (BEP 5, BEP 51) in the order of their bits; all others have the last.
const QUERIES: [&[u8]; 5] = [b"ping", b"find_node", b"get_peers", b"announce_peer", b"sample_infohashes"];
const OTHER_QUERY: u8 = 0x80;

enum Message<'m> {
    Handshake { seen: u8, torrent: &'m [u8; ID_LEN], peer: &'m [u8] },
    Query { name: &'m [u8], node: &'m [u8], torrent: Option<&'m [u8]>, client: &'m [u8] },
    Response { node: &'m [u8], client: &'m [u8] },
    Error,
}

impl<'m> Message<'m> {
    /// The peer's id may come in a packet of its own: then it is not known.
    fn of_handshake(bytes: &'m [u8], seen: u8) -> Option<Self> {
        let rest = bytes.strip_prefix(NAME)?.get(RESERVED_LEN..)?;
        let (torrent, rest) = rest.split_first_chunk()?;
        Some(Message::Handshake { seen, torrent, peer: rest.get(..ID_LEN).unwrap_or_default() })
    }

    /// BEP 5, KRPC: the kind in `y`, the query's name in `q`, its arguments in `a`, what is answered in `r`.
    fn of_dht(bytes: &'m [u8]) -> Option<Self> {
        let message = Dict::of(bytes)?;
        let client = message.text(b"v").unwrap_or_default();
        let node = |place| message.dict(place)?.text(b"id").filter(|id| id.len() == ID_LEN);
        match message.text(b"y")? {
            b"q" => {
                let torrent = message.dict(b"a")?.text(b"info_hash").filter(|hash| hash.len() == ID_LEN);
                Some(Message::Query { name: message.text(b"q")?, node: node(b"a")?, torrent, client })
            }
            b"r" => Some(Message::Response { node: node(b"r")?, client }),
            b"e" => Some(Message::Error),
            _ => None,
        }
    }

    /// `side`: 0 if the flow's source says so.
    fn read(&self, side: usize, r: &mut BittorrentRecord) {
        let (their_client, their_node) = match side {
            0 => (&mut r.client, &mut r.node),
            _ => (&mut r.client_rev, &mut r.node_rev),
        };
        match *self {
            Message::Handshake { seen, torrent, peer } => {
                r.seen |= seen;
                set_first(&mut r.info_hash, torrent);
                set_client(their_client, peer);
            }
            Message::Query { name, node, torrent, client } => {
                r.seen |= BY_DHT;
                r.queries |= QUERIES.iter().position(|known| *known == name).map_or(OTHER_QUERY, |bit| 1 << bit);
                r.requests = r.requests.saturating_add(1);
                their_node.set(node);
                set_client(their_client, client);
                set_first(&mut r.info_hash, torrent.unwrap_or_default());
            }
            Message::Response { node, client } => {
                r.seen |= BY_DHT;
                r.responses = r.responses.saturating_add(1);
                their_node.set(node);
                set_client(their_client, client);
            }
            Message::Error => r.errors = r.errors.saturating_add(1),
        }
    }
}

fn set_first(hash: &mut Blob<ID_LEN>, bytes: &[u8]) {
    if hash.as_bytes().is_empty() {
        hash.set(bytes);
    }
}

/// What of an id is letters, digits and signs; versions in the DHT are two letters and two bytes of number.
fn set_client(client: &mut Text<CLIENT_LEN_MAX>, id: &[u8]) {
    let readable = id.iter().take(CLIENT_LEN_MAX).take_while(|byte| byte.is_ascii_graphic()).count();
    if readable > 0 {
        client.set(&id[..readable]);
    }
}

#[cfg(test)]
mod tests;
