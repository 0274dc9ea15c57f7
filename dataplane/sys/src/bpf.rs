//! Running a compiled filter expression with the length on the wire.
use std::ffi::c_void;

unsafe extern "C" {
    /// libpcap, `pcap/bpf.h`: the program, the bytes, the length on the wire, the number of bytes; 0 refuses.
    fn bpf_filter(program: *const c_void, bytes: *const u8, wire_len: u32, captured: u32) -> u32;
}

/// Whether `program` accepts a frame of `bytes` that was `wire_len` bytes long on the wire. `BpfProgram::filter` of the crate takes
/// the number of captured bytes for the length, so that `greater 1000` fails on captures with a short snapshot length.
#[inline]
pub fn bpf_accepts(program: &pcap::BpfProgram, bytes: &[u8], wire_len: u32) -> bool {
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // SAFETY: a `BpfProgram` holds a program that pcap_compile made (valid jumps, ends in a return) and lives through the call;
    // `BpfInstruction` is a transparent `bpf_insn`. The interpreter reads only the first `captured` bytes, which `bytes` has.
    unsafe { bpf_filter(program.get_instructions().as_ptr().cast(), bytes.as_ptr(), wire_len, captured) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_on_the_wire() {
        let link = pcap::Capture::dead(pcap::Linktype::ETHERNET).unwrap();
        let long = link.compile("greater 1000", true).unwrap();
        assert!(bpf_accepts(&long, &[0; 60], 1514));
        assert!(!bpf_accepts(&long, &[0; 60], 60));
        let ip = link.compile("ip", true).unwrap();
        assert!(!bpf_accepts(&ip, &[], 1514));
    }
}
