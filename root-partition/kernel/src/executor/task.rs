//! Tasks, and where they run.
//!
//! A task has a home: the processor that polls it. A plain one stays where it was spawned, so a driver stays where its device's
//! interrupts come; unless it is one that is polled where it was woken, so that a guest hears of its disks where their
//! interrupts come. A program or virtual processor stays too, until another processor takes it from one that keeps it waiting
//! ([`spread`](super::spread)), or may not run there any more; and a virtual processor goes to where its worker resumes it
//! ([`adopt`]).

use super::local::{LOCAL, Ready};
use super::share::{Account, Group};
use super::spread::place;
use crate::arch::apic;
use crate::arch::processor::{count, number};
use crate::{interrupts, time};
use alloc::sync::Arc;
use async_task::{Builder, Runnable, ScheduleInfo, WithInfo};
use core::future::Future;

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
