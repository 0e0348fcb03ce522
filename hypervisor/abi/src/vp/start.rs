//! Starting a virtual processor where an operating system wants it (TLFS 7.8.1).

use core::mem::offset_of;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::HvVpIndex;
use crate::partition::HvPartitionId;
use crate::registers::{HvRegisterName, HvRegisterValue, HvSegmentRegister, HvTableRegister};

/// `HvCallStartVirtualProcessor`, 0x99, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id (the caller's, or `SELF`) | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | target VTL (0), padding (0) | @12 u32 |
/// | In | [`InitialVpContext`] | @16 224 bytes |
///
/// A guest's VP that waits for its start-up interrupt begins with these registers instead. `INVALID_VP_STATE`: it does not
/// wait, or another processor has it for a moment.
///
/// The root's VPs but 0 do not run until this. Such a VP begins as VP 0 did: in flat 64-bit mode, interrupts off, on these
/// tables. Its processor may miss one call; so the caller calls again until the VP runs. `INVALID_VP_INDEX`: no such
/// processor; `INVALID_VP_STATE`: it has begun.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct StartVirtualProcessor {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Which: 1 and up.
    pub vp_index: HvVpIndex,
    /// 0.
    pub target_vtl: [u8; 4],
    /// Where it begins.
    pub vp_context: InitialVpContext,
}
const _: () = assert!(size_of::<StartVirtualProcessor>() == 240);

/// `HV_INITIAL_VP_CONTEXT`. A root VP takes RIP, RSP and CR3; the others are 0 then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InitialVpContext {
    /// First instruction.
    pub rip: u64,
    /// Stack.
    pub rsp: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CS.
    pub cs: HvSegmentRegister,
    /// DS.
    pub ds: HvSegmentRegister,
    /// ES.
    pub es: HvSegmentRegister,
    /// FS.
    pub fs: HvSegmentRegister,
    /// GS.
    pub gs: HvSegmentRegister,
    /// SS.
    pub ss: HvSegmentRegister,
    /// TR.
    pub tr: HvSegmentRegister,
    /// LDTR.
    pub ldtr: HvSegmentRegister,
    /// IDTR.
    pub idtr: HvTableRegister,
    /// GDTR.
    pub gdtr: HvTableRegister,
    /// EFER.
    pub efer: u64,
    /// CR0.
    pub cr0: u64,
    /// Page tables.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// PAT.
    pub msr_cr_pat: u64,
}
const _: () = assert!(size_of::<InitialVpContext>() == 224);
const _: () = assert!(offset_of!(InitialVpContext, cs) == 24 && offset_of!(InitialVpContext, idtr) == 152);
const _: () = assert!(offset_of!(InitialVpContext, efer) == 184 && offset_of!(InitialVpContext, cr3) == 200);

impl InitialVpContext {
    /// All of it as registers: first what says how the others are understood.
    pub fn registers(&self) -> [(HvRegisterName, HvRegisterValue); 18] {
        use HvRegisterName as Name;
        let word = HvRegisterValue::from_u64;
        let (segment, table) = (HvRegisterValue::from_segment, HvRegisterValue::from_table);
        [
            (Name::Pat, word(self.msr_cr_pat)),
            (Name::Efer, word(self.efer)),
            (Name::Cr4, word(self.cr4)),
            (Name::Cr3, word(self.cr3)),
            (Name::Cr0, word(self.cr0)),
            (Name::Rip, word(self.rip)),
            (Name::Rsp, word(self.rsp)),
            (Name::Rflags, word(self.rflags)),
            (Name::Cs, segment(self.cs)),
            (Name::Ds, segment(self.ds)),
            (Name::Es, segment(self.es)),
            (Name::Fs, segment(self.fs)),
            (Name::Gs, segment(self.gs)),
            (Name::Ss, segment(self.ss)),
            (Name::Tr, segment(self.tr)),
            (Name::Ldtr, segment(self.ldtr)),
            (Name::Idtr, table(self.idtr)),
            (Name::Gdtr, table(self.gdtr)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each word is its number: RIP 0, RSP 1, RFLAGS 2, CS 3, …; but of a table only its limit counts.
    #[test]
    fn a_context_is_eighteen_registers() {
        let mut words: [u64; 28] = core::array::from_fn(|n| n as u64);
        words[21] = 0x7F << 48;
        let context: InitialVpContext = zerocopy::transmute!(words);
        let word_of =
            |name| context.registers().into_iter().find(|(other, _)| *other == name).map(|(_, value)| value);
        for (name, low) in [(HvRegisterName::Rip, 0), (HvRegisterName::Cr3, 25), (HvRegisterName::Pat, 27)] {
            assert_eq!(word_of(name), Some(HvRegisterValue { low, high: 0 }));
        }
        assert_eq!(word_of(HvRegisterName::Cs), Some(HvRegisterValue { low: 3, high: 4 }));
        assert_eq!(word_of(HvRegisterName::Gdtr), Some(HvRegisterValue { low: 0x7F << 48, high: 22 }));
        assert_eq!(word_of(HvRegisterName::Cr0), Some(HvRegisterValue { low: 24, high: 0 }));
    }
}
