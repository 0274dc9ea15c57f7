//! Domains and addresses that are not looked at, each in a file of its own.
use crate::sdk::Failure;
use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

/// Bytes of a domain and of an address in a list.
const DOMAIN_MAX: usize = 254;
const ADDRESS_MAX: usize = 45;

/// Both lists; empty ones let everything pass.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Whitelist {
    domains: HashSet<Box<[u8]>>,
    addresses: HashSet<IpAddr>,
}

impl Whitelist {
    /// Reads the files.
    pub(super) fn load(domains: Option<&Path>, addresses: Option<&Path>) -> Result<Whitelist, Failure> {
        let read = |path: Option<&Path>, what: &str| {
            let Some(path) = path else { return Ok(Vec::new()) };
            let failed = |why| {
                Failure::Other(format!("Exception file with {what} couldn`t be opened. {}: {why}", path.display()))
            };
            std::fs::read(path).map_err(failed)
        };
        let mut list = Whitelist::default();
        list.add_domains(&read(domains, "domains")?)?;
        list.add_addresses(&read(addresses, "IPs")?)?;
        Ok(list)
    }

    fn add_domains(&mut self, text: &[u8]) -> Result<(), Failure> {
        for line in text.split(|byte| *byte == b'\n').map(without_blanks) {
            if line.len() > DOMAIN_MAX {
                let why = format!("The exception domain is too long. Max length of domain exception is {DOMAIN_MAX}");
                return Err(Failure::Other(why));
            }
            if !line.is_empty() {
                self.domains.insert(line.to_ascii_lowercase().into());
            }
        }
        Ok(())
    }

    fn add_addresses(&mut self, text: &[u8]) -> Result<(), Failure> {
        for word in text.split(|byte| matches!(byte, b'\n' | b';')).map(without_blanks) {
            if word.len() > ADDRESS_MAX {
                return Err(Failure::Other(format!("The exception ip is too long. Max length of ip is {ADDRESS_MAX}")));
            }
            let word = String::from_utf8_lossy(&word);
            match word.parse() {
                _ if word.is_empty() => {}
                Ok(address) => {
                    self.addresses.insert(address);
                }
                Err(_) => eprintln!("Error: The exception ip \"{word}\" does not match IP format."),
            }
        }
        Ok(())
    }

    /// Whether messages of this address are skipped.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        !self.addresses.is_empty() && self.addresses.contains(&address)
    }

    /// Whether messages with this name are skipped: it is a listed domain or lies below one, in any case of letters.
    pub(super) fn has_name(&self, name: &[u8]) -> bool {
        if self.domains.is_empty() || name.is_empty() {
            return false;
        }
        let name = name.to_ascii_lowercase();
        let mut rest = &name[..];
        loop {
            if self.domains.contains(rest) {
                return true;
            }
            match rest.iter().position(|byte| *byte == b'.') {
                Some(dot) => rest = &rest[dot + 1..],
                None => return false,
            }
        }
    }
}

fn without_blanks(line: &[u8]) -> Vec<u8> {
    line.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).collect()
}

/// Any bytes as both lists: what is in them is found again.
pub fn fuzz_whitelist(input: &[u8]) {
    let mut list = Whitelist::default();
    if list.add_domains(input).is_err() {
        return;
    }
    for domain in &list.domains {
        assert!(list.has_name(domain) && list.has_name(&[b"x.", &domain[..]].concat()));
    }
    if list.add_addresses(input).is_ok() {
        assert!(list.addresses.iter().all(|address| list.has_address(*address)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_below_a_domain() {
        let mut list = Whitelist::default();
        assert!(!list.has_name(b"x") && !list.has_address([0; 4].into()));
        list.add_domains(b"Example.com\n\n\t good.org \nnl").unwrap();
        for name in ["example.com", "a.b.EXAMPLE.com", "good.org", "x.nl", "nl"] {
            assert!(list.has_name(name.as_bytes()), "{name}");
        }
        for name in ["", "com", "anexample.com", "org", "nl.org"] {
            assert!(!list.has_name(name.as_bytes()), "{name}");
        }
        list.add_addresses(b"192.0.2.1; 2001:db8::1\nnonsense\n").unwrap();
        assert!(list.has_address([192, 0, 2, 1].into()) && list.has_address("2001:db8::1".parse().unwrap()));
        assert_eq!(list.addresses.len(), 2);
        assert!(list.add_domains(&[b'x'; 300]).is_err() && list.add_addresses(&[b'1'; 50]).is_err());
    }

    proptest! {
        #[test]
        fn any_lists(input in "[a-c.;: \n0-9]{0,60}") {
            fuzz_whitelist(input.as_bytes());
        }
    }
}
