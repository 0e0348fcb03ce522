//! Those that wait for one processor.

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
        Self { waiting: BTreeMap::new(), reserved: BTreeSet::new(), now: 0, next: 0 }
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

    /// From when on somebody who waits has less than its reserve; `u64::MAX`: never.
    #[must_use]
    #[inline]
    pub fn reserved_from(&self) -> u64 {
        self.reserved.first().map_or(u64::MAX, |&(from, _, _)| from)
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
        } else if it.reserved_from == u64::MAX {
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
        let reserved_from = account.group().reserved_from();
        self.place(key, Waiting { account, what, reserved_from });
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
        self.waiting.insert((key, place), it);
    }

    /// Takes the one that is to run at `time`: of a group that has had less than its reserve, otherwise the one whose
    /// group has had least; of several, the one that waits longest.
    pub fn pop(&mut self, time: impl FnOnce() -> u64) -> Option<T> {
        if !self.reserved.is_empty()
            && let Some(at) = self.overdue(time())
        {
            return self.remove(at).map(|it| it.what);
        }
        loop {
            let (&(key, place), it) = self.waiting.first_key_value()?;
            // While it waited others of its group ran.
            let floor = it.floor();
            if key >= floor || self.waiting.len() == 1 {
                if it.reserved_from == u64::MAX {
                    self.now = self.now.max(key);
                }
                return self.remove((key, place)).map(|it| it.what);
            }
            let it = self.remove((key, place))?;
            it.account.key.fetch_add(floor - key, Ordering::Relaxed);
            self.place(floor, it);
        }
    }

    /// Where the one stands that has waited longest for its reserve, if it has less than that at `time`.
    fn overdue(&mut self, time: u64) -> Option<(u64, u64)> {
        loop {
            let &(from, key, place) = self.reserved.first()?;
            if from > time {
                return None;
            }
            let it = self.waiting.get_mut(&(key, place))?;
            let now_from = it.account.group().reserved_from();
            if now_from <= time {
                return Some((key, place));
            }
            // While it waited others of its group ran.
            it.reserved_from = now_from;
            self.reserved.remove(&(from, key, place));
            if now_from != u64::MAX {
                self.reserved.insert((now_from, key, place));
            }
        }
    }

    fn remove(&mut self, (key, place): (u64, u64)) -> Option<Waiting<T>> {
        let it = self.waiting.remove(&(key, place))?;
        if it.reserved_from != u64::MAX {
            self.reserved.remove(&(it.reserved_from, key, place));
        }
        Some(it)
    }

    /// Takes somebody for `processor`, which is idle, or would run at virtual time `before` otherwise.
    pub fn steal(&mut self, processor: u32, time: u64, before: Option<u64>) -> Option<(Arc<Account>, T)> {
        let may = |it: &Waiting<T>| it.account.group().allows(processor);
        if let Some(at) = self.overdue(time)
            && self.waiting.get(&at).is_some_and(may)
        {
            return self.remove(at).map(|it| (it.account, it.what));
        }
        let is_behind = |key: u64, it: &Waiting<T>| {
            before.is_none_or(|before| key.max(it.floor()) + it.worth_while() < before)
        };
        let mut all = self.waiting.iter().take(LOOK);
        let (&at, _) = all.find(|&(&(key, _), it)| may(it) && is_behind(key, it))?;
        self.remove(at).map(|it| (it.account, it.what))
    }

    /// Takes those that have nothing more to run.
    pub fn dismiss(&mut self) -> Option<(Arc<Account>, T)> {
        let (&at, _) = self.waiting.iter().find(|(_, it)| it.account.is_over())?;
        self.remove(at).map(|it| (it.account, it.what))
    }

    /// Takes those that may not run on `processor` (any more).
    pub fn expel(&mut self, processor: u32) -> Option<(Arc<Account>, T)> {
        let (&at, _) = self.waiting.iter().find(|(_, it)| !it.account.group().allows(processor))?;
        self.remove(at).map(|it| (it.account, it.what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Account, GRANULARITY, Queue, SLICE, WEIGHT};
    use std::sync::Arc;
    use syscall::ProcessorSet;

    fn account(weight: u32) -> Arc<Account> {
        Arc::new(Account::new(weight, 0))
    }

    /// Lets `rounds` turns pass; what each ran in sum. `lengths`: how long each runs in a turn before it is interrupted or
    /// its slice ends.
    fn play(accounts: &[Arc<Account>], lengths: &[u64], rounds: usize) -> Vec<u64> {
        let mut queue = Queue::new();
        let mut ran = vec![0; accounts.len()];
        for (index, account) in accounts.iter().enumerate() {
            queue.push_woken(Arc::clone(account), index);
        }
        for _ in 0..rounds {
            let index = queue.pop(|| 0).unwrap();
            let turn = lengths[index].min(accounts[index].slice_left());
            accounts[index].charge(turn);
            ran[index] += turn;
            queue.push(Arc::clone(&accounts[index]), index);
        }
        ran
    }

    #[test]
    fn one_that_another_processor_takes_has_waited() {
        let group = account(WEIGHT).group().clone();
        let [waits, first, second] = [(); 3].map(|()| Arc::new(Account::of(group.clone(), 0)));
        let (mut from, mut to) = (Queue::new(), Queue::new());
        from.push_woken(waits, "waits");
        // Two others of its group run a slice meanwhile, each on a processor, and wait again.
        for account in [&first, &second] {
            account.charge(SLICE);
        }
        to.push(second, "ran");
        let (account, task) = from.steal(1, 0, to.first()).unwrap();
        to.take_over(account, task);
        assert_eq!(to.pop(|| 0), Some("waits"));
    }

    #[test]
    fn shares_follow_the_weights() {
        let accounts = [account(100), account(100), account(200)];
        let ran = play(&accounts, &[SLICE; 3], 4000);
        assert!(ran[0].abs_diff(ran[1]) <= 2 * SLICE);
        assert!(ran[2].abs_diff(2 * ran[0]) <= 4 * SLICE, "{ran:?}");
    }

    #[test]
    fn one_that_is_interrupted_all_the_time_has_its_share() {
        let accounts = [account(WEIGHT), account(WEIGHT)];
        let ran = play(&accounts, &[SLICE / 50, SLICE], 100_000);
        assert!(ran[0].abs_diff(ran[1]) <= 2 * SLICE, "{ran:?}");
    }

    #[test]
    fn whoever_has_run_for_a_moment_only_is_next_again() {
        let (first, second) = (account(WEIGHT), account(WEIGHT));
        let mut queue = Queue::new();
        queue.push_woken(Arc::clone(&first), 1);
        queue.push_woken(Arc::clone(&second), 2);
        assert_eq!(queue.pop(|| 0), Some(1));
        first.charge(GRANULARITY - 1);
        assert!(!queue.is_before(&first, 0, || 0));
        queue.push(Arc::clone(&first), 1);
        assert_eq!((queue.first(), queue.pop(|| 0)), (Some(0), Some(1)));
        first.charge(1);
        assert!(queue.is_before(&first, 0, || 0));
        queue.push(Arc::clone(&first), 1);
        assert_eq!((queue.pop(|| 0), queue.pop(|| 0)), (Some(2), Some(1)));
    }

    /// Whoever is asked all the time whether another is to run does not change with it all the time.
    #[test]
    fn two_take_turns_of_twice_the_least_time() {
        let accounts = [account(WEIGHT), account(WEIGHT)];
        let mut queue = Queue::new();
        accounts.iter().enumerate().for_each(|(index, account)| queue.push_woken(Arc::clone(account), index));
        const STEP: u64 = GRANULARITY / 10;
        let (mut turns, mut now) = (0, 0);
        while now < 1000 * GRANULARITY {
            let index = queue.pop(|| 0).unwrap();
            turns += 1;
            let account = &accounts[index];
            loop {
                now += STEP;
                if account.charge(STEP) || queue.is_before(account, 0, || 0) {
                    break;
                }
            }
            queue.push(Arc::clone(account), index);
        }
        assert!((450..650).contains(&turns), "{turns}");
    }

    #[test]
    fn two_that_are_alike_both_have_their_turn() {
        let mut queue = Queue::new();
        for index in 0..2 {
            // Within its slice it keeps its place, which here is that of one that was never pushed.
            let account = account(WEIGHT);
            account.charge(SLICE / 2);
            queue.push(account, index);
        }
        assert_eq!((queue.pop(|| 0), queue.pop(|| 0), queue.pop(|| 0)), (Some(0), Some(1), None));
    }

    #[test]
    fn who_ran_without_waiting_is_not_made_to_wait_for_it() {
        let (inline, new) = (account(WEIGHT), account(WEIGHT));
        let mut queue = Queue::new();
        for _ in 0..1000 {
            assert!(inline.charge(SLICE));
            queue.ran(&inline);
        }
        queue.push_woken(Arc::clone(&new), 2);
        assert!(inline.had_so_far(0) <= queue.first().unwrap() + inline.group().slice());
    }

    #[test]
    fn sleeping_saves_nothing_up() {
        let (busy, sleeper) = (account(WEIGHT), account(WEIGHT));
        let mut queue = Queue::new();
        for _ in 0..100 {
            queue.push(Arc::clone(&busy), 1);
            assert_eq!(queue.pop(|| 0), Some(1));
            busy.charge(SLICE);
        }
        queue.push(Arc::clone(&busy), 1);
        queue.push_woken(Arc::clone(&sleeper), 2);
        let turns = (0..4).map(|_| {
            let one = queue.pop(|| 0).unwrap();
            let account = if one == 1 { &busy } else { &sleeper };
            account.charge(SLICE);
            queue.push(Arc::clone(account), one);
            one
        });
        assert_eq!(turns.collect::<Vec<_>>(), [2, 2, 1, 2]);
    }

    #[test]
    fn whoever_joins_a_group_is_charged_to_it() {
        let (vp, worker) = (account(WEIGHT), account(WEIGHT));
        worker.join(vp.group());
        worker.charge(SLICE);
        assert_eq!(vp.group().had(), vp.group().slice());
        // For good: what belongs to one VM never becomes another's.
        worker.join(account(WEIGHT).group());
        assert!(Arc::ptr_eq(worker.group(), vp.group()));
    }

    #[test]
    fn who_spins_for_another_of_its_group_lets_it_go_first() {
        let spins = account(WEIGHT);
        let holds = Arc::new(Account::of(Arc::clone(spins.group()), 0));
        let other = account(WEIGHT);
        let mut queue = Queue::new();
        queue.push_woken(Arc::clone(&spins), 1);
        assert_eq!(queue.pop(|| 0), Some(1));
        queue.push_woken(Arc::clone(&other), 2);
        queue.push_woken(Arc::clone(&holds), 3);
        spins.charge(SLICE / 2);
        spins.end_slice();
        queue.let_others_go_first(&spins);
        queue.push(Arc::clone(&spins), 1);
        assert_eq!((queue.pop(|| 0), queue.pop(|| 0), queue.pop(|| 0)), (Some(3), Some(2), Some(1)));
        assert!(spins.group().had() == spins.group().virtual_time(SLICE / 2), "charged for what it ran");
    }

    #[test]
    fn who_spins_for_nobody_here_lets_others_go_first_and_keeps_its_share() {
        let (spins, other) = (account(WEIGHT), account(WEIGHT));
        let mut queue = Queue::new();
        queue.push_woken(Arc::clone(&spins), 1);
        queue.push_woken(Arc::clone(&other), 2);
        assert_eq!(queue.pop(|| 0), Some(1));
        let (mut ran, mut turns) = ([0, 0], Vec::new());
        let mut index = 1;
        for _ in 0..2000 {
            let (account, turn) = if index == 1 { (&spins, SLICE / 10) } else { (&other, SLICE) };
            account.charge(turn);
            ran[index - 1] += turn;
            turns.push(index);
            if index == 1 {
                spins.end_slice();
                queue.let_others_go_first(&spins);
            }
            queue.push(Arc::clone(account), index);
            index = queue.pop(|| 0).unwrap();
        }
        assert_eq!(turns[..4], [1, 2, 1, 2]);
        assert!(ran[0].abs_diff(ran[1]) <= 4 * SLICE, "{ran:?}");
    }

    #[test]
    fn who_has_nothing_more_to_run_waits_for_no_share() {
        let (busy, killed) = (account(WEIGHT), account(WEIGHT));
        let mut queue = Queue::new();
        queue.push_woken(Arc::clone(&busy), 1);
        queue.push_woken(Arc::clone(&killed), 2);
        assert_eq!(queue.dismiss().map(|(_, what)| what), None);
        killed.close();
        assert_eq!(queue.dismiss().map(|(_, what)| what), Some(2));
        assert_eq!((queue.dismiss().map(|(_, what)| what), queue.pop(|| 0)), (None, Some(1)));
    }

    #[test]
    fn only_who_may_run_there_is_stolen() {
        let (bound, free) = (account(WEIGHT), account(WEIGHT));
        bound.group().set(super::super::Shares {
            affinity: ProcessorSet::below(1),
            ..super::super::Shares::of_weight(WEIGHT)
        });
        let mut queue = Queue::new();
        queue.push_woken(Arc::clone(&bound), 1);
        assert_eq!(queue.affinity(), ProcessorSet::below(1));
        assert!(queue.steal(1, 0, None).is_none());
        queue.push_woken(Arc::clone(&free), 2);
        assert_eq!(queue.steal(1, 0, None).map(|(_, what)| what), Some(2));
        assert_eq!(queue.expel(0).map(|(_, what)| what), None);
        assert_eq!(queue.expel(1).map(|(_, what)| what), Some(1));
    }
}
