//! SSH_MSG_KEXINIT (RFC 4253 section 7.1) and HASSH, the MD5 over what a side offers in it (github.com/salesforce/hassh).
use md5::{Digest, Md5};

/// The lists of algorithms as they stand in a packet.
pub(super) struct KexInit<'m> {
    lists: [&'m [u8]; LISTS],
}

/// Which direction's lists are hashed: HASSH is of the client's offer for what it sends, HASSHServer of the server's for what that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    ClientToServer,
    ServerToClient,
}

/// Name-lists up to compression; those of languages do not matter.
const LISTS: usize = 8;
const KEX: usize = 0;
/// The first of encryption, MAC and compression of the client's direction; the server's stands behind each.
const CIPHERS: usize = 2;
const MACS: usize = 4;
const COMPRESSION: usize = 6;

/// Length, padding length, message number, cookie.
const LISTS_AT: usize = 4 + 1 + 1 + 16;

impl<'m> KexInit<'m> {
    /// Reads a whole binary packet, its length included; `None` if a list leaves it.
    pub(super) fn of_packet(packet: &'m [u8]) -> Option<Self> {
        let mut rest = packet.get(LISTS_AT..)?;
        let mut lists = [&[][..]; LISTS];
        for list in &mut lists {
            let (len, behind) = rest.split_first_chunk()?;
            (*list, rest) = behind.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        }
        Some(KexInit { lists })
    }

    pub(super) fn hassh(&self, reads: Reads) -> [u8; 16] {
        let direction = usize::from(reads == Reads::ServerToClient);
        let mut hash = Md5::new();
        hash.update(self.lists[KEX]);
        for list in [CIPHERS, MACS, COMPRESSION] {
            hash.update(b";");
            hash.update(self.lists[list + direction]);
        }
        hash.finalize().into()
    }
}
