//! What exits, and what an entry takes as it is, which the kind of a VP decides once.

use crate::arch::image;
use crate::arch::vmx::control_register::{CR0_OWNED, cr4_owned};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::vmcs::{write, write_all};
use crate::backend::Kind;
use crate::machine::MappedPage;
use extension::event::GUEST_EXCEPTIONS;
use extension::vmx::controls::Controls;
use extension::vmx::field::{control, guest};
use extension::vmx::permission::{GUEST_MSRS, ROOT_MSRS};

/// Fields that stay as they are, or that a guest finds so at first.
const CONSTANT: [(u64, u64); 18] = [
    (guest::IA32_DEBUGCTL.encoding(), 0),
    (guest::IA32_SYSENTER_CS.encoding(), 0),
    (guest::IA32_SYSENTER_ESP.encoding(), 0),
    (guest::IA32_SYSENTER_EIP.encoding(), 0),
    (control::CR0_MASK.encoding(), CR0_OWNED),
    (control::CR4_READ_SHADOW.encoding(), 0),
    (guest::RSP.encoding(), 0),
    (control::TSC_OFFSET.encoding(), 0),
    (guest::VMCS_LINK_POINTER.encoding(), u64::MAX),
    (guest::ACTIVITY_STATE.encoding(), 0),
    (control::PAGE_FAULT_ERROR_CODE_MASK.encoding(), 0),
    (control::PAGE_FAULT_ERROR_CODE_MATCH.encoding(), 0),
    (control::CR3_TARGET_COUNT.encoding(), 0),
    (control::EXIT_MSR_STORE_COUNT.encoding(), 0),
    (control::EXIT_MSR_LOAD_COUNT.encoding(), 0),
    (control::ENTRY_MSR_LOAD_COUNT.encoding(), 0),
    (control::ENTRY_INTERRUPTION_INFORMATION.encoding(), 0),
    (control::ENTRY_INSTRUCTION_LENGTH.encoding(), 0),
];

impl VmxProcessor {
    /// What exits, which the kind decides once.
    pub(super) fn set_controls(&mut self, controls: &Controls, apic: Option<MappedPage>) {
        let guest = self.outside.kind == Kind::Guest;
        let msrs = if guest { &GUEST_MSRS } else { &ROOT_MSRS };
        write(control::PIN_BASED, controls.pin_based);
        write(control::PRIMARY, controls.primary);
        write(control::SECONDARY, controls.secondary);
        write(control::EXIT, controls.exit);
        write(control::ENTRY, controls.entry);
        write(control::EXCEPTION_BITMAP, if guest { GUEST_EXCEPTIONS } else { 0 });
        write(control::MSR_BITMAPS, image::physical(msrs));
        if let Some(apic) = apic {
            write(control::VIRTUAL_APIC_PAGE, apic.page.base().get());
            write(control::TPR_THRESHOLD, 0);
        }
        write(control::CR4_MASK, cr4_owned(self.outside.kind));
        write_all(&CONSTANT);
    }
}
