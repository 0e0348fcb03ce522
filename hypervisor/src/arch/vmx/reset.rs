//! The states a VP starts from, and what exits.

use hv_abi::registers::{HvSegmentAttributes, HvSegmentRegister};

use crate::arch::extended::Extended;
use crate::arch::vmx::control_register::{CR0_OWNED, cr4_owned};
use crate::arch::vmx::controls::{Controls, Primary};
use crate::arch::vmx::field::{SegmentFields, control, guest};
use crate::arch::vmx::permission::{GUEST_MSRS, ROOT_MSRS};
use crate::arch::vmx::processor::VmxProcessor;
use crate::arch::vmx::qualification::Interruption;
use crate::arch::vmx::registers::set_segment;
use crate::arch::vmx::vmcs::{write, write_all};
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
/// The registers of data segments.
const DATA: [SegmentFields; 5] = [guest::DS, guest::ES, guest::SS, guest::FS, guest::GS];
/// Exceptions that exit: those that can raise themselves for ever, and the machine's own.
const GUEST_EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

/// Fields of the guest's state after RESET, beside segments and control registers.
const RESET_STATE: [(u64, u64); 15] = [
    (guest::GDTR_BASE.encoding(), 0),
    (guest::GDTR_LIMIT.encoding(), 0xFFFF),
    (guest::IDTR_BASE.encoding(), 0),
    (guest::IDTR_LIMIT.encoding(), 0xFFFF),
    (guest::CR3.encoding(), 0),
    (guest::DR7.encoding(), 0x400),
    (guest::RFLAGS.encoding(), 2),
    (guest::RIP.encoding(), 0xFFF0),
    (guest::IA32_PAT.encoding(), 0x0007_0406_0007_0406),
    (guest::IA32_DEBUGCTL.encoding(), 0),
    (guest::INTERRUPTIBILITY_STATE.encoding(), 0),
    (guest::PENDING_DEBUG_EXCEPTIONS.encoding(), 0),
    (guest::IA32_SYSENTER_CS.encoding(), 0),
    (guest::IA32_SYSENTER_ESP.encoding(), 0),
    (guest::IA32_SYSENTER_EIP.encoding(), 0),
];

/// Fields that stay as they are, but RSP, which the first entry takes for 0.
const CONSTANT: [(u64, u64); 15] = [
    (control::CR0_MASK.encoding(), CR0_OWNED),
    (control::CR4_READ_SHADOW.encoding(), 0),
    (control::XSS_EXITING_BITMAP.encoding(), 0),
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
    pub(super) fn set_controls(&mut self, controls: &Controls) {
        let guest = self.kind == Kind::Guest;
        let msrs = if guest { &GUEST_MSRS } else { &ROOT_MSRS };
        write(control::PIN_BASED, controls.pin_based);
        write(control::PRIMARY, controls.primary);
        write(control::SECONDARY, controls.secondary);
        write(control::EXIT, controls.exit);
        write(control::ENTRY, controls.entry);
        write(control::EXCEPTION_BITMAP, if guest { GUEST_EXCEPTIONS } else { 0 });
        write(control::MSR_BITMAPS, image::physical(msrs));
        write(control::CR4_MASK, cr4_owned(self.kind));
        write_all(&CONSTANT);
    }

    /// The state that `reset` leaves; of the current structure.
    pub(super) fn put_state(&mut self, reset: Reset) {
        self.put_init();
        match reset {
            Reset::Init => {}
            Reset::Startup(vector) => {
                let selector = u16::from(vector) << 8;
                put_segment(&guest::CS, REAL_CODE, selector, u64::from(selector) << 4, 0xFFFF);
                write(guest::RIP, 0);
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
        for fields in DATA {
            put_segment(&fields, REAL_DATA, 0, 0, 0xFFFF);
        }
        put_segment(&guest::CS, REAL_CODE, 0xF000, 0xFFFF_0000, 0xFFFF);
        put_segment(&guest::LDTR, LDT, 0, 0, 0xFFFF);
        put_segment(&guest::TR, BUSY_TASK, 0, 0, 0xFFFF);
        self.set_efer(0);
        self.set_cr0(RESET_CR0);
        self.set_cr4(0);
        write_all(&RESET_STATE);
    }

    fn put_long_mode(&mut self, rip: u64, cr3: u64) {
        for fields in DATA {
            put_segment(&fields, FLAT_DATA, 0x10, 0, u32::MAX);
        }
        put_segment(&guest::CS, FLAT_CODE, 8, 0, u32::MAX);
        self.set_efer(LONG_EFER);
        self.set_cr0(LONG_CR0);
        self.set_cr4(LONG_CR4);
        write(guest::CR3, cr3);
        write(guest::RIP, rip);
    }
}

fn put_segment(fields: &SegmentFields, attributes: u16, selector: u16, base: u64, limit: u32) {
    let attributes = HvSegmentAttributes::from_bits(attributes);
    set_segment(fields, &HvSegmentRegister { base, limit, selector, attributes });
}
