//! What a vendor's extension has to offer to [`X86Processor`](crate::arch::x86_processor::X86Processor), which is the
//! backend: all of [`VirtualProcessorBackend`](crate::backend::VirtualProcessorBackend) that is not alike on both.

use hv_abi::SpaPage;
use hv_abi::registers::{HvPendingInterruption, HvRegisterName, HvRegisterValue};

use crate::arch::extended::Extended;
use crate::backend::{Event, Exit, FixedMsr, Gprs, Kind, Reset};
use crate::machine::MappedPage;

/// One virtual processor on this vendor's extension. What a method does is said where the backend has it.
#[expect(missing_docs, reason = "as in the backend")]
pub trait Extension: Sized {
    const HYPERCALL_INSTRUCTION: [u8; 3];
    const FIXED_MSRS: &'static [FixedMsr];

    fn new(control: MappedPage, kind: Kind) -> Self;
    fn load(&mut self);
    fn unload(&mut self);
    fn limit(&mut self, _ticks: u64) {}
    fn run(&mut self) -> Exit;

    fn gprs(&self) -> &Gprs;
    fn gprs_mut(&mut self) -> &mut Gprs;
    /// What an entry does not switch.
    fn extended(&self) -> &Extended;
    /// What an entry does not switch.
    fn extended_mut(&mut self) -> &mut Extended;
    fn rip(&self) -> u64;
    fn set_rip(&mut self, rip: u64);
    fn rflags(&self) -> u64;
    fn instruction_length(&self) -> u8;
    fn advance(&mut self);
    fn cpl(&self) -> u8;

    /// A register that is neither general nor in [`Extended`].
    fn register(&self, name: HvRegisterName) -> Option<HvRegisterValue>;
    /// The same, while it is loaded: inlined, so that one of a known name comes to one load.
    fn known_register(&self, name: HvRegisterName) -> Option<HvRegisterValue>;
    /// Sets one, whose value is acceptable ([`crate::arch::registers`]); `false`: it is not here, or the value is
    /// refused on this extension.
    fn set_register(&mut self, name: HvRegisterName, value: HvRegisterValue) -> bool;

    fn inject(&mut self, event: Event);
    fn pending(&self) -> HvPendingInterruption;
    /// Nothing is pending.
    fn forget_pending(&mut self);
    fn interruptible(&self) -> bool;
    fn nmi_deliverable(&self) -> bool;
    fn request_interrupt_window(&mut self, vector: Option<u8>);

    fn set_second_level_root(&mut self, root: SpaPage);
    fn flush_second_level(&mut self);
    fn reset(&mut self, reset: Reset);
}
