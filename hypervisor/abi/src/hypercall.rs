//! The call convention (TLFS 3) and the codes.
//!
//! | Register | In | Out |
//! |---|---|---|
//! | RCX | [`HypercallInput`], the control word | undefined |
//! | RDX | slow: GPA of the input, 8-aligned, not crossing a page. fast: first 8 bytes of the input | as the call says |
//! | R8 | slow: GPA of the output, same rules. fast: next 8 bytes of the input | as the call says |
//! | RAX | – | [`HypercallOutput`] |
//!
//! Input and output are in the caller's RAM (not in a device, nor in a page of the hypervisor's that the root sees). All
//! other registers are kept. The instruction is what the page at `HV_X64_MSR_HYPERCALL` holds (`call` it); it
//! works at CPL 0 only. Input is copied once before it is looked at. In the tables of the calls, "@off" is the byte
//! offset in the input or output.

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::status::HvStatus;

/// The control word in RCX (TLFS 3.7.1).
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HypercallInput {
    /// Which call.
    #[bits(16)]
    pub code: CallCode,
    /// The input is in RDX and R8, not in memory.
    pub fast: bool,
    /// Size of the variable header in units of 8 bytes.
    #[bits(10)]
    pub variable_header_size: u16,
    /// Must be 0.
    #[bits(4)]
    pub reserved0: u8,
    /// For a nested hypervisor: must be 0 here.
    pub nested: bool,
    /// Number of reps; 0 for a simple call.
    #[bits(12)]
    pub rep_count: u16,
    /// Must be 0.
    #[bits(4)]
    pub reserved1: u8,
    /// First rep to do.
    #[bits(12)]
    pub rep_start: u16,
    /// Must be 0.
    #[bits(4)]
    pub reserved2: u8,
}

/// The result in RAX (TLFS 3.8).
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HypercallOutput {
    /// What came of it.
    #[bits(16)]
    pub status: HvStatus,
    /// 0.
    pub reserved0: u16,
    /// Reps that are complete (counted from rep 0, not from the rep start).
    #[bits(12)]
    pub reps_completed: u16,
    /// 0.
    #[bits(20)]
    pub reserved1: u32,
}

macro_rules! bits16 {
    ($t:ty) => {
        impl $t {
            /// For the bit fields that hold one.
            pub const fn from_bits(bits: u16) -> Self {
                Self(bits)
            }
            /// For the bit fields that hold one.
            pub const fn into_bits(self) -> u16 {
                self.0
            }
        }
    };
}
bits16!(CallCode);
bits16!(HvStatus);

impl HypercallInput {
    /// The control word of a call without reps whose input is in memory.
    pub const fn simple(code: CallCode) -> Self {
        Self::new().with_code(code)
    }
    /// The control word of a call whose input is in RDX and R8.
    pub const fn fast_call(code: CallCode) -> Self {
        Self::new().with_code(code).with_fast(true)
    }
    /// The control word of a call with `count` reps, from rep `start` on.
    pub const fn rep(code: CallCode, count: u16, start: u16) -> Self {
        Self::new().with_code(code).with_rep_count(count).with_rep_start(start)
    }
}

open_enum! {
    /// Which hypercall (TLFS appendix A; Microsoft's public headers from 0x94 up).
    pub struct CallCode(u16) {
        FLUSH_VIRTUAL_ADDRESS_SPACE = 0x0002,
        FLUSH_VIRTUAL_ADDRESS_LIST = 0x0003,
        /// The caller has spun for a lock for as long as CPUID recommends (leaf 0x40000004, EBX). Always succeeds; the VP may
        /// have to wait for others then.
        NOTIFY_LONG_SPIN_WAIT = 0x0008,
        SEND_SYNTHETIC_CLUSTER_IPI = 0x000B,
        FLUSH_VIRTUAL_ADDRESS_SPACE_EX = 0x0013,
        FLUSH_VIRTUAL_ADDRESS_LIST_EX = 0x0014,
        SEND_SYNTHETIC_CLUSTER_IPI_EX = 0x0015,
        CREATE_PARTITION = 0x0040,
        INITIALIZE_PARTITION = 0x0041,
        FINALIZE_PARTITION = 0x0042,
        DELETE_PARTITION = 0x0043,
        GET_PARTITION_PROPERTY = 0x0044,
        SET_PARTITION_PROPERTY = 0x0045,
        GET_PARTITION_ID = 0x0046,
        DEPOSIT_MEMORY = 0x0048,
        WITHDRAW_MEMORY = 0x0049,
        MAP_GPA_PAGES = 0x004B,
        UNMAP_GPA_PAGES = 0x004C,
        INSTALL_INTERCEPT = 0x004D,
        CREATE_VP = 0x004E,
        DELETE_VP = 0x004F,
        GET_VP_REGISTERS = 0x0050,
        SET_VP_REGISTERS = 0x0051,
        TRANSLATE_VIRTUAL_ADDRESS = 0x0052,
        CLEAR_VIRTUAL_INTERRUPT = 0x0056,
        DELETE_PORT = 0x0058,
        DISCONNECT_PORT = 0x005B,
        POST_MESSAGE = 0x005C,
        SIGNAL_EVENT = 0x005D,
        MAP_STATS_PAGE = 0x006C,
        UNMAP_STATS_PAGE = 0x006D,
        ASSERT_VIRTUAL_INTERRUPT = 0x0094,
        CREATE_PORT = 0x0095,
        CONNECT_PORT = 0x0096,
        START_VIRTUAL_PROCESSOR = 0x0099,
        SIGNAL_EVENT_DIRECT = 0x00C0,
        POST_MESSAGE_DIRECT = 0x00C1,
        DISPATCH_VP = 0x00C2,
        MAP_VP_STATE_PAGE = 0x00E1,
        UNMAP_VP_STATE_PAGE = 0x00E2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_word_has_the_specified_bits() {
        assert_eq!(u64::from(HypercallInput::simple(CallCode::POST_MESSAGE)), 0x5C);
        assert_eq!(u64::from(HypercallInput::fast_call(CallCode::SIGNAL_EVENT)), 0x1_005D);
        assert_eq!(u64::from(HypercallInput::rep(CallCode::MAP_GPA_PAGES, 3, 2)), 0x0002_0003_0000_004B);
        let w = HypercallInput::from(0x3FF_u64 << 17);
        assert_eq!(w.variable_header_size(), 0x3FF);
        assert_eq!(u64::from(HypercallInput::new().with_nested(true)), 1 << 31);
    }

    #[test]
    fn result_has_the_specified_bits() {
        let r = HypercallOutput::new().with_status(HvStatus::INSUFFICIENT_MEMORY).with_reps_completed(0xABC);
        assert_eq!(u64::from(r), 0xABC_0000_000B);
    }
}
