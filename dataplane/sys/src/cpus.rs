//! Which processors a thread may run on (sched_setaffinity(2)).
use std::io;
use std::mem::size_of;

/// Processors that the calling thread may run on, in ascending order.
pub fn usable_cpus() -> io::Result<Vec<usize>> {
    // SAFETY: cpu_set_t is an array of integers; all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a cpu_set_t and its size is told; 0 is the calling thread.
    match unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) } {
        // SAFETY: the macro reads a bit of `set`; the index is below CPU_SETSIZE.
        0 => Ok((0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Keeps the calling thread, and the threads that it starts from now on, on these processors. Fails with `InvalidInput` for a number
/// of 1024 or more, and where none of them is usable.
pub fn run_on(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus {
        if *cpu >= libc::CPU_SETSIZE as usize {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: the macro sets a bit of `set`; the index was checked above.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: `set` is a cpu_set_t and its size is told; 0 is the calling thread.
    match unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_where_it_is_put() {
        let usable = usable_cpus().expect("the kernel tells");
        let last = *usable.last().expect("this thread runs on one");
        let there = std::thread::spawn(move || run_on(&[last]).and_then(|()| usable_cpus()));
        assert_eq!(there.join().expect("no panic").expect("it may"), [last]);
        assert_eq!(usable_cpus().expect("the kernel tells"), usable, "other threads stay as they are");
        assert!(run_on(&[1 << 20]).is_err() && run_on(&[]).is_err());
    }
}
