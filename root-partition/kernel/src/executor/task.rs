//! Tasks on this processor.

use super::fair::{Account, FairQueue, GRANULARITY};
use crate::{arch, time, vmbus};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use async_task::{Builder, Runnable, ScheduleInfo, WithInfo};
use core::future::{Future, poll_fn};
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Poll;
use spin::Mutex;

/// How many tasks run in a row because they were woken, while others wait for their share.
const IN_A_ROW_MAX: u32 = 64;

/// How long an idle processor looks for the answer of a disk before it halts, in 100 ns.
const POLL: u64 = 200;

/// Tasks that are ready. A leaf lock.
static READY: Mutex<Ready> =
    Mutex::new(Ready { woken: VecDeque::new(), sharing: FairQueue::new(), in_a_row: 0 });
/// The program that runs, and since when.
static PROGRAM: Mutex<Option<(Arc<Account>, u64)>> = Mutex::new(None);
/// What virtual processors have run inside the poll of the program that runs, in 100 ns.
static INLINE: AtomicU64 = AtomicU64::new(0);

/// What kind of task it is.
enum Kind {
    Plain,
    Program(Arc<Account>),
    Vp(Arc<Account>),
}

struct Ready {
    /// Those that have something to answer, oldest first.
    woken: VecDeque<Runnable<Kind>>,
    /// Those that share the processor.
    sharing: FairQueue<Runnable<Kind>>,
    /// How many of `woken` have run in a row.
    in_a_row: u32,
}

impl Ready {
    #[inline]
    fn next(&mut self) -> Option<Runnable<Kind>> {
        if self.in_a_row < IN_A_ROW_MAX || self.sharing.is_empty() {
            self.in_a_row = self.in_a_row.saturating_add(1);
            if let Some(task) = self.woken.pop_front() {
                return Some(task);
            }
        }
        self.in_a_row = 0;
        self.sharing.pop()
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.sharing.is_empty()
    }

    fn push(&mut self, task: Runnable<Kind>, gave_way: bool) {
        let account = match task.metadata() {
            Kind::Plain => return self.woken.push_back(task),
            Kind::Program(account) if !gave_way && !self.sharing.is_ahead(account) => {
                return self.woken.push_back(task);
            }
            Kind::Program(account) | Kind::Vp(account) => Arc::clone(account),
        };
        self.sharing.push(&account, task);
    }
}

fn spawn_kind(kind: Kind, future: impl Future<Output = ()> + Send + 'static) {
    let schedule = WithInfo(|task: Runnable<Kind>, info: ScheduleInfo| {
        READY.lock().push(task, info.woken_while_running);
    });
    let (task, handle) = Builder::new().metadata(kind).spawn(|_| future, schedule);
    handle.detach();
    task.schedule();
}

/// Runs `future` as a plain task.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    spawn_kind(Kind::Plain, future);
}

/// Runs `future`, which is a program, on this account.
pub fn spawn_program(account: Arc<Account>, future: impl Future<Output = ()> + Send + 'static) {
    spawn_kind(Kind::Program(account), future);
}

/// Runs `future`, which is a virtual processor; it charges its account itself.
pub fn spawn_vp(account: Arc<Account>, future: impl Future<Output = ()> + Send + 'static) {
    spawn_kind(Kind::Vp(account), future);
}

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

/// Whether the virtual processor that runs on `account` has to let another task run.
#[must_use]
#[inline]
pub fn must_give_way(account: &Account) -> bool {
    let ready = READY.lock();
    !ready.woken.is_empty() || is_behind(&ready, account.had_so_far())
}

/// Whether somebody else who shares the processor has had clearly less than `account`.
#[must_use]
#[inline]
pub fn is_ahead(account: &Account) -> bool {
    is_behind(&READY.lock(), account.had_so_far())
}

/// Whether somebody waits who has had clearly less than `had`.
#[inline]
fn is_behind(ready: &Ready, had: u64) -> bool {
    ready.sharing.first().is_some_and(|first| first + GRANULARITY <= had)
}

/// Whether the program that runs has to let another task run. Arms the timer for when it has to at the latest.
#[must_use]
#[inline]
pub fn program_must_give_way() -> bool {
    let ready = READY.lock();
    if !ready.woken.is_empty() {
        return true;
    }
    if ready.sharing.is_empty() {
        return false;
    }
    let now = time::now();
    let (had, left) = match &*PROGRAM.lock() {
        Some((account, since)) => {
            let ran = now.saturating_sub(*since).saturating_sub(INLINE.load(Ordering::Relaxed));
            (account.had_so_far() + ran, account.slice_left().saturating_sub(ran))
        }
        None => (0, 0),
    };
    let behind = is_behind(&ready, had);
    drop(ready);
    if !behind {
        time::arm(now + left.max(GRANULARITY));
    }
    behind
}

/// A virtual processor ran for `time` inside the poll of the program that runs, and was charged for it.
#[inline]
pub fn ran_inline(time: u64) {
    INLINE.store(INLINE.load(Ordering::Relaxed) + time, Ordering::Relaxed);
}

/// A slice of `account` is over: who comes next starts from there.
pub fn slice_ended(account: &Account) {
    READY.lock().sharing.ran(account);
}

/// Takes interrupts for a moment before the processor is halted: a fast disk answers sooner than a processor has gone to
/// sleep and come back. Whether a task is ready.
///
/// Under QEMU's `-icount sleep=off` it matters more: there a halted machine's clock jumps to the next timer at once.
fn poll() -> bool {
    let end = time::now() + POLL;
    loop {
        arch::interrupt_window();
        if !READY.lock().is_empty() {
            return true;
        }
        if time::now() >= end {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// Runs tasks for good. Interrupts are off when a task runs.
pub(crate) fn run() -> ! {
    loop {
        let next = READY.lock().next();
        match next {
            Some(task) => {
                run_task(task);
                arch::interrupt_window();
            }
            None if vmbus::is_disk_busy() && poll() => {}
            None => arch::idle(),
        }
    }
}

fn run_task(task: Runnable<Kind>) {
    let Kind::Program(account) = task.metadata() else {
        task.run();
        return;
    };
    let account = Arc::clone(account);
    let start = time::now();
    INLINE.store(0, Ordering::Relaxed);
    *PROGRAM.lock() = Some((Arc::clone(&account), start));
    task.run();
    *PROGRAM.lock() = None;
    let ran = time::now().saturating_sub(start).saturating_sub(INLINE.load(Ordering::Relaxed));
    if account.charge(ran) {
        slice_ended(&account);
    }
}
