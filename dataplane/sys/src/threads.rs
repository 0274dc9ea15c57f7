//! The same few system calls made by every thread of the process, as glibc does it for setuid(2) (nptl/nptl_setxid.c) and libpsx for
//! capset(2): privileges and confinement are a thread's own in Linux, and libraries start threads before there is a chance to drop them.
//!
//! A thread is interrupted by a real-time signal, makes the calls in its handler and goes on. Blocked calls that cannot be restarted (see
//! signal(7)) end with `EINTR` there, which every thread of ours takes as nothing.
use std::collections::BTreeSet;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long one thread may take to answer: it only has to be scheduled.
const PATIENCE: Duration = Duration::from_secs(10);
/// Looks at the list of threads: one more than generations of threads that start others meanwhile.
const PASSES_MAX: usize = 100;
/// No answer yet; answers are error numbers, 0 for none.
const PENDING: i32 = -1;

/// What each thread does: answers an error number, 0 if all went well. It runs in a signal handler (signal-safety(7)): system calls
/// and plain memory only.
pub(crate) type Step = fn() -> i32;

static STEP: AtomicPtr<Step> = AtomicPtr::new(std::ptr::null_mut());
static ANSWER: AtomicI32 = AtomicI32::new(PENDING);
/// One broadcast at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Makes every thread of the process do `step`, this one first. An error is the first one that a thread answered; others may have
/// succeeded, so the process should end then.
pub(crate) fn on_every_thread(step: &'static Step) -> io::Result<()> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    checked(step())?;
    STEP.store(std::ptr::from_ref(step).cast_mut(), Ordering::Release);
    let signal = libc::SIGRTMAX() - 1;
    let before = handle(signal)?;
    let mut done = BTreeSet::from([own_id()]);
    for _ in 0..PASSES_MAX {
        let left: Vec<i32> = ids()?.difference(&done).copied().collect();
        if left.is_empty() {
            // Nobody has the signal pending: each thread that was sent one has answered or is gone.
            restore(signal, &before);
            return Ok(());
        }
        for id in left {
            ask(id, signal)?;
            done.insert(id);
        }
    }
    Err(io::Error::other("threads start faster than they can be told to give up privileges"))
}

/// Thread ids of this process.
fn ids() -> io::Result<BTreeSet<i32>> {
    let names = std::fs::read_dir("/proc/self/task")?.map(|entry| entry.map(|entry| entry.file_name()));
    names
        .map(|name| name?.to_str().and_then(|n| n.parse().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into()))
        .collect()
}

/// Interrupts one thread and waits for its answer; one that has ended needs none.
fn ask(id: i32, signal: i32) -> io::Result<()> {
    ANSWER.store(PENDING, Ordering::Release);
    // SAFETY: plain numbers; a thread of our own process.
    if unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, signal) } != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) };
    }
    let end = Instant::now() + PATIENCE;
    loop {
        match ANSWER.load(Ordering::Acquire) {
            PENDING if Instant::now() > end => {
                return Err(io::Error::other(format!(
                    "thread {id} does not take signals, so it cannot be told to give up privileges"
                )));
            }
            PENDING => std::thread::sleep(Duration::from_micros(100)),
            answer => return checked(answer),
        }
        if !std::path::Path::new("/proc/self/task").join(id.to_string()).exists() {
            return Ok(());
        }
    }
}

fn checked(answer: i32) -> io::Result<()> {
    if answer == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(answer)) }
}

fn own_id() -> i32 {
    // SAFETY: takes nothing, always succeeds.
    unsafe { libc::gettid() }
}

extern "C" fn interrupted(_: libc::c_int) {
    // SAFETY: the thread's own errno, which the interrupted code may be about to read.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: null, or from a `&'static Step`.
    if let Some(step) = unsafe { STEP.load(Ordering::Acquire).as_ref() } {
        ANSWER.store(step(), Ordering::Release);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn handle(signal: i32) -> io::Result<libc::sigaction> {
    // SAFETY: integers and a pointer; all zero is a value, with an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = interrupted as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    let mut before = MaybeUninit::uninit();
    // SAFETY: the handler is one of a plain signal, does only what signal-safety(7) allows, and lives as long as the program.
    match unsafe { libc::sigaction(signal, &action, before.as_mut_ptr()) } {
        // SAFETY: written by the call that succeeded.
        0 => Ok(unsafe { before.assume_init() }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn restore(signal: i32, before: &libc::sigaction) {
    // SAFETY: what the kernel gave for this signal.
    unsafe { libc::sigaction(signal, before, std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;

    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static COUNT: Step = || {
        CALLS.fetch_add(1, Ordering::SeqCst);
        0
    };
    /// The thread that asks.
    static ASKS: AtomicI32 = AtomicI32::new(0);
    static REFUSE: Step = || if own_id() == ASKS.load(Ordering::SeqCst) { 0 } else { libc::EPERM };

    #[test]
    fn each_thread_is_asked_once_and_an_error_of_one_is_the_error() {
        let (stop, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        std::thread::scope(|scope| {
            // One in a system call, one waiting for the other.
            for _ in 0..2 {
                scope.spawn(|| waits.lock().map(|waits| waits.recv()).is_ok());
            }
            let threads = ids().unwrap().len();
            assert!(threads >= 3, "{threads}");
            on_every_thread(&COUNT).unwrap();
            // The harness has threads of its own, which come and go.
            assert!(CALLS.load(Ordering::SeqCst) >= 3);
            ASKS.store(own_id(), Ordering::SeqCst);
            assert_eq!(on_every_thread(&REFUSE).unwrap_err().raw_os_error(), Some(libc::EPERM));
            drop(stop);
        });
    }
}
