//! CPUID as the root sees it: the host's, with the hypervisor's leaves.

use hv_abi::control::cr4;
use hv_abi::cpuid::{HYPERVISOR_PRESENT, HvFeatures, HvPrivileges, INTERFACE, VENDOR, leaf};
use hv_abi::registers::HvRegisterName;

use crate::backend::VirtualProcessorBackend;
use crate::cpuid::hardware;
use crate::hypervisor::Hypervisor;
use crate::layout::MAX_VPS;
use crate::machine::Machine;

/// Leaf 1, ECX: CR4.OSXSAVE is set.
const OSXSAVE: u32 = 1 << 27;
/// Leaf 0xD, subleaf 1, EAX.
const XSAVES: u32 = 1 << 3;

/// EAX, EBX, ECX, EDX of a leaf for a root VP.
pub fn cpuid<M: Machine>(
    hv: &Hypervisor<M>,
    backend: &M::Backend,
    leaf_number: u32,
    subleaf: u32,
) -> [u32; 4] {
    if (0x4000_0000..0x4000_0100).contains(&leaf_number) {
        return hypervisor_leaf(hv, leaf_number);
    }
    let [eax, ebx, ecx, edx] = hv.machine.cpuid(leaf_number, subleaf);
    match leaf_number {
        1 => {
            let cr4 = backend.read_known(HvRegisterName::Cr4).as_u64();
            let osxsave = if cr4 & cr4::OSXSAVE != 0 { OSXSAVE } else { 0 };
            [eax, ebx, (ecx & !OSXSAVE) | osxsave | HYPERVISOR_PRESENT, edx]
        }
        0xD if subleaf == 1 => [eax & !XSAVES, ebx, ecx, edx],
        _ => [eax, ebx, ecx, edx],
    }
}

fn hypervisor_leaf<M: Machine>(hv: &Hypervisor<M>, leaf_number: u32) -> [u32; 4] {
    let [v0, v1, v2] = VENDOR;
    match leaf_number {
        leaf::VENDOR_AND_MAX => [leaf::HARDWARE, v0, v1, v2],
        leaf::INTERFACE => [INTERFACE, 0, 0, 0],
        leaf::FEATURES => {
            let p = HvPrivileges::ROOT.bits();
            [p as u32, (p >> 32) as u32, 0, HvFeatures::FREQUENCY_REGS.bits()]
        }
        leaf::LIMITS => [MAX_VPS, hv.processors.count(), 0, 0],
        leaf::HARDWARE => hardware(hv.machine.has_apic_assist()),
        _ => [0; 4],
    }
}
