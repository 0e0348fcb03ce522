//! Fairness across processors: once a slice at least a processor looks whether somebody who waits for another is
//! further behind than whoever it would run itself, and how far those have come that share the others.

use super::{Queue, SLICE};
use arrayvec::ArrayVec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use syscall::ProcessorSet;

/// From how many processors it is tried to take somebody, once a slice.
const TRIES: usize = 4;

/// What a processor shows the others of its queue. A hint: whoever acts on it looks again under the queue's lock.
#[derive(Debug)]
pub struct Shown {
    first: AtomicU64,
    /// See [`Queue::offered_at`].
    offered_at: AtomicU64,
    reserved_from: AtomicU64,
    /// See [`Queue::level`].
    level: AtomicU64,
    /// Whether somebody is tied to some processors; only then `affinity` says more.
    tied: AtomicBool,
    /// The processors that somebody who waits may run on.
    affinity: [AtomicU64; ProcessorSet::WORDS],
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
            level: AtomicU64::new(u64::MAX),
            tied: AtomicBool::new(false),
            affinity: [const { AtomicU64::new(0) }; ProcessorSet::WORDS],
        }
    }

    /// Shows `queue`, whose lock is held.
    #[inline]
    pub fn show<T>(&self, queue: &Queue<T>) {
        self.first.store(queue.first().unwrap_or(u64::MAX), Ordering::Relaxed);
        self.offered_at.store(queue.offered_at(), Ordering::Relaxed);
        self.reserved_from.store(queue.reserved_from(), Ordering::Relaxed);
        self.level.store(queue.level(), Ordering::Relaxed);
        if queue.has_tied() {
            self.show_affinity(queue.affinity());
        }
        self.tied.store(queue.has_tied(), Ordering::Relaxed);
    }

    #[cold]
    fn show_affinity(&self, affinity: ProcessorSet) {
        for (word, new) in self.affinity.iter().zip(affinity.words()) {
            word.store(new, Ordering::Relaxed);
        }
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

    /// Whether somebody waits who may run on `processor`.
    fn allows(&self, processor: u32) -> bool {
        let word = || self.affinity.get((processor / u64::BITS) as usize);
        let allows = |word: &AtomicU64| word.load(Ordering::Relaxed) >> (processor % u64::BITS) & 1 != 0;
        self.first() != u64::MAX && (!self.tied.load(Ordering::Relaxed) || word().is_some_and(allows))
    }
}

/// What a processor remembers of the others.
#[derive(Debug)]
pub struct Balance {
    /// When it looked last.
    looked: u64,
    /// Those that showed that somebody was behind, who could not be taken.
    in_vain: ProcessorSet,
}

impl Default for Balance {
    fn default() -> Self {
        Self::new()
    }
}

/// What a processor has seen of the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// How far those are that wait elsewhere and could come; see [`Queue::catch_up`].
    pub level: u64,
    /// Where somebody waits who could come here.
    pub nearest: Option<u32>,
    /// Where somebody waits who is further behind, furthest first.
    others: ArrayVec<Other, TRIES>,
}

/// From whom to take first: whoever was not tried in vain, and has waited longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Other {
    in_vain: bool,
    /// 0: a reserve is due.
    offered_at: u64,
    number: u32,
}

impl Balance {
    /// Nothing was seen.
    #[must_use]
    pub const fn new() -> Self {
        Self { looked: 0, in_vain: ProcessorSet::NONE }
    }

    /// Looks, if a slice has passed since it did, at what `others` show that processor `me`, which shows `mine`, ought to know.
    pub fn look<'a>(
        &mut self,
        (me, mine): (u32, &Shown),
        others: impl Iterator<Item = (u32, &'a Shown)>,
        time: u64,
    ) -> Option<Seen> {
        if time < self.looked + SLICE {
            return None;
        }
        self.looked = time;
        let mut seen = Seen { level: u64::MAX, nearest: None, others: ArrayVec::new() };
        let mut nearest = u64::MAX;
        let (first, is_due) = (mine.first(), mine.reserved_from() <= time);
        for (number, other) in others.filter(|&(number, other)| number != me && other.allows(me)) {
            if other.first() < nearest {
                (nearest, seen.nearest) = (other.first(), Some(number));
            }
            seen.level = seen.level.min(other.level.load(Ordering::Relaxed));
            let offered_at = match other.offered_at.load(Ordering::Relaxed) {
                _ if !is_due && other.reserved_from() <= time => 0,
                offered_at if offered_at < first => offered_at,
                _ => continue,
            };
            seen.add(Other { in_vain: self.in_vain.contains(number), offered_at, number });
        }
        if seen.others.first().is_some_and(|other| other.in_vain) {
            // The others were all tried.
            self.in_vain = ProcessorSet::NONE;
        }
        Some(seen)
    }

    /// Tries to `take` from those processors, until that succeeds.
    pub fn act(&mut self, seen: &Seen, mut take: impl FnMut(u32) -> bool) {
        for other in &seen.others {
            let this = ProcessorSet::one(other.number);
            if take(other.number) {
                self.in_vain = self.in_vain - this;
                return;
            }
            self.in_vain = self.in_vain | this;
        }
    }
}

impl Seen {
    /// Keeps the first `TRIES`, in order.
    fn add(&mut self, other: Other) {
        let at = self.others.partition_point(|known| *known < other);
        if at == TRIES {
            return;
        }
        if self.others.is_full() {
            self.others.pop();
        }
        self.others.insert(at, other);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Account, Group, Queue, Shares};
    use super::*;
    use std::sync::Arc;

    /// What a processor shows for which one of these waits.
    fn shown(had: u64, affinity: ProcessorSet) -> Shown {
        let group = Group::new(Shares { affinity, ..Shares::of_weight(100) }, 1);
        let mut queue = Queue::new();
        let account = Account::of(Arc::new(group), 0);
        account.charge_besides(had);
        queue.push_woken(Arc::new(account), ());
        let shown = Shown::new();
        shown.show(&queue);
        shown
    }

    /// However many are tried in vain, each has its turn.
    #[test]
    fn each_processor_is_tried_sooner_or_later() {
        let others: Vec<Shown> = (0..10).map(|had| shown(had, ProcessorSet::ALL)).collect();
        let mine = shown(100 * SLICE, ProcessorSet::ALL);
        let mut balance = Balance::new();
        let (mut time, mut tried) = (0, Vec::new());
        for _ in 0..3 {
            time += SLICE;
            let seen = balance.look((99, &mine), (0..).zip(&others), time).unwrap();
            balance.act(&seen, |other| {
                tried.push(other);
                false
            });
            assert_eq!(balance.look((99, &mine), (0..).zip(&others), time + SLICE - 1), None);
        }
        assert_eq!(tried, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
    }

    #[test]
    fn who_may_not_come_here_is_neither_taken_nor_a_measure() {
        let others = [shown(0, ProcessorSet::one(7)), shown(500 * SLICE, ProcessorSet::one(70))];
        let mine = shown(1000 * SLICE, ProcessorSet::ALL);
        let look = |me| Balance::new().look((me, &mine), (0..).zip(&others), SLICE).unwrap();
        let numbers = |seen: Seen| seen.others.iter().map(|other| other.number).collect::<Vec<_>>();
        assert_eq!((look(8).level, numbers(look(8))), (u64::MAX, vec![]));
        assert_eq!((look(7).level, numbers(look(7))), (0, vec![0]));
        assert_eq!(numbers(look(70)), [1]);
        assert!(look(70).level > 0);
    }
}
