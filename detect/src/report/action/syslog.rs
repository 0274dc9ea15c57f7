//! `syslog: {identifier, logoption, facility, priority}`: the message as JSON to the system's log (RFC 3164 as libc speaks it).
use super::delivery::{Deliver, Undelivered, delivery};
use super::{Act, Setup};
use crate::report::config::Section;
use crate::report::idea;
use jiff::Zoned;
use serde_json::Value;
use std::io::{self, ErrorKind, Write};
use std::os::unix::net::UnixDatagram;
use std::process;

/// Error of Linux: the message is longer than a datagram may be.
const EMSGSIZE: i32 = 90;
/// Where the log listens.
const SOCKET: &str = "/dev/log";

/// Constants of syslog.h. QUIRK: those that are zero (LOG_EMERG, LOG_KERN) are refused as unknown, as by the original.
const PRIORITIES: &[(&str, u8)] = &[
    ("LOG_ALERT", 1),
    ("LOG_CRIT", 2),
    ("LOG_ERR", 3),
    ("LOG_WARNING", 4),
    ("LOG_NOTICE", 5),
    ("LOG_INFO", 6),
    ("LOG_DEBUG", 7),
];
const FACILITIES: &[(&str, u8)] = &[
    ("LOG_USER", 1),
    ("LOG_MAIL", 2),
    ("LOG_DAEMON", 3),
    ("LOG_AUTH", 4),
    ("LOG_SYSLOG", 5),
    ("LOG_LPR", 6),
    ("LOG_NEWS", 7),
    ("LOG_UUCP", 8),
    ("LOG_CRON", 9),
    ("LOG_AUTHPRIV", 10),
    ("LOG_LOCAL0", 16),
    ("LOG_LOCAL1", 17),
    ("LOG_LOCAL2", 18),
    ("LOG_LOCAL3", 19),
    ("LOG_LOCAL4", 20),
    ("LOG_LOCAL5", 21),
    ("LOG_LOCAL6", 22),
    ("LOG_LOCAL7", 23),
];
/// Only LOG_PID and LOG_PERROR change anything here.
const OPTIONS: &[(&str, u8)] =
    &[("LOG_PID", 1), ("LOG_CONS", 2), ("LOG_NDELAY", 8), ("LOG_NOWAIT", 16), ("LOG_PERROR", 32)];

struct Syslog {
    /// Facility and priority.
    code: u8,
    /// The identifier, with the process if that is wanted.
    tag: String,
    is_shown: bool,
    path: String,
}

pub(super) fn read(section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    let constant = |key: &str, default: &str, known: &[(&str, u8)]| {
        let text = section.text(key)?.unwrap_or_else(|| default.to_owned());
        let values = text.split('|').map(|name| {
            let found = known.iter().find(|(constant, _)| *constant == name.trim());
            found.map(|(_, value)| *value).ok_or_else(|| format!("`{key}`: {} is not known", name.trim()))
        });
        values.collect::<Result<Vec<_>, String>>()
    };
    let options = constant("logoption", "LOG_PID", OPTIONS)?.into_iter().fold(0, |all, one| all | one);
    let one = |values: Vec<u8>, key: &str| match values.as_slice() {
        [only] => Ok(*only),
        _ => Err(format!("`{key}` must be one constant")),
    };
    let facility = one(constant("facility", "LOG_DAEMON", FACILITIES)?, "facility")?;
    let priority = one(constant("priority", "LOG_ALERT", PRIORITIES)?, "priority")?;
    let mut tag = section.text("identifier")?.unwrap_or_else(|| "nemea".into());
    if options & 1 != 0 {
        tag.push_str(&format!("[{}]", process::id()));
    }
    let path = section.text("socket")?.unwrap_or_else(|| SOCKET.into());
    let syslog = Syslog { code: facility << 3 | priority, tag, is_shown: options & 32 != 0, path };
    delivery(syslog, setup)
}

impl Deliver for Syslog {
    fn deliver(&mut self, message: &Value) -> Result<(), Undelivered> {
        let text = idea::dump(message);
        if self.is_shown {
            // Nobody reads it: nothing is lost.
            let _ = writeln!(io::stderr(), "{}: {text}", self.tag);
        }
        let time = Zoned::now().strftime("%b %e %H:%M:%S");
        let line = format!("<{}>{time} {}: {text}", self.code, self.tag);
        let socket = UnixDatagram::unbound().map_err(Undelivered::passing)?;
        // A log that does not read is down, and nothing waits for it.
        socket.set_nonblocking(true).map_err(Undelivered::passing)?;
        match socket.send_to(line.as_bytes(), &self.path) {
            Ok(_) => Ok(()),
            Err(why) if why.kind() == ErrorKind::InvalidInput || why.raw_os_error() == Some(EMSGSIZE) => {
                Err(Undelivered::refused(format!("{} does not take the message: {why}", self.path)))
            }
            Err(why) => Err(Undelivered::passing(format!("{}: {why}", self.path))),
        }
    }
}
