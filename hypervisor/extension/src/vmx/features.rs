//! What this processor has of VT-x.

use crate::refusal::Refusal;
use crate::seam::Kind;
use crate::vmx::controls::{Allowed, AllowedControls, Controls};

/// Capability registers and others by number (SDM vol. 4; vol. 3D, appendix A).
pub mod msr {
    #![expect(missing_docs, reason = "the manual's names")]
    pub const IA32_FEATURE_CONTROL: u32 = 0x3A;
    pub const IA32_VMX_BASIC: u32 = 0x480;
    pub const IA32_VMX_PINBASED_CTLS: u32 = 0x481;
    pub const IA32_VMX_PROCBASED_CTLS: u32 = 0x482;
    pub const IA32_VMX_EXIT_CTLS: u32 = 0x483;
    pub const IA32_VMX_ENTRY_CTLS: u32 = 0x484;
    pub const IA32_VMX_MISC: u32 = 0x485;
    pub const IA32_VMX_CR0_FIXED0: u32 = 0x486;
    pub const IA32_VMX_CR4_FIXED0: u32 = 0x488;
    pub const IA32_VMX_PROCBASED_CTLS2: u32 = 0x48B;
    pub const IA32_VMX_EPT_VPID_CAP: u32 = 0x48C;
    pub const IA32_VMX_TRUE_PINBASED_CTLS: u32 = 0x48D;
    pub const IA32_VMX_TRUE_PROCBASED_CTLS: u32 = 0x48E;
    pub const IA32_VMX_TRUE_EXIT_CTLS: u32 = 0x48F;
    pub const IA32_VMX_TRUE_ENTRY_CTLS: u32 = 0x490;
    pub const IA32_VMX_LAST: u32 = 0x493;
}

/// IA32_FEATURE_CONTROL: no more changes until reset.
pub const LOCK: u64 = 1 << 0;
/// IA32_FEATURE_CONTROL: VMXON works outside of SMX.
pub const VMX_OUTSIDE_SMX: u64 = 1 << 2;

/// What the processor has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// First word of a VMCS and of the VMXON region.
    pub revision: u32,
    /// Controls of a root VP.
    pub root: Controls,
    /// Controls of a guest's VP.
    pub guest: Controls,
    /// Secondary controls with which the processor completes EOI and writes of TPR; `None`: it can not.
    pub delegation: Option<u32>,
    /// EPT maps pages of 1 GiB.
    pub gigabyte_pages: bool,
    /// Bits of the time stamp counter below a tick of the preemption timer; none: no such timer.
    pub timer_shift: Option<u32>,
}

impl Capabilities {
    /// The controls of a kind of VP.
    pub const fn controls(&self, kind: Kind) -> &Controls {
        match kind {
            Kind::Root => &self.root,
            Kind::Guest => &self.guest,
        }
    }
}

/// Checks the processor. `cpuid`: EAX, EBX, ECX, EDX of a leaf; `rdmsr`: a register, where there is one.
///
/// # Errors
/// A [`Refusal`].
pub fn check(
    cpuid: &dyn Fn(u32) -> [u32; 4],
    rdmsr: &dyn Fn(u32) -> Option<u64>,
) -> Result<Capabilities, Refusal> {
    const VMX: u32 = 1 << 5;
    const NX: u32 = 1 << 20;
    const TRUE_CONTROLS: u64 = 1 << 55;
    const SECONDARY: u64 = 1 << 63;
    let [_, _, ecx, _] = cpuid(1);
    if ecx & VMX == 0 {
        return Err(Refusal::NoVirtualization);
    }
    let feature_control = rdmsr(msr::IA32_FEATURE_CONTROL).unwrap_or(LOCK | VMX_OUTSIDE_SMX);
    if feature_control & (LOCK | VMX_OUTSIDE_SMX) == LOCK {
        return Err(Refusal::VmxDisabled);
    }
    let read = |register| rdmsr(register).unwrap_or(0);
    let basic = read(msr::IA32_VMX_BASIC);
    let controls = |normal, exact| Allowed(read(if basic & TRUE_CONTROLS != 0 { exact } else { normal }));
    let primary = controls(msr::IA32_VMX_PROCBASED_CTLS, msr::IA32_VMX_TRUE_PROCBASED_CTLS);
    let allowed = AllowedControls {
        pin_based: controls(msr::IA32_VMX_PINBASED_CTLS, msr::IA32_VMX_TRUE_PINBASED_CTLS),
        primary,
        // Not there where the primary controls can not activate them.
        secondary: Allowed(if primary.0 & SECONDARY != 0 { read(msr::IA32_VMX_PROCBASED_CTLS2) } else { 0 }),
        exit: controls(msr::IA32_VMX_EXIT_CTLS, msr::IA32_VMX_TRUE_EXIT_CTLS),
        entry: controls(msr::IA32_VMX_ENTRY_CTLS, msr::IA32_VMX_TRUE_ENTRY_CTLS),
    };
    if primary.0 & SECONDARY == 0 {
        return Err(Refusal::VmxLacks("EPT"));
    }
    let (root, guest) = (allowed.controls(Kind::Root)?, allowed.controls(Kind::Guest)?);
    let gigabyte_pages = check_ept(read(msr::IA32_VMX_EPT_VPID_CAP))?;
    let [_, _, _, edx] = cpuid(0x8000_0001);
    if edx & NX == 0 {
        return Err(Refusal::NoExecuteDisable);
    }
    let timer_shift = allowed.has_timer().then(|| read(msr::IA32_VMX_MISC) as u32 & 0x1F);
    let (revision, delegation) = (basic as u32 & 0x7FFF_FFFF, allowed.delegation());
    Ok(Capabilities { revision, root, guest, delegation, gigabyte_pages, timer_shift })
}

/// What EPT must have (SDM vol. 3D, A.10); whether it has pages of 1 GiB.
fn check_ept(capability: u64) -> Result<bool, Refusal> {
    const GIGABYTE_PAGES: u64 = 1 << 17;
    let needed = [
        (1 << 6, "EPT of four levels"),
        (1 << 14, "cached EPT tables"),
        (1 << 16, "large pages in EPT"),
        (1 << 20 | 1 << 25 | 1 << 26, "INVEPT"),
    ];
    match needed.iter().find(|(bits, _)| capability & bits != *bits) {
        Some((_, name)) => Err(Refusal::VmxLacks(name)),
        None => Ok(capability & GIGABYTE_PAGES != 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers of the Bochs model `corei7_haswell_4770`.
    const HASWELL: [(u32, u64); 12] = [
        (msr::IA32_FEATURE_CONTROL, 5),
        (msr::IA32_VMX_BASIC, 0x00D8_1000_0000_002B),
        (msr::IA32_VMX_PINBASED_CTLS, 0x0000_007F_0000_0016),
        (msr::IA32_VMX_TRUE_PINBASED_CTLS, 0x0000_007F_0000_0016),
        (msr::IA32_VMX_PROCBASED_CTLS, 0xF7F9_FFFE_0401_E172),
        (msr::IA32_VMX_TRUE_PROCBASED_CTLS, 0xF7F9_FFFE_0400_6172),
        (msr::IA32_VMX_PROCBASED_CTLS2, 0x0004_7FFF_0000_0000),
        (msr::IA32_VMX_TRUE_EXIT_CTLS, 0x007F_FFFF_0003_6DFB),
        (msr::IA32_VMX_TRUE_ENTRY_CTLS, 0x0000_FFFF_0000_11FB),
        (msr::IA32_VMX_EPT_VPID_CAP, 0x0000_0F01_0633_4141),
        (msr::IA32_VMX_MISC, 0x2004_01E0),
        (msr::IA32_VMX_CR0_FIXED0, 0x8000_0021),
    ];

    fn checked(changed: (u32, u64)) -> Result<Capabilities, Refusal> {
        let cpuid = |leaf| match leaf {
            1 => [0, 0, 1 << 5, 0],
            0x8000_0001 => [0, 0, 0, 1 << 20],
            _ => [0; 4],
        };
        let rdmsr = |register| {
            let mut all = [changed].into_iter().chain(HASWELL);
            all.find(|(number, _)| *number == register).map(|(_, value)| value)
        };
        check(&cpuid, &rdmsr)
    }

    #[test]
    fn a_whole_processor_is_taken() {
        let capabilities = checked((0, 0)).unwrap();
        assert_eq!((capabilities.revision, capabilities.gigabyte_pages), (0x2B, true));
        assert_eq!((capabilities.guest.pin_based, capabilities.timer_shift), (0x7F, Some(0)));
        assert_eq!(checked((msr::IA32_FEATURE_CONTROL, 0)), Ok(capabilities), "not locked yet");
    }

    #[test]
    fn each_lack_is_named() {
        let ept = |bit: u64| (msr::IA32_VMX_EPT_VPID_CAP, 0x0000_0F01_0633_4141 & !bit);
        assert_eq!(checked((msr::IA32_FEATURE_CONTROL, LOCK)), Err(Refusal::VmxDisabled));
        assert_eq!(checked(ept(1 << 16)), Err(Refusal::VmxLacks("large pages in EPT")));
        assert_eq!(checked(ept(1 << 25)), Err(Refusal::VmxLacks("INVEPT")));
        assert!(!checked(ept(1 << 17)).unwrap().gigabyte_pages);
        let penryn = (msr::IA32_VMX_TRUE_PROCBASED_CTLS, 0x77F9_FFFE_0400_6172);
        assert_eq!(checked(penryn), Err(Refusal::VmxLacks("EPT")));
        let lynnfield = (msr::IA32_VMX_PROCBASED_CTLS2, 0x0000_006B_0000_0000);
        assert_eq!(checked(lynnfield), Err(Refusal::VmxLacks("unrestricted guest")));
        assert_eq!(check(&|_| [0; 4], &|_| None), Err(Refusal::NoVirtualization));
    }
}
