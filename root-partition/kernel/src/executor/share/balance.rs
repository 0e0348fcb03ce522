//! Fairness across processors: once a slice at least a processor looks whether somebody who waits for another is
//! further behind than whoever it would run itself.

use super::Queue;
use core::sync::atomic::{AtomicU64, Ordering};

/// What a processor shows the others of its queue. A hint: whoever acts on it looks again under the queue's lock.
#[derive(Debug)]
pub struct Shown {
    first: AtomicU64,
    /// See [`Queue::offered_at`].
    offered_at: AtomicU64,
    reserved_from: AtomicU64,
}

impl Default for Shown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shown {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: AtomicU64::new(u64::MAX),
            offered_at: AtomicU64::new(u64::MAX),
            reserved_from: AtomicU64::new(u64::MAX),
        }
    }

    /// Shows `queue`, whose lock is held.
    #[inline]
    pub fn show<T>(&self, queue: &Queue<T>) {
        self.first.store(queue.first().unwrap_or(u64::MAX), Ordering::Relaxed);
        self.offered_at.store(queue.offered_at(), Ordering::Relaxed);
        self.reserved_from.store(queue.reserved_from(), Ordering::Relaxed);
    }

    /// The least virtual time of those that wait; `u64::MAX`: nobody does.
    #[must_use]
    #[inline]
    pub fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    fn reserved_from(&self) -> u64 {
        self.reserved_from.load(Ordering::Relaxed)
    }
}

/// The processor among `others` from which to take somebody at `time`, rather than run who waits at `mine`.
pub fn behind<'a>(mine: &Shown, others: impl Iterator<Item = (u32, &'a Shown)>, time: u64) -> Option<u32> {
    let mine_is_due = mine.reserved_from() <= time;
    let (mut found, mut least) = (None, mine.first());
    for (number, other) in others {
        if !mine_is_due && other.reserved_from() <= time {
            return Some(number);
        }
        let offered_at = other.offered_at.load(Ordering::Relaxed);
        if offered_at < least {
            (found, least) = (Some(number), offered_at);
        }
    }
    found
}
