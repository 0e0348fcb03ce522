//! Calls that make, run, read and write a virtual processor (TLFS 7 and 8).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::partition::HvPartitionId;
use crate::registers::{HvRegisterName, HvRegisterValue};

mod dispatch;
mod start;
mod state_page;

pub use dispatch::{DispatchEvent, DispatchFlags, DispatchState, DispatchVp, DispatchVpOutput};
pub use start::{InitialVpContext, StartVirtualProcessor};
pub use state_page::{MapVpStatePage, MapVpStatePageOutput, UnmapVpStatePage, VpStatePageType};

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
