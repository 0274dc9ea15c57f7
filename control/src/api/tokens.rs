//! Tokens: who has one may come in over TCP. The file knows their SHA-256 only; a token is shown when it is made, and never again.
//!
//! Contract: `sonda ctl token` alone writes the file, the supervisor reads it when it has changed, so that what is revoked is refused at
//! once. When a token was used is in a file of the supervisor's own beside it.
use super::role::Role;
use super::secret::{Hash, Secret, hash, hex};
use super::stamp::Stamp;
use crate::clock::Settled;
use crate::config::{replace, text_of};
use jiff::Timestamp;
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// The file where nothing else is said.
pub const FILE: &str = "/var/lib/sonda/tokens.json";
/// What tokens begin with, so that scanners for leaked secrets know them.
const WORD: &str = "sonda_";
/// Tokens of a file, and bytes of it.
pub const TOKENS_MAX: usize = 256;
const BYTES_MAX: usize = 256 << 10;
/// Letters of a name.
const NAME_MAX: usize = 64;
/// Days that a token may live.
pub const DAYS_MAX: u32 = 3_650;
const DAY_S: i64 = 86_400;
/// Seconds between two entries of when a token was used: not every request is a write to the disk.
const USED_EVERY_S: i64 = 60;

/// A token, without what only its owner knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Unique in the file.
    pub name: String,
    pub role: Role,
    /// Hexadecimal digits.
    pub sha256: String,
    /// Seconds since 1970.
    pub created: i64,
    pub expires: i64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<Token>,
}

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{0}: {1}")]
    Unread(PathBuf, std::io::Error),
    #[error("{0}: {1}; it is written by `sonda ctl token` alone")]
    Malformed(PathBuf, String),
    #[error("{0} cannot be written: {1}")]
    Unwritten(PathBuf, std::io::Error),
    #[error("there is a token '{0}' already; revoke it first, or choose another name")]
    Twice(String),
    #[error("there is no token '{0}'; `sonda ctl token list` shows all")]
    Unknown(String),
    #[error("a name has 1 to {NAME_MAX} letters, digits, '.', '_' and '-'")]
    Name,
    #[error("there are {TOKENS_MAX} tokens already; revoke one first")]
    Full,
    #[error("a token is for viewer, operator or admin")]
    Role,
    #[error("the system has no source of chance")]
    NoChance,
}

impl Token {
    /// What it is called where its name may come again.
    #[must_use]
    pub fn id(&self) -> &str {
        self.sha256.get(..16).unwrap_or_default()
    }

    fn is_valid(&self, now_s: i64) -> bool {
        now_s < self.expires
    }
}

/// All tokens of a file; of one that is not there none.
///
/// # Errors
/// It cannot be read, or something else has written it.
pub fn read(path: &Path) -> Result<Vec<Token>, TokenError> {
    match text_of(path, BYTES_MAX) {
        Ok(text) => parse(&text).map_err(|why| TokenError::Malformed(path.into(), why)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(why) => Err(TokenError::Unread(path.into(), why)),
    }
}

/// The tokens of a file's text.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Token>, String> {
    let File { tokens } = serde_json::from_str(text).map_err(|why| why.to_string())?;
    if tokens.len() > TOKENS_MAX {
        return Err(format!("more than {TOKENS_MAX} tokens"));
    }
    match tokens.iter().find(|token| bits(&token.sha256).is_none() || token.role == Role::Anyone) {
        Some(token) => Err(format!("token '{}' has no SHA-256 or no role", token.name.escape_default())),
        None => Ok(tokens),
    }
}

fn bits(digits: &str) -> Option<Hash> {
    let digits = digits.as_bytes();
    let mut hash = Hash::default();
    if digits.len() != 2 * hash.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Makes a token; the secret is answered once.
///
/// # Errors
/// The name or the role is none, or the file cannot be changed.
pub fn add(path: &Path, name: &str, role: Role, days: u32) -> Result<Secret, TokenError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) {
        return Err(TokenError::Name);
    }
    if role == Role::Anyone {
        return Err(TokenError::Role);
    }
    let secret = Secret::random(WORD).ok_or(TokenError::NoChance)?;
    change(path, |tokens| {
        if tokens.iter().any(|token| token.name == name) {
            return Err(TokenError::Twice(name.into()));
        }
        if tokens.len() >= TOKENS_MAX {
            return Err(TokenError::Full);
        }
        let created = now_s();
        let expires = created + i64::from(days.min(DAYS_MAX)) * DAY_S;
        tokens.push(Token { name: name.into(), role, sha256: hex(&secret.hash()), created, expires });
        Ok(())
    })?;
    Ok(secret)
}

/// Makes a token worthless.
///
/// # Errors
/// There is none of this name, or the file cannot be changed.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
    change(path, |tokens| {
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() == before { Err(TokenError::Unknown(name.into())) } else { Ok(()) }
    })
}

/// Changes the file, one at a time.
fn change(path: &Path, how: impl FnOnce(&mut Vec<Token>) -> Result<(), TokenError>) -> Result<(), TokenError> {
    let unwritten = |why| TokenError::Unwritten(path.into(), why);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(unwritten)?;
    }
    let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(beside(path, "lock"));
    let lock = lock.map_err(unwritten)?;
    lock.lock().map_err(unwritten)?;
    let mut tokens = read(path)?;
    how(&mut tokens)?;
    // Root writes it for the supervisor, which has a user of its own and owns the folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = std::fs::metadata(path).or_else(|_| std::fs::metadata(folder));
    let owner = owner.map_err(unwritten)?;
    let text = serde_json::to_string_pretty(&File { tokens }).unwrap_or_default() + "\n";
    replace(path, text.as_bytes(), 0o600).map_err(unwritten)?;
    if owner.uid() == geteuid().as_raw() {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid())).map_err(unwritten)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// When tokens were used, by their ids, in seconds since 1970; to a minute.
#[must_use]
pub fn used(path: &Path) -> BTreeMap<String, i64> {
    // Without the file none was used.
    let text = text_of(&beside(path, "used"), BYTES_MAX).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn now_s() -> i64 {
    Timestamp::now().as_second()
}

/// The tokens of a supervisor, as they are in the file now.
#[derive(Debug)]
pub(super) struct Tokens {
    path: PathBuf,
    began: Instant,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// By which tokens expire: a clock that is set wrong for a while must not lock everybody out.
    clock: Settled,
    stamp: Stamp,
    tokens: Vec<(Hash, Token)>,
    used: BTreeMap<String, i64>,
}

impl Tokens {
    /// # Errors
    /// The file cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, TokenError> {
        let tokens = hashed(read(path)?);
        let mut known = Known { clock: Settled::default(), used: used(path), stamp: Stamp::of(path), tokens };
        known.clock.now(now_s(), Duration::ZERO);
        Ok(Self { path: path.into(), began: Instant::now(), known: Mutex::new(known) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// As in the file. One that cannot be read any more lets nobody in: a token that was revoked in it must not live on.
    fn fresh(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if known.stamp != stamp {
            known.stamp = stamp;
            known.tokens = read(&self.path).map(hashed).unwrap_or_default();
        }
        known
    }

    /// The token that somebody presents. All are compared, each in the same time.
    pub(super) fn presented(&self, text: &str) -> Option<Token> {
        self.presented_at(text, now_s(), self.began.elapsed())
    }

    /// As [`Tokens::presented`], when the machine's clock says so and so much time has passed since the start.
    fn presented_at(&self, text: &str, wall_s: i64, passed: Duration) -> Option<Token> {
        let presented = hash(text);
        let mut known = self.fresh();
        let mut found = None;
        for (hash, token) in &known.tokens {
            if bool::from(hash.ct_eq(&presented)) {
                found = Some(token.clone());
            }
        }
        let now = known.clock.now(wall_s, passed);
        let token = found.filter(|token| token.is_valid(now))?;
        self.note_use(&mut known, &token, now);
        Some(token)
    }

    /// The token of this id, if it is still good for anything.
    pub(super) fn of_id(&self, id: &str) -> Option<Token> {
        let mut known = self.fresh();
        let now = known.clock.now(now_s(), self.began.elapsed());
        let found = known.tokens.iter().map(|(_, token)| token).find(|token| token.id() == id);
        let token = found.filter(|token| token.is_valid(now))?.clone();
        self.note_use(&mut known, &token, now);
        Some(token)
    }

    fn note_use(&self, known: &mut Known, token: &Token, now: i64) {
        let last = known.used.get(token.id()).copied().unwrap_or(0);
        if now - last < USED_EVERY_S {
            return;
        }
        known.used.insert(token.id().into(), now);
        let Known { used, tokens, .. } = known;
        used.retain(|id, _| tokens.iter().any(|(_, token)| token.id() == id));
        // A full disk keeps nobody out; the next use tries again.
        let text = serde_json::to_string(used).unwrap_or_default();
        let _lost = replace(&beside(&self.path, "used"), text.as_bytes(), 0o600);
    }
}

fn hashed(tokens: Vec<Token>) -> Vec<(Hash, Token)> {
    // Those that are none were refused when the file was read.
    tokens.into_iter().filter_map(|token| Some((bits(&token.sha256)?, token))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_made_used_and_revoked() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deep/tokens.json");
        assert_eq!(read(&path).expect("none"), []);
        let secret = add(&path, "ci", Role::Viewer, 7).expect("made");
        let tokens = Tokens::open(&path).expect("read");
        let found = tokens.presented(secret.shown()).expect("known");
        assert_eq!((found.name.as_str(), found.role, found.expires - found.created), ("ci", Role::Viewer, 7 * DAY_S));
        assert!(tokens.presented("sonda_").is_none() && tokens.of_id(found.id()).is_some());
        assert!(used(&path)[found.id()] >= found.created);
        for written in [path.clone(), beside(&path, "used")] {
            let text = fs::read_to_string(&written).expect("written");
            assert!(!text.contains(secret.shown()) && !text.contains(&secret.shown()[WORD.len()..]));
            assert_eq!(fs::metadata(&written).expect("there").permissions().mode() & 0o777, 0o600);
        }
        assert!(matches!(add(&path, "ci", Role::Viewer, 7), Err(TokenError::Twice(_))));
        assert!(matches!(add(&path, "a b", Role::Viewer, 7), Err(TokenError::Name)));
        assert!(matches!(add(&path, "x", Role::Anyone, 7), Err(TokenError::Role)));
        revoke(&path, "ci").expect("it was there");
        assert!(tokens.presented(secret.shown()).is_none() && tokens.of_id(found.id()).is_none());
        assert!(matches!(revoke(&path, "ci"), Err(TokenError::Unknown(_))));
    }

    /// Fault row 20.
    #[test]
    fn a_clock_that_is_set_wrong_for_a_while_ends_no_token() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let (day, old) =
            (add(&path, "day", Role::Viewer, 1).expect("made"), add(&path, "old", Role::Viewer, 0).expect("made"));
        let tokens = Tokens::open(&path).expect("read");
        let (start, years) = (now_s(), 10 * 365 * DAY_S);
        let mut passed = 0;
        for step in [3_600, -3_600, years, -years] {
            for _ in 0..5 {
                passed += 100;
                let at = Duration::from_secs(passed);
                let wall = start + i64::try_from(passed).expect("small");
                assert!(tokens.presented_at(day.shown(), wall + step, at).is_some(), "{step}");
                assert!(tokens.presented_at(old.shown(), wall + step, at).is_none(), "{step}");
            }
            assert!(
                tokens
                    .presented_at(
                        day.shown(),
                        start + i64::try_from(passed).expect("small"),
                        Duration::from_secs(passed)
                    )
                    .is_some()
            );
        }
        // One that stays is the time of day.
        let late = |passed: u64| tokens.presented_at(day.shown(), start + years, Duration::from_secs(passed));
        assert!(late(passed + 1).is_some() && late(passed + 1_000).is_none());
    }

    #[test]
    fn what_is_old_or_broken_lets_nobody_in() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let old = add(&path, "old", Role::Admin, 0).expect("made");
        let good = add(&path, "good", Role::Admin, 1).expect("made");
        let tokens = Tokens::open(&path).expect("read");
        assert!(tokens.presented(old.shown()).is_none() && tokens.presented(good.shown()).is_some());
        fs::write(&path, "{\"tokens\": [").expect("ours");
        assert!(tokens.presented(good.shown()).is_none());
        assert!(Tokens::open(&path).expect_err("broken").to_string().contains("tokens.json: EOF"));
        let nobody = r#"{"tokens":[{"name":"a","role":"anyone","sha256":"00","created":0,"expires":1}]}"#;
        assert!(parse(nobody).is_err() && parse(&nobody.replace("anyone", "viewer")).is_err());
    }
}
