//! Calls that move memory: deposits to a partition's pool, and pages of the root mapped into a guest.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::partition::HvPartitionId;

/// `HvCallDepositMemory`, 0x48, rep.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id (`SELF`: the caller's own pool) | @0 u64 |
/// | In, rep | page number (GPA of the root = SPA) | @8 u64 each |
///
/// A deposited page leaves the caller's address space until it is withdrawn. `OPERATION_DENIED`: the page is mapped
/// into a guest, is not RAM, or is not the caller's.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DepositMemory {
    /// To whose pool.
    pub partition_id: HvPartitionId,
}
const _: () = assert!(size_of::<DepositMemory>() == 8);

/// `HvCallWithdrawMemory`, 0x49, rep.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | proximity domain (0) | @8 u64 |
/// | Out, rep | page number | @0 u64 each |
///
/// Answers `INSUFFICIENT_MEMORY`/`reps completed` when the pool ran empty. Pages come back zeroed.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WithdrawMemory {
    /// From whose pool.
    pub partition_id: HvPartitionId,
    /// 0.
    pub proximity_domain_info: u64,
}
const _: () = assert!(size_of::<WithdrawMemory>() == 16);

bitflags! {
    /// `HV_MAP_GPA_FLAGS`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct MapGpaFlags: u32 {
        /// The guest may read.
        const READABLE = 1 << 0;
        /// The guest may write.
        const WRITABLE = 1 << 1;
        /// The guest may execute in its kernel. (Execution is one permission here: either bit allows both.)
        const KERNEL_EXECUTABLE = 1 << 2;
        /// The guest may execute in user mode.
        const USER_EXECUTABLE = 1 << 3;
        /// Uncached.
        const NOT_CACHED = 0x0020_0000;
        /// Each entry is a page of 2 MiB: source and target are aligned to 512 pages.
        const LARGE_PAGE = 0x8000_0000;
    }
}

impl MapGpaFlags {
    /// Ordinary RAM: all access.
    pub const RAM: Self =
        Self::READABLE.union(Self::WRITABLE).union(Self::KERNEL_EXECUTABLE).union(Self::USER_EXECUTABLE);
}

/// `HvCallMapGpaPages`, 0x4B, rep.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | target partition id | @0 u64 |
/// | In | target GPA page of rep 0 | @8 u64 |
/// | In | flags ([`MapGpaFlags`]) | @16 u32 |
/// | In | padding (0) | @20 u32 |
/// | In, rep | source page of the caller | @24 u64 each |
///
/// Rep i maps at target + i (× 512 with `LARGE_PAGE`). What was mapped there at that size is replaced.
/// `INSUFFICIENT_MEMORY`: deposit to the target and go on from `reps completed`. `TIME_OUT`: go on from there.
/// `OPERATION_DENIED`: the source is not the caller's own RAM or is mapped into guests 127 times already, or small pages
/// are mapped where a large one should go.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapGpaPages {
    /// Whose address space.
    pub target_partition_id: HvPartitionId,
    /// Page number of rep 0.
    pub target_gpa_base: u64,
    /// [`MapGpaFlags`].
    pub map_flags: u32,
    /// 0.
    pub padding: u32,
}
const _: () = assert!(size_of::<MapGpaPages>() == 24);

/// `HvCallUnmapGpaPages`, 0x4C, rep (without list).
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | target partition id | @0 u64 |
/// | In | target GPA page of rep 0 | @8 u64 |
/// | In | flags (0, or `MapGpaFlags::LARGE_PAGE`: each rep is 2 MiB) | @16 u32 |
/// | In | padding (0) | @20 u32 |
///
/// `INVALID_PARAMETER`: nothing is mapped there. `OPERATION_DENIED`: small pages are mapped where a large one should be
/// unmapped. `INSUFFICIENT_MEMORY`: the target's pool has no page to split a large page with. `TIME_OUT`: go on from
/// `reps completed`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnmapGpaPages {
    /// Whose address space.
    pub target_partition_id: HvPartitionId,
    /// Page number of rep 0.
    pub target_gpa_base: u64,
    /// 0 or `MapGpaFlags::LARGE_PAGE`.
    pub unmap_flags: u32,
    /// 0.
    pub padding: u32,
}
const _: () = assert!(size_of::<UnmapGpaPages>() == 24);
