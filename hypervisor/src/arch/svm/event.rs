//! Delivering events: interrupts, NMIs, exceptions, and the windows for them.

use hv_abi::registers::HvPendingInterruption;

use crate::arch::svm::features::Features;
use crate::arch::svm::processor::SvmProcessor;
use crate::arch::svm::vmcb::{EventInjection, event_type};
use crate::backend::Event;

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

impl SvmProcessor {
    /// No shadow, nothing pending.
    #[inline]
    pub(super) fn takes_events(&self) -> bool {
        let control = &self.vmcb.control;
        control.interrupt_shadow & SHADOW == 0 && !control.eventinj.valid()
    }

    /// Sets what the next entry delivers.
    pub(super) fn deliver(&mut self, event: Event) {
        let injection = EventInjection::new().with_valid(true);
        self.control().eventinj = match event {
            Event::Interrupt(vector) => injection.with_vector(vector).with_event_type(event_type::INTERRUPT),
            Event::Nmi => {
                self.enter_nmi_handler();
                injection.with_vector(2).with_event_type(event_type::NMI)
            }
            Event::Exception { vector, error_code } => injection
                .with_vector(vector)
                .with_event_type(event_type::EXCEPTION)
                .with_error_code_valid(error_code.is_some())
                .with_error_code(error_code.unwrap_or_default()),
        };
    }

    fn enter_nmi_handler(&mut self) {
        self.nmi = NmiState::InHandler;
        let control = self.control();
        control.intercepts.set_iret(true);
        control.clean.set_intercepts(false);
    }

    /// The guest is about to execute the IRET of an NMI handler.
    pub(super) fn leave_nmi_handler(&mut self) {
        self.nmi = NmiState::Returning(self.vmcb.save.rip);
        let control = self.control();
        control.intercepts.set_iret(false);
        control.clean.set_intercepts(false);
    }

    /// Puts back an event whose delivery the exit interrupted. What an instruction raised is not put back: RIP is still
    /// at the instruction, which is executed again.
    #[cold]
    pub(super) fn requeue(&mut self) {
        let control = self.control();
        let event = control.exitintinfo;
        control.eventinj = if event.is_of_instruction() { EventInjection::new() } else { event };
    }

    pub(super) fn pending_interruption(&self) -> HvPendingInterruption {
        let event = self.vmcb.control.eventinj;
        if !event.valid() {
            return HvPendingInterruption::new();
        }
        HvPendingInterruption::new()
            .with_interruption_pending(true)
            .with_interruption_type(event.event_type())
            .with_interruption_vector(u16::from(event.vector()))
            .with_deliver_error_code(event.error_code_valid())
            .with_error_code(event.error_code())
    }

    /// Asks for an exit when the guest can take `vector`: a virtual interrupt of its priority, whose delivery is
    /// intercepted.
    #[inline]
    pub(super) fn set_window(&mut self, vector: Option<u8>) {
        let exact = self.features.contains(Features::NEXT_RIP);
        let control = self.control();
        if vector.is_none() && !control.intercepts.vintr() {
            return;
        }
        let mut interrupt = control.interrupt_control.with_v_irq(vector.is_some());
        if let Some(vector) = vector {
            let class = vector >> 4;
            // QEMU's TCG (the machine without next RIP) delivers at a priority equal to the task priority as well,
            // where the manual says above: there the exit would come for ever.
            let masked_there = !exact && interrupt.v_tpr() & 0xF == class;
            interrupt.set_v_intr_prio(if masked_there { class.saturating_sub(1) } else { class });
            interrupt.set_v_intr_vector(vector);
        }
        control.intercepts.set_vintr(vector.is_some());
        control.interrupt_control = interrupt;
        control.clean.set_intercepts(false);
        control.clean.set_interrupts(false);
    }
}
