//! Time: 100 ns since the machine (or the hypervisor) started, sleeping, and the wall clock.

mod queue;
mod stopwatch;
pub mod wall;

#[cfg(not(test))]
mod calibrate;
#[cfg(not(test))]
mod clock;
#[cfg(not(test))]
pub(crate) use calibrate::{calibrate, calibrate_apic};
#[cfg(not(test))]
pub use clock::{Sleep, arm, at, expire, is_armed, now, of_ticks, sleep, sleep_until, tsc_hz, utc};
#[cfg(not(test))]
pub(crate) use clock::{Source, set_utc, start};

pub use stopwatch::Stopwatch;

/// 100 ns in a second.
pub const SECOND: u64 = 10_000_000;
/// 100 ns in a millisecond.
pub const MILLISECOND: u64 = 10_000;
