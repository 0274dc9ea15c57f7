//! Parameters of one interface: setters common to all types, then what each type adds (trap.md sections 2.1 to 2.6).
//!
//! Wrong values of options are complaints, not errors: as in the original, a line is printed and the default stays.

use super::{IfcSpec, IfcType, Timeout};
use crate::container::{BUFFER_SIZE, BUFFER_SIZE_MAX, LEN_PREFIX, WIRE_HEADER};
use crate::error::TrapError;
use crate::tls::TlsFiles;

/// Clients served at once by default, and the most that can be asked for (trap.md section 2.2).
pub const CLIENTS_MAX: usize = 64;
/// Finished containers kept for slow clients by default.
pub const BUFFER_COUNT: usize = 50;
/// Bound of `buffer_count=`: about 1.6 GiB of full containers.
pub const BUFFER_COUNT_MAX: usize = 16_384;
/// Default age at which a partly filled container is sent, microseconds.
pub const AUTOFLUSH_US: u64 = 2_000_000;

/// An input as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputParams {
    /// `timeout=`; fixed against later changes by the module when given.
    pub timeout: Option<Timeout>,
    /// Where to read from.
    pub end: InputEnd,
    /// Lines to print: options that were ignored, and why.
    pub complaints: Vec<String>,
}

/// Where an input reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputEnd {
    /// Socket name, see [`crate::Place::socket_path`].
    Unix(String),
    /// Host and port number or service name.
    Tcp { host: String, port: String },
    /// As `Tcp`, under TLS.
    Tls { host: String, port: String, files: TlsFiles },
    /// Words to expand into file names.
    File(String),
    /// This message, 1 to 255 bytes, over and over.
    Generator(Vec<u8>),
}

/// An output as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputParams {
    /// `timeout=`; fixed when given.
    pub timeout: Option<Timeout>,
    /// `buffer=`; fixed when given; default on.
    pub buffer: Option<bool>,
    /// `autoflush=`; fixed when given; default [`AUTOFLUSH_US`].
    pub autoflush: Option<Autoflush>,
    /// Where to write to.
    pub end: OutputEnd,
    /// Lines to print: options that were ignored, and why.
    pub complaints: Vec<String>,
}

/// When a partly filled container is sent by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Autoflush {
    /// Never.
    Off,
    /// At this age, microseconds.
    Micros(u64),
}

/// Where an output writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputEnd {
    /// Socket name.
    Unix(String, RingLimits),
    /// Port number or service name.
    Tcp(String, RingLimits),
    /// As `Tcp`, under TLS.
    Tls(String, TlsFiles, RingLimits),
    /// File template; see [`crate::output::naming`].
    File { path: String, append: bool, minutes: Option<u32>, megabytes: Option<u64> },
    /// Everything is dropped.
    Blackhole,
}

/// Limits of a socket output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingLimits {
    /// `max_clients=`, 1..=64.
    pub clients_max: usize,
    /// `buffer_count=`, finished containers kept, at least 1.
    pub buffer_count: usize,
    /// `buffer_size=`, bytes of a container with its header, at most [`BUFFER_SIZE_MAX`].
    pub buffer_size: usize,
}

impl Default for RingLimits {
    fn default() -> Self {
        Self { clients_max: CLIENTS_MAX, buffer_count: BUFFER_COUNT, buffer_size: BUFFER_SIZE }
    }
}

impl IfcSpec {
    /// Reads the parameters as those of an input.
    ///
    /// # Errors
    /// A type that is no input or not supported, a missing address; texts of trap.md section 1.1.
    pub fn as_input(&self) -> Result<InputParams, TrapError> {
        let mut complaints = Vec::new();
        let mut timeout = None;
        let mut rest: Vec<&str> = self.params.split(':').collect();
        rest.retain(|param| match param.strip_prefix("timeout=") {
            Some(value) => {
                timeout = Timeout::parse(value, false, &mut complaints).or(timeout);
                false
            }
            None => true,
        });
        let end = match self.kind {
            IfcType::File => file_input(&rest)?,
            IfcType::Generator => generator_input(&rest)?,
            IfcType::Unix | IfcType::Tcp => self.socket_input(rest, &mut complaints)?,
            IfcType::Tls => tls_input(rest, &mut complaints)?,
            _ => return Err(self.unknown_type("input")),
        };
        Ok(InputParams { timeout, end, complaints })
    }

    /// Reads the parameters as those of an output.
    ///
    /// # Errors
    /// A type that is no output or not supported, a missing address or path.
    pub fn as_output(&self) -> Result<OutputParams, TrapError> {
        let mut complaints = Vec::new();
        let (mut timeout, mut buffer, mut autoflush) = (None, None, None);
        let mut rest: Vec<&str> = self.params.split(':').collect();
        rest.retain(|param| {
            if let Some(value) = param.strip_prefix("timeout=") {
                timeout = Timeout::parse(value, true, &mut complaints).or(timeout);
            } else if let Some(value) = param.strip_prefix("buffer=") {
                buffer = parse_switch(value, &mut complaints).or(buffer);
            } else if let Some(value) = param.strip_prefix("autoflush=") {
                autoflush = parse_autoflush(value, &mut complaints).or(autoflush);
            } else {
                return true;
            }
            false
        });
        let end = match self.kind {
            IfcType::Blackhole => OutputEnd::Blackhole,
            IfcType::File => file_output(&rest, &mut complaints)?,
            IfcType::Unix | IfcType::Tcp => self.socket_output(&rest, &mut complaints)?,
            IfcType::Tls => tls_output(&rest, &mut complaints)?,
            _ => return Err(self.unknown_type("output")),
        };
        Ok(OutputParams { timeout, buffer, autoflush, end, complaints })
    }

    fn socket_input(&self, mut rest: Vec<&str>, complaints: &mut Vec<String>) -> Result<InputEnd, TrapError> {
        refuse_options(&mut rest, complaints);
        let (first, second) = (rest.first().copied().unwrap_or(""), rest.get(1).copied());
        let (host, name) = second.map_or(("localhost", first), |second| (first, second));
        if name.is_empty() {
            return Err(TrapError::BadParams("Missing 'destination address' for TCPIP IFC.".into()));
        }
        for param in rest.iter().skip(2) {
            complaints.push(format!("Unknown parameter \"{param}\"."));
        }
        Ok(match self.kind {
            IfcType::Unix => InputEnd::Unix(name.into()),
            _ => InputEnd::Tcp { host: if host.is_empty() { "localhost" } else { host }.into(), port: name.into() },
        })
    }

    fn socket_output(&self, rest: &[&str], complaints: &mut Vec<String>) -> Result<OutputEnd, TrapError> {
        let mut limits = RingLimits::default();
        let (name, options) = rest.split_first().map_or(("", rest), |(name, options)| (*name, options));
        if name.is_empty() {
            let missing = if self.kind == IfcType::Unix { "socket name" } else { "port number" };
            return Err(TrapError::BadParams(format!("Missing '{missing}' for TCPIP IFC.")));
        }
        for option in options.iter().filter(|option| !option.is_empty()) {
            limits.set(option, complaints);
        }
        Ok(match self.kind {
            IfcType::Unix => OutputEnd::Unix(name.into(), limits),
            _ => OutputEnd::Tcp(name.into(), limits),
        })
    }

    fn unknown_type(&self, direction: &'static str) -> TrapError {
        let hint = match self.kind {
            IfcType::Service => " Counters are told at the service socket without asking.",
            _ => "",
        };
        TrapError::UnknownType { direction, letter: self.kind.letter(), hint }
    }
}

impl RingLimits {
    fn set(&mut self, option: &str, complaints: &mut Vec<String>) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let (target, bounds) = match key {
            "max_clients" => (&mut self.clients_max, 1..=CLIENTS_MAX),
            "buffer_count" => (&mut self.buffer_count, 1..=BUFFER_COUNT_MAX),
            "buffer_size" => (&mut self.buffer_size, WIRE_HEADER + LEN_PREFIX + 1..=BUFFER_SIZE_MAX),
            _ => return complaints.push(format!("Unknown parameter \"{option}\".")),
        };
        match value.parse() {
            Ok(value) if bounds.contains(&value) => *target = value,
            _ => complaints.push(format!(
                "Bad value in \"{option}\": it must be a number from {} to {}; using {target}.",
                bounds.start(),
                bounds.end()
            )),
        }
    }
}

impl Timeout {
    fn parse(value: &str, is_output: bool, complaints: &mut Vec<String>) -> Option<Self> {
        let timeout = match (value, parse_c_int(value)) {
            ("WAIT", _) | (_, Some(-1)) => Some(Self::Wait),
            ("NO_WAIT", _) | (_, Some(0)) => Some(Self::NoWait),
            ("HALF_WAIT", _) | (_, Some(-2)) if is_output => Some(Self::HalfWait),
            (_, Some(micros)) => u64::try_from(micros).ok().map(Self::Micros),
            _ => None,
        };
        if timeout.is_none() {
            let half = if is_output { ", HALF_WAIT" } else { "" };
            complaints.push(format!(
                "Bad value in \"timeout={value}\": it must be WAIT, NO_WAIT{half} or microseconds; ignored."
            ));
        }
        timeout
    }
}

/// Options of outputs are no addresses: the original would look for a socket of that name.
fn refuse_options(rest: &mut Vec<&str>, complaints: &mut Vec<String>) {
    rest.retain(|param| {
        let is_option = ["buffer=", "autoflush=", "max_clients=", "buffer_count=", "buffer_size="]
            .iter()
            .any(|option| param.starts_with(option));
        if is_option {
            complaints.push(format!("Unknown parameter \"{param}\" of an input interface."));
        }
        !is_option
    });
}

/// `PORT:KEY:CERT:CA` with or without a host before it.
fn tls_input(mut rest: Vec<&str>, complaints: &mut Vec<String>) -> Result<InputEnd, TrapError> {
    refuse_options(&mut rest, complaints);
    let host = if rest.len() > 4 { rest.remove(0) } else { "" };
    let (port, files) = tls_ends(&rest)?;
    for param in rest.iter().skip(4) {
        complaints.push(format!("Unknown parameter \"{param}\"."));
    }
    Ok(InputEnd::Tls { host: if host.is_empty() { "localhost" } else { host }.into(), port, files })
}

/// `PORT:KEY:CERT:CA` and options.
fn tls_output(rest: &[&str], complaints: &mut Vec<String>) -> Result<OutputEnd, TrapError> {
    let (port, files) = tls_ends(rest)?;
    let mut limits = RingLimits::default();
    for option in rest.iter().skip(4).filter(|option| !option.is_empty()) {
        limits.set(option, complaints);
    }
    Ok(OutputEnd::Tls(port, files, limits))
}

fn tls_ends(rest: &[&str]) -> Result<(String, TlsFiles), TrapError> {
    const NAMES: [&str; 4] = ["port number", "private key file", "certificate file", "CA file"];
    let given = |n: usize| rest.get(n).copied().filter(|text| !text.is_empty()).map(str::to_owned);
    match (given(0), given(1), given(2), given(3)) {
        (Some(port), Some(key), Some(certificate), Some(authority)) => {
            Ok((port, TlsFiles { key, certificate, authority }))
        }
        _ => {
            let missing = NAMES.iter().enumerate().filter(|(n, _)| given(*n).is_none());
            let missing: Vec<String> = missing.map(|(_, name)| format!("'{name}'")).collect();
            Err(TrapError::BadParams(format!("Missing {} for TLS IFC.", missing.join(", "))))
        }
    }
}

/// Everything after `f:` belongs to the file names: there are no modes on input, so `f:x:w` means a file `x:w`.
fn file_input(rest: &[&str]) -> Result<InputEnd, TrapError> {
    let path = rest.join(":");
    if path.is_empty() {
        return Err(TrapError::BadParams("Missing file name for FILE IFC; write f:PATH.".into()));
    }
    Ok(InputEnd::File(path))
}

/// `N:BYTES`, where N is the number of bytes.
fn generator_input(rest: &[&str]) -> Result<InputEnd, TrapError> {
    let len = rest.first().and_then(|len| len.parse::<usize>().ok()).filter(|len| (1..=255).contains(len));
    let bytes = rest.get(1..).unwrap_or_default().join(":").into_bytes();
    match len.and_then(|len| bytes.get(..len)) {
        Some(message) => Ok(InputEnd::Generator(message.into())),
        None => Err(TrapError::BadParams(
            "Bad parameters of a GENERATOR IFC; write g:N:BYTES, where N from 1 to 255 is the number of bytes.".into(),
        )),
    }
}

fn file_output(rest: &[&str], complaints: &mut Vec<String>) -> Result<OutputEnd, TrapError> {
    let (path, options) = rest.split_first().map_or(("", rest), |(path, options)| (*path, options));
    if path.is_empty() {
        return Err(TrapError::BadParams("Missing file name for FILE IFC; write f:PATH[:w|:a].".into()));
    }
    let (mut append, mut minutes, mut megabytes) = (false, None, None);
    for option in options {
        let number = option.split_once('=').and_then(|(_, value)| value.parse::<u32>().ok()).filter(|n| *n > 0);
        match *option {
            "a" => append = true,
            "w" => append = false,
            time if time.starts_with("time=") && number.is_some() => minutes = number,
            size if size.starts_with("size=") && number.is_some() => megabytes = number.map(u64::from),
            // The original is silent here; a typing error deserves a line.
            other if !other.is_empty() => complaints.push(format!("Unknown parameter \"{other}\".")),
            _ => {}
        }
    }
    if path.starts_with("/dev/stdout") {
        (append, minutes, megabytes) = (false, None, None);
    }
    Ok(OutputEnd::File { path: path.into(), append, minutes, megabytes })
}

fn parse_switch(value: &str, complaints: &mut Vec<String>) -> Option<bool> {
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => {
            complaints.push(format!("Bad value in \"buffer={value}\": it must be on or off; ignored."));
            None
        }
    }
}

fn parse_autoflush(value: &str, complaints: &mut Vec<String>) -> Option<Autoflush> {
    match (value, parse_c_int(value)) {
        ("off", _) | (_, Some(-1)) => Some(Autoflush::Off),
        (_, Some(micros)) if micros > 0 => Some(Autoflush::Micros(micros.unsigned_abs())),
        _ => {
            complaints.push(format!("Bad value in \"autoflush={value}\": it must be off or microseconds; ignored."));
            None
        }
    }
}

/// Integer as C's `%i` reads it: sign, then 0x hexadecimal, 0 octal or decimal.
fn parse_c_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    // from_str_radix would accept a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok()?,
        Some(_) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
#[path = "params_tests.rs"]
mod tests;
