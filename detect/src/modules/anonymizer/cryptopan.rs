//! Prefix-preserving pseudonyms of addresses (Crypto-PAn; spec/modules.md section 6): two addresses that share their first `p` bits
//! have pseudonyms that share exactly their first `p` bits.
//!
//! Bit `p` of the pseudonym is bit `p` of the address XOR one bit of a function of the `p` bits before it, filled up to 128 bits with
//! a secret pad. The function is AES-128, as in nfdump and in the paper (Fan, Xu, Ammar, Moon 2004), or a hash of the original's own.
use super::hash;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A key: 16 bytes for the cipher, 16 for the pad.
pub type Key = [u8; 32];

/// What makes the pseudo-random bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    #[default]
    Aes,
    /// Fast, and no protection against somebody who tries keys: the key is only in the pad.
    Murmur,
}

/// A key made ready.
pub struct CryptoPan {
    cipher: Aes128,
    method: Method,
    pad: u128,
}

impl CryptoPan {
    pub fn new(key: &Key, method: Method) -> CryptoPan {
        let [cipher_key, pad]: [[u8; 16]; 2] = [std::array::from_fn(|i| key[i]), std::array::from_fn(|i| key[16 + i])];
        let cipher = Aes128::new(&cipher_key.into());
        let mut pad = Block::from(pad);
        cipher.encrypt_block(&mut pad);
        CryptoPan { cipher, method, pad: u128::from_be_bytes(pad.into()) }
    }

    /// The pseudonym of an address; it has the same family.
    pub fn anonymize(&self, ip: IpAddr) -> IpAddr {
        self.on_bits(ip, |address, bits| {
            let mut blocks = [Block::default(); 128];
            let blocks = &mut blocks[..bits];
            for (p, block) in blocks.iter_mut().enumerate() {
                *block = self.input(address, p).to_be_bytes().into();
            }
            address ^ self.bits_of(blocks)
        })
    }

    /// The address of a pseudonym.
    pub fn restore(&self, ip: IpAddr) -> IpAddr {
        // Bit by bit, since each needs those before it.
        self.on_bits(ip, |pseudonym, bits| {
            (0..bits).fold(0, |address, p| {
                let mut block = [Block::from(self.input(address, p).to_be_bytes())];
                let bit = (self.bits_of(&mut block) >> p) ^ pseudonym;
                address | (bit & (1 << (127 - p)))
            })
        })
    }

    /// Applies `change` to the address in the upper bits of a number, and their count.
    fn on_bits(&self, ip: IpAddr, change: impl Fn(u128, usize) -> u128) -> IpAddr {
        match ip {
            IpAddr::V4(v4) => Ipv4Addr::from_bits((change(u128::from(v4.to_bits()) << 96, 32) >> 96) as u32).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(change(v6.to_bits(), 128)).into(),
        }
    }

    /// The first `p` (below 128) bits of the address, then the pad.
    fn input(&self, address: u128, p: usize) -> u128 {
        let behind = u128::MAX >> p;
        (address & !behind) | (self.pad & behind)
    }

    /// One bit for each block, the first one on top; overwrites the blocks.
    fn bits_of(&self, blocks: &mut [Block]) -> u128 {
        let bit: fn(&Block) -> u128 = match self.method {
            Method::Aes => {
                self.cipher.encrypt_blocks(blocks);
                |block| u128::from(block[0] >> 7)
            }
            Method::Murmur => |block| u128::from(hash::of_block((*block).into()).count_ones() & 1),
        };
        blocks.iter().enumerate().fold(0, |bits, (p, block)| bits | (bit(block) << (127 - p)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sample of the Crypto-PAn distribution.
    const KEY: Key = [
        21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16, 216, 152, 143, 131, 121, 121, 101, 39,
        98, 87, 76, 45, 42, 132, 34, 2,
    ];

    #[test]
    fn the_published_pseudonyms() {
        let pan = CryptoPan::new(&KEY, Method::Aes);
        for (address, pseudonym) in [
            ("128.11.68.132", "135.242.180.132"),
            ("129.118.74.4", "134.136.186.123"),
            ("130.132.252.244", "133.68.164.234"),
            ("141.223.7.43", "141.167.8.160"),
            ("24.0.250.221", "100.15.198.226"),
        ] {
            assert_eq!(pan.anonymize(address.parse().unwrap()).to_string(), pseudonym);
            assert_eq!(pan.restore(pseudonym.parse().unwrap()).to_string(), address);
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|b| Ipv4Addr::from_bits(b).into()),
            any::<u128>().prop_map(|b| Ipv6Addr::from_bits(b).into()),
        ]
    }

    fn bits(ip: IpAddr) -> u128 {
        match ip {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    proptest! {
        #[test]
        fn pseudonyms_come_back(ip in address(), key in any::<[u8; 32]>()) {
            for method in [Method::Aes, Method::Murmur] {
                let pan = CryptoPan::new(&key, method);
                prop_assert_eq!(pan.restore(pan.anonymize(ip)), ip);
                prop_assert_eq!(pan.anonymize(pan.restore(ip)), ip);
            }
        }

        #[test]
        fn prefixes_are_kept_exactly(a in any::<u128>(), same in 0u32..=128, b in any::<u128>(), key in any::<[u8; 32]>()) {
            let behind = u128::MAX.checked_shr(same).unwrap_or(0);
            let b = (a & !behind) | (b & behind);
            for method in [Method::Aes, Method::Murmur] {
                let pan = CryptoPan::new(&key, method);
                let [x, y] = [a, b].map(|n| bits(pan.anonymize(Ipv6Addr::from_bits(n).into())));
                prop_assert_eq!((x ^ y).leading_zeros(), (a ^ b).leading_zeros());
            }
        }
    }
}
