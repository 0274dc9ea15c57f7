//! A fence of system calls that a run has no use for once everything is open (seccomp(2)): who takes over the process by a broken packet
//! finds them gone. They answer `EPERM`.
//!
//! It is a list of what is refused, not of what is allowed: libraries and outputs need many calls, and which ones changes with them.
use std::io;
use std::mem::offset_of;

/// linux/audit.h: numbers of calls mean something for one machine only.
#[cfg(target_arch = "x86_64")]
const ARCH: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCH: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCH: Option<u32> = None;

/// From here on numbers are those of the x32 way of calling, which is not used; other machines have none so high.
const X32: u32 = 0x4000_0000;

const REFUSED: &[libc::c_long] = &[
    // Other programs, and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Other views of the machine.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_open_by_handle_at,
    // The kernel itself, and the parts of it that were broken most often.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
];

/// Kinds of sockets that no output uses.
const FAMILIES: [libc::c_int; 2] = [libc::AF_PACKET, libc::AF_XDP];

/// A kind of sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Family {
    Unix = libc::AF_UNIX,
    Inet = libc::AF_INET,
    Inet6 = libc::AF_INET6,
    /// By which the resolver learns the machine's addresses.
    Netlink = libc::AF_NETLINK,
}

/// Which sockets may be opened from then on.
#[derive(Clone, Copy, Debug)]
pub enum Sockets<'f> {
    /// All kinds that outputs use.
    Usual,
    Only(&'f [Family]),
}

/// Refuses these calls, and other sockets, to every thread of the process, for good. Needs `no_new_privs`. Fails where the kernel has no
/// seccomp, for machines that are not known here, and where a thread has a filter of its own.
pub fn refuse_calls(sockets: Sockets<'_>) -> io::Result<()> {
    let arch = ARCH.ok_or(io::ErrorKind::Unsupported)?;
    let mut program = program(arch, sockets);
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (mode, all) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: the kernel reads a program that is as long as told; both outlive the call.
    match unsafe { libc::syscall(libc::SYS_seccomp, mode, all, std::ptr::from_ref(&filter)) } {
        0 => Ok(()),
        thread if thread > 0 => Err(io::Error::other(format!("thread {thread} has a filter of its own"))),
        _ => Err(io::Error::last_os_error()),
    }
}

fn program(arch: u32, sockets: Sockets<'_>) -> Vec<libc::sock_filter> {
    let plain = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let word = |at: usize| plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at as u32);
    let answer = |what: u32| plain(libc::BPF_RET | libc::BPF_K, what);
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    // The next instruction only if the comparison holds.
    let only_if = |how: u32, k: u32| libc::sock_filter { jf: 1, ..plain(libc::BPF_JMP | how | libc::BPF_K, k) };
    let unless = |how: u32, k: u32| libc::sock_filter { jt: 1, ..plain(libc::BPF_JMP | how | libc::BPF_K, k) };
    let mut all = vec![
        word(offset_of!(libc::seccomp_data, arch)),
        unless(libc::BPF_JEQ, arch),
        answer(refuse),
        word(offset_of!(libc::seccomp_data, nr)),
        only_if(libc::BPF_JGE, X32),
        answer(refuse),
    ];
    for call in REFUSED {
        all.extend([only_if(libc::BPF_JEQ, *call as u32), answer(refuse)]);
    }
    all.extend([unless(libc::BPF_JEQ, libc::SYS_socket as u32), answer(libc::SECCOMP_RET_ALLOW)]);
    // The low half of the first argument, on the machines above.
    all.push(word(offset_of!(libc::seccomp_data, args)));
    let allow = libc::SECCOMP_RET_ALLOW;
    let (listed, others): (Vec<libc::c_int>, _) = match sockets {
        Sockets::Usual => (FAMILIES.to_vec(), allow),
        Sockets::Only(families) => (families.iter().map(|family| *family as libc::c_int).collect(), refuse),
    };
    let answer_listed = if others == allow { refuse } else { allow };
    for family in listed {
        all.extend([only_if(libc::BPF_JEQ, family as u32), answer(answer_listed)]);
    }
    all.push(answer(others));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privileges::gain_no_more;

    /// The variable under which the test runs in a process of its own: the fence stays for good.
    const INSIDE: &str = "SONDA_INSIDE_FENCE";

    #[test]
    fn what_is_refused_is_refused_to_all_threads_and_the_rest_works() {
        if std::env::var_os(INSIDE).is_none() {
            let name = "seccomp::tests::what_is_refused_is_refused_to_all_threads_and_the_rest_works";
            let own = std::env::current_exe().unwrap();
            let ran = std::process::Command::new(own).args(["--exact", name]).env(INSIDE, "1").output().unwrap();
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
            return;
        }
        let open = |family| {
            // SAFETY: plain numbers; the descriptor, if there is one, stays open until this process ends.
            let socket = unsafe { libc::socket(family, libc::SOCK_RAW, 0) };
            if socket < 0 { io::Error::last_os_error().raw_os_error() } else { None }
        };
        let raw = |family| std::thread::spawn(move || open(family)).join().unwrap();
        assert_eq!((raw(libc::AF_PACKET), raw(libc::AF_XDP)), (None, None), "this test needs root");
        let (go, waits) = std::sync::mpsc::channel::<()>();
        let before = std::thread::spawn(move || {
            let _ended = waits.recv();
            [open(libc::AF_PACKET), open(libc::AF_XDP)]
        });
        gain_no_more().unwrap();
        refuse_calls(Sockets::Usual).unwrap();
        drop(go);
        let eperm = Some(libc::EPERM);
        assert_eq!(before.join().unwrap(), [eperm, eperm], "a thread that was there before");
        assert_eq!((raw(libc::AF_PACKET), raw(libc::AF_XDP)), (eperm, eperm));
        let started = std::process::Command::new("/bin/true").status();
        assert_eq!(started.unwrap_err().raw_os_error(), eperm, "execve");
        // SAFETY: plain numbers.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, -1);
        std::net::UdpSocket::bind("127.0.0.1:0").expect("other sockets");
        std::fs::read("/proc/self/status").expect("files");
        // A second fence stands before the first.
        refuse_calls(Sockets::Only(&[Family::Unix])).unwrap();
        assert_eq!(std::net::UdpSocket::bind("127.0.0.1:0").unwrap_err().raw_os_error(), eperm);
        std::os::unix::net::UnixDatagram::unbound().expect("what is listed");
    }
}
