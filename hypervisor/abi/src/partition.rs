//! Calls that make, configure and end a partition (TLFS 5 and 4.2).
//!
//! All need `CreatePartitions`; a parent acts on its own children only.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// `HV_PARTITION_ID`. Not used again before sixteen million others were.
    pub struct HvPartitionId(u64) {
        /// Own: the partition that the boot loader started.
        ROOT = 1,
        /// The caller itself.
        SELF = u64::MAX,
    }
}

/// Flags of [`CreatePartition::flags`] (`HV_PARTITION_CREATION_FLAG_*`).
pub mod creation_flags {
    /// The partition's memory is given by its parent page by page ("EXO").
    pub const EXO_PARTITION: u64 = 1 << 8;
    /// The hypervisor emulates the local APIC.
    pub const LAPIC_ENABLED: u64 = 1 << 13;
    /// Intercepts are written to the intercept-message page, no message is posted.
    pub const INTERCEPT_MESSAGE_PAGE_ENABLED: u64 = 1 << 19;
    /// The local APIC can be (here: is) in x2APIC mode.
    pub const X2APIC_CAPABLE: u64 = 1 << 22;
    /// What a guest partition of ours is made with: all the above.
    pub const GUEST: u64 = EXO_PARTITION | LAPIC_ENABLED | INTERCEPT_MESSAGE_PAGE_ENABLED | X2APIC_CAPABLE;
}

/// `HvCallCreatePartition`, 0x40, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | flags ([`creation_flags`]) | @0 u64 |
/// | In | proximity domain (0) | @8 u64 |
/// | In | compatibility version (0x609) | @16 u32 |
/// | In | padding (0) | @20 u32 |
/// | In | disabled processor features (0) | @24 2 × u64 |
/// | In | disabled XSAVE features (0) | @40 u64 |
/// | In | isolation properties (0) | @48 u64 |
/// | Out | [`CreatePartitionOutput`] partition id | @0 u64 |
///
/// The partition has no memory: deposit, then `INITIALIZE_PARTITION`. Takes a few pages of the *caller's own* pool:
/// `INSUFFICIENT_MEMORY` when that (deposit to `SELF`) is too small, `NO_RESOURCES` when there are 254 partitions beside the
/// root.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreatePartition {
    /// [`creation_flags`].
    pub flags: u64,
    /// 0.
    pub proximity_domain_info: u64,
    /// 0x609.
    pub compatibility_version: u32,
    /// 0.
    pub padding: u32,
    /// 0: hide nothing.
    pub disabled_processor_features: [u64; 2],
    /// 0: hide nothing.
    pub disabled_xsave_features: u64,
    /// 0: none.
    pub isolation_properties: u64,
}
const _: () = assert!(size_of::<CreatePartition>() == 56);

/// Output of [`CreatePartition`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CreatePartitionOutput {
    /// The new partition.
    pub partition_id: HvPartitionId,
}
const _: () = assert!(size_of::<CreatePartitionOutput>() == 8);

/// `HvCallInitializePartition` 0x41, `HvCallFinalizePartition` 0x42, `HvCallDeletePartition` 0x43: simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
///
/// Initialize makes the second-level table and the counters from the deposit (`INSUFFICIENT_MEMORY`: deposit and
/// repeat). Finalize deletes VPs and connections and unmaps guest memory in bounded steps (`TIME_OUT`: repeat; a VP that
/// runs is stopped first). The root's ports for the partition remain until they are deleted. After finalize withdraw
/// every page; delete works when none is left (else `INVALID_PARTITION_STATE`).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PartitionOnly {
    /// Which partition.
    pub partition_id: HvPartitionId,
}
const _: () = assert!(size_of::<PartitionOnly>() == 8);

open_enum! {
    /// `HV_PARTITION_PROPERTY_CODE`.
    pub struct PropertyCode(u32) {
        /// [`crate::cpuid::HvPrivileges`]; before initialize only.
        PRIVILEGE_FLAGS = 0x0001_0000,
        /// Non-zero: no VP of the partition runs (`DISPATCH_VP` answers `INVALID_VP_STATE`) .
        SUSPEND = 0x0002_0000,
        /// Non-zero: the partition's reference time stands still.
        TIME_FREEZE = 0x0003_0003,
        /// Read only: Hz of the local APIC's timer.
        APIC_FREQUENCY = 0x0003_0004,
        /// The partition's reference time, 100 ns; set only while frozen.
        REFERENCE_TIME = 0x0003_0005,
        /// Read only: Hz of the time stamp counter.
        PROCESSOR_CLOCK_FREQUENCY = 0x0006_0009,
        /// Own: number of VPs that CPUID shows; before initialize only.
        MAX_VPS = 0x8000_0000,
        /// Own, read only: pages now in the partition's pool (deposited and free).
        POOL_FREE_PAGES = 0x8000_0001,
        /// Own, read only: pages deposited and not withdrawn.
        POOL_DEPOSITED_PAGES = 0x8000_0002,
        /// Own, read only: guest pages mapped.
        MAPPED_GPA_PAGES = 0x8000_0003,
    }
}

/// `HvCallGetPartitionProperty`, 0x44, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | property code | @8 u32 |
/// | In | padding (0) | @12 u32 |
/// | Out | value | @0 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetPartitionProperty {
    /// Which partition; `SELF` allowed.
    pub partition_id: HvPartitionId,
    /// Which property.
    pub property_code: PropertyCode,
    /// 0.
    pub padding: u32,
}
const _: () = assert!(size_of::<GetPartitionProperty>() == 16);

/// `HvCallSetPartitionProperty`, 0x45, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | property code | @8 u32 |
/// | In | padding (0) | @12 u32 |
/// | In | value | @16 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetPartitionProperty {
    /// Which partition.
    pub partition_id: HvPartitionId,
    /// Which property.
    pub property_code: PropertyCode,
    /// 0.
    pub padding: u32,
    /// The value.
    pub property_value: u64,
}
const _: () = assert!(size_of::<SetPartitionProperty>() == 24);

/// Output of a call that answers one number (`GET_PARTITION_PROPERTY`, `GET_PARTITION_ID`).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ValueOutput {
    /// The number.
    pub value: u64,
}
const _: () = assert!(size_of::<ValueOutput>() == 8);
