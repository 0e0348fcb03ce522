//! The virtual processor on whichever extension the machine has. The choice is the machine's, so that a branch on it
//! is always predicted; and there is one copy of what is above.

use hv_abi::SpaPage;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue};
use hv_abi::status::{HvResult, HvStatus};
use paging::{Attributes, EntryFormat, Ept, Npt, PageSize};

use crate::arch::extended::Extended;
use crate::arch::extension::Extension;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::vendor::is_vmx;
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::{acceptable, registers};
use crate::backend::{Event, Exit, FixedMsr, Gprs, Kind, Reset, VirtualProcessorBackend};
use crate::machine::MappedPage;

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

impl VirtualProcessorBackend for X86Processor {
    type Format = SecondLevel;

    fn hypercall_instruction() -> [u8; 3] {
        if is_vmx() { VmxProcessor::HYPERCALL_INSTRUCTION } else { SvmProcessor::HYPERCALL_INSTRUCTION }
    }
    fn fixed_msrs() -> &'static [FixedMsr] {
        if is_vmx() { VmxProcessor::FIXED_MSRS } else { SvmProcessor::FIXED_MSRS }
    }
    fn new(control: MappedPage, kind: Kind) -> Self {
        if is_vmx() {
            Self::Vmx(VmxProcessor::new(control, kind))
        } else {
            Self::Svm(SvmProcessor::new(control, kind))
        }
    }
    fn load(&mut self) {
        on!(self, load());
    }
    fn unload(&mut self) {
        on!(self, unload());
    }
    fn limit(&mut self, ticks: u64) {
        on!(self, limit(ticks));
    }
    #[inline]
    fn run(&mut self) -> Exit {
        on!(self, run())
    }
    #[inline]
    fn gprs(&self) -> &Gprs {
        on!(self, gprs())
    }
    #[inline]
    fn gprs_mut(&mut self) -> &mut Gprs {
        on!(self, gprs_mut())
    }
    #[inline]
    fn rip(&self) -> u64 {
        on!(self, rip())
    }
    fn set_rip(&mut self, rip: u64) {
        on!(self, set_rip(rip));
    }
    #[inline]
    fn rflags(&self) -> u64 {
        on!(self, rflags())
    }
    #[inline]
    fn instruction_length(&self) -> u8 {
        on!(self, instruction_length())
    }
    fn advance(&mut self) {
        on!(self, advance());
    }
    #[inline]
    fn cpl(&self) -> u8 {
        on!(self, cpl())
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
        let done = acceptable::is_acceptable(name, value)
            && if name == HvRegisterName::PendingInterruption {
                self.set_pending(HvPendingInterruption::from_bits(v))
            } else {
                registers::write(name, v, self.extended_mut()).unwrap_or_else(|| {
                    registers::write_general(name, v, self.gprs_mut()) || on!(self, set_register(name, value))
                })
            };
        if done { Ok(()) } else { Err(HvStatus::INVALID_PARAMETER) }
    }
    fn inject(&mut self, event: Event) {
        on!(self, inject(event));
    }
    fn pending(&self) -> HvPendingInterruption {
        on!(self, pending())
    }
    fn interruptible(&self) -> bool {
        on!(self, interruptible())
    }
    fn nmi_deliverable(&self) -> bool {
        on!(self, nmi_deliverable())
    }
    fn request_interrupt_window(&mut self, vector: Option<u8>) {
        on!(self, request_interrupt_window(vector));
    }
    fn set_second_level_root(&mut self, root: SpaPage) {
        on!(self, set_second_level_root(root));
    }
    fn flush_second_level(&mut self) {
        on!(self, flush_second_level());
    }
    fn reset(&mut self, reset: Reset) {
        on!(self, reset(reset));
    }
    fn set_xcr0(&mut self, value: u64) -> bool {
        self.extended_mut().set_xcr0(value)
    }
}

impl X86Processor {
    fn extended(&self) -> &Extended {
        on!(self, extended())
    }
    fn extended_mut(&mut self) -> &mut Extended {
        on!(self, extended_mut())
    }

    /// A register that is alike on both.
    #[inline(always)]
    fn alike(&self, name: HvRegisterName) -> Option<HvRegisterValue> {
        let value = match name {
            HvRegisterName::PendingInterruption => Some(self.pending().into_bits()),
            _ => registers::read(name, self.gprs(), self.extended()),
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
