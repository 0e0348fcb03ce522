//! The hypervisor's own leaves, 0x40000000 and up (TLFS 2.4).

use hv_abi::cpuid::{
    APIC_ASSIST, HvFeatures, HvPrivileges, HvRecommendations, INTERFACE, VENDOR,
    VIRTUALIZATION_STACK_INTERFACE,
};

/// Leaves 0x40000000 to 0x40000006.
pub const COUNT: usize = 7;

/// Build and version (0.1) that leaf 0x40000002 shows.
const VERSION: [u32; 4] = [1, 1, 0, 0];
/// Leaf 0x40000004, EBX: after so many tries a guest that spins for a lock tells the hypervisor.
const SPIN_RETRIES: u32 = 0xFFF;
/// "Never": there is nobody who could hold it.
const NEVER: u32 = u32::MAX;
/// Leaf 0x40000006, EAX: MSR bitmaps, second-level translation.
const HARDWARE: u32 = 1 << 1 | 1 << 3;

/// Leaf 0x40000006.
pub fn hardware(has_apic_assist: bool) -> [u32; 4] {
    [if has_apic_assist { HARDWARE | APIC_ASSIST } else { HARDWARE }, 0, 0, 0]
}

/// Works them out.
pub fn leaves(privileges: HvPrivileges, max_vps: u32, has_apic_assist: bool) -> [[u32; 4]; COUNT] {
    let [ebx, ecx, edx] = VENDOR;
    let bits = privileges.bits();
    let spin_retries = if max_vps > 1 { SPIN_RETRIES } else { NEVER };
    [
        [0x4000_0006, ebx, ecx, edx],
        [INTERFACE, 0, 0, 0],
        VERSION,
        [bits as u32, (bits >> 32) as u32, 0, HvFeatures::ALL.bits()],
        [HvRecommendations::GUEST.bits(), spin_retries, 0, 0],
        [max_vps, max_vps, 0, 0],
        hardware(has_apic_assist),
    ]
}

/// Leaves 0x40000080 to 0x40000082, by their distance from the first: the virtualization stack, without properties.
pub fn stack(index: u32) -> [u32; 4] {
    let [ebx, ecx, edx] = VENDOR;
    match index {
        0 => [0x4000_0082, ebx, ecx, edx],
        1 => [VIRTUALIZATION_STACK_INTERFACE, 0, 0, 0],
        _ => [0; 4],
    }
}
