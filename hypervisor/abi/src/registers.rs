//! Names and values of a virtual processor's registers (TLFS 7.8, `HV_REGISTER_NAME`).
#![expect(non_upper_case_globals, reason = "the names of registers keep the specification's capitals")]

use bitfield_struct::bitfield;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// `HV_REGISTER_NAME`.
    pub struct HvRegisterName(u32) {
        /// Bit 0 set: the VP does not run until it is cleared.
        ExplicitSuspend = 0x0000_0000,
        /// Bit 0: halted. Bit 1: waits for INIT-SIPI.
        InternalActivityState = 0x0000_0004,
        CrashP0 = 0x0000_0210,
        CrashP1 = 0x0000_0211,
        CrashP2 = 0x0000_0212,
        CrashP3 = 0x0000_0213,
        CrashP4 = 0x0000_0214,
        CrashCtl = 0x0000_0215,

        PendingInterruption = 0x0001_0002,
        InterruptState = 0x0001_0003,
        PendingEvent0 = 0x0001_0004,
        DeliverabilityNotifications = 0x0001_0006,

        Rax = 0x0002_0000,
        Rcx = 0x0002_0001,
        Rdx = 0x0002_0002,
        Rbx = 0x0002_0003,
        Rsp = 0x0002_0004,
        Rbp = 0x0002_0005,
        Rsi = 0x0002_0006,
        Rdi = 0x0002_0007,
        R8 = 0x0002_0008,
        R9 = 0x0002_0009,
        R10 = 0x0002_000A,
        R11 = 0x0002_000B,
        R12 = 0x0002_000C,
        R13 = 0x0002_000D,
        R14 = 0x0002_000E,
        R15 = 0x0002_000F,
        Rip = 0x0002_0010,
        Rflags = 0x0002_0011,

        Cr0 = 0x0004_0000,
        Cr2 = 0x0004_0001,
        Cr3 = 0x0004_0002,
        Cr4 = 0x0004_0003,
        Cr8 = 0x0004_0004,
        /// XCR0.
        Xfem = 0x0004_0005,

        Dr0 = 0x0005_0000,
        Dr1 = 0x0005_0001,
        Dr2 = 0x0005_0002,
        Dr3 = 0x0005_0003,
        Dr6 = 0x0005_0004,
        Dr7 = 0x0005_0005,

        Es = 0x0006_0000,
        Cs = 0x0006_0001,
        Ss = 0x0006_0002,
        Ds = 0x0006_0003,
        Fs = 0x0006_0004,
        Gs = 0x0006_0005,
        Ldtr = 0x0006_0006,
        Tr = 0x0006_0007,
        Idtr = 0x0007_0000,
        Gdtr = 0x0007_0001,

        Tsc = 0x0008_0000,
        Efer = 0x0008_0001,
        KernelGsBase = 0x0008_0002,
        ApicBase = 0x0008_0003,
        Pat = 0x0008_0004,
        SysenterCs = 0x0008_0005,
        SysenterEip = 0x0008_0006,
        SysenterEsp = 0x0008_0007,
        Star = 0x0008_0008,
        Lstar = 0x0008_0009,
        Cstar = 0x0008_000A,
        Sfmask = 0x0008_000B,
        InitialApicId = 0x0008_000C,
        TscAux = 0x0008_007B,
        SpecCtrl = 0x0008_0084,

        ApicId = 0x0008_4802,

        VpRuntime = 0x0009_0000,
        Hypercall = 0x0009_0001,
        GuestOsId = 0x0009_0002,
        VpIndex = 0x0009_0003,
        TimeRefCount = 0x0009_0004,
        VpAssistPage = 0x0009_0013,
        ReferenceTsc = 0x0009_0017,

        Sint0 = 0x000A_0000,
        Sint15 = 0x000A_000F,
        Scontrol = 0x000A_0010,
        Sversion = 0x000A_0011,
        Sifp = 0x000A_0012,
        Sipp = 0x000A_0013,
        Eom = 0x000A_0014,

        Stimer0Config = 0x000B_0000,
        Stimer0Count = 0x000B_0001,
        Stimer1Config = 0x000B_0002,
        Stimer1Count = 0x000B_0003,
        Stimer2Config = 0x000B_0004,
        Stimer2Count = 0x000B_0005,
        Stimer3Config = 0x000B_0006,
        Stimer3Count = 0x000B_0007,
    }
}

/// `HV_REGISTER_VALUE`: 16 bytes whose meaning the name gives; what is narrower is in the low bytes, the rest 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvRegisterValue {
    /// Bytes 0 to 7.
    pub low: u64,
    /// Bytes 8 to 15.
    pub high: u64,
}
const _: () = assert!(size_of::<HvRegisterValue>() == 16);

impl HvRegisterValue {
    /// A register of 64 bits.
    #[inline]
    pub const fn from_u64(value: u64) -> Self {
        Self { low: value, high: 0 }
    }
    /// A register of 64 bits.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.low
    }
    /// A segment register.
    #[inline]
    pub const fn from_segment(s: HvSegmentRegister) -> Self {
        Self {
            low: s.base,
            high: s.limit as u64 | (s.selector as u64) << 32 | (s.attributes.into_bits() as u64) << 48,
        }
    }
    /// A segment register.
    #[inline]
    pub const fn as_segment(self) -> HvSegmentRegister {
        HvSegmentRegister {
            base: self.low,
            limit: self.high as u32,
            selector: (self.high >> 32) as u16,
            attributes: HvSegmentAttributes::from_bits((self.high >> 48) as u16),
        }
    }
    /// GDTR or IDTR.
    #[inline]
    pub const fn from_table(t: HvTableRegister) -> Self {
        Self { low: (t.limit as u64) << 48, high: t.base }
    }
    /// GDTR or IDTR.
    #[inline]
    pub const fn as_table(self) -> HvTableRegister {
        HvTableRegister { padding: [0; 3], limit: (self.low >> 48) as u16, base: self.high }
    }
}

/// Attributes of a segment, as in a descriptor (APM vol. 2, 4.7.1).
#[bitfield(u16)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvSegmentAttributes {
    /// Type.
    #[bits(4)]
    pub segment_type: u8,
    /// S: code or data.
    pub non_system_segment: bool,
    /// DPL.
    #[bits(2)]
    pub descriptor_privilege_level: u8,
    /// P.
    pub present: bool,
    /// 0.
    #[bits(4)]
    pub reserved: u8,
    /// AVL.
    pub available: bool,
    /// L.
    pub long: bool,
    /// D/B.
    pub default: bool,
    /// G.
    pub granularity: bool,
}

/// `HV_X64_SEGMENT_REGISTER`. The limit is in bytes, whatever the granularity bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvSegmentRegister {
    /// Base.
    pub base: u64,
    /// Limit, bytes.
    pub limit: u32,
    /// Selector.
    pub selector: u16,
    /// Attributes.
    pub attributes: HvSegmentAttributes,
}
const _: () = assert!(size_of::<HvSegmentRegister>() == 16);

/// `HV_X64_TABLE_REGISTER`: GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HvTableRegister {
    /// 0.
    pub padding: [u16; 3],
    /// Limit.
    pub limit: u16,
    /// Base.
    pub base: u64,
}
const _: () = assert!(size_of::<HvTableRegister>() == 16);

/// Kinds of [`HvPendingInterruption::interruption_type`].
pub mod interruption_type {
    /// External interrupt.
    pub const INTERRUPT: u8 = 0;
    /// NMI.
    pub const NMI: u8 = 2;
    /// Hardware exception.
    pub const EXCEPTION: u8 = 3;
}

/// `HV_X64_PENDING_INTERRUPTION_REGISTER`: what is delivered before the next instruction.
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvPendingInterruption {
    /// There is one.
    pub interruption_pending: bool,
    /// [`interruption_type`].
    #[bits(3)]
    pub interruption_type: u8,
    /// It has an error code.
    pub deliver_error_code: bool,
    /// For software interrupts.
    #[bits(4)]
    pub instruction_length: u8,
    /// 0.
    pub nested_event: bool,
    /// 0.
    #[bits(6)]
    pub reserved: u8,
    /// Vector.
    pub interruption_vector: u16,
    /// Error code.
    pub error_code: u32,
}

/// `HV_X64_INTERRUPT_STATE_REGISTER`.
#[bitfield(u64)]
#[derive(PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct HvInterruptState {
    /// After STI or MOV SS: interrupts wait for one instruction.
    pub interrupt_shadow: bool,
    /// Inside an NMI handler.
    pub nmi_masked: bool,
    /// 0.
    #[bits(62)]
    pub reserved: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn values_have_the_layout_of_their_structures() {
        let s = HvSegmentRegister {
            base: 0x1122_3344_5566_7788,
            limit: 0xFFFF_FFFF,
            selector: 0x10,
            attributes: HvSegmentAttributes::from(0xA09B),
        };
        assert_eq!(HvRegisterValue::from_segment(s).as_bytes(), s.as_bytes());
        assert_eq!(HvRegisterValue::from_segment(s).as_segment(), s);
        assert!(s.attributes.long() && s.attributes.granularity() && s.attributes.present());
        let t = HvTableRegister { padding: [0; 3], limit: 0x7F, base: 0xFFFF_8000_0000_1000 };
        assert_eq!(HvRegisterValue::from_table(t).as_bytes(), t.as_bytes());
        assert_eq!(HvRegisterValue::from_table(t).as_table(), t);
    }
}
