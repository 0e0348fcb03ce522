//! The task of a virtual processor: runs it whenever it is ready.

use super::inner::Inner;
use super::vp::State;
use crate::executor;
use crate::hypervisor::Turn;
use crate::time::{self, Sleep};
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A VP as a future; it is ready when the VP is dead.
pub struct VpTask {
    inner: Arc<Inner>,
    index: u32,
    /// The timer of a VP that is halted, or has reached its limit.
    timer: Option<Sleep>,
}

impl VpTask {
    /// Runs VP `index`.
    pub fn new(inner: Arc<Inner>, index: u32) -> Self {
        Self { inner, index, timer: None }
    }

    /// Waits for that time; `true`: it is due.
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
            let state = vp.state();
            match state {
                State::Dead => return Poll::Ready(()),
                State::Stopped | State::Intercepted | State::Inline | State::Blocked => {
                    vp.register(context);
                    let is_due = state == State::Blocked && self.poll_timer(context, vp.next_timer());
                    if is_due {
                        vp.end_halt();
                        // A guest that halts until the next moment, again and again, is here without a pause.
                        if executor::must_give_way(vp.account(), time::now()) {
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                    } else if vp.state() == state {
                        return Poll::Pending;
                    }
                }
                State::Ready => {
                    let now = time::now();
                    vp.account().has_waited(now);
                    let limited_until = vp.account().group().limited_until();
                    if limited_until > now {
                        vp.limited().start(now);
                        vp.register(context);
                        if !self.poll_timer(context, limited_until) && vp.state() == state {
                            return Poll::Pending;
                        }
                        continue;
                    }
                    vp.limited().stop(now);
                    self.timer = None;
                    if !executor::may_run_here(vp.account()) {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    executor::adopt(vp.account());
                    match vp.turn(State::Ready) {
                        Turn::Yield => {
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Turn::Blocked => vp.block(State::Ready),
                        Turn::Intercept => inner.intercepted(self.index),
                        Turn::Failed(status) => inner.failed(self.index, status),
                    }
                }
            }
        }
    }
}
