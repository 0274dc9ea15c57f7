//! anonymizer: records with pseudonyms in place of addresses, and back (spec/modules.md section 6).
use super::begin;
use crate::options::{self, flag, value};
use crate::stream::{PassError, Reader, Sender, Step, assemble, pass};
use cryptopan::{CryptoPan, Key, Method};
use key::KeyError;
use record::Kind;
use record::unirec::{RECORD_MAX, Template, TooLarge, View};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use trap::module::{Count, Module, ModuleInfo, Param};

pub mod cryptopan;
pub mod hash;
pub mod key;
pub mod text;

/// The key of those who give none. Everybody knows it: pseudonyms made with it protect nothing.
const DEFAULT_KEY: &str = "01234567890123450123456789012345";

/// Fields that are an address.
const ADDRESSES: [&str; 2] = ["SRC_IP", "DST_IP"];

/// Text fields in which the first address is replaced.
const TEXTS: [&str; 5] = ["SIP_CALLED_PARTY", "SIP_CALLING_PARTY", "SIP_CALL_ID", "SIP_REQUEST_URI", "SIP_VIA"];

/// What the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `None` is the default key.
    pub key: Option<String>,
    /// Wins over `key`.
    pub file: Option<PathBuf>,
    pub method: Method,
    /// Leave SRC_IP, DST_IP as they are.
    pub keep: [bool; 2],
    /// Make addresses of pseudonyms.
    pub restore: bool,
}

/// One line for lists of modules.
pub const ABOUT: &str = "Replaces IP addresses by prefix-preserving pseudonyms (Crypto-PAn), and back.";

const INFO: ModuleInfo = ModuleInfo {
    name: "anonymizer",
    description: "Module for anonymizing flow records. Anonymizes IP addresses in the following fields:\n    SRC_IP, DST_IP, \
                  SIP_CALLED_PARTY, SIP_CALLING_PARTY, SIP_CALL_ID, SIP_REQUEST_URI, SIP_VIA\nIf a field is of 'string' type, \
                  the first IP address in the text is replaced by its anonymized version.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] = &[
    value(
        'k',
        "key",
        "string",
        "Secret key: 32 characters, or 0x and 64 hexadecimal digits. Visible to all users of the machine.",
    ),
    value('f', "file", "string", "Read the secret key from the first line of this file."),
    flag(
        'M',
        "murmur",
        "Use a hash like MurmurHash in place of AES. Weak: use it only where its values are known already.",
    ),
    flag('S', "srcip", "Do not touch SRC_IP."),
    flag('D', "dstip", "Do not touch DST_IP."),
    flag('d', "de-anonym", "Make addresses of pseudonyms."),
];

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let parse = |words: &[String]| Settings::parse(words).map_err(|why| format!("Invalid arguments.\n{why}"));
    let (settings, Module { mut inputs, mut outputs, .. }) = match begin(&INFO, args, parse, |_| 1) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let key = match settings.secret() {
        Ok(key) => key,
        Err(why) => {
            eprintln!("{why}");
            return if settings.file.is_some() { 2 } else { 3 };
        }
    };
    pass(&mut inputs[0], "", &mut outputs[0], PassError::exit_code, |reader, sender| {
        run(reader, sender, &settings, &key)
    })
}

impl Settings {
    /// Reads the arguments that are left when `-i`, `-v` and `-h` are gone.
    ///
    /// # Errors
    /// An unknown option, or one without its value.
    pub fn parse(args: &[String]) -> Result<Settings, options::OptError> {
        let mut settings = Settings::default();
        for given in options::parse(args, PARAMS)? {
            match given.short {
                'k' => settings.key = Some(given.value),
                'f' => settings.file = Some(given.value.into()),
                'M' => settings.method = Method::Murmur,
                'S' => settings.keep[0] = true,
                'D' => settings.keep[1] = true,
                _ => settings.restore = true,
            }
        }
        Ok(settings)
    }

    /// The key itself.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn secret(&self) -> Result<Key, KeyError> {
        match &self.file {
            Some(file) => key::from_file(Path::new(file)),
            None => key::parse(self.key.as_deref().unwrap_or(DEFAULT_KEY).as_bytes()),
        }
    }
}

/// Passes records on until the stream ends. As in the original, receivers are not told that it ended.
///
/// # Errors
/// See [`PassError`].
pub fn run(reader: &mut Reader<'_>, sender: &mut Sender<'_>, settings: &Settings, key: &Key) -> Result<(), PassError> {
    let mut anonymizer = Anonymizer::new(settings, key);
    let mut record = Vec::with_capacity(RECORD_MAX);
    loop {
        match reader.step()? {
            Step::Record { view, is_new } => {
                if is_new {
                    sender.set_template(view.template())?;
                    if !anonymizer.look_up(view.template()) {
                        eprintln!("Warning: No fields for anonymizing present in input template.");
                    }
                }
                match anonymizer.record(&view, &mut record) {
                    Ok(()) => sender.send(&record),
                    Err(why) => sender.too_large(why),
                }
            }
            Step::Nothing => {}
            Step::End(crate::stream::End::Sender) => {
                println!("EOF received");
                return Ok(());
            }
            Step::End(crate::stream::End::Stopped) => return Ok(()),
        }
    }
}

/// Changes records of one template at a time.
pub struct Anonymizer {
    pan: CryptoPan,
    restore: bool,
    keep: [bool; 2],
    /// Indexes of the address fields to change.
    addresses: Vec<usize>,
    /// Indexes of the text fields.
    texts: Vec<usize>,
    /// For each of `texts` its new content; not used if empty.
    replaced: Vec<Vec<u8>>,
}

impl Anonymizer {
    pub fn new(settings: &Settings, key: &Key) -> Anonymizer {
        Anonymizer {
            pan: CryptoPan::new(key, settings.method),
            restore: settings.restore,
            keep: settings.keep,
            addresses: Vec::new(),
            texts: Vec::new(),
            replaced: vec![Vec::new(); TEXTS.len()],
        }
    }

    /// Finds the fields to change; false if there is none.
    pub fn look_up(&mut self, template: &Template) -> bool {
        let wanted = ADDRESSES.iter().zip(self.keep).filter(|(_, keep)| !keep);
        self.addresses = wanted.filter_map(|(name, _)| template.find(name, Kind::Ip)).collect();
        self.texts = TEXTS.iter().filter_map(|name| template.find(name, Kind::Text)).collect();
        !self.addresses.is_empty() || !self.texts.is_empty()
    }

    /// Replaces the contents of `out` with the changed record.
    ///
    /// # Errors
    /// A text grew, and the record with it beyond what a message holds.
    pub fn record(&mut self, view: &View<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        if self.replace_texts(view) {
            let replaced = |index| {
                let at = self.texts.iter().position(|text| *text == index)?;
                Some(self.replaced[at].as_slice()).filter(|content| !content.is_empty())
            };
            assemble(view.template(), out, |index| replaced(index).or_else(|| view.raw(index)))?;
        } else {
            out.clear();
            out.extend_from_slice(view.as_bytes());
        }
        for index in &self.addresses {
            let Some(ip) = view.ip(*index) else { continue };
            let at = view.template().fields()[*index].offset;
            match self.change(ip) {
                // The four bytes of an IPv4 address lie in the middle of the field (spec/unirec.md section 4).
                IpAddr::V4(v4) => out[at + 8..at + 12].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => out[at..at + 16].copy_from_slice(&v6.octets()),
            }
        }
        Ok(())
    }

    /// Fills `replaced`; false if no text has an address.
    fn replace_texts(&mut self, view: &View<'_>) -> bool {
        let mut any = false;
        for (at, index) in self.texts.iter().enumerate() {
            self.replaced[at].clear();
            let Some(content) = view.bytes(*index) else { continue };
            if let Some((place, ip)) = text::find(content) {
                let ip = self.change(ip).to_string();
                self.replaced[at].extend([&content[..place.start], ip.as_bytes(), &content[place.end..]].concat());
                any = true;
            }
        }
        any
    }

    fn change(&self, ip: IpAddr) -> IpAddr {
        if self.restore { self.pan.restore(ip) } else { self.pan.anonymize(ip) }
    }
}
