//! Waiting until no BPF program holds what was just taken from its maps.
use std::io;

/// membarrier(2), MEMBARRIER_CMD_GLOBAL (linux/membarrier.h).
const GLOBAL: libc::c_int = 1;

/// Returns when every BPF program that runs in interrupt context and had begun before the call has ended; some milliseconds.
///
/// Such programs run inside RCU read sections, and the kernel answers MEMBARRIER_CMD_GLOBAL with synchronize_rcu() (`membarrier` in
/// kernel/sched/membarrier.c); on one processor nothing else runs during a system call. `EINVAL` where some processor is `nohz_full`.
pub fn wait_for_programs() -> io::Result<()> {
    // SAFETY: takes three integers and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_waits() {
        super::wait_for_programs().unwrap();
    }
}
