//! Where an address is, by MaxMind's files: whose it is (ASN), country and coordinates (City).
use maxminddb::{MaxMindDbError, Reader, geoip2};
use std::net::IpAddr;
use std::path::Path;

/// What is known of a place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Place {
    pub(super) organization: Option<String>,
    pub(super) country: Option<String>,
    /// Degrees.
    pub(super) latitude: Option<f64>,
    pub(super) longitude: Option<f64>,
}

/// The files that there are.
#[derive(Debug, Default)]
pub(super) struct Places {
    asn: Option<Reader<Vec<u8>>>,
    city: Option<Reader<Vec<u8>>>,
}

impl Places {
    /// # Errors
    /// A file that was named is no such data base.
    pub(super) fn open(asn: Option<&Path>, city: Option<&Path>) -> Result<Places, String> {
        let open = |path: Option<&Path>| {
            let failed =
                |path: &Path, why: MaxMindDbError| format!("{} is no data base of MaxMind: {why}", path.display());
            path.map(|path| Reader::open_readfile(path).map_err(|why| failed(path, why))).transpose()
        };
        Ok(Places { asn: open(asn)?, city: open(city)? })
    }

    /// What the files say of an address. A damaged entry says nothing.
    pub(super) fn find(&self, ip: IpAddr) -> Place {
        let mut place = Place::default();
        if let Some(reader) = &self.asn
            && let Ok(Some(asn)) = reader.lookup(ip).and_then(|found| found.decode::<geoip2::Asn<'_>>())
        {
            place.organization = asn.autonomous_system_organization.map(str::to_owned);
        }
        if let Some(reader) = &self.city
            && let Ok(Some(city)) = reader.lookup(ip).and_then(|found| found.decode::<geoip2::City<'_>>())
        {
            place.country = city.country.names.english.map(str::to_owned);
            (place.latitude, place.longitude) = (city.location.latitude, city.location.longitude);
        }
        place
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A control byte and what follows it (MaxMind DB format 2.0, "Output Data Section"); texts and maps shorter than 29.
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(2 << 5 | text.len() as u8);
        out.extend(text.bytes());
    }

    fn map(out: &mut Vec<u8>, members: u8) {
        out.push(7 << 5 | members);
    }

    /// An unsigned number of 16 or 32 bits, which the metadata has.
    fn number(out: &mut Vec<u8>, kind: u8, value: u8) {
        out.extend([kind << 5 | 1, value]);
    }

    fn double(out: &mut Vec<u8>, value: f64) {
        out.push(3 << 5 | 8);
        out.extend(value.to_be_bytes());
    }

    /// A data base that says the same of the lower half of all IPv4 addresses, and nothing of the upper: one node of two records.
    fn data_base(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // Of 24 bits; 1 is "nothing", behind that and the 16 bytes of the separator begins the data.
        out.extend([0, 0, 17, 0, 0, 1]);
        out.extend([0; 16]);
        out.extend(data);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        map(&mut out, 9);
        for (key, kind, value) in [
            ("node_count", 6, 1),
            ("record_size", 5, 24),
            ("ip_version", 5, 4),
            ("binary_format_major_version", 5, 2),
            ("binary_format_minor_version", 5, 0),
        ] {
            text(&mut out, key);
            number(&mut out, kind, value);
        }
        text(&mut out, "build_epoch");
        // 64 bits: an extended type, number 9.
        out.extend([1, 2, 1]);
        text(&mut out, "database_type");
        text(&mut out, "test");
        text(&mut out, "languages");
        // An empty list: extended, number 11.
        out.extend([0, 4]);
        text(&mut out, "description");
        map(&mut out, 0);
        out
    }

    /// The files for ASN and City.
    pub(in super::super) fn files(folder: &Path) -> [std::path::PathBuf; 2] {
        let mut asn = Vec::new();
        // The key is longer than 28: its length is 29 plus the next byte.
        map(&mut asn, 1);
        asn.extend([2 << 5 | 29, 1]);
        asn.extend(b"autonomous_system_organization");
        text(&mut asn, "Example Networks");
        let mut city = Vec::new();
        map(&mut city, 2);
        text(&mut city, "country");
        map(&mut city, 1);
        text(&mut city, "names");
        map(&mut city, 1);
        text(&mut city, "en");
        text(&mut city, "Czechia");
        text(&mut city, "location");
        map(&mut city, 2);
        text(&mut city, "latitude");
        double(&mut city, 50.1);
        text(&mut city, "longitude");
        double(&mut city, 14.4);
        let paths = ["asn.mmdb", "city.mmdb"].map(|name| folder.join(name));
        std::fs::write(&paths[0], data_base(&asn)).unwrap();
        std::fs::write(&paths[1], data_base(&city)).unwrap();
        paths
    }

    #[test]
    fn addresses_and_where_they_are() {
        let folder = tempfile::TempDir::new().unwrap();
        let [asn, city] = files(folder.path());
        let places = Places::open(Some(&asn), Some(&city)).unwrap();
        let expected = Place {
            organization: Some("Example Networks".into()),
            country: Some("Czechia".into()),
            latitude: Some(50.1),
            longitude: Some(14.4),
        };
        assert_eq!(places.find([10, 0, 0, 1].into()), expected);
        assert_eq!(places.find([192, 0, 2, 1].into()), Place::default());
        assert_eq!(Places::default().find([10, 0, 0, 1].into()), Place::default());
        std::fs::write(&asn, "no data base").unwrap();
        assert!(Places::open(Some(&asn), None).unwrap_err().contains("asn.mmdb"));
    }
}
