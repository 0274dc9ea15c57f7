//! Loading an XDP program for one interface alone (BPF_F_XDP_DEV_BOUND_ONLY, Linux 6.3), by which it may ask the driver for what the card
//! knows of a packet. The loader that we use for all else (aya) has no such flag.
use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{FromRawFd, OwnedFd};

/// linux/bpf.h
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;

/// The part of `union bpf_attr` for BPF_PROG_LOAD that is used; the kernel takes what is behind for zero.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// Loads instructions, of eight bytes each and complete, for the interface with this index. Needs CAP_BPF and CAP_NET_ADMIN.
pub fn load_device_bound(instructions: &[[u8; 8]], license: &CStr, name: &str, interface: u32) -> io::Result<OwnedFd> {
    let mut prog_name = [0; 16];
    prog_name[..15].iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    let load = Load {
        prog_type: BPF_PROG_TYPE_XDP,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: BPF_F_XDP_HAS_FRAGS | BPF_F_XDP_DEV_BOUND_ONLY,
        prog_name,
        prog_ifindex: interface,
        expected_attach_type: BPF_XDP,
    };
    // SAFETY: the kernel reads `Load` with its length, so many instructions and a text that ends with a zero; all outlive the call. It
    // checks every instruction before it runs any.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, std::ptr::from_ref(&load), size_of::<Load>()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
