//! The virtual processor on whichever extension the machine has. The choice is the machine's, so that a branch on it
//! is always predicted; and there is one copy of what is above.

use hv_abi::SpaPage;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue};
use hv_abi::status::{HvResult, HvStatus};
use paging::{Attributes, EntryFormat, Ept, Npt, PageSize};

use crate::arch::outside::Outside;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::vendor::is_vmx;
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::{registers, svm, vmx};
use crate::backend::{Event, Exit, FixedMsr, Gprs, Kind, Priorities, Reset, VirtualProcessorBackend};
use crate::machine::MappedPage;
use extension::vectors::Vectors;

/// A virtual processor.
#[expect(clippy::large_enum_variant, reason = "a machine has one of them only")]
pub enum X86Processor {
    /// On AMD-V.
    Svm(SvmProcessor),
    /// On VT-x.
    Vmx(VmxProcessor),
}

/// Calls a method on whichever it is.
macro_rules! on {
    ($this:expr, $($call:tt)*) => {
        match $this {
            X86Processor::Svm(processor) => processor.$($call)*,
            X86Processor::Vmx(processor) => processor.$($call)*,
        }
    };
}

/// Methods that are handed on as they are.
macro_rules! hand_on {
    ($(fn $name:ident(&mut self $(, $argument:ident: $type:ty)?) $(-> $result:ty)?;)*) => {$(
        #[inline]
        fn $name(&mut self $(, $argument: $type)?) $(-> $result)? {
            on!(self, $name($($argument)?))
        }
    )*};
    ($(fn $name:ident(&self) -> $result:ty;)*) => {$(
        #[inline]
        fn $name(&self) -> $result {
            on!(self, $name())
        }
    )*};
}

impl VirtualProcessorBackend for X86Processor {
    type Format = SecondLevel;

    hand_on! {
        fn load(&mut self);
        fn unload(&mut self);
        fn limit(&mut self, ticks: u64);
        fn run(&mut self) -> Exit;
        fn set_rip(&mut self, rip: u64);
        fn advance(&mut self);
        fn inject(&mut self, event: Event);
        fn request_interrupt_window(&mut self, vector: Option<u8>);
        fn set_second_level_root(&mut self, root: SpaPage);
        fn flush_second_level(&mut self);
    }
    hand_on! {
        fn rip(&self) -> u64;
        fn rflags(&self) -> u64;
        fn cpl(&self) -> u8;
        fn pending(&self) -> HvPendingInterruption;
        fn interruptible(&self) -> bool;
        fn nmi_deliverable(&self) -> bool;
    }

    #[inline]
    fn gprs(&self) -> &Gprs {
        &self.outside().gprs
    }
    #[inline]
    fn gprs_mut(&mut self) -> &mut Gprs {
        &mut self.outside_mut().gprs
    }
    #[inline]
    fn instruction_length(&self) -> u8 {
        self.outside().length
    }
    fn hypercall_instruction() -> [u8; 3] {
        if is_vmx() { vmx::processor::HYPERCALL_INSTRUCTION } else { svm::processor::HYPERCALL_INSTRUCTION }
    }
    fn fixed_msrs() -> &'static [FixedMsr] {
        if is_vmx() {
            &extension::vmx::permission::FIXED_MSRS
        } else {
            &extension::svm::permission::FIXED_MSRS
        }
    }
    fn new(control: MappedPage, apic: Option<MappedPage>, kind: Kind) -> Self {
        let mut this = if is_vmx() {
            Self::Vmx(VmxProcessor::new(control, apic, kind))
        } else {
            Self::Svm(SvmProcessor::new(control, kind))
        };
        this.reset(Reset::Init);
        this
    }
    fn reset(&mut self, reset: Reset) {
        self.put_state(reset);
    }
    #[inline]
    fn delegates(&self) -> bool {
        matches!(self, Self::Vmx(processor) if processor.delegates())
    }
    fn delegate(&mut self, priorities: &Priorities, watched: Vectors) {
        if let Self::Vmx(processor) = self {
            processor.delegate(priorities, watched);
        }
    }
    fn request_nmi_window(&mut self) {
        if let Self::Vmx(processor) = self {
            processor.request_nmi_window();
        }
    }
    #[inline]
    fn take_back(&mut self) -> Option<Priorities> {
        match self {
            Self::Svm(_) => None,
            Self::Vmx(processor) => processor.take_back(),
        }
    }
    fn set_xcr0(&mut self, value: u64) -> bool {
        self.outside_mut().extended.set_xcr0(value)
    }

    fn read_register(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        match self.alike(name) {
            None => on!(self, register(name)),
            alike => alike,
        }
    }
    #[inline(always)]
    fn read_known(&self, name: HvRegisterName) -> HvRegisterValue {
        match self.alike(name) {
            None => on!(self, known_register(name)).unwrap_or_default(),
            Some(alike) => alike,
        }
    }
    fn write_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> HvResult<()> {
        let v = value.as_u64();
        let done = extension::acceptable::is_acceptable(name, value)
            && if name == HvRegisterName::PendingInterruption {
                self.set_pending(HvPendingInterruption::from_bits(v))
            } else {
                registers::write(name, v, &mut self.outside_mut().extended).unwrap_or_else(|| {
                    registers::write_general(name, v, self.gprs_mut()) || on!(self, set_register(name, value))
                })
            };
        if done { Ok(()) } else { Err(HvStatus::INVALID_PARAMETER) }
    }
}

impl X86Processor {
    #[inline]
    fn outside(&self) -> &Outside {
        match self {
            Self::Svm(processor) => &processor.outside,
            Self::Vmx(processor) => &processor.outside,
        }
    }
    #[inline]
    fn outside_mut(&mut self) -> &mut Outside {
        match self {
            Self::Svm(processor) => &mut processor.outside,
            Self::Vmx(processor) => &mut processor.outside,
        }
    }

    /// A register that is alike on both.
    #[inline(always)]
    fn alike(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let value = match name {
            HvRegisterName::PendingInterruption => Some(self.pending().into_bits()),
            _ => registers::read(name, &self.outside().gprs, &self.outside().extended),
        };
        value.map(HvRegisterValue::from_u64)
    }

    fn set_pending(&mut self, pending: HvPendingInterruption) -> bool {
        if pending.interruption_pending() {
            return registers::event(pending).map(|event| self.inject(event)).is_some();
        }
        on!(self, forget_pending());
        true
    }
}

/// Entries of whichever second-level table the machine has.
#[derive(Clone, Copy, Debug)]
pub enum SecondLevel {}

impl EntryFormat for SecondLevel {
    const SOFTWARE_SHIFT: u32 = Ept::SOFTWARE_SHIFT;
    /// As many as both have.
    const SOFTWARE_BITS: u32 = Ept::SOFTWARE_BITS;

    fn leaf(page: SpaPage, size: PageSize, attributes: Attributes) -> u64 {
        if is_vmx() { Ept::leaf(page, size, attributes) } else { Npt::leaf(page, size, attributes) }
    }
    fn table(page: SpaPage) -> u64 {
        if is_vmx() { Ept::table(page) } else { Npt::table(page) }
    }
    fn is_present(entry: u64) -> bool {
        if is_vmx() { Ept::is_present(entry) } else { Npt::is_present(entry) }
    }
    fn attributes(entry: u64) -> Attributes {
        if is_vmx() { Ept::attributes(entry) } else { Npt::attributes(entry) }
    }
}

const _: () = assert!(Ept::SOFTWARE_SHIFT == Npt::SOFTWARE_SHIFT && Ept::SOFTWARE_BITS <= Npt::SOFTWARE_BITS);
