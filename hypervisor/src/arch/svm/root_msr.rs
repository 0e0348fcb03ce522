//! Registers of SVM, and EFER, as the root may have them.

use hv_abi::control::{cr0, efer};

use crate::arch::root_msr;
use crate::arch::svm::processor::SvmProcessor;
use crate::backend::{Event, Exit};
use extension::svm::permission::msr;
use extension::svm::vmcb::CleanBits;

/// What of EFER it may write, but for LMA, which follows.
const EFER_WRITABLE: u64 =
    efer::SCE | efer::LME | efer::NXE | efer::LMSLE | efer::FFXSR | efer::TCE | efer::AIBRSE;

impl SvmProcessor {
    /// A RDMSR or WRMSR of the root that its permission map stops, but of a synthetic register.
    #[cold]
    pub(super) fn root_msr(&mut self, write: bool) -> Exit {
        let register = self.outside.gprs.rcx as u32;
        let own = match register {
            msr::EFER => Some(Some(self.vmcb.save.efer & !efer::SVME)),
            msr::VM_HSAVE_PA | msr::SVM_KEY | msr::SMM_KEY => Some(None),
            _ => None,
        };
        let done = match (write, register) {
            (true, msr::EFER) => self.root_write_efer(self.outside.gprs.edx_eax()),
            (true, _) => root_msr::write(&self.outside.gprs),
            (false, _) => root_msr::read(&mut self.outside.gprs, own),
        };
        if done {
            self.advance();
        } else {
            self.inject(Event::GENERAL_PROTECTION);
        }
        Exit::Handled
    }

    fn root_write_efer(&mut self, value: u64) -> bool {
        let save = &mut self.vmcb.save;
        let changed = save.efer ^ value;
        if value & !(EFER_WRITABLE | efer::LMA) != 0 || changed & efer::LME != 0 && save.cr0 & cr0::PG != 0 {
            return false;
        }
        save.efer = value & EFER_WRITABLE | save.efer & efer::LMA | efer::SVME;
        self.vmcb.control.clean.remove(CleanBits::CONTROL_REGISTERS);
        true
    }
}
