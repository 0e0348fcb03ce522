//! What processors spend their time on.

use super::local::LOCAL;
use crate::hypervisor::ProcessorPage;
use crate::time::{self, Stopwatch};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use hv_abi::stats::LogicalProcessorStats;
use spin::Once;
use syscall::ProcessorTimes;

/// A processor's times; it writes, the others read.
pub(super) struct Times {
    /// Since when it has had an executor.
    started: AtomicU64,
    /// Runs while it is idle.
    idle: Stopwatch,
    /// What the hypervisor counts for it.
    page: Once<Option<ProcessorPage>>,
    /// What that said when the executor started.
    before: [AtomicU64; 2],
}

impl Times {
    pub(super) const fn new() -> Self {
        Self {
            started: AtomicU64::new(0),
            idle: Stopwatch::new(),
            page: Once::new(),
            before: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// This processor's executor starts.
    pub(super) fn start(&self) {
        self.page.call_once(ProcessorPage::of_this);
        let counted = self.counted();
        for (before, ticks) in self.before.iter().zip([counted.guest_run_ticks, counted.hypervisor_run_ticks])
        {
            before.store(ticks, Ordering::Relaxed);
        }
        self.started.store(time::now(), Ordering::Relaxed);
    }

    /// Counts the time of `halt`.
    pub(super) fn idle(&self, halt: impl FnOnce()) {
        self.idle.start(time::now());
        halt();
        self.idle.stop(time::now());
    }

    fn counted(&self) -> LogicalProcessorStats {
        self.page.get().copied().flatten().map(ProcessorPage::read).unwrap_or_default()
    }

    fn at(&self, now: u64) -> ProcessorTimes {
        let counted = self.counted();
        let [guest, hypervisor] = [counted.guest_run_ticks, counted.hypervisor_run_ticks];
        let [guest_before, hypervisor_before] = &self.before;
        let since = |ticks: u64, before: &AtomicU64| {
            time::of_ticks(ticks.saturating_sub(before.load(Ordering::Relaxed)))
        };
        let (guest, hypervisor) = (since(guest, guest_before), since(hypervisor, hypervisor_before));
        let idle = self.idle.time(now);
        let all = now.saturating_sub(self.started.load(Ordering::Relaxed));
        // What is left.
        let root = all.saturating_sub(guest).saturating_sub(hypervisor).saturating_sub(idle);
        ProcessorTimes { guest, root, hypervisor, idle }
    }
}

/// What each processor has spent its time on.
#[must_use]
pub fn processor_times() -> Vec<ProcessorTimes> {
    let now = time::now();
    LOCAL.all().map(|(_, local)| local.times.at(now)).collect()
}
