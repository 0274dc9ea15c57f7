//! How a network card spreads packets over its receive queues: their number, and the hash (linux/ethtool.h, by ioctl).
use crate::nic::ethtool;
use std::io;

/// linux/ethtool.h
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_SCHANNELS: u32 = 0x3d;
const ETHTOOL_GRSSH: u32 = 0x46;
const ETHTOOL_SRSSH: u32 = 0x47;
/// `indir_size` that leaves the table of queues as it is (ETH_RXFH_INDIR_NO_CHANGE).
const SAME_TABLE: u32 = u32::MAX;
/// ETH_RSS_HASH_TOP, the function that a key is for.
const TOEPLITZ: u8 = 1;
/// RXH_XFRM_SYM_XOR and RXH_XFRM_SYM_OR_XOR: the card makes the two directions equal before it hashes.
const SYMMETRIC_INPUT: u8 = 1 | 2;
/// `struct ethtool_rxfh` without what follows it, in words.
const HEAD: usize = 6;
/// Entries and key bytes that a card may say it has; cards have some hundreds.
const ENTRIES_MAX: usize = 1 << 16;
const KEY_MAX: usize = 1 << 10;

/// `struct ethtool_channels`: queues that a driver can have, and has now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// In the order of the fields below.
    pub max: [u32; 4],
    pub rx: u32,
    pub tx: u32,
    pub other: u32,
    /// Queues for both directions, which most cards have.
    pub combined: u32,
}

impl Channels {
    /// `EOPNOTSUPP` from drivers that do not say.
    pub fn of(name: &str) -> io::Result<Channels> {
        let mut words = [0u32; 9];
        words[0] = ETHTOOL_GCHANNELS;
        ethtool(name, &mut words)?;
        let [_, a, b, c, d, rx, tx, other, combined] = words;
        Ok(Channels { max: [a, b, c, d], rx, tx, other, combined })
    }

    /// Changes them, which may interrupt the interface for a moment. Needs CAP_NET_ADMIN.
    pub fn set(&self, name: &str) -> io::Result<()> {
        let [a, b, c, d] = self.max;
        ethtool(name, &mut [ETHTOOL_SCHANNELS, a, b, c, d, self.rx, self.tx, self.other, self.combined])
    }

    /// Queues that receive.
    pub fn receiving(&self) -> u32 {
        self.rx + self.combined
    }

    /// The same with so many queues that receive; `None` if the driver cannot have so many.
    pub fn with_receiving(self, queues: u32) -> Option<Channels> {
        let [rx_max, _, _, combined_max] = self.max;
        let changed = match self.combined > 0 {
            true => Channels { combined: queues.checked_sub(self.rx)?, ..self },
            false => Channels { rx: queues, ..self },
        };
        let fits = changed.rx <= rx_max.max(self.rx) && changed.combined <= combined_max && queues > 0;
        fits.then_some(changed)
    }
}

/// The hash by which a card spreads packets (`struct ethtool_rxfh`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// The queue of each remainder of the hash.
    pub table: Vec<u32>,
    pub key: Vec<u8>,
    /// ETH_RSS_HASH_*, one bit.
    pub function: u8,
    /// RXH_XFRM_*, Linux 6.8.
    pub transform: u8,
}

impl Rss {
    /// `EOPNOTSUPP` where the driver has none, or does not say.
    pub fn of(name: &str) -> io::Result<Rss> {
        // First the sizes, then as much.
        let mut head = [0u32; HEAD];
        head[0] = ETHTOOL_GRSSH;
        ethtool(name, &mut head)?;
        let (entries, key) = (head[2] as usize, head[3] as usize);
        if entries > ENTRIES_MAX || key > KEY_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the driver says that its hash has an absurd size"));
        }
        let mut words = vec![0u32; HEAD + entries + key.div_ceil(4)];
        words[..4].copy_from_slice(&[ETHTOOL_GRSSH, 0, entries as u32, key as u32]);
        ethtool(name, &mut words)?;
        Ok(Rss::parse(&words, entries, key))
    }

    /// Puts another key in force, as long as this one, and nothing else. Needs CAP_NET_ADMIN.
    pub fn set_key(&self, name: &str, key: &[u8]) -> io::Result<()> {
        ethtool(name, &mut self.with_key(key))
    }

    /// A key by which the two directions of a flow have the same hash: any that repeats itself every 16 bits (Woo and Park, "Scalable TCP
    /// Session Monitoring with Symmetric Receive-side Scaling", 2012).
    pub fn symmetric_key(&self) -> Vec<u8> {
        [0x6d, 0x5a].into_iter().cycle().take(self.key.len()).collect()
    }

    /// Whether both directions of a flow come on one queue.
    pub fn is_symmetric(&self) -> bool {
        let repeats = self.key.len() > 2 && self.key.windows(3).all(|w| w[0] == w[2]);
        self.transform & SYMMETRIC_INPUT != 0 || self.function == TOEPLITZ && repeats
    }

    fn parse(words: &[u32], entries: usize, key: usize) -> Rss {
        let [function, transform, ..] = words[4].to_ne_bytes();
        let (table, rest) = words[HEAD..].split_at(entries);
        let key = rest.iter().flat_map(|word| word.to_ne_bytes()).take(key).collect();
        Rss { table: table.to_vec(), key, function, transform }
    }

    /// The command that sets a key: no table, so the key follows the head.
    fn with_key(&self, key: &[u8]) -> Vec<u32> {
        // 0 is "the same function"; the transform has no such word that old kernels would take, so it is said again.
        let how = u32::from_ne_bytes([0, self.transform, 0, 0]);
        let mut words = vec![ETHTOOL_SRSSH, 0, SAME_TABLE, key.len() as u32, how, 0];
        words.extend(key.chunks(4).map(|part| {
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            u32::from_ne_bytes(word)
        }));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets of linux/ethtool.h: indir_size at 8, key_size at 12, hfunc at 16, input_xfrm at 17, rss_config at 24.
    #[test]
    fn the_layout_is_the_kernels() {
        let rss = Rss { table: vec![], key: vec![0; 6], function: TOEPLITZ, transform: 1 };
        let bytes: Vec<u8> = rss.with_key(&rss.symmetric_key()).iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(bytes[..4], ETHTOOL_SRSSH.to_ne_bytes());
        assert_eq!((&bytes[8..12], &bytes[12..16]), (&[0xff; 4][..], &6u32.to_ne_bytes()[..]));
        assert_eq!((&bytes[16..18], &bytes[18..24]), (&[0, 1][..], &[0; 6][..]));
        assert_eq!(bytes[24..30], [0x6d, 0x5a, 0x6d, 0x5a, 0x6d, 0x5a]);
        // What a driver with two entries and a key of five bytes answers.
        let key = [u32::from_ne_bytes([1, 2, 3, 4]), u32::from_ne_bytes([5, 0, 0, 0])];
        let words = [ETHTOOL_GRSSH, 0, 2, 5, u32::from_ne_bytes([TOEPLITZ, 0, 0, 0]), 0, 7, 8, key[0], key[1]];
        let read = Rss::parse(&words, 2, 5);
        assert_eq!(read, Rss { table: vec![7, 8], key: vec![1, 2, 3, 4, 5], function: TOEPLITZ, transform: 0 });
    }

    #[test]
    fn a_key_that_repeats_is_symmetric() {
        let rss = |key: &[u8], function, transform| Rss { table: vec![], key: key.to_vec(), function, transform };
        assert!(rss(&[0x6d, 0x5a, 0x6d, 0x5a, 0x6d], TOEPLITZ, 0).is_symmetric());
        assert!(!rss(&[0x6d, 0x5a, 0x6d, 0x5b], TOEPLITZ, 0).is_symmetric());
        assert!(!rss(&[0x6d, 0x5a, 0x6d, 0x5a], 2, 0).is_symmetric(), "not Toeplitz");
        assert!(!rss(&[], TOEPLITZ, 0).is_symmetric());
        assert!(rss(&[1, 2, 3, 4], TOEPLITZ, 2).is_symmetric());
    }

    #[test]
    fn queues_fit_the_card() {
        let card = Channels { max: [0, 0, 1, 8], rx: 0, tx: 0, other: 1, combined: 4 };
        assert_eq!(card.with_receiving(8), Some(Channels { combined: 8, ..card }));
        assert_eq!((card.with_receiving(9), card.with_receiving(0)), (None, None));
        let veth = Channels { max: [4, 4, 0, 0], rx: 4, tx: 4, other: 0, combined: 0 };
        assert_eq!(veth.with_receiving(2), Some(Channels { rx: 2, ..veth }));
        assert_eq!(veth.with_receiving(5), None);
    }

    #[test]
    fn the_loopback_has_no_hash_to_set() {
        assert_eq!(Rss::of("lo").unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
        assert_eq!(Channels::of("lo").unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
        assert_eq!(Rss::of("no-such-ifc").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
