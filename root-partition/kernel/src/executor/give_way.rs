//! When whoever runs has to let another run.

use super::local::LOCAL;
use super::share::{Account, GRANULARITY};
use super::spread::offer;
use super::task::may_run_here;
use crate::time;
use core::future::poll_fn;
use core::sync::atomic::Ordering;
use core::task::Poll;

/// Lets other tasks that are ready run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether the virtual processor that runs on `account` has to let another task run, now. If not, others may take who waits.
#[must_use]
#[inline]
pub fn must_give_way(account: &Account, now: u64) -> bool {
    let local = LOCAL.this();
    let ready = local.ready.lock();
    let must = !ready.woken.is_empty() || ready.sharing.is_before(account, 0, || now);
    let waits = !must && !ready.sharing.is_empty();
    drop(ready);
    if waits {
        offer(local);
    }
    must || !may_run_here(account)
}

/// Whether somebody else who shares the processor is to run before `account`.
#[must_use]
#[inline]
pub fn is_ahead(account: &Account) -> bool {
    LOCAL.this().ready.lock().sharing.is_before(account, 0, time::now)
}

/// Whether the program that runs has to let another task run. Arms the timer for when it has to at the latest.
#[must_use]
#[inline]
pub fn program_must_give_way() -> bool {
    let local = LOCAL.this();
    let ready = local.ready.lock();
    if !ready.woken.is_empty() {
        return true;
    }
    if ready.sharing.is_empty() {
        return false;
    }
    let now = time::now();
    let (before, left) = match &*local.program.lock() {
        Some((account, since)) => {
            let ran = now.saturating_sub(*since).saturating_sub(local.inline.load(Ordering::Relaxed));
            (ready.sharing.is_before(account, ran, || now), account.slice_left().saturating_sub(ran))
        }
        None => (false, 0),
    };
    drop(ready);
    if !before {
        offer(local);
        time::arm(now + left.max(GRANULARITY));
    }
    before
}

/// A virtual processor ran for `time` inside the poll of the program that runs, and was charged for it.
#[inline]
pub fn ran_inline(time: u64) {
    let inline = &LOCAL.this().inline;
    inline.store(inline.load(Ordering::Relaxed) + time, Ordering::Relaxed);
}

/// A slice of `account` is over: who comes next starts from there.
pub fn slice_ended(account: &Account) {
    LOCAL.this().ready.lock().sharing.ran(account);
}

/// Whoever has `account` can do nothing until another of its group has run: others run first, that one before all.
/// `false`: nobody waits for this processor.
pub fn give_up_slice(account: &Account) -> bool {
    LOCAL.this().change(|ready| {
        let awaited = !ready.sharing.is_empty();
        if awaited {
            account.end_slice();
            ready.sharing.let_others_go_first(account);
        }
        awaited
    })
}
