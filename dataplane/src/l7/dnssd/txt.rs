//! Which strings of TXT records are listed: option `txt`.
use crate::plugin::OptionError;

/// Longest file that is read, bytes.
const FILE_LEN_MAX: u64 = 1 << 20;

pub(super) enum Wanted {
    None,
    All,
    /// (service, keys)
    Of(Vec<(Vec<u8>, Vec<Vec<u8>>)>),
}

impl Wanted {
    /// Reads lines `service.domain,key,key,...`; empty ones are skipped.
    pub(super) fn read(option: &str, path: &str) -> Result<Wanted, OptionError> {
        let cannot = |why: String| OptionError::BadValue(option.into(), format!("{path}: {why}"));
        let len = std::fs::metadata(path).map_err(|e| cannot(e.to_string()))?.len();
        if len > FILE_LEN_MAX {
            return Err(cannot(format!("longer than {FILE_LEN_MAX} bytes")));
        }
        let text = std::fs::read(path).map_err(|e| cannot(e.to_string()))?;
        Ok(Wanted::of_lines(&text))
    }

    fn of_lines(text: &[u8]) -> Wanted {
        let services = text.split(|b| *b == b'\n').filter_map(|line| {
            let mut words = line.split(|b| *b == b',').map(|word| word.trim_ascii().to_vec());
            let service = words.next().filter(|service| !service.is_empty())?;
            Some((service, words.collect()))
        });
        Wanted::Of(services.collect())
    }

    /// Whether a string `key=value` of this owner is listed. Keys know no case (RFC 6763 section 6.4).
    pub(super) fn wants(&self, owner: &[u8], string: &[u8]) -> bool {
        let key = string.split(|b| *b == b'=').next().unwrap_or_default();
        match self {
            Wanted::None => false,
            Wanted::All => true,
            Wanted::Of(services) => services.iter().any(|(service, keys)| {
                let from = owner.len().checked_sub(service.len());
                let is_of = from.is_some_and(|from| owner[from..].eq_ignore_ascii_case(service));
                is_of && keys.iter().any(|wanted| wanted.eq_ignore_ascii_case(key))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_by_service() {
        let wanted = Wanted::of_lines(b"_http._tcp.local,path,u\r\n\n_ipp._tcp.local , rp\n");
        for (owner, string, listed) in [
            ("Web._http._tcp.local", "path=/a", true),
            ("Web._HTTP._tcp.local", "PATH=/a", true),
            ("Web._http._tcp.local", "paths=/a", false),
            ("Web._http._tcp.local", "rp=x", false),
            ("Printer._ipp._tcp.local", "rp=x", true),
            ("x", "rp=x", false),
        ] {
            assert_eq!(wanted.wants(owner.as_bytes(), string.as_bytes()), listed, "{owner} {string}");
        }
        assert!(Wanted::All.wants(b"x", b"y") && !Wanted::None.wants(b"x", b"y"));
    }

    #[test]
    fn a_file_that_is_not_there() {
        let Err(e) = Wanted::read("txt", "/nonexistent/keys") else { panic!("an error") };
        assert!(e.to_string().contains("/nonexistent/keys: No such file"), "{e}");
    }
}
