//! Whom a processor's time went to: [`hv_abi::stats::LogicalProcessorStats`].

use hv_abi::HvResult;

use crate::hypervisor::Hypervisor;
use crate::layout::{ROOT_SLOT, VpPage, vp_page};
use crate::machine::Machine;
use crate::vp::StatePage;

/// Words of the page.
const GUEST_RUN_TICKS: usize = 0;
const HYPERVISOR_RUN_TICKS: usize = 1;

/// A processor's times, which its root VP sees.
pub struct Times {
    /// The page.
    pub page: StatePage,
    /// The time stamp counter when it all began.
    started: u64,
    /// Ticks of the root VP in guest mode.
    root: u64,
}

impl Times {
    /// Of processor `number`, this one, from now on.
    pub fn new<M: Machine>(hv: &Hypervisor<M>, number: u32) -> HvResult<Self> {
        let at = vp_page(ROOT_SLOT, number, VpPage::Stats);
        let page = StatePage::new(hv.machine, &mut hv.root_tables.lock(), at)?;
        page.show(hv, false)?;
        Ok(Self { page, started: hv.machine.tsc(), root: 0 })
    }

    /// The root VP goes on: answers what [`Times::leave`] is to be told.
    #[inline]
    pub fn enter<M: Machine>(&self, machine: &M) -> u64 {
        let inside = machine.guest_mode_ticks();
        let all = machine.tsc().wrapping_sub(self.started);
        self.page.window.write(GUEST_RUN_TICKS, inside.wrapping_sub(self.root));
        self.page.window.write(HYPERVISOR_RUN_TICKS, all.wrapping_sub(inside));
        inside
    }

    /// The root VP is stopped.
    #[inline]
    pub fn leave<M: Machine>(&mut self, machine: &M, entered: u64) {
        let inside = machine.guest_mode_ticks();
        self.root = self.root.wrapping_add(inside.wrapping_sub(entered));
    }
}
