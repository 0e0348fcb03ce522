//! The worker's wait: resumes a VP and waits for what is to be done next.
//!
//! The short way: the VP that the worker resumes runs right here, in the worker's own poll, so that from one of its
//! intercepts to the next no task is switched. When the VP has to share the processor, halts, ends its slice, or another VP has
//! an intercept, its own task goes on: the worker hears of nothing while it is here.

use super::inner::Inner;
use super::vp::State;
use crate::executor;
use crate::hypervisor::Turn;
use crate::time::{self, Sleep};
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use syscall::{Error, NO_VP, VmEvent};

/// Whether a channel is readable; has the context woken when it becomes so.
pub type ChannelReady<'a> = &'a (dyn Fn(&mut Context<'_>) -> bool + Sync);

/// Runs VP `vp`, whose intercept was answered; its next intercept, if that is how it ends.
#[inline]
pub fn resume(inner: &Inner, vp: u64) -> Result<Option<VmEvent>, Error> {
    if vp == NO_VP {
        return Ok(None);
    }
    let index = u32::try_from(vp).map_err(|_| Error::InvalidArgument)?;
    let vp = inner.vp(index).ok_or(Error::InvalidArgument)?;
    if !vp.change(State::Intercepted, State::Inline) {
        return if vp.state() == State::Dead { Ok(None) } else { Err(Error::InvalidState) };
    }
    inner.runs_inline(index);
    executor::adopt(vp.account());
    // At the start of each slice the long way is taken, where the channel is looked at: a guest that only ever has
    // intercepts would keep its worker from hearing anything.
    let the_long_way = vp.account().slice_begins()
        || !executor::may_run_here(vp.account())
        || executor::is_ahead(vp.account());
    let turn = if the_long_way { Turn::Yield } else { vp.turn(State::Inline) };
    match turn {
        Turn::Intercept if vp.change(State::Inline, State::Intercepted) => {
            return Ok(Some(VmEvent::Intercept(index)));
        }
        Turn::Intercept => {}
        Turn::Yield => {
            vp.change(State::Inline, State::Ready);
        }
        Turn::Blocked => vp.block(State::Inline),
        Turn::Failed(status) => inner.failed(index, status),
    }
    vp.wake_task();
    Ok(None)
}

/// Waits for the next event.
pub async fn next_event(inner: &Inner, channel: ChannelReady<'_>, deadline: u64) -> VmEvent {
    let mut timer = time::sleep_until(deadline);
    poll_fn(|context| poll_event(inner, channel, &mut timer, context)).await
}

fn poll_event(
    inner: &Inner,
    channel: ChannelReady<'_>,
    timer: &mut Sleep,
    context: &mut Context<'_>,
) -> Poll<VmEvent> {
    if let Some(event) = inner.poll_event(context) {
        return Poll::Ready(event);
    }
    if channel(context) {
        return Poll::Ready(VmEvent::Channel);
    }
    Pin::new(timer).poll(context).map(|()| VmEvent::Timeout)
}
