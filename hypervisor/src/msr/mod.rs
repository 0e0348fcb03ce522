//! What RDMSR and WRMSR do for a guest (those that the backend does not let through).
//!
//! The architectural ones that a kernel touches are kept or handed to the backend; the APIC's, the SynIC's and the
//! timers' go to these; every other one is #GP(0), as on a processor that does not have it.

mod architectural;
mod mtrr;
pub mod synthetic;

pub use crate::platform::registers::{read as read_register, write as write_register};
pub use architectural::{Stored, register};
pub use synthetic::{refresh_reference_page, write_hypercall_page, write_reference_page};

use hv_abi::msr;

use crate::apic::{Effect, Fault};
use crate::backend::VirtualProcessorBackend;
use crate::exit::deliver;
use crate::inject::{deliver_waiting, sync_task_priority, update_task_priority};
use crate::platform::{Running, Surroundings};

/// What the root has to hear of after a write that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followup {
    /// Nothing.
    None,
    /// The guest ended a level-triggered interrupt.
    LevelEoi(u8),
    /// The guest wants to be reset.
    Reset,
}

/// The synthetic MSRs.
const SYNTHETIC_FIRST: u32 = 0x4000_0000;
const SYNTHETIC_LAST: u32 = 0x4000_0FFF;
/// TPR and PPR, which CR8 changes behind the APIC's back.
const X2APIC_TPR: u32 = 0x808;
const X2APIC_PPR: u32 = 0x80A;

/// RDMSR.
///
/// # Errors
/// #GP(0).
pub fn read<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    number: u32,
) -> Result<u64, Fault> {
    match number {
        msr::X2APIC_FIRST..=msr::X2APIC_LAST => {
            if matches!(number, X2APIC_TPR | X2APIC_PPR) {
                sync_task_priority(vp);
            }
            vp.platform.apic.read(number, env.tsc(), &vp.inbox.posted)
        }
        SYNTHETIC_FIRST..=SYNTHETIC_LAST => synthetic::read(vp, env, number),
        _ => architectural::read(vp, number),
    }
}

/// WRMSR.
///
/// # Errors
/// #GP(0).
pub fn write<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    number: u32,
    value: u64,
) -> Result<Followup, Fault> {
    match number {
        msr::X2APIC_FIRST..=msr::X2APIC_LAST => write_apic(vp, env, number, value),
        SYNTHETIC_FIRST..=SYNTHETIC_LAST => synthetic::write(vp, env, number, value),
        msr::TSC_DEADLINE => {
            let offset = architectural::tsc_offset(vp, env.tsc());
            vp.platform.apic.write_deadline(value, offset);
            vp.platform.update_next_timer(&env.platform().time, env.tsc());
            Ok(Followup::None)
        }
        _ => architectural::write(vp, number, value).map(|()| Followup::None),
    }
}

/// Writes a register of the APIC and does what follows.
fn write_apic<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    number: u32,
    value: u64,
) -> Result<Followup, Fault> {
    let effect = vp.platform.apic.write(number, value, env.tsc(), &vp.inbox.posted)?;
    if number == X2APIC_TPR {
        update_task_priority(vp);
    }
    Ok(follow(vp, env, effect))
}

/// Does what has to follow a write to the APIC.
fn follow<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    effect: Effect,
) -> Followup {
    match effect {
        Effect::None => {}
        Effect::Reconsider => vp.inbox.posted.raise(crate::apic::hazard::INTERRUPT),
        Effect::EndOfInterrupt { vector, level } => return end_of_interrupt(vp, env, vector, level),
        Effect::Send(ipi) => {
            deliver(ipi, Some(vp.index), env);
        }
        Effect::Timer => vp.platform.update_next_timer(&env.platform().time, env.tsc()),
    }
    Followup::None
}

fn end_of_interrupt<B: VirtualProcessorBackend>(
    vp: &mut Running<'_, B>,
    env: &impl Surroundings,
    vector: u8,
    level: bool,
) -> Followup {
    if vp.inbox.synic.is_sint_vector(vector) {
        deliver_waiting(vp, env);
    }
    if vp.inbox.posted.irr.highest().is_some() {
        vp.inbox.posted.raise(crate::apic::hazard::INTERRUPT);
    }
    if level && env.platform().intercepts.eoi() { Followup::LevelEoi(vector) } else { Followup::None }
}

#[cfg(all(test, not(loom)))]
mod tests;
