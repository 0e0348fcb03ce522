//! What each processor's executor has.

use super::idle::Sign;
use super::share::balance::{Balance, Shown};
use super::share::{Account, Queue};
use super::task::Kind;
use super::times::Times;
use crate::arch::{PerProcessor, per_processor};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use async_task::Runnable;
use core::sync::atomic::AtomicU64;
use spin::Mutex;

/// How many tasks run in a row because they were woken, while others wait for their share.
const IN_A_ROW_MAX: u32 = 64;

pub(super) static LOCAL: PerProcessor<Local> = per_processor!(Local::new());

/// The executor of a processor.
pub(super) struct Local {
    /// Tasks that are ready. Whoever wakes one puts it in, then pokes the processor. A leaf lock.
    pub(super) ready: Mutex<Ready>,
    /// What the others see.
    pub(super) sign: Sign,
    /// What the others see of those that share it. Changes under the lock of `ready`.
    pub(super) shown: Shown,
    /// What it remembers of the others. The processor's own.
    pub(super) balance: Mutex<Balance>,
    /// The program that runs, and since when. The processor's own.
    pub(super) program: Mutex<Option<(Arc<Account>, u64)>>,
    /// What virtual processors have run inside the poll of the program that runs, in 100 ns. The processor's own.
    pub(super) inline: AtomicU64,
    /// What it has spent its time on. The processor's own, but that others may read it.
    pub(super) times: Times,
}

impl Local {
    const fn new() -> Self {
        let ready = Ready { woken: VecDeque::new(), sharing: Queue::new(), in_a_row: 0 };
        Self {
            ready: Mutex::new(ready),
            sign: Sign::new(),
            shown: Shown::new(),
            balance: Mutex::new(Balance::new()),
            program: Mutex::new(None),
            inline: AtomicU64::new(0),
            times: Times::new(),
        }
    }

    /// Changes who waits, and shows it.
    #[inline]
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut Ready) -> R) -> R {
        let mut ready = self.ready.lock();
        let result = change(&mut ready);
        self.shown.show(&ready.sharing);
        if ready.sharing.is_empty() {
            self.sign.withdraw();
        }
        result
    }
}

pub(super) struct Ready {
    /// Those that have something to answer, oldest first.
    pub(super) woken: VecDeque<Runnable<Kind>>,
    /// Those that share the processors.
    pub(super) sharing: Queue<Runnable<Kind>>,
    /// How many of `woken` have run in a row.
    in_a_row: u32,
}

impl Ready {
    /// The next of those that have something to answer, unless somebody who shares the processor has waited for too many.
    #[inline]
    pub(super) fn next_woken(&mut self) -> Option<Runnable<Kind>> {
        if self.in_a_row < IN_A_ROW_MAX || self.sharing.is_empty() {
            self.in_a_row = self.in_a_row.saturating_add(1);
            if let Some(task) = self.woken.pop_front() {
                return Some(task);
            }
        }
        self.in_a_row = 0;
        None
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.woken.is_empty() && self.sharing.is_empty()
    }

    /// Adds one that came from another processor.
    pub(super) fn take_over(&mut self, account: Arc<Account>, task: Runnable<Kind>) {
        if account.is_over() {
            self.woken.push_back(task);
        } else {
            self.sharing.take_over(account, task);
        }
    }

    /// Has those run soon that are to go.
    pub(super) fn dismiss(&mut self) {
        while let Some((_, task)) = self.sharing.dismiss() {
            self.woken.push_back(task);
        }
    }

    /// Adds one that was woken; `gave_way`: while it ran, so that it goes on waiting.
    pub(super) fn push(&mut self, task: Runnable<Kind>, gave_way: bool) {
        let account = match task.metadata() {
            Kind::Plain(_) => return self.woken.push_back(task),
            Kind::Vp(account) if account.is_over() => return self.woken.push_back(task),
            Kind::Program(account) if !gave_way && !self.sharing.is_ahead(account) => {
                return self.woken.push_back(task);
            }
            Kind::Program(account) | Kind::Vp(account) => Arc::clone(account),
        };
        if gave_way {
            self.sharing.push(account, task);
        } else {
            self.sharing.push_woken(account, task);
        }
    }
}
