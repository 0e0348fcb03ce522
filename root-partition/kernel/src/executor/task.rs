//! Tasks, and where they run.
//!
//! A task has a home: the processor that polls it. A plain one stays where it was spawned, so a driver stays where its device's
//! interrupts come; unless it is one that is polled where it was woken, so that a guest hears of its disks where their
//! interrupts come. A program or virtual processor stays too, until another processor takes it from one that keeps it waiting
//! ([`spread`](super::spread)), or may not run there any more; and a virtual processor goes to where its worker resumes it
//! ([`adopt`]).

use super::local::{LOCAL, Local, Ready};
use super::share::{Account, GRANULARITY, Group};
use super::spread::{balance, offer, place, sleep};
use crate::arch::apic;
use crate::arch::processor::{count, number};
use crate::executor::pending::Pending;
use crate::{arch, interrupts, time};
use alloc::sync::Arc;
use async_task::{Builder, Runnable, ScheduleInfo, WithInfo};
use core::future::{Future, poll_fn};
use core::sync::atomic::Ordering;
use core::task::Poll;

/// How long an idle processor that a disk is about to answer looks for that before it halts, in 100 ns.
const POLL: u64 = 200;

/// What kind of task it is.
pub(super) enum Kind {
    /// A plain one: the processor where it stays, or nothing, and it is where it was woken.
    Plain(Option<u32>),
    /// A program.
    Program(Arc<Account>),
    /// A virtual processor.
    Vp(Arc<Account>),
}

impl Kind {
    /// The processor that polls it.
    #[inline]
    fn home(&self) -> u32 {
        match self {
            Self::Plain(home) => home.unwrap_or_else(number),
            Self::Program(account) | Self::Vp(account) => {
                let home = account.home();
                if account.group().allows(home) { home } else { place(account) }
            }
        }
    }
}

fn schedule(task: Runnable<Kind>, gave_way: bool) {
    let home = task.metadata().home();
    let local = LOCAL.of(home);
    match task.metadata() {
        Kind::Plain(_) => local.ready.lock().woken.push_back(task),
        Kind::Program(_) => local.change(|ready| ready.push(task, gave_way)),
        Kind::Vp(account) => {
            account.waits(time::now());
            local.change(|ready| ready.push(task, gave_way));
        }
    }
    poke(home);
}

/// Has `processor` look at what there is for it, if it is another.
#[inline]
pub(crate) fn poke(processor: u32) {
    if processor != number() && LOCAL.of(processor).sign.poke() {
        apic::send(processor, interrupts::POKE);
    }
}

/// Has every other processor look: a program or virtual processor that runs there comes out.
pub fn poke_all() {
    (0..count()).for_each(poke);
}

/// Those whose accounts are closed go now: they wait for no share, and those that run come out.
pub fn dismiss() {
    LOCAL.all().for_each(|(_, local)| local.change(Ready::dismiss));
    poke_all();
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
    spawn_on(number(), future);
}

/// The same on another processor, which runs.
pub fn spawn_on(processor: u32, future: impl Future<Output = ()> + Send + 'static) {
    spawn_kind(Kind::Plain(Some(processor)), future);
}

/// Runs `future` as a plain task, each time on the processor that has woken it.
pub fn spawn_where_woken(future: impl Future<Output = ()> + Send + 'static) {
    spawn_kind(Kind::Plain(None), future);
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

/// From now on whoever has `account` runs on this processor, if that may be.
#[inline]
pub fn adopt(account: &Account) {
    if account.home() != number() && may_run_here(account) {
        account.set_home(number());
    }
}

/// Whether whoever has `account` may run on this processor.
#[must_use]
#[inline]
pub fn may_run_here(account: &Account) -> bool {
    account.group().allows(number())
}

/// The program that runs becomes a member of `group`: what it runs counts for that from now on.
pub fn join(group: &Arc<Group>) {
    if let Some((account, _)) = &*LOCAL.this().program.lock() {
        account.join(group);
    }
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

/// The task that is to run; and whether somebody waits who could run elsewhere.
#[inline]
fn next(local: &Local) -> (Option<Runnable<Kind>>, bool) {
    {
        let mut ready = local.ready.lock();
        if let Some(task) = ready.next_woken() {
            return (Some(task), !ready.sharing.is_empty());
        }
    }
    balance(local);
    local.change(|ready: &mut Ready| (ready.sharing.pop(time::now), !ready.sharing.is_empty()))
}

/// Runs tasks for good. Interrupts are off when a task runs.
pub(crate) fn run() -> ! {
    let local = LOCAL.this();
    local.times.start();
    loop {
        let (next, waits) = next(local);
        match next {
            Some(task) => {
                if waits && !matches!(task.metadata(), Kind::Plain(_)) {
                    offer(local);
                }
                run_task(local, task);
                arch::interrupt_window();
            }
            None if Pending::on(number()).is_any() && poll(local) => {}
            None => sleep(local),
        }
    }
}

fn run_task(local: &Local, task: Runnable<Kind>) {
    let (account, is_program) = match task.metadata() {
        Kind::Plain(_) => {
            task.run();
            return;
        }
        Kind::Program(account) => (Arc::clone(account), true),
        Kind::Vp(account) => (Arc::clone(account), false),
    };
    let start = time::now();
    local.inline.store(0, Ordering::Relaxed);
    if is_program {
        *local.program.lock() = Some((Arc::clone(&account), start));
    }
    task.run();
    let ran = time::now().saturating_sub(start).saturating_sub(local.inline.load(Ordering::Relaxed));
    if is_program {
        *local.program.lock() = None;
        account.group().worked(ran);
        if account.charge(ran) {
            slice_ended(&account);
        }
    } else {
        // What it made us do: a guest that keeps the root busy has less time for itself.
        account.charge_besides(ran);
    }
}
