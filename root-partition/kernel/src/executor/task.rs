//! Tasks, and where they run.
//!
//! A task has a home: the processor that polls it. A plain one stays where it was spawned, so a driver stays where its device's
//! interrupts come. A program or virtual processor stays too, until an idle processor takes it from one that keeps it waiting
//! ([`steal`]); and a virtual processor goes to where its worker resumes it ([`adopt`]).

use super::fair::{Account, FairQueue, GRANULARITY};
use super::idle::{IdleSet, Sign};
use crate::arch::processor::number;
use crate::arch::{PROCESSORS_MAX, PerProcessor, apic, per_processor};
use crate::{arch, interrupts, time, vmbus};
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

/// The processor on which disks' interrupts arrive.
const DISKS: u32 = 0;

static LOCAL: PerProcessor<Local> = per_processor!(Local::new());
static IDLE: IdleSet<{ PROCESSORS_MAX.div_ceil(64) }> = IdleSet::new();

/// The executor of a processor.
struct Local {
    /// Tasks that are ready. Whoever wakes one puts it in, then pokes the processor. A leaf lock.
    ready: Mutex<Ready>,
    /// What the others see.
    sign: Sign,
    /// The program that runs, and since when. The processor's own.
    program: Mutex<Option<(Arc<Account>, u64)>>,
    /// What virtual processors have run inside the poll of the program that runs, in 100 ns. The processor's own.
    inline: AtomicU64,
}

impl Local {
    const fn new() -> Self {
        let ready = Ready { woken: VecDeque::new(), sharing: FairQueue::new(), in_a_row: 0 };
        Self {
            ready: Mutex::new(ready),
            sign: Sign::new(),
            program: Mutex::new(None),
            inline: AtomicU64::new(0),
        }
    }
}

/// What kind of task it is.
enum Kind {
    /// The processor where it stays.
    Plain(u32),
    Program(Arc<Account>),
    Vp(Arc<Account>),
}

impl Kind {
    /// The processor that polls it.
    #[inline]
    fn home(&self) -> u32 {
        match self {
            Self::Plain(home) => *home,
            Self::Program(account) | Self::Vp(account) => account.home(),
        }
    }
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
            Kind::Plain(_) => return self.woken.push_back(task),
            Kind::Program(account) if !gave_way && !self.sharing.is_ahead(account) => {
                return self.woken.push_back(task);
            }
            Kind::Program(account) | Kind::Vp(account) => Arc::clone(account),
        };
        self.sharing.push(&account, task);
    }
}

fn schedule(task: Runnable<Kind>, gave_way: bool) {
    let home = task.metadata().home();
    LOCAL.of(home).ready.lock().push(task, gave_way);
    poke(home);
}

/// Has `processor` look at what there is for it, if it is another.
#[inline]
pub(crate) fn poke(processor: u32) {
    if processor != number() && LOCAL.of(processor).sign.poke() {
        apic::send(processor, interrupts::POKE);
    }
}

/// This processor was poked; it looks after this.
#[inline]
pub(crate) fn poked() {
    LOCAL.this().sign.poked();
}

fn spawn_kind(kind: Kind, future: impl Future<Output = ()> + Send + 'static) {
    let schedule = WithInfo(|task: Runnable<Kind>, info: ScheduleInfo| {
        schedule(task, info.woken_while_running);
    });
    let (task, handle) = Builder::new().metadata(kind).spawn(|_| future, schedule);
    handle.detach();
    task.schedule();
}

/// Runs `future` as a plain task, on this processor for good.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    spawn_kind(Kind::Plain(number()), future);
}

/// Runs `future`, which is a program, on this account.
pub fn spawn_program(account: Arc<Account>, future: impl Future<Output = ()> + Send + 'static) {
    adopt(&account);
    spawn_kind(Kind::Program(account), future);
}

/// Runs `future`, which is a virtual processor; it charges its account itself.
pub fn spawn_vp(account: Arc<Account>, future: impl Future<Output = ()> + Send + 'static) {
    adopt(&account);
    spawn_kind(Kind::Vp(account), future);
}

/// From now on whoever has `account` runs on this processor.
#[inline]
pub fn adopt(account: &Account) {
    if account.home() != number() {
        move_here(account);
    }
}

#[cold]
fn move_here(account: &Account) {
    // One lock after the other.
    let then = LOCAL.of(account.home()).ready.lock().sharing.now();
    let now = LOCAL.this().ready.lock().sharing.now();
    account.move_to(number(), now, then);
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

/// Whether the virtual processor that runs on `account` has to let another task run. If not, others may take who waits.
#[must_use]
#[inline]
pub fn must_give_way(account: &Account) -> bool {
    let local = LOCAL.this();
    let ready = local.ready.lock();
    let must = !ready.woken.is_empty() || is_behind(&ready, account.had_so_far());
    let waits = !must && !ready.sharing.is_empty();
    drop(ready);
    if waits {
        offer(local);
    }
    must
}

/// Whether somebody else who shares the processor has had clearly less than `account`.
#[must_use]
#[inline]
pub fn is_ahead(account: &Account) -> bool {
    is_behind(&LOCAL.this().ready.lock(), account.had_so_far())
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
    let local = LOCAL.this();
    let ready = local.ready.lock();
    if !ready.woken.is_empty() {
        return true;
    }
    if ready.sharing.is_empty() {
        return false;
    }
    let now = time::now();
    let (had, left) = match &*local.program.lock() {
        Some((account, since)) => {
            let ran = now.saturating_sub(*since).saturating_sub(local.inline.load(Ordering::Relaxed));
            (account.had_so_far() + ran, account.slice_left().saturating_sub(ran))
        }
        None => (0, 0),
    };
    let behind = is_behind(&ready, had);
    drop(ready);
    if !behind {
        offer(local);
        time::arm(now + left.max(GRANULARITY));
    }
    behind
}

/// Somebody waits for this processor: an idle one may take him.
#[inline]
fn offer(local: &Local) {
    if local.sign.offer()
        && let Some(processor) = IDLE.take()
    {
        poke(processor);
    }
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

/// Takes interrupts for a moment before the processor is halted: a fast disk answers sooner than a processor has gone to
/// sleep and come back. Whether a task is ready.
///
/// Under QEMU's `-icount sleep=off` it matters more: there a halted machine's clock jumps to the next timer at once.
fn poll(local: &Local) -> bool {
    let end = time::now() + POLL;
    loop {
        arch::interrupt_window();
        if !local.ready.lock().is_empty() {
            return true;
        }
        if time::now() >= end {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// Takes somebody who waits for another processor; whether there was one.
fn steal(local: &Local) -> bool {
    let others = LOCAL.all().filter(|(processor, other)| *processor != number() && other.sign.offers());
    for (_, other) in others {
        let (stolen, then) = {
            let mut ready = other.ready.lock();
            let stolen = ready.sharing.steal();
            if ready.sharing.is_empty() {
                other.sign.withdraw();
            }
            (stolen, ready.sharing.now())
        };
        if let Some(task) = stolen {
            let mut ready = local.ready.lock();
            if let Kind::Program(account) | Kind::Vp(account) = task.metadata() {
                account.move_to(number(), ready.sharing.now(), then);
            }
            ready.push(task, true);
            return true;
        }
    }
    false
}

/// Halts until there is an interrupt, unless another processor has something to give away.
fn sleep(local: &Local) {
    let me = number();
    IDLE.enter(me);
    if !steal(local) {
        arch::idle();
    }
    IDLE.leave(me);
}

/// Runs tasks for good. Interrupts are off when a task runs.
pub(crate) fn run() -> ! {
    let local = LOCAL.this();
    loop {
        let (next, waits) = {
            let mut ready = local.ready.lock();
            let next = ready.next();
            if ready.sharing.is_empty() {
                local.sign.withdraw();
            }
            (next, !ready.sharing.is_empty())
        };
        match next {
            Some(task) => {
                if waits && !matches!(task.metadata(), Kind::Plain(_)) {
                    offer(local);
                }
                run_task(local, task);
                arch::interrupt_window();
            }
            None if number() == DISKS && vmbus::is_disk_busy() && poll(local) => {}
            None => sleep(local),
        }
    }
}

fn run_task(local: &Local, task: Runnable<Kind>) {
    let Kind::Program(account) = task.metadata() else {
        task.run();
        return;
    };
    let account = Arc::clone(account);
    let start = time::now();
    local.inline.store(0, Ordering::Relaxed);
    *local.program.lock() = Some((Arc::clone(&account), start));
    task.run();
    *local.program.lock() = None;
    let ran = time::now().saturating_sub(start).saturating_sub(local.inline.load(Ordering::Relaxed));
    if account.charge(ran) {
        slice_ended(&account);
    }
}
