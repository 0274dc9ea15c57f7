//! Whether a server is a mining pool: it is asked in the languages of miners (spec/detectors.md section 11).
//!
//! Contract: nothing connects but [`is_pool`], which is called only when the settings say `stratum_check`. A server gets one line on each
//! of four connections at the most, and is read 255 bytes on each; each connection ends in time. Asking happens in a thread of its own, one
//! pool after another, of a queue of [`QUEUE`].
use super::pools::Pool;
use crate::client::{Limits, Timed};
use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};
use trap::Stop;

/// Pools that wait to be asked.
const QUEUE: usize = 1_024;
/// Bytes of an answer that are looked at.
const ANSWER_MAX: usize = 255;

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) read: Duration,
}

/// One language: what is said, and which words the answer has, in this order.
struct Language {
    question: &'static str,
    answer: &'static [&'static str],
}

/// Of Bitcoin, Monero, Ethereum and Zcash.
const LANGUAGES: [Language; 4] = [
    Language {
        question: r#"{"id": 1, "method": "mining.subscribe", "params": ["cpuminer/2.4.3"]}"#,
        answer: &["mining.notify"],
    },
    Language {
        question: r#"{"method": "login", "params": {"login": "miner", "pass": "x", "agent": "xmr/1.0"}, "id": 1}"#,
        answer: &["blob", "job_id", "target"],
    },
    Language {
        question: r#"{"id": 1, "jsonrpc": "2.0", "method": "eth_submitLogin", "params": ["miner"]}"#,
        answer: &["jsonrpc", r#"result": true"#],
    },
    Language {
        question: r#"{"id": 1, "method": "mining.subscribe", "params": ["equihashminer/zec", null, "pool", 0]}"#,
        answer: &["mining.set_target"],
    },
];

/// Asks a server in one language after the other; the first failure to connect, write or read ends it. Servers with IPv6 addresses are
/// not asked, as by the original.
pub(super) fn is_pool(pool: Pool, patience: Patience, stop: &Stop) -> bool {
    if !pool.0.is_ipv4() {
        return false;
    }
    for language in &LANGUAGES {
        match ask(pool, language.question, patience, stop) {
            Ok(answer) if has_words(&answer, language.answer) => return true,
            // A server that closes may know another language.
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

/// One question on a connection of its own; the answer ends with the line in which it is, or with the connection.
fn ask(pool: Pool, question: &str, patience: Patience, stop: &Stop) -> io::Result<Vec<u8>> {
    let Patience { connect, read } = patience;
    let limits = Limits { idle: connect.max(read), total: connect + read };
    let mut server = Timed::connect(&pool.0.to_string(), pool.1, limits, stop)?;
    server.write_all(question.as_bytes())?;
    server.write_all(b"\n")?;
    let mut answer = vec![0; ANSWER_MAX];
    let mut length = 0;
    while length < ANSWER_MAX {
        let count = server.read(&mut answer[length..])?;
        let is_line = answer[length..length + count].contains(&b'\n');
        length += count;
        if count == 0 || is_line {
            break;
        }
    }
    answer.truncate(length);
    Ok(answer)
}

fn has_words(answer: &[u8], words: &[&str]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    let rest = words.iter().try_fold(&answer[..], |rest, word| Some(&rest[rest.find(word)? + word.len()..]));
    rest.is_some()
}

/// Pools that are asked, and their answers.
#[derive(Debug)]
pub(super) struct Questions {
    pools: SyncSender<Pool>,
    answers: Receiver<(Pool, bool)>,
    asked: HashSet<Pool>,
}

impl Questions {
    /// Begins to ask with `is_pool`; the thread ends when this is dropped.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn start(is_pool: impl Fn(Pool) -> bool + Send + 'static) -> io::Result<Questions> {
        let (pools, queue) = mpsc::sync_channel::<Pool>(QUEUE);
        let (sender, answers) = mpsc::channel();
        thread::Builder::new().name("stratum".into()).spawn(move || {
            while let Ok(pool) = queue.recv() {
                if sender.send((pool, is_pool(pool))).is_err() {
                    return;
                }
            }
        })?;
        Ok(Questions { pools, answers, asked: HashSet::new() })
    }

    /// Asks a pool, unless it is asked already; false if too many wait: try again later.
    pub(super) fn ask(&mut self, pool: Pool) -> bool {
        if self.asked.contains(&pool) {
            return true;
        }
        match self.pools.try_send(pool) {
            Ok(()) => self.asked.insert(pool),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// An answer that is there.
    pub(super) fn answer(&mut self) -> Option<(Pool, bool)> {
        let answer = self.answers.try_recv().ok()?;
        self.asked.remove(&answer.0);
        Some(answer)
    }

    /// The next answer, for which is waited until then; none if none is to come or time is over.
    pub(super) fn wait(&mut self, until: Instant) -> Option<(Pool, bool)> {
        if self.asked.is_empty() {
            return None;
        }
        match self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(answer) => {
                self.asked.remove(&answer.0);
                Some(answer)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
        }
    }
}

/// Any bytes as an answer.
pub(crate) fn fuzz_answer(input: &[u8]) {
    for language in &LANGUAGES {
        assert!(!has_words(input, language.answer) || language.answer.iter().all(|word| has_words(input, &[word])));
    }
}

/// A pool as the list writes it.
pub(super) fn shown(pool: &Pool) -> String {
    SocketAddr::from((IpAddr::to_canonical(&pool.0), pool.1)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    const PATIENCE: Patience = Patience { connect: Duration::from_secs(30), read: Duration::from_secs(30) };

    /// A server here that gives these answers, one on each connection; none closes without a word.
    fn server(answers: Vec<Option<String>>) -> (Pool, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = move || {
            answers
                .into_iter()
                .map_while(|answer| {
                    let (mut client, _) = listener.accept().ok()?;
                    let mut question = String::new();
                    BufReader::new(&client).read_line(&mut question).ok()?;
                    if let Some(answer) = answer {
                        client.write_all(answer.as_bytes()).ok()?;
                    }
                    Some(question)
                })
                .collect()
        };
        ((address.ip(), address.port()), thread::spawn(serve))
    }

    #[test]
    fn pools_of_each_language() {
        let error = || Some("{\"error\": true}\n".to_owned());
        for (answers, expected) in [
            (vec![Some("{\"result\": [[\"mining.notify\", \"x\"]]}\n".to_owned())], true),
            (vec![None, Some("{\"job\": {\"blob\": \"0\", \"job_id\": 1, \"target\": 2}}\n".to_owned())], true),
            (
                vec![error(), Some("target job_id blob\n".into()), Some("{\"jsonrpc\": 2, \"result\": true}\n".into())],
                true,
            ),
            (vec![error(), error(), error(), Some("{}, mining.set_target\n".into())], true),
            (vec![error(), error(), error(), error()], false),
            // What follows 255 bytes is not looked at.
            (vec![Some(format!("{}mining.notify", "x".repeat(250))), None, None, None], false),
        ] {
            let count = answers.len();
            let (pool, served) = server(answers);
            assert_eq!(is_pool(pool, PATIENCE, &Stop::default()), expected);
            let questions = served.join().unwrap();
            let asked: Vec<_> =
                LANGUAGES.iter().take(count).map(|language| format!("{}\n", language.question)).collect();
            assert_eq!(questions, asked);
            assert!(questions.iter().all(|question| serde_json::from_str::<serde_json::Value>(question).is_ok()));
        }
    }

    #[test]
    fn servers_that_are_not_there_or_say_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pool = (address.ip(), address.port());
        let short = Patience { connect: Duration::from_millis(50), read: Duration::from_millis(50) };
        assert!(!is_pool(pool, short, &Stop::default()), "connected, but silent");
        drop(listener);
        assert!(!is_pool(pool, PATIENCE, &Stop::default()));
        assert!(!is_pool(("::1".parse().unwrap(), 1), PATIENCE, &Stop::default()));
    }

    #[test]
    fn each_pool_is_asked_once_at_a_time() {
        let mut questions = Questions::start(|pool| pool.1 == 2).unwrap();
        let pool = |port| (IpAddr::from([127, 0, 0, 1]), port);
        assert!(questions.ask(pool(1)) && questions.ask(pool(2)) && questions.ask(pool(1)));
        let until = Instant::now() + Duration::from_secs(60);
        assert_eq!(questions.wait(until), Some((pool(1), false)));
        assert_eq!(questions.wait(until), Some((pool(2), true)));
        assert_eq!((questions.wait(until), questions.answer()), (None, None));
        assert_eq!(shown(&pool(2)), "127.0.0.1:2");
    }

    proptest! {
        #[test]
        fn any_answer(text in "(blob|job_id|target|jsonrpc|result\": true|mining\\.(notify|set_target)|[ \\xff]){0,6}") {
            fuzz_answer(text.as_bytes());
        }
    }
}
