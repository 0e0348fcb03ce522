//! The clock of the kernel: the time-stamp counter, scaled; and the timer that ends a sleep.

use super::queue::{Key, TimerQueue};
use crate::arch::processor::number;
use crate::arch::{self, PerProcessor, apic, per_processor};
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use spin::Mutex;

/// 100 ns = (counter * SCALE >> 64) + OFFSET (TLFS 12.7.3, whose page has the same two numbers).
static SCALE: AtomicU64 = AtomicU64::new(0);
static OFFSET: AtomicU64 = AtomicU64::new(0);
static TSC_HZ: AtomicU64 = AtomicU64::new(0);
/// Ticks of the local APIC's timer in 100 ns, times 2^32.
static APIC_SCALE: AtomicU64 = AtomicU64::new(0);
/// [`utc`] - [`now`].
static UTC_OFFSET: AtomicU64 = AtomicU64::new(0);
static TIMERS: PerProcessor<Timer> =
    per_processor!(Timer { armed: AtomicU64::new(NEVER), sleepers: Mutex::new(TimerQueue::new()) });

/// A processor's timer.
struct Timer {
    /// When it is due; `NEVER`: it is not armed. The processor's own.
    armed: AtomicU64,
    /// Who sleeps on this processor. Others take out whoever sleeps no more, or has moved. A leaf lock.
    sleepers: Mutex<TimerQueue>,
}

const NEVER: u64 = u64::MAX;

/// Where the clock's figures come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// See [`SCALE`].
    pub(crate) scale: u64,
    /// See [`OFFSET`].
    pub(crate) offset: u64,
    /// Of the time-stamp counter.
    pub(crate) tsc_hz: u64,
    /// Of the local APIC's timer.
    pub(crate) apic_hz: u64,
}

impl Source {
    /// A clock that counts from the counter's value `start` on.
    pub(crate) fn from_frequency(tsc_hz: u64, apic_hz: u64, start: u64) -> Self {
        let scale = ((u128::from(super::SECOND) << 64) / u128::from(tsc_hz.max(1))) as u64;
        let offset = 0_u64.wrapping_sub(((u128::from(start) * u128::from(scale)) >> 64) as u64);
        Self { scale, offset, tsc_hz, apic_hz }
    }
}

/// Sets the clock.
pub(crate) fn start(source: Source) {
    SCALE.store(source.scale, Ordering::Relaxed);
    OFFSET.store(source.offset, Ordering::Relaxed);
    TSC_HZ.store(source.tsc_hz, Ordering::Relaxed);
    let apic = (u128::from(source.apic_hz) << 32) / u128::from(super::SECOND);
    APIC_SCALE.store(apic as u64, Ordering::Relaxed);
}

/// The time since the start, in 100 ns. Under the hypervisor this is the root partition's reference time.
#[inline]
#[must_use]
pub fn now() -> u64 {
    at(arch::tsc())
}

/// The time at which the time-stamp counter was `tsc`.
#[inline]
#[must_use]
pub fn at(tsc: u64) -> u64 {
    of_ticks(tsc).wrapping_add(OFFSET.load(Ordering::Relaxed))
}

/// How long so many ticks of the time-stamp counter are.
#[inline]
#[must_use]
pub fn of_ticks(ticks: u64) -> u64 {
    ((u128::from(ticks) * u128::from(SCALE.load(Ordering::Relaxed))) >> 64) as u64
}

/// Ticks of the time-stamp counter a second.
#[must_use]
pub fn tsc_hz() -> u64 {
    TSC_HZ.load(Ordering::Relaxed)
}

/// Tells the wall clock.
pub(crate) fn set_utc(filetime: u64) {
    UTC_OFFSET.store(filetime.wrapping_sub(now()), Ordering::Relaxed);
}

/// The time since 1601-01-01 00:00 UTC, in 100 ns.
#[must_use]
pub fn utc() -> u64 {
    now().wrapping_add(UTC_OFFSET.load(Ordering::Relaxed))
}

/// Makes this processor's timer's interrupt come at `deadline` at the latest. It may come earlier: whoever armed it looks again.
#[inline]
pub fn arm(deadline: u64) {
    if !is_armed(deadline) {
        arm_now(deadline);
    }
}

/// Whether it comes by then anyway.
#[inline]
#[must_use]
pub fn is_armed(deadline: u64) -> bool {
    TIMERS.this().armed.load(Ordering::Relaxed) <= deadline
}

#[cold]
fn arm_now(deadline: u64) {
    let wait = u128::from(deadline.saturating_sub(now()));
    let ticks = (wait * u128::from(APIC_SCALE.load(Ordering::Relaxed))) >> 32;
    TIMERS.this().armed.store(deadline, Ordering::Relaxed);
    apic::arm_timer(u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
}

/// The timer's interrupt came: wakes everybody who is due, and arms it for who is next. So it is always armed for the
/// next sleeper, or earlier.
pub fn expire() {
    let Timer { armed, sleepers } = TIMERS.this();
    armed.store(NEVER, Ordering::Relaxed);
    let now = now();
    loop {
        let due = sleepers.lock().pop_due(now);
        match due {
            Some(waker) => waker.wake(),
            None => break,
        }
    }
    let next = sleepers.lock().next_deadline();
    if let Some(deadline) = next {
        arm(deadline);
    }
}

/// Waits for `duration`, in 100 ns.
pub fn sleep(duration: u64) -> Sleep {
    sleep_until(now().saturating_add(duration))
}

/// Waits until [`now`] is `deadline`; `u64::MAX`: for good.
pub fn sleep_until(deadline: u64) -> Sleep {
    Sleep { deadline, key: None }
}

/// The future of [`sleep`]. It sleeps on the processor that polled it last.
#[derive(Debug)]
#[must_use]
pub struct Sleep {
    deadline: u64,
    /// The processor on which it sleeps, and what it is there.
    key: Option<(u32, Key)>,
}

impl Sleep {
    /// Until when.
    #[must_use]
    pub fn deadline(&self) -> u64 {
        self.deadline
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline == NEVER {
            return Poll::Pending;
        }
        if now() >= self.deadline {
            return Poll::Ready(());
        }
        let here = number();
        match self.key {
            Some((processor, key)) if processor == here => {
                TIMERS.of(here).sleepers.lock().replace(key, context.waker());
            }
            key => {
                wake_no_more(key);
                let key = TIMERS.of(here).sleepers.lock().add(self.deadline, context.waker().clone());
                self.key = Some((here, key));
            }
        }
        arm(self.deadline);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        wake_no_more(self.key);
    }
}

fn wake_no_more(key: Option<(u32, Key)>) {
    if let Some((processor, key)) = key {
        TIMERS.of(processor).sleepers.lock().remove(key);
    }
}
