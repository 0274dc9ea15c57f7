//! Loading the program, attaching it to an interface, and changing what it does while it runs.
use crate::counts::Reader;
use crate::interface::{Attached, attached};
use crate::offload::Offload;
use crate::peeked::{PEEKED, Peeked};
use crate::rules::{Policy, Prefix, Verdict};
use crate::steer::Sockets;
use crate::timed;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, Map, MapData, MapError};
use aya::programs::xdp::{XdpLinkId, XdpMode};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp, loaded_programs};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!("../program/sonda.bpf.o");

/// How the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver, before the kernel makes a packet of it.
    Native,
    /// In the kernel's stack, where the driver cannot: works everywhere, and is slow.
    Generic,
}

/// What the program answers about a frame, as XDP counts actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Dropped,
    Passed,
    Redirected,
    Other(u32),
}

/// What is wrong with the program or its interface; the message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EbpfError {
    #[error(
        "the kernel refused the XDP program: {0}. It needs Linux 5.18 or newer with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS"
    )]
    Load(String),
    #[error(
        "may not {what}: give the program CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_NET_RAW, or run it as root; in a container its seccomp \
         profile must allow bpf(2)"
    )]
    Permission { what: &'static str },
    #[error(
        "{interface} has another XDP program already: {name} (id {id}). Take it off with `ip link set dev {interface} xdp off` or the tool \
         that put it there (`bpftool net show dev {interface}`), or use --backend af_packet"
    )]
    Occupied { interface: String, id: u32, name: String },
    #[error("the XDP program cannot be attached to {interface}: {native} (native), {generic} (generic)")]
    Attach { interface: String, native: String, generic: String },
    #[error(
        "there are more AF_XDP sockets than the XDP program has places for: use fewer lanes, or fewer queues (`ethtool -L`)"
    )]
    Rows,
    #[error(
        "the XDP program cannot read the card's times: {0}. That needs Linux 6.3 or newer with CONFIG_DEBUG_INFO_BTF, and a driver that tells \
         XDP programs; leave hardware time out"
    )]
    Timed(String),
    #[error("the XDP program is in the hands of another process, which alone can do this")]
    Apart,
    #[error("map {map} of the XDP program: {cause}")]
    Map { map: &'static str, cause: String },
    #[error("{interface}: {cause}")]
    Interface { interface: String, cause: io::Error },
}

impl EbpfError {
    pub(crate) fn map(map: &'static str, cause: MapError) -> EbpfError {
        EbpfError::Map { map, cause: with_causes(&cause) }
    }
}

type Numbers = Array<MapData, u8>;
type Prefixes<const N: usize> = LpmTrie<MapData, [u8; N], u32>;

/// The loaded program of one interface. Dropping it detaches.
pub struct Program {
    bpf: Ebpf,
    link: Option<XdpLinkId>,
    /// In the place of the plain program, if the card's times are wanted.
    timed: Option<Xdp>,
    sockets: Sockets,
    counters: Reader,
    /// The map of counters once more, for other processes.
    counters_fd: OwnedFd,
    offload: Option<Offload>,
    rules: Rules,
}

impl Program {
    /// Loads it into the kernel; it is on no interface yet, and keeps everything.
    pub fn load() -> Result<Program, EbpfError> {
        Program::load_for(None)
    }

    /// The same for the interface with this index alone, with the card's time before each packet where it runs in the driver.
    pub fn load_timed(interface: u32) -> Result<Program, EbpfError> {
        Program::load_for(Some(interface))
    }

    fn load_for(timed: Option<u32>) -> Result<Program, EbpfError> {
        let mut loader = EbpfLoader::new();
        loader.btf(None).verifier_log_level(VerifierLogLevel::DISABLE);
        let mut bpf = loader.load(OBJECT).map_err(|e| loading(&e))?;
        for name in ["sonda", "peek"] {
            program(&mut bpf, name)?.load().map_err(|e| loading(&e))?;
        }
        // Before maps are taken out: it is given all of them.
        let timed = timed.map(|interface| timed::load(&bpf, interface)).transpose()?;
        let Some(Map::PerCpuArray(map)) = bpf.map("counters") else { return Err(absent()) };
        let counters_fd = map.fd().as_fd().try_clone_to_owned();
        let counters_fd = counters_fd.map_err(|e| EbpfError::Map { map: "counters", cause: e.to_string() })?;
        let counters = Arc::new(taken(&mut bpf, "counters")?);
        let offload = Offload::new(taken(&mut bpf, "flows")?, taken(&mut bpf, "tallies")?);
        let mut program = Program {
            link: None,
            timed,
            sockets: Sockets::new(taken(&mut bpf, "sockets")?, taken(&mut bpf, "spreads")?),
            counters: Reader(counters),
            counters_fd,
            offload: Some(offload),
            rules: Rules::new(&mut bpf)?,
            bpf,
        };
        program.set(&Policy::default())?;
        Ok(program)
    }

    /// Packets of this queue go to these sockets from now on, spread by their addresses ([`turn`](crate::turn)); answers the row of each,
    /// under which its packets are counted. Sockets must be bound to the queue, or packets are lost without being counted.
    pub fn give(&mut self, queue: u32, sockets: &[BorrowedFd<'_>]) -> Result<Vec<u32>, EbpfError> {
        self.sockets.give(queue, sockets)
    }

    /// The packets of this row's socket go to the stack from now on; waits until none is under way to the socket any more.
    pub fn withdraw(&mut self, row: u32) -> Result<(), EbpfError> {
        self.sockets.withdraw(row)?;
        // Where the kernel cannot say, programs have long ended after this time.
        sys::wait_for_programs().unwrap_or_else(|_| std::thread::sleep(std::time::Duration::from_millis(50)));
        Ok(())
    }

    /// Puts the program on the interface: in the driver if that can, else in the stack. `native` false asks for the stack at once.
    pub fn attach(&mut self, interface: &str, index: u32, native: bool) -> Result<Mode, EbpfError> {
        let now = attached(index).map_err(|cause| EbpfError::Interface { interface: interface.to_owned(), cause })?;
        if let Some(id) = now.program {
            return Err(occupied(interface, id));
        }
        let try_mode =
            |program: &mut Xdp, mode| program.attach_to_if_index(index, mode).map_err(|e| (errno(&e), with_causes(&e)));
        let native = match native {
            true => try_mode(self.attached()?, XdpMode::Driver),
            false => Err((0, "not asked for".to_owned())),
        };
        let (native_errno, native) = match native {
            Ok(link) => {
                self.link = Some(link);
                return Ok(Mode::Native);
            }
            Err(why) => why,
        };
        // The stack has no times of a card.
        self.timed = None;
        let (generic_errno, generic) = match try_mode(self.attached()?, XdpMode::Skb) {
            Ok(link) => {
                self.link = Some(link);
                return Ok(Mode::Generic);
            }
            Err(why) => why,
        };
        match (native_errno, generic_errno) {
            (libc::EPERM | libc::EACCES, _) | (_, libc::EPERM | libc::EACCES) => {
                Err(EbpfError::Permission { what: "attach an XDP program" })
            }
            _ => match attached(index) {
                Ok(Attached { program: Some(id), .. }) => Err(occupied(interface, id)),
                _ => Err(EbpfError::Attach { interface: interface.to_owned(), native, generic }),
            },
        }
    }

    /// Takes it off the interface again. When this returns, no packet is under way in it.
    pub fn detach(&mut self) -> Result<(), EbpfError> {
        if let Some(link) = self.link.take() {
            self.attached()?.detach(link).map_err(|e| loading(&e))?;
        }
        Ok(())
    }

    /// The program that is for the interface.
    fn attached(&mut self) -> Result<&mut Xdp, EbpfError> {
        match &mut self.timed {
            Some(timed) => Ok(timed),
            None => program(&mut self.bpf, "sonda"),
        }
    }

    /// Whether a stamp with the card's time stands before each packet.
    pub fn is_timed(&self) -> bool {
        self.timed.is_some()
    }

    /// Puts other rules in force, for each packet all at once; the program stays where it is.
    pub fn set(&mut self, policy: &Policy) -> Result<(), EbpfError> {
        self.rules.set(policy)
    }

    /// Reads counters, from any thread.
    pub fn counters(&self) -> Reader {
        self.counters.clone()
    }

    /// The map of the counters, for a [`Reader`] in another process.
    pub fn counters_fd(&self) -> BorrowedFd<'_> {
        self.counters_fd.as_fd()
    }

    /// The table of offloaded flows, for one owner: the first call takes it.
    pub fn offload(&mut self) -> Option<Offload> {
        self.offload.take()
    }

    /// Tells later whether the program is still on this interface.
    pub fn watch(&mut self, interface: &str, index: u32) -> Result<Watch, EbpfError> {
        let own = self.attached()?.info().map_err(|e| loading(&e))?.id();
        Ok(Watch::new(interface, index, own))
    }

    /// What the program would do with a frame of at least 14 bytes on queue 0 (BPF_PROG_TEST_RUN). The frame is counted.
    pub fn judge(&mut self, frame: &[u8]) -> Result<Action, EbpfError> {
        Ok(match self.run("sonda", frame)? {
            1 => Action::Dropped,
            2 => Action::Passed,
            4 => Action::Redirected,
            other => Action::Other(other),
        })
    }

    /// What the program reads in a frame.
    pub fn peek(&mut self, frame: &[u8]) -> Result<Peeked, EbpfError> {
        self.run("peek", frame)?;
        let peeks: Array<&MapData, [u8; PEEKED]> =
            Array::try_from(self.bpf.map("peeks").ok_or_else(absent)?).map_err(|e| EbpfError::map("peeks", e))?;
        Ok(Peeked::of(&peeks.get(&0, 0).map_err(|e| EbpfError::map("peeks", e))?))
    }

    fn run(&mut self, name: &'static str, frame: &[u8]) -> Result<u32, EbpfError> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        Ok(program(&mut self.bpf, name)?.test_run(options).map_err(|e| loading(&e))?.return_value)
    }
}

/// Looks after the program on an interface: other tools may take it off or put their own there.
#[derive(Clone, Debug)]
pub struct Watch {
    interface: String,
    index: u32,
    own: u32,
}

impl Watch {
    /// Looks after the program of this id.
    pub fn new(interface: &str, index: u32, program: u32) -> Watch {
        Watch { interface: interface.to_owned(), index, own: program }
    }

    /// The program's id.
    pub fn program(&self) -> u32 {
        self.own
    }

    /// An error says what is there instead.
    pub fn look(&self) -> Result<(), String> {
        let name = &self.interface;
        match attached(self.index) {
            Ok(Attached { program: Some(id), .. }) if id == self.own => Ok(()),
            Ok(Attached { program: Some(id), .. }) => {
                Err(format!("the XDP program of {name} was replaced by {} (id {id})", name_of(id)))
            }
            Ok(_) => Err(format!("the XDP program of {name} was taken off by another tool")),
            Err(cause) => Err(format!("{name} is gone: {cause}")),
        }
    }
}

/// The maps of rules, and what is in them: in force is generation `now`, the other one is what it was before.
struct Rules {
    turn: Array<MapData, u32>,
    policies: Array<MapData, [u32; 6]>,
    prefixes4: Prefixes<5>,
    prefixes6: Prefixes<17>,
    ports: Numbers,
    protocols: Numbers,
    vlans: Numbers,
    now: u8,
    written: [Policy; 2],
}

impl Rules {
    fn new(bpf: &mut Ebpf) -> Result<Rules, EbpfError> {
        Ok(Rules {
            turn: taken(bpf, "turn")?,
            policies: taken(bpf, "policies")?,
            prefixes4: taken(bpf, "prefixes4")?,
            prefixes6: taken(bpf, "prefixes6")?,
            ports: taken(bpf, "ports")?,
            protocols: taken(bpf, "protocols")?,
            vlans: taken(bpf, "vlans")?,
            now: 0,
            written: Default::default(),
        })
    }

    fn set(&mut self, policy: &Policy) -> Result<(), EbpfError> {
        let next = 1 - self.now;
        let old = std::mem::take(&mut self.written[usize::from(next)]);
        self.write(next, &old, true)?;
        // Noted first: what was written before an error is known and will be taken out.
        self.written[usize::from(next)] = policy.clone();
        self.write(next, policy, false)?;
        let kinds = u32::from(!policy.vlans.is_empty())
            | u32::from(!policy.protocols.is_empty()) << 1
            | u32::from(!policy.prefixes.is_empty()) << 2
            | u32::from(!policy.ports.is_empty()) << 3;
        let words = [
            kinds,
            policy.other as u32,
            policy.sampling.every,
            policy.sampling.by_flow.into(),
            policy.offload_every,
            policy.offload.into(),
        ];
        self.policies.set(next.into(), words, 0).map_err(|e| EbpfError::map("policies", e))?;
        self.turn.set(0, u32::from(next), 0).map_err(|e| EbpfError::map("turn", e))?;
        self.now = next;
        // The next change writes where programs may still be reading; rules are not changed so fast that the wait would matter.
        let _ = sys::wait_for_programs();
        Ok(())
    }

    /// Writes the rules of a generation, or takes them out.
    fn write(&mut self, generation: u8, policy: &Policy, out: bool) -> Result<(), EbpfError> {
        let at = u32::from(generation);
        numbers(
            &mut self.vlans,
            "vlans",
            at << 12,
            policy.vlans.iter().map(|(n, rule)| (u32::from(*n) & 0xfff, *rule)),
            out,
        )?;
        numbers(
            &mut self.protocols,
            "protocols",
            at << 8,
            policy.protocols.iter().map(|(n, rule)| (u32::from(*n), *rule)),
            out,
        )?;
        numbers(&mut self.ports, "ports", at << 16, policy.ports.iter().map(|(n, rule)| (u32::from(*n), *rule)), out)?;
        let mut four: HashMap<(u32, [u8; 5]), Verdict> = HashMap::new();
        let mut six: HashMap<(u32, [u8; 17]), Verdict> = HashMap::new();
        for (prefix, rule) in &policy.prefixes {
            let strongest = match prefix.address {
                IpAddr::V4(ip) => four.entry(key(generation, &ip.octets(), prefix)).or_insert(*rule),
                IpAddr::V6(ip) => six.entry(key(generation, &ip.octets(), prefix)).or_insert(*rule),
            };
            *strongest = (*strongest).max(*rule);
        }
        prefixes(&mut self.prefixes4, "prefixes4", four, out)?;
        prefixes(&mut self.prefixes6, "prefixes6", six, out)
    }
}

/// Key of a prefix: the generation counts as its first eight bits; bits behind the prefix are zero.
fn key<const N: usize>(generation: u8, octets: &[u8], prefix: &Prefix) -> (u32, [u8; N]) {
    let mut bytes = [0; N];
    bytes[0] = generation;
    let len = usize::from(prefix.len).min(octets.len() * 8);
    for (at, (byte, octet)) in bytes[1..].iter_mut().zip(octets).enumerate() {
        let bits = len.saturating_sub(at * 8).min(8);
        *byte = octet & (0xff00u16 >> bits) as u8;
    }
    (8 + len as u32, bytes)
}

fn numbers(
    map: &mut Numbers,
    name: &'static str,
    base: u32,
    rules: impl Iterator<Item = (u32, Verdict)>,
    out: bool,
) -> Result<(), EbpfError> {
    let mut strongest: HashMap<u32, Verdict> = HashMap::new();
    for (number, rule) in rules {
        let held = strongest.entry(number).or_insert(rule);
        *held = (*held).max(rule);
    }
    for (number, rule) in strongest {
        map.set(base | number, if out { 0 } else { rule as u8 }, 0).map_err(|e| EbpfError::map(name, e))?;
    }
    Ok(())
}

fn prefixes<const N: usize>(
    map: &mut Prefixes<N>,
    name: &'static str,
    rules: HashMap<(u32, [u8; N]), Verdict>,
    out: bool,
) -> Result<(), EbpfError> {
    for ((len, bytes), rule) in rules {
        let key = Key::new(len, bytes);
        match out {
            // One that was not written before an error came is not there.
            true => drop(map.remove(&key)),
            false => map.insert(&key, rule as u32, 0).map_err(|e| EbpfError::map(name, e))?,
        }
    }
    Ok(())
}

fn program<'b>(bpf: &'b mut Ebpf, name: &'static str) -> Result<&'b mut Xdp, EbpfError> {
    let program = bpf.program_mut(name).ok_or_else(absent)?;
    program.try_into().map_err(|e: ProgramError| loading(&e))
}

fn taken<M: TryFrom<aya::maps::Map, Error = MapError>>(bpf: &mut Ebpf, name: &'static str) -> Result<M, EbpfError> {
    M::try_from(bpf.take_map(name).ok_or_else(absent)?).map_err(|e| EbpfError::map(name, e))
}

pub(crate) fn absent() -> EbpfError {
    EbpfError::Load("its object lacks a part, so it is not the one of this version".to_owned())
}

pub(crate) fn loading(error: &(dyn std::error::Error + 'static)) -> EbpfError {
    match errno(error) {
        libc::EPERM | libc::EACCES => EbpfError::Permission { what: "load an XDP program" },
        // Without it the verifier is as strict as with programs of anybody, and its answer is any of several errors.
        _ if !sys::privileges::missing("cap_perfmon").is_empty() => {
            EbpfError::Permission { what: "load an XDP program" }
        }
        _ => EbpfError::Load(with_causes(error)),
    }
}

fn occupied(interface: &str, id: u32) -> EbpfError {
    EbpfError::Occupied { interface: interface.to_owned(), id, name: name_of(id) }
}

/// The name of a loaded program, if it may be asked.
fn name_of(id: u32) -> String {
    let named = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
    let name = named.and_then(|program| program.name_as_str().map(str::to_owned));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "another program".to_owned())
}

/// The system's error number at the bottom of an error, 0 if there is none.
fn errno(error: &(dyn std::error::Error + 'static)) -> i32 {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error().unwrap_or(0);
        }
        at = error.source();
    }
    0
}

/// An error with what caused it, on one line.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(cause) = at {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        at = cause.source();
    }
    text.trim().lines().next().unwrap_or_default().to_owned()
}
