//! Registers of the processor that the root may not have for itself: they would reach the hypervisor.
#![expect(unsafe_code, reason = "model-specific registers")]

use crate::arch::cpu;
use crate::arch::exception::{try_rdmsr, try_wrmsr};
use crate::arch::svm::enable::SVME;
use crate::arch::svm::permission::msr;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::svm::vmcb::CleanBits;
use crate::backend::{Event, Exit};

/// EFER: SCE, LME, NXE, LMSLE, FFXSR, TCE, AIBRSE.
const EFER_WRITABLE: u64 = 0x0020_E901;
const LME: u64 = 1 << 8;
const LMA: u64 = 1 << 10;
/// CR0.PG.
const PAGING: u64 = 1 << 31;
/// APIC_BASE: what may change is EN and EXTD, not the address.
const APIC_MODE: u64 = 0b11 << 10;

impl SvmProcessor {
    /// A RDMSR or WRMSR of the root that its permission map stops, but of a synthetic register.
    #[cold]
    pub(super) fn root_msr(&mut self, write: bool) -> Exit {
        let register = self.gprs.rcx as u32;
        let value = self.gprs.rdx << 32 | self.gprs.rax & 0xFFFF_FFFF;
        let done = if write { self.root_write(register, value) } else { self.root_read(register) };
        if done {
            self.advance();
        } else {
            self.inject(Event::GENERAL_PROTECTION);
        }
        Exit::Handled
    }

    fn root_read(&mut self, register: u32) -> bool {
        let value = match register {
            msr::EFER => Some(self.vmcb.save.efer & !SVME),
            msr::VM_HSAVE_PA | msr::SVM_KEY | msr::SMM_KEY => None,
            // Registers outside of the map exit whatever they are.
            _ => try_rdmsr(register),
        };
        if let Some(value) = value {
            self.gprs.rax = value & 0xFFFF_FFFF;
            self.gprs.rdx = value >> 32;
        }
        value.is_some()
    }

    fn root_write(&mut self, register: u32, value: u64) -> bool {
        match register {
            msr::EFER => self.root_write_efer(value),
            cpu::APIC_BASE => {
                // SAFETY: the register exists.
                let now = unsafe { cpu::rdmsr(register) };
                (now ^ value) & !APIC_MODE == 0 && try_wrmsr(register, value)
            }
            _ => false,
        }
    }

    fn root_write_efer(&mut self, value: u64) -> bool {
        let save = self.save();
        let changed = save.efer ^ value;
        if value & !(EFER_WRITABLE | LMA) != 0 || changed & LME != 0 && save.cr0 & PAGING != 0 {
            return false;
        }
        save.efer = value & EFER_WRITABLE | save.efer & LMA | SVME;
        self.control().clean.remove(CleanBits::CONTROL_REGISTERS);
        true
    }
}
