//! An interface that one process opens and another reads: the opener has privileges and sees no packet, the reader has none.
//!
//! The opener makes what needs privileges: the program with its maps, and sockets that are nothing yet. The reader gets these, registers
//! memory of its own, maps the rings and binds, which needs no capability. What they say to each other, in native 32-bit words:
//!
//! 1. opener: index of the interface, number of queues; with the map of counters
//! 2. for each queue, opener: its number; with its sockets. Reader: its number, when they are bound. Opener: their rows in the maps.
//! 3. opener, when the program is attached: mode (1 in the driver, 2 in the stack), id of the program
//! 4. when a lane closes, reader: a row. Opener: 0, when no packet is under way to its socket any more, or an error number.
//!
//! When the reader ends, whatever the reason, the opener takes the program off. When the opener ends, so does the program, which the reader
//! notices as it would notice another tool's doing.
use super::errors::{backend, refused};
use super::open::Plan;
use super::rss::Changed;
use super::{Holder, XdpConfig, XdpSource};
use crate::capture::CaptureError;
use crate::capture::live::LiveError;
use ebpf::{EbpfError, Mode, Program, Reader, Watch};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use sys::Promiscuous;
use sys::handover::Channel;
use sys::xsk::Xsk;

/// An interface that was opened for another process, until this value is dropped.
pub struct XdpOpener {
    program: Program,
    _promiscuous: Option<Promiscuous>,
    channel: Channel,
    /// After the program, under which the number of queues may not change.
    _changed: Changed,
}

impl XdpOpener {
    /// Opens the interface and hands it to the reader at the other end, who must do [`XdpSource::adopt`] with the same name and configuration.
    pub fn open(name: &str, config: &XdpConfig, channel: Channel) -> Result<XdpOpener, CaptureError> {
        let plan = Plan::new(name, config, None)?;
        let mut program = plan.program()?;
        let told = |cause| lost(name, cause);
        channel.send(&words(&[plan.index, plan.layout.len() as u32]), &[program.counters_fd()]).map_err(told)?;
        for (queue, lanes) in (0..).zip(&plan.layout) {
            let sockets: io::Result<Vec<_>> = lanes.iter().map(|_| Xsk::unbound()).collect();
            let sockets = sockets.map_err(|cause| plan.wrong(queue, no_socket(cause)))?;
            let given: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            channel.send(&words(&[queue]), &given).map_err(told)?;
            let (bound, _) = heard(&channel).map_err(told)?;
            if bound != [queue] {
                return Err(lost(name, io::ErrorKind::InvalidData.into()));
            }
            let rows = program.give(queue, &given).map_err(|e| refused(name, e))?;
            channel.send(&words(&rows), &[]).map_err(told)?;
        }
        let (promiscuous, mode, watch) = plan.attach(&mut program)?;
        let mode = if mode == Mode::Native { 1 } else { 2 };
        channel.send(&words(&[mode, watch.program()]), &[]).map_err(told)?;
        Ok(XdpOpener { program, _promiscuous: promiscuous, channel, _changed: plan.changed })
    }

    /// Does what the reader asks for until it ends.
    pub fn serve(mut self) {
        while let Ok((asked, _)) = heard(&self.channel) {
            let answer = match asked[..] {
                [row] => self.program.withdraw(row).map_or(libc::EIO as u32, |()| 0),
                _ => libc::EINVAL as u32,
            };
            if self.channel.send(&words(&[answer]), &[]).is_err() {
                return;
            }
        }
    }
}

impl XdpSource {
    /// Takes over an interface that another process opens. Needs no capability; the memory of the rings is charged to RLIMIT_MEMLOCK.
    pub fn adopt(name: &str, config: &XdpConfig, channel: Channel) -> Result<Vec<XdpSource>, CaptureError> {
        let told = |cause| lost(name, cause);
        let strange = || lost(name, io::ErrorKind::InvalidData.into());
        let (opened, mut maps) = heard(&channel).map_err(told)?;
        let (&[index, queues], Some(map)) = (&opened[..], maps.pop()) else { return Err(strange()) };
        let plan = Plan::new(name, config, Some(queues))?;
        if index != plan.index {
            return Err(LiveError::Gone { name: name.into() }.into());
        }
        let counters = Reader::of_map(map).map_err(|e| refused(name, e))?;
        let mut lanes = plan.lanes();
        for queue in 0..queues {
            let (number, sockets) = heard(&channel).map_err(told)?;
            if number != [queue] {
                return Err(strange());
            }
            let sockets = Xsk::adopt(sockets, &plan.socket(queue)).map_err(|e| plan.wrong(queue, e))?;
            channel.send(&words(&[queue]), &[]).map_err(told)?;
            let (rows, _) = heard(&channel).map_err(told)?;
            if rows.len() != sockets.len() {
                return Err(strange());
            }
            plan.place(&mut lanes, queue, sockets, rows);
        }
        let (attached, _) = heard(&channel).map_err(told)?;
        let [mode, program] = attached[..] else { return Err(strange()) };
        let mode = if mode == 1 { Mode::Native } else { Mode::Generic };
        let holder = Holder::Apart(Lease(Mutex::new(channel)));
        Ok(plan.sources(lanes, holder, counters, mode, Watch::new(name, index, program), None))
    }
}

/// What a reader has of the opener.
pub(super) struct Lease(Mutex<Channel>);

impl Lease {
    /// Has the opener take a socket out of the map, and waits until it has.
    pub(super) fn withdraw(&self, row: u32) -> Result<(), EbpfError> {
        let channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = channel.send(&words(&[row]), &[]).and_then(|()| heard(&channel));
        match answer {
            Ok((answer, _)) if answer == [0] => Ok(()),
            // Its program went with it: nothing more comes.
            Err(_) => Ok(()),
            Ok((answer, _)) => {
                let code = answer.first().map_or(libc::EIO, |code| *code as i32);
                Err(EbpfError::Map { map: "sockets", cause: io::Error::from_raw_os_error(code).to_string() })
            }
        }
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// The next message. The end is an error.
fn heard(channel: &Channel) -> io::Result<(Vec<u32>, Vec<OwnedFd>)> {
    let (message, fds) = channel.receive()?;
    if message.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let words = message.chunks_exact(4).map(|word| word.first_chunk().copied().map_or(0, u32::from_ne_bytes));
    Ok((words.collect(), fds))
}

fn lost(name: &str, cause: io::Error) -> CaptureError {
    match cause.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            backend(name, "the other of its two processes has ended; what it says is the reason".into())
        }
        _ => backend(name, format!("its two processes do not understand each other: {cause}")),
    }
}

fn no_socket(cause: io::Error) -> sys::xsk::XskError {
    sys::xsk::XskError { step: sys::xsk::XskStep::Socket, cause, need: 0 }
}
