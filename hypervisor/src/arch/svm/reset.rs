//! The states a VP starts from, and what exits.

use crate::arch::extended::Extended;
use crate::arch::extension::Extension;
use crate::arch::svm::enable::SVME;
use crate::arch::svm::event::NmiState;
use crate::arch::svm::permission::{GUEST_MSRS, GUEST_PORTS, ROOT_MSRS};
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::svm::vmcb::{
    CleanBits, EventInjection, Intercepts, InterruptControl, MoreIntercepts, Segment,
};
use crate::arch::{cpu, image};
use crate::backend::{Gprs, Kind, Reset};

/// The attributes of segments.
const REAL_CODE: u16 = 0x09B;
const REAL_DATA: u16 = 0x093;
const REAL_LDT: u16 = 0x082;
const BUSY_TASK: u16 = 0x08B;
const FLAT_CODE: u16 = 0xA9B;
const FLAT_DATA: u16 = 0xC93;
/// CD, NW, ET.
const RESET_CR0: u64 = 0x6000_0010;
/// PG, WP, NE, ET, MP, PE.
const LONG_CR0: u64 = 0x8001_0033;
/// PAE, OSFXSR, OSXMMEXCPT.
const LONG_CR4: u64 = 0x620;
/// LME, LMA, NXE.
const LONG_EFER: u64 = 0xD00;
const RESET_PAT: u64 = 0x0007_0406_0007_0406;
/// Bits of the exception intercepts: those that can raise themselves for ever, and the machine's own.
const GUEST_EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

impl SvmProcessor {
    /// What exits, which the kind decides once.
    pub(super) fn set_intercepts(&mut self) {
        let guest = self.kind == Kind::Guest;
        let msrs = if guest { &GUEST_MSRS } else { &ROOT_MSRS };
        let control = self.control();
        control.intercepts = Intercepts::new()
            .with_intr(guest)
            .with_nmi(true)
            .with_init(true)
            .with_rdpmc(guest)
            .with_cpuid(true)
            .with_invd(true)
            .with_hlt(guest)
            .with_invlpga(true)
            .with_ioio_prot(guest)
            .with_msr_prot(true)
            .with_task_switch(false)
            .with_shutdown(true);
        control.more_intercepts = MoreIntercepts::new()
            .with_vmrun(true)
            .with_vmmcall(true)
            .with_vmload(true)
            .with_vmsave(true)
            .with_stgi(true)
            .with_clgi(true)
            .with_skinit(true)
            .with_wbinvd(guest)
            .with_monitor(guest)
            .with_mwait(guest)
            .with_mwait_armed(guest)
            .with_xsetbv(guest);
        control.intercept_exceptions = if guest { GUEST_EXCEPTIONS } else { 0 };
        control.msrpm_base_pa = image::physical(msrs);
        control.iopm_base_pa = image::physical(&GUEST_PORTS);
        control.nested_control = 1;
        control.interrupt_control = InterruptControl::new().with_v_intr_masking(guest);
    }

    pub(super) fn put_state(&mut self, reset: Reset) {
        self.control().clean = CleanBits::new();
        // Translations of what the guest's own tables said before.
        self.flush_second_level();
        match reset {
            Reset::Init => self.put_init(),
            Reset::Startup(vector) => {
                self.put_init();
                let selector = u16::from(vector) << 8;
                let base = u64::from(selector) << 4;
                self.save().cs = Segment { selector, attributes: REAL_CODE, limit: 0xFFFF, base };
                self.save().rip = 0;
            }
            Reset::LongMode { rip, rsp, cr3 } => {
                self.put_init();
                self.put_long_mode(rip, cr3);
                self.gprs = Gprs { rsp, ..Gprs::default() };
            }
        }
    }

    fn put_init(&mut self) {
        // RDX says family and model.
        let [signature, ..] = cpu::cpuid(1, 0);
        self.gprs = Gprs { rdx: u64::from(signature), ..Gprs::default() };
        self.nmi = NmiState::Open;
        if self.extended_is_off() {
            self.extended = Extended::new();
        }
        let control = self.control();
        control.eventinj = EventInjection::new();
        control.interrupt_shadow = 0;
        control.interrupt_control = control.interrupt_control.with_v_irq(false).with_v_tpr(0);
        control.intercepts.set_vintr(false);
        control.intercepts.set_iret(false);
        let data = Segment { selector: 0, attributes: REAL_DATA, limit: 0xFFFF, base: 0 };
        let save = self.save();
        save.cs = Segment { selector: 0xF000, attributes: REAL_CODE, limit: 0xFFFF, base: 0xFFFF_0000 };
        [save.ds, save.es, save.ss, save.fs, save.gs] = [data; 5];
        save.ldtr = Segment { attributes: REAL_LDT, ..data };
        save.tr = Segment { attributes: BUSY_TASK, ..data };
        [save.gdtr, save.idtr] = [Segment { attributes: 0, ..data }; 2];
        save.cpl = 0;
        save.efer = SVME;
        [save.cr0, save.cr2, save.cr3, save.cr4] = [RESET_CR0, 0, 0, 0];
        [save.dr6, save.dr7] = [0xFFFF_0FF0, 0x400];
        [save.rflags, save.rip] = [2, 0xFFF0];
        save.g_pat = RESET_PAT;
        save.dbgctl = 0;
    }

    fn put_long_mode(&mut self, rip: u64, cr3: u64) {
        let data = Segment { selector: 0x10, attributes: FLAT_DATA, limit: u32::MAX, base: 0 };
        let save = self.save();
        save.cs = Segment { selector: 8, attributes: FLAT_CODE, ..data };
        [save.ds, save.es, save.ss, save.fs, save.gs] = [data; 5];
        save.efer = SVME | LONG_EFER;
        [save.cr0, save.cr3, save.cr4] = [LONG_CR0, cr3, LONG_CR4];
        save.rip = rip;
    }
}
