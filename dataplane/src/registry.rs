//! The registry of process plugins: one word adds one.
//!
//! From the list come the ids, the dispatch, the arenas of a batch, the help and the documentation. What runs on a lane is chosen
//! at start; for each packet only the plugins that still want it are called, by a jump on the id, never through a vtable.
use crate::batch::Link;
use crate::face::Face;
use crate::flow::Flow;
pub use crate::plugin::Layer;
use crate::plugin::{
    Aides, Context, INSPECTED_MAX, Kept, NONE, OptionError, Plugin, PluginInfo, PluginOption, Pool, Slab, Step,
};
use crate::stat::application::{Application, ApplicationRecord};
use arena::Arena;
pub(crate) use hook::Hook;
pub use hook::Wish;
pub(crate) use look::has_content;
use record::element::{Element, cesnet};
use record::json::FlowWriter;
use record::{Record, Schema, Sink};
use rows::Rows;
use turn::{Ending, Gathered, Keeps, finish, has, resident_turn, turn};

mod arena;
mod hook;
mod look;
mod rows;
mod turn;

/// A set of plugins, one bit for each id.
pub type PluginSet = u64;

/// What of a set has room beside a flow's counters: a bit for two plugins each.
pub(crate) type Folded = u32;

/// Sets that have a plugin in common have one when folded too; the other way round not always.
#[inline(always)]
pub(crate) const fn fold(set: PluginSet) -> Folded {
    (set | set >> Folded::BITS) as Folded
}

/// What a plugin counted beside its records: this became of so many flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub id: PluginId,
    pub what: &'static str,
    pub count: u64,
}

/// Elements that mean the same in each record that has them.
const SHARED: &[Element] = &[cesnet::DNSName, cesnet::DNSRRTTL, cesnet::DNSRData, cesnet::DNSTransactionID];

/// Where a walk over all plugins looks whether any is left of a set.
const WALK: usize = 6;

/// Whether a walk over all plugins that has come to this one may end. Said at each [`WALK`]th plugin only.
#[inline(always)]
fn is_over(set: PluginSet, id: PluginId) -> bool {
    (id as usize).is_multiple_of(WALK) && set >> id as u32 == 0
}

macro_rules! plugins {
    ($($id:ident: $plugin:ty $(= $application:literal)?,)+) => {
        /// A process plugin's number: its place in the registry.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum PluginId { $($id),+ }

        impl PluginId {
            pub const ALL: &'static [PluginId] = &[$(PluginId::$id),+];
            pub const COUNT: usize = Self::ALL.len();

            pub const fn schema(self) -> &'static Schema {
                match self { $(PluginId::$id => <<$plugin as Plugin>::Record as Record>::SCHEMA),+ }
            }
            pub const fn name(self) -> &'static str { self.schema().name }
            pub const fn layer(self) -> Layer {
                match self { $(PluginId::$id => <$plugin as Plugin>::LAYER),+ }
            }
            pub const fn options(self) -> &'static [PluginOption] {
                match self { $(PluginId::$id => <$plugin as Plugin>::OPTIONS),+ }
            }
            /// Whether it is on only where it is named, and not one of `all`.
            pub const fn by_name_only(self) -> bool {
                match self { $(PluginId::$id => <$plugin as Plugin>::BY_NAME_ONLY),+ }
            }
            /// What it counts beside its records.
            pub const fn notes(self) -> &'static [&'static str] {
                match self { $(PluginId::$id => <$plugin as Plugin>::NOTES),+ }
            }
            /// Number of the application that its records speak for ([`ApplicationRecord`]), 0 if they speak for none.
            pub const fn application_number(self) -> u16 {
                match self { $(PluginId::$id => 0 $(+ $application)?),+ }
            }
            pub const fn bit(self) -> PluginSet { 1 << self as u32 }
            pub fn from_name(name: &str) -> Option<PluginId> {
                Self::ALL.iter().copied().find(|p| p.name() == name)
            }
            pub fn info(self) -> PluginInfo {
                PluginInfo { id: self, name: self.name(), doc: self.schema().doc }
            }
        }

        /// The fuzz targets: one for each plugin (RELIABILITY.md F6, F7).
        pub(crate) const TARGETS: [record::fuzzing::Target; PluginId::COUNT] =
            [$((concat!("plugin_", stringify!($id)), |data| crate::fuzzing::script::fuzz_plugin(PluginId::$id, data))),+];

        const _: () = {
            record::assert_distinct(
                &[<crate::flow::Basic as Record>::SCHEMA, <crate::flow::Heading as Record>::SCHEMA, $(<<$plugin as Plugin>::Record as Record>::SCHEMA),+],
                SHARED,
            );
            assert!(PluginId::COUNT <= PluginSet::BITS as usize);
        };

        /// Plugins whose hook does something, those that look at payload only, and those that go by content.
        const BEFORE: PluginSet = 0 $(| if <$plugin as Plugin>::BEFORE { PluginId::$id.bit() } else { 0 })+;
        const AFTER: PluginSet = 0 $(| if <$plugin as Plugin>::AFTER { PluginId::$id.bit() } else { 0 })+;
        pub(crate) const PAYLOAD_ONLY: PluginSet = 0 $(| if <$plugin as Plugin>::PAYLOAD_ONLY { PluginId::$id.bit() } else { 0 })+;

        /// Plugins whose slots lie as they are.
        const RESIDENT: PluginSet = 0 $(| if <$plugin as Plugin>::RESIDENT { PluginId::$id.bit() } else { 0 })+;
        const PROBES: PluginSet = 0 $(| if <$plugin as Plugin>::PROBES { PluginId::$id.bit() } else { 0 })+;

        /// Those of a set that may have to do with a flow between these ports.
        #[inline(always)]
        fn by_ports(mut set: PluginSet, src_port: u16, dst_port: u16) -> PluginSet {
            $(if is_over(set, PluginId::$id) {
                return set;
            }
            if <$plugin as Plugin>::BY_PORT
                && set & PluginId::$id.bit() != 0
                && !<$plugin>::may_use(src_port, dst_port)
            {
                set &= !PluginId::$id.bit();
            })+
            set
        }

        /// Those of a set whose [`Plugin::may_begin`] lets a payload pass.
        #[inline(always)]
        fn probe(mut set: PluginSet, payload: &[u8]) -> PluginSet {
            $(if is_over(set, PluginId::$id) {
                return set;
            }
            if <$plugin as Plugin>::PROBES && set & PluginId::$id.bit() != 0 && !<$plugin>::may_begin(payload) {
                set &= !PluginId::$id.bit();
            })+
            set
        }

        /// The enabled plugins of one lane with all they know of its flows.
        #[derive(Default)]
        pub struct Plugins {
            /// In the order in which they were asked for: the order of their fields in a record.
            order: Vec<PluginId>,
            enabled: PluginSet,
            /// Those on whose desk a slot of the flow that is about to be exported may lie; of no other flow does any slot stay there.
            open: PluginSet,
            /// Packets of a flow after which content plugins that keep nothing of it are done.
            inspected_max: u64,
            rows: Rows,
            slab: Slab,
            held: Held,
        }

        /// The plugins themselves, each with its slots.
        #[derive(Default)]
        struct Held { $($id: Option<($plugin, Pool<$plugin>)>,)+ }

        // What is done with one of them stands here, outside of the loops over all: there the compiler would prepare what any of them may need
        // before each walk.
        impl Held {
            #[inline(never)]
            fn turn(&mut self, id: PluginId, keeps: &mut Keeps<'_>, hook: Hook, ctx: &Context<'_, '_>, is_cut: bool) -> Step {
                match id {
                    $(PluginId::$id => match &mut self.$id {
                        Some(held) if !<$plugin as Plugin>::RESIDENT => turn(held, keeps, PluginId::$id, hook, ctx, is_cut),
                        _ => Step::More,
                    })+
                }
            }

            /// Calls a hook of those of a set whose slots lie as they are, which nearly every packet of a flow is for: one walk, in which each of
            /// them stands where it is called.
            #[inline(never)]
            fn residents<const HOOK: u8>(
                &mut self,
                set: PluginSet,
                Keeps { slab, rows, row }: &mut Keeps<'_>,
                ctx: &Context<'_, '_>,
                interest: &mut PluginSet,
            ) -> Wish {
                let mut wish = Wish::default();
                let Some((heads, places)) = rows.open_all(row) else { return wish };
                $(if <$plugin as Plugin>::RESIDENT
                    && has::<$plugin>(HOOK)
                    && set & PluginId::$id.bit() != 0
                    && let Some(held) = &mut self.$id
                    && let Some(head) = heads.get_mut(places[PluginId::$id as usize] as usize)
                {
                    let step = resident_turn::<$plugin, HOOK>(held, slab, head, ctx);
                    wish.add(step, PluginId::$id.bit(), interest);
                })+
                wish
            }

            /// Asks for a resident slot that will be read soon.
            #[inline(never)]
            fn prefetch(&self, id: PluginId, at: u32) {
                match id {
                    $(PluginId::$id => if <$plugin as Plugin>::RESIDENT && let Some((_, pool)) = &self.$id {
                        pool.prefetch(at);
                    })+
                }
            }

            /// Asks for what packets of these rows' flows will probably change of one plugin's resident slots.
            #[inline(never)]
            fn prefetch_heads(&self, id: PluginId, rows: &Rows, of: &[u32]) {
                match id {
                    $(PluginId::$id => if <$plugin as Plugin>::RESIDENT && let Some((_, pool)) = &self.$id {
                        of.iter().for_each(|row| pool.prefetch_head(rows.head(*row, id)));
                    })+
                }
            }

            #[inline(never)]
            fn finish(&mut self, id: PluginId, head: &mut u32, arenas: &mut Arenas, ending: &mut Ending<'_>) -> Gathered {
                match id {
                    $(PluginId::$id => match &mut self.$id {
                        Some(held) => finish(held, head, &mut arenas.$id, PluginId::$id, ending),
                        None => Gathered::default(),
                    })+
                }
            }
        }

        impl Plugins {
            /// Switches a plugin on, with room for `flows` flows.
            pub fn enable(&mut self, id: PluginId, options: &[&str], face: Face, flows: usize) -> Result<(), OptionError> {
                match id {
                    $(PluginId::$id => {
                        self.held.$id = Some((<$plugin>::new(options, face)?, Pool::new(flows)));
                        self.slab.reserve(flows.saturating_mul(Pool::<$plugin>::CHUNK_LEN_MAX));
                    })+
                }
                // The original looks at every packet.
                self.inspected_max = if face.is_original() { u64::MAX } else { INSPECTED_MAX };
                if !self.order.contains(&id) {
                    self.order.push(id);
                    self.rows.add(id, flows);
                    // Its records are made where those of others are gathered: no packet is for it.
                    if id != PluginId::application {
                        self.enabled |= id.bit();
                    }
                }
                Ok(())
            }

            /// Gives the plugins that are on what was opened for them.
            pub fn attach(&mut self, aides: &Aides) {
                $(if let Some((plugin, _)) = &mut self.held.$id {
                    plugin.attach(aides);
                })+
            }

            /// Calls a hook of these plugins.
            pub(crate) fn call(
                &mut self,
                hook: Hook,
                set: PluginSet,
                ctx: &Context<'_, '_>,
                row: &mut u32,
                interest: &mut PluginSet,
            ) -> Wish {
                let mut wish = Wish::default();
                let mut left = set & !RESIDENT;
                let mut keeps = Keeps { slab: &mut self.slab, rows: &mut self.rows, row };
                if left != set {
                    let set = set & RESIDENT;
                    wish = match hook {
                        Hook::Create => self.held.residents::<{ Hook::CREATE }>(set, &mut keeps, ctx, interest),
                        Hook::Before => self.held.residents::<{ Hook::BEFORE }>(set, &mut keeps, ctx, interest),
                        Hook::After => self.held.residents::<{ Hook::AFTER }>(set, &mut keeps, ctx, interest),
                    };
                }
                while left != 0 {
                    let id = PluginId::ALL[left.trailing_zeros() as usize];
                    let bit = left & left.wrapping_neg();
                    left ^= bit;
                    wish.add(self.held.turn(id, &mut keeps, hook, ctx, wish.is_cut()), bit, interest);
                }
                if wish.is_cut() {
                    self.open |= set;
                }
                wish
            }

            /// What is left of a flow's interest once its budget is spent: content plugins that keep nothing are done.
            #[cold]
            pub(crate) fn spend(&self, row: u32, interest: PluginSet) -> PluginSet {
                let kept = self.order.iter().filter(|id| self.rows.head(row, **id) != NONE);
                kept.fold(interest & !PROBES, |left, id| left | interest & id.bit())
            }

            /// A flow's record ends: with `last_word` plugins complete or withdraw theirs of it; they go to `arenas`, in the order in which the
            /// plugins were asked for, and what was kept is given back. The row is to be closed next.
            pub(crate) fn finish(
                &mut self,
                flow: &Flow,
                last_word: bool,
                arenas: &mut Arenas,
                links: &mut Vec<Link>,
            ) -> PluginSet {
                let (mut set, mut certain) = (0, 0);
                let mut ending = Ending { flow, last_word, slab: &mut self.slab, links };
                for (id, head) in self.order.iter().zip(self.rows.get(flow.row)) {
                    if *head == NONE && self.open & id.bit() == 0 {
                        continue;
                    }
                    let gathered = self.held.finish(*id, head, arenas, &mut ending);
                    set |= if gathered.any { id.bit() } else { 0 };
                    certain |= if gathered.certain { id.bit() } else { 0 };
                }
                self.open = 0;
                debug_assert!(true $(&& self.held.$id.as_ref().is_none_or(|(_, pool)| !pool.is_open()))+, "a desk was left");
                if certain != 0 && self.held.application.is_some() {
                    set |= arenas.name_application(certain, links);
                }
                set
            }

            /// Gives back the row of a flow that is finished.
            #[inline]
            pub(crate) fn close(&mut self, row: &mut u32) {
                self.rows.close(row);
            }

            /// Asks for the row of a flow that will end soon.
            #[inline]
            pub(crate) fn prefetch_row(&self, row: u32) {
                if let Some(first) = self.rows.look(row).first() {
                    sys::prefetch(first);
                }
            }

            /// Whether any plugin keeps slots that nearly every packet changes.
            #[inline(always)]
            pub(crate) fn are_resident(&self) -> bool {
                self.enabled & RESIDENT != 0
            }

            /// Asks for what packets of these rows' flows will probably change; the rows should have arrived. Plugin by plugin, so that which
            /// one it is does not have to be asked for each packet.
            pub(crate) fn prefetch_resident(&self, rows: &[u32]) {
                let mut left = self.enabled & RESIDENT & (BEFORE | AFTER);
                while left != 0 {
                    self.held.prefetch_heads(PluginId::ALL[left.trailing_zeros() as usize], &self.rows, rows);
                    left &= left - 1;
                }
            }

            /// Asks for what the plugins keep of a flow that will end soon; its row should have arrived.
            pub(crate) fn prefetch_slots(&self, row: u32) {
                for (id, at) in self.order.iter().zip(self.rows.look(row)) {
                    if *at == NONE {
                        continue;
                    }
                    if RESIDENT & id.bit() == 0 {
                        self.slab.prefetch(*at);
                    } else {
                        self.held.prefetch(*id, *at);
                    }
                }
            }

            /// Records that could not be kept because a pool was exhausted, by plugin.
            pub fn refused(&self) -> Vec<(PluginId, u64)> {
                let mut out = Vec::new();
                $(if let Some((_, pool)) = &self.held.$id {
                    if pool.refused > 0 { out.push((PluginId::$id, pool.refused)); }
                })+
                out
            }

            /// What plugins counted beside their records.
            pub fn notes(&self) -> Vec<Note> {
                let mut out = Vec::new();
                $(if let Some((plugin, _)) = &self.held.$id {
                    let note = |(at, what): (usize, &&'static str)| Note { id: PluginId::$id, what, count: plugin.note(at) };
                    out.extend(<$plugin as Plugin>::NOTES.iter().enumerate().map(note));
                })+
                out
            }

            /// Slots in use over all pools; 0 when no flow is live (identity I15).
            pub fn in_use(&self) -> usize {
                0 $(+ self.held.$id.as_ref().map_or(0, |(_, pool)| pool.in_use()))+
            }
        }

        /// The extension records of a batch, one arena for each plugin.
        #[derive(Default)]
        pub(crate) struct Arenas { $($id: Arena<<$plugin as Plugin>::Record>,)+ }

        impl Arenas {
            pub(crate) fn clear(&mut self) { $(self.$id.used = 0;)+ }

            /// Adds what a flow's application is called, if one of these plugins speaks for any.
            fn name_application(&mut self, certain: PluginSet, links: &mut Vec<Link>) -> PluginSet {
                let plugins = PluginId::ALL.iter().copied().filter(|id| certain & id.bit() != 0);
                let Some(record) = ApplicationRecord::of(plugins) else { return 0 };
                let at = self.application.add(Kept::<'_, Application>::Open(&record));
                links.push(Link { id: PluginId::application, at });
                PluginId::application.bit()
            }

            #[inline]
            pub(crate) fn visit<'a>(&'a self, link: Link, sink: &mut impl Sink<'a>) {
                match link.id { $(PluginId::$id => self.$id.records[link.at as usize].visit(sink),)+ }
            }

            /// The record in native JSON.
            pub(crate) fn json(&self, link: Link, writer: &mut FlowWriter<'_>) {
                match link.id { $(PluginId::$id => writer.extension(&self.$id.records[link.at as usize]),)+ }
            }

            /// What a person wants to know of the record, in a few words.
            pub(crate) fn summary(&self, link: Link, out: &mut String) {
                match link.id { $(PluginId::$id => <$plugin>::summary(&self.$id.records[link.at as usize], out),)+ }
            }

            /// The record in the original's text form.
            pub(crate) fn text(&self, link: Link, out: &mut String) {
                match link.id { $(PluginId::$id => <$plugin>::text(&self.$id.records[link.at as usize], out),)+ }
            }
        }
    };
}

// Those that are enabled most come first: a walk ends where none is left. But for that their order means nothing. The number of the application
// that a plugin speaks for is exported: one that was given away stays.
plugins! {
    basicplus: crate::stat::basicplus::BasicPlus,
    vlan: crate::stat::vlan::Vlan,
    icmp: crate::stat::icmp::Icmp,
    bstats: crate::stat::bstats::Bstats,
    pstats: crate::stat::pstats::Pstats,
    phists: crate::stat::phists::Phists,
    nettisa: crate::stat::nettisa::Nettisa,
    flowhash: crate::stat::flowhash::FlowHash,
    mpls: crate::stat::mpls::Mpls,
    idpcontent: crate::stat::idpcontent::IdpContent,
    ovpn: crate::stat::ovpn::Ovpn = 18,
    ssadetector: crate::stat::ssadetector::SsaDetector,
    http: crate::l7::http::Http = 1,
    dns: crate::l7::dns::Dns = 4,
    passivedns: crate::l7::passivedns::PassiveDns = 4,
    smtp: crate::l7::smtp::Smtp = 5,
    sip: crate::l7::sip::Sip = 6,
    tls: crate::l7::tls::Tls = 2,
    ssh: crate::l7::ssh::Ssh = 7,
    rdp: crate::l7::rdp::Rdp = 8,
    smb: crate::l7::smb::Smb = 9,
    kerberos: crate::l7::kerberos::Kerberos = 10,
    rtsp: crate::l7::rtsp::Rtsp = 11,
    dnssd: crate::l7::dnssd::Dnssd = 12,
    netbios: crate::l7::netbios::Netbios = 13,
    ssdp: crate::l7::ssdp::Ssdp = 14,
    ntp: crate::l7::ntp::Ntp = 15,
    mqtt: crate::l7::mqtt::Mqtt = 16,
    quic: crate::l7::quic::Quic = 3,
    wg: crate::l7::wg::Wg = 17,
    ftp: crate::l7::ftp::Ftp = 19,
    pop3: crate::l7::pop3::Pop3 = 20,
    imap: crate::l7::imap::Imap = 24,
    dhcp: crate::l7::dhcp::Dhcp = 21,
    snmp: crate::l7::snmp::Snmp = 22,
    stun: crate::l7::stun::Stun = 23,
    rtp: crate::l7::rtp::Rtp = 36,
    ldap: crate::l7::ldap::Ldap = 30,
    modbus: crate::l7::modbus::Modbus = 31,
    dnp3: crate::l7::dnp3::Dnp3 = 32,
    iec104: crate::l7::iec104::Iec104 = 33,
    bittorrent: crate::l7::bittorrent::Bittorrent = 34,
    http2: crate::l7::http2::Http2 = 35,
    tlsserver: crate::l7::tlsserver::TlsServer = 2,
    communityid: crate::stat::communityid::CommunityId,
    tcpquality: crate::stat::tcpquality::TcpQuality,
    tunnel: crate::stat::tunnel::TunnelStat,
    osquery: crate::stat::osquery::Osquery,
    application: crate::stat::application::Application,
}
