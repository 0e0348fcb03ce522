//! The synthetic interrupt controller and the synthetic timers as a guest sees them (TLFS 11 and 12.3).

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::message::HvMessage;

/// Number of synthetic interrupt sources.
pub const SINT_COUNT: usize = 16;
/// Flags of one SINT in the event-flags page.
pub const EVENT_FLAGS_PER_SINT: u16 = 2048;
/// The SINT that VMBus uses.
pub const VMBUS_SINT: u32 = 2;
/// What SVERSION reads.
pub const SVERSION: u64 = 1;
/// Synthetic timers of a VP.
pub const STIMER_COUNT: usize = 4;

/// SINTx (TLFS 11.8.4).
#[bitfield(u64, default = false)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvSint {
    /// Vector, 16 to 255.
    pub vector: u8,
    /// 0.
    #[bits(8)]
    pub reserved0: u8,
    /// No interrupt; messages and flags still arrive.
    pub masked: bool,
    /// The interrupt ends by itself when it is delivered.
    pub auto_eoi: bool,
    /// No interrupt: the guest polls.
    pub polling: bool,
    /// 0.
    #[bits(45)]
    pub reserved1: u64,
}

impl HvSint {
    /// As after reset: masked.
    pub const RESET: Self = Self::new().with_masked(true);
}

impl Default for HvSint {
    fn default() -> Self {
        Self::RESET
    }
}

/// SIMP, SIEFP, and the other MSRs that place a page: enable bit and page number.
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvPageMsr {
    /// The page is there.
    pub enable: bool,
    /// Kept as written (in HYPERCALL bit 1 is `locked`).
    #[bits(11)]
    pub reserved: u16,
    /// Guest page number.
    #[bits(52)]
    pub gpa_page: u64,
}

/// STIMERn_CONFIG (TLFS 12.3.1).
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvStimerConfig {
    /// It runs.
    pub enable: bool,
    /// The count is a period.
    pub periodic: bool,
    /// It may be late.
    pub lazy: bool,
    /// Writing the count enables it.
    pub auto_enable: bool,
    /// Direct mode: which vector.
    pub apic_vector: u8,
    /// Assert `apic_vector`, send no message.
    pub direct_mode: bool,
    /// 0.
    #[bits(3)]
    pub reserved0: u8,
    /// Message mode: which SINT, not 0.
    #[bits(4)]
    pub sintx: u8,
    /// 0.
    #[bits(44)]
    pub reserved1: u64,
}

/// The message page: one slot for each SINT.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvMessagePage {
    /// Slot n is SINT n's.
    pub slots: [HvMessage; SINT_COUNT],
}
const _: () = assert!(size_of::<HvMessagePage>() == 4096);

/// The event-flags page: 2048 bits for each SINT; flag n is bit n % 8 of byte n / 8.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvEventFlagsPage {
    /// SINT n's flags.
    pub sints: [[u8; 256]; SINT_COUNT],
}
const _: () = assert!(size_of::<HvEventFlagsPage>() == 4096);

/// `HV_REFERENCE_TSC_PAGE`: `time = ((tsc * scale) >> 64) + offset`, 100 ns (TLFS 12.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvReferenceTscPage {
    /// 0: use the MSR.
    pub tsc_sequence: u32,
    /// 0.
    pub reserved: u32,
    /// Fixed point, 64 fraction bits: 10⁷·2⁶⁴ / Hz.
    pub tsc_scale: u64,
    /// 100 ns, added modulo 2⁶⁴.
    pub tsc_offset: u64,
}
const _: () = assert!(size_of::<HvReferenceTscPage>() == 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_have_the_specified_bits() {
        assert_eq!(u64::from(HvSint::RESET), 0x1_0000);
        assert_eq!(u64::from(HvSint::new().with_vector(0xF3).with_auto_eoi(true)), 0x2_00F3);
        let c = HvStimerConfig::new().with_enable(true).with_auto_enable(true).with_direct_mode(true);
        assert_eq!(u64::from(c.with_apic_vector(0xED)), 0x1ED9);
        assert_eq!(u64::from(HvStimerConfig::new().with_sintx(2)), 2 << 16);
        assert_eq!(HvPageMsr::from(0x1234_5001).gpa_page(), 0x12345);
    }
}
