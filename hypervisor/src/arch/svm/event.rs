//! Delivering events: interrupts, NMIs, exceptions, and the windows for them.

use crate::arch::svm::processor::SvmProcessor;
use crate::backend::{Event, Kind};
use extension::event::PendingEvent;
use extension::svm::length::Opcode;
use extension::svm::vmcb::{CleanBits, Intercepts, exit_code};

/// Whether the guest is in an NMI handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NmiState {
    /// No.
    Open,
    /// Yes, until an IRET, which exits.
    InHandler,
    /// The IRET at this address has exited and runs next.
    Returning(u64),
}

impl NmiState {
    /// Can an NMI be delivered at `rip`?
    pub fn is_open(self, rip: u64) -> bool {
        match self {
            Self::Open => true,
            Self::InHandler => false,
            Self::Returning(iret) => iret != rip,
        }
    }
}

const SHADOW: u64 = 1;

/// An entry in the shadow of STI, in QEMU's TCG.
#[derive(Clone, Copy)]
pub(super) struct Shadow {
    rip: u64,
    /// There was an interrupt window.
    window: bool,
}

impl SvmProcessor {
    /// No shadow, nothing pending.
    #[inline]
    pub(super) fn takes_events(&self) -> bool {
        let control = &self.vmcb.control;
        control.interrupt_shadow & SHADOW == 0 && !control.eventinj.is_valid()
    }

    /// Sets what the next entry delivers.
    pub fn inject(&mut self, event: Event) {
        if event == Event::Nmi {
            self.enter_nmi_handler();
        }
        self.vmcb.control.eventinj = PendingEvent::of(event);
    }

    fn enter_nmi_handler(&mut self) {
        self.nmi = NmiState::InHandler;
        let control = &mut self.vmcb.control;
        control.intercepts.insert(Intercepts::IRET);
        control.clean.remove(CleanBits::INTERCEPTS);
    }

    /// The guest is about to execute the IRET of an NMI handler.
    pub(super) fn leave_nmi_handler(&mut self) {
        self.nmi = NmiState::Returning(self.vmcb.save.rip);
        let control = &mut self.vmcb.control;
        control.intercepts.remove(Intercepts::IRET);
        control.clean.remove(CleanBits::INTERCEPTS);
    }

    /// VMRUN of QEMU's TCG does not look at the shadow of STI. An interrupt window would come in it, before the HLT that
    /// the shadow is for: it is held back until the next exit. The root's interrupts are the machine's own, and nothing
    /// holds them back: its HLT is passed over, after which it looks whether there is something to do.
    #[cold]
    pub(super) fn enter_shadow(&mut self) -> Shadow {
        if self.outside.kind == Kind::Root
            && let Some(length) = self.length_at_rip(Opcode::Hlt)
        {
            self.outside.length = length;
            self.advance();
        }
        let window = self.vmcb.control.interrupt_control.v_irq();
        self.set_window(false);
        Shadow { rip: self.vmcb.save.rip, window }
    }

    /// After the exit: the shadow goes on before an HLT that was not reached, as the machine had something else first.
    /// (What is no HLT may have jumped to itself, and does not wait for an interrupt that comes too early. That of MOV SS,
    /// which is not told from STI's, is lost.)
    #[cold]
    pub(super) fn leave_shadow(&mut self, before: Shadow) {
        self.set_window(before.window);
        let control = &self.vmcb.control;
        let reached = before.rip != self.vmcb.save.rip || control.exitcode == exit_code::HLT;
        if !reached && self.length_at_rip(Opcode::Hlt).is_some() {
            self.vmcb.control.interrupt_shadow = SHADOW;
        }
    }

    fn set_window(&mut self, on: bool) {
        let control = &mut self.vmcb.control;
        control.interrupt_control.set_v_irq(on);
        control.clean.remove(CleanBits::INTERRUPTS);
    }

    /// Asks for an exit when the guest can take `vector`: a virtual interrupt of its priority, whose delivery is
    /// intercepted.
    #[inline]
    pub fn request_interrupt_window(&mut self, vector: Option<u8>) {
        let control = &mut self.vmcb.control;
        if vector.is_none() && !control.interrupt_control.v_irq() {
            return;
        }
        let mut interrupt = control.interrupt_control.with_v_irq(vector.is_some());
        if let Some(vector) = vector {
            let class = vector >> 4;
            // QEMU's TCG delivers at a priority equal to the task priority as well,
            // where the manual says above: there the exit would come for ever.
            let masked_there = self.tcg && interrupt.v_tpr() & 0xF == class;
            interrupt.set_v_intr_prio(if masked_there { class.saturating_sub(1) } else { class });
            interrupt.set_v_intr_vector(vector);
        }
        control.interrupt_control = interrupt;
        // See `run`: who spins with interrupts off has to exit now and then. (TCG knows no clean bits.)
        control.intercepts.set(Intercepts::PAUSE, self.tcg && vector.is_some());
        control.clean.remove(CleanBits::INTERRUPTS);
    }
}
