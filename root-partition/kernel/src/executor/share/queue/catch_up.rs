//! How those that wait for one processor keep up with those of the others.
//!
//! Whoever runs on a processor that is short of nobody gets on in virtual time as fast as the processor runs, divided by
//! its weight; whoever shares one gets on more slowly. So processors that have nobody in common drift apart. That must not
//! matter once they have: who is behind would keep the others from running for as long as it took to drift.

use super::Queue;
use alloc::vec::Vec;
use core::mem::take;

impl<T> Queue<T> {
    /// Those that wait here are no further behind than those that wait for other processors and could come here, whose
    /// virtual time is `level`. All catch up alike: they go on sharing the processor by their weights.
    pub fn catch_up(&mut self, level: u64) {
        let Some(first) = self.least() else { return };
        let lag = self.waiting.first_key_value().map_or(0, |(_, it)| it.account.group().lag());
        if level == u64::MAX || first.saturating_add(lag) >= level {
            return;
        }
        let more = level - first;
        self.now = self.now.max(level);
        // All of them are read before any is changed: several may be of one group.
        let had: Vec<u64> = self.waiting.values().map(|it| it.account.group().had()).collect();
        self.reserved.clear();
        self.tied = 0;
        for (((key, _), it), had) in take(&mut self.waiting).into_iter().zip(had) {
            let group = it.account.group();
            // Whoever is far ahead of the first is where the others are already.
            let most = level.saturating_add(group.lag());
            let raised = |time: u64| time.max(time.saturating_add(more).min(most));
            group.raise(raised(had));
            let to = raised(key);
            it.account.move_key(to - key);
            self.place(to, it);
        }
    }

    /// The least virtual time of those that wait, with what others of their groups have run meanwhile.
    fn least(&mut self) -> Option<u64> {
        loop {
            let (&(key, place), it) = self.waiting.first_key_value()?;
            let floor = it.floor();
            if key >= floor {
                return Some(key);
            }
            self.move_up((key, place), floor);
        }
    }
}
