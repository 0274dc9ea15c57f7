//! One capture for each protocol of telecontrol: a few messages, written byte by byte.
use super::tape::{Tape, route, route6};
use super::{Case, Flows, clean};
use crate::SECOND;
use crate::dialog::{Datagrams, TcpSession, Turn};

pub(super) const CASES: &[Case] = &[
    clean(
        "modbus",
        "registers read and written, an address that there is not, and on a port of its own a device that tells its name",
        (22, 1775),
        Flows::new(2, 4),
        || {
            let talk = vec![
                Turn::client(modbus(1, 3, &[0, 107, 0, 3])),
                Turn::server(modbus(1, 3, &[6, 0, 10, 0, 20, 0, 30])),
                Turn::client(modbus(2, 16, &[0, 1, 0, 2, 4, 0, 10, 1, 2])),
                Turn::server(modbus(2, 16, &[0, 1, 0, 2])),
                Turn::client(modbus(3, 6, &[0xff, 0xf0, 0, 3])),
                Turn::server(modbus(3, 0x86, &[2])),
            ];
            let name = [&[14, 1, 1, 0, 0, 1, 0, 7][..], b"Example"].concat();
            let identified = vec![Turn::client(modbus(77, 43, &[14, 1, 0])), Turn::server(modbus(77, 43, &name))];
            let mut tape = Tape::new();
            tape.play(0, TcpSession::new(route(40001, 502), talk));
            tape.play(SECOND, TcpSession::new(route6(40002, 5020), identified));
            tape.plain()
        },
    ),
    clean(
        "dnp3",
        "classes read, a relay that is operated and an answer with its state; over UDP an outstation that speaks first",
        (13, 971),
        Flows::new(2, 4),
        || {
            let crob = [12, 1, 0x28, 1, 0, 3, 0, 0x41, 1, 0xf4, 1, 0, 0, 0, 0, 0, 0, 0];
            let talk = vec![
                Turn::client(dnp3(0xc4, (10, 1), &[&[0xc0, 0xc1, 1][..], &[60, 2, 6, 60, 3, 6, 60, 4, 6]].concat())),
                Turn::server(dnp3(0x44, (1, 10), &[0xc0, 0xc1, 129, 0x80, 0x00])),
                Turn::client(dnp3(0xc4, (10, 1), &[&[0xc1, 0xc2, 5][..], &crob].concat())),
                Turn::server(dnp3(0x44, (1, 10), &[&[0xc1, 0xc2, 129, 0x10, 0x00][..], &crob].concat())),
            ];
            let speaks_first = vec![
                Turn::client(dnp3(0x44, (1, 11), &[0xc0, 0xf0, 130, 0x80, 0x00])),
                Turn::server(dnp3(0xc4, (11, 1), &[0xc0, 0xd0, 0])),
            ];
            let mut tape = Tape::new();
            tape.play(0, TcpSession::new(route(40001, 20000), talk));
            tape.play(SECOND, Datagrams::udp(route(20000, 20001), speaks_first));
            tape.plain()
        },
    ),
    clean(
        "iec104",
        "a connection is started, a station interrogated, a command confirmed in the negative, and the line tested",
        (17, 1268),
        Flows::new(1, 2),
        || {
            let talk = vec![
                Turn::client(control(0x07)),
                Turn::server(control(0x0b)),
                Turn::client(information(0, 0, &[100, 1, 6, 0, 3, 1, 0, 0, 0, 20])),
                Turn::server(
                    [
                        information(0, 1, &[100, 1, 7, 0, 3, 1, 0, 0, 0, 20]),
                        information(1, 1, &[1, 2, 20, 0, 3, 1, 1, 0, 0, 1, 2, 0, 0, 0]),
                        information(2, 1, &[100, 1, 10, 0, 3, 1, 0, 0, 0, 20]),
                    ]
                    .concat(),
                ),
                Turn::client(vec![0x68, 4, 1, 0, 6, 0]),
                Turn::client(information(1, 3, &[45, 1, 6, 0, 3, 1, 9, 0, 0, 1])),
                Turn::server(information(3, 2, &[45, 1, 0x47, 0, 3, 1, 9, 0, 0, 1])),
                Turn::client(control(0x43)),
                Turn::server(control(0x83)),
            ];
            let mut tape = Tape::new();
            tape.play(0, TcpSession::new(route(40001, 2404), talk));
            tape.plain()
        },
    ),
];

/// A unit of Modbus over TCP for unit 17.
fn modbus(transaction: u8, function: u8, data: &[u8]) -> Vec<u8> {
    [&[0, transaction, 0, 0, 0, data.len() as u8 + 2, 17, function][..], data].concat()
}

/// A frame of DNP3 (IEEE 1815 section 9.2) to one station from another.
fn dnp3(control: u8, (to, from): (u8, u8), data: &[u8]) -> Vec<u8> {
    let header = [0x05, 0x64, data.len() as u8 + 5, control, to, 0, from, 0];
    let blocks = std::iter::once(&header[..]).chain(data.chunks(16));
    blocks.flat_map(|block| [block, &crc16(block).to_le_bytes()].concat()).collect()
}

/// CRC-16/DNP.
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0u16;
    for byte in bytes {
        crc ^= u16::from(*byte);
        for _bit in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xa6bc } else { crc >> 1 };
        }
    }
    !crc
}

/// A unit of format U (IEC 60870-5-104 section 5.3).
fn control(function: u8) -> Vec<u8> {
    vec![0x68, 4, function, 0, 0, 0]
}

/// A unit of format I with its numbers, 0 to 127.
fn information(sent: u8, received: u8, asdu: &[u8]) -> Vec<u8> {
    [&[0x68, asdu.len() as u8 + 4, sent << 1, 0, received << 1, 0][..], asdu].concat()
}
