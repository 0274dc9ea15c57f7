//! Packets with their times, collected in memory and written as one file. Also the hosts that the cases share.
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::dialog::{Dialog, Host, Route, Side, Turn};
use crate::frame::Frame;
use crate::pcap::{Format, PcapWriter};
use crate::{EPOCH, Nanos};

pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
pub(super) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
pub(super) const SERVER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x20);

/// The usual client to a port of the usual server.
pub(super) fn route(from: u16, to: u16) -> Route {
    Route::new(Host::new(CLIENT, from), Host::new(SERVER, to))
}

pub(super) fn route6(from: u16, to: u16) -> Route {
    Route::new(Host::new(CLIENT6, from), Host::new(SERVER6, to))
}

/// A short question and a longer answer of noise.
pub(super) fn talk() -> Vec<Turn> {
    vec![Turn::filler(Side::Client, 300), Turn::filler(Side::Server, 4000)]
}

/// A capture in the making.
#[derive(Debug, Default)]
pub(super) struct Tape {
    packets: Vec<(Nanos, Vec<u8>)>,
}

impl Tape {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a finished packet, `at` after the beginning.
    pub(super) fn packet(&mut self, at: Nanos, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.packets.push((EPOCH + at, bytes.into()));
        self
    }

    /// Adds all packets of a dialog that begins at `start` and gives the time of its last.
    pub(super) fn play(&mut self, start: Nanos, mut dialog: impl Dialog) -> Nanos {
        let mut frame = Frame::new();
        let mut now = start;
        while let Some(gap) = dialog.gap() {
            now += gap;
            dialog.packet(&mut frame);
            self.packet(now, frame.bytes());
        }
        now
    }

    /// In order of time, the first at [`EPOCH`]; equal times keep the order of their making.
    pub(super) fn packets(mut self) -> Vec<(Nanos, Vec<u8>)> {
        self.packets.sort_by_key(|(at, _)| *at);
        let early = self.packets.first().map_or(0, |(at, _)| at - EPOCH);
        self.packets.iter_mut().for_each(|(at, _)| *at -= early);
        self.packets
    }

    pub(super) fn pcap(self, format: Format) -> Vec<u8> {
        let write = || {
            let mut file = PcapWriter::new(Vec::new(), format)?;
            for (at, bytes) in self.packets() {
                file.packet(at, &bytes)?;
            }
            file.finish()
        };
        write().expect("a Vec takes every write")
    }

    /// Ethernet, microseconds, little endian.
    pub(super) fn plain(self) -> Vec<u8> {
        self.pcap(Format::default())
    }
}
