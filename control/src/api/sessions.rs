//! Sessions of browsers: a token is shown once, a cookie after that. A session ends with its token, at the latest after [`LIFE`].
use super::secret::{Hash, Secret, hash};
use axum::http::{HeaderMap, header};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The cookie: of this host alone, whatever path, and never without TLS (RFC 6265bis section 4.1.3.2).
pub(super) const COOKIE: &str = "__Host-sonda";
/// From the login on.
pub(super) const LIFE: Duration = Duration::from_secs(12 * 3_600);
/// Without a request.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// At a time, of all tokens and of one; the one that is idle for longest makes room.
const SESSIONS_MAX: usize = 256;
const OF_TOKEN_MAX: usize = 8;

/// A browser that has logged in.
#[derive(Debug, Clone)]
struct Session {
    token: String,
    began: Instant,
    seen: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= LIFE || now.saturating_duration_since(self.seen) >= IDLE
    }
}

/// All sessions, by what their cookies are hashed to: who reads this memory cannot log in.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<Hash, Session>>);

impl Sessions {
    fn locked(&self) -> MutexGuard<'_, HashMap<Hash, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new session of the token with that id. `None`: there is no source of chance.
    pub(super) fn begin(&self, token: &str, now: Instant) -> Option<Secret> {
        let secret = Secret::random("")?;
        let mut sessions = self.locked();
        sessions.retain(|_, session| !session.is_over(now));
        make_room(&mut sessions, OF_TOKEN_MAX, |session| session.token == token);
        make_room(&mut sessions, SESSIONS_MAX, |_| true);
        sessions.insert(secret.hash(), Session { token: token.into(), began: now, seen: now });
        Some(secret)
    }

    /// The id of the token that the session of these headers belongs to.
    pub(super) fn token(&self, headers: &HeaderMap, now: Instant) -> Option<String> {
        let mut sessions = self.locked();
        let key = hash(cookie(headers)?);
        let session = sessions.get_mut(&key)?;
        if session.is_over(now) {
            sessions.remove(&key);
            return None;
        }
        session.seen = now;
        Some(session.token.clone())
    }

    /// Ends the session of these headers.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(presented) = cookie(headers) {
            self.locked().remove(&hash(presented));
        }
    }
}

fn make_room(sessions: &mut HashMap<Hash, Session>, most: usize, is_meant: impl Fn(&Session) -> bool) {
    if sessions.values().filter(|session| is_meant(session)).count() >= most {
        let idle = sessions.iter().filter(|(_, session)| is_meant(session)).min_by_key(|(_, session)| session.seen);
        let idle = idle.map(|(key, _)| *key);
        idle.map(|key| sessions.remove(&key));
    }
}

/// Our cookie's value, among others' (RFC 6265 section 4.2.1).
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// What a browser is told to keep; without a secret, to forget.
pub(super) fn set_cookie(secret: Option<&Secret>) -> String {
    let (value, age) = secret.map_or(("", 0), |secret| (secret.shown(), LIFE.as_secs()));
    format!("{COOKIE}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let line = format!("other=1; {COOKIE}={value}; x").parse().expect("a header");
        HeaderMap::from_iter([(header::COOKIE, line)])
    }

    #[test]
    fn sessions_begin_and_end() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let secret = sessions.begin("t", now).expect("chance");
        let headers = headers(secret.shown());
        assert_eq!(sessions.token(&headers, now).as_deref(), Some("t"));
        assert_eq!(sessions.token(&super::tests::headers("x"), now), None);
        sessions.end(&headers);
        assert_eq!(sessions.token(&headers, now), None);
    }

    #[test]
    fn sessions_end_by_themselves() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let idle = headers(sessions.begin("t", now).expect("chance").shown());
        let busy = headers(sessions.begin("t", now).expect("chance").shown());
        let (mut at, step) = (now, IDLE - Duration::from_secs(1));
        while at + step < now + LIFE {
            at += step;
            assert!(sessions.token(&busy, at).is_some());
        }
        assert_eq!(sessions.token(&idle, now + IDLE), None);
        assert_eq!(sessions.token(&busy, now + LIFE), None);
    }

    #[test]
    fn sessions_are_bounded() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = headers(sessions.begin("t", now).expect("chance").shown());
        for n in 1..=OF_TOKEN_MAX as u64 {
            sessions.begin("t", now + Duration::from_millis(n));
        }
        assert!(sessions.locked().len() == OF_TOKEN_MAX && sessions.token(&first, now).is_none());
        for n in 0..2 * SESSIONS_MAX {
            sessions.begin(&n.to_string(), now);
        }
        assert_eq!(sessions.locked().len(), SESSIONS_MAX);
    }
}
