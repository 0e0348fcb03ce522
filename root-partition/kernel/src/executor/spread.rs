//! Work that goes from one processor to another.

use super::idle::IdleSet;
use super::local::{LOCAL, Local};
use super::share::Account;
use super::task::{Kind, poke};
use crate::arch::processor::{count, number};
use crate::arch::{self, PROCESSOR_PLACES};
use crate::time;
use alloc::sync::Arc;
use async_task::Runnable;

static IDLE: IdleSet<{ PROCESSOR_PLACES.div_ceil(64) }> = IdleSet::new();

/// Somebody waits for this processor: an idle one may take him.
#[inline]
pub(super) fn offer(local: &Local) {
    if local.sign.offer() || IDLE.any() {
        find_idle(local);
    }
}

/// Has an idle processor look that may run somebody who waits here.
#[cold]
fn find_idle(local: &Local) {
    let affinity = local.ready.lock().sharing.affinity();
    if let Some(processor) = IDLE.take(affinity) {
        poke(processor);
    }
}

/// Where whoever has `account` runs from now on, as it may not where it did: an idle processor, or the one that has least
/// to do, as far as one can see.
#[cold]
pub(super) fn place(account: &Account) -> u32 {
    let group = account.group();
    let mut idle = IDLE.take(group.affinity());
    if let Some(processor) = idle.take_if(|processor| !group.allows(*processor)) {
        // It is among the idle ones again once it has looked.
        poke(processor);
    }
    let allowed = || (0..count()).filter(|&processor| group.allows(processor));
    let home =
        idle.or_else(|| allowed().min_by_key(|&processor| LOCAL.of(processor).ready.lock().sharing.len()));
    // Where none of its processors is there it stays.
    let home = home.unwrap_or(account.home());
    account.set_home(home);
    home
}

/// Takes somebody from processor `other`, for this one.
fn take(local: &Local, other: &Local, before: Option<u64>) -> bool {
    let me = number();
    let now = time::now();
    let stolen = other.change(|ready| ready.sharing.steal(me, now, before));
    let Some((account, task)) = stolen else { return false };
    hand_over(local, me, account, task);
    if !other.ready.lock().sharing.is_empty() {
        // There is more, and only one was called.
        find_idle(other);
    }
    true
}

fn hand_over(local: &Local, to: u32, account: Arc<Account>, task: Runnable<Kind>) {
    account.set_home(to);
    local.change(|ready| ready.take_over(account, task));
}

/// Once a slice at least: takes somebody who waits for another processor and is further behind than those that wait here; and
/// has these catch up with those that wait elsewhere and could come. Or sends one away to an idle processor.
#[inline]
pub(super) fn balance(local: &Local) {
    if count() > 1 && local.shown.first() != u64::MAX {
        balance_with_others(local);
    }
}

fn balance_with_others(local: &Local) {
    let me = number();
    // Whose slice is over on a processor of its own waits for a moment too, and goes on there.
    let others = LOCAL.all().filter(|(_, other)| other.sign.offers());
    let shown = others.map(|(processor, other)| (processor, &other.shown));
    let mut balance = local.balance.lock();
    let Some(seen) = balance.look((me, &local.shown), shown, time::now()) else { return };
    if seen.level != u64::MAX {
        local.change(|ready| ready.sharing.catch_up(seen.level));
    }
    balance.act(&seen, |other| take(local, LOCAL.of(other), Some(local.shown.first())));
    if IDLE.any() {
        make_room(local, seen.nearest);
    }
}

/// Sends whoever is next here to an idle processor, if somebody waits who could run here: an idle processor takes whom it can
/// by itself, so it is one who may not run there.
#[cold]
fn make_room(local: &Local, nearest: Option<u32>) {
    let could = local.ready.lock().sharing.could_leave_for(IDLE.all(), nearest.is_some());
    let Some(to) = IDLE.take(could) else { return };
    if let Some((account, task)) = local.change(|ready| ready.sharing.steal(to, time::now(), None)) {
        hand_over(LOCAL.of(to), to, account, task);
    }
    // Also if somebody else was faster: it is among the idle ones again once it has looked.
    poke(to);
    if let Some(nearest) = nearest
        && local.shown.first() == u64::MAX
    {
        take(local, LOCAL.of(nearest), None);
    }
}

/// Takes somebody who waits for another processor; whether there was one.
fn steal(local: &Local) -> bool {
    let me = number();
    let mut others = LOCAL.all().filter(|(processor, other)| *processor != me && other.sign.offers());
    others.any(|(_, other)| take(local, other, None))
}

/// Halts until there is an interrupt, unless another processor has something to give away.
pub(super) fn sleep(local: &Local) {
    let me = number();
    IDLE.enter(me);
    if !steal(local) {
        local.times.idle(arch::idle);
    }
    IDLE.leave(me);
}

/// Sends those away that may not run any more on the processors for which they wait.
pub fn expel() {
    for (processor, local) in LOCAL.all() {
        while let Some((account, task)) = local.change(|ready| ready.sharing.expel(processor)) {
            let home = place(&account);
            if home == processor {
                // None of its processors is there.
                hand_over(local, home, account, task);
                break;
            }
            hand_over(LOCAL.of(home), home, account, task);
            poke(home);
        }
    }
}
