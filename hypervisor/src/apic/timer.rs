//! The APIC's timer (SDM vol. 3A 11.5.4): counts at the rate of the time stamp counter, divided.

use super::lvt::TimerMode;

/// Periodic timers run out at most this often (ticks): a shorter period would only take the guest's own time.
const MIN_PERIOD: u64 = 1 << 14;

/// The timer. Times are of the host's time stamp counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApicTimer {
    initial: u32,
    divide: u32,
    started: u64,
    due: u64,
    /// TSC_DEADLINE as the guest wrote it.
    deadline: u64,
}

impl ApicTimer {
    /// Stopped.
    pub const RESET: Self = Self { initial: 0, divide: 0, started: 0, due: u64::MAX, deadline: 0 };

    /// When it runs out; `u64::MAX`: never.
    #[inline]
    pub const fn due(&self) -> u64 {
        self.due
    }
    /// Divide configuration register.
    pub const fn divide(&self) -> u32 {
        self.divide
    }
    /// Initial count register.
    pub const fn initial(&self) -> u32 {
        self.initial
    }
    /// TSC_DEADLINE.
    pub const fn deadline(&self) -> u64 {
        self.deadline
    }

    /// `log2` of the divisor: bits 3, 1 and 0 of the register, where 0b111 means 1.
    const fn shift(&self) -> u32 {
        let code = (self.divide & 3) | ((self.divide >> 1) & 4);
        code.wrapping_add(1) & 7
    }
    const fn period(&self) -> u64 {
        (self.initial as u64) << self.shift()
    }

    /// Writes the divide configuration register. What runs goes on from its present count.
    pub fn set_divide(&mut self, value: u32, now: u64, mode: TimerMode) {
        let left = self.current(now);
        self.divide = value;
        if self.due != u64::MAX && mode != TimerMode::TscDeadline {
            let left = u64::from(left) << self.shift();
            self.due = now.saturating_add(left);
            self.started = self.due.saturating_sub(self.period());
        }
    }
    /// Writes the initial count register: starts, or stops with 0. Nothing in TSC-deadline mode.
    pub fn set_initial(&mut self, value: u32, now: u64, mode: TimerMode) {
        if mode == TimerMode::TscDeadline {
            return;
        }
        self.initial = value;
        self.started = now;
        self.due = if value == 0 { u64::MAX } else { now.saturating_add(self.period()) };
    }
    /// The current count register.
    pub const fn current(&self, now: u64) -> u32 {
        if self.due == u64::MAX || self.deadline != 0 {
            return 0;
        }
        (self.due.saturating_sub(now) >> self.shift()) as u32
    }
    /// Writes TSC_DEADLINE; `offset` is the guest's counter less the host's. Nothing in the other modes.
    pub const fn set_deadline(&mut self, value: u64, offset: u64, now: u64, mode: TimerMode) {
        if !matches!(mode, TimerMode::TscDeadline) {
            return;
        }
        self.deadline = value;
        // The guest's counter may be far ahead of the host's: what it has passed is due now.
        let left = value.saturating_sub(now.wrapping_add(offset));
        self.due = if value == 0 { u64::MAX } else { now.saturating_add(left) };
    }
    /// Another mode: between TSC-deadline and the others the timer stops.
    pub fn mode_changed(&mut self, from: TimerMode, to: TimerMode) {
        if from != to && (from == TimerMode::TscDeadline || to == TimerMode::TscDeadline) {
            *self = Self { divide: self.divide, ..Self::RESET };
        }
    }

    /// Whether it has run out at `now`; then sets the next expiry. Periods that have passed meanwhile count once.
    pub fn expire(&mut self, now: u64, mode: TimerMode) -> bool {
        if now < self.due {
            return false;
        }
        self.due = match mode {
            TimerMode::OneShot => u64::MAX,
            TimerMode::TscDeadline => {
                self.deadline = 0;
                u64::MAX
            }
            TimerMode::Periodic => {
                let period = self.period().max(MIN_PERIOD);
                let late = now.saturating_sub(self.due).checked_rem(period).unwrap_or(0);
                now.saturating_sub(late).saturating_add(period)
            }
        };
        true
    }
}
