//! What RDMSR and WRMSR do for a guest (those that the backend does not let through).
//!
//! The architectural ones that a kernel touches are kept or handed to the backend; the APIC's, the SynIC's and the
//! timers' go to these; every other one is #GP(0), as on a processor that does not have it.

mod architectural;
mod mtrr;
pub mod synthetic;

pub use architectural::{Stored, register};
pub use synthetic::{refresh_reference_page, write_hypercall_page, write_reference_page};

use hv_abi::msr::{self, X2APIC_TPR};

use crate::apic::{Effect, Fault};
use crate::backend::VirtualProcessorBackend;
use crate::exit::deliver;
use crate::inject::{deliver_waiting, sync_task_priority, update_task_priority};
use crate::platform::{Guest, Surroundings};

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
/// PPR, which CR8 changes behind the APIC's back, as it does TPR.
const X2APIC_PPR: u32 = 0x80A;
/// From here on: ICR, LVT, timer, SELF_IPI, which no processor keeps.
const X2APIC_ICR: u32 = 0x830;

impl<B: VirtualProcessorBackend, E: Surroundings> Guest<'_, B, E> {
    /// RDMSR.
    ///
    /// # Errors
    /// #GP(0).
    pub fn read_msr(&mut self, number: u32) -> Result<u64, Fault> {
        match number {
            msr::X2APIC_FIRST..=msr::X2APIC_LAST => {
                self.vp.take_apic_back();
                if matches!(number, X2APIC_TPR | X2APIC_PPR) {
                    sync_task_priority(&mut self.vp);
                }
                self.vp.platform.apic.read(number, self.env.tsc(), &self.vp.inbox.posted)
            }
            SYNTHETIC_FIRST..=SYNTHETIC_LAST => {
                synthetic::check_privilege(self.env.platform(), number)?;
                self.get_synthetic(number)
            }
            _ => self.read_architectural(number),
        }
    }

    /// WRMSR.
    ///
    /// # Errors
    /// #GP(0).
    pub fn write_msr(&mut self, number: u32, value: u64) -> Result<Followup, Fault> {
        match number {
            msr::X2APIC_FIRST..=msr::X2APIC_LAST => self.write_apic(number, value),
            SYNTHETIC_FIRST..=SYNTHETIC_LAST => {
                synthetic::check_privilege(self.env.platform(), number)?;
                self.set_synthetic(number, value)
            }
            msr::TSC_DEADLINE => {
                self.set_deadline(value);
                Ok(Followup::None)
            }
            msr::TSC => {
                self.write_architectural(number, value)?;
                self.set_deadline(self.vp.platform.apic.timer.deadline());
                Ok(Followup::None)
            }
            _ => self.write_architectural(number, value).map(|()| Followup::None),
        }
    }

    fn set_deadline(&mut self, value: u64) {
        let tsc = self.env.tsc();
        let offset = self.tsc_offset(tsc);
        self.vp.platform.apic.write_deadline(value, offset, tsc);
        self.vp.platform.update_next_timer(&self.env.platform().time, tsc);
    }

    /// Writes a register of the APIC and does what follows.
    pub(super) fn write_apic(&mut self, number: u32, value: u64) -> Result<Followup, Fault> {
        if number < X2APIC_ICR {
            self.vp.take_apic_back();
        }
        let effect = self.vp.platform.apic.write(number, value, self.env.tsc(), &self.vp.inbox.posted)?;
        if number == X2APIC_TPR {
            update_task_priority(&mut self.vp);
        }
        Ok(self.follow(effect))
    }

    /// Does what has to follow a write to the APIC.
    fn follow(&mut self, effect: Effect) -> Followup {
        match effect {
            Effect::None => {}
            Effect::Reconsider => self.vp.inbox.posted.raise(crate::apic::hazard::INTERRUPT),
            Effect::EndOfInterrupt { vector, level } => return self.end_of_interrupt(vector, level),
            Effect::Send(ipi) => {
                deliver(ipi, Some(self.vp.index), self.env);
            }
            Effect::Timer => self.vp.platform.update_next_timer(&self.env.platform().time, self.env.tsc()),
        }
        Followup::None
    }

    /// The guest has ended the interrupt `vector`, which was level-triggered if `level`.
    pub fn end_of_interrupt(&mut self, vector: u8, level: bool) -> Followup {
        if self.vp.inbox.synic.is_sint_vector(vector) {
            deliver_waiting(&mut self.vp, self.env);
        }
        if self.vp.inbox.posted.irr.highest().is_some() {
            self.vp.inbox.posted.raise(crate::apic::hazard::INTERRUPT);
        }
        if level && self.env.platform().intercepts.eoi() {
            Followup::LevelEoi(vector)
        } else {
            Followup::None
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
