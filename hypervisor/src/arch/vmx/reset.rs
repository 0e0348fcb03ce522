//! The states a VP starts from, and what exits.

use hv_abi::registers::{HvSegmentAttributes, HvSegmentRegister};

use crate::arch::extended::Extended;
use crate::arch::vmx::control_register::{CR0_OWNED, CR4_OWNED};
use crate::arch::vmx::controls::{Controls, Primary};
use crate::arch::vmx::event::{NMI_BLOCKED, SHADOW};
use crate::arch::vmx::field::{SegmentFields, control, guest};
use crate::arch::vmx::permission::{GUEST_MSRS, ROOT_MSRS};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::qualification::Interruption;
use crate::arch::{cpu, image};
use crate::backend::{Gprs, Kind, Reset};

/// The attributes of segments.
const REAL_CODE: u16 = 0x009B;
const REAL_DATA: u16 = 0x0093;
const LDT: u16 = 0x0082;
const BUSY_TASK: u16 = 0x008B;
const FLAT_CODE: u16 = 0xA09B;
const FLAT_DATA: u16 = 0xC093;
/// CD, NW, ET.
const RESET_CR0: u64 = 0x6000_0010;
/// PG, WP, NE, ET, MP, PE.
const LONG_CR0: u64 = 0x8001_0033;
/// PAE, OSFXSR, OSXMMEXCPT.
const LONG_CR4: u64 = 0x620;
/// LME, LMA, NXE.
const LONG_EFER: u64 = 0xD00;
const RESET_PAT: u64 = 0x0007_0406_0007_0406;
/// Exceptions that exit: those that can raise themselves for ever, and the machine's own.
const GUEST_EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

impl VmxProcessor {
    /// What exits, which the kind decides once.
    pub(super) fn set_controls(&mut self, controls: &Controls) {
        let guest = self.kind == Kind::Guest;
        let msrs = if guest { &GUEST_MSRS } else { &ROOT_MSRS };
        let vmcs = &self.vmcs;
        vmcs.write(control::PIN_BASED, controls.pin_based);
        vmcs.write(control::PRIMARY, controls.primary);
        vmcs.write(control::SECONDARY, controls.secondary);
        vmcs.write(control::EXIT, controls.exit);
        vmcs.write(control::ENTRY, controls.entry);
        vmcs.write(control::EXCEPTION_BITMAP, if guest { GUEST_EXCEPTIONS } else { 0 });
        vmcs.write(control::MSR_BITMAPS, image::physical(msrs));
        vmcs.write(control::CR0_MASK, CR0_OWNED);
        vmcs.write(control::CR4_MASK, CR4_OWNED);
        vmcs.write(control::TSC_OFFSET, 0);
        vmcs.write(guest::VMCS_LINK_POINTER, u64::MAX);
        for unused in [
            control::PAGE_FAULT_ERROR_CODE_MASK,
            control::PAGE_FAULT_ERROR_CODE_MATCH,
            control::CR3_TARGET_COUNT,
            control::EXIT_MSR_STORE_COUNT,
            control::EXIT_MSR_LOAD_COUNT,
            control::ENTRY_MSR_LOAD_COUNT,
            control::ENTRY_INTERRUPTION_INFORMATION,
            control::ENTRY_INSTRUCTION_LENGTH,
        ] {
            vmcs.write(unused, 0);
        }
    }

    pub(super) fn put_state(&mut self, reset: Reset) {
        self.put_init();
        match reset {
            Reset::Init => {}
            Reset::Startup(vector) => {
                let selector = u16::from(vector) << 8;
                self.put_segment(&guest::CS, REAL_CODE, selector, u64::from(selector) << 4, 0xFFFF);
                self.vmcs.write(guest::RIP, 0);
            }
            Reset::LongMode { rip, rsp, cr3 } => {
                self.put_long_mode(rip, cr3);
                self.gprs = Gprs { rsp, ..Gprs::default() };
            }
        }
    }

    fn put_init(&mut self) {
        // RDX says family and model.
        let [signature, ..] = cpu::cpuid(1, 0);
        self.gprs = Gprs { rdx: u64::from(signature), ..Gprs::default() };
        if !self.extended.is_loaded() {
            self.extended = Extended::new();
        }
        self.live.reset();
        self.pending = Interruption::NONE;
        self.cr8 = 0;
        self.set_window(None);
        self.set_primary(Primary::NMI_WINDOW_EXITING, false);
        self.set_blocking(SHADOW | NMI_BLOCKED, false);
        let data = [guest::DS, guest::ES, guest::SS, guest::FS, guest::GS];
        for fields in data {
            self.put_segment(&fields, REAL_DATA, 0, 0, 0xFFFF);
        }
        self.put_segment(&guest::CS, REAL_CODE, 0xF000, 0xFFFF_0000, 0xFFFF);
        self.put_segment(&guest::LDTR, LDT, 0, 0, 0xFFFF);
        self.put_segment(&guest::TR, BUSY_TASK, 0, 0, 0xFFFF);
        self.set_efer(0);
        self.set_cr0(RESET_CR0);
        self.set_cr4(0);
        let vmcs = &self.vmcs;
        for (base, limit) in [(guest::GDTR_BASE, guest::GDTR_LIMIT), (guest::IDTR_BASE, guest::IDTR_LIMIT)] {
            vmcs.write(base, 0);
            vmcs.write(limit, 0xFFFF);
        }
        vmcs.write(guest::CR3, 0);
        vmcs.write(guest::DR7, 0x400);
        vmcs.write(guest::RFLAGS, 2);
        vmcs.write(guest::RIP, 0xFFF0);
        vmcs.write(guest::IA32_PAT, RESET_PAT);
        vmcs.write(guest::IA32_DEBUGCTL, 0);
        vmcs.write(guest::ACTIVITY_STATE, 0);
        vmcs.write(guest::PENDING_DEBUG_EXCEPTIONS, 0);
        vmcs.write(guest::IA32_SYSENTER_CS, 0);
        vmcs.write(guest::IA32_SYSENTER_ESP, 0);
        vmcs.write(guest::IA32_SYSENTER_EIP, 0);
    }

    fn put_long_mode(&mut self, rip: u64, cr3: u64) {
        for fields in [guest::DS, guest::ES, guest::SS, guest::FS, guest::GS] {
            self.put_segment(&fields, FLAT_DATA, 0x10, 0, u32::MAX);
        }
        self.put_segment(&guest::CS, FLAT_CODE, 8, 0, u32::MAX);
        self.set_efer(LONG_EFER);
        self.set_cr0(LONG_CR0);
        self.set_cr4(LONG_CR4);
        self.vmcs.write(guest::CR3, cr3);
        self.vmcs.write(guest::RIP, rip);
    }

    fn put_segment(&mut self, fields: &SegmentFields, attributes: u16, selector: u16, base: u64, limit: u32) {
        let attributes = HvSegmentAttributes::from_bits(attributes);
        self.set_segment(fields, &HvSegmentRegister { base, limit, selector, attributes });
    }
}
