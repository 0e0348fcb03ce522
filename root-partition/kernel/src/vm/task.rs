//! The task of a virtual processor: runs it whenever it is ready.

use super::inner::Inner;
use super::vp::{State, Turn};
use crate::time::{self, Sleep};
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A VP as a future; it is ready when the VP is dead.
pub struct VpTask {
    inner: Arc<Inner>,
    index: u32,
    /// The timer of a halted VP.
    timer: Option<Sleep>,
}

impl VpTask {
    /// Runs VP `index`.
    pub fn new(inner: Arc<Inner>, index: u32) -> Self {
        Self { inner, index, timer: None }
    }

    /// Waits for the VP's timer; `true`: it is due.
    fn poll_timer(&mut self, context: &mut Context<'_>, deadline: u64) -> bool {
        if deadline == u64::MAX {
            self.timer = None;
            return false;
        }
        let timer = self.timer.get_or_insert_with(|| time::sleep_until(deadline));
        if timer.deadline() != deadline {
            *timer = time::sleep_until(deadline);
        }
        Pin::new(timer).poll(context).is_ready()
    }
}

impl Future for VpTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let inner = Arc::clone(&self.inner);
        let Some(vp) = inner.vp(self.index) else { return Poll::Ready(()) };
        loop {
            match vp.state() {
                State::Dead => return Poll::Ready(()),
                State::Stopped | State::Intercepted => {
                    vp.register(context);
                    return Poll::Pending;
                }
                State::Blocked => {
                    vp.register(context);
                    if !self.poll_timer(context, vp.next_timer()) {
                        return Poll::Pending;
                    }
                    vp.set_state(State::Ready);
                }
                State::Ready => {
                    self.timer = None;
                    match vp.turn() {
                        Turn::Yield => {
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Turn::Blocked => vp.set_state(State::Blocked),
                        Turn::Intercept => inner.intercepted(self.index),
                        Turn::Failed(status) => inner.failed(self.index, status),
                    }
                }
            }
        }
    }
}
