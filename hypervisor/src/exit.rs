//! Handles what made a guest's VP leave the guest, and what has to happen before it goes on.
//!
//! Straight-line: no lock but the SynIC's, no allocation, nothing a guest can make long. What needs the root is written
//! into the intercept-message page and answered with [`Next::Intercept`].

use crate::apic::{Destination, Ipi, IpiKind, hazard, targets};
use crate::backend::{Event, Exit, PortAccess, VirtualProcessorBackend};
use crate::cpuid::Asking;
use crate::inject::{expire_timers, take_requests};
use crate::msr::Followup;
use crate::platform::{Activity, Guest, Surroundings};

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Enter the guest (after [`Guest::before_entry`]).
    Enter,
    /// It waits for an interrupt or SIPI.
    Blocked,
    /// The intercept-message page holds what the root has to answer.
    Intercept,
    /// [`hazard::RECALL`]: the dispatch ends, the next finds out whether the VP may go on.
    Recalled,
}

impl<B: VirtualProcessorBackend, E: Surroundings> Guest<'_, B, E> {
    /// Before each entry, at time `now`: lets timers run out, takes what others requested, and delivers what can be
    /// delivered. The common case is three tests.
    #[inline]
    pub fn before_entry(&mut self, now: u64) -> Next {
        if now >= self.vp.platform.next_timer() {
            expire_timers(&mut self.vp, self.env, now);
        }
        if self.vp.inbox.posted.hazard() != 0 && take_requests(&mut self.vp) {
            return Next::Recalled;
        }
        if self.vp.platform.activity == Activity::Running { Next::Enter } else { Next::Blocked }
    }

    /// After each exit but those that whoever dispatches deals with itself: hypercalls and physical interrupts.
    #[inline]
    pub fn handle_exit(&mut self, exit: &Exit) -> Next {
        match exit {
            Exit::Cpuid => self.cpuid(),
            Exit::MsrWrite => return self.wrmsr(),
            Exit::MsrRead => self.rdmsr(),
            Exit::InterruptWindow => self.vp.inbox.posted.raise(hazard::INTERRUPT),
            Exit::Hypercall | Exit::PhysicalInterrupt | Exit::Nmi | Exit::Handled => {}
            Exit::IoPort(access) => return self.port(access),
            Exit::SecondLevelFault(fault) => return self.memory_intercept(fault),
            Exit::Halt => self.halt(),
            Exit::EndOfInterrupt(vector) => return self.ended(*vector),
            Exit::Xsetbv => self.vp.backend.xsetbv(),
            // No device reads guest memory past the caches.
            Exit::WriteBackInvalidate => self.vp.backend.advance(),
            Exit::UndefinedInstruction => self.vp.backend.inject(Event::UNDEFINED_INSTRUCTION),
            Exit::TripleFault | Exit::InvalidState => return self.unrecoverable(exit),
        }
        Next::Enter
    }

    fn cpuid(&mut self) {
        let platform = self.env.platform();
        let (leaf, subleaf) = (self.vp.backend.gprs().rax as u32, self.vp.backend.gprs().rcx as u32);
        let asking = Asking {
            index: self.vp.index,
            invariant: platform.tsc_is_invariant(),
            backend: &*self.vp.backend,
        };
        let [eax, ebx, ecx, edx] = platform.cpuid.answer(leaf, subleaf, &asking).map(u64::from);
        let gprs = self.vp.backend.gprs_mut();
        (gprs.rax, gprs.rbx, gprs.rcx, gprs.rdx) = (eax, ebx, ecx, edx);
        self.vp.backend.advance();
    }

    fn rdmsr(&mut self) {
        let number = self.vp.backend.gprs().rcx as u32;
        let value = self.read_msr(number);
        self.vp.backend.finish_rdmsr(value);
    }

    fn wrmsr(&mut self) -> Next {
        let gprs = self.vp.backend.gprs();
        let (number, value) = (gprs.rcx as u32, gprs.edx_eax());
        let followup = self.write_msr(number, value);
        self.vp.backend.finish(followup.is_ok());
        self.tell(followup.unwrap_or(Followup::None))
    }

    /// EOI that the processor has completed. Not inlined, which would cost other exits.
    #[cold]
    fn ended(&mut self, vector: u8) -> Next {
        let level = self.vp.inbox.posted.tmr.contains(vector);
        let followup = self.end_of_interrupt(vector, level);
        self.tell(followup)
    }

    /// Tells the root, where it has to hear of a write that is complete.
    #[inline]
    fn tell(&mut self, followup: Followup) -> Next {
        match followup {
            Followup::None => Next::Enter,
            Followup::LevelEoi(vector) => self.apic_eoi(vector),
            Followup::Reset => self.unrecoverable(&Exit::TripleFault),
        }
    }

    /// A port: the root's, or nobody's, where reads give all ones and writes vanish. String operations touch memory, so
    /// they are the root's always.
    fn port(&mut self, access: &PortAccess) -> Next {
        if access.string || self.env.platform().intercepts.port(access.port, access.write) {
            return self.port_intercept(access);
        }
        if !access.write {
            let gprs = self.vp.backend.gprs_mut();
            gprs.rax = match access.size {
                1 => gprs.rax | 0xFF,
                2 => gprs.rax | 0xFFFF,
                _ => 0xFFFF_FFFF,
            };
        }
        self.vp.backend.advance();
        Next::Enter
    }

    /// HLT: [`Guest::before_entry`] finds out whether something ends it at once.
    fn halt(&mut self) {
        self.vp.backend.advance();
        self.vp.platform.activity = Activity::Halted;
        self.vp.inbox.posted.raise(hazard::INTERRUPT);
    }
}

/// Delivers an interrupt to all that it reaches, and wakes them. `sender` is the VP that sends it, if one
/// does. Says whether any APIC took it.
pub fn deliver(ipi: Ipi, sender: Option<u32>, env: &impl Surroundings) -> bool {
    // INIT and start-up have no effect on the sender itself.
    let to_self = !matches!(ipi.kind, IpiKind::Init | IpiKind::Startup)
        || !matches!(ipi.destination, Destination::ToSelf);
    let mut taken = false;
    for vp in targets(ipi.destination, sender.unwrap_or(u32::MAX), env.vp_count()).filter(|_| to_self) {
        taken |= env.post(vp, Some(vp) != sender, |inbox| ipi.post(&inbox.posted));
        if taken && ipi.kind == IpiKind::LowestPriority {
            break;
        }
    }
    taken
}

#[cfg(all(test, not(loom)))]
mod tests;
