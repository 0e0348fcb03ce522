//! The APIC's registers as MSRs 0x800 to 0x8FF (SDM vol. 3A 11.12.1.2, table 11-6).

use super::lvt::LvtEntry;
use super::{Destination, Effect, Fault, Ipi, IpiKind, LocalApic, Posted, SVR_ENABLE, error};

/// Version 0x14, six LVT entries.
const VERSION: u32 = 0x0005_0014;
/// What may be set in the spurious-interrupt vector register: vector, enable, focus checking (ignored).
const SVR_DEFINED: u32 = 0x3FF;

/// Numbers of the registers: the MSR's low byte.
mod number {
    pub const ID: u32 = 0x02;
    pub const VERSION: u32 = 0x03;
    pub const TPR: u32 = 0x08;
    pub const PPR: u32 = 0x0A;
    pub const EOI: u32 = 0x0B;
    pub const LDR: u32 = 0x0D;
    pub const SVR: u32 = 0x0F;
    pub const ISR: u32 = 0x10;
    pub const TMR: u32 = 0x18;
    pub const IRR: u32 = 0x20;
    pub const ESR: u32 = 0x28;
    pub const ICR: u32 = 0x30;
    pub const LVT_FIRST: u32 = 0x32;
    pub const LVT_LAST: u32 = 0x37;
    pub const INITIAL_COUNT: u32 = 0x38;
    pub const CURRENT_COUNT: u32 = 0x39;
    pub const DIVIDE: u32 = 0x3E;
    pub const SELF_IPI: u32 = 0x3F;
}

const fn lvt(number: u32) -> LvtEntry {
    LvtEntry(number.wrapping_sub(number::LVT_FIRST))
}

impl LocalApic {
    /// RDMSR of `msr` (0x800 to 0x8FF) at time `now`.
    ///
    /// # Errors
    /// Not in x2APIC mode, no such register, or one for writing only.
    pub fn read(&self, msr: u32, now: u64, posted: &Posted) -> Result<u64, Fault> {
        if !self.in_x2apic_mode() {
            return Err(Fault);
        }
        let number = msr & 0xFF;
        let value = match number {
            number::ID => self.id,
            number::VERSION => VERSION,
            number::TPR => u32::from(self.tpr),
            number::PPR => u32::from(self.ppr()),
            number::LDR => self.logical_id(),
            number::SVR => self.svr,
            number::ISR..number::TMR => self.isr.register(number & 7),
            number::TMR..number::IRR => posted.tmr.register(number & 7),
            number::IRR..number::ESR => posted.irr.register(number & 7),
            number::ESR => self.esr,
            number::ICR => return Ok(self.icr),
            number::LVT_FIRST..=number::LVT_LAST => self.lvt.read(lvt(number)),
            number::INITIAL_COUNT => self.timer.initial(),
            number::CURRENT_COUNT => self.timer.current(now),
            number::DIVIDE => self.timer.divide(),
            _ => return Err(Fault),
        };
        Ok(u64::from(value))
    }

    /// WRMSR of `msr` (0x800 to 0x8FF) at time `now`.
    ///
    /// # Errors
    /// Not in x2APIC mode, no such register, one for reading only, or a reserved bit.
    pub fn write(&mut self, msr: u32, value: u64, now: u64, posted: &Posted) -> Result<Effect, Fault> {
        if !self.in_x2apic_mode() {
            return Err(Fault);
        }
        let number = msr & 0xFF;
        if number == number::ICR {
            return self.write_icr(value, posted);
        }
        let value = u32::try_from(value).map_err(|_| Fault)?;
        match number {
            number::EOI if value == 0 => return Ok(self.end_of_interrupt(posted)),
            number::TPR => {
                self.tpr = u8::try_from(value).map_err(|_| Fault)?;
                return Ok(Effect::Reconsider);
            }
            number::SVR if value & !SVR_DEFINED == 0 => self.write_svr(value, posted),
            number::ESR if value == 0 => {
                self.esr = self.errors;
                self.errors = 0;
            }
            number::LVT_FIRST..=number::LVT_LAST => return self.write_lvt(lvt(number), value),
            number::INITIAL_COUNT => {
                self.timer.set_initial(value, now, self.lvt.timer_mode());
                return Ok(Effect::Timer);
            }
            number::DIVIDE if value & !0xB == 0 => {
                self.timer.set_divide(value, now, self.lvt.timer_mode());
                return Ok(Effect::Timer);
            }
            number::SELF_IPI if value & !0xFF == 0 => {
                self.request(value as u8, error::SEND_ILLEGAL_VECTOR, posted);
            }
            _ => return Err(Fault),
        }
        Ok(Effect::Reconsider)
    }

    /// The same through `HV_X64_MSR_ICR`, `_EOI` and `_TPR` is the same: an ICR write.
    fn write_icr(&mut self, value: u64, posted: &Posted) -> Result<Effect, Fault> {
        let ipi = Ipi::from_icr(value)?;
        self.icr = value & !(1 << 12);
        if matches!(ipi.kind, IpiKind::Fixed | IpiKind::LowestPriority) {
            if ipi.vector < 16 {
                self.record(error::SEND_ILLEGAL_VECTOR, posted);
                return Ok(Effect::Reconsider);
            }
            // To itself it goes without looking for destinations.
            let to_self = matches!(ipi.destination, Destination::ToSelf)
                || ipi.destination == Destination::Physical(self.id);
            if to_self {
                posted.request(ipi.vector, false);
                return Ok(Effect::None);
            }
        }
        Ok(Effect::Send(ipi))
    }

    fn write_svr(&mut self, value: u32, posted: &Posted) {
        self.svr = value;
        let enabled = value & SVR_ENABLE != 0;
        posted.set_accepts(enabled);
        if !enabled {
            self.lvt.mask_all();
        }
    }

    fn write_lvt(&mut self, entry: LvtEntry, value: u32) -> Result<Effect, Fault> {
        let before = self.lvt.timer_mode();
        let disabled = self.svr & SVR_ENABLE == 0;
        self.lvt.write(entry, value, disabled).ok_or(Fault)?;
        self.timer.mode_changed(before, self.lvt.timer_mode());
        Ok(Effect::Timer)
    }

    /// WRMSR to TSC_DEADLINE at host time `now`; `offset` is the guest's counter less the host's.
    pub fn write_deadline(&mut self, value: u64, offset: u64, now: u64) {
        self.timer.set_deadline(value, offset, now, self.lvt.timer_mode());
    }

    /// Logical destination register: cluster and bit of the id.
    const fn logical_id(&self) -> u32 {
        ((self.id >> 4) << 16) | (1 << (self.id & 15))
    }
}
