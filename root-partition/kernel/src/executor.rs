//! The executor: tasks that are ready run one after the other; when none is, the processor sleeps until an interrupt.

use crate::arch;
use alloc::collections::VecDeque;
use async_task::{Runnable, ScheduleInfo, WithInfo};
use core::future::{Future, poll_fn};
use core::task::Poll;
use spin::Mutex;

/// Tasks that are ready, oldest first. A leaf lock.
static READY: Mutex<VecDeque<Runnable>> = Mutex::new(VecDeque::new());

/// Runs `future` as a task of its own.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let schedule = WithInfo(|runnable, _: ScheduleInfo| READY.lock().push_back(runnable));
    let (runnable, task) = async_task::spawn(future, schedule);
    task.detach();
    runnable.schedule();
}

/// Lets the other tasks that are ready run first.
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

/// Whether a task other than the one that runs is ready.
#[must_use]
#[inline]
pub fn others_ready() -> bool {
    !READY.lock().is_empty()
}

/// Runs tasks for good. Interrupts are off when a task runs.
pub(crate) fn run() -> ! {
    loop {
        let next = READY.lock().pop_front();
        match next {
            Some(task) => {
                task.run();
                arch::interrupt_window();
            }
            None => arch::idle(),
        }
    }
}
