//! Calls about intercepts and virtual interrupts (TLFS 9 and 10).

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::partition::HvPartitionId;

open_enum! {
    /// `HV_INTERCEPT_TYPE`.
    pub struct InterceptType(u32) {
        /// Parameter: the port.
        X64_IO_PORT = 0x0,
        /// All MSRs that the hypervisor does not know.
        X64_MSR = 0x1,
        /// Parameter: the leaf.
        X64_CPUID = 0x2,
        /// Parameter: the vector.
        EXCEPTION = 0x3,
        /// Parameter: the MSR's number.
        X64_MSR_INDEX = 0xC,
        UNKNOWN_SYNIC_CONNECTION = 0xD,
        X64_APIC_EOI = 0xE,
        /// Parameter: first port 15:0, last port 31:16.
        X64_IO_PORT_RANGE = 0x11,
    }
}

/// `HV_INTERCEPT_ACCESS` masks.
pub mod access {
    /// Do not intercept.
    pub const NONE: u32 = 0;
    /// Intercept reads.
    pub const READ: u32 = 1;
    /// Intercept writes.
    pub const WRITE: u32 = 2;
    /// Intercept execution (CPUID).
    pub const EXECUTE: u32 = 4;
}

/// `HvCallInstallIntercept`, 0x4D, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | access mask ([`access`]; 0 removes) | @8 u32 |
/// | In | intercept type | @12 u32 |
/// | In | parameter | @16 u64 |
///
/// Accesses to guest pages that are not mapped and string operations on ports are intercepted without asking. Of other
/// ports without an intercept reads give all ones, and writes vanish, inside the hypervisor. The types honoured are `X64_IO_PORT`,
/// `X64_IO_PORT_RANGE`, `X64_APIC_EOI`; others: `INVALID_PARAMETER`.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InstallIntercept {
    /// In which partition.
    pub partition_id: HvPartitionId,
    /// [`access`].
    pub access_type: u32,
    /// What to intercept.
    pub intercept_type: InterceptType,
    /// See [`InterceptType`].
    pub intercept_parameter: u64,
}
const _: () = assert!(size_of::<InstallIntercept>() == 24);

open_enum! {
    /// `HV_INTERRUPT_TYPE`.
    pub struct InterruptType(u32) {
        FIXED = 0,
        LOWEST_PRIORITY = 1,
        SMI = 2,
        NMI = 4,
        INIT = 5,
        SIPI = 6,
        EXT_INT = 7,
        LOCAL_INT0 = 8,
        LOCAL_INT1 = 9,
    }
}

impl InterruptType {
    /// For the bit field that holds one.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
    /// For the bit field that holds one.
    pub const fn into_bits(self) -> u32 {
        self.0
    }
}

/// `HV_INTERRUPT_CONTROL`.
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct InterruptControl {
    /// What to deliver.
    #[bits(32)]
    pub interrupt_type: InterruptType,
    /// Level triggered: an `X64_APIC_EOI` message follows its EOI.
    pub level_triggered: bool,
    /// The destination is a logical id.
    pub logical_dest_mode: bool,
    /// 0.
    #[bits(30)]
    pub reserved: u32,
}

/// `HvCallAssertVirtualInterrupt`, 0x94, simple.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
/// | In | control ([`InterruptControl`]) | @8 u64 |
/// | In | destination: APIC id, or logical id | @16 u64 |
/// | In | vector | @24 u32 |
/// | In | VTL (0), reserved (0) | @28 u8, 3 × u8 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AssertVirtualInterrupt {
    /// In which partition.
    pub partition_id: HvPartitionId,
    /// What to deliver.
    pub interrupt_control: InterruptControl,
    /// APIC id, or logical id.
    pub destination_address: u64,
    /// Vector, 16 to 255, for types that have one.
    pub requested_vector: u32,
    /// 0.
    pub target_vtl: u8,
    /// 0.
    pub reserved: [u8; 3],
}
const _: () = assert!(size_of::<AssertVirtualInterrupt>() == 32);

/// The VPs below `count` whose APICs a destination names; an APIC's id is its VP's index. A logical id names those in its
/// cluster (31:16) whose bits (15:0) are set (SDM vol. 3A 11.12.10.2); all ones are every one.
#[inline]
pub fn destinations(logical: bool, address: u32, count: u32) -> impl Iterator<Item = u32> {
    let (first, end, mask) = if address == u32::MAX {
        (0, count, u32::MAX)
    } else if logical {
        let first = (address >> 16) << 4;
        (first, first.saturating_add(16), address & 0xFFFF)
    } else {
        (address, address.saturating_add(1), u32::MAX)
    };
    (first..end.min(count)).filter(move |id| mask == u32::MAX || mask & (1 << (id & 15)) != 0)
}

/// `HvCallClearVirtualInterrupt`, 0x56, simple: takes back a not yet acknowledged external interrupt.
///
/// | | Field | Offset |
/// |---|---|---|
/// | In | partition id | @0 u64 |
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ClearVirtualInterrupt {
    /// In which partition.
    pub partition_id: HvPartitionId,
}
const _: () = assert!(size_of::<ClearVirtualInterrupt>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupt_control_has_the_specified_bits() {
        let c = InterruptControl::new().with_interrupt_type(InterruptType::NMI).with_level_triggered(true);
        assert_eq!(u64::from(c), 0x1_0000_0004);
        assert_eq!(u64::from(InterruptControl::new().with_logical_dest_mode(true)), 1 << 33);
    }

    #[test]
    fn a_destination_names_its_vps_and_no_others() {
        let named = |logical, address, vps: &[u32]| {
            assert!(destinations(logical, address, 36).eq(vps.iter().copied()), "{logical} {address:#x}");
        };
        named(false, 5, &[5]);
        named(false, 36, &[]);
        named(true, 0b1010, &[1, 3]);
        named(true, 0x1_8001, &[16, 31]);
        named(true, 0x2_FFFF, &[32, 33, 34, 35]);
        named(true, 0xFFFF_0001, &[]);
        for logical in [false, true] {
            assert!(destinations(logical, u32::MAX, 36).eq(0..36));
        }
    }
}
