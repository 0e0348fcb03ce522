//! What a channel does about lost interrupts and about commands that take too long.

use super::channel::{Channel, Done, Drive};
use super::identify::Mode;
use super::ports::Ports;
use super::transfer::Step;
use crate::block::Error;
use crate::drivers::Condition;
use alloc::vec::Vec;
use core::task::{Context, Poll};

/// How many commands in a row may time out before a drive is no longer served by DMA.
const TIMEOUTS_MAX: u8 = 2;
/// How many interrupts may be lost before every command is looked after closely.
const LOST_MAX: u8 = 3;
/// How often a command must have been seen done before its interrupt counts as lost.
const SIGHTINGS: u8 = 2;

impl<P: Ports> Channel<P> {
    /// Nobody tells when a command is done.
    pub fn has_no_interrupt(&self) {
        self.state.lock().lost = LOST_MAX;
    }

    /// Ready when a command runs.
    pub fn poll_busy(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.active.is_some() {
            return Poll::Ready(());
        }
        state.watcher = Some(context.waker().clone());
        Poll::Pending
    }

    /// Whether interrupts cannot be relied on.
    pub fn is_looked_after(&self) -> bool {
        self.state.lock().lost >= LOST_MAX
    }

    /// Looks at the command that runs, if any: serves it where no interrupt does. `true`: it takes too long; the channel
    /// has to be reset.
    pub fn look(&self, now: u64) -> bool {
        let is_lost = {
            let mut state = self.state.lock();
            let looked_after = state.lost >= LOST_MAX;
            let Some(active) = state.active.as_mut() else { return false };
            let since = *active.since.get_or_insert(now);
            if active.is_done(&self.ports) {
                active.sightings = active.sightings.saturating_add(1);
            } else if now.saturating_sub(since) > active.step.patience() {
                return true;
            }
            let is_lost = active.sightings >= if looked_after { 1 } else { SIGHTINGS };
            if is_lost && !looked_after {
                state.lost += 1;
                log::warn!("ata: an interrupt was lost");
            }
            is_lost
        };
        if is_lost {
            self.drain();
        }
        false
    }

    /// Fails the command that runs, because the channel is about to be reset. Requests wait from now on.
    pub fn begin_reset(&self) {
        let mut failed = None;
        {
            let mut state = self.state.lock();
            state.condition = Condition::IsReset;
            if let Some(active) = state.active.take() {
                active.step.stop(&self.ports);
                if let Some(drive) = state.drives.get_mut(active.drive) {
                    drive.note_timeout(matches!(active.step, Step::Dma { .. }));
                    failed = drive.requests.finish(active.slot);
                }
            }
        }
        if let Some(waiter) = failed {
            waiter.complete(Err(Error::Io));
        }
    }

    /// Ends a reset: `came_back`, or the channel is dead and all its requests fail.
    pub fn end_reset(&self, came_back: bool) {
        let mut done: Vec<Done> = Vec::new();
        {
            let mut state = self.state.lock();
            if came_back {
                self.enable_interrupts();
                state.condition = Condition::Works;
                self.start_next(&mut state, &mut done);
            } else {
                state.condition = Condition::IsDead;
                for drive in &mut state.drives {
                    let mut fail = |waiter| done.push((waiter, Err(Error::Io)));
                    while let Some((slot, _, waiter)) = drive.requests.take_queued(&mut fail) {
                        drive.requests.give_back(slot);
                        fail(waiter);
                    }
                }
            }
        }
        for (waiter, result) in done {
            waiter.complete(result);
        }
    }
}

impl Drive {
    fn note_timeout(&mut self, by_dma: bool) {
        self.timeouts = self.timeouts.saturating_add(1);
        if by_dma && self.timeouts >= TIMEOUTS_MAX {
            log::warn!("ata: DMA times out: PIO from now on");
            self.mode = Mode::Pio;
        }
    }
}
