//! Fair shares of the processor: whoever has had least of it, for its weight, is next.
//!
//! Each processor has a queue of its own. Time is kept in a virtual unit: what ran, divided by the weight. A waiter's
//! place is the virtual time that it has had. Time within a slice counts when the slice is over: whoever is interrupted
//! within its slice is next again.

use alloc::collections::BTreeMap;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The weight of whoever has no other.
pub const WEIGHT: u64 = 100;
/// How long one runs before the next has its turn, in 100 ns.
pub const SLICE: u64 = 50_000;
/// How much less another must have had to be preferred to the one that runs, in 100 ns.
pub const GRANULARITY: u64 = 10_000;

/// What somebody has had of the processor. One processor at a time charges it: that on which its owner runs.
#[derive(Debug)]
pub struct Account {
    /// The processor whose virtual time it is kept in, and on which its owner is to run.
    home: AtomicU32,
    /// Divides what it runs; [`WEIGHT`] is the measure.
    weight: u64,
    /// Virtual time that it has had, but for the slice that it is in.
    had: AtomicU64,
    /// What it has run of its slice, in 100 ns.
    slice: AtomicU64,
    /// Its place among those that have had as much; kept until its slice is over.
    place: AtomicU64,
}

impl Account {
    /// Nothing so far.
    #[must_use]
    pub const fn new(weight: u64) -> Self {
        let weight = if weight == 0 { 1 } else { weight };
        let home = AtomicU32::new(0);
        Self { home, weight, had: AtomicU64::new(0), slice: AtomicU64::new(0), place: AtomicU64::new(0) }
    }

    /// The processor on which its owner is to run.
    #[must_use]
    #[inline]
    pub fn home(&self) -> u32 {
        self.home.load(Ordering::Relaxed)
    }

    /// From now on its owner runs on `home`, where the virtual time is `now`; on the old processor it is `then`. So it keeps
    /// its lead or lag.
    pub fn move_to(&self, home: u32, now: u64, then: u64) {
        let had = self.had.load(Ordering::Relaxed);
        self.had.store(now.saturating_add(had).saturating_sub(then), Ordering::Relaxed);
        self.home.store(home, Ordering::Relaxed);
    }

    /// How much of its slice is left, in 100 ns.
    #[must_use]
    #[inline]
    pub fn slice_left(&self) -> u64 {
        SLICE.saturating_sub(self.slice.load(Ordering::Relaxed))
    }

    /// Virtual time that it has had, with the slice that it is in.
    #[must_use]
    #[inline]
    pub fn had_so_far(&self) -> u64 {
        self.had.load(Ordering::Relaxed) + self.virtual_time(self.slice.load(Ordering::Relaxed))
    }

    fn virtual_time(&self, ran: u64) -> u64 {
        ran.saturating_mul(WEIGHT) / self.weight
    }

    /// It ran for `ran`, in 100 ns; whether its slice is over.
    #[inline]
    pub fn charge(&self, ran: u64) -> bool {
        let slice = self.slice.load(Ordering::Relaxed) + ran;
        self.slice.store(slice, Ordering::Relaxed);
        if slice >= SLICE {
            self.end_slice();
        }
        slice >= SLICE
    }

    /// Its slice is over, whatever is left of it.
    pub fn end_slice(&self) {
        let had = self.had_so_far();
        self.slice.store(0, Ordering::Relaxed);
        self.had.store(had, Ordering::Relaxed);
    }
}

/// Those that wait for the processor.
#[derive(Debug)]
pub struct FairQueue<T> {
    /// By what they have had, their places, and how many came before them: two may have the first two alike, as one
    /// comes from another processor, or has never been here and ran in somebody else's turn.
    waiting: BTreeMap<(u64, u64, u64), T>,
    /// The virtual time of whoever was taken last: nobody who comes later starts far below it.
    now: u64,
    next: u64,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FairQueue<T> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: BTreeMap::new(), now: 0, next: 0 }
    }

    /// Whether nobody waits.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The virtual time of whoever was taken last.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How many wait.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the one that would have its turn last, for another processor.
    pub fn steal(&mut self) -> Option<T> {
        self.waiting.pop_last().map(|(_, waiter)| waiter)
    }

    /// Virtual time that the next has had.
    #[must_use]
    #[inline]
    pub fn first(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(&(had, ..), _)| had)
    }

    /// Whether `account` has had more than a slice more than whoever waits longest, or waited last.
    #[must_use]
    #[inline]
    pub fn is_ahead(&self, account: &Account) -> bool {
        account.had_so_far() > self.first().unwrap_or(self.now).max(self.now) + SLICE
    }

    /// `account` ran without having been taken from here: the virtual time goes on with it, up to whoever waits.
    pub fn ran(&mut self, account: &Account) {
        let had = account.had.load(Ordering::Relaxed);
        self.now = self.now.max(self.first().map_or(had, |first| first.min(had)));
        account.had.store(had.max(self.now.saturating_sub(SLICE)), Ordering::Relaxed);
    }

    /// Adds one. Whoever was away for long does not make up for it: it starts a slice below the others at most.
    pub fn push(&mut self, account: &Account, waiter: T) {
        let floor = self.now.saturating_sub(SLICE);
        let had = account.had.load(Ordering::Relaxed).max(floor);
        account.had.store(had, Ordering::Relaxed);
        self.next += 1;
        if account.slice.load(Ordering::Relaxed) == 0 {
            account.place.store(self.next, Ordering::Relaxed);
        }
        self.waiting.insert((had, account.place.load(Ordering::Relaxed), self.next), waiter);
    }

    /// Takes the one that has had least; of several, the one that waits longest.
    pub fn pop(&mut self) -> Option<T> {
        let ((had, ..), waiter) = self.waiting.pop_first()?;
        self.now = self.now.max(had);
        Some(waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets `rounds` turns pass; what each ran in sum. `lengths`: how long each runs in a turn before it blocks or its
    /// slice ends.
    fn play(accounts: &[Account], lengths: &[u64], rounds: usize) -> Vec<u64> {
        let mut queue = FairQueue::new();
        let mut ran = vec![0; accounts.len()];
        for (index, account) in accounts.iter().enumerate() {
            queue.push(account, index);
        }
        for _ in 0..rounds {
            let index = queue.pop().unwrap();
            let turn = lengths[index].min(accounts[index].slice_left());
            accounts[index].charge(turn);
            ran[index] += turn;
            queue.push(&accounts[index], index);
        }
        ran
    }

    #[test]
    fn shares_follow_the_weights() {
        let accounts = [Account::new(100), Account::new(100), Account::new(200)];
        let ran = play(&accounts, &[SLICE; 3], 4000);
        assert!(ran[0].abs_diff(ran[1]) <= 2 * SLICE);
        assert!(ran[2].abs_diff(2 * ran[0]) <= 4 * SLICE, "{ran:?}");
    }

    #[test]
    fn one_that_is_interrupted_all_the_time_has_its_share() {
        let accounts = [Account::new(WEIGHT), Account::new(WEIGHT)];
        let ran = play(&accounts, &[SLICE / 50, SLICE], 100_000);
        assert!(ran[0].abs_diff(ran[1]) <= 2 * SLICE, "{ran:?}");
    }

    #[test]
    fn within_its_slice_it_is_next_again() {
        let (first, second) = (Account::new(WEIGHT), Account::new(WEIGHT));
        let mut queue = FairQueue::new();
        queue.push(&first, 1);
        queue.push(&second, 2);
        assert_eq!(queue.pop(), Some(1));
        first.charge(SLICE / 2);
        queue.push(&first, 1);
        assert_eq!((queue.first(), queue.pop()), (Some(0), Some(1)));
        first.charge(SLICE / 2);
        queue.push(&first, 1);
        assert_eq!((queue.pop(), queue.pop()), (Some(2), Some(1)));
    }

    #[test]
    fn who_ran_without_waiting_is_not_made_to_wait_for_it() {
        let (inline, new) = (Account::new(WEIGHT), Account::new(WEIGHT));
        let mut queue = FairQueue::new();
        for _ in 0..1000 {
            assert!(inline.charge(SLICE));
            queue.ran(&inline);
        }
        queue.push(&new, 2);
        assert!(inline.had_so_far() <= queue.first().unwrap() + SLICE);
    }

    #[test]
    fn two_that_are_alike_both_have_their_turn() {
        let accounts = [Account::new(WEIGHT), Account::new(WEIGHT)];
        let mut queue = FairQueue::new();
        for (index, account) in accounts.iter().enumerate() {
            account.charge(SLICE / 2);
            queue.push(account, index);
        }
        assert_eq!((queue.pop(), queue.pop()), (Some(0), Some(1)));
    }

    #[test]
    fn who_is_stolen_keeps_its_lead_and_its_lag() {
        let accounts = [Account::new(WEIGHT), Account::new(WEIGHT)];
        let (mut from, mut to) = (FairQueue::new(), FairQueue::new());
        from.now = 100 * SLICE;
        to.now = 7 * SLICE;
        for (index, account) in accounts.iter().enumerate() {
            account.had.store((100 + index as u64) * SLICE, Ordering::Relaxed);
            from.push(account, index);
        }
        let index = from.steal().unwrap();
        assert_eq!((index, from.len()), (1, 1));
        accounts[index].move_to(3, to.now(), from.now());
        to.push(&accounts[index], index);
        assert_eq!((to.first(), accounts[index].home()), (Some(8 * SLICE), 3));
    }

    #[test]
    fn sleeping_saves_nothing_up() {
        let (busy, sleeper) = (Account::new(WEIGHT), Account::new(WEIGHT));
        let mut queue = FairQueue::new();
        for _ in 0..100 {
            queue.push(&busy, 1);
            assert_eq!(queue.pop(), Some(1));
            busy.charge(SLICE);
        }
        queue.push(&busy, 1);
        queue.push(&sleeper, 2);
        let turns = (0..4).map(|_| {
            let one = queue.pop().unwrap();
            let account = if one == 1 { &busy } else { &sleeper };
            account.charge(SLICE);
            queue.push(account, one);
            one
        });
        assert_eq!(turns.collect::<Vec<_>>(), [2, 2, 1, 2]);
    }
}
