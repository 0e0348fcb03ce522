//! The tasks that wait for one event.

use alloc::vec::Vec;
use core::task::{Context, Waker};

/// Wakers to be called once, each at most once however often its task asked.
#[derive(Debug, Default)]
pub struct Wakers(Vec<Waker>);

impl Wakers {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds the task of `context`.
    pub fn add(&mut self, context: &Context<'_>) {
        if !self.0.iter().any(|waker| waker.will_wake(context.waker())) {
            self.0.push(context.waker().clone());
        }
    }

    /// Takes all of them, to be woken when no lock is held.
    #[must_use]
    pub fn take(&mut self) -> Self {
        core::mem::take(self)
    }

    /// Wakes them.
    pub fn wake(self) {
        for waker in self.0 {
            waker.wake();
        }
    }
}
