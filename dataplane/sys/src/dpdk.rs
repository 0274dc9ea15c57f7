//! DPDK's ports and rings through a C shim (`dpdk/shim.c`): bursts of mbufs that are lent and freed.
//!
//! What is not known about a device is asked of DPDK; what DPDK leaves to its callers' care (one start a process, one owner a port, one
//! thread a queue) is held by types here. Shared memory of another process, which a ring's mbufs lie in, is believed.
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// mbufs taken at a time.
const BURST: usize = 64;
/// Room for a frame in pieces, one for each place in a burst; longer ones are cut. `SPARE` of the shim.
const SPARE: usize = 16_384;

#[repr(C)]
#[derive(Clone, Copy)]
struct RawFrame {
    data: *const u8,
    len: u32,
    wire_len: u32,
    at: u64,
}

#[repr(C)]
struct RawInput {
    ring: *mut c_void,
    port: u16,
    queue: u16,
    stamp_at: i32,
    stamp_flag: u64,
}

#[repr(C)]
struct RawPort {
    mbufs: u32,
    queues: u16,
    descriptors: u16,
    mtu: u16,
    promiscuous: u16,
    rss: u64,
    step: *const c_char,
    driver: [c_char; 40],
    room: u16,
    spread: u16,
}

unsafe extern "C" {
    fn sonda_eal_start(argc: c_int, argv: *mut *mut c_char) -> c_int;
    fn sonda_eal_end();
    fn sonda_error(code: c_int) -> *const c_char;
    fn sonda_ports() -> u16;
    fn sonda_port_named(name: *const c_char, port: *mut u16) -> c_int;
    fn sonda_port_valid(port: u16) -> c_int;
    fn sonda_in_use(port: u16, queue: u16) -> u32;
    fn sonda_port_open(port: u16, options: *mut RawPort) -> c_int;
    fn sonda_port_close(port: u16, queues: u16);
    fn sonda_port_stats(port: u16, four: *mut u64) -> c_int;
    fn sonda_hash_key() -> *const u8;
    fn sonda_ring(name: *const c_char) -> *mut c_void;
    fn sonda_stamps(input: *mut RawInput);
    fn sonda_receive(
        input: *const RawInput,
        held: *mut *mut c_void,
        frames: *mut RawFrame,
        spare: *mut u8,
        max: u16,
    ) -> u16;
    fn sonda_free(held: *mut *mut c_void, count: u16);
    fn sonda_ring_make(name: *const c_char, places: u32, mbufs: u32, room: u16, of: *mut *mut c_void) -> *mut c_void;
    fn sonda_ring_in_use(of: *mut c_void) -> u32;
    fn sonda_ring_send(ring: *mut c_void, of: *mut c_void, bytes: *const u8, len: u32, piece: u32) -> c_int;
}

/// A call of DPDK that failed, and DPDK's word for why.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {cause}")]
pub struct DpdkError {
    pub step: String,
    pub cause: String,
}

impl DpdkError {
    fn new(step: impl Into<String>, cause: impl Into<String>) -> DpdkError {
        DpdkError { step: step.into(), cause: cause.into() }
    }

    fn of(step: impl Into<String>, code: c_int) -> DpdkError {
        // SAFETY: rte_strerror answers a string that ends with zero and stays until this thread asks again; it is copied at once.
        let cause = unsafe { CStr::from_ptr(sonda_error(-code)) };
        DpdkError::new(step, cause.to_string_lossy())
    }
}

fn c_string(text: &str) -> Result<CString, DpdkError> {
    CString::new(text).map_err(|_| DpdkError::new(text.replace('\0', "\\0"), "has a zero byte"))
}

/// Called once in a process.
fn init(args: &[CString]) -> c_int {
    let mut argv: Vec<*mut c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
    argv.push(ptr::null_mut());
    // SAFETY: `argv` has as many strings as said and a null behind them. DPDK only reorders the pointers and reads the strings, which
    // live as long as the `Eal`.
    unsafe { sonda_eal_start(args.len() as c_int, argv.as_mut_ptr()) }
}

/// DPDK's environment, started; it ends with the last of its ports and rings.
#[derive(Debug)]
pub struct Eal {
    /// Names of ports and rings that have an owner.
    owned: Mutex<Vec<String>>,
    /// DPDK may keep pointers into its arguments.
    _args: Vec<CString>,
}

impl Eal {
    /// Starts it with these arguments, once in a process.
    pub fn start(args: &[String]) -> Result<Arc<Eal>, DpdkError> {
        static STARTED: AtomicBool = AtomicBool::new(false);
        // These print and call exit().
        if let Some(no) = args.iter().find(|arg| matches!(arg.as_str(), "-h" | "--help")) {
            return Err(DpdkError::new(no, "not an argument for this program"));
        }
        let args: Vec<CString> = std::iter::once(Ok(c"sonda".to_owned()))
            .chain(args.iter().map(|arg| c_string(arg)))
            .collect::<Result<_, _>>()?;
        if STARTED.swap(true, Ordering::SeqCst) {
            return Err(DpdkError::new("rte_eal_init", "DPDK was already started in this process"));
        }
        // On a thread of its own: DPDK binds the one that starts it to a processor and numbers it. Two processes may use the same numbers,
        // and those that free mbufs under one number write to one cache without a lock ("Multi-process Support", limitations); threads
        // without a number use none.
        let code = std::thread::scope(|scope| scope.spawn(|| init(&args)).join());
        let code = code.map_err(|_| DpdkError::new("rte_eal_init", "did not come back"))?;
        if code < 0 {
            return Err(DpdkError::of("rte_eal_init", code));
        }
        Ok(Arc::new(Eal { owned: Mutex::default(), _args: args }))
    }

    /// Ports that no program has taken.
    pub fn ports(&self) -> u16 {
        // SAFETY: DPDK has started and ends only with this value.
        unsafe { sonda_ports() }
    }

    /// The number of a port by its number or its device's name.
    pub fn port(&self, name: &str) -> Result<u16, DpdkError> {
        let no = || DpdkError::new(format!("port {name}"), format!("not there; DPDK has {} ports", self.ports()));
        let mut port = 0;
        match name.parse() {
            Ok(number) => port = number,
            Err(_) => {
                let name = c_string(name)?;
                // SAFETY: the name ends with zero, `port` takes the answer; DPDK has started.
                let code = unsafe { sonda_port_named(name.as_ptr(), &mut port) };
                (code == 0).then_some(()).ok_or_else(no)?;
            }
        }
        // SAFETY: any number may be asked for; DPDK has started.
        let valid = unsafe { sonda_port_valid(port) } == 1;
        valid.then_some(port).ok_or_else(no)
    }

    fn own(&self, what: String) -> Result<(), DpdkError> {
        let mut owned = self.owned.lock().unwrap_or_else(PoisonError::into_inner);
        if owned.contains(&what) {
            return Err(DpdkError::new(what, "is already an input"));
        }
        owned.push(what);
        Ok(())
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        // SAFETY: ports, rings and queues hold an `Arc` of this value, so none is left.
        unsafe { sonda_eal_end() };
    }
}

/// How a port is to be set up.
#[derive(Clone, Debug)]
pub struct PortOptions {
    pub queues: u16,
    /// Buffers of each queue, and how many of them wait in its descriptors; the device may want another number of those.
    pub mbufs: u32,
    pub descriptors: u16,
    /// 0 leaves it as it is.
    pub mtu: u16,
    /// RTE_ETH_RSS_ bits, 0 = addresses.
    pub rss: u64,
    pub promiscuous: bool,
}

/// A port that receives.
#[derive(Debug)]
pub struct Port {
    eal: Arc<Eal>,
    number: u16,
    queues: u16,
    pub driver: String,
    /// Whether the device spreads packets over its queues by a hash that is the same for both directions.
    pub spread: bool,
    pub descriptors: u16,
}

/// The key of the hash by which devices spread packets over their queues; each takes as much of it as it wants, usually 40 or 52 bytes.
pub fn hash_key() -> [u8; 256] {
    // SAFETY: the shim answers an array of 256 bytes that stays, and writes the same bytes to it each time.
    unsafe { sonda_hash_key().cast::<[u8; 256]>().read() }
}

/// What a port has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Received and handed to whoever asks for bursts, or waiting for that.
    pub received: u64,
    /// No free descriptor.
    pub missed: u64,
    /// No free mbuf.
    pub no_mbuf: u64,
    /// Broken frames.
    pub errors: u64,
}

impl Port {
    /// Sets up and starts a port; answers it and its queues.
    pub fn open(eal: &Arc<Eal>, number: u16, options: &PortOptions) -> Result<(Arc<Port>, Vec<Queue>), DpdkError> {
        // SAFETY: any number may be asked for; DPDK has started.
        if unsafe { sonda_port_valid(number) } != 1 {
            return Err(DpdkError::new(format!("port {number}"), "not there"));
        }
        eal.own(format!("port {number}"))?;
        let mut raw = RawPort {
            mbufs: options.mbufs,
            queues: options.queues.max(1),
            descriptors: options.descriptors,
            mtu: options.mtu,
            promiscuous: options.promiscuous.into(),
            rss: options.rss,
            step: ptr::null(),
            driver: [0; 40],
            room: 0,
            spread: 0,
        };
        // SAFETY: the port is there and nobody else's (`own`), so it is neither configured nor started; `raw` is laid out as the shim's.
        let code = unsafe { sonda_port_open(number, &mut raw) };
        let mut port = Port {
            eal: eal.clone(),
            number,
            queues: raw.queues,
            driver: String::new(),
            spread: raw.spread != 0,
            descriptors: raw.descriptors,
        };
        if code < 0 {
            // SAFETY: the shim has set `step` to a string constant before each call that can fail.
            let step = unsafe { CStr::from_ptr(raw.step) }.to_string_lossy();
            return Err(DpdkError::of(step.split('(').next().unwrap_or_default(), code));
        }
        // SAFETY: the shim ends the name with zero within the array (snprintf).
        port.driver = unsafe { CStr::from_ptr(raw.driver.as_ptr()) }.to_string_lossy().into_owned();
        let port = Arc::new(port);
        let queue = |queue| Queue::new(Keeper::Port(port.clone()), ptr::null_mut(), number, queue);
        let queues = (0..raw.queues).map(queue).collect();
        Ok((port, queues))
    }

    pub fn stats(&self) -> PortStats {
        let mut four = [0; 4];
        // SAFETY: the port is open, and `four` takes four numbers.
        let code = unsafe { sonda_port_stats(self.number, four.as_mut_ptr()) };
        let [received, missed, no_mbuf, errors] = if code == 0 { four } else { [0; 4] };
        PortStats { received, missed, no_mbuf, errors }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: only this value has the port; its queues hold an `Arc` of it, so no mbuf is lent and no thread receives. The port may
        // have failed half-way: stopping and closing are defined for that, and a missing pool is none (rte_mempool_free of null).
        unsafe { sonda_port_close(self.number, self.queues) };
        self.eal.owned.lock().unwrap_or_else(PoisonError::into_inner).retain(|o| *o != format!("port {}", self.number));
    }
}

/// What must outlive a queue.
enum Keeper {
    Port(Arc<Port>),
    Ring(Arc<Eal>, String),
}

/// A receive queue of a port, or a ring that another process fills. One thread at a time has it.
pub struct Queue {
    input: RawInput,
    /// Taken mbufs; those from `next` to `end` are ours and not yet lent.
    held: Box<[*mut c_void; BURST]>,
    frames: Box<[RawFrame; BURST]>,
    next: usize,
    end: usize,
    spare: Vec<u8>,
    keeper: Keeper,
}

// SAFETY: mbufs, rings and queues may be used from any thread, one at a time for a queue (DPDK Programmer's Guide, "Poll Mode Driver",
// "Logical Cores, Memory and NIC Queues Relationships"); all use goes through `&mut self`. The pointers go to DPDK's memory or to our boxes.
unsafe impl Send for Queue {}

impl Queue {
    /// A ring of the process that this one was started as a secondary to. Its mbufs are freed to the pool that they came from.
    pub fn ring(eal: &Arc<Eal>, name: &str) -> Result<Queue, DpdkError> {
        let ring = NonNull::new({
            let name = c_string(name)?;
            // SAFETY: the name ends with zero, and DPDK has started.
            unsafe { sonda_ring(name.as_ptr()) }
        });
        let ring = ring.ok_or_else(|| DpdkError::new(format!("ring {name}"), "not there"))?;
        let owned = format!("ring {name}");
        eal.own(owned.clone())?;
        Ok(Queue::new(Keeper::Ring(eal.clone(), owned), ring.as_ptr(), 0, 0))
    }

    fn new(keeper: Keeper, ring: *mut c_void, port: u16, queue: u16) -> Queue {
        let mut input = RawInput { ring, port, queue, stamp_at: -1, stamp_flag: 0 };
        // SAFETY: DPDK has started; `input` is laid out as the shim's.
        unsafe { sonda_stamps(&mut input) };
        let none = RawFrame { data: ptr::null(), len: 0, wire_len: 0, at: 0 };
        Queue {
            input,
            held: Box::new([ptr::null_mut(); BURST]),
            frames: Box::new([none; BURST]),
            next: 0,
            end: 0,
            // Untouched pages of it cost nothing.
            spare: vec![0; BURST * SPARE],
            keeper,
        }
    }

    pub fn port(&self) -> Option<&Arc<Port>> {
        match &self.keeper {
            Keeper::Port(port) => Some(port),
            Keeper::Ring(..) => None,
        }
    }

    /// Takes what is there, and lends at most `max` frames of it; the rest is lent first the next time.
    #[inline]
    pub fn receive(&mut self, max: usize) -> Burst<'_> {
        if self.next == self.end {
            // SAFETY: port or ring are there as long as the keeper, no other thread receives from them here (`&mut self`, one owner); the
            // arrays have BURST places and `spare` BURST * SPARE bytes. No mbuf is held, so nothing is overwritten.
            let count = unsafe {
                let (held, frames) = (self.held.as_mut_ptr(), self.frames.as_mut_ptr());
                sonda_receive(&self.input, held, frames, self.spare.as_mut_ptr(), BURST as u16)
            };
            (self.next, self.end) = (0, usize::from(count).min(BURST));
        }
        let to = self.end.min(self.next + max);
        Burst { from: self.next, to, queue: self }
    }

    /// mbufs of a port's queue that are not free.
    pub fn in_use(&self) -> u32 {
        // SAFETY: any numbers may be asked for; DPDK has started, and the port's pools live as long as it.
        self.port().map_or(0, |port| unsafe { sonda_in_use(port.number, self.input.queue) })
    }

    /// Frames taken and not yet lent.
    pub fn waiting(&self) -> usize {
        self.end - self.next
    }

    fn free(&mut self, to: usize) {
        let count = to - self.next;
        if count > 0 {
            // SAFETY: the places from `next` to `to`, at most `end`, are mbufs that were taken and not freed; `next` moves past them.
            unsafe { sonda_free(self.held[self.next..to].as_mut_ptr(), count as u16) };
            self.next = to;
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.free(self.end);
        if let Keeper::Ring(eal, name) = &self.keeper {
            eal.owned.lock().unwrap_or_else(PoisonError::into_inner).retain(|o| o != name);
        }
    }
}

/// One frame of a burst.
#[derive(Clone, Copy, Debug)]
pub struct Received<'b> {
    pub bytes: &'b [u8],
    pub wire_len: u32,
    /// The device's time stamp in its own unit, 0 if it gave none.
    pub stamp: u64,
}

/// Lent frames; their mbufs are freed when it ends.
pub struct Burst<'q> {
    queue: &'q mut Queue,
    from: usize,
    to: usize,
}

impl Burst<'_> {
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    #[inline]
    pub fn frames(&self) -> impl ExactSizeIterator<Item = Received<'_>> {
        self.queue.frames[self.from..self.to].iter().map(|frame| {
            // SAFETY: the shim has set pointer and length to the content of an mbuf that is held, or to its place in `spare`; neither
            // changes before this value ends, which the answer's lifetime cannot outlive.
            let bytes = unsafe { std::slice::from_raw_parts(frame.data, frame.len as usize) };
            Received { bytes, wire_len: frame.wire_len, stamp: frame.at }
        })
    }
}

impl Drop for Burst<'_> {
    fn drop(&mut self) {
        self.queue.free(self.to);
    }
}

/// The other end of a ring, for tests: what a program that fills one does. Rings and pools end with DPDK.
pub struct RingSender {
    ring: NonNull<c_void>,
    pool: NonNull<c_void>,
    _eal: Arc<Eal>,
}

impl RingSender {
    /// A ring with `places` (a power of two) and a pool of `mbufs`, each with `room` bytes. 0 places: the ring of this name that is there,
    /// such as a net_ring port's.
    pub fn new(eal: &Arc<Eal>, name: &str, places: u32, mbufs: u32, room: u16) -> Result<RingSender, DpdkError> {
        let c_name = c_string(name)?;
        let mut pool = ptr::null_mut();
        // SAFETY: the name ends with zero, `pool` takes a pointer; DPDK has started.
        let ring = unsafe { sonda_ring_make(c_name.as_ptr(), places, mbufs, room, &mut pool) };
        match (NonNull::new(ring), NonNull::new(pool)) {
            (Some(ring), Some(pool)) => Ok(RingSender { ring, pool, _eal: eal.clone() }),
            _ => Err(DpdkError::new(format!("ring {name}"), "cannot be made: no memory, or the name is taken")),
        }
    }

    /// Sends a frame in pieces of `piece` bytes, if there is room.
    pub fn send(&mut self, bytes: &[u8], piece: u32) -> bool {
        let (len, piece) = (bytes.len() as u32, piece.max(1));
        // SAFETY: ring and pool are there as long as DPDK; the bytes are read within the call.
        unsafe { sonda_ring_send(self.ring.as_ptr(), self.pool.as_ptr(), bytes.as_ptr(), len, piece) == 1 }
    }

    /// mbufs that are not free: in the ring, or with whoever reads it.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool is there as long as DPDK.
        unsafe { sonda_ring_in_use(self.pool.as_ptr()) }
    }
}
