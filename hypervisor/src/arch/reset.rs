//! The states a VP starts from (APM vol. 2, 14.1.3; SDM vol. 3A, 11.1.1).

use hv_abi::control::{cr0, cr4, efer, rflags};
use hv_abi::registers::{HvRegisterName as Name, HvRegisterValue, HvSegmentAttributes, HvSegmentRegister};

use crate::arch::cpu;
use crate::arch::x86_processor::X86Processor;
use crate::backend::{Entry, Gprs, Reset, VirtualProcessorBackend};

/// Registers after INIT, beside segments and general registers.
const INIT: [(Name, u64); 13] = [
    (Name::Efer, 0),
    (Name::Cr0, cr0::CD | cr0::NW | cr0::ET),
    (Name::Cr2, 0),
    (Name::Cr3, 0),
    (Name::Cr4, 0),
    (Name::Cr8, 0),
    (Name::Dr6, 0xFFFF_0FF0),
    (Name::Dr7, 0x400),
    (Name::Rflags, rflags::ONE),
    (Name::Rip, 0xFFF0),
    (Name::Pat, 0x0007_0406_0007_0406),
    (Name::InterruptState, 0),
    (Name::PendingInterruption, 0),
];

/// Those that are other ones in 64-bit mode.
const LONG_MODE: [(Name, u64); 3] = [
    (Name::Efer, efer::LME | efer::LMA | efer::NXE),
    (Name::Cr0, cr0::PG | cr0::WP | cr0::NE | cr0::ET | cr0::MP | cr0::PE),
    (Name::Cr4, cr4::PAE | cr4::OSFXSR | cr4::OSXMMEXCPT),
];

/// Attributes of segments.
const REAL_CODE: u16 = 0x009B;
const REAL_DATA: u16 = 0x0093;
const LDT: u16 = 0x0082;
const BUSY_TASK: u16 = 0x008B;
const FLAT_CODE: u16 = 0xA09B;
const FLAT_DATA: u16 = 0xC093;
const DATA: [Name; 5] = [Name::Ds, Name::Es, Name::Ss, Name::Fs, Name::Gs];

impl X86Processor {
    /// Puts the state that `reset` leaves.
    pub(super) fn put_state(&mut self, reset: Reset) {
        // RDX says family and model.
        let [signature, ..] = cpu::cpuid(1, 0);
        *self.gprs_mut() = Gprs { rdx: u64::from(signature), ..Gprs::default() };
        self.request_interrupt_window(None);
        self.put_all(&INIT);
        for name in DATA {
            self.put_segment(name, REAL_DATA, 0, 0, 0xFFFF);
        }
        self.put_segment(Name::Cs, REAL_CODE, 0xF000, 0xFFFF_0000, 0xFFFF);
        self.put_segment(Name::Ldtr, LDT, 0, 0, 0xFFFF);
        self.put_segment(Name::Tr, BUSY_TASK, 0, 0, 0xFFFF);
        for name in [Name::Gdtr, Name::Idtr] {
            // Limit FFFFh.
            self.put(name, HvRegisterValue { low: 0xFFFF << 48, high: 0 });
        }
        match reset {
            Reset::Init => {}
            Reset::Startup(vector) => {
                let selector = u16::from(vector) << 8;
                self.put_segment(Name::Cs, REAL_CODE, selector, u64::from(selector) << 4, 0xFFFF);
                self.put_all(&[(Name::Rip, 0)]);
            }
            Reset::LongMode(Entry { rip, rsp, cr3, rdi }) => {
                for name in DATA {
                    self.put_segment(name, FLAT_DATA, 0x10, 0, u32::MAX);
                }
                self.put_segment(Name::Cs, FLAT_CODE, 8, 0, u32::MAX);
                self.put_all(&LONG_MODE);
                self.put_all(&[(Name::Cr3, cr3), (Name::Rip, rip)]);
                *self.gprs_mut() = Gprs { rsp, rdi, ..Gprs::default() };
            }
        }
    }

    fn put(&mut self, name: Name, value: HvRegisterValue) {
        // All of these are values that a processor has.
        let _ = self.write_register(name, value);
    }

    fn put_all(&mut self, list: &[(Name, u64)]) {
        for (name, value) in list {
            self.put(*name, HvRegisterValue::from_u64(*value));
        }
    }

    fn put_segment(&mut self, name: Name, attributes: u16, selector: u16, base: u64, limit: u32) {
        let attributes = HvSegmentAttributes::from_bits(attributes);
        self.put(
            name,
            HvRegisterValue::from_segment(HvSegmentRegister { base, limit, selector, attributes }),
        );
    }
}
