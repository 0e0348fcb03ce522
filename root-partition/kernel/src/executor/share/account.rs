//! What one that can wait and run has had.

use super::{GRANULARITY, Group, SLICE, Shares};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use spin::Once;

/// The account of a virtual processor or a program. One processor at a time charges it: that on which its owner runs.
#[derive(Debug)]
pub struct Account {
    /// The processor on which its owner is to run.
    home: AtomicU32,
    /// The group that it began in.
    first: Arc<Group>,
    /// The group that it has joined for good.
    joined: Once<Arc<Group>>,
    /// The virtual time at which its slice began.
    pub(super) key: AtomicU64,
    /// Its place among those that wait at the same time; kept until its slice is over.
    pub(super) place: AtomicU64,
    /// Where it waits at least when it waits next: it lets others go first.
    pub(super) behind: AtomicU64,
    /// What it has run of its slice, in 100 ns.
    slice: AtomicU64,
    /// Since when it waits; 0: it does not.
    since: AtomicU64,
    /// For how long it has waited, in 100 ns.
    waited: AtomicU64,
    /// Its owner has nothing more to run.
    over: AtomicBool,
}

impl Account {
    /// A member of `group` that has had nothing so far, on processor `home`.
    #[must_use]
    pub fn of(group: Arc<Group>, home: u32) -> Self {
        Self {
            home: AtomicU32::new(home),
            first: group,
            joined: Once::new(),
            key: AtomicU64::new(0),
            place: AtomicU64::new(0),
            behind: AtomicU64::new(0),
            slice: AtomicU64::new(0),
            since: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// One in a group of its own, with this weight.
    #[must_use]
    pub fn new(weight: u32, home: u32) -> Self {
        Self::of(Arc::new(Group::new(Shares::of_weight(weight), 1)), home)
    }

    /// Its group.
    #[must_use]
    #[inline]
    pub fn group(&self) -> &Arc<Group> {
        self.joined.get().unwrap_or(&self.first)
    }

    /// Becomes a member of `group` for good; only the first time counts.
    pub fn join(&self, group: &Arc<Group>) {
        if !self.joined.is_completed() {
            self.joined.call_once(|| Arc::clone(group));
        }
    }

    /// The processor on which its owner is to run.
    #[must_use]
    #[inline]
    pub fn home(&self) -> u32 {
        self.home.load(Ordering::Relaxed)
    }

    /// From now on its owner runs on processor `home`.
    #[inline]
    pub fn set_home(&self, home: u32) {
        self.home.store(home, Ordering::Relaxed);
    }

    /// How much of its slice is left, in 100 ns.
    #[must_use]
    #[inline]
    pub fn slice_left(&self) -> u64 {
        SLICE.saturating_sub(self.slice.load(Ordering::Relaxed))
    }

    /// Whether nothing of its slice was used.
    #[must_use]
    #[inline]
    pub fn slice_begins(&self) -> bool {
        self.slice.load(Ordering::Relaxed) == 0
    }

    /// The virtual time at which its slice began, with what it has run since, which is `more` than what it was charged for.
    #[must_use]
    #[inline]
    pub fn had_so_far(&self, more: u64) -> u64 {
        let ran = self.slice.load(Ordering::Relaxed) + more;
        self.key.load(Ordering::Relaxed) + self.group().virtual_time(ran)
    }

    /// The virtual time at which it waits: with what it has run of its slice, but for a part too small to change places for.
    #[must_use]
    #[inline]
    pub(super) fn waits_at(&self) -> u64 {
        let ran = self.slice.load(Ordering::Relaxed);
        self.key.load(Ordering::Relaxed) + self.group().virtual_time(ran - ran % GRANULARITY)
    }

    /// It waits so much later than it would have.
    #[inline]
    pub(super) fn move_key(&self, more: u64) {
        self.key.fetch_add(more, Ordering::Relaxed);
    }

    /// The virtual time of its group, with what it has run of its slice.
    #[must_use]
    #[inline]
    pub fn group_had_so_far(&self) -> u64 {
        let group = self.group();
        group.had() + group.virtual_time(self.slice.load(Ordering::Relaxed))
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

    /// As [`charge`](Self::charge), of a virtual processor: its limit and its reserve count that.
    #[inline]
    pub fn charge_vp(&self, now: u64, ran: u64) -> bool {
        self.first.meter(now, ran);
        self.charge(ran)
    }

    /// Something else was done for it, for `time`, which is in no slice.
    #[inline]
    pub fn charge_besides(&self, time: u64) {
        self.group().add(time);
    }

    /// Its slice is over, whatever is left of it.
    pub fn end_slice(&self) {
        let had = self.group().add(self.slice.load(Ordering::Relaxed));
        self.slice.store(0, Ordering::Relaxed);
        self.key.store(had, Ordering::Relaxed);
    }

    /// Its owner has nothing more to run, and is to go: it waits for nobody's share from now on.
    pub fn close(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Whether its owner has nothing more to run.
    #[must_use]
    #[inline]
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// It waits from now on.
    #[inline]
    pub fn waits(&self, now: u64) {
        self.since.store(now, Ordering::Relaxed);
    }

    /// It has waited until now.
    #[inline]
    pub fn has_waited(&self, now: u64) {
        let since = self.since.swap(0, Ordering::Relaxed);
        if since != 0 {
            let waited = self.waited.load(Ordering::Relaxed) + now.saturating_sub(since);
            self.waited.store(waited, Ordering::Relaxed);
        }
    }

    /// For how long it has waited, in 100 ns.
    #[must_use]
    pub fn waited(&self) -> u64 {
        self.waited.load(Ordering::Relaxed)
    }
}
