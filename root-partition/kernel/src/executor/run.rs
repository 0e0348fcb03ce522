//! The loop of each processor: who is next, and what it is charged for.

use super::give_way::slice_ended;
use super::local::{LOCAL, Local, Ready};
use super::pending::Pending;
use super::spread::{balance, offer, sleep};
use super::task::Kind;
use crate::arch::processor::number;
use crate::{arch, time};
use alloc::sync::Arc;
use async_task::Runnable;
use core::sync::atomic::Ordering;

/// How long an idle processor that a disk is about to answer looks for that before it halts, in 100 ns.
const POLL: u64 = 200;

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
