//! Traffic at millions of packets a second for measurements and tests: the kernel sends live frames of BPF_PROG_TEST_RUN.
use crate::program::{EbpfError, absent, loading};
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../program/generate.bpf.o");

/// Frames of a run of the kernel's loop.
const BATCH: u32 = 64;

/// Sends small UDP packets on an interface, such as the peer of the one that is read: 60 bytes each, of so many flows in turn.
pub struct Generator {
    bpf: Ebpf,
}

impl Generator {
    pub fn new(interface: u32, flows: u32) -> Result<Generator, EbpfError> {
        let flows = flows.max(1);
        let mut loader = EbpfLoader::new();
        loader.btf(None).override_global("INTERFACE", &interface, true).override_global("FLOWS", &flows, true);
        let mut bpf = loader.load(OBJECT).map_err(|e| loading(&e))?;
        program(&mut bpf)?.load().map_err(|e| loading(&e))?;
        Ok(Generator { bpf })
    }

    /// Sends so many packets from the processor of this thread; returns when they were sent. Where the other end is slower they are lost.
    pub fn send(&mut self, packets: u32) -> Result<(), EbpfError> {
        let mut frame = [0; 60];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        frame[14..34].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 0, 192, 0, 2, 1]);
        frame[34..42].copy_from_slice(&[0x30, 0x39, 0, 53, 0, 26, 0, 0]);
        let attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let options = TestRunOptions { data_in: Some(&frame), repeat: packets, attrs, ..TestRunOptions::new() };
        program(&mut self.bpf)?.test_run(options).map_err(|e| loading(&e))?;
        Ok(())
    }
}

fn program(bpf: &mut Ebpf) -> Result<&mut Xdp, EbpfError> {
    let program = bpf.program_mut("generate").ok_or_else(absent)?;
    program.try_into().map_err(|e: aya::programs::ProgramError| loading(&e))
}
