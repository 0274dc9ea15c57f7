//! JA3: MD5 over version, ciphers, extensions, groups and point formats of a ClientHello in decimal, GREASE left out
//! (github.com/salesforce/ja3).
use super::hello::{Hello, is_grease};
use crate::face::Face;
use md5::{Digest, Md5};
use std::fmt::{self, Write};

/// The fingerprint. Streamed into the hash, so no list is cut.
pub fn ja3(hello: &Hello<'_>, face: Face) -> [u8; 16] {
    let mut text = Hashed(Md5::new());
    write_ja3(hello, face, &mut text);
    text.0.finalize().into()
}

fn write_ja3(hello: &Hello<'_>, face: Face, out: &mut impl Write) {
    // QUIRK: the original takes the two bytes of the version as they lie in a little-endian memory.
    let version = if face.is_original() { hello.version.swap_bytes() } else { hello.version };
    let _ = write!(out, "{version}");
    join(out, hello.ciphers(), face);
    join(out, hello.extensions().map(|e| e.kind), face);
    join(out, hello.groups(), face);
    join(out, hello.point_formats(), face);
}

fn join(out: &mut impl Write, values: impl Iterator<Item = u16>, face: Face) {
    let mut before = ",";
    for value in values.filter(|v| !is_grease(*v, face)) {
        let _ = write!(out, "{before}{value}");
        before = "-";
    }
    if before == "," {
        let _ = out.write_str(before);
    }
}

/// Text on its way into a hash; writing never fails.
pub(super) struct Hashed<D>(pub(super) D);

impl<D: Digest> Write for Hashed<D> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.0.update(s);
        Ok(())
    }
}
