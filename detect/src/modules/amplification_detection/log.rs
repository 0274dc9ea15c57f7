//! The flows of an attack as text, one file for each server and victim.
use super::history::{Finding, Flow, Item};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Where files go.
#[derive(Debug)]
pub(super) struct Log {
    /// Put before names as it is: it should end with a slash.
    before: PathBuf,
    failed: u64,
}

impl Log {
    pub(super) fn new(before: PathBuf) -> Log {
        Log { before, failed: 0 }
    }

    /// Appends what was found. A file that cannot be written is said, and counted.
    pub(super) fn write(&mut self, flow: &Flow, found: &Finding<'_>) {
        let mut path = self.before.clone().into_os_string();
        let kind = if found.is_big { "BIG/" } else { "" };
        path.push(format!("{kind}{}-{}.log", flow.server, flow.victim));
        let file = OpenOptions::new().append(true).create(true).open(&path);
        if file.and_then(|file| append(BufWriter::new(file), flow, found)).is_err() {
            self.failed += 1;
            if self.failed.is_power_of_two() {
                eprintln!("Error: Cannot open log file [{}]. ({} of them so far)", path.to_string_lossy(), self.failed);
            }
        }
    }

    /// Says how many logs were lost.
    pub(super) fn tell(&self) {
        if self.failed > 0 {
            eprintln!("Warning: {} logs could not be written.", self.failed);
        }
    }
}

/// Queries and responses by their times; of equal ones the query first.
fn append(mut file: impl Write, flow: &Flow, found: &Finding<'_>) -> io::Result<()> {
    writeln!(file, "Abused server IP: {}   Target IP: {}", flow.server, flow.victim)?;
    let (mut queries, mut responses) = (found.queries_seen, found.responses_seen);
    loop {
        let (word, item) = match (queries, responses) {
            ([query, rest @ ..], [response, ..]) if query.first <= response.first => {
                queries = rest;
                ('Q', query)
            }
            (_, [response, rest @ ..]) => {
                responses = rest;
                ('R', response)
            }
            ([query, rest @ ..], []) => {
                queries = rest;
                ('Q', query)
            }
            ([], []) => return file.flush(),
        };
        let Item { first, bytes, packets } = item;
        let at = jiff::Timestamp::from_second(first.secs() as i64).map_err(io::Error::other)?;
        let millis = first.subsec_nanos() / 1_000_000;
        writeln!(file, "{}.{millis:03}\t{word}\t{packets}\t{bytes}", at.strftime("%Y-%m-%d %H:%M:%S"))?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Sums;
    use super::*;
    use crate::sdk::Time;

    #[test]
    fn flows_are_merged_by_time() {
        let item = |ms: u64, bytes| Item { first: Time(1_672_654_500_000_000_000 + ms * 1_000_000), bytes, packets: 2 };
        let flow = Flow {
            server: [192, 0, 2, 53].into(),
            victim: [198, 51, 100, 99].into(),
            is_response: true,
            first: Time(0),
            last: Time(0),
            packets: 1,
            bytes: 1,
        };
        let (queries, responses) = ([item(5, 60), item(1_500, 61)], [item(5, 3_000), item(6, 3_001)]);
        let sums = Sums::default();
        let found = |is_big| Finding {
            is_big,
            event: 1,
            first: Time(0),
            requests: sums,
            responses: sums,
            queries_seen: &queries,
            responses_seen: &responses,
        };
        let folder = tempfile::TempDir::new().unwrap();
        let mut log = Log::new(format!("{}/", folder.path().display()).into());
        log.write(&flow, &found(false));
        let text = std::fs::read_to_string(folder.path().join("192.0.2.53-198.51.100.99.log")).unwrap();
        assert_eq!(
            text,
            "Abused server IP: 192.0.2.53   Target IP: 198.51.100.99\n2023-01-02 10:15:00.005\tQ\t2\t60\n\
             2023-01-02 10:15:00.005\tR\t2\t3000\n2023-01-02 10:15:00.006\tR\t2\t3001\n2023-01-02 10:15:01.500\tQ\t2\t61\n"
        );
        log.write(&flow, &found(true));
        assert_eq!(log.failed, 1, "there is no BIG");
    }
}
