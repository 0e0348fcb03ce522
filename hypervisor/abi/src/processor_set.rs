//! Calls of a guest's own that name several of its VPs: flushes and interrupts (TLFS 9.4 and 10.4).
//!
//! The plain forms name VPs 0 to 63 by a mask, the Ex forms any by an [`HvVpSet`] whose banks are the variable header.
//! VPs that do not exist are passed over.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Format of an `HV_VP_SET`.
    pub struct HvGenericSetFormat(u64) {
        /// 64 VPs a bank.
        SPARSE_4K = 0,
        /// All VPs; no banks follow.
        ALL = 1,
    }
}

/// `HV_VP_SET`: the banks whose bits are set in the mask follow as the variable header, 64 VPs each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvVpSet {
    /// What the rest means.
    pub format: HvGenericSetFormat,
    /// Bit n: the bank of VPs 64·n to 64·n + 63 follows.
    pub valid_bank_mask: u64,
}

bitflags! {
    /// `HV_FLUSH_FLAGS`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct FlushFlags: u64 {
        /// All VPs; the set does not count.
        const ALL_PROCESSORS = 1 << 0;
        /// All address spaces; the one that is named does not count.
        const ALL_VIRTUAL_ADDRESS_SPACES = 1 << 1;
        /// Global translations may stay.
        const NON_GLOBAL_MAPPINGS_ONLY = 1 << 2;
        /// Elements of a list may be 2 MiB and 1 GiB ranges.
        const USE_EXTENDED_RANGE_FORMAT = 1 << 3;
    }
}

/// `HvCallFlushVirtualAddressSpace`, 0x2, simple, and `HvCallFlushVirtualAddressList`, 0x3, rep.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | address space (CR3) | @0 u64 |
/// | In | [`FlushFlags`] | @8 u64 |
/// | In | VPs | @16 u64 |
/// | Rep in (0x3) | page 63:12, how many more pages 11:0 | @24 u64 each |
///
/// When the call is complete these VPs use no translation of their page tables that was cached before; more than what is
/// named may be forgotten.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlushVirtualAddressSpace {
    /// CR3.
    pub address_space: u64,
    /// [`FlushFlags`].
    pub flags: u64,
    /// Bit n: VP n.
    pub processor_mask: u64,
}

/// `HvCallFlushVirtualAddressSpaceEx`, 0x13, simple, and `HvCallFlushVirtualAddressListEx`, 0x14, rep: the same, with a
/// set. The list comes after its banks.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FlushVirtualAddressSpaceEx {
    /// CR3.
    pub address_space: u64,
    /// [`FlushFlags`].
    pub flags: u64,
    /// VPs.
    pub processor_set: HvVpSet,
}

/// `HvCallSendSyntheticClusterIpi`, 0xB, simple, fast.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | vector, 0x10 to 0xFF | @0 u32 |
/// | In | target VTL (0) | @4 u8 |
/// | In | padding | @5 3 bytes |
/// | In | VPs | @8 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SendSyntheticClusterIpi {
    /// A fixed interrupt.
    pub vector: u32,
    /// 0.
    pub target_vtl: u8,
    /// 0.
    pub padding: [u8; 3],
    /// Bit n: VP n.
    pub processor_mask: u64,
}

/// `HvCallSendSyntheticClusterIpiEx`, 0x15, simple: the same, with a set.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SendSyntheticClusterIpiEx {
    /// A fixed interrupt.
    pub vector: u32,
    /// 0.
    pub target_vtl: u8,
    /// 0.
    pub padding: [u8; 3],
    /// VPs.
    pub processor_set: HvVpSet,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<FlushVirtualAddressSpace>() == 24 && size_of::<FlushVirtualAddressSpaceEx>() == 32);
    assert!(size_of::<SendSyntheticClusterIpi>() == 16 && size_of::<SendSyntheticClusterIpiEx>() == 24);
    assert!(offset_of!(SendSyntheticClusterIpi, processor_mask) == 8);
    assert!(offset_of!(SendSyntheticClusterIpiEx, processor_set) == 8);
};
