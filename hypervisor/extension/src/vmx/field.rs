//! Fields of the virtual-machine control structure (SDM vol. 3D, appendix B), each with the width of its value.

use core::marker::PhantomData;

/// A width of fields.
pub trait Width {
    /// A value.
    type Value: Copy + Default;
    /// Bits 14:13 of an encoding.
    const CODE: u32;
    /// From the register that VMREAD fills.
    fn from_register(register: u64) -> Self::Value;
    /// For the register that VMWRITE takes.
    fn to_register(value: Self::Value) -> u64;
}

macro_rules! widths {
    ($($(#[$doc:meta])* $name:ident $value:ty, $code:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Width for $name {
            type Value = $value;
            const CODE: u32 = $code;
            #[inline(always)]
            fn from_register(register: u64) -> $value {
                register as $value
            }
            #[inline(always)]
            fn to_register(value: $value) -> u64 {
                u64::from(value)
            }
        }
    )*};
}

widths! {
    /// 16 bits.
    W16 u16, 0;
    /// 64 bits.
    W64 u64, 1;
    /// 32 bits.
    W32 u32, 2;
    /// As wide as the processor's registers.
    Natural u64, 3;
}

/// A field whose values have the width `W`.
#[derive(Debug)]
pub struct Field<W>(u32, PhantomData<W>);

impl<W> Clone for Field<W> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<W> Copy for Field<W> {}

impl<W: Width> Field<W> {
    const fn new(encoding: u32) -> Self {
        assert!(encoding >> 13 & 3 == W::CODE, "a field of another width");
        Self(encoding, PhantomData)
    }
    /// For VMREAD and VMWRITE.
    #[inline(always)]
    pub const fn encoding(self) -> u64 {
        self.0 as u64
    }
}

/// The fields of a segment register.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the parts' own names")]
pub struct SegmentFields {
    pub selector: Field<W16>,
    pub limit: Field<W32>,
    pub access_rights: Field<W32>,
    pub base: Field<Natural>,
}

/// The guest's segment register of this number: ES, CS, SS, DS, FS, GS, LDTR, TR.
const fn segment(number: u32) -> SegmentFields {
    let step = number.wrapping_mul(2);
    SegmentFields {
        selector: Field::new(0x0800_u32.wrapping_add(step)),
        limit: Field::new(0x4800_u32.wrapping_add(step)),
        access_rights: Field::new(0x4814_u32.wrapping_add(step)),
        base: Field::new(0x6806_u32.wrapping_add(step)),
    }
}

macro_rules! fields {
    ($width:ident: $($name:ident $encoding:literal)*) => {
        $(pub const $name: Field<$width> = const { Field::new($encoding) };)*
    };
}

/// The guest's state.
pub mod guest {
    #![expect(missing_docs, reason = "the manual's names")]
    use super::*;

    pub const ES: SegmentFields = segment(0);
    pub const CS: SegmentFields = segment(1);
    pub const SS: SegmentFields = segment(2);
    pub const DS: SegmentFields = segment(3);
    pub const FS: SegmentFields = segment(4);
    pub const GS: SegmentFields = segment(5);
    pub const LDTR: SegmentFields = segment(6);
    pub const TR: SegmentFields = segment(7);
    fields!(W64: VMCS_LINK_POINTER 0x2800 IA32_DEBUGCTL 0x2802 IA32_PAT 0x2804 IA32_EFER 0x2806
        PDPTE0 0x280A PDPTE1 0x280C PDPTE2 0x280E PDPTE3 0x2810);
    fields!(W16: INTERRUPT_STATUS 0x0810);
    fields!(W32: GDTR_LIMIT 0x4810 IDTR_LIMIT 0x4812 INTERRUPTIBILITY_STATE 0x4824 ACTIVITY_STATE 0x4826
        IA32_SYSENTER_CS 0x482A PREEMPTION_TIMER 0x482E);
    fields!(Natural: CR0 0x6800 CR3 0x6802 CR4 0x6804 GDTR_BASE 0x6816 IDTR_BASE 0x6818 DR7 0x681A RSP 0x681C
        RIP 0x681E RFLAGS 0x6820 PENDING_DEBUG_EXCEPTIONS 0x6822 IA32_SYSENTER_ESP 0x6824
        IA32_SYSENTER_EIP 0x6826);
}

/// The host's state.
pub mod host {
    #![expect(missing_docs, reason = "the manual's names")]
    use super::*;

    fields!(W16: ES_SELECTOR 0x0C00 CS_SELECTOR 0x0C02 SS_SELECTOR 0x0C04 DS_SELECTOR 0x0C06 FS_SELECTOR 0x0C08
        GS_SELECTOR 0x0C0A TR_SELECTOR 0x0C0C);
    fields!(W64: IA32_PAT 0x2C00 IA32_EFER 0x2C02);
    fields!(W32: IA32_SYSENTER_CS 0x4C00);
    fields!(Natural: CR0 0x6C00 CR3 0x6C02 CR4 0x6C04 FS_BASE 0x6C06 GS_BASE 0x6C08 TR_BASE 0x6C0A GDTR_BASE 0x6C0C
        IDTR_BASE 0x6C0E IA32_SYSENTER_ESP 0x6C10 IA32_SYSENTER_EIP 0x6C12 RIP 0x6C16);
}

/// What exits, and what an entry and an exit do.
pub mod control {
    #![expect(missing_docs, reason = "the manual's names")]
    use super::*;

    fields!(W16: VPID 0x0000);
    fields!(W64: MSR_BITMAPS 0x2004 TSC_OFFSET 0x2010 VIRTUAL_APIC_PAGE 0x2012 EPT_POINTER 0x201A);
    /// Vectors whose EOI exits, 64 each.
    pub const EOI_EXIT_BITMAPS: [Field<W64>; 4] =
        [Field::new(0x201C), Field::new(0x201E), Field::new(0x2020), Field::new(0x2022)];
    fields!(W32: PIN_BASED 0x4000 PRIMARY 0x4002 EXCEPTION_BITMAP 0x4004 PAGE_FAULT_ERROR_CODE_MASK 0x4006
        PAGE_FAULT_ERROR_CODE_MATCH 0x4008 CR3_TARGET_COUNT 0x400A EXIT 0x400C EXIT_MSR_STORE_COUNT 0x400E
        EXIT_MSR_LOAD_COUNT 0x4010 ENTRY 0x4012 ENTRY_MSR_LOAD_COUNT 0x4014 ENTRY_INTERRUPTION_INFORMATION 0x4016
        ENTRY_EXCEPTION_ERROR_CODE 0x4018 ENTRY_INSTRUCTION_LENGTH 0x401A TPR_THRESHOLD 0x401C SECONDARY 0x401E);
    fields!(Natural: CR0_MASK 0x6000 CR4_MASK 0x6002 CR0_READ_SHADOW 0x6004 CR4_READ_SHADOW 0x6006);
}

/// Why it exited; read-only.
pub mod exit {
    #![expect(missing_docs, reason = "the manual's names")]
    use super::*;

    fields!(W64: GUEST_PHYSICAL_ADDRESS 0x2400);
    fields!(W32: REASON 0x4402 INTERRUPTION_INFORMATION 0x4404
        INTERRUPTION_ERROR_CODE 0x4406 IDT_VECTORING_INFORMATION 0x4408 IDT_VECTORING_ERROR_CODE 0x440A
        INSTRUCTION_LENGTH 0x440C);
    fields!(Natural: QUALIFICATION 0x6400 GUEST_LINEAR_ADDRESS 0x640A);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_the_manuals() {
        let tr = guest::TR;
        assert_eq!((tr.selector.encoding(), tr.limit.encoding()), (0x080E, 0x480E));
        assert_eq!((tr.access_rights.encoding(), tr.base.encoding()), (0x4822, 0x6814));
        assert_eq!(guest::ES.access_rights.encoding(), 0x4814);
        assert_eq!(guest::GS.base.encoding(), 0x6810);
    }

    #[test]
    fn values_are_as_wide_as_their_field() {
        assert_eq!(W16::from_register(0xABCD_1234_5678), 0x5678_u16);
        assert_eq!(W32::from_register(0xABCD_1234_5678), 0x1234_5678_u32);
        assert_eq!(Natural::to_register(1 << 63), 1 << 63);
    }
}
