//! A completion that a task awaits.

use super::{Completion, Error};
use alloc::sync::Arc;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use spin::Mutex;

/// Remembers the result of one request and wakes who awaits it. It owns `keep`, the memory of the request, so that a
/// dropped task does not free what a device still writes to.
pub struct Signal<K> {
    /// Guards result and waker; taken alone, for a few instructions.
    state: Mutex<State>,
    keep: K,
}

#[derive(Default)]
struct State {
    result: Option<Result<(), Error>>,
    waker: Option<Waker>,
}

impl<K: Send + Sync + 'static> Signal<K> {
    /// A signal for one request.
    pub fn new(keep: K) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::default()), keep })
    }

    /// The memory of the request.
    pub fn keep(&self) -> &K {
        &self.keep
    }

    /// The result, if it is there.
    pub fn take(&self) -> Option<Result<(), Error>> {
        self.state.lock().result.take()
    }

    /// Waits for the result.
    pub fn wait(self: &Arc<Self>) -> Wait<K> {
        Wait { signal: Arc::clone(self) }
    }
}

impl<K: Send + Sync> Completion for Signal<K> {
    fn complete(&self, _tag: u64, result: Result<(), Error>) {
        let waker = {
            let mut state = self.state.lock();
            state.result = Some(result);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The future of a [`Signal`].
pub struct Wait<K> {
    signal: Arc<Signal<K>>,
}

impl<K> Future for Wait<K> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.signal.state.lock();
        if let Some(result) = state.result.take() {
            return Poll::Ready(result);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            waker => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
