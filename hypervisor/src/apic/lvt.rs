//! The local vector table (SDM vol. 3A 11.5.1).

/// Entries by number, in the order of their registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LvtEntry(pub u32);

impl LvtEntry {
    pub const TIMER: Self = Self(0);
    pub const THERMAL_SENSOR: Self = Self(1);
    pub const PERFORMANCE_COUNTERS: Self = Self(2);
    pub const LINT0: Self = Self(3);
    pub const LINT1: Self = Self(4);
    pub const ERROR: Self = Self(5);
}

/// How the timer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerMode {
    /// Once.
    OneShot,
    /// Again and again.
    Periodic,
    /// Until the time stamp counter has a value.
    TscDeadline,
}

const MASKED: u32 = 1 << 16;
/// Delivery status and remote IRR: for reading only.
const READ_ONLY: u32 = 1 << 12 | 1 << 14;
const VECTOR: u32 = 0xFF;
const DELIVERY_MODE: u32 = 7 << 8;
const PIN: u32 = 1 << 13 | 1 << 15;
const TIMER_MODE: u32 = 3 << 17;

/// The six registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lvt([u32; 6]);

impl Lvt {
    /// All masked.
    pub const RESET: Self = Self([MASKED; 6]);

    /// The register.
    pub fn read(&self, entry: LvtEntry) -> u32 {
        self.0.get(entry.0 as usize).copied().unwrap_or(MASKED)
    }

    /// Writes the register; `masked`: the APIC is disabled by software, so the mask cannot be cleared.
    /// `None`: a reserved bit.
    pub fn write(&mut self, entry: LvtEntry, value: u32, masked: bool) -> Option<()> {
        let allowed = VECTOR
            | MASKED
            | READ_ONLY
            | match entry {
                LvtEntry::TIMER => TIMER_MODE,
                LvtEntry::LINT0 | LvtEntry::LINT1 => DELIVERY_MODE | PIN,
                LvtEntry::THERMAL_SENSOR | LvtEntry::PERFORMANCE_COUNTERS => DELIVERY_MODE,
                _ => 0,
            };
        if value & !allowed != 0 || (entry == LvtEntry::TIMER && value & TIMER_MODE == TIMER_MODE) {
            return None;
        }
        let mask = if masked { MASKED } else { 0 };
        *self.0.get_mut(entry.0 as usize)? = (value & !READ_ONLY) | mask;
        Some(())
    }

    /// Masks all, as disabling by software does.
    pub fn mask_all(&mut self) {
        for entry in &mut self.0 {
            *entry |= MASKED;
        }
    }

    /// The vector to assert; `None`: masked, or not delivered as a fixed interrupt.
    pub fn vector(&self, entry: LvtEntry) -> Option<u8> {
        let value = self.read(entry);
        (value & (MASKED | DELIVERY_MODE) == 0).then_some((value & VECTOR) as u8)
    }

    /// Mode of the timer.
    pub fn timer_mode(&self) -> TimerMode {
        match (self.read(LvtEntry::TIMER) & TIMER_MODE) >> 17 {
            0 => TimerMode::OneShot,
            1 => TimerMode::Periodic,
            _ => TimerMode::TscDeadline,
        }
    }
}
