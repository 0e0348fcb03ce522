//! Those that wait for one processor.

mod catch_up;
mod leave;
#[cfg(test)]
mod tests;

use super::{Account, Group, SLICE, WEIGHT, virtual_time};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::ops::BitOr;
use core::sync::atomic::Ordering;
use syscall::ProcessorSet;

/// How many are looked at for one that may run elsewhere.
const LOOK: usize = 16;

/// One that waits.
#[derive(Debug)]
struct Waiting<T> {
    account: Arc<Account>,
    what: T,
    /// Where it stands in `reserved`, if it does.
    reserved_from: u64,
    /// Whether it may not run everywhere, as far as was known when it came.
    is_tied: bool,
}

impl<T> Waiting<T> {
    /// Where it waits at least: others of its group have run while it did.
    fn floor(&self) -> u64 {
        let group = self.account.group();
        group.had().saturating_sub(group.lag())
    }

    /// How far it has to be behind for another processor to take it.
    fn worth_while(&self) -> u64 {
        self.account.group().slice().min(virtual_time(SLICE, WEIGHT))
    }
}

/// Those that wait for a processor, by the virtual time at which they do.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: BTreeMap<(u64, u64), Waiting<T>>,
    /// Those of groups with a reserve: from when on that is due, key and place.
    reserved: BTreeSet<(u64, u64, u64)>,
    /// The virtual time of whoever was taken last: who comes later starts no further below it than a slice.
    now: u64,
    next: u64,
    /// How many of `waiting` are tied to some processors.
    tied: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Queue<T> {
    /// Nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: BTreeMap::new(), reserved: BTreeSet::new(), now: 0, next: 0, tied: 0 }
    }

    /// Whether nobody waits.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many wait.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The least virtual time of those that wait.
    #[must_use]
    #[inline]
    pub fn first(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(&(key, _), _)| key)
    }

    /// The virtual time above which another processor had better run the one that is next here; `u64::MAX`: nobody waits.
    #[must_use]
    #[inline]
    pub fn offered_at(&self) -> u64 {
        let first = self.waiting.first_key_value();
        first.map_or(u64::MAX, |(&(key, _), it)| key.saturating_add(it.worth_while()))
    }

    /// The virtual time that whoever runs elsewhere is to have reached, if the one that is next here could come there;
    /// `u64::MAX`: nobody waits, or the one that is next is no measure for the others.
    #[must_use]
    #[inline]
    pub fn level(&self) -> u64 {
        let first = self.waiting.first_key_value().filter(|(_, it)| it.reserved_from == u64::MAX);
        first.map_or(u64::MAX, |(&(key, _), it)| key.saturating_sub(it.account.group().lag()))
    }

    /// From when on somebody who waits has less than its reserve; `u64::MAX`: never.
    #[must_use]
    #[inline]
    pub fn reserved_from(&self) -> u64 {
        self.reserved.first().map_or(u64::MAX, |&(from, _, _)| from)
    }

    /// Whether somebody who waits may not run everywhere.
    #[must_use]
    #[inline]
    pub fn has_tied(&self) -> bool {
        self.tied != 0
    }

    /// The processors that somebody who waits may run on.
    #[must_use]
    pub fn affinity(&self) -> ProcessorSet {
        let each = self.waiting.values().take(LOOK).map(|it| it.account.group().affinity());
        each.fold(ProcessorSet::NONE, BitOr::bitor)
    }

    /// Whether somebody who waits is to have the processor before `account`, which has run for `more` since it was charged,
    /// goes on with its slice.
    #[must_use]
    #[inline]
    pub fn is_before(&self, account: &Account, more: u64, time: impl FnOnce() -> u64) -> bool {
        let Some(first) = self.first() else { return false };
        let group = account.group();
        if self.reserved.is_empty() && !group.is_reserved() {
            return first + group.granularity() <= account.had_so_far(more);
        }
        let time = time();
        if group.reserved_from() <= time {
            return false;
        }
        first + group.granularity() <= account.had_so_far(more) || self.reserved_from() <= time
    }

    /// Whether `account` has had more than a slice more than whoever waits longest, or was taken last.
    #[must_use]
    #[inline]
    pub fn is_ahead(&self, account: &Account) -> bool {
        let first = self.first().unwrap_or(self.now).max(self.now);
        account.group_had_so_far() > first + account.group().slice()
    }

    /// `account` ran to the end of a slice without having been taken from here: the virtual time goes on with it, up to
    /// whoever waits.
    pub fn ran(&mut self, account: &Account) {
        let group = account.group();
        if !group.is_reserved() {
            let had = group.had();
            self.now = self.now.max(self.first().map_or(had, |first| first.min(had)));
        }
        self.bound(group);
    }

    /// `account`, whose slice is over, waits for something that another of its group has to do first. If such a one waits here
    /// it is next, and then whoever would be next otherwise. These others are let go first only as long as the group is less
    /// than two slices behind them: it keeps its share.
    pub fn let_others_go_first(&mut self, account: &Account) {
        let Some(first) = self.first() else { return };
        let group = account.group();
        let mut all = self.waiting.iter().take(LOOK);
        let sibling = all.find(|(_, it)| Arc::ptr_eq(it.account.group(), group)).map(|(&at, _)| at);
        if let Some(it) = sibling.and_then(|at| self.remove(at)) {
            it.account.place.store(0, Ordering::Relaxed);
            self.place(first, it);
        }
        account.behind.store(first.min(group.had() + 2 * group.slice()), Ordering::Relaxed);
    }

    /// Keeps the virtual time of a group that runs near that of those that wait here.
    ///
    /// It may have run for long beside others of greater weight without being able to use its share: then it is behind, and
    /// would keep them from running now. Or it may have had more than its share because of its reserve: then it is ahead,
    /// and would have nothing but its reserve for as long. Whoever has a reserve is no measure for the others.
    fn bound(&self, group: &Group) {
        let Some((&(first, _), it)) = self.waiting.first_key_value() else { return };
        if group.is_reserved() {
            group.lower(first.saturating_add(group.lag()));
        }
        if it.reserved_from == u64::MAX {
            // Who weighs less goes on in larger steps.
            group.raise(first.saturating_sub(group.lag().max(it.account.group().lag())));
        }
    }

    /// Adds one that is at the end of its slice or within it.
    pub fn push(&mut self, account: Arc<Account>, what: T) {
        self.bound(account.group());
        self.insert(account, what);
    }

    /// Adds one that has been away. It does not make up for it, but for a slice.
    pub fn push_woken(&mut self, account: Arc<Account>, what: T) {
        let group = account.group();
        group.raise(self.now.saturating_sub(group.slice()));
        self.insert(account, what);
    }

    fn insert(&mut self, account: Arc<Account>, what: T) {
        if account.slice_begins() {
            self.next += 1;
            account.place.store(self.next, Ordering::Relaxed);
            let behind = account.behind.swap(0, Ordering::Relaxed);
            account.key.store(account.group().had().max(behind), Ordering::Relaxed);
        }
        self.take_over(account, what);
    }

    /// Adds one that has waited for another processor: it goes on waiting since then. If it began anew it could be taken from
    /// one to the next at the end of each slice, and run nowhere.
    pub fn take_over(&mut self, account: Arc<Account>, what: T) {
        let key = account.waits_at();
        let (reserved_from, is_tied) = (account.group().reserved_from(), account.group().is_tied());
        self.place(key, Waiting { account, what, reserved_from, is_tied });
    }

    /// Puts one where it belongs.
    fn place(&mut self, key: u64, it: Waiting<T>) {
        let mut place = it.account.place.load(Ordering::Relaxed);
        // It may have been given its place by another queue.
        while self.waiting.contains_key(&(key, place)) {
            self.next += 1;
            place = self.next;
        }
        it.account.place.store(place, Ordering::Relaxed);
        if it.reserved_from != u64::MAX {
            self.reserved.insert((it.reserved_from, key, place));
        }
        self.tied += usize::from(it.is_tied);
        self.waiting.insert((key, place), it);
    }
}
