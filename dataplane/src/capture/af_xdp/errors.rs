//! What can go wrong at opening, and what to do about it.
use super::huge::HugePool;
use crate::capture::CaptureError;
use crate::capture::live::LiveError;
use ebpf::EbpfError;
use std::io;
use sys::xsk::{HugePages, XskError, XskStep};

pub(super) fn backend(name: &str, why: String) -> CaptureError {
    LiveError::Backend { name: name.into(), backend: "af_xdp", why }.into()
}

pub(super) fn too_many(name: &str, lanes: u32, queues: u32) -> String {
    let most = ebpf::QUEUES_MAX;
    match queues > most {
        true => format!(
            "it has {queues} receive queues, and at most {most} are served: use `ethtool -L {name}` to have less"
        ),
        false => format!(
            "{lanes} lanes with a socket on each of its {queues} queues are too many: use fewer lanes, or fewer queues (`ethtool -L {name}`)"
        ),
    }
}

pub(super) fn no_interface(name: &str, cause: io::Error) -> CaptureError {
    match cause.raw_os_error() {
        Some(libc::ENODEV) => {
            let known = sys::interfaces().unwrap_or_default().join(", ");
            LiveError::NoInterface { name: name.into(), known }.into()
        }
        _ => LiveError::System { name: name.into(), what: "looking at the interface", cause }.into(),
    }
}

pub(super) fn refused(name: &str, error: EbpfError) -> CaptureError {
    match error {
        EbpfError::Permission { what } => LiveError::Permission {
            name: name.into(),
            what,
            capability: "cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw",
        }
        .into(),
        other => backend(name, other.to_string()),
    }
}

pub(super) fn wrong(name: &str, queue: u32, layout: &[Vec<u32>], huge: HugePages, error: XskError) -> CaptureError {
    let XskError { step, cause, need } = error;
    let name = name.to_string();
    match (step, cause.raw_os_error()) {
        (XskStep::Socket, Some(libc::EPERM | libc::EACCES)) => {
            LiveError::Permission { name, what: "an AF_XDP socket", capability: "cap_net_raw" }.into()
        }
        (XskStep::Socket, Some(libc::EAFNOSUPPORT)) => backend(&name, "the kernel has no CONFIG_XDP_SOCKETS".into()),
        // xdp_umem_account_pages, net/xdp/xdp_umem.c: over RLIMIT_MEMLOCK and without CAP_IPC_LOCK.
        (XskStep::Register, Some(libc::ENOBUFS)) => {
            let limit = sys::memlock().map_or("some bytes".to_string(), |n| format!("{n} bytes"));
            let sockets = layout.get(queue as usize).map_or(1, Vec::len).max(1) as u64;
            let all = layout.iter().map(Vec::len).sum::<usize>() as u64 * (need / sockets);
            let advice = format!(
                "raise the limit to {all} for all queues (`LimitMEMLOCK={all}` in the unit file, `ulimit -l {}`), give the program \
                 cap_ipc_lock, or make the ring smaller",
                all >> 10
            );
            let cause = io::Error::other(format!("for queue {queue}, and locked memory is limited to {limit}"));
            LiveError::Memory { name, need, cause, advice }.into()
        }
        (XskStep::Memory, _) if huge == HugePages::Must => {
            let advice = HugePool::look().advice(need, queue, layout);
            LiveError::Memory { name, need, cause, advice }.into()
        }
        (XskStep::Memory | XskStep::Register, _) => {
            let advice = "make the ring smaller or use fewer queues".to_string();
            LiveError::Memory { name, need, cause, advice }.into()
        }
        (XskStep::Bind, Some(libc::EBUSY)) => {
            backend(&name, format!("queue {queue} has an AF_XDP socket of another program already"))
        }
        (XskStep::Bind, Some(libc::EOPNOTSUPP)) => {
            backend(&name, "its driver has no zero-copy: use --af-xdp zero-copy=auto".into())
        }
        (XskStep::Bind, _) => backend(&name, format!("its queue {queue} cannot be bound: {cause}")),
        (XskStep::Socket, _) => LiveError::System { name, what: "an AF_XDP socket cannot be made", cause }.into(),
        (XskStep::Rings, _) => {
            LiveError::System { name, what: "the rings of an AF_XDP socket cannot be made", cause }.into()
        }
    }
}
