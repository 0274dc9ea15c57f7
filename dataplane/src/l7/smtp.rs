//! smtp: commands, replies, first sender and recipient of a mail session (spec/process_plugins.md, "smtp"; RFC 5321).
//!
//! Told by the port. We read every line of both streams (`smtp/stream.rs`) and follow DATA, BDAT, AUTH and STARTTLS; the original looks at
//! each packet alone, reads the first line and stands in `smtp/original.rs`.
use super::headers::{find, line, number};
use super::streams::Streams;
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

mod original;
mod stream;

record! {
    /// SMTP session.
    pub struct SmtpRecord = "smtp" {
        /// Commands seen: EHLO 1, HELO 2, MAIL 4, RCPT 8, DATA 16, RSET 32, VRFY 64, EXPN 128, HELP 256, NOOP 512, QUIT 1024, unknown 32768.
        commands: u32, ipfix cesnet::SMTPCommands, unirec "SMTP_COMMAND_FLAGS";
        /// MAIL commands.
        mail_count: u32, ipfix cesnet::SMTPMailCount, unirec "SMTP_MAIL_CMD_COUNT";
        /// RCPT commands.
        rcpt_count: u32, ipfix cesnet::SMTPRcptCount, unirec "SMTP_RCPT_CMD_COUNT";
        /// Reply codes seen, bits 0 to 23: 211 214 220 221 250 251 252 354 421 450 451 452 455 500 501 502 503 504 550 551 552 553 554 555;
        /// bit 30: a reply speaks of spam; bit 31: another code.
        codes: u32, ipfix cesnet::SMTPStatusCodes, unirec "SMTP_STAT_CODE_FLAGS";
        /// Replies 2xx.
        count_2xx: u32, ipfix cesnet::SMTPCode2XXCount, unirec "SMTP_2XX_STAT_CODE_COUNT";
        /// Replies 3xx.
        count_3xx: u32, ipfix cesnet::SMTPCode3XXCount, unirec "SMTP_3XX_STAT_CODE_COUNT";
        /// Replies 4xx.
        count_4xx: u32, ipfix cesnet::SMTPCode4XXCount, unirec "SMTP_4XX_STAT_CODE_COUNT";
        /// Replies 5xx.
        count_5xx: u32, ipfix cesnet::SMTPCode5XXCount, unirec "SMTP_5XX_STAT_CODE_COUNT";
        /// Argument of the first HELO or EHLO.
        domain: Text<254>, ipfix cesnet::SMTPDomain, unirec "SMTP_DOMAIN";
        /// Path of the first MAIL.
        sender: Text<254>, ipfix cesnet::SMTPSender, unirec "SMTP_FIRST_SENDER";
        /// Path of the first RCPT.
        recipient: Text<254>, ipfix cesnet::SMTPRecipient, unirec "SMTP_FIRST_RECIPIENT";
    }
}

pub struct Smtp {
    face: Face,
    /// Lines that are not whole, natively only.
    streams: Option<Streams>,
}

/// Longest line that is put together; RFC 5321 section 4.5.3.1 asks for 512, extensions for some more.
const LINE_LEN_MAX: usize = 4096;

/// Where the client's side of the session is.
#[derive(Default)]
pub struct Dialog {
    /// Mail text follows instead of commands.
    data: bool,
    /// Bytes of the end of data that the last segments ended with.
    matched: u8,
    /// Bytes of a BDAT chunk (RFC 3030) that are still to come.
    chunk: u64,
    /// AUTH (RFC 4954) is under way: lines may be its answers.
    auth: bool,
    /// STARTTLS (RFC 3207) was asked for.
    starttls: bool,
    /// Sequence numbers that the client and the server say next; 0 if that is not known.
    commands_next: u32,
    replies_next: u32,
}

record::packed!(Dialog {
    data: bool,
    matched: u8,
    chunk: u64,
    auth: bool,
    starttls: bool,
    commands_next: u32,
    replies_next: u32,
});

impl Plugin for Smtp {
    type Record = SmtpRecord;
    type State = Dialog;
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    /// By the ports of either face.
    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        [src_port, dst_port].iter().any(|port| matches!(*port, PORT | SUBMISSION))
    }

    fn new(options: &[&str], face: Face) -> Result<Self, OptionError> {
        OptionError::unless_empty(options)?;
        Ok(Smtp { face, streams: (!face.is_original()).then(|| Streams::new(LINE_LEN_MAX)) })
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx, slots)
    }

    fn before(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        self.take(ctx, slots)
    }

    fn text(r: &SmtpRecord, out: &mut String) {
        let _ = write!(
            out,
            "2xxcnt={},3xxcnt={},4xxcnt={},5xxcnt={},cmdflgs={},mailcmdcnt={},rcptcmdcnt={},codeflags={}",
            r.count_2xx, r.count_3xx, r.count_4xx, r.count_5xx, r.commands, r.mail_count, r.rcpt_count, r.codes
        );
        for (key, value) in [("domain", &r.domain), ("firstsender", &r.sender), ("firstrecipient", &r.recipient)] {
            let _ = write!(out, ",{key}=\"");
            put_text(out, value.as_bytes());
            out.push('"');
        }
    }

    fn summary(r: &SmtpRecord, out: &mut String) {
        out.push_str("mail");
        for (word, value) in [(" from ", &r.sender), (" to ", &r.recipient)] {
            if !value.is_empty() {
                out.push_str(word);
                put_short(out, value.as_bytes());
            }
        }
    }
}

/// RFC 5321 section 2.3; submission is RFC 6409.
const PORT: u16 = 25;
const SUBMISSION: u16 = 587;

impl Smtp {
    fn take(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let (src, dst) = (ctx.packet.packet.src_port, ctx.packet.packet.dst_port);
        let is_smtp = |port: u16| port == PORT || (port == SUBMISSION && !self.face.is_original());
        let (payload, replies) = (ctx.packet.payload(), is_smtp(src));
        if !replies && !is_smtp(dst) {
            return Step::Done;
        }
        if payload.is_empty() {
            return Step::More;
        }
        let fresh = slots.first().is_none();
        let Some(slot) = slots.first_or_open() else { return Step::More };
        let (r, dialog) = (&mut slot.record, &mut slot.state);
        let (known, secret) = match (&mut self.streams, replies) {
            (Some(streams), _) => stream::read(streams, &ctx.packet, replies, dialog, r),
            (None, true) => (original::reply(payload, r), false),
            (None, false) => (original::command(&ctx.packet, dialog, r), false),
        };
        slot.export = known || slot.export && !fresh;
        if secret { Step::Done } else { Step::More }
    }
}

const EHLO: u32 = 0x1;
const HELO: u32 = 0x2;
const MAIL: u32 = 0x4;
const RCPT: u32 = 0x8;
const DATA: u32 = 0x10;
const RSET: u32 = 0x20;
const UNKNOWN_COMMAND: u32 = 0x8000;

fn command_flag(verb: &[u8; 4]) -> Option<u32> {
    Some(match verb {
        b"EHLO" => EHLO,
        b"HELO" => HELO,
        b"MAIL" => MAIL,
        b"RCPT" => RCPT,
        b"DATA" => DATA,
        b"RSET" => RSET,
        b"VRFY" => 0x40,
        b"EXPN" => 0x80,
        b"HELP" => 0x100,
        b"NOOP" => 0x200,
        b"QUIT" => 0x400,
        _ => return None,
    })
}

const SPAM: u32 = 0x4000_0000;
const OTHER_CODE: u32 = 0x8000_0000;
const CODES: [u16; 24] = [
    211, 214, 220, 221, 250, 251, 252, 354, 421, 450, 451, 452, 455, 500, 501, 502, 503, 504, 550, 551, 552, 553, 554,
    555,
];

fn code_flag(code: u16) -> u32 {
    CODES.binary_search(&code).map_or(OTHER_CODE, |bit| 1 << bit)
}

/// Counts a reply; answers whether its class exists (RFC 5321 section 4.2.1; 1xx is not used in SMTP).
fn count(code: u16, r: &mut SmtpRecord) -> bool {
    let counter = match code / 100 {
        2 => &mut r.count_2xx,
        3 => &mut r.count_3xx,
        4 => &mut r.count_4xx,
        5 => &mut r.count_5xx,
        _ => return false,
    };
    *counter = counter.saturating_add(1);
    true
}

fn code_of(line: &[u8]) -> Option<u16> {
    let digits: &[u8; 3] = line.first_chunk()?;
    digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + (d - b'0') as u16))
}

/// Every reply counts once, at its last line (RFC 5321 section 4.2.1). Leaves what is no whole line.
fn read_replies(rest: &mut &[u8], dialog: &mut Dialog, r: &mut SmtpRecord, secret: &mut bool) -> bool {
    let mut known = false;
    while let Some((line, next)) = line(rest) {
        *rest = next;
        let Some(code @ 200..=599) = code_of(line) else { continue };
        if line.windows(4).any(|word| word.eq_ignore_ascii_case(b"spam")) {
            r.codes |= SPAM;
        }
        if line.get(3).is_some_and(|separator| *separator != b' ') {
            continue;
        }
        known |= count(code, r);
        r.codes |= code_flag(code);
        // The server may refuse what the client has begun.
        dialog.data = code == 354 || dialog.data && code < 400;
        dialog.auth &= code == 334;
        *secret |= dialog.starttls && code == 220;
        dialog.starttls = false;
    }
    known
}

/// Every command line (RFC 2920 allows several in a segment). Leaves what is no whole line.
fn read_commands(rest: &mut &[u8], dialog: &mut Dialog, r: &mut SmtpRecord) -> bool {
    let mut known = false;
    while !rest.is_empty() {
        if dialog.chunk > 0 {
            let skipped = dialog.chunk.min(rest.len() as u64);
            dialog.chunk -= skipped;
            *rest = &rest[skipped as usize..];
        } else if dialog.data {
            let end = end_of_data(rest, &mut dialog.matched);
            dialog.data = end.is_none();
            *rest = &rest[end.unwrap_or(rest.len())..];
        } else {
            let Some((line, next)) = line(rest) else { break };
            *rest = next;
            known |= !line.is_empty();
            command(line, dialog, r);
        }
    }
    known
}

fn command(line: &[u8], dialog: &mut Dialog, r: &mut SmtpRecord) {
    let (verb, argument) = line.split_at(find(b' ', line).unwrap_or(line.len()));
    let argument = argument.trim_ascii();
    let flag = <&[u8; 4]>::try_from(verb).ok().and_then(|verb| command_flag(&verb.map(|b| b.to_ascii_uppercase())));
    let Some(flag) = flag else { return extension(verb, argument, dialog, r) };
    r.commands |= flag;
    match flag {
        EHLO | HELO if r.domain.is_empty() => r.domain.set(argument),
        MAIL => {
            r.mail_count = r.mail_count.saturating_add(1);
            set_path(&mut r.sender, argument);
        }
        RCPT => {
            r.rcpt_count = r.rcpt_count.saturating_add(1);
            set_path(&mut r.recipient, argument);
        }
        // The line end of the command is the one before the first line of the text.
        DATA => (dialog.data, dialog.matched) = (true, 2),
        _ => {}
    }
}

/// Commands without a flag of their own, and what is none.
fn extension(verb: &[u8], argument: &[u8], dialog: &mut Dialog, r: &mut SmtpRecord) {
    if verb.eq_ignore_ascii_case(b"AUTH") {
        dialog.auth = true;
    } else if verb.eq_ignore_ascii_case(b"STARTTLS") {
        dialog.starttls = true;
    } else if verb.eq_ignore_ascii_case(b"BDAT") {
        dialog.chunk = number(argument) as u64;
    } else if !verb.is_empty() && !verb.eq_ignore_ascii_case(b"ETRN") && !dialog.auth {
        r.commands |= UNKNOWN_COMMAND;
    }
}

/// The first path, with its angle brackets, so that the null sender shows; without parameters (RFC 5321 section 4.1.2).
fn set_path(into: &mut Text<254>, argument: &[u8]) {
    if into.is_empty()
        && let Some(colon) = find(b':', argument)
    {
        let path = argument[colon + 1..].trim_ascii_start();
        let end = if path.first() == Some(&b'<') { find(b'>', path).map(|at| at + 1) } else { find(b' ', path) };
        into.set(&path[..end.unwrap_or(path.len())]);
    }
}

const END_OF_DATA: &[u8; 5] = b"\r\n.\r\n";

/// Where the text behind the end of data begins (RFC 5321 section 4.1.1.4), `matched` bytes of which came in earlier segments.
fn end_of_data(text: &[u8], matched: &mut u8) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        if *matched == 0 {
            at += find(b'\r', &text[at..])?;
        }
        *matched = match text[at] {
            byte if byte == END_OF_DATA[*matched as usize] => *matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        at += 1;
        if *matched as usize == END_OF_DATA.len() {
            *matched = 0;
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests;
