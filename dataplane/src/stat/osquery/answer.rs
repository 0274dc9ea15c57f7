//! What `osqueryi --json` prints: an array of rows, each an object whose values are all texts (osquery, `devtools/printer.cpp`).
//!
//! It is input like any other: processes choose their names, which need not be UTF-8, and who answers may not be osqueryi at all. Rows are
//! read one after the other, none is kept; who lends the input bounds its length.
use super::desk::{Connection, Owner};
use super::{OsqueryRecord, TEXT_MAX, UNDEFINED, undefined};
use crate::flow::key::Endpoint;
use record::Text;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::io::Read;
use std::marker::PhantomData;
use std::net::IpAddr;

/// Reads one answer to the question about sockets; `each` gets those that have two ends.
pub(super) fn sockets(
    input: impl Read,
    mut each: impl FnMut(Connection, &dyn Fn() -> Owner),
) -> serde_json::Result<()> {
    rows(input, |row: SocketRow| {
        if let Some(connection) = row.connection() {
            each(connection, &|| row.owner());
        }
    })
}

/// Reads one answer to the question about this machine: a record that says so much. Without a row everything stays undefined, of several the last
/// one holds.
pub(super) fn facts(input: impl Read) -> serde_json::Result<OsqueryRecord> {
    let mut record = undefined();
    rows(input, |row: MachineRow| row.put(&mut record))?;
    Ok(record)
}

/// Any bytes as an answer, once to each question: nothing panics, and what is read is what a record has room for.
pub fn fuzz_answer(input: &[u8]) {
    let mut count = 0;
    let read = sockets(input, |connection, owner| {
        count += 1;
        assert_ne!(connection.remote.port, 0);
        let owner = owner();
        assert!(!owner.program.is_empty() && !owner.user.is_empty());
    });
    // A row is longer than this.
    assert!(read.is_err() || count <= input.len() / 2);
    if let Ok(record) = facts(input) {
        assert!(!record.os_name.is_empty() && !record.system_hostname.is_empty());
    }
}

/// One array from `input`, and no byte behind it.
fn rows<R: DeserializeOwned>(input: impl Read, each: impl FnMut(R)) -> serde_json::Result<()> {
    serde_json::Deserializer::from_reader(input).deserialize_seq(Rows(each, PhantomData))
}

struct Rows<F, R>(F, PhantomData<R>);

impl<'de, R: DeserializeOwned, F: FnMut(R)> Visitor<'de> for Rows<F, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(row) = seq.next_element()? {
            (self.0)(row);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct SocketRow {
    protocol: Word,
    local_address: Word,
    local_port: Word,
    remote_address: Word,
    remote_port: Word,
    program: Word,
    user: Word,
}

impl SocketRow {
    fn connection(&self) -> Option<Connection> {
        let end = |address: &Word, port: &Word| {
            // A socket of IPv6 that talks IPv4 is one of IPv4 on the wire.
            let ip = address.parse::<IpAddr>()?.to_canonical();
            Some(Endpoint { ip, port: port.parse()? })
        };
        let local = end(&self.local_address, &self.local_port)?;
        let remote = end(&self.remote_address, &self.remote_port)?;
        (remote.port != 0).then_some(Connection { protocol: self.protocol.parse()?, local, remote })
    }

    fn owner(&self) -> Owner {
        let mut owner = Owner::default();
        self.program.put(&mut owner.program);
        self.user.put(&mut owner.user);
        owner
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MachineRow {
    name: Word,
    major: Word,
    minor: Word,
    build: Word,
    platform: Word,
    platform_like: Word,
    arch: Word,
    kernel: Word,
    hostname: Word,
}

impl MachineRow {
    fn put(&self, record: &mut OsqueryRecord) {
        self.name.put(&mut record.os_name);
        record.os_major = self.major.parse().unwrap_or_default();
        record.os_minor = self.minor.parse().unwrap_or_default();
        self.build.put(&mut record.os_build);
        self.platform.put(&mut record.os_platform);
        self.platform_like.put(&mut record.os_platform_like);
        self.arch.put(&mut record.os_arch);
        self.kernel.put(&mut record.kernel_version);
        self.hostname.put(&mut record.system_hostname);
    }
}

/// A value: a text of any bytes.
#[derive(Default)]
struct Word(Vec<u8>);

impl Word {
    fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        std::str::from_utf8(&self.0).ok()?.parse().ok()
    }

    /// As a field's value, cut at its bound between two characters.
    fn put(&self, text: &mut Text<TEXT_MAX>) {
        let mut cut = self.0.len().min(TEXT_MAX);
        // A continuation byte of UTF-8 begins no character; there are three in a row at the most.
        while cut > TEXT_MAX - 4 && cut < self.0.len() && self.0[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        text.set(if self.0.is_empty() { UNDEFINED } else { &self.0[..cut] });
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Word, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Word, E> {
                Ok(Word(bytes.to_vec()))
            }
        }
        // As bytes: a text would have to be UTF-8.
        input.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &[u8]) -> serde_json::Result<Vec<(Connection, Owner)>> {
        let mut found = Vec::new();
        sockets(text, |connection, owner| found.push((connection, owner()))).map(|()| found)
    }

    fn row(local: &str, remote: &str, program: &[u8]) -> Vec<u8> {
        let head = format!(
            "{{\"local_address\":\"{local}\",\"local_port\":\"40000\",\"protocol\":\"6\",\"remote_address\":\"{remote}\",\
             \"remote_port\":\"443\",\"fd\":\"7\",\"user\":\"\",\"program\":\""
        );
        [head.as_bytes(), program, b"\"}"].concat()
    }

    #[test]
    fn sockets_of_both_families_are_read() {
        let text = [
            b"[\n  ".to_vec(),
            row("10.0.0.1", "10.0.0.2", b"curl"),
            b",\n  ".to_vec(),
            row("::ffff:10.0.0.1", "::ffff:10.0.0.2", b"java"),
            b",\n".to_vec(),
            row("2001:db8::1", "2001:db8::2", b"\xff\xfe"),
            b",\n".to_vec(),
            row("", "", b"a socket of this machine"),
            b"\n]\n[".to_vec(),
        ]
        .concat();
        let found = all(&text).expect("an answer, and the beginning of the next");
        let ends: Vec<String> = found.iter().map(|(c, _)| format!("{} {}", c.local.ip, c.remote.ip)).collect();
        assert_eq!(ends, ["10.0.0.1 10.0.0.2", "10.0.0.1 10.0.0.2", "2001:db8::1 2001:db8::2"]);
        let programs: Vec<&[u8]> = found.iter().map(|(_, owner)| owner.program.as_bytes()).collect();
        assert_eq!(programs, [&b"curl"[..], b"java", b"\xff\xfe"]);
        assert_eq!(found[0].1.user.as_bytes(), UNDEFINED);
        assert!(all(b"[\n\n]\n").expect("nothing").is_empty());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in ["", "[", "[{}", "{}", "Error: no such table", "[{\"protocol\":6}]", "[1]", "[{},]"] {
            assert!(all(text.as_bytes()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(all(format!("[{{\"x\":{deep}").as_bytes()).is_err());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let name = "x".repeat(TEXT_MAX - 1) + "\u{20ac}uro";
        let found = all(&[b"[".to_vec(), row("10.0.0.1", "10.0.0.2", name.as_bytes()), b"]".to_vec()].concat());
        assert_eq!(found.expect("a row")[0].1.program.as_bytes(), "x".repeat(TEXT_MAX - 1).as_bytes());
    }

    #[test]
    fn the_machine_is_read() {
        let text = br#"[
  {"arch":"x86_64","build":"","hostname":"box","kernel":"6.1.0","major":"12","minor":"x","name":"Debian GNU/Linux","platform":"debian","platform_like":"debian"}
]"#;
        let record = facts(&text[..]).expect("a row");
        assert_eq!((record.os_major, record.os_minor), (12, 0));
        let texts = [record.os_name, record.os_build, record.os_arch, record.kernel_version, record.system_hostname];
        let texts = texts.map(|text| String::from_utf8(text.as_bytes().to_vec()).expect("text"));
        assert_eq!(texts, ["Debian GNU/Linux", "UNDEFINED", "x86_64", "6.1.0", "box"]);
    }

    proptest! {
        #[test]
        fn any_bytes_pass(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
            fuzz_answer(&data);
        }

        /// Names of any bytes in rows that are as they should be, damaged somewhere.
        #[test]
        fn damaged_answers_pass(name in prop::collection::vec(any::<u8>(), 0..200), at: prop::sample::Index, byte: u8) {
            let mut text = [b"[".to_vec(), row("10.0.0.1", "::1", &name), b"]".to_vec()].concat();
            let at = at.index(text.len());
            text[at] = byte;
            fuzz_answer(&text);
        }
    }
}
