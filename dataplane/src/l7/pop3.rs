//! pop3: who fetches mail, what is asked for and how the server answers (RFC 1939, RFC 2449, RFC 2595, RFC 5034) on port 110.
//!
//! Passwords and what AUTH exchanges are not kept. A granted STLS ends the interest: what follows is encrypted. An answer is taken for that
//! of the last command; clients that send several at once do so behind the login.
use super::lines::{self, ACCEPTED, ASKED, GRANTED, REFUSED, Speaker, first_word, names_user, outcome, verb, word};
use super::segments::sequence_of;
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, PluginOption, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// POP3 session.
    pub struct Pop3Record = "pop3" {
        /// User that asked for a login last (USER, APOP); empty if the option says so.
        user: Text<128>, ipfix cesnet::pop3User, unirec "POP3_USER";
        /// What the server calls itself: the text of its greeting.
        greeting: Text<128>, ipfix cesnet::pop3Greeting, unirec "POP3_GREETING";
        /// Commands seen: USER 1, PASS 2, APOP 4, AUTH 8, STLS 16, CAPA 32, STAT 64, LIST 128, UIDL 256, RETR 512, TOP 1024, DELE 2048,
        /// RSET 4096, NOOP 8192, QUIT 16384, unknown 32768.
        commands: u32, ipfix cesnet::pop3Commands, unirec "POP3_COMMANDS";
        /// Answers that say no (`-ERR`).
        errors: u16, ipfix cesnet::pop3Errors, unirec "POP3_ERRORS";
        /// How the login went: 0 none was tried, 1 not accepted, 2 accepted.
        login: u8, ipfix cesnet::pop3Login, unirec "POP3_LOGIN";
        /// Logins refused: `-ERR` to PASS, APOP, AUTH.
        failures: u16, ipfix cesnet::pop3Failures, unirec "POP3_FAILURES";
        /// Messages asked for (RETR).
        retrieved: u16, ipfix cesnet::pop3Retrieved, unirec "POP3_RETRIEVED";
        /// Messages marked as deleted (DELE).
        deleted: u16, ipfix cesnet::pop3Deleted, unirec "POP3_DELETED";
        /// Encryption: 0 not asked for, 1 asked for, 2 granted.
        tls: u8, ipfix cesnet::pop3Tls, unirec "POP3_TLS";
    }
}

/// RFC 1939 section 3.
const PORT: u16 = 110;

pub struct Pop3 {
    names_user: bool,
}

/// How far a session has come.
#[derive(Default)]
pub struct Session {
    client: Speaker,
    server: Speaker,
    /// The command that the next answer is for.
    asked: Command,
    /// The answer has a body, which ends with a dot (RFC 1939 section 3).
    in_body: bool,
}

record::packed!(Session { client: Speaker, server: Speaker, asked: Command, in_body: bool });

/// A command's flag, and whether a good answer to it has a body.
#[derive(Clone, Copy, Default)]
pub struct Command {
    flag: u32,
    has_body: bool,
}

record::packed!(Command { flag: u32, has_body: bool });

impl Plugin for Pop3 {
    type Record = Pop3Record;
    type State = Session;
    const OPTIONS: &'static [PluginOption] = lines::OPTIONS;
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        Ok(Pop3 { names_user: names_user(options)? })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.before(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let payload = ctx.packet.payload();
        let Some(sequence) = sequence_of(&ctx.packet) else { return Step::Done };
        if payload.is_empty() {
            return Step::More;
        }
        let answers = ctx.packet.packet.src_port == PORT;
        let first = first_word(payload);
        let begins = if answers { matches!(first, OK | ERR) } else { flag_of(first) != UNKNOWN };
        if slots.first().is_none() && !begins {
            return Step::Done;
        }
        let Some(slot) = slots.first_or_open() else { return Step::More };
        let Session { client, server, asked, in_body } = &mut slot.state;
        let r = &mut slot.record;
        if answers {
            server.lines(payload, sequence, |line, _| answer(line, asked, in_body, r));
        } else {
            // Whatever was missed of a body: it has ended when the client goes on.
            *in_body = false;
            client.lines(payload, sequence, |line, _| {
                // Behind AUTH lines are a mechanism's until the server has made up its mind.
                if asked.flag != AUTH {
                    *asked = command(line, self.names_user, r);
                }
                true
            });
        }
        if r.tls == GRANTED { Step::Done } else { Step::More }
    }

    fn text(r: &Pop3Record, out: &mut String) {
        for (key, value) in [("user", r.user.as_bytes()), ("greeting", r.greeting.as_bytes())] {
            let _ = write!(out, "pop3{key}=\"");
            put_text(out, value);
            out.push_str("\",");
        }
        let _ = write!(out, "commands={},errors={},login={},", r.commands, r.errors, r.login);
        let _ = write!(out, "failures={},retrieved={},deleted={},tls={}", r.failures, r.retrieved, r.deleted, r.tls);
    }

    fn summary(r: &Pop3Record, out: &mut String) {
        out.push_str("pop3 ");
        put_short(out, r.user.as_bytes());
        out.push_str(outcome(r.login));
    }
}

/// Status indicators (RFC 1939 section 3).
const OK: &[u8] = b"+OK";
const ERR: &[u8] = b"-ERR";

const USER: u32 = 0x1;
const PASS: u32 = 0x2;
const APOP: u32 = 0x4;
const AUTH: u32 = 0x8;
const STLS: u32 = 0x10;
const CAPA: u32 = 0x20;
const LIST: u32 = 0x80;
const UIDL: u32 = 0x100;
const RETR: u32 = 0x200;
const TOP: u32 = 0x400;
const DELE: u32 = 0x800;
const UNKNOWN: u32 = 0x8000;

fn flag_of(word: &[u8]) -> u32 {
    match verb(word).as_ref() {
        Some(b"USER") => USER,
        Some(b"PASS") => PASS,
        Some(b"APOP") => APOP,
        Some(b"AUTH") => AUTH,
        Some(b"STLS") => STLS,
        Some(b"CAPA") => CAPA,
        Some(b"STAT") => 0x40,
        Some(b"LIST") => LIST,
        Some(b"UIDL") => UIDL,
        Some(b"RETR") => RETR,
        Some(b"TOP ") => TOP,
        Some(b"DELE") => DELE,
        Some(b"RSET") => 0x1000,
        Some(b"NOOP") => 0x2000,
        Some(b"QUIT") => 0x4000,
        _ => UNKNOWN,
    }
}

fn command(line: &[u8], names_user: bool, r: &mut Pop3Record) -> Command {
    let (first, argument) = word(line);
    let flag = flag_of(first);
    r.commands |= flag;
    match flag {
        USER if names_user => r.user.set(argument),
        APOP if names_user => r.user.set(word(argument).0),
        STLS => r.tls = r.tls.max(ASKED),
        RETR => r.retrieved = r.retrieved.saturating_add(1),
        DELE => r.deleted = r.deleted.saturating_add(1),
        _ => {}
    }
    let has_body = match flag {
        CAPA | RETR | TOP => true,
        LIST | UIDL => argument.is_empty(),
        _ => false,
    };
    Command { flag, has_body }
}

/// Takes a line of the server; false if what follows is encrypted.
fn answer(line: &[u8], asked: &mut Command, in_body: &mut bool, r: &mut Pop3Record) -> bool {
    if *in_body {
        *in_body = line != b".";
        return true;
    }
    let (status, text) = word(line);
    let granted = status == OK;
    // Others are the questions of a mechanism.
    if !granted && status != ERR {
        return true;
    }
    let Command { flag, has_body } = std::mem::take(asked);
    r.errors = r.errors.saturating_add((!granted).into());
    *in_body = granted && has_body;
    match flag {
        0 if granted && r.greeting.is_empty() && r.commands == 0 => r.greeting.set(text),
        PASS | APOP | AUTH if granted => r.login = ACCEPTED,
        PASS | APOP | AUTH => {
            r.login = r.login.max(REFUSED);
            r.failures = r.failures.saturating_add(1);
        }
        STLS if granted => r.tls = GRANTED,
        _ => {}
    }
    r.tls != GRANTED
}

#[cfg(test)]
mod tests;
