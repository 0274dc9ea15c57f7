//! SMB 2 connections ([MS-SMB2]): dialect, NTLM logons ([MS-NLMP]) that are granted or refused, then noise.
use super::{Side, Turn};

/// Who logs on, and how it goes.
#[derive(Clone, Copy, Debug)]
pub struct Logon<'a> {
    pub user: &'a str,
    pub domain: &'a str,
    pub workstation: &'a str,
    pub dialect: u16,
    /// Logons that end with [`LOGON_FAILURE`].
    pub refused: usize,
    /// Whether one more is granted.
    pub granted: bool,
    /// Bytes of work afterwards.
    pub work: u64,
}

/// NT status codes.
pub const LOGON_FAILURE: u32 = 0xc000_006d;
const MORE_PROCESSING_REQUIRED: u32 = 0xc000_0016;

const NEGOTIATE: u16 = 0;
const SESSION_SETUP: u16 = 1;

impl Logon<'_> {
    pub fn turns(&self) -> Vec<Turn> {
        let dialects = [0x0202u16, 0x0210, 0x0300, 0x0302].map(u16::to_le_bytes).concat();
        let ask = [&halves(&[36, 4, 1, 0])[..], &[0; 4], &[0x11; 16], &[0; 8], &dialects].concat();
        let chosen =
            [&halves(&[65, 1, self.dialect, 0])[..], &[0x22; 16], &[0; 16], &[0; 16], &halves(&[128, 0]), &[0; 4]];
        let mut turns = vec![
            Turn::client(message(NEGOTIATE, 0, false, &ask)),
            Turn::server(message(NEGOTIATE, 0, true, &chosen.concat())),
        ];
        for _ in 0..self.refused {
            turns.extend(self.exchange(LOGON_FAILURE));
        }
        if self.granted {
            turns.extend(self.exchange(0));
            turns.extend([Turn::filler(Side::Client, self.work), Turn::filler(Side::Server, self.work)]);
        }
        turns
    }

    fn exchange(&self, status: u32) -> [Turn; 4] {
        [
            Turn::client(setup(&ntlm(1, &[0; 24]))),
            Turn::server(message(SESSION_SETUP, MORE_PROCESSING_REQUIRED, true, &granted(&challenge()))),
            Turn::client(setup(&self.authenticate())),
            Turn::server(message(SESSION_SETUP, status, true, &granted(&[]))),
        ]
    }

    /// AUTHENTICATE_MESSAGE: places of six texts, flags, a version, then the texts.
    fn authenticate(&self) -> Vec<u8> {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let parts =
            [vec![0; 24], vec![0x33; 24], utf16(self.domain), utf16(self.user), utf16(self.workstation), Vec::new()];
        let (mut places, mut texts) = (Vec::new(), Vec::new());
        for part in parts {
            places.extend(place(part.len(), 72 + texts.len()));
            texts.extend(part);
        }
        ntlm(3, &[&places[..], &UNICODE.to_le_bytes(), &[10, 0, 0, 0, 0, 0, 0, 15], &texts].concat())
    }
}

/// A logon as traffic mixes need it: granted, then so many bytes each way.
pub fn work(bytes: u64) -> Vec<Turn> {
    let names = Logon {
        user: "alice",
        domain: "EXAMPLE",
        workstation: "WS-7",
        dialect: 0x0302,
        refused: 0,
        granted: true,
        work: bytes,
    };
    names.turns()
}

/// NTLMSSP_NEGOTIATE_UNICODE and NTLMSSP_NEGOTIATE_NTLM.
const UNICODE: u32 = 0x201;

fn challenge() -> Vec<u8> {
    let body = [&place(0, 48)[..], &UNICODE.to_le_bytes(), &[0x44; 8], &[0; 8], &place(0, 48)];
    ntlm(2, &body.concat())
}

fn ntlm(kind: u32, body: &[u8]) -> Vec<u8> {
    [b"NTLMSSP\0", &kind.to_le_bytes()[..], body].concat()
}

/// Length, room, offset.
fn place(len: usize, at: usize) -> Vec<u8> {
    [&halves(&[len as u16, len as u16])[..], &(at as u32).to_le_bytes()].concat()
}

/// SESSION_SETUP request with this security buffer, which stands behind 24 bytes of body.
fn setup(security: &[u8]) -> Vec<u8> {
    let fixed = [&halves(&[25])[..], &[0, 1], &[0; 8], &halves(&[64 + 24, security.len() as u16]), &[0; 8]].concat();
    message(SESSION_SETUP, 0, false, &[&fixed, security].concat())
}

/// The body of an answer to it.
fn granted(security: &[u8]) -> Vec<u8> {
    let at = if security.is_empty() { 0 } else { 64 + 8 };
    [&halves(&[9, 0, at, security.len() as u16])[..], security].concat()
}

/// A message behind its length: header of 64 bytes, body.
fn message(command: u16, status: u32, response: bool, body: &[u8]) -> Vec<u8> {
    let header = [
        b"\xfeSMB",
        &halves(&[64, 1])[..],
        &status.to_le_bytes(),
        &halves(&[command, 1]),
        &u32::from(response).to_le_bytes(),
        &[0; 4],
        &1u64.to_le_bytes(),
        &[0; 8],
        &0x0000_0400_0000_0001u64.to_le_bytes(),
        &[0; 16],
    ]
    .concat();
    let len = (header.len() + body.len()) as u32;
    [&len.to_be_bytes()[..], &header, body].concat()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
