//! The local APIC of a guest's virtual processor, in software, in x2APIC mode (SDM vol. 3A 11; APM vol. 2 16).
//!
//! [`Posted`] is what others put in, lock-free; [`LocalApic`] is the rest, which only the processor that runs the VP
//! touches. Register accesses answer an [`Effect`] where something outside has to follow; nothing here knows of the
//! partition.
//!
//! 1. A VP's APIC id is its index; its logical id follows from it (SDM vol. 3A 11.12.10.2).
//! 2. The registers exist as MSRs only: there is no page at the APIC's address, in any mode.
//! 3. The timer counts at the rate of the time stamp counter.

mod ipi;
mod lvt;
mod posted;
mod register;
mod timer;
mod vectors;

pub use ipi::{Destination, Ipi, IpiKind, targets};
pub use lvt::{Lvt, LvtEntry};
pub use posted::{Posted, hazard};
pub use timer::ApicTimer;
pub use vectors::{AtomicVectors, Vectors};

use extension::seam::Priorities;
use hv_abi::control::{LOCAL_APIC, apic_base};

/// Spurious-interrupt vector register: enabled by software.
const SVR_ENABLE: u32 = 1 << 8;
/// As after reset: disabled, vector 0xFF.
const SVR_RESET: u32 = 0xFF;

/// Error status register bits (SDM vol. 3A 11.5.3).
mod error {
    pub const SEND_ILLEGAL_VECTOR: u32 = 1 << 5;
    pub const RECEIVED_ILLEGAL_VECTOR: u32 = 1 << 6;
}

/// The access is refused: #GP(0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// What has to follow a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Look again whether an interrupt can be delivered.
    Reconsider,
    /// The guest ended this interrupt, which was level-triggered if `level`.
    EndOfInterrupt {
        /// Which.
        vector: u8,
        /// Level-triggered: who asserted it wants to know.
        level: bool,
    },
    /// Deliver it to its destination.
    Send(Ipi),
    /// The timer has another expiry.
    Timer,
}

/// What only the processor that runs the VP touches.
#[derive(Clone, Debug)]
pub struct LocalApic {
    base: u64,
    id: u32,
    tpr: u8,
    isr: Vectors,
    svr: u32,
    /// Errors since the last write of the register, and what it showed then.
    errors: u32,
    esr: u32,
    icr: u64,
    lvt: Lvt,
    /// The timer.
    pub timer: ApicTimer,
}

impl LocalApic {
    /// After RESET, but already in x2APIC mode.
    pub fn new(id: u32) -> Self {
        let bsp = if id == 0 { apic_base::BSP } else { 0 };
        Self {
            base: LOCAL_APIC | apic_base::EN | apic_base::EXTD | bsp,
            id,
            tpr: 0,
            isr: Vectors::EMPTY,
            svr: SVR_RESET,
            errors: 0,
            esr: 0,
            icr: 0,
            lvt: Lvt::RESET,
            timer: ApicTimer::RESET,
        }
    }

    /// INIT: as after RESET, but for APIC_BASE and the id (SDM vol. 3A 11.4.7.3).
    pub fn init(&mut self, posted: &Posted) {
        let base = self.base;
        *self = Self::new(self.id);
        self.base = base;
        posted.clear();
    }

    /// APIC_BASE.
    pub const fn base(&self) -> u64 {
        self.base
    }
    /// The APIC id.
    pub const fn id(&self) -> u32 {
        self.id
    }
    /// Whether this is the processor that boots.
    pub const fn is_bsp(&self) -> bool {
        self.base & apic_base::BSP != 0
    }
    /// Whether the registers are there.
    pub const fn in_x2apic_mode(&self) -> bool {
        self.base & (apic_base::EN | apic_base::EXTD) == apic_base::EN | apic_base::EXTD
    }

    /// WRMSR to APIC_BASE: moves between modes as SDM vol. 3A 11.12.5 allows; the address is fixed.
    ///
    /// # Errors
    /// A reserved bit, another address, or a transition that is not allowed.
    pub fn write_base(&mut self, value: u64, posted: &Posted) -> Result<(), Fault> {
        let modes = apic_base::EN | apic_base::EXTD;
        if value & !(modes | apic_base::BSP) != LOCAL_APIC {
            return Err(Fault);
        }
        match (self.base & modes, value & modes) {
            (from, to) if from == to => {}
            (_, apic_base::EXTD) | (0, _) if value & modes != apic_base::EN => return Err(Fault),
            (from, apic_base::EN) if from == modes => return Err(Fault),
            (from, 0) if from == modes => {
                // Leaving x2APIC mode loses all state but the id.
                *self = Self::new(self.id);
                posted.clear();
            }
            _ => {}
        }
        self.base = value;
        Ok(())
    }

    /// The root sets APIC_BASE, whatever it was.
    ///
    /// # Errors
    /// Not a mode, or another address.
    pub fn set_base(&mut self, value: u64) -> Result<(), Fault> {
        let modes = apic_base::EN | apic_base::EXTD;
        if value & !(modes | apic_base::BSP) != LOCAL_APIC || value & modes == apic_base::EXTD {
            return Err(Fault);
        }
        self.base = value;
        Ok(())
    }

    /// Task priority.
    pub const fn tpr(&self) -> u8 {
        self.tpr
    }
    /// Takes over CR8, which the guest changes without an exit.
    #[inline]
    pub const fn set_cr8(&mut self, cr8: u8) {
        if self.tpr >> 4 != cr8 {
            self.tpr = cr8 << 4;
        }
    }
    /// Processor priority: the higher of TPR and the class of what is in service (SDM vol. 3A 11.8.3.1).
    #[inline]
    pub fn ppr(&self) -> u8 {
        let in_service = self.isr.highest().unwrap_or(0) & 0xF0;
        if self.tpr >= in_service { self.tpr } else { in_service }
    }
    /// The vector to deliver next once TPR allows it: above all that is in service.
    #[inline]
    pub fn candidate(&self, posted: &Posted) -> Option<u8> {
        let vector = posted.irr.highest()?;
        let in_service = self.isr.highest().unwrap_or(0);
        (self.svr & SVR_ENABLE != 0 && vector >> 4 > in_service >> 4).then_some(vector)
    }
    /// The processor takes `vector`: from requested to in service, unless it ends by itself.
    #[inline]
    pub fn accept(&mut self, vector: u8, posted: &Posted, auto_eoi: bool) {
        posted.irr.remove(vector);
        if !auto_eoi {
            self.isr.insert(vector);
        }
    }
    /// EOI: ends the highest interrupt in service.
    #[inline]
    pub fn end_of_interrupt(&mut self, posted: &Posted) -> Effect {
        let Some(vector) = self.isr.highest() else { return Effect::None };
        self.isr.remove(vector);
        Effect::EndOfInterrupt { vector, level: posted.tmr.contains(vector) }
    }

    /// What a processor goes on with that completes what the guest does to TPR and EOI; `None`: the registers are not there.
    #[inline]
    pub fn priorities(&self) -> Option<Priorities> {
        self.in_x2apic_mode().then_some(Priorities { task_priority: self.tpr, in_service: self.isr })
    }
    /// What it has come to.
    #[inline]
    pub const fn set_priorities(&mut self, priorities: Priorities) {
        (self.tpr, self.isr) = (priorities.task_priority, priorities.in_service);
    }

    /// Requests the interrupt of an LVT entry.
    pub fn local_interrupt(&mut self, entry: LvtEntry, posted: &Posted) {
        if let Some(vector) = self.lvt.vector(entry) {
            self.request(vector, error::RECEIVED_ILLEGAL_VECTOR, posted);
        }
    }
    /// Requests `vector` in this APIC itself; one below 16 is this error.
    fn request(&mut self, vector: u8, illegal: u32, posted: &Posted) {
        if vector < 16 {
            self.record(illegal, posted);
        } else {
            posted.request(vector, false);
        }
    }
    /// Records an error and requests the error interrupt.
    fn record(&mut self, bit: u32, posted: &Posted) {
        self.errors |= bit;
        // An illegal vector here must not record itself for ever.
        if let Some(vector) = self.lvt.vector(LvtEntry::ERROR).filter(|vector| *vector >= 16) {
            posted.request(vector, false);
        }
    }

    /// The timer ran out at `now`, if it did: requests its interrupt.
    pub fn expire_timer(&mut self, now: u64, posted: &Posted) -> bool {
        let expired = self.timer.expire(now, self.lvt.timer_mode());
        if expired {
            self.local_interrupt(LvtEntry::TIMER, posted);
        }
        expired
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
