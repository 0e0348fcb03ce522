//! Clocks and waiting.

use crate::call::{address_mut, call, count};
use syscall::{Call, Clock, Error, WaitEntry};

/// Since the root partition started, in 100 ns; never goes back.
#[must_use]
pub fn monotonic() -> u64 {
    call(Call::ClockGet, [Clock::Monotonic as u64]).unwrap_or(0)
}

/// Since 1601-01-01 00:00 UTC, in 100 ns.
#[must_use]
pub fn utc() -> u64 {
    call(Call::ClockGet, [Clock::Utc as u64]).unwrap_or(0)
}

/// Waits until an entry is ready or the monotonic clock reaches `deadline` (`u64::MAX`: never); marks the entries that
/// are ready; how many.
///
/// # Errors
/// `BadHandle`, `OutOfMemory` (too many entries).
pub fn wait(entries: &mut [WaitEntry], deadline: u64) -> Result<usize, Error> {
    call(Call::Wait, [address_mut(entries), count(entries), deadline]).map(|ready| ready as usize)
}

/// Does nothing until the monotonic clock reaches `deadline`.
pub fn sleep_until(deadline: u64) {
    // Nothing to wait for but the clock: that cannot fail.
    let _ = wait(&mut [], deadline);
}
