//! What is known, and the file that keeps it: a line that names the form, when learning began, and a service a line, the one that was seen last
//! at the end.
//!
//! ```text
//! sonda new_service_detector 1
//! learning-from 1700000000
//! 192.0.2.80 443 6
//! 2001:db8::53 53 17
//! ```
//! Contract: a file is written whole or not at all, and one that is damaged is refused: to learn from nothing would make all that runs now known.
use super::Service;
use crate::bounded::Bounded;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::path::Path;

/// Services that are known at a time, at the most; 150 bytes each.
const SERVICES_MAX: usize = 1 << 20;
/// Bytes of a file, at the most: a line has no more than 52.
const FILE_MAX: u64 = 64 << 20;
const FORM: &str = "sonda new_service_detector 1";
const BEGAN: &str = "learning-from ";

/// See the module.
#[derive(Debug)]
pub(super) struct State {
    /// Unix second of the first flow.
    began: Option<u64>,
    services: Bounded<Service, ()>,
    /// Services of each server that are known.
    servers: Bounded<IpAddr, u32>,
}

impl Default for State {
    fn default() -> State {
        State { began: None, services: Bounded::new(SERVICES_MAX), servers: Bounded::new(SERVICES_MAX) }
    }
}

impl State {
    /// The state of a file; an empty one if there is none.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub(super) fn load(path: &Path) -> Result<State, String> {
        let failed = |why: &dyn std::fmt::Display| format!("Error: the state {}: {why}", path.display());
        let mut text = String::new();
        match File::open(path) {
            Ok(file) => drop(file.take(FILE_MAX).read_to_string(&mut text).map_err(|why| failed(&why))?),
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(State::default()),
            Err(why) => return Err(failed(&why)),
        }
        State::parse(&text)
            .map_err(|line| failed(&format_args!("line {line} is damaged; mend it, or remove the file to learn anew")))
    }

    /// Reads a text; an error is the number of the line that is none.
    fn parse(text: &str) -> Result<State, usize> {
        let mut state = State::default();
        let mut lines = (1_usize..).zip(text.lines());
        if lines.next().is_none_or(|(_, form)| form != FORM) {
            return Err(1);
        }
        let began = lines.next().and_then(|(_, line)| line.strip_prefix(BEGAN)?.parse().ok());
        state.began = Some(began.ok_or(2_usize)?);
        for (number, line) in lines {
            let service = service(line).ok_or(number)?;
            if !state.is_known(&service) {
                state.learn(service);
            }
        }
        Ok(state)
    }

    /// Writes the file beside the old one, then puts it in its place.
    ///
    /// # Errors
    /// It cannot be written; the old one is as it was.
    pub(super) fn save(&self, path: &Path) -> Result<(), String> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let written = File::create(&name).and_then(|mut file| {
            file.write_all(self.text().as_bytes())?;
            file.sync_all()
        });
        written
            .and_then(|()| fs::rename(&name, path))
            .map_err(|why| format!("cannot write the state {}: {why}", path.display()))
    }

    fn text(&self) -> String {
        let mut text = format!("{FORM}\n{BEGAN}{}\n", self.began());
        for ((ip, port, protocol), ()) in self.services.iter() {
            // A text takes what is written.
            let _ = writeln!(text, "{ip} {port} {protocol}");
        }
        text
    }

    /// Notes the time of the first flow.
    pub(super) fn begin(&mut self, now: u64) {
        self.began.get_or_insert(now);
    }

    /// Unix second in which learning began; 0 if it did not.
    pub(super) fn began(&self) -> u64 {
        self.began.unwrap_or(0)
    }

    /// Whether a service is known, which is then the last to make room.
    pub(super) fn is_known(&mut self, service: &Service) -> bool {
        let is_known = self.services.get(service).is_some();
        if is_known {
            self.services.entry(*service, || ());
        }
        is_known
    }

    /// Adds a service that is not known, and answers how many of its server are.
    pub(super) fn learn(&mut self, service: Service) -> u32 {
        if let (_, Some(((server, ..), ()))) = self.services.entry(service, || ())
            && let Some(count) = self.servers.get_mut(&server)
        {
            *count -= 1;
            if *count == 0 {
                self.servers.remove(&server);
            }
        }
        // There are never more servers than services, so that none makes room.
        let (count, _) = self.servers.entry(service.0, || 0);
        *count += 1;
        *count - 1
    }

    /// Says how many services made room for others.
    pub(super) fn tell(&self) {
        self.services.tell("known services");
    }
}

fn service(line: &str) -> Option<Service> {
    let mut words = line.split(' ');
    let service = (words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().is_none().then_some(service)
}

/// Any text as a file: one that is accepted is written as one that says the same.
pub fn fuzz_state(input: &[u8]) {
    let Ok(state) = State::parse(&String::from_utf8_lossy(input)) else { return };
    let text = state.text();
    let again = State::parse(&text).expect("our own text is accepted");
    assert_eq!(again.text(), text);
    assert_eq!(state.servers.iter().map(|(_, count)| *count as usize).sum::<usize>(), state.services.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("services");
        let mut state = State::load(&path).unwrap();
        assert_eq!((state.began(), state.services.len()), (0, 0), "there is no file");
        state.begin(1_700_000_000);
        state.begin(1_800_000_000);
        let service = |last: u8, port| (IpAddr::from([10, 0, 0, last]), port, 6);
        assert_eq!([service(1, 80), service(1, 443), service(2, 22)].map(|one| state.learn(one)), [0, 1, 0]);
        assert!(state.is_known(&service(1, 80)) && !state.is_known(&service(2, 23)));
        state.save(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, [FORM, "learning-from 1700000000", "10.0.0.1 443 6", "10.0.0.2 22 6", "10.0.0.1 80 6"]);
        let mut again = State::load(&path).unwrap();
        assert_eq!(
            (again.began(), again.is_known(&service(2, 22)), again.learn(service(1, 8080))),
            (1_700_000_000, true, 2)
        );
        fs::write(&path, text.replace("443 6", "443")).unwrap();
        assert!(State::load(&path).unwrap_err().contains("line 3 is damaged"));
        assert!(state.save(Path::new("/nonexist/x")).unwrap_err().starts_with("cannot write the state"));
        assert!(State::load(folder.path()).is_err());
    }

    #[test]
    fn servers_go_with_their_last_service() {
        let mut state = State { services: Bounded::new(2), ..State::default() };
        let service = |last: u8, port| (IpAddr::from([10, 0, 0, last]), port, 17);
        for (last, port, known) in [(1, 1, 0), (1, 2, 1), (2, 1, 0), (2, 2, 1), (1, 3, 0)] {
            assert_eq!(state.learn(service(last, port)), known, "{last} {port}");
        }
        assert_eq!((state.services.len(), state.servers.len(), state.services.evicted()), (2, 2, 3));
    }

    proptest! {
        #[test]
        fn any_text(lines in prop::collection::vec("([0-9]{1,3}\\.0\\.0\\.1|::[0-9a-f]{1,4}) [0-9]{1,5} (6|17)", 0..8)) {
            fuzz_state(format!("{FORM}\n{BEGAN}5\n{}", lines.join("\n")).as_bytes());
            fuzz_state(lines.join("\n").as_bytes());
        }
    }
}
