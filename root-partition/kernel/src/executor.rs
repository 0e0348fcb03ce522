//! The executor: tasks that are ready run one after the other; when none is, the processor sleeps until an interrupt.
//!
//! A task that was woken runs before one that gave way by itself: the first has something to answer, the second only
//! has more to do. So what an interrupt sets off (driver, controller, answer to the guest) is over before a virtual
//! processor or a program that was interrupted goes on. Now and then one of the others runs all the same.

use crate::arch;
use alloc::collections::VecDeque;
use async_task::{Runnable, ScheduleInfo, WithInfo};
use core::future::{Future, poll_fn};
use core::task::Poll;
use spin::Mutex;

/// How many tasks that were woken run in a row while others wait.
const IN_A_ROW_MAX: u32 = 64;

/// Tasks that are ready. A leaf lock.
static READY: Mutex<Ready> =
    Mutex::new(Ready { woken: VecDeque::new(), yielded: VecDeque::new(), in_a_row: 0 });

/// Tasks that are ready, oldest first.
struct Ready {
    /// Somebody woke them.
    woken: VecDeque<Runnable>,
    /// They woke themselves while they ran.
    yielded: VecDeque<Runnable>,
    /// How many of `woken` have run in a row.
    in_a_row: u32,
}

impl Ready {
    #[inline]
    fn next(&mut self) -> Option<Runnable> {
        if self.in_a_row < IN_A_ROW_MAX || self.yielded.is_empty() {
            self.in_a_row = self.in_a_row.saturating_add(1);
            if let Some(task) = self.woken.pop_front() {
                return Some(task);
            }
        }
        self.in_a_row = 0;
        self.yielded.pop_front()
    }
}

/// Runs `future` as a task of its own.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let schedule = WithInfo(|runnable, info: ScheduleInfo| {
        let mut ready = READY.lock();
        let queue = if info.woken_while_running { &mut ready.yielded } else { &mut ready.woken };
        queue.push_back(runnable);
    });
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
    let ready = READY.lock();
    !ready.woken.is_empty() || !ready.yielded.is_empty()
}

/// Runs tasks for good. Interrupts are off when a task runs.
pub(crate) fn run() -> ! {
    loop {
        let next = READY.lock().next();
        match next {
            Some(task) => {
                task.run();
                arch::interrupt_window();
            }
            None => arch::idle(),
        }
    }
}
