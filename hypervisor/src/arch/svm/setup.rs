//! What exits, which the kind of a VP decides once.

use crate::arch::image;
use crate::arch::svm::processor::SvmProcessor;
use crate::backend::Kind;
use extension::event::GUEST_EXCEPTIONS;
use extension::svm::permission::{GUEST_MSRS, GUEST_PORTS, ROOT_MSRS};
use extension::svm::vmcb::{Intercepts, InterruptControl, MoreIntercepts};

/// What exits of any VP.
const ALWAYS: Intercepts = Intercepts::NMI
    .union(Intercepts::INIT)
    .union(Intercepts::VINTR)
    .union(Intercepts::CPUID)
    .union(Intercepts::INVD)
    .union(Intercepts::INVLPGA)
    .union(Intercepts::MSR_PROT)
    .union(Intercepts::SHUTDOWN);
impl SvmProcessor {
    /// What exits, which the kind decides once.
    pub(super) fn set_intercepts(&mut self) {
        let guest = self.outside.kind == Kind::Guest;
        let msrs = if guest { &GUEST_MSRS } else { &ROOT_MSRS };
        let control = &mut self.vmcb.control;
        control.intercepts = ALWAYS;
        control.more_intercepts = MoreIntercepts::SVM | MoreIntercepts::XSETBV;
        if guest {
            control.intercepts |=
                Intercepts::INTR | Intercepts::RDPMC | Intercepts::HLT | Intercepts::IOIO_PROT;
            control.more_intercepts = MoreIntercepts::all();
        }
        control.intercept_exceptions = if guest { GUEST_EXCEPTIONS } else { 0 };
        control.msrpm_base_pa = image::physical(msrs);
        control.iopm_base_pa = image::physical(&GUEST_PORTS);
        control.nested_control = 1;
        control.interrupt_control = InterruptControl::new().with_v_intr_masking(guest);
    }
}
