//! Who runs next: shares of the processors, pure and tested on the host.
//!
//! * A [`Group`] is who has a share: a VM with all its virtual processors and its worker, or a program alone. What its
//!   members run is divided by its weight and added up: its *virtual time*. Whoever is behind in that is next. Virtual
//!   time is the same measure on every processor, so that a group that runs on many is compared with one that runs on few.
//! * An [`Account`] is a member that can wait and run: a virtual processor or a program. It waits at the virtual time
//!   that its group had when it began to wait, so of one group who waits longest is next.
//! * A [`Queue`] holds those that wait for one processor; [`balance`] compares it with the others at each slice's end.
//! * A [`Meter`](meter::Meter) tells real time from what a rate allows: one for the limit, one for the reserve.

pub mod account;
pub mod balance;
pub mod group;
pub mod meter;
pub mod queue;
#[cfg(test)]
mod simulation;

pub use account::Account;
pub use group::{Group, Shares};
pub use queue::Queue;

/// The weight of whoever has no other.
pub const WEIGHT: u32 = 100;
/// The weight of a program that everybody depends on: as much as any VM can have, so that none keeps it waiting.
pub const WEIGHT_OF_SYSTEM: u32 = 10_000;
/// How long one runs before the next has its turn, in 100 ns.
pub const SLICE: u64 = 50_000;
/// How long one runs at least before another whose group has had less is preferred, in 100 ns.
pub const GRANULARITY: u64 = 10_000;
/// How far behind the others' a group's virtual time can be, and how far behind its group's that of one who waits: in
/// slices of its own. Who could not run for as long, as a processor was away with another, still makes up for it: four that an
/// emulator runs in turns of a tenth of a second are away for 60 slices.
const LAG: u64 = 64;

/// The virtual time of `time` at `weight`. Rounded up: whoever runs for a moment only has run.
#[must_use]
#[inline]
fn virtual_time(time: u64, weight: u32) -> u64 {
    // At the least weight a year of 58 processors, or three months of 240, is less than 64 bits; at the greatest a
    // microsecond is one unit.
    const SCALE: u64 = 1000;
    time.saturating_mul(SCALE).div_ceil(u64::from(weight.max(1)))
}
