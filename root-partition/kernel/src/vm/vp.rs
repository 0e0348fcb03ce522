//! A virtual processor: what the scheduler knows of it, and one turn of it on the processor.

use crate::arch::processor::number;
use crate::executor::share::{Account, Group};
pub use crate::executor::vp_state::State;
use crate::executor::vp_state::VpState;
use crate::hypervisor::{FlagWords, Turn, call, synic};
use crate::time::{self, Stopwatch};
use crate::{arch, executor};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Context, Waker};
use hv_abi::HvStatus;
use hv_abi::stats::VpStats;
use hv_abi::vp::{DispatchEvent, DispatchState};
use spin::Mutex;

/// A virtual processor.
pub struct Vp {
    /// What names it to the hypervisor.
    target: u64,
    state: VpState,
    /// Its worker is wanted, and is to let go of it. Best effort: a turn of the worker's ends with the slice anyway.
    recalled: AtomicBool,
    /// When its next timer is due; `u64::MAX`: never. Of who has it.
    next_timer: AtomicU64,
    account: Arc<Account>,
    /// Where the flags are that it raises.
    flag_words: Arc<FlagWords>,
    /// Runs while it could, but for the limit of its VM.
    limited: Stopwatch,
    /// How often something ended a halt of it.
    wake_ups: AtomicU64,
    /// Its task, while that waits.
    task: Mutex<Option<Waker>>,
    /// Physical addresses of the register page, the intercept-message page and the counters.
    pages: VpPages,
}

/// Pages of a VP's state, physical addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VpPages {
    /// The register page.
    pub registers: u64,
    /// The intercept-message page.
    pub message: u64,
    /// Counters.
    pub stats: u64,
}

impl Vp {
    /// A VP of `group` that is not started. `target` names it in a dispatch.
    pub fn new(target: u64, pages: VpPages, group: Arc<Group>, flag_words: Arc<FlagWords>) -> Self {
        Self {
            target,
            state: VpState::new(),
            recalled: AtomicBool::new(false),
            next_timer: AtomicU64::new(u64::MAX),
            account: Arc::new(Account::of(group, number())),
            flag_words,
            limited: Stopwatch::default(),
            wake_ups: AtomicU64::new(0),
            task: Mutex::new(None),
            pages,
        }
    }

    /// Its pages.
    pub fn pages(&self) -> VpPages {
        self.pages
    }

    /// Runs while it could, but for the limit of its VM: its task's.
    #[inline]
    pub fn limited(&self) -> &Stopwatch {
        &self.limited
    }

    /// What it is doing.
    #[inline]
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// From `from` to `to`; `false`: it was not `from`.
    #[inline]
    pub fn change(&self, from: State, to: State) -> bool {
        self.state.change(from, to)
    }

    /// It never runs again, once a turn that it has is over; [`executor::dismiss`] ends that.
    pub fn kill(&self) {
        self.state.kill();
        self.account.close();
        self.wake_task();
    }

    /// Ends the turn that its worker has with it, if it has.
    pub fn recall(&self) {
        if self.state() == State::Inline && !self.recalled.swap(true, Ordering::Relaxed) {
            executor::poke(self.account.home());
        }
    }

    /// It halted, and whoever has it (`from`) lets go of it, unless something came meanwhile that ends the halt: then it is
    /// ready.
    pub fn block(&self, from: State) {
        if !self.state.block(from) {
            self.count_wake_up();
        }
    }

    /// When its next timer is due.
    pub fn next_timer(&self) -> u64 {
        self.next_timer.load(Ordering::Relaxed)
    }

    /// Makes its task look at the state.
    pub fn wake_task(&self) {
        let waker = self.task.lock().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Something may have happened that ends a halt.
    pub fn unblock(&self) {
        if self.state.nudge() {
            self.count_wake_up();
            self.wake_task();
        }
    }

    /// It is not halted any more, as its timer is due.
    pub fn end_halt(&self) {
        if self.state.end_halt() {
            self.count_wake_up();
        }
    }

    fn count_wake_up(&self) {
        self.wake_ups.fetch_add(1, Ordering::Relaxed);
    }

    /// How often something ended a halt of it.
    pub fn wake_ups(&self) -> u64 {
        self.wake_ups.load(Ordering::Relaxed)
    }

    /// Has `context` woken by [`Vp::wake_task`].
    pub fn register(&self, context: &Context<'_>) {
        let mut task = self.task.lock();
        match &mut *task {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    /// What it has had of the processor.
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Runs it until something else has to be done, and charges it for that. The caller has it, by its state `mine`. Takes
    /// interrupts; no lock may be held.
    #[inline]
    pub fn turn(&self, mine: State) -> Turn {
        let start = time::now();
        let (turn, end) = self.dispatch_until_done(start, mine);
        if turn == Turn::Blocked {
            self.account.end_slice();
            executor::slice_ended(&self.account);
        }
        executor::ran_inline(end.saturating_sub(start));
        turn
    }

    /// Has the run end at `slice_end`, or when its next timer is due. One that is already runs out at the entry: an
    /// interrupt for it would end the run at once.
    #[cold]
    fn arm(&self, slice_end: u64) {
        let next_timer = self.next_timer();
        time::arm(if next_timer > time::now() { slice_end.min(next_timer) } else { slice_end });
    }

    #[inline]
    fn dispatch_until_done(&self, start: u64, mine: State) -> (Turn, u64) {
        let mut since = start;
        self.recalled.store(false, Ordering::Relaxed);
        loop {
            let slice_end = since + self.account.slice_left().min(self.account.group().longest());
            if !time::is_armed(slice_end.min(self.next_timer())) {
                self.arm(slice_end);
            }
            // What came before is in the VP already.
            self.state.forget_nudges();
            let (status, output) = call::dispatch(self.target, slice_end);
            let now = time::now();
            let slice_over = self.account.charge_vp(now, now.saturating_sub(since));
            if slice_over {
                executor::slice_ended(&self.account);
            }
            since = now;
            if status == HvStatus::SUCCESS {
                self.next_timer.store(output.next_timer, Ordering::Relaxed);
            }
            if let Some(turn) = Turn::ended_by(status, output.event) {
                return (turn, now);
            }
            match output.event {
                DispatchEvent::ROOT_SIGNAL => synic::serve(&self.flag_words),
                DispatchEvent::SPIN if executor::give_up_slice(&self.account) => return (Turn::Yield, now),
                _ => {}
            }
            arch::interrupt_window();
            if self.state() != mine {
                return (Turn::Yield, now);
            }
            if output.state == DispatchState::BLOCKED && output.event != DispatchEvent::ROOT_SIGNAL {
                return (Turn::Blocked, now);
            }
            // At the end of a slice the worker is to look at its channel, even when nobody else wants the processor; and
            // when it is wanted by another VP, or by somebody who cannot tell it while it is here.
            let recalled = mine == State::Inline && self.recalled.load(Ordering::Relaxed);
            let limited = self.account.group().limited_until() > now;
            if slice_over || recalled || limited || executor::must_give_way(&self.account, now) {
                return (Turn::Yield, now);
            }
        }
    }

    /// Its counters.
    #[expect(unsafe_code, reason = "a page that the hypervisor writes")]
    pub fn stats(&self) -> VpStats {
        let page = crate::memory::direct_map(self.pages.stats);
        // SAFETY: the page is mapped for as long as the partition exists, which owns this; any bytes are counters.
        unsafe { page.cast::<VpStats>().read_volatile() }
    }
}
