//! Delivering events: interrupts, NMIs, exceptions, and the windows for them.

use hv_abi::registers::HvPendingInterruption;

use crate::arch::vmx::controls::Primary;
use crate::arch::vmx::field::{control, exit, guest};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::qualification::Interruption;
use crate::arch::vmx::vmcs::{read, write};

/// Interruptibility state: blocking by STI and by MOV SS.
pub(super) const SHADOW: u32 = 0b11;
/// Blocking by NMI.
pub(super) const NMI_BLOCKED: u32 = 1 << 3;

/// Whether information about an event says that there is one.
#[inline]
pub(super) const fn is_valid(information: u32) -> bool {
    information >> 31 != 0
}

impl VmxProcessor {
    fn interruptibility() -> u32 {
        read(guest::INTERRUPTIBILITY_STATE)
    }

    /// No shadow, nothing pending.
    #[inline]
    pub(super) fn takes_events(&self) -> bool {
        !self.pending.is_valid() && Self::interruptibility() & SHADOW == 0
    }

    /// An NMI has been delivered, and no IRET executed since.
    pub(super) fn is_in_nmi_handler() -> bool {
        Self::interruptibility() & NMI_BLOCKED != 0
    }

    /// Sets what blocks events.
    pub(super) fn set_blocking(bits: u32, on: bool) {
        let now = Self::interruptibility();
        write(guest::INTERRUPTIBILITY_STATE, if on { now | bits } else { now & !bits });
    }

    /// Gives the entry what is pending.
    #[cold]
    pub(super) fn write_pending(&mut self) {
        const PROTECTED: u64 = 1;
        if self.pending.is_nmi() {
            // Its handler ends with an IRET, and then the next one can come.
            Self::set_blocking(NMI_BLOCKED, false);
            self.set_primary(Primary::NMI_WINDOW_EXITING, true);
        }
        let mut event = self.pending;
        if event.error_code().is_some() && read(guest::CR0) & PROTECTED == 0 {
            event = event.without_error_code();
        }
        write(control::ENTRY_EXCEPTION_ERROR_CODE, event.error_code);
        write(control::ENTRY_INTERRUPTION_INFORMATION, event.information);
    }

    /// Puts back an event whose delivery the exit interrupted. What an instruction raised is not put back: RIP is still
    /// at the instruction, which is executed again.
    #[cold]
    pub(super) fn requeue(&mut self, information: u32) {
        let error_code = read(exit::IDT_VECTORING_ERROR_CODE);
        let event = Interruption { information, error_code }.for_entry();
        if !event.is_of_instruction() {
            self.pending = event;
        }
    }

    pub(super) fn pending_interruption(&self) -> HvPendingInterruption {
        let event = self.pending;
        if !event.is_valid() {
            return HvPendingInterruption::new();
        }
        HvPendingInterruption::new()
            .with_interruption_pending(true)
            .with_interruption_type(event.kind())
            .with_interruption_vector(u16::from(event.vector()))
            .with_deliver_error_code(event.error_code().is_some())
            .with_error_code(event.error_code)
    }

    /// Turns primary controls on or off.
    pub(super) fn set_primary(&mut self, controls: Primary, on: bool) {
        let now = if on { self.primary | controls.bits() } else { self.primary & !controls.bits() };
        if now != self.primary {
            self.primary = now;
            write(control::PRIMARY, now);
        }
    }

    /// Asks for an exit when the guest can take `vector`.
    #[inline]
    pub(super) fn set_window(&mut self, vector: Option<u8>) {
        self.window = vector;
        let open = vector.is_some_and(|vector| vector >> 4 > self.cr8);
        self.set_primary(Primary::INTERRUPT_WINDOW_EXITING, open);
    }
}
