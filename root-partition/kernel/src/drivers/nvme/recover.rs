//! What a queue pair does when its controller does not answer: its commands end with an error once the controller is
//! stopped and cannot touch their memory any more; requests that come meanwhile wait.

use super::command::CompletionEntry;
use super::queue::IoQueue;
use crate::block::Error;
use crate::drivers::Condition;
use crate::drivers::backlog::Waiter;
use alloc::vec::Vec;
use core::task::{Context, Poll};

/// How long a transfer may take, and another command, in 100 ns.
const TRANSFER_PATIENCE: u64 = 150_000_000;
const SLOW_PATIENCE: u64 = 600_000_000;

impl IoQueue {
    /// Ready when a command is in flight.
    pub fn poll_busy(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.slots.iter_mut().next().is_some() {
            return Poll::Ready(());
        }
        state.watcher = Some(context.waker().clone());
        Poll::Pending
    }

    /// Looks at the commands that are in flight, and collects what is done if one was seen before: its interrupt may be
    /// lost. `true`: one takes too long.
    pub fn look(&self, now: u64) -> bool {
        if self.oldest(now).is_some_and(|(is_known, _)| is_known) {
            self.drain();
        }
        self.oldest(now).is_some_and(|(_, is_late)| is_late)
    }

    /// Whether a command was seen before, and whether one is late; nothing if there is none.
    fn oldest(&self, now: u64) -> Option<(bool, bool)> {
        let mut state = self.state.lock();
        let ages = state.slots.iter_mut().map(|(_, command)| {
            let patience = if command.is_slow { SLOW_PATIENCE } else { TRANSFER_PATIENCE };
            let age = now.saturating_sub(*command.since.get_or_insert(now));
            (age > 0, age > patience)
        });
        ages.reduce(|one, other| (one.0 || other.0, one.1 || other.1))
    }

    /// From now on requests wait.
    pub fn stop(&self) {
        self.state.lock().condition = Condition::IsReset;
    }

    /// The controller is stopped: its commands fail, and the rings are as new.
    pub fn fail_commands(&self) {
        let failed: Vec<Waiter> = {
            let mut state = self.state.lock();
            let slots: Vec<u16> = state.slots.iter_mut().map(|(slot, _)| slot).collect();
            let failed = slots.into_iter().filter_map(|slot| state.slots.finish(slot));
            let failed = failed.map(|command| command.waiter).collect();
            (state.tail, state.head, state.phase) = (0, 0, true);
            for index in 0..usize::from(self.depth()) {
                state.completion.set(index * size_of::<CompletionEntry>(), CompletionEntry::default());
            }
            failed
        };
        failed.into_iter().for_each(|waiter| waiter.complete(Err(Error::Io)));
    }

    /// The controller works again: what waited is started.
    pub fn resume(&self) {
        let mut refused = Vec::new();
        {
            let mut state = self.state.lock();
            state.condition = Condition::Works;
            self.start_queued(&mut state, &mut refused);
        }
        refused.into_iter().for_each(|waiter| waiter.complete(Err(Error::Invalid)));
    }

    /// The controller is dead, and can reach no memory: everything fails from now on.
    pub fn die(&self) {
        self.fail_commands();
        let mut failed = Vec::new();
        {
            let mut state = self.state.lock();
            state.condition = Condition::IsDead;
            while let Some((slot, _, waiter)) = state.slots.take_queued(|waiter| failed.push(waiter)) {
                failed.push(waiter);
                state.slots.give_back(slot);
            }
        }
        failed.into_iter().for_each(|waiter| waiter.complete(Err(Error::Io)));
    }
}
