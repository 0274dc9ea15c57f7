//! The program by which the kernel spreads packets over the members of a fanout group: a classic BPF program (bpf(4), and
//! Documentation/networking/filter.rst for the extensions) that answers a hash of the two addresses.
//!
//! The kernel's own hash (PACKET_FANOUT_HASH) would part what belongs together: a fragment has no ports, so it went elsewhere than
//! the other packets of its flow; an IPv6 flow label that only one side sets sends the two directions to different members. Addresses
//! alone, added so that their order does not matter, are the rule by which lanes share a file, too (`lane/share.rs`). Behind VLAN tags (three),
//! PPPoE and MPLS labels (four) the addresses are found; everything else goes to the first member.
use sys::packet_ring::Instruction;

/// The network header, as the base of a load with the index register X. The kernel has taken off the outermost VLAN tag by then.
const NET: u32 = libc::SKF_NET_OFF as u32;
const PROTOCOL: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PROTOCOL) as u32;
/// Labels of MPLS that are looked behind, and VLAN tags beside the one that the kernel has taken off.
const LABELS: usize = 4;
const TAGS: usize = 2;
/// Scratch memory: the sum of addresses so far, and the place of the IP header from the network header on.
const SUM: u32 = 0;
const PLACE: u32 = 1;
/// 2^32 divided by the golden ratio: spreads neighbouring addresses.
const SPREAD: u32 = 0x9E37_79B1;

const LOAD_WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_IND;
const LOAD_HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_IND;
const LOAD_BYTE: u32 = libc::BPF_LD | libc::BPF_B | libc::BPF_IND;

/// Where a jump goes: on to the next instruction, or to a place with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    Next,
    Kinds,
    Tag(usize),
    Pppoe,
    Mpls,
    Version,
    V4,
    V6,
    Other,
}

#[derive(Default)]
struct Assembler {
    code: Vec<(u32, u32, To, To)>,
    places: Vec<(To, usize)>,
}

impl Assembler {
    fn at(&mut self, place: To) {
        self.places.push((place, self.code.len()));
    }
    fn put(&mut self, code: u32, k: u32) {
        self.code.push((code, k, To::Next, To::Next));
    }
    fn jump(&mut self, test: u32, k: u32, yes: To, no: To) {
        self.code.push((libc::BPF_JMP | test | libc::BPF_K, k, yes, no));
    }
    /// X goes on by so many bytes; A is lost.
    fn skip(&mut self, bytes: u32) {
        self.put(libc::BPF_MISC | libc::BPF_TXA, 0);
        self.put(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K, bytes);
        self.put(libc::BPF_MISC | libc::BPF_TAX, 0);
    }
    /// Answers the hash of the sum of words that begin `first` bytes into the IP header.
    fn addresses(&mut self, first: u32, words: u32) {
        self.put(libc::BPF_STX, PLACE);
        for word in 0..words {
            self.put(libc::BPF_LDX | libc::BPF_MEM, PLACE);
            self.put(LOAD_WORD, NET + first + 4 * word);
            if word > 0 {
                self.put(libc::BPF_LDX | libc::BPF_MEM, SUM);
                self.put(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X, 0);
            }
            self.put(libc::BPF_ST, SUM);
        }
        self.put(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, SPREAD);
        self.put(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, 16);
        self.put(libc::BPF_RET | 0x10, 0);
    }

    fn finish(self) -> Vec<Instruction> {
        let distance = |from: usize, to: To| match to {
            To::Next => 0,
            to => self.places.iter().find(|(place, _)| *place == to).map_or(0, |(_, at)| at - from - 1) as u8,
        };
        let code = self.code.iter().enumerate();
        code.map(|(at, (code, k, yes, no))| Instruction {
            code: *code as u16,
            jt: distance(at, *yes),
            jf: distance(at, *no),
            k: *k,
        })
        .collect()
    }
}

/// The program.
pub(super) fn program() -> Vec<Instruction> {
    let mut a = Assembler::default();
    a.put(libc::BPF_LDX | libc::BPF_IMM, 0);
    a.put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, PROTOCOL);
    for tag in 0..TAGS {
        a.jump(libc::BPF_JEQ, 0x8100, To::Tag(tag), To::Next);
        a.jump(libc::BPF_JEQ, 0x88a8, To::Tag(tag), To::Kinds);
        a.at(To::Tag(tag));
        a.skip(4);
        a.put(LOAD_HALF, NET.wrapping_sub(2));
    }
    a.at(To::Kinds);
    a.jump(libc::BPF_JEQ, 0x0800, To::V4, To::Next);
    a.jump(libc::BPF_JEQ, 0x86dd, To::V6, To::Next);
    a.jump(libc::BPF_JEQ, 0x8847, To::Mpls, To::Next);
    a.jump(libc::BPF_JEQ, 0x8848, To::Mpls, To::Next);
    a.jump(libc::BPF_JEQ, 0x8864, To::Pppoe, To::Other);
    a.at(To::Pppoe);
    a.skip(8);
    a.put(LOAD_HALF, NET.wrapping_sub(2));
    a.jump(libc::BPF_JEQ, 0x0021, To::V4, To::Next);
    a.jump(libc::BPF_JEQ, 0x0057, To::V6, To::Next);
    a.jump(libc::BPF_JEQ, 0x0281, To::Mpls, To::Other);
    a.at(To::Mpls);
    for _ in 0..LABELS {
        a.skip(4);
        a.put(LOAD_WORD, NET.wrapping_sub(4));
        a.jump(libc::BPF_JSET, 0x100, To::Version, To::Next);
    }
    a.at(To::Version);
    a.put(LOAD_BYTE, NET);
    a.put(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0xf0);
    a.jump(libc::BPF_JEQ, 0x40, To::V4, To::Next);
    a.jump(libc::BPF_JEQ, 0x60, To::V6, To::Other);
    a.at(To::Other);
    a.put(libc::BPF_RET | libc::BPF_K, 0);
    a.at(To::V4);
    a.addresses(12, 2);
    a.at(To::V6);
    a.addresses(8, 8);
    a.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_reach_their_places() {
        let program = program();
        assert!(program.len() < 128, "{}", program.len());
        let jumps = program.iter().enumerate().filter(|(_, i)| i.jt.max(i.jf) > 0);
        for (at, i) in jumps {
            assert!(at + 1 + usize::from(i.jt.max(i.jf)) < program.len(), "{at}");
        }
    }
}
