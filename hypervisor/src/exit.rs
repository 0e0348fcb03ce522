//! Handles what made a guest's VP leave the guest, and what has to happen before it goes on.
//!
//! Straight-line: no lock but the SynIC's, no allocation, nothing a guest can make long. What needs the root is written
//! into the intercept-message page and answered with [`Next::Intercept`].

use hv_abi::registers::HvRegisterName;

use crate::apic::{Destination, Ipi, IpiKind, hazard, targets};
use crate::backend::{Event, Exit, PortAccess, VirtualProcessorBackend};
use crate::cpuid::{Asking, CR4_OSXSAVE};
use crate::inject::{expire_timers, take_requests};
use crate::intercept;
use crate::msr::{self, Followup, register};
use crate::platform::{Activity, Running, Surroundings};

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Enter the guest (after [`before_entry`]).
    Enter,
    /// It waits for an interrupt or SIPI.
    Blocked,
    /// The intercept-message page holds what the root has to answer.
    Intercept,
    /// [`hazard::RECALL`]: look whether the VP may go on.
    Recalled,
}

/// Before each entry, at time `now`: lets timers run out, takes what others requested, and delivers what can be
/// delivered. The common case is three tests.
#[inline]
pub fn before_entry<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    now: u64,
) -> Next {
    if now >= vp.platform.next_timer() {
        expire_timers(vp, env, now);
    }
    if vp.inbox.posted.hazard() != 0 && take_requests(vp) {
        return Next::Recalled;
    }
    if vp.platform.activity == Activity::Running { Next::Enter } else { Next::Blocked }
}

/// After each exit but those that whoever dispatches deals with itself: hypercalls and physical interrupts.
#[inline]
pub fn handle_exit<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    exit: &Exit,
) -> Next {
    match exit {
        Exit::Cpuid => cpuid(vp, env),
        Exit::MsrWrite => return write_msr(vp, env),
        Exit::MsrRead => read_msr(vp, env),
        Exit::InterruptWindow => vp.inbox.posted.raise(hazard::INTERRUPT),
        Exit::Hypercall | Exit::PhysicalInterrupt | Exit::Nmi | Exit::Handled => {}
        Exit::IoPort(access) => return port(vp, env, access),
        Exit::SecondLevelFault(fault) => {
            intercept::memory(vp, env.partition_id(), fault);
            return Next::Intercept;
        }
        Exit::Halt => halt(vp),
        Exit::Xsetbv => xsetbv(vp),
        // No device reads guest memory past the caches.
        Exit::WriteBackInvalidate => vp.backend.advance(),
        Exit::UndefinedInstruction => vp.backend.inject(Event::UNDEFINED_INSTRUCTION),
        Exit::TripleFault | Exit::InvalidState => {
            intercept::unrecoverable(vp, env.partition_id(), exit);
            return Next::Intercept;
        }
    }
    Next::Enter
}

fn cpuid<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>, env: &impl Surroundings) {
    let platform = env.platform();
    let (leaf, subleaf) = (vp.backend.gprs().rax as u32, vp.backend.gprs().rcx as u32);
    let asking = Asking { index: vp.index, invariant: platform.tsc_is_invariant(), backend: &*vp.backend };
    let [eax, ebx, ecx, edx] = platform.cpuid.answer(leaf, subleaf, &asking).map(u64::from);
    let gprs = vp.backend.gprs_mut();
    (gprs.rax, gprs.rbx, gprs.rcx, gprs.rdx) = (eax, ebx, ecx, edx);
    vp.backend.advance();
}

fn read_msr<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>, env: &impl Surroundings) {
    let number = vp.backend.gprs().rcx as u32;
    let value = msr::read(vp, env, number);
    vp.backend.finish_rdmsr(value);
}

fn write_msr<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>, env: &impl Surroundings) -> Next {
    let gprs = vp.backend.gprs();
    let (number, value) = (gprs.rcx as u32, gprs.edx_eax());
    let followup = msr::write(vp, env, number, value);
    vp.backend.finish(followup.is_ok());
    match followup.unwrap_or(Followup::None) {
        Followup::None => return Next::Enter,
        Followup::LevelEoi(vector) => intercept::apic_eoi(vp, env.partition_id(), vector),
        Followup::Reset => intercept::unrecoverable(vp, env.partition_id(), &Exit::TripleFault),
    }
    Next::Intercept
}

/// A port: the root's, or nobody's, where reads give all ones and writes vanish. String operations touch memory, so
/// they are the root's always.
fn port<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    access: &PortAccess,
) -> Next {
    if access.string || env.platform().intercepts.port(access.port, access.write) {
        intercept::port(vp, env.partition_id(), access);
        return Next::Intercept;
    }
    if !access.write {
        let gprs = vp.backend.gprs_mut();
        gprs.rax = match access.size {
            1 => gprs.rax | 0xFF,
            2 => gprs.rax | 0xFFFF,
            _ => 0xFFFF_FFFF,
        };
    }
    vp.backend.advance();
    Next::Enter
}

/// HLT: [`before_entry`] finds out whether an interrupt ends it at once. The exception behind it of a guest that traces
/// does.
fn halt<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    vp.backend.advance();
    if vp.backend.pending().interruption_pending() {
        return;
    }
    vp.platform.activity = Activity::Halted;
    vp.inbox.posted.raise(hazard::INTERRUPT);
}

fn xsetbv<B: VirtualProcessorBackend>(vp: &mut Running<'_, B>) {
    let gprs = vp.backend.gprs();
    let (index, value) = (gprs.rcx as u32, gprs.edx_eax());
    if register(vp.backend, HvRegisterName::Cr4) & CR4_OSXSAVE == 0 {
        return vp.backend.inject(Event::UNDEFINED_INSTRUCTION);
    }
    let done = vp.backend.cpl() == 0 && index == 0 && vp.backend.set_xcr0(value);
    vp.backend.finish(done);
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
