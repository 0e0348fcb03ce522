//! Calls that make, run, read and write a virtual processor (TLFS 7 and 8).

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::partition::HvPartitionId;
use crate::registers::{HvRegisterName, HvRegisterValue};

open_enum! {
    /// `HV_VP_INDEX`: a VP's number within its partition, from 0.
    pub struct HvVpIndex(u32) {
        /// The caller itself.
        SELF = 0xFFFF_FFFE,
        /// `HV_ANY_VP`: whichever is nearest.
        ANY = 0xFFFF_FFFF,
    }
}

/// `HvCallCreateVp`, 0x4E, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | padding, subnode type (0) | @12 u32 |
/// | In | subnode id (0) | @16 u64 |
/// | In | proximity domain (0) | @24 u64 |
/// | In | flags (0) | @32 u64 |
///
/// Takes its state from the partition's pool. VP 0 starts as after RESET, the others wait for INIT-SIPI; or write
/// the registers.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreateVp {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Below the partition's `MAX_VPS`.
    pub vp_index: HvVpIndex,
    /// 0.
    pub subnode_type: u32,
    /// 0.
    pub subnode_id: u64,
    /// 0.
    pub proximity_domain_info: u64,
    /// 0.
    pub flags: u64,
}
const _: () = assert!(size_of::<CreateVp>() == 40);

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
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InitialVpContext {
    /// First instruction.
    pub rip: u64,
    /// Stack.
    pub rsp: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CS, DS, ES, FS, GS, SS, TR, LDTR, IDTR, GDTR, of 16 bytes each; EFER, CR0.
    pub rest: [u64; 22],
    /// Page tables.
    pub cr3: u64,
    /// CR4, PAT.
    pub end: [u64; 2],
}
const _: () = assert!(size_of::<InitialVpContext>() == 224);
const _: () = assert!(core::mem::offset_of!(InitialVpContext, cr3) == 200);

impl InitialVpContext {
    /// All of it as registers: first what says how the others are understood.
    pub fn registers(&self) -> impl Iterator<Item = (HvRegisterName, HvRegisterValue)> {
        use HvRegisterName as Name;
        const TABLES: [HvRegisterName; 10] = [
            Name::Cs,
            Name::Ds,
            Name::Es,
            Name::Fs,
            Name::Gs,
            Name::Ss,
            Name::Tr,
            Name::Ldtr,
            Name::Idtr,
            Name::Gdtr,
        ];
        let [.., efer, cr0] = self.rest;
        let [cr4, pat] = self.end;
        let words = [
            (Name::Pat, pat),
            (Name::Efer, efer),
            (Name::Cr4, cr4),
            (Name::Cr3, self.cr3),
            (Name::Cr0, cr0),
            (Name::Rip, self.rip),
            (Name::Rsp, self.rsp),
            (Name::Rflags, self.rflags),
        ];
        let words = words.map(|(name, value)| (name, HvRegisterValue::from_u64(value)));
        let (tables, _) = self.rest.as_chunks();
        let tables = tables.iter().map(|&[low, high]| HvRegisterValue { low, high });
        words.into_iter().chain(TABLES.into_iter().zip(tables))
    }
}

/// `HvCallDeleteVp`, 0x4F, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | padding (0) | @12 u32 |
///
/// Its pages go back to the partition's pool; its state pages are unmapped from the root. `OBJECT_IN_USE`: it is
/// being dispatched.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeleteVp {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Which.
    pub vp_index: HvVpIndex,
    /// 0.
    pub padding: u32,
}
const _: () = assert!(size_of::<DeleteVp>() == 16);

/// `HvCallGetVpRegisters` 0x50 and `HvCallSetVpRegisters` 0x51, rep: the fixed part of the input.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | VTL (0), padding (0) | @12 u8, 3 × u8 |
/// | Get: In, rep | register name | @16 u32 each |
/// | Get: Out, rep | value | @0 16 bytes each |
/// | Set: In, rep | [`HvRegisterAssoc`] | @16 32 bytes each |
///
/// `INVALID_PARAMETER` at the first register that does not exist or refuses the value; those before it are done.
/// `INVALID_VP_STATE`: it runs.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VpRegisters {
    /// Whose; `SELF` allowed.
    pub partition_id: HvPartitionId,
    /// Which; `SELF` allowed.
    pub vp_index: HvVpIndex,
    /// 0.
    pub input_vtl: u8,
    /// 0.
    pub padding: [u8; 3],
}
const _: () = assert!(size_of::<VpRegisters>() == 16);

/// `HV_REGISTER_ASSOC`: a register's name and value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvRegisterAssoc {
    /// Which register.
    pub name: HvRegisterName,
    /// 0.
    pub padding: [u32; 3],
    /// Its value.
    pub value: HvRegisterValue,
}
const _: () = assert!(size_of::<HvRegisterAssoc>() == 32);

/// `HV_TRANSLATE_GVA_*` control flags.
pub mod translate_flags {
    /// The access reads.
    pub const VALIDATE_READ: u64 = 1 << 0;
    /// The access writes.
    pub const VALIDATE_WRITE: u64 = 1 << 1;
    /// The access fetches an instruction.
    pub const VALIDATE_EXECUTE: u64 = 1 << 2;
    /// Ignore the user/supervisor bit.
    pub const PRIVILEGE_EXEMPT: u64 = 1 << 3;
}

/// `HvCallTranslateVirtualAddress`, 0x52, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | padding (0) | @12 u32 |
/// | In | control flags ([`translate_flags`]) | @16 u64 |
/// | In | GVA page number | @24 u64 |
/// | Out | result code ([`TranslateResult`]) | @0 u32 |
/// | Out | cache type 7:0, overlay page 8 | @4 u32 |
/// | Out | GPA page number | @8 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TranslateVirtualAddress {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// By which VP's CR3.
    pub vp_index: HvVpIndex,
    /// 0.
    pub padding: u32,
    /// [`translate_flags`].
    pub control_flags: u64,
    /// Bits 63:12 of the address.
    pub gva_page: u64,
}
const _: () = assert!(size_of::<TranslateVirtualAddress>() == 32);

open_enum! {
    /// `HV_TRANSLATE_GVA_RESULT_CODE`.
    pub struct TranslateResult(u32) {
        SUCCESS = 0,
        PAGE_NOT_PRESENT = 1,
        PRIVILEGE_VIOLATION = 2,
        INVALID_PAGE_TABLE_FLAGS = 3,
        GPA_UNMAPPED = 4,
        GPA_NO_READ_ACCESS = 5,
        GPA_NO_WRITE_ACCESS = 6,
    }
}

/// Output of [`TranslateVirtualAddress`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TranslateVirtualAddressOutput {
    /// Whether it translates.
    pub result_code: TranslateResult,
    /// Cache type 7:0 (6 = write-back), overlay page 8.
    pub flags: u32,
    /// The guest page.
    pub gpa_page: u64,
}
const _: () = assert!(size_of::<TranslateVirtualAddressOutput>() == 16);

open_enum! {
    /// `HV_VP_STATE_PAGE_TYPE`.
    pub struct VpStatePageType(u16) {
        /// [`crate::register_page::HvX64RegisterPage`].
        REGISTERS = 0,
        /// An [`crate::message::HvMessage`] at offset 0.
        INTERCEPT_MESSAGE = 1,
    }
}

/// `HvCallMapVpStatePage`, 0xE1, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | type ([`VpStatePageType`]) | @12 u16 |
/// | In | VTL (0), flags (0) | @14 2 × u8 |
/// | In | requested map location (0) | @16 u64 |
/// | Out | GPA page where the caller now sees the page | @0 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapVpStatePage {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Which VP.
    pub vp_index: HvVpIndex,
    /// Which page.
    pub page_type: VpStatePageType,
    /// 0.
    pub input_vtl: u8,
    /// 0: the hypervisor chooses the location.
    pub flags: u8,
    /// 0.
    pub requested_map_location: u64,
}
const _: () = assert!(size_of::<MapVpStatePage>() == 24);

/// Output of [`MapVpStatePage`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapVpStatePageOutput {
    /// GPA page of the caller.
    pub gpa_page: u64,
}
const _: () = assert!(size_of::<MapVpStatePageOutput>() == 8);

/// `HvCallUnmapVpStatePage`, 0xE2, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | VP index | @8 u32 |
/// | In | type ([`VpStatePageType`]) | @12 u16 |
/// | In | VTL (0), reserved (0) | @14 2 × u8 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnmapVpStatePage {
    /// Whose.
    pub partition_id: HvPartitionId,
    /// Which VP.
    pub vp_index: HvVpIndex,
    /// Which page.
    pub page_type: VpStatePageType,
    /// 0.
    pub input_vtl: u8,
    /// 0.
    pub reserved: u8,
}
const _: () = assert!(size_of::<UnmapVpStatePage>() == 16);

/// `HvCallDispatchVp`, 0xC2. Own form: fast, with output in registers, because it is on the hottest path.
///
/// | Register | In | Out |
/// |---|---|---|
/// | RCX | 0x1_00C2 | undefined |
/// | RDX | partition id 31:0, VP index 47:32, [`DispatchFlags`] 63:48 | [`DispatchState`] 31:0, [`DispatchEvent`] 63:32 |
/// | R8 | deadline: root reference time, 100 ns | root reference time of the VP's next timer, `u64::MAX`: none |
/// | RAX | – | result |
///
/// Runs the VP on the processor of the caller until the deadline, a physical interrupt, an event for the root, an
/// intercept or a halt. The register page is loaded (dirty parts) before and stored when an intercept ends it. Ends as
/// well when the guest arms a timer that is due before the deadline. `OBJECT_IN_USE`: it runs elsewhere, or a call has
/// it. `INVALID_VP_STATE`: it or its partition is suspended, or the partition is not initialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchVp {
    /// Whose; ids above 32 bits cannot be dispatched.
    pub partition_id: HvPartitionId,
    /// Which; below 65536.
    pub vp_index: HvVpIndex,
    /// [`DispatchFlags`]; others must be 0.
    pub flags: u16,
    /// Root reference time at which to come back, 100 ns.
    pub deadline: u64,
}

bitflags! {
    /// What the root wants of a dispatch.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct DispatchFlags: u16 {
        /// Come back when the guest says that it spins for a lock.
        const SPIN_ENDS = 1 << 0;
    }
}

impl DispatchVp {
    /// RDX and R8 of the call. Parts of the ids above their fields are cut off.
    pub const fn into_registers(self) -> (u64, u64) {
        let rdx = (self.partition_id.0 & 0xFFFF_FFFF)
            | ((self.vp_index.0 as u64 & 0xFFFF) << 32)
            | ((self.flags as u64) << 48);
        (rdx, self.deadline)
    }
    /// What RDX and R8 say.
    pub const fn from_registers(rdx: u64, r8: u64) -> Self {
        Self {
            partition_id: HvPartitionId(rdx & 0xFFFF_FFFF),
            vp_index: HvVpIndex((rdx >> 32) as u32 & 0xFFFF),
            flags: (rdx >> 48) as u16,
            deadline: r8,
        }
    }
}

/// What `DISPATCH_VP` answers in RDX and R8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchVpOutput {
    /// Can it be dispatched again at once?
    pub state: DispatchState,
    /// Why it ended.
    pub event: DispatchEvent,
    /// Root reference time at which the VP's next timer expires, 100 ns; `u64::MAX`: none.
    pub next_timer: u64,
}

impl DispatchVpOutput {
    /// RDX and R8 of the answer.
    pub const fn into_registers(self) -> (u64, u64) {
        (self.state.0 as u64 | ((self.event.0 as u64) << 32), self.next_timer)
    }
    /// What RDX and R8 say.
    pub const fn from_registers(rdx: u64, r8: u64) -> Self {
        Self { state: DispatchState(rdx as u32), event: DispatchEvent((rdx >> 32) as u32), next_timer: r8 }
    }
}

open_enum! {
    /// `HV_VP_DISPATCH_STATE`.
    pub struct DispatchState(u32) {
        INVALID = 0,
        /// Halted or waiting for SIPI: dispatch again at `next_timer` or when an interrupt was asserted.
        BLOCKED = 1,
        /// It can go on.
        READY = 2,
    }
}

open_enum! {
    /// `HV_VP_DISPATCH_EVENT`.
    pub struct DispatchEvent(u32) {
        /// Nothing to do for the VP: deadline, physical interrupt, event for the root, or halt.
        NONE = 0,
        /// The partition is suspended.
        SUSPEND = 1,
        /// An intercept: the message is in the intercept-message page, the registers in the register page.
        INTERCEPT = 2,
        /// Own: a message or an event flag arrived in the caller's own SynIC pages; no interrupt was raised for it.
        ROOT_SIGNAL = 3,
        /// Own: the VP spins for a lock that another VP of its partition may hold ([`DispatchFlags::SPIN_ENDS`]).
        SPIN = 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatch_survives_its_registers() {
        let d = DispatchVp {
            partition_id: HvPartitionId(0xDEAD_BEEF),
            vp_index: HvVpIndex(513),
            flags: 3,
            deadline: 9,
        };
        let (rdx, r8) = d.into_registers();
        assert_eq!((rdx, r8), (0x0003_0201_DEAD_BEEF, 9));
        assert_eq!(DispatchVp::from_registers(rdx, r8), d);
        let o = DispatchVpOutput {
            state: DispatchState::READY,
            event: DispatchEvent::INTERCEPT,
            next_timer: u64::MAX,
        };
        let (rdx, r8) = o.into_registers();
        assert_eq!(rdx, 0x2_0000_0002);
        assert_eq!(DispatchVpOutput::from_registers(rdx, r8), o);
    }
    /// Each word is its number: RIP 0, RSP 1, RFLAGS 2, CS 3, …
    #[test]
    fn a_context_is_eighteen_registers() {
        let words: [u64; 28] = core::array::from_fn(|n| n as u64);
        let context: InitialVpContext = zerocopy::transmute!(words);
        let word_of = |name| context.registers().find(|(other, _)| *other == name).map(|(_, value)| value);
        for (name, low) in [(HvRegisterName::Rip, 0), (HvRegisterName::Cr3, 25), (HvRegisterName::Pat, 27)] {
            assert_eq!(word_of(name), Some(HvRegisterValue { low, high: 0 }));
        }
        assert_eq!(word_of(HvRegisterName::Cs), Some(HvRegisterValue { low: 3, high: 4 }));
        assert_eq!(word_of(HvRegisterName::Gdtr), Some(HvRegisterValue { low: 21, high: 22 }));
        assert_eq!(word_of(HvRegisterName::Cr0), Some(HvRegisterValue { low: 24, high: 0 }));
        assert_eq!(context.registers().count(), 18);
    }
}
