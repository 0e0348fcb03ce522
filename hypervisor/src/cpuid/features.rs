//! Which of the host's features a guest sees: those that need nothing of the hypervisor, and those it emulates.
//!
//! Hidden: virtualization, power management, MWAIT, performance counters, profiling, memory encryption, features with
//! MSRs that nobody switches (speculation control, XSAVES, …), and what works for one guest at the expense of others.

/// Bits that are kept of what the host says, and bits that are set whatever it says.
#[derive(Clone, Copy)]
pub struct Filter {
    keep: [u32; 4],
    set: [u32; 4],
}

const EAX: usize = 0;
const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

const fn bits<const N: usize>(numbers: [u32; N]) -> u32 {
    let mut bits = 0;
    let mut index = 0;
    #[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "evaluated by the compiler")]
    while index < N {
        bits |= 1 << numbers[index];
        index += 1;
    }
    bits
}

impl Filter {
    /// Keeps nothing.
    const NOTHING: Self = Self { keep: [0; 4], set: [0; 4] };
    /// Keeps all.
    const ALL: Self = Self { keep: [u32::MAX; 4], set: [0; 4] };

    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const fn keep(mut self, register: usize, bits: u32) -> Self {
        self.keep[register] = bits;
        self
    }
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const fn set(mut self, register: usize, bits: u32) -> Self {
        self.set[register] = bits;
        self
    }

    /// What the guest sees of `host`.
    pub fn apply(&self, host: [u32; 4]) -> [u32; 4] {
        let mut out = host;
        for ((out, keep), set) in out.iter_mut().zip(self.keep).zip(self.set) {
            *out = (*out & keep) | set;
        }
        out
    }
}

/// Leaf 1: family as is; features; x2APIC, TSC deadline and "under a hypervisor" always.
const LEAF_1: Filter = Filter::ALL
    .keep(EBX, 0x0000_FF00)
    // SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND
    .keep(ECX, bits([0, 1, 9, 12, 13, 17, 19, 20, 22, 23, 25, 26, 28, 29, 30]))
    .set(ECX, bits([21, 24, 31]))
    // FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2
    .keep(EDX, bits([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26]))
    .set(EDX, bits([9]));

/// Leaf 6: the APIC's timer always runs (ARAT).
const LEAF_6: Filter = Filter::NOTHING.set(EAX, bits([2]));

/// Leaf 7, subleaf 0.
const LEAF_7: Filter = Filter::NOTHING
    // FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F AVX512DQ RDSEED ADX SMAP AVX512IFMA CLFLUSHOPT CLWB
    // AVX512CD SHA AVX512BW AVX512VL
    .keep(EBX, bits([0, 3, 5, 7, 8, 9, 10, 16, 17, 18, 19, 20, 21, 23, 24, 28, 29, 30, 31]))
    // AVX512_VBMI UMIP PKU AVX512_VBMI2 GFNI VAES VPCLMULQDQ AVX512_VNNI AVX512_BITALG AVX512_VPOPCNTDQ RDPID
    .keep(ECX, bits([1, 2, 3, 6, 8, 9, 10, 11, 12, 14, 22]))
    // FSRM
    .keep(EDX, bits([4]));

/// Leaf 0x80000001.
const EXTENDED_1: Filter = Filter::ALL
    // LAHF CR8 ABM SSE4A MISALIGNSSE 3DNOWPREFETCH XOP FMA4 TBM TOPOEXT
    .keep(ECX, bits([0, 4, 5, 6, 7, 8, 11, 16, 21, 22]))
    // As leaf 1, and SYSCALL NX MMXEXT FFXSR PAGE1GB RDTSCP LM
    .keep(
        EDX,
        bits([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 20, 22, 23, 24, 25, 26, 27, 29]),
    )
    .set(EDX, bits([9]));

/// Leaf 0x80000007: the counter's invariance (EDX bit 8) is added when the guest has asked for it.
const EXTENDED_7: Filter = Filter::NOTHING;

/// Leaf 0x80000008: address widths; CLZERO XSAVEERPTR WBNOINVD.
const EXTENDED_8: Filter = Filter::NOTHING.keep(EAX, 0x0000_FFFF).keep(EBX, bits([0, 2, 9]));

/// Leaf 0x80000021: LFENCE serializes, null selectors clear the base.
const EXTENDED_21: Filter = Filter::NOTHING.keep(EAX, bits([0, 2, 6]));

/// The filter of a leaf; what depends on the VP or on topology comes on top.
pub const fn filter(leaf: u32) -> Filter {
    match leaf {
        1 => LEAF_1,
        6 => LEAF_6,
        7 => LEAF_7,
        0x8000_0001 => EXTENDED_1,
        0x8000_0007 => EXTENDED_7,
        0x8000_0008 => EXTENDED_8,
        0x8000_0021 => EXTENDED_21,
        // Caches, brand, TLBs, extended state.
        0
        | 2
        | 4
        | 0xD
        | 0x8000_0000
        | 0x8000_0002..=0x8000_0006
        | 0x8000_0019
        | 0x8000_001A
        | 0x8000_001D => Filter::ALL,
        _ => Filter::NOTHING,
    }
}
