//! The four synthetic timers of a virtual processor (TLFS 12.3).
//!
//! A state machine over reference time: it says which timer has run out and what that brings ([`Expired`]), the caller
//! delivers it. A timer whose message found its slot taken keeps it ([`SyntheticTimers::next_message`]); a periodic one
//! that runs out again meanwhile sends no second one. Work for each call is bounded: every timer expires at most once.

use hv_abi::message::{HvMessage, HvMessageType, TimerMessage};
use hv_abi::synic::{HvStimerConfig, STIMER_COUNT};
use zerocopy::IntoBytes;

/// A periodic timer runs out at most this often (100 ns): a shorter period would only take the guest's own time.
const MIN_PERIOD: u64 = 500;

#[derive(Clone, Copy, Debug)]
struct Timer {
    config: HvStimerConfig,
    count: u64,
    /// Reference time of the next expiry; `u64::MAX`: none.
    due: u64,
    /// When it ran out, while its message is not in the slot.
    undelivered: Option<u64>,
}

impl Timer {
    const RESET: Self = Self { config: HvStimerConfig::new(), count: 0, due: u64::MAX, undelivered: None };

    /// Starts or stops, after a register was written.
    fn restart(&mut self, now: u64) {
        self.due = match (self.config.enable() && self.count != 0, self.config.periodic()) {
            (false, _) => u64::MAX,
            (true, false) => self.count,
            (true, true) => now.saturating_add(self.count.max(MIN_PERIOD)),
        };
    }

    /// The next expiry of a periodic timer in phase, or the end of a one-shot one.
    fn advance(&mut self, now: u64) {
        if self.config.periodic() {
            let period = self.count.max(MIN_PERIOD);
            let late = now.saturating_sub(self.due).checked_rem(period).unwrap_or(0);
            self.due = now.saturating_sub(late).saturating_add(period);
        } else {
            self.config.set_enable(false);
            self.due = u64::MAX;
        }
    }
}

/// Whether its expiry can go anywhere: to a vector, or to a SINT.
fn has_target(config: HvStimerConfig) -> bool {
    if config.direct_mode() { config.apic_vector() >= 16 } else { config.sintx() != 0 }
}

/// What the expiry of a timer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// Assert this vector.
    Vector(u8),
    /// Send [`SyntheticTimers::message`] of this timer to this SINT.
    Message {
        /// Which timer.
        timer: usize,
        /// To which SINT.
        sint: usize,
    },
}

/// A VP's timers.
#[derive(Clone, Debug)]
pub struct SyntheticTimers([Timer; STIMER_COUNT]);

impl SyntheticTimers {
    /// All off.
    pub const RESET: Self = Self([Timer::RESET; STIMER_COUNT]);

    /// STIMERn_CONFIG.
    pub fn config(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |timer| timer.config.into_bits())
    }
    /// STIMERn_COUNT.
    pub fn count(&self, index: usize) -> u64 {
        self.0.get(index).map_or(0, |timer| timer.count)
    }

    /// Writes STIMERn_CONFIG at reference time `now`. `None`: a reserved bit.
    ///
    /// Without a SINT or, in direct mode, a vector to go to, it stays off.
    pub fn set_config(&mut self, index: usize, value: u64, now: u64) -> Option<()> {
        let timer = self.0.get_mut(index)?;
        let mut config = HvStimerConfig::from(value);
        if config.reserved0() != 0 || config.reserved1() != 0 {
            return None;
        }
        config.set_enable(config.enable() && has_target(config));
        timer.config = config;
        timer.undelivered = None;
        timer.restart(now);
        Some(())
    }

    /// Writes STIMERn_COUNT at reference time `now`: 0 stops, another value starts if `auto_enable` says so.
    pub fn set_count(&mut self, index: usize, value: u64, now: u64) {
        let Some(timer) = self.0.get_mut(index) else { return };
        timer.count = value;
        timer.undelivered = None;
        if value == 0 {
            timer.config.set_enable(false);
        } else if timer.config.auto_enable() {
            timer.config.set_enable(has_target(timer.config));
        }
        timer.restart(now);
    }

    /// Reference time of the next expiry; `u64::MAX`: none.
    pub fn due(&self) -> u64 {
        self.0.iter().map(|timer| timer.due).min().unwrap_or(u64::MAX)
    }

    /// Takes one timer that has run out at `now`. Call until `None`: at most once for each timer.
    pub fn expire(&mut self, now: u64) -> Option<Expired> {
        let (index, timer) = self.0.iter_mut().enumerate().find(|(_, timer)| timer.due <= now)?;
        let due = timer.due;
        timer.advance(now);
        Some(if timer.config.direct_mode() {
            Expired::Vector(timer.config.apic_vector())
        } else {
            timer.undelivered.get_or_insert(due);
            Expired::Message { timer: index, sint: usize::from(timer.config.sintx()) }
        })
    }

    /// The message of a timer that has run out, written at `now`.
    pub fn message(&self, index: usize, now: u64) -> Option<HvMessage> {
        let payload = TimerMessage {
            timer_index: u32::try_from(index).ok()?,
            reserved: 0,
            expiration_time: self.0.get(index)?.undelivered?,
            delivery_time: now,
        };
        Some(HvMessage::new(HvMessageType::TIMER_EXPIRED, 0, payload.as_bytes()))
    }
    /// Its message is in the slot.
    pub fn delivered(&mut self, index: usize) {
        if let Some(timer) = self.0.get_mut(index) {
            timer.undelivered = None;
        }
    }
    /// A timer at or after `from` whose message waits for the slot, and its SINT.
    pub fn next_message(&self, from: usize) -> Option<(usize, usize)> {
        let mut waiting = self.0.iter().enumerate().skip(from);
        let (index, timer) = waiting.find(|(_, timer)| timer.undelivered.is_some())?;
        Some((index, usize::from(timer.config.sintx())))
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
