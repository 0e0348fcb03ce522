//! Delivering events: interrupts, NMIs, exceptions, and the windows for them.

use hv_abi::control::cr0;

use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::vmcs::{read, write};
use extension::vmx::controls::Primary;
use extension::vmx::field::{control, guest};

/// Interruptibility state: blocking by STI and by MOV SS.
pub(super) const SHADOW: u32 = 0b11;
const STI_SHADOW: u32 = 1 << 0;
/// Blocking by NMI.
pub(super) const NMI_BLOCKED: u32 = 1 << 3;

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

    /// Asks for an exit when the guest can take an NMI. The shadow of STI may not hold back the one that is there for it
    /// (SDM vol. 3C, 26.2), but does the interrupts'.
    #[cold]
    pub fn request_nmi_window(&mut self) {
        let in_shadow = Self::interruptibility() & STI_SHADOW != 0;
        let window = if in_shadow { Primary::INTERRUPT_WINDOW_EXITING } else { Primary::NMI_WINDOW_EXITING };
        self.set_primary(window, true);
    }

    /// Gives the entry what is pending.
    #[cold]
    pub(super) fn write_pending(&mut self) {
        if self.pending.is_nmi() {
            // Its handler ends with an IRET, and then the next one can come.
            Self::set_blocking(NMI_BLOCKED, false);
            self.set_primary(Primary::NMI_WINDOW_EXITING, true);
        }
        let mut event = self.pending;
        if event.error_code().is_some() && read(guest::CR0) & cr0::PE == 0 {
            event = event.without_error_code();
        }
        write(control::ENTRY_EXCEPTION_ERROR_CODE, event.code());
        write(control::ENTRY_INTERRUPTION_INFORMATION, event.information());
    }

    /// Turns primary controls on or off.
    pub(super) fn set_primary(&mut self, controls: Primary, on: bool) {
        let now = if on { self.primary | controls.bits() } else { self.primary & !controls.bits() };
        if now != self.primary {
            self.primary = now;
            write(control::PRIMARY, now);
        }
    }
}
