//! The program with the card's times (program/stamp.h): loaded for one interface, so that it may call a function of that one's driver.
//!
//! aya knows neither such programs nor such calls. So its parser does the rest again for this one program: the maps are those that are
//! loaded already, the call gets the number that the kernel's types give the function, and sys loads what comes out.
use crate::program::{EbpfError, OBJECT, absent, with_causes};
use aya::Ebpf;
use aya::maps::Map;
use aya::programs::{Xdp, loaded_programs};
use aya_obj::Object;
use aya_obj::btf::{Btf, BtfKind};
use aya_obj::generated::bpf_insn;
use aya_obj::programs::XdpAttachType;
use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd};

const NAME: &str = "sonda_timed";
/// In the place of which function a call of this number stands (program/stamp.h).
const FUNCTION: &str = "bpf_xdp_metadata_rx_timestamp";
const STANDS_FOR: i32 = 0x7ffe_0001;
/// linux/bpf.h: a call, and that it is of a function of the kernel's.
const CALL: u8 = 0x85;
const BPF_PSEUDO_KFUNC_CALL: u8 = 2;

/// Loads it for an interface, over the maps of `bpf`.
pub(crate) fn load(bpf: &Ebpf, interface: u32) -> Result<Xdp, EbpfError> {
    let failed = |cause: &(dyn std::error::Error + 'static)| EbpfError::Timed(with_causes(cause));
    let mut object = Object::parse(OBJECT).map_err(|e| failed(&e))?;
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let defined = object.maps.clone();
    let maps = defined.iter().filter_map(|(name, map)| Some((name.as_str(), fd(bpf, name)?, map)));
    object.relocate_maps(maps, &sections).map_err(|e| failed(&e))?;
    object.relocate_calls(&sections).map_err(|e| failed(&e))?;
    let program = object.programs.get(NAME).ok_or_else(absent)?;
    let function = object.functions.get(&program.function_key()).ok_or_else(absent)?;
    let types = Btf::from_sys_fs().map_err(|e| failed(&e))?;
    let id = types.id_by_type_name_kind(FUNCTION, BtfKind::Func).map_err(|e| failed(&e))?;
    let instructions: Vec<[u8; 8]> = function.instructions.iter().map(|i| bytes(i, id)).collect();
    let loaded = sys::load_device_bound(&instructions, &program.license, NAME, interface).map_err(|e| failed(&e))?;
    // The kernel's number of the program leads back to it.
    let shown = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", loaded.as_raw_fd())).map_err(|e| failed(&e))?;
    let number =
        shown.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok()).ok_or_else(absent)?;
    let known = loaded_programs().filter_map(Result::ok).find(|program| program.id() == number).ok_or_else(absent)?;
    Xdp::from_program_info(known, NAME.into(), XdpAttachType::Interface).map_err(|e| failed(&e))
}

fn fd(bpf: &Ebpf, name: &str) -> Option<i32> {
    match bpf.map(name)? {
        Map::Array(map) | Map::PerCpuArray(map) | Map::HashMap(map) | Map::LpmTrie(map) | Map::XskMap(map) => {
            Some(map.fd().as_fd().as_raw_fd())
        }
        _ => None,
    }
}

/// As the kernel takes it, the call that stands for the function replaced.
fn bytes(i: &bpf_insn, function: u32) -> [u8; 8] {
    let is_call = i.code == CALL && i.src_reg() == 0 && i.imm == STANDS_FOR;
    let (source, imm) = if is_call { (BPF_PSEUDO_KFUNC_CALL, function as i32) } else { (i.src_reg(), i.imm) };
    let [o0, o1] = i.off.to_ne_bytes();
    let [i0, i1, i2, i3] = imm.to_ne_bytes();
    [i.code, i.dst_reg() | source << 4, o0, o1, i0, i1, i2, i3]
}
