//! Who wants to be woken when.

use alloc::collections::BTreeMap;
use core::task::Waker;

/// Identifies a sleeper; unique for as long as the machine runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    deadline: u64,
    number: u64,
}

/// The sleepers, by deadline, then by age.
pub struct TimerQueue {
    sleepers: BTreeMap<Key, Waker>,
    next: u64,
}

impl TimerQueue {
    /// Nobody sleeps.
    pub const fn new() -> Self {
        Self { sleepers: BTreeMap::new(), next: 0 }
    }

    /// Adds a sleeper.
    pub fn add(&mut self, deadline: u64, waker: Waker) -> Key {
        let key = Key { deadline, number: self.next };
        self.next += 1;
        self.sleepers.insert(key, waker);
        key
    }

    /// Changes whom to wake; the sleeper may be gone.
    pub fn replace(&mut self, key: Key, waker: &Waker) {
        if let Some(old) = self.sleepers.get_mut(&key) {
            old.clone_from(waker);
        }
    }

    /// Takes a sleeper out; it may be gone.
    pub fn remove(&mut self, key: Key) {
        self.sleepers.remove(&key);
    }

    /// When the first is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.sleepers.first_key_value().map(|(key, _)| key.deadline)
    }

    /// Takes out the first that is due at `now`.
    pub fn pop_due(&mut self, now: u64) -> Option<Waker> {
        let entry = self.sleepers.first_entry()?;
        (entry.key().deadline <= now).then(|| entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::TimerQueue;
    use crate::wake_count::WakeCount;
    use core::task::Waker;
    use std::sync::Arc;

    #[test]
    fn sleepers_come_out_in_order_of_deadline_and_age() {
        let counts: Vec<_> = (0..3).map(|_| Arc::new(WakeCount::default())).collect();
        let mut queue = TimerQueue::new();
        for (deadline, count) in [20, 10, 20].into_iter().zip(&counts) {
            queue.add(deadline, Waker::from(Arc::clone(count)));
        }
        assert_eq!(queue.next_deadline(), Some(10));
        assert!(queue.pop_due(9).is_none());
        let woken = |index: usize| counts[index].get();
        queue.pop_due(20).unwrap().wake();
        assert_eq!((woken(0), woken(1), woken(2)), (0, 1, 0));
        queue.pop_due(20).unwrap().wake();
        assert_eq!((woken(0), woken(1), woken(2)), (1, 1, 0));
        queue.pop_due(u64::MAX).unwrap().wake();
        assert!(queue.pop_due(u64::MAX).is_none() && queue.next_deadline().is_none());
    }

    #[test]
    fn a_sleeper_that_left_is_not_woken() {
        let count = Arc::new(WakeCount::default());
        let mut queue = TimerQueue::new();
        let first = queue.add(5, Waker::noop().clone());
        let second = queue.add(5, Waker::noop().clone());
        queue.replace(second, &Waker::from(Arc::clone(&count)));
        queue.remove(first);
        queue.replace(first, Waker::noop());
        queue.pop_due(5).unwrap().wake();
        assert!(queue.pop_due(5).is_none());
        assert_eq!(count.get(), 1);
    }
}
