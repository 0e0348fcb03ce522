//! What this processor has of SVM.

use bitflags::bitflags;

use crate::refusal::Refusal;

bitflags! {
    /// CPUID 8000_000A EDX (APM vol. 3, E.4.9): the extensions that are used where they are there.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Features: u32 {
        /// Nested paging.
        const NESTED_PAGING = 1 << 0;
        /// An exit reports the next RIP.
        const NEXT_RIP = 1 << 3;
        /// Unchanged parts of the VMCB may stay in a cache.
        const CLEAN_BITS = 1 << 5;
        /// One guest's translations can be flushed.
        const FLUSH_BY_ASID = 1 << 6;
        /// An exit reports the instruction's bytes.
        const DECODE_ASSISTS = 1 << 7;
    }
}

/// Registers of CPUID, in the order EAX, EBX, ECX, EDX.
type Cpuid<'a> = &'a dyn Fn(u32) -> [u32; 4];

/// What the processor has: SVM's extensions and the number of ASIDs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capabilities {
    /// Extensions.
    pub features: Features,
    /// ASIDs, the host's among them.
    pub asids: u32,
    /// It is QEMU's TCG, whose faults are worked around.
    pub tcg: bool,
}

/// Checks the processor. `vm_cr`: that register, where it can be read.
///
/// # Errors
/// A [`Refusal`].
pub fn check(cpuid: Cpuid<'_>, vm_cr: impl FnOnce() -> Option<u64>) -> Result<Capabilities, Refusal> {
    const SVM: u32 = 1 << 2;
    const NX: u32 = 1 << 20;
    const SVMDIS: u64 = 1 << 4;
    let [last, ..] = cpuid(0x8000_0000);
    let [_, _, ecx, edx] = if last > 0x8000_0000 { cpuid(0x8000_0001) } else { [0; 4] };
    if ecx & SVM == 0 || last < 0x8000_000A {
        return Err(Refusal::NoVirtualization);
    }
    if let Some(vm_cr) = vm_cr()
        && vm_cr & SVMDIS != 0
    {
        return Err(Refusal::SvmDisabled);
    }
    let [_, asids, _, features] = cpuid(0x8000_000A);
    let features = Features::from_bits_truncate(features);
    if !features.contains(Features::NESTED_PAGING) {
        return Err(Refusal::NoNestedPaging);
    }
    if edx & NX == 0 {
        return Err(Refusal::NoExecuteDisable);
    }
    Ok(Capabilities { features, asids, tcg: is_tcg(cpuid) })
}

/// TCG is known by what it calls itself.
fn is_tcg(cpuid: Cpuid<'_>) -> bool {
    const UNDER_HYPERVISOR: u32 = 1 << 31;
    let [_, _, ecx, _] = cpuid(1);
    let [_, name @ ..] = cpuid(0x4000_0000);
    ecx & UNDER_HYPERVISOR != 0 && name.map(u32::to_le_bytes).as_flattened() == b"TCGTCGTCGTCG"
}

/// Bits of a physical address that name different places. While memory encryption is on (`syscfg`) the bits above say
/// how memory is encrypted, so that a higher address leads to the same memory again (APM vol. 2, 7.10.1).
pub fn physical_bits(cpuid: Cpuid<'_>, syscfg: Option<u64>) -> u32 {
    const MEMORY_ENCRYPTION: u64 = 1 << 23;
    const ENCRYPTION_LEAF: u32 = 0x8000_001F;
    let [last, ..] = cpuid(0x8000_0000);
    let [sizes, ..] = cpuid(0x8000_0008);
    let bits = sizes & 0xFF;
    if syscfg.unwrap_or(0) & MEMORY_ENCRYPTION == 0 || last < ENCRYPTION_LEAF {
        return bits;
    }
    let [_, ebx, ..] = cpuid(ENCRYPTION_LEAF);
    bits.saturating_sub(ebx >> 6 & 0x3F).min(ebx & 0x3F)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(u32, [u32; 4]); 3] = [
        (0x8000_0000, [0x8000_001F, 0, 0, 0]),
        (0x8000_0001, [0, 0, 1 << 2, 1 << 20]),
        (0x8000_000A, [1, 16, 0, 1]),
    ];

    fn checked(changed: Option<(u32, [u32; 4])>, vm_cr: Option<u64>) -> Result<Capabilities, Refusal> {
        let answer = |leaf| {
            let mut table = changed.iter().chain(&WHOLE);
            table.find(|(number, _)| *number == leaf).map_or([0; 4], |(_, registers)| *registers)
        };
        check(&answer, || vm_cr)
    }

    #[test]
    fn a_whole_processor_is_taken() {
        let expected = Capabilities { features: Features::NESTED_PAGING, asids: 16, tcg: false };
        assert_eq!(checked(None, Some(0)), Ok(expected));
        assert_eq!(checked(None, None), Ok(expected));
    }

    #[test]
    fn tcg_is_known_by_its_name() {
        let processor = |ecx, name| {
            is_tcg(&move |leaf| match leaf {
                1 => [0, 0, ecx, 0],
                0x4000_0000 if name => [0x4000_0001, 0x5447_4354, 0x4354_4743, 0x4743_5447],
                _ => [0; 4],
            })
        };
        assert!(processor(1 << 31, true));
        assert!(!processor(1 << 31, false));
        assert!(!processor(0, true));
    }

    #[test]
    fn encrypted_memory_has_no_second_address() {
        // C bit 47, 5 bits fewer.
        let encrypted = |leaf| match leaf {
            0x8000_0008 => [0x3030, 0, 0, 0],
            0x8000_001F => [1, 5 << 6 | 47, 0, 0],
            _ => [0x8000_001F, 0, 0, 0],
        };
        assert_eq!(physical_bits(&encrypted, Some(1 << 23)), 43);
        assert_eq!(physical_bits(&encrypted, Some(0)), 48);
        let old = |leaf| if leaf == 0x8000_0008 { [0x3028, 0, 0, 0] } else { [0x8000_000A, 0, 0, 0] };
        assert_eq!((physical_bits(&old, Some(1 << 23)), physical_bits(&old, None)), (40, 40));
    }

    #[test]
    fn each_lack_is_named() {
        let no_svm = (0x8000_0001, [0, 0, 0, 1 << 20]);
        assert_eq!(checked(Some(no_svm), None), Err(Refusal::NoVirtualization));
        assert_eq!(checked(Some((0x8000_0000, [0; 4])), None), Err(Refusal::NoVirtualization));
        assert_eq!(checked(None, Some(0x18)), Err(Refusal::SvmDisabled));
        assert_eq!(checked(Some((0x8000_000A, [1, 16, 0, 0])), None), Err(Refusal::NoNestedPaging));
        assert_eq!(checked(Some((0x8000_0001, [0, 0, 1 << 2, 0])), None), Err(Refusal::NoExecuteDisable));
    }
}
