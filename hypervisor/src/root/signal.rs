//! What arrives for a root VP, and where.

use hv_abi::msr::{HV_X64_MSR_SIEFP, HV_X64_MSR_SIMP};
use hv_abi::synic::HvPageMsr;
use hv_abi::{GpaPage, HvResult, HvStatus, SpaPage};
use paging::{InputPage, PageSize};

use crate::hypervisor::Hypervisor;
use crate::layout::root_page;
use crate::machine::Machine;
use crate::object::Window;
use crate::root::arrival::Way;

impl<M: Machine> Hypervisor<M> {
    /// Tells a root VP that something is in its SynIC pages. One vector is noted, the last one's: the root gives all its
    /// SINTs the same, and whoever hears of one looks at the pages of all.
    pub fn raise_root(&self, vp: u32, vector: u8) {
        let Some(processor) = self.processors.get(vp) else { return };
        match processor.arrivals.bring(vector) {
            Way::DispatchEnds if vp != self.machine.processor() => self.machine.kick(vp),
            Way::Interrupt => self.machine.interrupt_root(vp, vector),
            Way::DispatchEnds | Way::Other => {}
        }
    }

    /// EOM of a root VP.
    pub fn root_end_of_message(&self, vp: u32) {
        let Some(synic) = self.root_synic(vp) else { return };
        let vectors = synic.serve(self.machine, &mut self.ports.lock(self.machine));
        for vector in vectors.into_iter().flatten() {
            self.raise_root(vp, vector);
        }
    }

    /// SIMP or SIEFP of a root VP: pins the new page and lets go of the old one.
    pub fn place_root_page(&self, vp: u32, event_flags: bool, value: u64) -> HvResult<()> {
        let synic = self.root_synic(vp).ok_or(HvStatus::INVALID_VP_INDEX)?;
        let number = if event_flags { HV_X64_MSR_SIEFP } else { HV_X64_MSR_SIMP };
        let old = {
            let mut pages = synic.pages.lock(self.machine);
            if event_flags { pages.event_flags.take() } else { pages.messages.take() }
        };
        if let Some(page) = old.and_then(|window| window.remove(self.machine)) {
            self.pin(GpaPage::new(page.get()).ok_or(HvStatus::INVALID_PARAMETER)?, false)?;
        }
        synic.registers.write(number, value & !1);
        let msr = HvPageMsr::from(value);
        if !msr.enable() {
            return Ok(());
        }
        let page = GpaPage::new(msr.gpa_page()).ok_or(HvStatus::INVALID_PARAMETER)?;
        let spa = self.pin(page, true)?;
        let window =
            Window::open(self.machine, &mut self.root_tables.lock(), root_page(vp, event_flags), spa);
        let window = match window {
            Ok(window) => window,
            Err(status) => {
                self.pin(page, false)?;
                return Err(status);
            }
        };
        let mut pages = synic.pages.lock(self.machine);
        *(if event_flags { &mut pages.event_flags } else { &mut pages.messages }) = Some(window);
        drop(pages);
        synic.registers.write(number, value);
        self.root_end_of_message(vp);
        Ok(())
    }

    /// Counts (or no longer) a use of a page of the root's RAM, so that it cannot be deposited.
    fn pin(&self, page: GpaPage, on: bool) -> HvResult<SpaPage> {
        let input = InputPage::from_gpa(page).ok_or(HvStatus::INVALID_PARAMETER)?;
        let page = SpaPage::new(page.get()).ok_or(HvStatus::INVALID_PARAMETER)?;
        self.with_root_table(false, |root| {
            if on {
                return root.share(input, PageSize::Size4K);
            }
            root.unshare(page, PageSize::Size4K);
            Ok(())
        })??;
        Ok(page)
    }
}
