//! How somebody leaves a queue: his turn, another processor, or the end.

use super::{LOOK, Queue, Waiting};
use crate::executor::share::Account;
use alloc::sync::Arc;
use syscall::ProcessorSet;

impl<T> Queue<T> {
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
            self.move_up((key, place), floor);
        }
    }

    /// Whoever stands there waits at `to` from now on.
    pub(super) fn move_up(&mut self, (key, place): (u64, u64), to: u64) {
        if let Some(it) = self.remove((key, place)) {
            it.account.move_key(to.saturating_sub(key));
            self.place(to, it);
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

    /// Where the first of those stands that have less than their reserve at `time` and `may`.
    fn due(&self, time: u64, may: impl Fn(&Waiting<T>) -> bool) -> Option<(u64, u64)> {
        let is_due = |it: &Waiting<T>| it.account.group().reserved_from() <= time;
        let all = self.reserved.iter().take(LOOK).take_while(|(from, _, _)| *from <= time);
        let mut all = all.filter_map(|&(_, key, place)| self.waiting.get_key_value(&(key, place)));
        all.find(|(_, it)| is_due(it) && may(it)).map(|(&at, _)| at)
    }

    pub(super) fn remove(&mut self, (key, place): (u64, u64)) -> Option<Waiting<T>> {
        let it = self.waiting.remove(&(key, place))?;
        if it.reserved_from != u64::MAX {
            self.reserved.remove(&(it.reserved_from, key, place));
        }
        self.tied -= usize::from(it.is_tied);
        Some(it)
    }

    /// Takes somebody for `processor`, which is idle, or would run at virtual time `before` otherwise.
    pub fn steal(&mut self, processor: u32, time: u64, before: Option<u64>) -> Option<(Arc<Account>, T)> {
        let may = |it: &Waiting<T>| it.account.group().allows(processor);
        if let Some(at) = self.overdue(time).and_then(|_| self.due(time, may)) {
            return self.remove(at).map(|it| (it.account, it.what));
        }
        let is_behind = |key: u64, it: &Waiting<T>| {
            before.is_none_or(|before| key.max(it.floor()) + it.worth_while() < before)
        };
        let mut all = self.waiting.iter().take(LOOK);
        let (&at, _) = all.find(|&(&(key, _), it)| may(it) && is_behind(key, it))?;
        self.remove(at).map(|it| (it.account, it.what))
    }

    /// The processors, of these, on which whoever is next could run, if somebody else could come here for it.
    #[must_use]
    pub fn could_leave_for(&self, processors: ProcessorSet, another_comes: bool) -> ProcessorSet {
        let first = self.waiting.first_key_value().filter(|_| another_comes || self.waiting.len() > 1);
        first.map_or(ProcessorSet::NONE, |(_, it)| it.account.group().affinity() & processors)
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
