//! ftp: who logs in, what is asked for and how the server answers, of control connections (RFC 959, RFC 2389, RFC 4217) on port 21.
//!
//! Passwords are not kept. A granted AUTH ends the interest: what follows is encrypted. The data go over connections of their own.
use super::lines::{self, ACCEPTED, ASKED, GRANTED, REFUSED, Speaker, first_word, names_user, outcome, verb, word};
use super::segments::sequence_of;
use crate::face::Face;
use crate::plugin::{Context, OptionError, Plugin, PluginOption, Slots, Step, put_short, put_text};
use record::element::cesnet;
use record::{Text, record};
use std::fmt::Write;

record! {
    /// FTP control connection.
    pub struct FtpRecord = "ftp" {
        /// User that asked for a login last; empty if the option says so.
        user: Text<64>, ipfix cesnet::ftpUser, unirec "FTP_USER";
        /// What the server calls itself: the first line of its greeting.
        greeting: Text<128>, ipfix cesnet::ftpGreeting, unirec "FTP_GREETING";
        /// Commands seen: USER 1, PASS 2, AUTH 4, CWD 8, PORT or EPRT 16, PASV or EPSV 32, RETR 64, STOR, STOU or APPE 128, lists 256,
        /// DELE or RMD 512, MKD 1024, RNFR or RNTO 2048, SITE 4096, QUIT 8192, others of a registry 16384, unknown 32768.
        commands: u32, ipfix cesnet::ftpCommands, unirec "FTP_COMMANDS";
        /// Code of the last reply.
        reply: u16, ipfix cesnet::ftpReply, unirec "FTP_REPLY";
        /// Replies 4xx and 5xx.
        errors: u16, ipfix cesnet::ftpErrors, unirec "FTP_ERRORS";
        /// How the login went: 0 none was tried, 1 not accepted, 2 accepted.
        login: u8, ipfix cesnet::ftpLogin, unirec "FTP_LOGIN";
        /// Replies 530 to USER and PASS: logins refused.
        failures: u16, ipfix cesnet::ftpFailures, unirec "FTP_FAILURES";
        /// Files asked for (RETR).
        retrieved: u16, ipfix cesnet::ftpRetrieved, unirec "FTP_RETRIEVED";
        /// Files offered (STOR, STOU, APPE).
        stored: u16, ipfix cesnet::ftpStored, unirec "FTP_STORED";
        /// Path of the first of these files.
        file: Text<128>, ipfix cesnet::ftpFile, unirec "FTP_FILE";
        /// Encryption: 0 not asked for, 1 asked for, 2 granted.
        tls: u8, ipfix cesnet::ftpTls, unirec "FTP_TLS";
    }
}

/// RFC 959 section 8.
const PORT: u16 = 21;

pub struct Ftp {
    names_user: bool,
}

/// How far a connection has come.
#[derive(Default)]
pub struct Session {
    client: Speaker,
    server: Speaker,
    /// Flag of the command that the next reply is for.
    asked: u32,
    /// Code of a reply of several lines that has not ended.
    open_code: u16,
}

record::packed!(Session { client: Speaker, server: Speaker, asked: u32, open_code: u16 });

impl Plugin for Ftp {
    type Record = FtpRecord;
    type State = Session;
    const OPTIONS: &'static [PluginOption] = lines::OPTIONS;
    const BEFORE: bool = true;
    const BY_PORT: bool = true;

    #[inline(always)]
    fn may_use(src_port: u16, dst_port: u16) -> bool {
        src_port == PORT || dst_port == PORT
    }

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        Ok(Ftp { names_user: names_user(options)? })
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
        let replies = ctx.packet.packet.src_port == PORT;
        let first = first_word(payload);
        let begins = if replies { code_of(payload).is_some() } else { flag_of(first) != UNKNOWN };
        if slots.first().is_none() && !begins {
            return Step::Done;
        }
        let Some(slot) = slots.first_or_open() else { return Step::More };
        let Session { client, server, asked, open_code } = &mut slot.state;
        let r = &mut slot.record;
        match replies {
            true => server.lines(payload, sequence, |line, _| reply(line, asked, open_code, r)),
            false => client.lines(payload, sequence, |line, _| {
                *asked = command(line, self.names_user, r);
                true
            }),
        }
        slot.export = r.commands != 0 || r.reply != 0;
        if r.tls == GRANTED { Step::Done } else { Step::More }
    }

    fn text(r: &FtpRecord, out: &mut String) {
        for (key, value) in
            [("user", r.user.as_bytes()), ("greeting", r.greeting.as_bytes()), ("file", r.file.as_bytes())]
        {
            let _ = write!(out, "ftp{key}=\"");
            put_text(out, value);
            out.push_str("\",");
        }
        let _ = write!(out, "commands={},reply={},errors={},", r.commands, r.reply, r.errors);
        let _ = write!(out, "login={},failures={},", r.login, r.failures);
        let _ = write!(out, "retrieved={},stored={},tls={}", r.retrieved, r.stored, r.tls);
    }

    fn summary(r: &FtpRecord, out: &mut String) {
        out.push_str("ftp ");
        put_short(out, r.user.as_bytes());
        out.push_str(outcome(r.login));
        if !r.file.is_empty() {
            out.push_str(", ");
            put_short(out, r.file.as_bytes());
        }
    }
}

const USER: u32 = 0x1;
const PASS: u32 = 0x2;
const AUTH: u32 = 0x4;
const RETR: u32 = 0x40;
const STOR: u32 = 0x80;
const UNKNOWN: u32 = 0x8000;

/// Commands of RFC 959 and of the registry of RFC 5797.
fn flag_of(word: &[u8]) -> u32 {
    let Some(verb) = verb(word) else { return UNKNOWN };
    match &verb {
        b"USER" => USER,
        b"PASS" => PASS,
        b"AUTH" => AUTH,
        b"CWD " | b"CDUP" | b"XCWD" => 0x8,
        b"PORT" | b"EPRT" => 0x10,
        b"PASV" | b"EPSV" => 0x20,
        b"RETR" => RETR,
        b"STOR" | b"STOU" | b"APPE" => STOR,
        b"LIST" | b"NLST" | b"MLSD" | b"MLST" => 0x100,
        b"DELE" | b"RMD " | b"XRMD" => 0x200,
        b"MKD " | b"XMKD" => 0x400,
        b"RNFR" | b"RNTO" => 0x800,
        b"SITE" => 0x1000,
        b"QUIT" => 0x2000,
        b"ABOR" | b"ACCT" | b"ADAT" | b"ALLO" | b"CCC " | b"CONF" | b"ENC " | b"FEAT" | b"HELP" | b"HOST" | b"LANG" => {
            0x4000
        }
        b"MDTM" | b"MFMT" | b"MIC " | b"MODE" | b"NOOP" | b"OPTS" | b"PBSZ" | b"PROT" | b"PWD " | b"XPWD" => 0x4000,
        b"REIN" | b"REST" | b"SIZE" | b"SMNT" | b"STAT" | b"STRU" | b"SYST" | b"TYPE" | b"CLNT" => 0x4000,
        _ => UNKNOWN,
    }
}

/// Takes a command; answers its flag.
fn command(line: &[u8], names_user: bool, r: &mut FtpRecord) -> u32 {
    // ABOR and STAT may come behind an interrupt of Telnet (RFC 959 section 4.1.3): bytes above ASCII.
    let start = line.iter().position(u8::is_ascii).unwrap_or(line.len());
    let (word, argument) = word(&line[start..]);
    let flag = flag_of(word);
    r.commands |= flag;
    match flag {
        USER if names_user => r.user.set(argument),
        AUTH => r.tls = r.tls.max(ASKED),
        RETR | STOR => {
            let count = if flag == RETR { &mut r.retrieved } else { &mut r.stored };
            *count = count.saturating_add(1);
            if r.file.is_empty() {
                r.file.set(argument);
            }
        }
        _ => {}
    }
    flag
}

/// The code of a line that a reply begins or ends with (RFC 959 section 4.2), and whether more lines follow.
fn code_of(line: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = line.split_first_chunk::<3>()?;
    let code = digits.iter().try_fold(0, |n, d| d.is_ascii_digit().then(|| n * 10 + u16::from(d - b'0')))?;
    let goes_on = match rest.first() {
        None | Some(b' ' | b'\r' | b'\n') => false,
        Some(b'-') => true,
        _ => return None,
    };
    (100..600).contains(&code).then_some((code, goes_on))
}

/// Takes a line of the server; false if what follows is encrypted.
fn reply(line: &[u8], asked: &mut u32, open_code: &mut u16, r: &mut FtpRecord) -> bool {
    let Some((code, goes_on)) = code_of(line) else { return true };
    if code == 220 && r.reply == 0 && r.greeting.is_empty() {
        r.greeting.set(line.get(4..).unwrap_or_default().trim_ascii());
    }
    if *open_code != 0 && (code != *open_code || goes_on) {
        return true;
    }
    *open_code = if goes_on { code } else { 0 };
    if goes_on {
        return true;
    }
    r.reply = code;
    r.errors = r.errors.saturating_add((code >= 400).into());
    let logs_in = matches!(*asked, USER | PASS);
    match code {
        // RFC 4217 section 4.
        234 if *asked == AUTH => r.tls = GRANTED,
        230 | 232 if logs_in => r.login = ACCEPTED,
        331 | 332 if logs_in => r.login = r.login.max(REFUSED),
        530 if logs_in => {
            r.login = r.login.max(REFUSED);
            r.failures = r.failures.saturating_add(1);
        }
        _ => {}
    }
    // A reply of the first class announces another one, and a login goes on.
    if code >= 200 && !matches!(code, 331 | 332) {
        *asked = 0;
    }
    r.tls != GRANTED
}

#[cfg(test)]
mod tests;
