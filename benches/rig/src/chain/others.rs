//! Those who listen beside the chain: clients that are killed, and clients that are stopped so that they miss records.
use super::ends::{Ends, Hop};
use super::member::{Members, Process, numbers_after, trap_stats};
use super::{Beside, PATIENCE, Plan, books::Received, signal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// From one kill to the next, at least.
const PERIOD: Duration = Duration::from_secs(1);
/// Each second time a client is stopped for so long before it is killed, and the chain waits for it meanwhile.
const STOPPED: Duration = Duration::from_millis(300);
/// Messages that go past a client that is stopped: more than the ring (8 containers of some 1,000) and the sockets (6 MiB of TCP) hold.
const PAST: u64 = 150_000;
/// One that was stopped and does not get the end of the stream, because its server gave it up, is asked to end after this time.
const GRACE: Duration = Duration::from_secs(10);

/// Labels of `sonda trap_stats` for an output's clients and messages.
const CLIENTS: &str = "NUM_CLI: ";
const SENT: &str = ", SM: ";

pub(super) struct Others {
    job: Job,
    beside: Beside,
    is_done: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Done, String>>>,
}

/// What the thread leaves behind.
#[derive(Default)]
struct Done {
    kills: u64,
    /// Clients that are there at the end, and what they listen to.
    clients: Vec<(Hop, Process)>,
}

/// What the thread needs.
#[derive(Clone)]
struct Job {
    sonda: PathBuf,
    folder: PathBuf,
    /// Where clients are, and what they read.
    hops: Vec<(Hop, String)>,
    /// Process numbers of those who serve.
    servers: Vec<u32>,
    /// Nobody waits for it any more.
    is_over: Arc<AtomicBool>,
}

impl Others {
    pub(super) fn new(plan: &Plan<'_>, ends: &Ends, folder: &Path) -> Others {
        let hops: &[Hop] = match plan.others {
            Beside::Nobody => &[],
            Beside::Killed(_) => &Hop::ALL,
            // The probe says of its clients only what they missed together.
            Beside::Stopped => &Hop::ALL[1..],
        };
        let hops = hops.iter().map(|hop| (*hop, ends.input(*hop))).collect();
        let (sonda, folder) = (plan.sonda.to_owned(), folder.to_owned());
        let job = Job { sonda, folder, hops, servers: Vec::new(), is_over: Arc::default() };
        Others { job, beside: plan.others, is_done: Arc::new(AtomicBool::new(false)), thread: None }
    }

    /// Begins when the chain is connected.
    pub(super) fn begin(&mut self, members: &Members) {
        let pids = members.pids();
        self.job.servers = pids[..pids.len() - 1].to_vec();
        if self.beside == Beside::Stopped {
            self.job.servers.remove(0);
        }
        let (job, beside, is_done) = (self.job.clone(), self.beside, Arc::clone(&self.is_done));
        self.thread = Some(thread::spawn(move || {
            let done = match beside {
                Beside::Nobody => Ok(Done::default()),
                Beside::Killed(rounds) => job.kill(rounds),
                Beside::Stopped => job.stop(),
            };
            is_done.store(true, Ordering::Relaxed);
            done
        }));
    }

    /// True when records need not flow for them any more.
    pub(super) fn are_done(&self) -> bool {
        self.is_done.load(Ordering::Relaxed)
    }

    /// Lets those that were stopped go on; answers how many were killed and who is there.
    pub(super) fn go_on(&mut self) -> Result<(u64, Vec<(Hop, Process)>), String> {
        let Some(thread) = self.thread.take() else { return Ok((0, Vec::new())) };
        let done = thread.join().map_err(|_| "the thread of the others panicked".to_owned())??;
        done.clients.iter().for_each(|(_, client)| signal(client.pid(), "CONT"));
        Ok((done.kills, done.clients))
    }
}

/// Waits for the end of those who are there when the chain has ended; answers what they received.
pub(super) fn finish(clients: Vec<(Hop, Process)>, ends: &Ends) -> Result<Vec<(Hop, Received)>, String> {
    let deadline = Instant::now() + GRACE;
    let finished = clients.into_iter().map(|(hop, mut client)| {
        while client.is_running() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        if client.is_running() {
            signal(client.pid(), "INT");
        }
        let said = client.finish()?;
        Ok((hop, Received::of(&said, ends.name(hop))?))
    });
    finished.collect()
}

impl Job {
    /// Starts a client at each place, kills all a second later, so many times.
    fn kill(&self, rounds: u32) -> Result<Done, String> {
        let mut done = Done::default();
        for round in 0..rounds {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            let next = Instant::now() + PERIOD;
            let mut clients = self.start(&[])?;
            self.until_there()?;
            let is_stopped = round % 2 == 1;
            let early = if is_stopped { STOPPED } else { Duration::ZERO };
            thread::sleep(next.saturating_duration_since(Instant::now()).saturating_sub(early));
            if is_stopped {
                clients.iter().for_each(|(_, client)| signal(client.pid(), "STOP"));
                thread::sleep(STOPPED);
            }
            for (_, client) in &mut clients {
                client.kill();
                done.kills += 1;
            }
        }
        Ok(done)
    }

    /// Starts a client at each place, stops it, and waits until each server skipped records.
    fn stop(&self) -> Result<Done, String> {
        let clients = self.start(&["-v"])?;
        self.until_there()?;
        clients.iter().for_each(|(_, client)| signal(client.pid(), "STOP"));
        // A server notes what it skipped when the client takes something again: until then, what it sent must do.
        for server in &self.servers {
            let before = self.numbers(*server, SENT)?;
            self.until(*server, SENT, |now| before.iter().zip(now).all(|(before, now)| *now >= before + PAST))?;
        }
        Ok(Done { kills: 0, clients })
    }

    fn start(&self, more: &[&str]) -> Result<Vec<(Hop, Process)>, String> {
        let clients = self.hops.iter().map(|(hop, spec)| {
            let args = more.iter().map(|word| (*word).to_owned()).chain(["-i".to_owned(), format!("{spec},b:")]);
            let client = Process::start(&self.sonda, &self.folder, "traffic_repeater", &args.collect::<Vec<_>>())?;
            Ok((*hop, client))
        });
        clients.collect()
    }

    /// Waits until each output of the servers has its client of the chain and one more.
    fn until_there(&self) -> Result<(), String> {
        let waits = |server: &u32| self.until(*server, CLIENTS, |now| now.iter().all(|clients| *clients >= 2));
        self.servers.iter().try_for_each(waits)
    }

    /// Waits until what a server tells of its outputs is enough.
    fn until(&self, server: u32, label: &str, is_enough: impl Fn(&[u64]) -> bool) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !is_enough(&self.numbers(server, label)?) {
            if Instant::now() > deadline || self.is_over.load(Ordering::Relaxed) {
                return Err(format!(
                    "nothing comes to the clients beside the chain: {label}{:?}",
                    self.numbers(server, label)?
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn numbers(&self, server: u32, label: &str) -> Result<Vec<u64>, String> {
        trap_stats(&self.sonda, &self.folder, server).map(|text| numbers_after(&text, label).collect())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.job.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _clients_go_with_it = thread.join();
        }
    }
}
