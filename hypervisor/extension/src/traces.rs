//! What a processor keeps of those who ran on it, where a guest could find it out, and what there is to clear it with.

use bitflags::bitflags;

bitflags! {
    /// What is to be cleared.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Traces: u32 {
        /// Where branches went: IBPB forgets it.
        const BRANCHES = 1 << 0;
        /// FIP, FDP and FOP, which FXSAVE and XSAVE leave where they are unless an exception is pending.
        const X87_POINTERS = 1 << 1;
        /// The first-level data cache, which a guest's own page tables reach (L1TF): IA32_FLUSH_CMD empties it.
        const DATA = 1 << 2;
        /// Fill and store buffers (MDS): VERW overwrites them.
        const BUFFERS = 1 << 3;
    }
}

impl Traces {
    /// Another guest's only: it is enough to clear them before another one runs.
    pub const OF_ANOTHER_GUEST: Self = Self::BRANCHES.union(Self::X87_POINTERS);
    /// Also the root's, which has all guests' data.
    pub const OF_THE_ROOT: Self = Self::DATA.union(Self::BUFFERS);
}

/// What this processor keeps that can be cleared. `cpuid`: EAX, EBX, ECX, EDX of a leaf; `read`: a register, where it is
/// there (SDM vol. 2A, CPUID, and vol. 4, table 2-2; APM vol. 3, E.4.7).
pub fn of_processor(
    cpuid: &dyn Fn(u32) -> [u32; 4],
    read: impl Fn(u32) -> Option<u64>,
    is_amd: bool,
) -> Traces {
    const MD_CLEAR: u32 = 1 << 10;
    const IBRS_IBPB: u32 = 1 << 26;
    const L1D_FLUSH: u32 = 1 << 28;
    const ARCH_CAPABILITIES: u32 = 1 << 29;
    const IA32_ARCH_CAPABILITIES: u32 = 0x10A;
    const RDCL_NO: u64 = 1 << 0;
    const SKIP_L1DFL_VMENTRY: u64 = 1 << 3;
    const ERROR_POINTERS: u32 = 1 << 2;
    const IBPB: u32 = 1 << 12;
    let leaf = |number: u32| {
        let [last, ..] = cpuid(number & 0x8000_0000);
        if last >= number { cpuid(number) } else { [0; 4] }
    };
    let [_, _, _, features] = leaf(7);
    let [_, amd, ..] = leaf(0x8000_0008);
    let not_affected = if features & ARCH_CAPABILITIES != 0 {
        read(IA32_ARCH_CAPABILITIES).unwrap_or(0) & (RDCL_NO | SKIP_L1DFL_VMENTRY) != 0
    } else {
        false
    };
    let mut traces = Traces::empty();
    traces.set(Traces::BRANCHES, features & IBRS_IBPB != 0 || amd & IBPB != 0);
    traces.set(Traces::X87_POINTERS, is_amd && amd & ERROR_POINTERS == 0);
    traces.set(Traces::DATA, features & L1D_FLUSH != 0 && !not_affected);
    traces.set(Traces::BUFFERS, features & MD_CLEAR != 0);
    traces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is kept by a processor with these bits of leaf 7 (EDX) and 8000_0008 (EBX), and this IA32_ARCH_CAPABILITIES.
    fn kept(edx: u32, ebx: u32, capabilities: Option<u64>, is_amd: bool) -> Traces {
        let cpuid = |leaf| match leaf {
            0 => [7, 0, 0, 0],
            7 => [0, 0, 0, edx],
            0x8000_0000 => [0x8000_0008, 0, 0, 0],
            0x8000_0008 => [0, ebx, 0, 0],
            _ => panic!("{leaf:#x}"),
        };
        of_processor(&cpuid, |_| capabilities, is_amd)
    }

    #[test]
    fn what_can_be_cleared_is_cleared_where_it_is_kept() {
        let intel = |edx, capabilities| kept(edx, 0, capabilities, false);
        assert_eq!(intel(0, None), Traces::empty());
        assert_eq!(intel(1 << 26 | 1 << 28 | 1 << 10, None), Traces::all() - Traces::X87_POINTERS);
        assert_eq!(intel(1 << 28 | 1 << 29, Some(0)), Traces::DATA);
        assert_eq!(intel(1 << 28 | 1 << 29, Some(1)), Traces::empty());
        assert_eq!(intel(1 << 28 | 1 << 29, Some(8)), Traces::empty());
        let amd = |ebx| kept(0, ebx, None, true);
        assert_eq!(amd(0), Traces::X87_POINTERS);
        assert_eq!(amd(1 << 2 | 1 << 12), Traces::BRANCHES);
        let old = |leaf: u32| [if leaf == 0 { 1 } else { leaf }, u32::MAX, 0, u32::MAX];
        assert_eq!(of_processor(&old, |_| None, false), Traces::empty());
    }
}
