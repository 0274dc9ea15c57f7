//! Resolvers that answer over HTTPS, TLS or QUIC: the large public ones, and lists in files of addresses and names.
use crate::blacklist::fingerprints::Fingerprints;
use crate::blacklist::{self, Wrong};
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::path::Path;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolvers {
    addresses: HashSet<IpAddr>,
    names: Fingerprints,
}

/// What their operators publish: addresses and names, those with a dot in front with all below.
const PUBLIC: &[&str] = &[
    // Google
    "8.8.8.8",
    "8.8.4.4",
    "2001:4860:4860::8888",
    "2001:4860:4860::8844",
    "dns.google",
    "dns64.dns.google",
    // Cloudflare
    "1.1.1.1",
    "1.0.0.1",
    "1.1.1.2",
    "1.0.0.2",
    "1.1.1.3",
    "1.0.0.3",
    "2606:4700:4700::1111",
    "2606:4700:4700::1001",
    ".cloudflare-dns.com",
    "one.one.one.one",
    ".cloudflare-gateway.com",
    // Quad9
    "9.9.9.9",
    "149.112.112.112",
    "9.9.9.10",
    "149.112.112.10",
    "9.9.9.11",
    "149.112.112.11",
    "2620:fe::fe",
    "2620:fe::9",
    ".quad9.net",
    // OpenDNS
    "208.67.222.222",
    "208.67.220.220",
    "doh.opendns.com",
    "dns.opendns.com",
    "doh.familyshield.opendns.com",
    // AdGuard, NextDNS, CleanBrowsing, Mullvad, ControlD, DNS.SB, CZ.NIC, DNS0, AliDNS, DNSPod
    "94.140.14.14",
    "94.140.15.15",
    ".adguard-dns.com",
    "dns.adguard.com",
    ".nextdns.io",
    ".cleanbrowsing.org",
    "dns.mullvad.net",
    ".dns.mullvad.net",
    ".controld.com",
    "doh.sb",
    "dns.sb",
    "odvr.nic.cz",
    ".dns0.eu",
    "223.5.5.5",
    "223.6.6.6",
    "dns.alidns.com",
    "doh.pub",
    "dot.pub",
];

impl Resolvers {
    /// The large public ones.
    pub(super) fn public() -> Resolvers {
        let mut list = Resolvers::default();
        for line in PUBLIC {
            // All are entries: a test says so.
            let _ = list.take(line);
        }
        list
    }

    /// Reads a file and says on standard error which of its lines mean nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn load(path: &Path) -> io::Result<Resolvers> {
        let mut list = Resolvers::default();
        blacklist::load(path, |line| list.take(line))?;
        Ok(list)
    }

    pub(super) fn has(&self, address: IpAddr, name: &[u8]) -> bool {
        self.addresses.contains(&address)
            || (!name.is_empty() && self.names.find_name(&name.to_ascii_lowercase()).is_some())
    }

    fn take(&mut self, line: &str) -> Result<(), Wrong> {
        match line.parse::<IpAddr>() {
            Ok(_) if self.addresses.len() >= blacklist::ENTRIES_MAX => Err(Wrong::Full),
            Ok(address) => {
                self.addresses.insert(address);
                Ok(())
            }
            Err(_) => self.names.take(line),
        }
    }
}

/// Any bytes as a list of resolvers: each address that is a line of its own is found.
pub(crate) fn fuzz_resolvers(input: &[u8]) {
    let mut list = Resolvers::default();
    blacklist::read("input", input, |line| {
        let taken = list.take(line);
        if let (Ok(address), true) = (line.parse(), taken.is_ok()) {
            assert!(list.has(address, b""));
        }
        taken
    })
    .expect("reading memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn public_resolvers() {
        let list = Resolvers::public();
        assert_eq!(list.addresses.len() + list.names.len(), PUBLIC.len());
        let nobody = IpAddr::from([192, 0, 2, 1]);
        for name in ["dns.google", "Mozilla.Cloudflare-DNS.com", "dns10.quad9.net"] {
            assert!(list.has(nobody, name.as_bytes()), "{name}");
        }
        assert!(
            list.has(IpAddr::from([9, 9, 9, 9]), b"") && !list.has(nobody, b"") && !list.has(nobody, b"www.google")
        );
    }

    proptest! {
        #[test]
        fn any_list_is_survived(text in "([0-9a-f.:# ]{0,12}\n){0,8}") {
            fuzz_resolvers(text.as_bytes());
        }
    }
}
