//! What a VM gets of the processors, and what it has had.

use super::Vm;
use crate::arch::processor::count;
use crate::executor::{self, share::Shares};
use crate::time;
use alloc::vec::Vec;
use syscall::{Error, ProcessorSet, VmShare, VpStatistics, WEIGHT_MAX};

impl Vm {
    /// Sets what it gets of the processors, from now on.
    ///
    /// # Errors
    /// `InvalidArgument`: out of range, or none of those processors is there.
    pub fn set_share(&self, share: &VmShare) -> Result<(), Error> {
        let &VmShare { weight, reserve, limit, affinity, .. } = share;
        let vps = self.inner.vps().len() as u32;
        let in_range = (1..=WEIGHT_MAX).contains(&weight) && (1..=100).contains(&limit) && reserve <= limit;
        if !in_range || (affinity & ProcessorSet::below(count())).is_empty() {
            return Err(Error::InvalidArgument);
        }
        let limit = (limit != 100).then_some(limit * vps);
        self.inner.group().set(Shares { weight, reserve: reserve * vps, limit, affinity });
        executor::expel();
        for vp in self.inner.vps() {
            // It may wait for a limit that is no more.
            vp.wake_task();
        }
        Ok(())
    }

    /// The program that runs works for this VM from now on: what it runs counts for that.
    pub fn adopt_worker(&self) {
        executor::join(self.inner.group());
    }

    /// What each of its VPs has done.
    #[must_use]
    pub fn statistics(&self) -> Vec<VpStatistics> {
        let now = time::now();
        let of = |vp: &super::vp::Vp| {
            let stats = vp.stats();
            VpStatistics {
                guest_time: time::of_ticks(stats.guest_run_ticks),
                hypervisor_time: time::of_ticks(stats.hypervisor_run_ticks),
                wait_time: vp.account().waited(),
                limited_time: vp.limited().time(now),
                wake_ups: vp.wake_ups(),
                dispatches: stats.dispatches,
                processor: vp.account().home(),
                reserved: 0,
                exits: stats.exits,
            }
        };
        self.inner.vps().iter().map(of).collect()
    }
}
