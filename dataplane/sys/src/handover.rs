//! From a process with privileges to one that never had any: starting it, and handing it what was opened (SCM_RIGHTS, unix(7)).
//!
//! The child gives everything up between fork and exec, so no instruction of the program runs in it with a privilege. What it may use
//! comes through a [`Channel`]: messages with file descriptors, whole and in order (SOCK_SEQPACKET).
use crate::privileges::{Identity, leave_all};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Bytes of a message at the most.
pub const MESSAGE_MAX: usize = 4096;
/// Descriptors in a message at the most (SCM_MAX_FD of the kernel is 253).
pub const HANDED_MAX: usize = 250;

/// One end of a connection between two processes.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// Room for the descriptors of a message, aligned as `cmsghdr` must be.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    // CMSG_SPACE of the descriptors: a header, and less than a word for alignment.
    bytes: [u8; size_of::<libc::cmsghdr>() + HANDED_MAX * size_of::<RawFd>() + 16],
}

impl Channel {
    /// Both ends of a new connection; neither survives exec.
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let mut ends: [RawFd; 2] = [-1; 2];
        // SAFETY: the call writes two descriptors.
        if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr()) }
            != 0
        {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just made, nobody else's.
        Ok(ends.map(|end| Channel(unsafe { OwnedFd::from_raw_fd(end) })).into())
    }

    /// The end that [`start_without_privileges`] gave this process, by its number; once. Fails where that is no such socket.
    pub fn inherited(number: RawFd) -> io::Result<Channel> {
        let mut kind: libc::c_int = 0;
        let mut len = size_of::<libc::c_int>() as libc::socklen_t;
        let place = std::ptr::from_mut(&mut kind).cast();
        // SAFETY: the kernel writes at most `len` bytes to an integer.
        let answer = unsafe { libc::getsockopt(number, libc::SOL_SOCKET, libc::SO_TYPE, place, &mut len) };
        if number <= 2 || answer != 0 || kind != libc::SOCK_SEQPACKET {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: plain numbers.
        let flagged = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        if flagged != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open, of the kind that the parent hands over, and nobody in a process that has just begun has it.
        Ok(Channel(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// The same end once more.
    pub fn try_clone(&self) -> io::Result<Channel> {
        self.0.try_clone().map(Channel)
    }

    /// Waits until nobody has the other end any more.
    pub fn wait_for_end(&self) {
        let mut asked = libc::pollfd { fd: self.0.as_raw_fd(), events: 0, revents: 0 };
        while asked.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) == 0 {
            // SAFETY: one pollfd, which outlives the call.
            let answer = unsafe { libc::poll(&mut asked, 1, -1) };
            if answer < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return;
            }
        }
    }

    /// Sends a message of 1 to [`MESSAGE_MAX`] bytes with at most [`HANDED_MAX`] descriptors; the receiver gets copies of these.
    pub fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if message.is_empty() || message.len() > MESSAGE_MAX || fds.len() > HANDED_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut part = libc::iovec { iov_base: message.as_ptr().cast_mut().cast(), iov_len: message.len() };
        // SAFETY: integers only; all zero is a value.
        let mut control: Control = unsafe { std::mem::zeroed() };
        let mut header = header(&mut part, &mut control);
        let bytes = size_of_val(fds) as u32;
        if fds.is_empty() {
            (header.msg_control, header.msg_controllen) = (std::ptr::null_mut(), 0);
        } else {
            // SAFETY: only computes a length; it is within `Control` for HANDED_MAX descriptors.
            header.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
            // SAFETY: there is room for a header and `bytes` behind it, so it is not null; BorrowedFd is a RawFd in memory.
            unsafe {
                let first = libc::CMSG_FIRSTHDR(&header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(bytes) as _;
                std::ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(first), bytes as usize);
            }
        }
        loop {
            // SAFETY: the header points to the message, which is only read, and to the descriptors; both outlive the call.
            if unsafe { libc::sendmsg(self.0.as_raw_fd(), &header, libc::MSG_NOSIGNAL) } >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Waits for a message; an empty one is the end, when nobody has the other end any more.
    pub fn receive(&self) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
        let mut message = vec![0; MESSAGE_MAX];
        let mut part = libc::iovec { iov_base: message.as_mut_ptr().cast(), iov_len: message.len() };
        // SAFETY: integers only; all zero is a value.
        let mut control: Control = unsafe { std::mem::zeroed() };
        let mut header = header(&mut part, &mut control);
        let len = loop {
            header.msg_controllen = size_of::<Control>() as _;
            // SAFETY: the header points to memory that the kernel may fill as far as it is told, and that outlives the call.
            let len = unsafe { libc::recvmsg(self.0.as_raw_fd(), &mut header, libc::MSG_CMSG_CLOEXEC) };
            if len >= 0 {
                break len as usize;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        };
        let fds = taken(&header);
        if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of the other process was cut"));
        }
        message.truncate(len);
        Ok((message, fds))
    }
}

/// The descriptors that came with a message.
fn taken(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled the control memory as far as `msg_controllen` says; the macros stay inside it, and a header of
    // SCM_RIGHTS is followed by as many descriptors as its length says, each new and ours.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(header);
        while !at.is_null() {
            if (*at).cmsg_level == libc::SOL_SOCKET && (*at).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*at).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let first = libc::CMSG_DATA(at).cast::<RawFd>();
                for n in 0..bytes / size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(first.add(n).read_unaligned()));
                }
            }
            at = libc::CMSG_NXTHDR(header, at);
        }
    }
    fds
}

fn header(part: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: integers and pointers; all zero is a value.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (header.msg_iov, header.msg_iovlen) = (part, 1);
    (header.msg_control, header.msg_controllen) = (std::ptr::from_mut(control).cast(), size_of::<Control>() as _);
    header
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Starts a program that has no privilege from its first instruction on: another user if one is given, no capability in any set,
/// `no_new_privs`. It has a process group of its own, and finds its ends of channels under the numbers, separated by commas, that the
/// variable `name` of its environment has. When this process ends it notices by [`Channel::wait_for_end`]: PR_SET_PDEATHSIG would send its
/// signal once for each thread of a parent that is killed.
pub fn start_without_privileges(
    command: &mut Command,
    channels: &[Channel],
    name: &str,
    identity: Option<Identity>,
) -> io::Result<Child> {
    let numbers: Vec<RawFd> = channels.iter().map(|channel| channel.0.as_raw_fd()).collect();
    let text: Vec<String> = numbers.iter().map(RawFd::to_string).collect();
    command.env(name, text.join(",")).process_group(0);
    let before_exec = move || {
        let code = leave_all(identity.as_ref());
        if code != 0 {
            return Err(io::Error::from_raw_os_error(code));
        }
        // SAFETY: plain numbers; the descriptors are this child's copies.
        let kept = numbers.iter().all(|number| unsafe { libc::fcntl(*number, libc::F_SETFD, 0) } == 0);
        if !kept { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure makes system calls only, on memory that was taken before.
    unsafe { command.pre_exec(before_exec) };
    command.spawn()
}

/// Starts a program that is killed when the calling thread ends, and with it when this process does. It inherits no descriptor but the three
/// standard ones, whoever left others open.
pub fn start_bound(command: &mut Command) -> io::Result<Child> {
    let parent = std::process::id();
    let before_exec = move || {
        // Closed by exec, not now: one of them tells the parent if exec fails. Linux before 5.11 cannot; then they are as they were opened.
        // SAFETY: plain numbers; the descriptors are this child's copies.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        // SAFETY: plain numbers.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: takes nothing, always succeeds.
        let is_orphan = unsafe { libc::getppid() } as u32 != parent;
        // The parent was gone before it could be noticed.
        if is_orphan { Err(io::Error::from_raw_os_error(libc::ESRCH)) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure makes system calls only, on memory that was taken before.
    unsafe { command.pre_exec(before_exec) };
    command.spawn()
}

/// A descriptor that is [`readable`](crate::readable) when a child that was not waited for yet has ended (pidfd_open(2), Linux 5.3).
pub fn end_of(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers; a child that was not waited for keeps its number.
    match unsafe { libc::syscall(libc::SYS_pidfd_open, child.id() as libc::pid_t, 0) } {
        // SAFETY: just made, nobody else's.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a signal to a child that was not waited for yet.
pub fn signal(child: u32, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    match unsafe { libc::kill(child as libc::pid_t, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, Write};

    #[test]
    fn messages_come_whole_with_their_files_and_end() {
        let (here, there) = Channel::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"handed over").unwrap();
        file.rewind().unwrap();
        here.send(b"one", &[]).unwrap();
        here.send(&[7; MESSAGE_MAX], &[file.as_fd(), here.as_fd()]).unwrap();
        assert_eq!(there.receive().map(|(text, fds)| (text, fds.len())).unwrap(), (b"one".to_vec(), 0));
        let (message, fds) = there.receive().unwrap();
        assert_eq!((message.len(), fds.len()), (MESSAGE_MAX, 2));
        let mut text = String::new();
        File::from(fds.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "handed over");
        assert_eq!(here.send(&[], &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(
            here.send(&[1], &vec![file.as_fd(); HANDED_MAX + 1]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        here.send(&[1], &vec![file.as_fd(); HANDED_MAX]).unwrap();
        assert_eq!(there.receive().unwrap().1.len(), HANDED_MAX);
        drop(here);
        there.try_clone().unwrap().wait_for_end();
        assert!(there.receive().unwrap().0.is_empty());
        assert!(there.send(b"x", &[]).is_err());
        assert!(Channel::inherited(file.as_raw_fd()).is_err());
    }

    /// The variable under which the test below runs in a process of its own, as the one that starts another.
    const STARTS: &str = "SONDA_STARTS_BOUND";

    #[test]
    fn a_bound_child_inherits_nothing_and_dies_with_its_parent() {
        let name = "handover::tests::a_bound_child_inherits_nothing_and_dies_with_its_parent";
        if std::env::var_os(STARTS).is_some() {
            // Left open on purpose, as a library might.
            let (_here, there) = Channel::pair().unwrap();
            // SAFETY: plain numbers.
            assert_eq!(unsafe { libc::fcntl(there.0.as_raw_fd(), libc::F_SETFD, 0) }, 0);
            let mut command = Command::new("sh");
            command.args(["-c", "ls -l /proc/$$/fd; echo number $$; exec sleep 1000"]);
            let mut child = start_bound(&mut command).unwrap();
            let ended = end_of(&child).unwrap();
            assert!(!crate::readable(ended.as_fd(), std::time::Duration::ZERO).unwrap());
            child.wait().unwrap();
            return;
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", name, "--nocapture"]).env(STARTS, "1").stdout(std::process::Stdio::piped());
        let mut parent = command.spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
        let mut before = Vec::new();
        let number: u32 = loop {
            let line = lines.next().expect("the number comes").unwrap();
            if let Some(number) = line.strip_prefix("number ") {
                break number.parse().unwrap();
            }
            before.push(line);
        };
        let open = before.join("\n");
        assert!(open.contains(" 0 -> ") && !open.contains("socket:"), "{open}");
        parent.kill().unwrap();
        parent.wait().unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
        // Gone, or dead and not yet waited for by who adopted it.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(std::time::Instant::now() < end, "it lives on: {}", state());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    #[test]
    fn a_child_begins_without_privileges() {
        let (_here, there) = Channel::pair().unwrap();
        let nobody = Identity { uid: 65534, gid: 65534, groups: vec![65534] };
        let mut command = Command::new("sh");
        command.args(["-c", "cat /proc/self/status; test -S /proc/self/fd/$LANE_END && echo its end is open"]);
        command.stdout(std::process::Stdio::piped());
        let child =
            start_without_privileges(&mut command, &[there], "LANE_END", Some(nobody)).expect("this test needs root");
        let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(text.contains(&format!("{set}:\t0000000000000000\n")), "{text}");
        }
        for line in ["NoNewPrivs:\t1", "Uid:\t65534\t65534\t65534\t65534", "Groups:\t65534", "its end is open"] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
    }
}
