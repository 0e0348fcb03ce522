//! The end of something that goes when the last of its owners lets go of it.

use super::wakers::Wakers;
use alloc::sync::Arc;
use core::task::Context;
use spin::Mutex;

/// Whether something is gone, for those who wait for that.
#[derive(Debug, Default)]
pub struct Gone {
    /// Guards whether it is, and who wants to know. A leaf lock.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_gone: bool,
    wakers: Wakers,
}

impl Gone {
    /// Whether it is gone; if not, the task of `context` is woken when it is.
    pub fn poll(&self, context: &Context<'_>) -> bool {
        let mut state = self.state.lock();
        if !state.is_gone {
            state.wakers.add(context);
        }
        state.is_gone
    }
}

/// What something owns that will be gone: it is when this is dropped. So this is the last of its fields.
#[derive(Debug, Default)]
pub struct Going(Arc<Gone>);

impl Going {
    /// Tells when that has happened.
    #[must_use]
    pub fn gone(&self) -> Arc<Gone> {
        Arc::clone(&self.0)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let wakers = {
            let mut state = self.0.state.lock();
            state.is_gone = true;
            state.wakers.take()
        };
        wakers.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::Going;
    use crate::wake_count::WakeCount;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    #[test]
    fn who_waits_is_woken_when_the_last_owner_lets_go() {
        let count = Arc::new(WakeCount::default());
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        let one = Arc::new(Going::default());
        let (other, gone) = (Arc::clone(&one), one.gone());
        drop(one);
        assert!(!gone.poll(&context) && !gone.poll(&context));
        drop(other);
        assert_eq!(count.get(), 1);
        assert!(gone.poll(&context));
    }
}
