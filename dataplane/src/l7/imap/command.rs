//! Commands of IMAP (RFC 9051 section 6): a tag, a verb, arguments.
use super::{ASKED, ImapRecord, word};

pub(super) const LOGIN: u32 = 0x1;
pub(super) const AUTHENTICATE: u32 = 0x2;
pub(super) const STARTTLS: u32 = 0x4;
const OTHER: u32 = 0x8000;
pub(super) const UNKNOWN: u32 = 0x1_0000;

/// Verbs with their flags.
const VERBS: [(&[u8], u32); 42] = [
    (b"LOGIN", LOGIN),
    (b"AUTHENTICATE", AUTHENTICATE),
    (b"STARTTLS", STARTTLS),
    (b"CAPABILITY", 0x8),
    (b"ID", 0x10),
    (b"SELECT", 0x20),
    (b"EXAMINE", 0x20),
    (b"LIST", 0x40),
    (b"LSUB", 0x40),
    (b"XLIST", 0x40),
    (b"STATUS", 0x40),
    (b"NAMESPACE", 0x40),
    (b"FETCH", 0x80),
    (b"STORE", 0x100),
    (b"COPY", 0x200),
    (b"MOVE", 0x200),
    (b"SEARCH", 0x400),
    (b"SORT", 0x400),
    (b"THREAD", 0x400),
    (b"APPEND", 0x800),
    (b"EXPUNGE", 0x1000),
    (b"CLOSE", 0x1000),
    (b"UNSELECT", 0x1000),
    (b"IDLE", 0x2000),
    (b"LOGOUT", 0x4000),
    (b"NOOP", OTHER),
    (b"CHECK", OTHER),
    (b"ENABLE", OTHER),
    (b"CREATE", OTHER),
    (b"DELETE", OTHER),
    (b"RENAME", OTHER),
    (b"SUBSCRIBE", OTHER),
    (b"UNSUBSCRIBE", OTHER),
    (b"COMPRESS", OTHER),
    (b"GETQUOTA", OTHER),
    (b"GETQUOTAROOT", OTHER),
    (b"GETACL", OTHER),
    (b"SETACL", OTHER),
    (b"MYRIGHTS", OTHER),
    (b"GETMETADATA", OTHER),
    (b"SETMETADATA", OTHER),
    (b"NOTIFY", OTHER),
];

pub(super) fn flag_of(verb: &[u8]) -> u32 {
    // `UID FETCH` and its kin have numbers of another kind, that is all.
    if verb.eq_ignore_ascii_case(b"UID") {
        return OTHER;
    }
    VERBS.iter().find(|(name, _)| verb.eq_ignore_ascii_case(name)).map_or(UNKNOWN, |(_, flag)| *flag)
}

pub(super) struct Command<'l> {
    pub(super) tag: &'l [u8],
    pub(super) flag: u32,
    pub(super) argument: &'l [u8],
}

impl<'l> Command<'l> {
    pub(super) fn of(line: &'l [u8]) -> Self {
        let (tag, rest) = word(line);
        let (mut verb, mut argument) = word(rest);
        if verb.eq_ignore_ascii_case(b"UID") {
            (verb, argument) = word(argument);
        }
        // Lines that are no commands: what ends IDLE, and empty ones.
        let flag = if verb.is_empty() { 0 } else { flag_of(verb) };
        Command { tag, flag, argument }
    }

    /// Takes what the command says.
    pub(super) fn read(&self, names_user: bool, r: &mut ImapRecord) {
        r.commands |= self.flag;
        match self.flag {
            LOGIN if names_user => r.user.set(user(self.argument)),
            AUTHENTICATE => r.mechanism.set(word(self.argument).0),
            STARTTLS => r.tls = r.tls.max(ASKED),
            _ => {}
        }
    }
}

/// The first argument of LOGIN: an atom, or quoted (escapes stay); nothing for a literal.
fn user(argument: &[u8]) -> &[u8] {
    match argument.split_first() {
        Some((b'"', rest)) => rest.split(|b| *b == b'"').next().unwrap_or_default(),
        Some((b'{', _)) => &[],
        _ => word(argument).0,
    }
}
