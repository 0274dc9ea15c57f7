//! imap: who reads mail, how the login went and what is done (RFC 9051, RFC 3501) on port 143.
//!
//! Passwords and what AUTHENTICATE exchanges are not kept. A granted STARTTLS ends the interest: what follows is encrypted. Literals are
//! passed over by their length.
mod command;

use super::lines::{
    self, ACCEPTED, ASKED, GRANTED, LINE_LEN_MAX, REFUSED, Speaker, first_word, names_user, outcome, word,
};
use super::segments::sequence_of;
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, PluginOption, Slots, Step, put_short, put_text};
use command::{AUTHENTICATE, LOGIN, STARTTLS, UNKNOWN, flag_of};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// IMAP session.
    pub struct ImapRecord = "imap" {
        /// User that asked for a login last (LOGIN); empty if the option says so.
        user: Text<USER_LEN_MAX>, ipfix cesnet::imapUser, unirec "IMAP_USER";
        /// What the server calls itself: the text of its greeting.
        greeting: Text<128>, ipfix cesnet::imapGreeting, unirec "IMAP_GREETING";
        /// Mechanism of the last AUTHENTICATE.
        mechanism: Text<32>, ipfix cesnet::imapMechanism, unirec "IMAP_MECHANISM";
        /// Commands seen: LOGIN 1, AUTHENTICATE 2, STARTTLS 4, CAPABILITY 8, ID 16, SELECT or EXAMINE 32, lists and STATUS 64, FETCH 128,
        /// STORE 256, COPY or MOVE 512, SEARCH and its kin 1024, APPEND 2048, EXPUNGE, CLOSE or UNSELECT 4096, IDLE 8192, LOGOUT 16384,
        /// others that are known 32768, unknown 65536.
        commands: u32, ipfix cesnet::imapCommands, unirec "IMAP_COMMANDS";
        /// Answers NO and BAD to commands.
        errors: u16, ipfix cesnet::imapErrors, unirec "IMAP_ERRORS";
        /// How the login went: 0 none was tried, 1 not accepted, 2 accepted.
        login: u8, ipfix cesnet::imapLogin, unirec "IMAP_LOGIN";
        /// Logins refused: NO or BAD to LOGIN and AUTHENTICATE.
        failures: u16, ipfix cesnet::imapFailures, unirec "IMAP_FAILURES";
        /// Encryption: 0 not asked for, 1 asked for, 2 granted.
        tls: u8, ipfix cesnet::imapTls, unirec "IMAP_TLS";
    }
}

const USER_LEN_MAX: usize = 128;
/// RFC 9051 sets no bound; clients count.
const TAG_LEN_MAX: usize = 24;
/// RFC 9051 section 2.1.
const PORT: u16 = 143;

pub struct Imap {
    names_user: bool,
}

/// How far a session has come.
#[derive(Default)]
pub struct Session {
    client: Side,
    server: Side,
    /// Flag and tag of the last command that says who logs in, until it is answered.
    asked: u32,
    tag: Text<TAG_LEN_MAX>,
    /// The client's literal is the user's name.
    user_follows: bool,
}

record::packed!(Session { client: Side, server: Side, asked: u32, tag: Text<TAG_LEN_MAX>, user_follows: bool });

/// One side's lines, and bytes of a literal that are still to come.
#[derive(Default)]
pub struct Side {
    speaker: Speaker,
    literal: u32,
}

record::packed!(Side { speaker: Speaker, literal: u32 });

impl Plugin for Imap {
    type Record = ImapRecord;
    type State = Session;
    const OPTIONS: &'static [PluginOption] = lines::OPTIONS;
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        Ok(Imap { names_user: names_user(options)? })
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
        let (first, rest) = word(payload.split(|b| *b == b'\n').next().unwrap_or_default());
        let begins = match answers {
            true => first == UNTAGGED && [&b"OK"[..], b"PREAUTH", b"BYE"].contains(&first_word(rest)),
            false => flag_of(first_word(rest)) != UNKNOWN,
        };
        if slots.first().is_none() && !begins {
            return Step::Done;
        }
        let Some(slot) = slots.first_or_open() else { return Step::More };
        let Session { client, server, asked, tag, user_follows } = &mut slot.state;
        let r = &mut slot.record;
        if answers {
            let literal = &mut server.literal;
            server.speaker.lines(payload, sequence, |line, len| {
                behind_literal(literal, line, len).is_none_or(|(_, line)| answer(line, asked, tag, r))
            });
        } else {
            let literal = &mut client.literal;
            client.speaker.lines(payload, sequence, |line, len| {
                let goes_on = *literal > 0;
                match behind_literal(literal, line, len) {
                    Some((inside, _)) if goes_on => {
                        let is_user = std::mem::take(user_follows);
                        if is_user && self.names_user {
                            r.user.set(inside);
                        }
                    }
                    // What follows AUTHENTICATE is the mechanism's until it is answered.
                    Some((_, line)) if *asked != AUTHENTICATE => {
                        let command = command::Command::of(line);
                        command.read(self.names_user, r);
                        if matches!(command.flag, LOGIN | AUTHENTICATE | STARTTLS) {
                            *asked = command.flag;
                            tag.set(command.tag);
                        }
                        *user_follows = command.flag == LOGIN && command.argument.starts_with(b"{");
                    }
                    _ => {}
                }
                true
            });
        }
        if r.tls == GRANTED { Step::Done } else { Step::More }
    }

    fn text(r: &ImapRecord, out: &mut String) {
        let texts =
            [("user", r.user.as_bytes()), ("greeting", r.greeting.as_bytes()), ("mechanism", r.mechanism.as_bytes())];
        for (key, value) in texts {
            let _ = write!(out, "imap{key}=\"");
            put_text(out, value);
            out.push_str("\",");
        }
        let _ = write!(out, "commands={},errors={},login={},", r.commands, r.errors, r.login);
        let _ = write!(out, "failures={},tls={}", r.failures, r.tls);
    }

    fn summary(r: &ImapRecord, out: &mut String) {
        out.push_str("imap ");
        put_short(out, r.user.as_bytes());
        out.push_str(outcome(r.login));
    }
}

/// RFC 9051 section 2.2.2.
const UNTAGGED: &[u8] = b"*";

/// What of a line belongs to a literal, and what stands behind it; `None` if the literal goes on. Notes the literal that the line announces.
fn behind_literal<'l>(literal: &mut u32, line: &'l [u8], len: u32) -> Option<(&'l [u8], &'l [u8])> {
    if *literal >= len && *literal > 0 {
        *literal -= len;
        return None;
    }
    // A line of which only the first part was kept says nothing about what it announces.
    let (inside, rest) = line.split_at_checked(*literal as usize).unwrap_or((line, &[]));
    *literal = if len as usize > LINE_LEN_MAX { 0 } else { announced(rest) };
    Some((inside, rest))
}

/// Length of the literal that a line ends with: `{5}`, `{5+}`, `~{5}` (section 4.3); 0 for none.
fn announced(line: &[u8]) -> u32 {
    let open = line.strip_suffix(b"}").map(|line| line.strip_suffix(b"+").unwrap_or(line));
    let digits = open.and_then(|line| Some(&line[line.iter().rposition(|b| *b == b'{')? + 1..]));
    let value = |n: u32, b: &u8| b.is_ascii_digit().then(|| n.saturating_mul(10).saturating_add(u32::from(b - b'0')));
    digits.and_then(|digits| digits.iter().try_fold(0, value)).unwrap_or(0)
}

/// Takes a line of the server; false if what follows is encrypted.
fn answer(line: &[u8], asked: &mut u32, tag: &Text<TAG_LEN_MAX>, r: &mut ImapRecord) -> bool {
    let (first, rest) = word(line);
    let (status, text) = word(rest);
    if first == UNTAGGED {
        if r.commands == 0 && r.greeting.is_empty() && matches!(status, b"OK" | b"PREAUTH") {
            r.greeting.set(text);
            if status == b"PREAUTH" {
                r.login = ACCEPTED;
            }
        }
        return true;
    }
    let granted = status == b"OK";
    if !granted && !matches!(status, b"NO" | b"BAD") {
        return true;
    }
    r.errors = r.errors.saturating_add((!granted).into());
    if first != tag.as_bytes() {
        return true;
    }
    match (std::mem::take(asked), granted) {
        (LOGIN | AUTHENTICATE, true) => r.login = ACCEPTED,
        (LOGIN | AUTHENTICATE, false) => {
            r.login = r.login.max(REFUSED);
            r.failures = r.failures.saturating_add(1);
        }
        (STARTTLS, true) => r.tls = GRANTED,
        _ => {}
    }
    r.tls != GRANTED
}

#[cfg(test)]
mod tests;
